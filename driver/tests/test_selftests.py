# SPDX-License-Identifier: GPL-2.0-only
"""The selftests, and what is expected of them."""

from unittest import mock

from driver.core import expected
from driver.core.stage import Fail
from driver.kernel import build
from driver.suites import selftests
from driver.tests.helpers import Case, counted, log

TAP = "TAP version 13\n1..2\nok 1 folio_orphan.a # SKIP no swap\nok 2 folio_orphan\n"


class Selftests(Case):
    def test_results_of_a_selftest(self):
        names = [name for test in selftests.TESTS for name in build.fixtures(test)]
        self.assertEqual({check.split(".")[0] for check in expected.load("selftests")["stock"]},
                         {*names, *selftests.TESTS})
        for name in ("selftests", "stress"):
            self.assertEqual(tuple(expected.load(name)), selftests.KERNELS)

    def test_wanted_of_one(self):
        """Less what run_vmtests.sh says of it as a whole."""
        want = selftests.wanted("mm+tcp", "folio_truncate_race")
        self.assertEqual({name.split(".")[0] for name in want}, {"folio_truncate_race"})
        self.assertNotIn("folio_truncate_race", want)
        self.assertIn("tcp_copy_progress", {name.split(".")[0] for name in
                                            selftests.wanted("mm+tcp", "folio_orphan")})
        self.assertEqual(selftests.wanted("mm", "folio_stress"), expected.load("stress")["mm"])
        self.assertEqual(selftests.wanted("mm"), expected.load("selftests")["mm"])

    def boot(self, text, dies=False, **how):
        self.patch(selftests.qemu, boot=mock.Mock(return_value=("c", log(text, "tap")), **how))
        self.clean = self.patch(selftests.console, "is_clean")
        return selftests.boot(counted(), "image", "initrd", "x", dies=dies, rerun="./run")

    def test_results(self):
        self.assertEqual(self.boot(TAP), ({"folio_orphan.a": "skip", "folio_orphan": "pass"},
                                          {"folio_orphan.a": "no swap"}))
        self.clean.assert_called_once_with(mock.ANY, "x", "c", "./run")

    def test_death(self):
        death = {"side_effect": Fail("the guest died")}
        self.assertFail("the guest died", self.boot, TAP, **death)
        self.assertEqual(self.boot(TAP, dies=True, **death), ({}, {}))
        self.clean.assert_not_called()
        self.assertFail("died halfway", self.boot, TAP[:TAP.index("ok 2")], dies=True)   # by itself

    def on(self, results, kernel):
        context, cases = counted(), selftests.kunit.wanted("qemu")
        self.patch(selftests, "image", "initramfs", boot=lambda *args, **how: (dict(results), {}))
        self.patch(selftests.kunit, of_console=lambda context, log: cases, read=lambda path: "")
        return context.tally, selftests.on(context, kernel)

    def test_one_kernel(self):
        for kernel in selftests.KERNELS:
            want = selftests.wanted(kernel)
            tally, (results, _, cases) = self.on(want, kernel)
            self.assertEqual((tally.failed, results, bool(cases)), ([], want, kernel == "mm+tcp"))
        tally, _ = self.on({}, "stock")
        self.assertEqual(set(tally.reruns), {"./run selftest stock"})
        self.assertIn("(all it said: out/log/selftests-stock.tap)", tally.failed[-1])
