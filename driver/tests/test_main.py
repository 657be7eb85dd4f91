# SPDX-License-Identifier: GPL-2.0-only
"""./run without a command: what differs between the kernels is shown, and nothing is left out."""

import os
import re
import tempfile
import unittest
from types import SimpleNamespace
from unittest import mock

from driver.commands import main
from driver.core import steps
from driver.core.paths import read
from driver.core.stage import Fail
from driver.story import model
from driver.suites import kunit, scenarios, selftests
from driver.tests.consoles import CONSOLE
from driver.tests.helpers import counted, environment, quiet

WANT = {"stock": {"a": "pass", "b": "fail"}, "mm": {"a": "pass", "b": "pass"}}


def cells(text):
    return [re.split(" {2,}", line.strip()) for line in text.splitlines()]


class Tables(unittest.TestCase):
    def test_what_differs(self):
        self.assertEqual(cells(main.differences(WANT, WANT)),
                         [["what differs", "stock", "mm"], ["b", "fail (known)", "pass"]])
        found = {"stock": {"a": "fail", "b": "fail"}, "mm": {"b": "pass"}}
        self.assertEqual(cells(main.differences(found, WANT))[1],
                         ["a", "FAIL (expected pass)", "MISSING (expected pass)"])

    def test_counts(self):
        self.assertEqual(cells(main.counts({"stock": {"a": "pass", "b": "fail", "c": "pass"}})),
                         [["kernel", "pass", "fail", "skip"], ["stock", "2", "1", "0"]])


class Run(unittest.TestCase):
    """With stand-ins for the kernels."""

    def run_it(self, fails=()):
        def selftest(context, kernel):
            if kernel in fails:
                raise Fail("the guest died")
            cases = kunit.wanted("qemu") if kernel == selftests.PATCHED else {}
            context.tally.check(True, "")
            return selftests.wanted(kernel), {"x": "no swap"}, cases
        context = counted(commit={"all": "0"})
        context.counted_by = lambda tally: SimpleNamespace(**{**vars(context), "tally": tally})
        with tempfile.TemporaryDirectory() as folder, mock.patch.multiple(
                selftests, on=selftest, image=mock.DEFAULT), mock.patch.multiple(
                scenarios, on=lambda *args: model.parse(CONSOLE), image=mock.DEFAULT,
                write_page=mock.DEFAULT) as stands, mock.patch.object(
                main.patches, "git_am"), mock.patch.object(
                main.build, "selftests"), mock.patch.object(
                main, "logfile", lambda name: os.path.join(folder, name)), mock.patch.object(
                steps, "kill_all"), environment(), quiet() as out:
            main.run(context, None)
            path = os.path.join(folder, "all-checks.txt")
            kept = read(path) if os.path.exists(path) else ""
        stands["write_page"].assert_called_once()
        return context.tally, out.getvalue(), kept

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

    def test_one_kernel_fails(self):
        for kernel in selftests.KERNELS:
            tally, said, kept = self.run_it([kernel])
            self.assertEqual(tally.failed, [f"{kernel}: the guest died"])
            self.assertEqual(tally.reruns, [f"./run selftest {kernel}"])
            self.assertIn("claims, replayed", said)
            self.assertIn("what differs", said)

    def test_all_kernels_fail(self):
        tally, said, kept = self.run_it(selftests.KERNELS)
        self.assertEqual((len(tally.failed), kept), (3, ""))
        self.assertIn("claims, replayed", said)

    def test_what_is_run_again(self):
        self.assertEqual([step.rerun for step in main.plan({}, {})], [
            "./run", *(f"./run selftest {kernel}" for kernel in selftests.KERNELS),
            *["./run replay"] * len(scenarios.KERNELS)])

    def test_names(self):
        names = [step.name for step in main.plan({}, {})]
        self.assertEqual(len(names), len(set(names)))
