# SPDX-License-Identifier: GPL-2.0-only
"""Each kind of bad run must be seen as one."""

import contextlib
import io
import json
import os
import tempfile
import unittest
from types import SimpleNamespace

import base as bases
import guest
import judge
import series
import stage
from stage import Fail, run

GOOD = """TAP version 13
# TAP version 13
# 1..2
# ok 1 lru.isolate
# ok 2 lru.orphan # SKIP tcp maps no orphan
# # Totals: pass:1 fail:0
ok 1 lru
1..1
"""


class Tap(unittest.TestCase):
    def test_good(self):
        results, reasons = judge.tap(GOOD)
        self.assertEqual(results, {"lru.isolate": "pass", "lru.orphan": "skip", "lru": "pass"})
        self.assertEqual(reasons, {"lru.orphan": "tcp maps no orphan"})

    def test_failure(self):
        self.assertEqual(judge.tap("1..1\nnot ok 1 lru\n")[0], {"lru": "fail"})

    def test_nothing_ran(self):
        with self.assertRaisesRegex(Fail, "no test ran"):
            judge.tap("TAP version 13\n1..0\n")

    def test_died_halfway(self):
        with self.assertRaisesRegex(Fail, "died halfway"):
            judge.tap(GOOD.replace("# ok 2 lru.orphan # SKIP tcp maps no orphan\n", ""))


class Expectations(unittest.TestCase):
    def verdict(self, results, expected):
        tally = judge.Tally()
        tally.add("x", results, expected, "./run")
        with contextlib.redirect_stdout(io.StringIO()) as out:
            return tally.verdict(), out.getvalue()

    def test_as_expected(self):
        status, text = self.verdict({"a": "pass", "b": "fail"}, {"a": "pass", "b": "fail"})
        self.assertEqual(status, 0)
        self.assertIn("verdict: 2 passed, 0 failed, 0 skipped", text)

    def test_everything_else_fails(self):
        for results, expected in (({"a": "fail"}, {"a": "pass"}),
                                  ({"a": "pass"}, {"a": "fail"}),
                                  ({"a": "skip"}, {"a": "pass"}),
                                  ({}, {"a": "pass"}),
                                  ({"a": "pass", "b": "pass"}, {"a": "pass"}),
                                  ({}, {})):
            with self.subTest(results=results, expected=expected):
                self.assertEqual(self.verdict(results, expected)[0], 1)


class KUnit(unittest.TestCase):
    def load(self, report):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as out:
            json.dump(report, out)
            out.flush()
            return judge.kunit(out.name)

    def test_crash_is_a_failure(self):
        cases = [{"name": "a", "status": "PASS"}, {"name": "b", "status": "ERROR"},
                 {"name": "c", "status": "SKIP"}]
        self.assertEqual(self.load({"sub_groups": [{"name": "s", "test_cases": cases}]}),
                         {"s.a": "pass", "s.b": "fail", "s.c": "skip"})

    def test_nothing_ran(self):
        with self.assertRaisesRegex(Fail, "ran no test"):
            self.load({"sub_groups": []})


class Console(unittest.TestCase):
    base = None                 # gate.driver() sets it: the scan is in the kernel tree

    def test_patterns(self):
        for line in ("list_del corruption. next->prev should be", "Kernel panic - not syncing",
                     "page dumped because: VM_WARN_ON", "INFO: task x blocked for more than",
                     "WARNING: mm/folio.c:1 at __page_cache_release", "BUG: KASAN: use-after-free",
                     "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:"):
            self.assertTrue(judge.badness(self.base, "[ 1.0] fine\n[ 2.0] " + line), line)
        self.assertEqual(judge.badness(self.base, "[ 1.0] fine"), [])

    def test_no_scan(self):
        with self.assertRaisesRegex(Fail, "does not run"):
            judge.splats(SimpleNamespace(src=stage.LOG), "fine")

    def test_kunit_is_told_from_the_rest(self):
        kunit, rest = judge.kunit_lines("[ 1.0] booting\n[ 1.1] KTAP version 1\n[ 1.2] 1..1\n"
                                        "[ 1.3] page dumped because: x\n[ 1.4] ok 1 suite\n"
                                        "[ 1.5] later\n")
        self.assertIn("page dumped", kunit)
        self.assertIn("booting", rest)
        self.assertIn("later", rest)
        self.assertNotIn("page dumped", rest)


class Guest(unittest.TestCase):
    """Stand-ins for QEMU: a guest that hangs, one that panics, one that never starts."""

    def boot(self, script, limit=2):
        qemu, guest.QEMU = guest.QEMU, ["sh", "-c", script, "sh"]
        try:
            return guest.boot("i", "i", "driver-test", time_limit=limit)
        finally:
            guest.QEMU = qemu

    def test_hang(self):
        with self.assertRaisesRegex(Fail, "did not finish within 2 s"):
            self.boot("sleep 60")

    def test_death(self):
        with self.assertRaisesRegex(Fail, "died before its tests ended"):
            self.boot("true")

    def test_no_start(self):
        with self.assertRaisesRegex(Fail, "exited 3"):
            self.boot("exit 3")


class Inputs(unittest.TestCase):
    def test_kdir_without_a_kernel(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaisesRegex(Fail, "no kernel tree there"):
                bases.from_kdir(folder)

    def test_kdir_of_another_version(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(folder + "/Makefile", "w") as makefile:
                makefile.write("VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 1\n")
            with self.assertRaisesRegex(Fail, "is Linux 6.12.1; the series .* is for 7.3"):
                bases.from_kdir(folder)

    def test_too_little_disk(self):
        needed, bases.NEEDED_GIB = bases.NEEDED_GIB, 1 << 30
        try:
            with self.assertRaisesRegex(Fail, "GiB free"):
                bases.check_disk()
        finally:
            bases.NEEDED_GIB = needed

    def test_mutant_without_a_claim(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(folder + "/m.diff", "w") as diff:
                diff.write("Removes: x\n\ndiff --git a/x b/x\n")
            with self.assertRaisesRegex(Fail, "has no line 'On"):
                series.Mutant("m", folder)

    def test_every_mail_tags_itself(self):
        for name in (series.MM, series.NET):
            for patch in series.patches(name):
                self.assertRegex(patch.message, r"(?m)^Assisted-by: LLM( \w+)*$", patch.slug)
                self.assertNotIn("Signed-off-by", patch.message)

    def test_failing_command(self):
        with self.assertRaisesRegex(Fail, "exited 1"):
            run(["false"], "driver-test.log")
