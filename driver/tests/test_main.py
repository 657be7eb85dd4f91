# SPDX-License-Identifier: GPL-2.0-only
"""./run without a command: what differs between the kernels is shown, and nothing is left out."""

import os
import re

from driver.commands import main
from driver.core.paths import read
from driver.core.stage import Fail
from driver.story import model
from driver.suites import kunit, scenarios, selftests
from driver.tests.consoles import CONSOLE
from driver.tests.helpers import Case, counted

WANT = {"stock": {"a": "pass", "b": "fail"}, "mm": {"a": "pass", "b": "pass"}}


def cells(text):
    return [re.split(" {2,}", line.strip()) for line in text.splitlines()]


class Main(Case):
    def test_what_differs(self):
        self.assertEqual(cells(main.differences(WANT, WANT)),
                         [["what differs", "stock", "mm"], ["b", "fail (known)", "pass"]])
        found = {"stock": {"a": "fail", "b": "fail"}, "mm": {"b": "pass"}}
        self.assertEqual(cells(main.differences(found, WANT))[1],
                         ["a", "FAIL (expected pass)", "MISSING (expected pass)"])
        self.assertEqual(cells(main.counts({"stock": {"a": "pass", "b": "fail", "c": "pass"}})),
                         [["kernel", "pass", "fail", "skip"], ["stock", "2", "1", "0"]])

    def run_it(self, fails=()):
        def selftest(context, kernel):
            if kernel in fails:
                raise Fail("the guest died")
            cases = kunit.wanted("qemu") if kernel == selftests.PATCHED else {}
            context.tally.check(True, "")
            return selftests.wanted(kernel), {"x": "no swap"}, cases
        folder, context = self.folder(), counted()
        self.quick_steps()
        self.patch(selftests, "image", on=selftest)
        self.patch(main.patches, "git_am")
        self.patch(main.build, "selftests")
        self.patch(main, logfile=lambda name: os.path.join(folder, name))
        page = self.patch(scenarios, "write_page", "image", on=lambda *args: model.parse(CONSOLE))
        main.run(context, None)
        page.assert_called_once()
        path = os.path.join(folder, "all-checks.txt")
        return context.tally, self.printed(), read(path) if os.path.exists(path) else ""

    def test_all(self):
        tally, said, kept = self.run_it()
        self.assertEqual((tally.passed, tally.failed), (3, []))
        for line in ("kernel", "what differs", "claims, replayed", "all checks: "):
            self.assertIn(f"\n{line}", said)
        [head] = [line for line in said.splitlines() if line.startswith("what differs")]
        self.assertEqual(head.split()[2:], list(selftests.KERNELS))
        for line in ("folio_truncate_race.tmpfs.reads", "folio_release.release_lru.put lru",
                     "skip on mm+tcp: x: no swap"):
            self.assertIn(f"\n{line}", kept)

    def test_some_fail(self):
        for kernels in (*([each] for each in selftests.KERNELS), selftests.KERNELS):
            tally, said, kept = self.run_it(kernels)
            self.assertEqual(sorted(tally.failed),
                             sorted(f"{kernel}: the guest died" for kernel in kernels))
            self.assertEqual(sorted(tally.reruns),
                             sorted(f"./run selftest {kernel}" for kernel in kernels))
            self.assertIn("claims, replayed", said)
            self.assertEqual(["what differs" in said, bool(kept)],
                             [kernels != selftests.KERNELS] * 2)

    def test_what_is_run_again(self):
        plan = main.plan({}, {})
        self.assertEqual([step.rerun for step in plan], [
            "./run", *(f"./run selftest {kernel}" for kernel in selftests.KERNELS),
            *["./run replay"] * len(scenarios.KERNELS)])
        self.assertEqual(len({step.name for step in plan}), len(plan))
