# SPDX-License-Identifier: GPL-2.0-only
"""The selftests, and what is expected of them."""

import unittest
from unittest import mock

from driver.core import expected
from driver.core.paths import logfile
from driver.core.stage import Fail
from driver.kernel import build
from driver.suites import selftests
from driver.tests.helpers import counted, quiet

TAP = "TAP version 13\n1..2\nok 1 folio_orphan.a # SKIP no swap\nok 2 folio_orphan\n"


class Expected(unittest.TestCase):
    def test_results_of_a_selftest(self):
        names = [name for test in selftests.TESTS for name in build.fixtures(test)]
        self.assertEqual({check.split(".")[0] for check in expected.load("selftests")["stock"]},
                         {*names, *selftests.TESTS})

    def test_columns(self):
        for name in ("selftests", "stress"):
            self.assertEqual(tuple(expected.load(name)), selftests.KERNELS)

    def test_wanted_of_one(self):
        """Less what run_vmtests.sh says of it as a whole."""
        want = selftests.wanted("mm+tcp", "folio_truncate_race")
        self.assertTrue(want)
        self.assertEqual({name.split(".")[0] for name in want}, {"folio_truncate_race"})
        self.assertNotIn("folio_truncate_race", want)
        self.assertIn("tcp_copy_progress", {name.split(".")[0] for name in
                                            selftests.wanted("mm+tcp", "folio_orphan")})
        self.assertEqual(selftests.wanted("mm", "folio_stress"), expected.load("stress")["mm"])
        self.assertEqual(selftests.wanted("mm"), expected.load("selftests")["mm"])


class Boot(unittest.TestCase):
    def boot(self, text, dies=False, **how):
        context, path = counted(), logfile("driver-test.tap")
        with open(path, "w") as out:
            out.write(text)
        clean = mock.Mock()
        guest = mock.Mock(return_value=("c", path), **how)
        with mock.patch.object(selftests.qemu, "boot", guest), \
                mock.patch.object(selftests.console, "is_clean", clean), quiet():
            found = selftests.boot(context, "image", "initrd", "x", dies=dies, rerun="./run")
        return found, clean

    def test_results(self):
        found, clean = self.boot(TAP)
        self.assertEqual(found, ({"folio_orphan.a": "skip", "folio_orphan": "pass"},
                                 {"folio_orphan.a": "no swap"}))
        clean.assert_called_once_with(mock.ANY, "x", "c", "./run")

    def test_death(self):
        death = {"side_effect": Fail("the guest died")}
        with self.assertRaises(Fail):
            self.boot(TAP, **death)
        found, clean = self.boot(TAP, dies=True, **death)
        self.assertEqual(found, ({}, {}))
        clean.assert_not_called()
        with self.assertRaisesRegex(Fail, "died halfway"):      # by itself, halfway
            self.boot(TAP[:TAP.index("ok 2")], dies=True)


class OneKernel(unittest.TestCase):
    def on(self, results, kernel="mm+tcp"):
        context = counted()
        cases = selftests.kunit.wanted("qemu")
        with mock.patch.multiple(
                selftests, boot=lambda *args, **how: (dict(results), {}), image=mock.DEFAULT,
                initramfs=mock.DEFAULT), mock.patch.multiple(
                selftests.kunit, of_console=lambda context, log: cases, read=lambda path: ""):
            found = selftests.on(context, kernel)
        return context.tally, found

    def test_as_expected(self):
        for kernel in selftests.KERNELS:
            tally, (results, _, cases) = self.on(selftests.wanted(kernel), kernel)
            self.assertEqual(tally.failed, [])
            self.assertEqual(results, selftests.wanted(kernel))
            self.assertEqual(bool(cases), kernel == "mm+tcp")

    def test_rerun(self):
        tally, _ = self.on({}, "stock")
        self.assertEqual(set(tally.reruns), {"./run selftest stock"})
        self.assertIn("(all it said: out/log/selftests-stock.tap)", tally.failed[-1])
