# SPDX-License-Identifier: GPL-2.0-only
"""Claims that were replayed are judged word for word; the tables of README."""

import os

from driver.core.paths import read
from driver.kernel.source import RELEASES
from driver.story import model
from driver.suites import kunit, results, scenarios
from driver.suites.kunit import QEMU, UML_SMP
from driver.tests.consoles import BLOCKED, CONSOLE, PATCHED, REFUTED, REPRODUCED, STALE, told
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
        for seen in (F, {**F, **Q, "folio_release.x": "fail"}):
            tally, found = self.judge(seen, GOOD)
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
            self.assertIn(words, self.failures(*what), what)

    def test_claims(self):
        """A verdict is expected word for word, with its guard or lock, and the test agrees."""
        for said, ident, result, *printed in (
                ("^$", "F", "pass", REFUTED), ("^$", "A", "pass", BLOCKED),
                ("^$", "A.put", "fail", REPRODUCED, STALE),
                *(("expected 'reproduced: madvise came to ISOLATE_CLEARED'", "F.6", "fail", other)
                  for other in ("error|step 6: M has to wait for the PTL",
                                "reproduced|a PTE maps the folio", REFUTED)),
                (r"expected 'refuted: xas_reload\(\) in next_uptodate_folio\(\)'",
                 "F", "pass", "refuted|folio_trylock() in next_uptodate_folio()"),
                *(("expected 'blocked: PTL'", "A", "pass", other)
                  for other in ("blocked|folio lock: the caller holds it", "blocked|")),
                ("but its test is 'fail'", "F", "fail", REFUTED),
                ("but its test is 'fail'", "A", "fail", BLOCKED),
                ("but its test is 'pass'", "A.put", "pass", REPRODUCED, STALE),
                ("injects '', expected 'a caller", "A.put", "fail", REPRODUCED),
                ("injects 'x', expected ''", "F", "pass", REFUTED, "x"),
                ("the claim Q is new", "Q", "pass", REFUTED)):
            story = model.parse(told(ident, *printed))[ident]
            failed = failures_of(scenarios.judge_claim, "here", "stock", ident, result, story)
            self.assertRegex("; ".join(failed), said, (ident, printed))

    def test_mistakes_in_claims(self):
        self.assertEqual(list(scenarios.titles()), list(scenarios.claims()))
        text = '[source.a]\nlink = "x"\n[claim.A]\nsource = "{}"\nstock = "{}"\npatched = "{}"\n'
        good = "refuted: x"
        for said, *words in (("A has no source of these: a", "b", good, good),
                             ("A has no verdict for stock: a word of reprod", "a", "fail", good),
                             ("A has no verdict for patched", "a", good, "refuted")):
            folder = self.folder({"claims.toml": text.format(*words)})
            self.assertFail(said, scenarios.claims, folder)
        # What does it again
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
        self.assertEqual([those["folio_race.replay.F.6"] for those in (stock, patched)],
                         ["fail", "pass"])
        # patched has the suites of the mm series as well, and those of what reports links
        self.assertEqual({name for name in patched.keys() - kunit.wanted(QEMU).keys()
                          if not name.startswith("folio_links.")}, stock.keys())
        self.assertEqual([scenarios.wanted("stock", place)[scenarios.LARGE[0]]
                          for place in (QEMU, kunit.ARM64, UML_SMP)], ["pass", "pass", "skip"])
        self.assertEqual(scenarios.wanted("stock", QEMU, ["A", "F.6"]),
                         {"folio_race.replay.A": "pass", "folio_race.replay.F.6": "fail"})
        self.assertFalse([name for name in scenarios.wanted("stock", QEMU, (), "folio_explore")
                          if name.startswith("folio_explore")])

    def test_steps(self):
        text = scenarios.steps({"stock": model.parse(CONSOLE), "patched": {}}, "F")
        self.assertTrue(text.startswith(f"F. {scenarios.titles()['F']}\nstep "))
        self.assertIn("\nstock: ", text)
        self.assertNotIn("\npatched: ", text)


class Results(Case):
    def test_tables(self):
        kept = [{"selftests": {"on": version, "columns": {
            "stock": {"same": "pass", "orphan": "fail"}, "mm": {"same": "pass", "orphan": "pass"}}}}
            for version in ("7.3.4", "6.12.1")] + [{}]
        text = results.table("selftests", kept)
        self.assertIn("| selftest | 7.3.4 stock | 7.3.4 mm | 6.12.1 stock | 6.12.1 mm |\n", text)
        self.assertIn("| orphan | fail | pass | fail | pass |\n", text)
        self.assertNotIn("same", text)
        kept[1]["selftests"]["columns"]["mm"] = {"orphan": "pass"}
        self.assertIn("| same | pass | pass | pass | did not run |\n",
                      results.table("selftests", kept))
        self.assertEqual(results.table("guards", kept), "")

    def test_kept_part_by_part(self):
        for release in RELEASES:
            self.assertLessEqual(results.load(release).keys(), results.PARTS.keys())
        self.patch(results, FOLDER=self.folder())
        base = counted(release="6.12", version="6.12.9").base
        results.keep(base, "replays", {"stock": {"`A` x": "y"}})
        results.keep(base, "guards", {"": {"g": "needed"}})
        results.keep(base, "replays", {"stock": {"`A` x": "z"}})
        self.assertEqual(results.load("6.12"), {
            "replays": {"on": "6.12.9", "columns": {"stock": {"`A` x": "z"}}},
            "guards": {"on": "6.12.9", "columns": {"": {"g": "needed"}}}})
        self.assertEqual(results.load("7.3"), {})

    def test_written_in_their_place(self):
        text = f"before\n{results.BEGIN}old\n{results.END}after\n"
        folder = self.folder({"README.md": text, "results.md": text})
        self.patch(results, FOLDER=folder, README=os.path.join(folder, "README.md"),
                   RESULTS=os.path.join(folder, "results.md"),
                   MATRIX=os.path.join(folder, "guards.svg"))
        draw = self.patch(results.picture, "draw")
        results.keep(counted().base, "guards", {"": {"g": "needed"}})
        results.write_tables()
        for path, table in (
                (results.README, results.short()),
                (results.RESULTS, "\n".join([results.claims(), results.real_fixes(),
                                              results.sets(), ""])
                 + "| guard removed | 7.3.4 |\n| --- | --- |\n| g | needed |\n")):
            self.assertEqual(read(path),
                             f"before\n{results.BEGIN}\n{table}\n{results.END}after\n")
        draw.assert_called_once()
        self.patch(results, BEGIN="nowhere")
        self.assertFail("README.md has no lines", results.write_tables)
