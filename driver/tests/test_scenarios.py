# SPDX-License-Identifier: GPL-2.0-only
"""A claim that was replayed is judged by what is expected, and is to be on the console whole."""

from driver.story import model
from driver.suites import kunit, scenarios
from driver.suites.kunit import QEMU, UML_SMP
from driver.tests.consoles import CONSOLE, PATCHED
from driver.tests.helpers import Case, counted, failures_of

GOOD = CONSOLE.replace("the entry is gone: xas_reload()", "xas_reload() in next_uptodate_folio()")
F = {"folio_race.replay.F": "pass"}
Q = {"folio_race.replay.Q": "pass"}


class Replays(Case):
    def judge(self, results, console, idents=("F",), column="patched", **how):
        context = counted()
        for where in (scenarios, kunit):
            self.patch(where, read=lambda path: console)
        found = scenarios.judge(context, column, QEMU, dict(results), "driver-test", idents, **how)
        return context.tally, found

    def failures(self, *what, **how):
        return "; ".join(self.judge(*what, **how)[0].failed)

    def test_good(self):
        # Of some just these are judged
        for results in (F, {**F, **Q, "folio_release.x": "fail"}):
            tally, found = self.judge(results, GOOD)
            self.assertEqual((tally.passed, tally.failed, list(found)), (4, [], ["F"]))

    def test_bad(self):
        fails = {"folio_race.replay.F": "fail"}
        said = ("    # replay: EXPECTATION FAILED at lib/x.c:7\n    Expected a\n"
                "        not ok 9 F\n")
        for words, *what in (
                ("F is missing", {}, CONSOLE), ("F is missing", {}, "", ()),
                ("is fail, expected pass", fails, CONSOLE),
                ("F is fail, expected pass: \n    EXPECTATION at lib/x.c:7 Expected a",
                 fails, CONSOLE + said),
                ("Q is new", Q, "", ()), ("Q is new", Q, "", ("Q",)),
                *(("not on the console as a whole", F, CONSOLE[:CONSOLE.index(end) - 12])
                  for end in ("begin F", "event 2", "verdict", "end F"))):
            with self.subTest(words=words, what=what):
                self.assertIn(words, self.failures(*what))

    def test_rerun(self):
        tally, _ = self.judge({}, "")
        self.assertEqual(tally.reruns, ["./run replay"])
        tally, _ = self.judge(F, "", rerun="./run debugged kasan")
        self.assertEqual(tally.reruns, ["./run replay F"])

    def test_splats_that_are_known(self):
        warning = ("[ 1.0] ------------[ cut here ]------------\n[ 1.0] %s\n[ 1.0] WARNING: x\n"
                   "[ 1.0] Call Trace:\n[ 1.0] ---[ end trace 0 ]---\n")
        known, other = warning % "list_del corruption. next->prev is", warning % "something else"
        uml = known.replace("[ 1.0] ", "", 2).replace("list_del", "WARNING: x\nlist_del")
        flush = ("=============================\nWARNING: suspicious RCU usage\n7.3.4 #1\n"
                 " [<0>] flush_tlb_mm+0x1/0x2\n")
        another = flush.replace("flush_tlb", "another")
        for pattern, text, left in (
                (scenarios.CORRUPTION, known + "fine\n" + other + known, "fine\n" + other),
                (scenarios.CORRUPTION, uml, ""),
                (scenarios.UML_FLUSH, flush + " more\n", " more\n"),
                (scenarios.UML_FLUSH, another, another)):
            self.assertEqual(pattern.sub("", text), left)
        check = "console.no_list_del_corruption is"
        for console, found in ((known, True), (uml, True), (other, False)):
            for column, said, want in (("patched", f"{check} fail, expected pass", found),
                                       ("stock", f"{check} pass, expected fail", not found)):
                self.assertEqual(said in self.failures({}, console, (), column), want)

    def test_timelines(self):
        here = model.parse(CONSOLE)
        for console, words in ((PATCHED, "differ from event 3 on"), ("", "differ"), (CONSOLE, "")):
            failed = failures_of(scenarios.same_timelines, {"stock": here},
                                 {"stock": model.parse(console)}, "")
            self.assertEqual(bool(failed), bool(words))
            self.assertIn(words, "; ".join(failed))

    def test_wanted(self):
        stock, patched = (scenarios.wanted(column, QEMU) for column in scenarios.KERNELS)
        self.assertEqual([those["folio_race.replay.A"] for those in (stock, patched)],
                         ["pass", "pass"])
        # patched has the suites of the mm series as well
        self.assertEqual(patched.keys(), stock.keys() | kunit.wanted(QEMU).keys())
        self.assertEqual([scenarios.wanted("stock", place)[scenarios.LARGE]
                          for place in (QEMU, UML_SMP)], ["pass", "skip"])
        self.assertEqual(scenarios.wanted("stock", QEMU, ["A", "B"]),
                         {"folio_race.replay.A": "pass", "folio_race.replay.B": "pass"})
        self.assertFalse([name for name in scenarios.wanted("stock", QEMU, (), "folio_explore")
                          if name.startswith("folio_explore")])
        self.assertEqual(scenarios.ident("F.6"), "F.6")

    def test_steps(self):
        text = scenarios.steps({"stock": model.parse(CONSOLE), "patched": {}}, "F")
        self.assertTrue(text.startswith(f"F. {scenarios.titles()['F']}\nstep "))
        self.assertIn("\nstock: ", text)
        self.assertNotIn("\npatched: ", text)
        self.assertEqual(scenarios.log_of(counted(suffix="-6.12"), "stock", QEMU),
                         "replay-qemu-stock-6.12")
