# SPDX-License-Identifier: GPL-2.0-only
"""No splat on a console is overlooked, but those that KUnit provokes."""

import glob
import os
import re
from types import SimpleNamespace

from driver.core import paths
from driver.kernel import console
from driver.tests.helpers import Case, log, tally_of

SCAN = "tools/testing/selftests/rcutorture/bin/console-badness.sh"
KUNIT = ("[ 1.0] booting\n[ 1.1] KTAP version 1\n[ 1.2] 1..1\n"
         "[ 1.3] page dumped because: x\n[ 1.4] ok 1 suite\n[ 1.5] later\n")


def source():
    """A kernel tree that has the scan of a console, or None."""
    def version(path):
        return [int(part) for part in re.findall(r"\d+", os.path.relpath(path, paths.OUT))]
    there = sorted(glob.glob(os.path.join(paths.OUT, "v*", "linux")), key=version, reverse=True)
    return os.environ.get("DRIVER_TEST_SRC") or next(
        (path for path in there if os.path.exists(os.path.join(path, SCAN))), None)


class Split(Case):
    def test_kunit_is_told_from_the_rest(self):
        kunit, rest = console.kunit_lines(KUNIT)
        self.assertIn("page dumped", kunit)
        self.assertEqual(rest, "[ 1.0] booting\n[ 1.1] \n[ 1.5] later\n")
        kunit, rest = console.kunit_lines(KUNIT[:KUNIT.index("[ 1.4]")])        # it did not end
        self.assertIn("page dumped", kunit)
        self.assertEqual(rest, "[ 1.0] booting\n[ 1.1] ")
        self.assertEqual(console.kunit_lines("[ 1.0] booting\n"), ("", "[ 1.0] booting\n"))

    def test_no_scan(self):
        self.assertFail("does not run", console.splats, SimpleNamespace(src=paths.LOG), "fine")


class Scan(Case):
    def setUp(self):
        super().setUp()
        self.src = source()
        if not self.src:
            self.skipTest("there is no kernel tree in out/ yet, nor does DRIVER_TEST_SRC name one: "
                          f"{SCAN} is there")

    def test_patterns(self):
        base = SimpleNamespace(src=self.src)
        for line in ("list_del corruption. next->prev should be", "Kernel panic - not syncing",
                     "page dumped because: VM_WARN_ON", "INFO: task x blocked for more than",
                     "WARNING: mm/folio.c:1 at __page_cache_release", "BUG: KASAN: use-after-free",
                     "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:"):
            self.assertTrue(console.badness(base, "[ 1.0] fine\n[ 2.0] " + line), line)
        self.assertEqual(console.badness(base, "[ 1.0] fine"), [])

    def test_judged(self):
        corruption = "[ 1.0] fine\n[ 1.1] list_del corruption. x\n"
        for text, known, said in (
                (KUNIT, None, "^$"),
                (KUNIT + "[ 1.6] page dumped because: y\n", None,
                 r"^x: the console is not clean \(out/log/driver-test\.console\): "
                 r"\[ 1\.6\] page dumped because: y$"),
                # Whatever a case provokes, this it does not
                (KUNIT.replace("page dumped", "BUG: KASAN"), None, "BUG: KASAN"),
                (corruption, None, "list_del"),
                (corruption, re.compile(".*list_del corruption.*\n"), "^$")):
            with self.subTest(text=text, known=known):
                tally = tally_of(console.is_clean, "x", log(text), "./run y", known, src=self.src)
                self.assertEqual(tally.reruns, ["./run y"] * len(tally.failed))
                self.assertRegex("".join(tally.failed), said)
