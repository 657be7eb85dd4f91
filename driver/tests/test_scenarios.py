# SPDX-License-Identifier: GPL-2.0-only
"""A claim that was replayed is judged by what is expected, and is to be on the console whole."""

import unittest
from unittest import mock

from driver.core import expected
from driver.core.stage import Fail
from driver.core.tally import Tally
from driver.story import model
from driver.suites import kunit, scenarios
from driver.suites.kunit import QEMU, UML_SMP
from driver.tests.consoles import CONSOLE, PATCHED
from driver.tests.helpers import counted


class Judge(unittest.TestCase):
    F = {"folio_race.replay.F": "pass"}

    def judge(self, results, console, idents=("F",), column="patched", **how):
        context = counted()
        with mock.patch.object(scenarios, "read", lambda path: console), \
                mock.patch.object(kunit, "read", lambda path: console):
            found = scenarios.judge(context, column, QEMU, dict(results), "driver-test", idents,
                                    **how)
        return context.tally, found

    def failures(self, *what, **how):
        return "; ".join(self.judge(*what, **how)[0].failed)

    def test_good(self):
        self.assertEqual(self.failures(self.F, CONSOLE), "")
        tally, found = self.judge(self.F, CONSOLE)
        self.assertEqual((tally.passed, list(found)), (2, ["F"]))

    def test_not_on_the_console(self):
        for end in ("begin F", "event 2", "verdict", "end F"):
            with self.subTest(end=end):
                console = CONSOLE[:CONSOLE.index(end) - 12]
                self.assertIn("not on the console as a whole", self.failures(self.F, console))

    def test_did_not_run(self):
        self.assertIn("F is missing", self.failures({}, CONSOLE))
        self.assertIn("F is missing", self.failures({}, "", idents=()))

    def test_not_expected(self):
        self.assertIn("is fail, expected pass",
                      self.failures({"folio_race.replay.F": "fail"}, CONSOLE))
        self.assertIn("Q is new", self.failures({"folio_race.replay.Q": "pass"}, "", ()))

    def test_nothing_is_expected_of_one_that_was_named(self):
        self.assertIn("Q is new", self.failures({"folio_race.replay.Q": "pass"}, "", ("Q",)))

    def test_of_some_just_these_are_judged(self):
        results = {**self.F, "folio_race.replay.Q": "pass", "folio_release.x": "fail"}
        self.assertEqual(self.failures(results, CONSOLE), "")

    def test_rerun(self):
        tally, _ = self.judge({}, "")
        self.assertEqual(tally.reruns, ["./run replay"])
        tally, _ = self.judge(self.F, "", rerun="./run debugged kasan")
        self.assertEqual(tally.reruns, ["./run replay F"])

    def test_what_a_failing_case_said(self):
        console = CONSOLE + ("    # replay: EXPECTATION FAILED at lib/x.c:7\n    Expected a\n"
                             "        not ok 9 F\n")
        self.assertIn("F is fail, expected pass: \n    EXPECTATION at lib/x.c:7 Expected a",
                      self.failures({"folio_race.replay.F": "fail"}, console))

    def test_list_corruption(self):
        warning = ("[ 1.0] ------------[ cut here ]------------\n[ 1.0] %s\n[ 1.0] WARNING: x\n"
                   "[ 1.0] Call Trace:\n[ 1.0] ---[ end trace 0 ]---\n")
        known, other = warning % "list_del corruption. next->prev is", warning % "something else"
        self.assertEqual(scenarios.CORRUPTION.sub("", known + "[ 1.1] fine\n" + other + known),
                         "[ 1.1] fine\n" + other)
        uml = known.replace("[ 1.0] ", "", 2).replace("list_del", "WARNING: x\nlist_del")
        self.assertEqual(scenarios.CORRUPTION.sub("", uml), "")
        for console, found in ((known, True), (uml, True), (other, False)):
            self.assertEqual("no_list_del_corruption is fail"
                             in self.failures({}, console, idents=()), found)
            # On stock it is to be so
            self.assertEqual("no_list_del_corruption is pass, expected fail" in self.failures(
                {}, console, idents=(), column="stock"), not found)

    def test_flush_of_uml_is_known(self):
        splat = ("=============================\nWARNING: suspicious RCU usage\n7.3.4 #1\n"
                 "%s\n more of it\n")
        self.assertEqual(scenarios.UML_FLUSH.sub("", splat % " [<0>] flush_tlb_mm+0x1/0x2"),
                         " more of it\n")
        other = splat % " [<0>] another+0x1/0x2"
        self.assertEqual(scenarios.UML_FLUSH.sub("", other), other)


class Wanted(unittest.TestCase):
    def test_columns(self):
        stock, patched = (scenarios.wanted(column, QEMU) for column in scenarios.KERNELS)
        self.assertEqual(stock["folio_race.replay.A"], "fail")
        self.assertEqual(patched["folio_race.replay.A"], "pass")
        self.assertLess(stock.keys(), patched.keys())       # has the suites of the mm series
        self.assertEqual(patched.keys() - stock.keys(), kunit.wanted(QEMU).keys())

    def test_places(self):
        self.assertEqual([scenarios.wanted("stock", place)[scenarios.LARGE]
                          for place in (QEMU, UML_SMP)], ["pass", "skip"])

    def test_some(self):
        self.assertEqual(scenarios.wanted("stock", QEMU, ["A", "B"]),
                         {"folio_race.replay.A": "fail", "folio_race.replay.B": "pass"})
        self.assertFalse([name for name in scenarios.wanted("stock", QEMU, (), "folio_explore")
                          if name.startswith("folio_explore")])


class Timelines(unittest.TestCase):
    def test_timelines(self):
        here = model.parse(CONSOLE)
        for console, words in ((PATCHED, "differ from event 3 on"), ("", "differ"), (CONSOLE, "")):
            tally = Tally()
            scenarios.same_timelines(tally, {"stock": here}, {"stock": model.parse(console)}, "")
            self.assertEqual(bool(tally.failed), bool(words))
            self.assertIn(words, "; ".join(tally.failed))


class Names(unittest.TestCase):
    def test_no_such_scenario(self):
        with self.assertRaisesRegex(Fail, r"the nearest are F.6, .*\./run replay --list"):
            scenarios.ident("f6")
        self.assertEqual(scenarios.ident("F.6"), "F.6")

    def test_every_scenario_has_an_expectation(self):
        want = expected.load("scenarios")["stock"]
        self.assertEqual([scenarios.SUITE + each for each in scenarios.titles()],
                         [name for name in want if name.startswith(scenarios.SUITE)])

    def test_steps(self):
        text = scenarios.steps({"stock": model.parse(CONSOLE), "patched": {}}, "F")
        self.assertTrue(text.startswith(f"F. {scenarios.titles()['F']}\nstep "))
        self.assertIn("\nstock: ", text)
        self.assertNotIn("\npatched: ", text)

    def test_logs(self):
        self.assertEqual(scenarios.log_of(counted(suffix="-6.12"), "stock", QEMU),
                         "replay-qemu-stock-6.12")
