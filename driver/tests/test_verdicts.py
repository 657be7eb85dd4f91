# SPDX-License-Identifier: GPL-2.0-only
"""A verdict is expected word for word: any other one, guard, lock or missing line is a failure."""

import contextlib
import tempfile
import unittest
from unittest import mock

from driver.core.stage import Fail
from driver.core.tally import Tally
from driver.story import model, svg, text
from driver.suites import explorer, results, scenarios, schedule_files
from driver.tests.helpers import counted, quiet

STATE = "refs=1 mapcount=0 lru=1 locked=0 cached=1"


def console(ident, verdict, injected="", end=True):
    """What a kernel prints of a replay."""
    return "".join(f"[    1.0] folio_race: {line}\n" for line in (
        f"begin {ident}|A title", *[f"injected {injected}"] * bool(injected),
        "actor T|truncate|punches", "actor I|isolate|isolates",
        f"event 0|I|stop|ISOLATE_CLEARED|{STATE} listed=1|0",
        f"event 1|T|end|END|{STATE} listed=1|1",
        f"step 0|I|ISOLATE_CLEARED|-|{STATE}|ok|", f"step 1|T|END|-|{STATE}|ok|",
        f"verdict {verdict}", *[f"end {ident}|3"] * end))


STALE = "a caller of folio_isolate_lru() without a reference"
REPRODUCED = "reproduced|isolate came to ISOLATE_CLEARED"
REFUTED = "refuted|xas_reload() in next_uptodate_folio()"
BLOCKED = "blocked|PTL: the caller holds it"


class Claims(unittest.TestCase):
    def failures(self, column, ident, result, *printed, **how):
        tally = Tally()
        told = model.parse(console(ident, *printed, **how))
        scenarios.judge_claim(tally, "here", column, ident, result, told.get(ident))
        self.assertLessEqual({f"./run replay {ident}"}, {*tally.reruns, f"./run replay {ident}"})
        return "; ".join(tally.failed)

    def test_good(self):
        for column, ident, result, *printed in (
                ("stock", "F", "pass", REFUTED), ("patched", "F", "pass", REFUTED),
                ("stock", "A", "pass", BLOCKED), ("stock", "A.put", "fail", REPRODUCED, STALE)):
            self.assertEqual(self.failures(column, ident, result, *printed), "", ident)

    def test_any_failure_is_not_accepted(self):
        """F.6 is reproduced on stock: an error there is something else."""
        for verdict in ("error|step 6: M has to wait for the PTL",
                        "reproduced|a PTE maps the folio, which has left the page cache",
                        "refuted|folio_is_orphan() in folio_isolate_lru()"):
            self.assertIn("expected 'reproduced: madvise came to ISOLATE_CLEARED'",
                          self.failures("stock", "F.6", "fail", verdict))

    def test_another_guard(self):
        self.assertIn("expected 'refuted: xas_reload() in next_uptodate_folio()'", self.failures(
            "stock", "F", "pass", "refuted|folio_trylock() in next_uptodate_folio()"))

    def test_another_lock(self):
        for verdict in ("blocked|folio lock: the caller holds it", "blocked|"):
            self.assertIn("expected 'blocked: PTL'",
                          self.failures("stock", "A", "pass", verdict))

    def test_the_test_disagrees(self):
        for ident, result, *printed in (("F", "fail", REFUTED), ("A", "fail", BLOCKED),
                                        ("A.put", "pass", REPRODUCED, STALE)):
            self.assertIn("but its test is", self.failures("stock", ident, result, *printed))

    def test_injected(self):
        self.assertIn("injects '', expected 'a caller", self.failures("stock", "A.put", "fail",
                                                                     REPRODUCED))
        self.assertIn("injects 'x', expected ''", self.failures("stock", "F", "pass", REFUTED, "x"))

    def test_a_line_is_missing(self):
        self.assertIn("not on the console as a whole",
                      self.failures("stock", "F", "pass", REFUTED, end=False))

    def test_a_claim_that_nobody_knows(self):
        self.assertIn("the claim Q is new", self.failures("stock", "Q", "pass", REFUTED))

    def test_every_scenario_has_a_claim(self):
        self.assertEqual(list(scenarios.titles()), list(scenarios.claims()))

    def test_results_come_of_the_verdicts(self):
        want = scenarios.wanted("stock", "qemu")
        self.assertEqual((want["folio_race.replay.F.6"], want["folio_race.replay.D"]),
                         ("fail", "pass"))

    def test_mistakes(self):
        source = '[source.a]\nlink = "x"\n[claim.A]\nsource = "{}"\nstock = "{}"\npatched = "{}"\n'
        good = "refuted: x"
        for words, said in ((("b", good, good), "A has no source of these: a"),
                            (("a", "fail", good), "A has no verdict for stock: a word of reprod"),
                            (("a", good, "refuted"), "A has no verdict for patched")):
            with tempfile.TemporaryDirectory() as folder:
                with open(folder + "/claims.toml", "w") as out:
                    out.write(source.format(*words))
                with self.assertRaisesRegex(Fail, said):
                    scenarios.claims(folder)


class Words(unittest.TestCase):
    def test_verdicts(self):
        for printed, said, short, full in (
                (REPRODUCED, "reproduced: isolate came to ISOLATE_CLEARED",
                 "reproduced (injected)", f"reproduced (injected: {STALE})"),
                (REFUTED, "refuted: xas_reload() in next_uptodate_folio()", "refuted",
                 "refuted: xas_reload() in next_uptodate_folio()"),
                (BLOCKED, "blocked: PTL", "blocked: PTL", "blocked: PTL"),
                ("no violation|", "no violation", "no violation", "no violation"),
                ("as written|each line", "as written", "as written", "as written"),
                ("differs|line 3: lru=0, wanted: 1", "differs: line 3: lru=0, wanted: 1", "differs",
                 "differs: line 3: lru=0, wanted: 1")):
            story = model.parse(console("F", printed, STALE))["F"]
            self.assertEqual((model.verdict(story), model.words(story),
                              model.in_full(said, STALE)), (said, short, full))

    def test_other_words(self):
        for word in ("contradicted", "infeasible", "held", "passed"):
            with self.assertRaisesRegex(Fail, "malformed"):
                model.parse(console("F", f"{word}|x") + "\n")

    def test_where_it_turns(self):
        for printed, event in ((REPRODUCED, 0), ("violated|pte", 1), ("error|x", 1),
                               (REFUTED, None)):
            story = model.parse(console("F", printed))["F"]
            self.assertEqual(model.turn(story), event)
            self.assertEqual(svg.svg_timeline(story, "stock", "0").count('class="crash"'),
                             int(event is not None))

    def test_error_shows_the_last_events(self):
        said = text.step_table({"stock": model.parse(console("F", "error|x"))["F"]})
        self.assertIn("event 1: truncate is done END: 1r 0m L-C\n", said)

    def test_readme(self):
        """The tables in README are those of driver/expected/."""
        with open(results.README) as readme:
            there = results.BEGIN + "\n" + results.tables() + "\n" + results.END in readme.read()
        self.assertTrue(there, "write them with: python3 -m driver.suites.results")


NAME = "my.one.tmpfs.small"


class Runs(unittest.TestCase):
    def failures(self, result, verdict, want=schedule_files.AS_WRITTEN, end=True):
        tally = Tally()
        story = schedule_files.stories("# " + console(NAME, verdict, end=end).replace(
            "[    1.0] ", "").replace("\n", "\n# ")).get(NAME)
        schedule_files.judge_run(tally, "here", NAME, result, story, "./run", want)
        return "; ".join(tally.failed)

    def test_good(self):
        self.assertEqual(self.failures("pass", "as written|x"), "")
        self.assertEqual(self.failures("fail", "differs|a", "differs: a"), "")

    def test_bad(self):
        for result, verdict, *want in (("fail", "differs|a"), ("fail", "differs|b", "differs: a"),
                                       ("fail", "error|a", "differs: a"), ("pass", "differs|a"),
                                       ("pass", "as written|x", "differs: a")):
            self.assertIn("expected '", self.failures(result, verdict, *want))
        self.assertIn("but its result is", self.failures("fail", "as written|x"))
        self.assertIn("told no story as a whole",
                      self.failures("pass", "as written|x", end=False))

    def test_calls(self):
        printed = console(NAME, "as written|x").replace(
            "verdict", "call T.cut|truncate f 0|0|EBUSY\n[    1.0] folio_race: verdict")
        said = text.step_table({"stock": model.parse(printed)[NAME]})
        self.assertIn("    T.cut: truncate f 0 gives EBUSY, wanted: 0\n", said)

    def test_the_same_is_said(self):
        told = {"stock": {f"my.{one}.tmpfs.small": model.parse(
            console(f"my.{one}.tmpfs.small", verdict))[f"my.{one}.tmpfs.small"]
            for one, verdict in (("a", "as written|x"), ("b", "as written|x"),
                                 ("c", "differs|y"))}}
        with quiet() as out, mock.patch.object(scenarios, "write_page"):
            schedule_files.draw(None, told, {"my.c.tmpfs.small"}, "my.sched")
        shown = [line.split(". ")[0] for line in out.getvalue().splitlines() if ". A title" in line]
        self.assertEqual(shown, ["my.c.tmpfs.small", "my.a.tmpfs.small"])
        self.assertIn("the same, step by step: my.b.tmpfs.small\n", out.getvalue())

    def test_death(self):
        printed = "# " + console(NAME, "x").split("event 0")[0].replace("[    1.0] ", "")
        printed = printed[:printed.rindex("folio_race")].replace("\n", "\n# ").rstrip("# ")
        said = schedule_files.death(printed, "[ 2.0] BUG: unable to handle page fault\n"
                                             "[ 2.1] mm_sync: the schedule up to here\n"
                                             "[ 2.2] mm_sync:   0:FIND_LOADED\n")
        for part in (f"died in {NAME} (A title): BUG: unable to handle", "truncate: punches",
                     "mm_sync:   0:FIND_LOADED"):
            self.assertIn(part, said)
        self.assertEqual(schedule_files.death(printed, "[ 2.0] fine\n"), "")


class Sets(unittest.TestCase):
    def failures(self, name, column, found, **how):
        context = counted()
        with mock.patch.object(explorer, "image_of", lambda *args: ""), mock.patch.object(
                explorer, "explored", lambda *args, **how: found), quiet(), \
                contextlib.suppress(ValueError):
            explorer.standard(context, [column], [name], **how)
        return "; ".join(context.tally.failed)

    def test_verdicts(self):
        def found(check="", schedule=0, done=True):
            return explorer.Found("TMZ", {"bound": "-1"}, done=done, check=check,
                                  schedule=schedule)
        self.assertEqual(self.failures("TMZ", "stock", found("isolate", 7)), "")
        self.assertEqual(self.failures("TMZ", "patched", found()), "")
        for column, one in (("stock", found()), ("stock", found("isolate", 8)),
                            ("stock", found("pte", 7)), ("stock", found(done=False)),
                            ("patched", found("isolate", 7))):
            self.assertIn(f"TMZ on {column}: ", self.failures("TMZ", column, one))
