# SPDX-License-Identifier: GPL-2.0-only
"""What the explorer prints must be judged right, and what can't be explored be refused."""

import contextlib
import io
import os
import re
import sys
import tempfile
import unittest
from types import SimpleNamespace
from unittest import mock

import checks
import explore
import judge
import lab
import replay
import replay_test
import series
import stage
from stage import Fail

DONE = ("folio_explore: done FTM|bound=-1 prune=1 coarse=0 shard=0/1|random=64 schedules=3968 "
        "interleavings=294747608083 states=4356 outcomes=525 pruned=32456 others=0 longest=56 "
        "events=166724 ms=298 rate=13530 states_digest=7b105d9f8e63821a "
        "schedules_digest=23782459ebf59c87\n")
PROGRESS = "folio_explore: progress FTM|schedules=1000 rate=200 states=600 estimate=25000\n"
FAILED = """\
[    1.500000] folio_explore: failed FTM|29|pte|a PTE maps a folio | that is gone
[    1.500001] folio_explore: schedule FTM:F@NEXT_LOADED,
[    1.500002][   T12] folio_explore: schedule T@END,
[    1.500003] folio_explore: schedule F@END
"""
ERROR = "folio_explore: error FTM|too many states\n"
SCHEDULE = "FTM:F@NEXT_LOADED,T@END,F@END"
PANIC = ("    # Subtest: folio_explore\nKernel panic - not syncing: BUG!\n"
         "mm_sync: the schedule up to here, in 1 events:\n")
REFUSED = """\
    # explore_param: ASSERTION FAILED at lib/tests/folio_explore_kunit.c:1144
    FTR/shmem: R can't reuse a page of shmem
"""
SUITE = """\
static const struct actor actors[] = {
	{ 'F', "filemap", "faults next to the folio: fault-around", race_fault_neighbour },
	{ 'T', "truncate", "punches the folio out of the file", race_truncate_page },
	{ 'M', "madvise", "MADV_PAGEOUT", explore_madvise },
};

static const struct {
	const char *name;
	size_t flag;
} options[] = {
	{ "before", offsetof(struct spec, before) },
	{ "cold", offsetof(struct spec, cold) },
};

static const struct set sets[] = {
	{ "FT", -1 },
};
"""
DEFS = 'MM_SYNC_POINT(NEXT_LOADED, "entry loaded")\nMM_SYNC_POINT(NEXT_SKIP, "refused")\n'


def shards(number):
    return [DONE.replace("shard=0/1", f"shard={each}/{number}") for each in range(number)]


def found(name, text):
    return explore.outcome(name, text.replace("FTM", name))


HELD, CAUGHT, DIES = found("FTM", DONE), found("FTM", FAILED + DONE), found("FTM", PANIC)


class Parse(unittest.TestCase):
    def test_held(self):
        [one] = explore.parse("[    1.23][   T12] " + PROGRESS + "noise\n[    1.24] " + DONE)
        self.assertTrue(one.held and one.done)
        self.assertEqual((one.spec, one.check, one.line, one.error), ("FTM", "", "", ""))
        self.assertEqual(one.settings,
                         {"bound": "-1", "prune": "1", "coarse": "0", "shard": "0/1"})
        self.assertEqual(one.counts["interleavings"], 294747608083)
        self.assertEqual(one.counts["states_digest"], "7b105d9f8e63821a")

    def test_failed(self):
        one = explore.outcome("FTM", FAILED + "folio_explore: ramfs is slow\n" + DONE)
        self.assertEqual((one.check, one.schedule, one.text, one.line),
                         ("pte", 29, "a PTE maps a folio | that is gone", SCHEDULE))
        self.assertTrue(one.caught and one.done and not one.held)
        self.assertEqual(explore.verdict(one), "VIOLATED: pte, at schedule 29")

    def test_failed_and_died(self):
        one = explore.outcome("FTM", PANIC.replace("\n", "\n" + FAILED, 1))
        self.assertEqual(explore.verdict(one), "VIOLATED: pte, at schedule 29")
        self.assertTrue(one.died and not one.held)

    def test_died(self):
        one = explore.outcome("FTM", PANIC.replace("\n", "\r\n" + PROGRESS, 1))
        self.assertEqual((one.died, one.counts["schedules"]), ("BUG!", 1000))
        self.assertEqual(explore.verdict(one), "VIOLATED: the kernel dies (BUG!)")
        self.assertTrue(one.caught)

    def test_died_in_a_line(self):
        one = explore.outcome("FTM", PANIC + PROGRESS[:-20])
        self.assertEqual((one.died, one.counts), ("BUG!", {}))

    def test_died_elsewhere(self):
        panic = "Kernel panic - not syncing: VFS: Unable to mount root fs\n"
        for text in (panic, panic + "    # Subtest: folio_explore\n"):
            self.assertEqual(explore.verdict(explore.outcome("FTM", text)), "no result")

    def test_done_and_then_a_panic(self):
        self.assertTrue(explore.outcome("FTM", DONE + PANIC).held)

    def test_error(self):
        one = explore.outcome("FTM", ERROR + DONE)
        self.assertEqual(explore.verdict(one), "error: too many states")
        self.assertFalse(one.held or one.caught)

    def test_refused(self):
        one = explore.outcome("FTR/shmem", REFUSED)
        self.assertEqual(one.error, "R can't reuse a page of shmem")

    def test_nothing(self):
        self.assertEqual(explore.parse("[ 1.0] ok 1 another\nfolio_explore: schedule F@END\n"), [])
        for text in ("", PROGRESS, DONE.replace("FTM", "FT")):
            one = explore.outcome("FTM", text)
            self.assertEqual(explore.verdict(one), "no result")
            self.assertFalse(one.held or one.caught)

    def test_one_after_the_other(self):
        results = explore.parse((FAILED + DONE + DONE + DONE.replace("FTM", "FT/cold")).replace(
            "\n", "\r\n"))
        self.assertEqual([(one.spec, one.held) for one in results],
                         [("FTM", False), ("FTM", True), ("FT/cold", True)])
        self.assertEqual(results[0].line, SCHEDULE)

    def test_malformed(self):
        for good, bad in (("interleavings=", "paths="), ("states=4356", "states=many"),
                          (" rate=13530", ""), ("|random", " random"), ("bound=-1 ", ""),
                          ("=525", "")):
            with self.subTest(bad=bad):
                self.assertIn(good, DONE)
                with self.assertRaisesRegex(Fail, r"line 2 .* malformed .*folio_explore: done FTM"):
                    explore.parse("\n" + DONE.replace(good, bad, 1))
        with self.assertRaisesRegex(Fail, "line 1 .* malformed"):
            explore.parse("folio_explore: failed FTM|29|pte\n")


class Progress(unittest.TestCase):
    def test_words(self):
        self.assertEqual(explore.progress("[  5.1] " + PROGRESS),
                         "1000 schedules at 200/s, ~2 min left, 600 states")
        for old, new in (("estimate=25000", "estimate=0"), ("rate=200", "rate=0")):
            self.assertIn("no end known", explore.progress(PROGRESS.replace(old, new)))
        for line in (DONE, FAILED, PROGRESS[:-10] + "\n", "something else\n"):
            self.assertIsNone(explore.progress(line))

    def test_time_left(self):
        for seconds, words in ((0, "~0 s left"), (119, "~119 s left"), (120, "~2 min left"),
                               (7200, "~2 h left"), (10 ** 6, "~11 days left"),
                               (10 ** 8, "no end known")):
            self.assertEqual(explore.time_left(seconds), words)

    def test_shown(self):
        with mock.patch.object(stage, "current", mock.Mock()) as current:
            stage.run(["printf", "%s", PROGRESS + DONE], "explore-test.log",
                      count=explore.progress)
            current.progress.assert_called_once_with(explore.progress(PROGRESS))


class Table(unittest.TestCase):
    def row(self, one, column="stock"):
        one.settings.setdefault("bound", "2")
        line = explore.table([(column, one)]).splitlines()[1]
        return re.split(r"  +", line)

    def test_rows(self):
        self.assertEqual(self.row(found("FTM/cold", DONE)),
                         ["FTM/cold", "stock", "none", "4,032", "294,747,608,083", "4,356", "525",
                          "13,530", "no violation"])
        self.assertEqual(self.row(found("FTM", PROGRESS + PANIC)),
                         ["FTM", "stock", "2", "1,000", "-", "600", "-", "200",
                          "VIOLATED: the kernel dies (BUG!)"])
        self.assertEqual(self.row(found("FTM", ""))[3:], ["-"] * 5 + ["no result"])

    def test_interleavings(self):
        for number, words in ((0, "-"), (2 ** 64 - 1, "2^64 or more"), (1000, "1,000")):
            text = DONE.replace("=294747608083", f"={number}")
            self.assertEqual(self.row(found("FTM", text))[4], words)

    def test_how_to_replay(self):
        text = explore.table([("stock", found("FTM", FAILED + DONE)), ("patched", HELD)])
        self.assertIn(f"\n    ./run replay {SCHEDULE}\nFTM", text)
        self.assertEqual(explore.replay_command("F:F@END", ["a", "b"]),
                         "./run replay --mutant a+b F:F@END")

    def test_judged(self):
        for text, words in ((DONE, ""), (FAILED + DONE, "VIOLATED: pte"), (PANIC, "kernel dies"),
                            (REFUSED, "can't reuse"), (PROGRESS, "it printed no result")):
            tally = judge.Tally()
            explore.judged(tally, "on stock", found("FTM", text), "./run explore")
            self.assertEqual((tally.passed, len(tally.failed)), (int(not words), int(bool(words))))
            self.assertIn(words, "".join(tally.failed))


class Arguments(unittest.TestCase):
    def setUp(self):
        for name, text in (("SOURCE", SUITE), ("POINTS", DEFS)):
            with tempfile.NamedTemporaryFile("w", delete=False) as out:
                out.write(text)
            self.addCleanup(os.unlink, out.name)
            patch = mock.patch.object(explore, name, out.name)
            patch.start()
            self.addCleanup(patch.stop)

    def parse(self, *words):
        with mock.patch.object(sys, "argv", ["./run", *words]):
            return lab.arguments()

    def refused(self, pattern, *words):
        with self.assertRaisesRegex(Fail, f"^{pattern}"):
            self.parse(*words)

    def test_suite(self):
        self.assertEqual(list(explore.actors()), ["F", "T", "M"])
        self.assertEqual(explore.actors()["F"],
                         ["filemap", "faults next to the folio: fault-around"])
        self.assertEqual(explore.options(), ["before", "cold"])
        self.assertEqual(explore.points(), ["NEXT_LOADED", "NEXT_SKIP", "END", "WAIT"])
        with contextlib.redirect_stdout(io.StringIO()) as out:
            self.parse("explore", "--list").at_once()
        self.assertIn("T  truncate   punches the folio out", out.getvalue())
        self.assertIn("options: /before, /cold\n", out.getvalue())

    def test_no_table(self):
        with self.assertRaisesRegex(Fail, r"no table checks\[\]"):
            explore.table_of("checks")

    def test_sets(self):
        self.assertEqual(self.parse("explore", "--actors", "FT,TM/cold/before").actors,
                         ["FT", "TM/cold/before"])
        self.assertEqual(self.parse("explore").actors, explore.SETS)
        there_are = "there are: F filemap, T truncate, M madvise$"
        self.refused("there is no actor 'Q' for 'FQ'; " + there_are, "explore", "--actors", "FQ")
        self.refused("there is no actor 'f' for 'f'; ", "explore", "--actors", "FT,f")
        for text in ("", "FT,", "/cold", "FTF"):
            self.refused(".*must name some actors, each of them once; " + there_are,
                         "explore", "--actors", text)
        self.refused("there is no option 'warm' for 'FT/warm'; there are: before, cold$",
                     "explore", "--actors", "FT/warm")

    def test_numbers(self):
        for words, how in (((), {}), (("--bound", "none"), {"bound": -1}),
                           (("--bound", "0", "--coarse"), {"bound": 0, "coarse": 1}),
                           (("--no-prune", "--random", "9", "--seed", "3", "--shard", "7/8"),
                            {"prune": 0, "random": 9, "seed": 3, "shard": "7/8"})):
            args = self.parse("explore", *words)
            self.assertEqual(explore.settings(args), how)
            again = self.parse("explore", *explore.flags(how).split())
            self.assertEqual(explore.settings(again), how)
        self.refused("--bound many: say how many", "explore", "--bound", "many")
        for text in ("8/8", "1", "x/2", "1/2/3", "-1/2", "{}"):
            self.refused("--shard .*: say I/N", "explore", f"--shard={text}")
        self.refused("--on both: there are stock and patched$", "explore", "--on", "both")
        self.assertEqual(explore.parameters(actors="FT", bound=2),
                         ["folio_explore_kunit.actors=FT", "folio_explore_kunit.bound=2"])

    def test_together(self):
        explore.check_arguments(self.parse("explore", "--print-command", "--actors", "FT",
                                           "--shard", "{}/8"))
        explore.check_arguments(self.parse("explore", "--shard", "1/8"))
        for pattern, words in (("for one set", ("--print-command",)),
                               ("for one set", ("--print-command", "--actors", "FT,TM")),
                               ("say which", ("--actors", "FT", "--shard", "{}/8"))):
            with self.assertRaisesRegex(Fail, pattern):
                explore.check_arguments(self.parse("explore", *words))

    def test_schedule(self):
        for line in (SCHEDULE, "FT/cold:F@WAIT"):
            self.assertEqual(self.parse("replay", line).ids, [line])
            self.assertTrue(explore.is_schedule(self.parse("replay", line)))
        for line in ("F@END", "FT:", "FT:F@", "FT:@END", "FT:F@END,", "FT:F@END T@END",
                     "FT:FF@END"):
            with self.subTest(line=line), self.assertRaises(Fail):
                self.parse("replay", line if "@" in line else line + "@")
        self.refused(r"'FT:F@END,T' is no schedule", "replay", "FT:F@END,T")
        self.refused("there is no actor 'M' for 'M@END' in FT/cold; there are F, T$",
                     "replay", "FT/cold:F@END,M@END")
        self.refused("there is no actor 'Q' for 'FQ'", "replay", "FQ:F@END")
        self.refused("there is no point 'NEXT_LOAD'; the nearest are NEXT_LOADED, ",
                     "replay", "FT:F@NEXT_LOAD")

    def test_schedule_or_scenarios(self):
        self.assertFalse(explore.is_schedule(self.parse("replay", "F", "F.6")))
        for words in ((SCHEDULE, "F"), (SCHEDULE, SCHEDULE), ("--repeat", "3", SCHEDULE),
                      ("--mutant", "lab-find-skips-reload", "F")):
            with self.assertRaises(Fail):
                explore.is_schedule(self.parse("replay", *words))
        args = self.parse("replay", "--mutant", "lab-find-skips-reload+lab-map-skips-reload",
                          SCHEDULE)
        self.assertEqual([guard.name for guard in args.mutant],
                         ["lab-find-skips-reload", "lab-map-skips-reload"])

    def test_mutants(self):
        self.assertEqual(self.parse("mutants", "lab-map-skips-reload").names,
                         ["lab-map-skips-reload"])
        for words in (("mutants", "nothing"), ("mutants", "orphan-ignores-rmap"),
                      ("replay", "--mutant", "lab-map-skips-reload+", SCHEDULE)):
            self.refused("there is no mutant .* of the lab; there are: lab-", *words)


class Suite(unittest.TestCase):
    """What the driver says of the suite is so."""

    def test_sets(self):
        for name in explore.SETS + [name for name, _ in explore.MUTANT_SETS]:
            self.assertEqual(explore.spec(name), name)

    def test_mutants(self):
        self.assertTrue(explore.guards())


class Headers(unittest.TestCase):
    HEAD = "Removes: x\nOn: lab\nWhere: uml\n"

    def guard(self, head):
        with tempfile.TemporaryDirectory() as folder:
            with open(folder + "/m.diff", "w") as diff:
                diff.write(head + "\ndiff --git a/x b/x\nSets: FT\n")
            return series.Mutant("m", folder)

    def test_for_the_explorer_alone(self):
        guard = self.guard(self.HEAD)
        self.assertEqual((guard.fails, guard.sets, guard.redundant), ([], [], ""))
        for on in ("mm", "mm+tcp"):
            with self.assertRaisesRegex(Fail, "has no line 'Fails"):
                self.guard(self.HEAD.replace("lab", on))

    def test_sets(self):
        guard = self.guard(self.HEAD + "Fails: a, b\nSets: FT FTBR\n")
        self.assertEqual((guard.fails, guard.sets), (["a", "b"], ["FT", "FTBR"]))
        self.assertIs(explore.check_guard(guard, {"m": guard}), guard)
        guard.sets.append("FTQ")
        with self.assertRaisesRegex(Fail, "no set 'FTQ' .* there are: FT, "):
            explore.check_guard(guard, {"m": guard})

    def test_redundant(self):
        guard = self.guard(self.HEAD + "Redundant: other: it tests that: too\n")
        self.assertEqual((guard.redundant, guard.why), ("other", "it tests that: too"))
        explore.check_guard(guard, {"m": guard, "other": guard})
        with self.assertRaisesRegex(Fail, "no mutant 'other' of the lab for 'Redundant:'"):
            explore.check_guard(guard, {"m": guard})
        with self.assertRaisesRegex(Fail, "Redundant: <other mutant>: <why>"):
            self.guard(self.HEAD + "Redundant: other\n")


class Mutants(unittest.TestCase):
    ALL = {"none": {"FT": HELD, "FTM": HELD}}

    def guard(self, name, redundant=""):
        return SimpleNamespace(name=name, redundant=redundant, removes=f"the guard {name}",
                               why="it looks again")

    def judged(self, rows, *chosen):
        tally = judge.Tally()
        explore.judge_mutants(tally, {**self.ALL, **rows},
                              {guard.name: guard for guard in chosen})
        self.rerun = tally.rerun
        return "; ".join(tally.failed)

    def test_table(self):
        text = explore.mutant_table({"none": {name: HELD for name, _ in explore.MUTANT_SETS},
                                     "a": {"FT": CAUGHT, "FTM": DIES, "FTR": HELD,
                                           "TI": found("TI", ""), "DTW": HELD}})
        lines = text.splitlines()
        starts = [lines[0].index(name) for name in ("FT ", "FTM", "TB", "FTR", "TI", "DTW")]
        self.assertEqual([lines[2][start:].split("  ")[0] for start in starts],
                         ["29 pte", "dies", "", "-", "error", "-"])
        self.assertEqual(lines[1].split(), ["none"] + ["-"] * len(explore.MUTANT_SETS))
        self.assertIn("at most: 2 in FTBR, 2 in FTK; any number in the others", text)

    def test_needed(self):
        for one in (CAUGHT, DIES):
            rows = {**self.ALL, "a": {"FT": HELD, "FTM": one}}
            self.assertEqual(self.judged(rows, self.guard("a")), "")
            self.assertEqual(explore.explanation(self.guard("a"), rows),
                             (True, "needed, FTM shows it"))

    def test_not_caught(self):
        self.assertRegex(self.judged({"a": {"FTM": HELD}}, self.guard("a")),
                         "^a: no set catches it: add one .* mutants/a.diff 'Redundant: ")

    def test_redundant(self):
        guard, alone = self.guard("a", "b"), {**self.ALL, "a": {"FTM": HELD}}
        rows = {**alone, "a + b": {"FT": HELD, "FTM": CAUGHT}}
        self.assertEqual(self.judged(rows, guard), "")
        self.assertEqual(explore.explanation(guard, rows),
                         (True, "redundant with b: it looks again; FTM catches the pair"))
        self.assertRegex(self.judged({**alone, "a + b": {"FTM": HELD}}, guard),
                         "^a: no set catches it together with b either")
        self.assertRegex(self.judged({"a": {"FTM": DIES}}, guard),
                         "^a: mutants/a.diff says Redundant, but FTM catches it alone")

    def test_no_result(self):
        for text, words in ((PROGRESS, "no result"), (REFUSED, "error: .*R can't")):
            rows = {"a": {"FTM": CAUGHT, "FT": found("FT", text)}}
            self.assertRegex(self.judged(rows, self.guard("a")), f"^FT without a: .*{words}")

    def test_unmutated(self):
        for one in (CAUGHT, DIES, found("FTM", "")):
            rows = {"none": {"FT": HELD, "FTM": one}, "a": {"FT": HELD, "FTM": CAUGHT}}
            self.assertRegex(self.judged(rows, self.guard("a")),
                             "^FTM with no guard removed: .*; a: no set catches it")
            self.assertEqual(self.rerun[0],
                             "./run explore --actors FTM --on patched --bound none")
            self.assertEqual(explore.how_to_look(rows, "a"), "")

    def test_explanations(self):
        a, b = self.guard("a", "b"), self.guard("b")
        died = found("FT", PANIC)
        text = explore.explanations({**self.ALL, "a": {"FT": HELD}, "b": {"FT": died},
                                     "a + b": {"FT": DIES, "FTM": CAUGHT}}, {"a": a, "b": b})
        self.assertIn(f"that is gone: ./run replay --mutant a+b {SCHEDULE}\n", text)
        self.assertIn("\nb: without the guard b\nneeded, FT shows it\nFT: BUG!: its console\n",
                      text)
        self.assertNotIn("--mutant a FTM", text)

    def rows(self, *names, **redundant):
        """explore.mutants(), with stand-ins for the kernels: only pairs are caught."""
        def explored(base, commit, removes):
            name = " + ".join(guard.name for guard in removes) or "none"
            return name, {"FTM": CAUGHT if len(removes) > 1 else HELD}
        known = {name: self.guard(name, redundant.get(name, "")) for name in "abc"}
        with mock.patch.object(explore, "guards", lambda: known), \
                mock.patch.object(explore, "without", mock.Mock()), \
                mock.patch.object(explore, "explored_without", explored):
            return list(explore.mutants(None, judge.Tally(), {"lab": None}, names)[0])

    def test_rows(self):
        self.assertEqual(self.rows(), ["none", "a", "b", "c"])
        self.assertEqual(self.rows(b="a"), ["none", "a", "b", "b + a", "c"])
        self.assertEqual(self.rows("c", b="a"), ["none", "c"])


class Follow(unittest.TestCase):
    CONSOLE = replay_test.CONSOLE.replace("begin F|", "begin FB/cold|").replace(
        "end F|100", "end FB/cold|1").replace("verdict refuted|", "verdict held|")

    def followed(self, text):
        with mock.patch.object(explore.checks, "read", lambda path: text):
            return explore.followed("FB/cold", "x.console")

    def test_held(self):
        self.assertEqual(replay.words(self.followed(self.CONSOLE)), "all checks hold")

    def test_violated(self):
        scenario = self.followed(self.CONSOLE.replace("verdict held|", "verdict violated|pte: "))
        self.assertEqual((replay.words(scenario), scenario.runs), ("VIOLATED", 1))

    def test_died(self):
        for end in ("folio_race: begin", "folio_race: event 2"):
            text = self.CONSOLE[:self.CONSOLE.index(end)] + PANIC
            scenario = self.followed(text)
            self.assertEqual(replay.words(scenario), "dies")
            self.assertEqual(scenario.reason, "BUG!; see x.console")
            self.assertIn("dies; ", replay.step_table({"a": scenario}))
            self.assertIn('verdict dies">dies<', replay.page({"a": {"FB/cold": scenario}}, "x"))

    def test_nothing(self):
        self.assertIn("printed no schedule", self.followed("").reason)
        scenario = self.followed(REFUSED)
        self.assertEqual(replay.words(scenario), "error")
        self.assertIn("can't reuse", scenario.reason)


class Shards(unittest.TestCase):
    def added(self, text):
        with mock.patch.object(sys, "stdin", io.StringIO(text)), \
                contextlib.redirect_stdout(io.StringIO()) as out:
            return explore.print_sum(), out.getvalue()

    def test_whole(self):
        status, text = self.added("".join(shards(3)) + DONE.replace("FTM", "FT"))
        self.assertEqual(status, 0)
        self.assertEqual([re.split(r"  +", line) for line in text.splitlines()[1:3]],
                         [["FTM", "shards: 3", "none", "12,096", "-", "-", "-", "13,315",
                           "no violation"],
                          ["FT", "shards: 1", "none", "4,032", "-", "-", "-", "13,315",
                           "no violation"]])

    def test_bad(self):
        parts = shards(3)
        for text, words in (("".join(parts[:2]), "not one done line for shard 2/3"),
                            ("".join(parts + parts[:1]), "not one done line for shard 0/3"),
                            ("".join(parts[:2]) + ERROR + parts[2], "error: too many states"),
                            ("".join(parts[:2]) + FAILED + parts[2], "FTM in shard 2/3: VIOLATED")):
            status, out = self.added(text)
            self.assertEqual(status, 1)
            self.assertIn(words, out)
        self.assertIn(f"    ./run replay {SCHEDULE}\n", out)
        with self.assertRaisesRegex(Fail, "no done line on standard input"):
            self.added(PROGRESS)


class SameAgain(unittest.TestCase):
    def failures(self, before, again, smp=True):
        base = SimpleNamespace(uml_smp=smp, suffix="-7.2")
        consoles = {"uml-lab-7.2.console" if smp else "lab-7.2.console": before,
                    "explore-again.console": again}
        with mock.patch.multiple(explore, image_of=mock.DEFAULT,
                                 boot=lambda image, log, *rest, **how: log), \
             mock.patch.object(checks, "read", lambda path: consoles[os.path.basename(path)]), \
             mock.patch("builtins.print"):
            tally = judge.Tally()
            explore.same_again(base, tally, {"lab": ""})
        return "; ".join(tally.failed)

    def test_same(self):
        self.assertEqual(self.failures(DONE, DONE), "")
        self.assertEqual(self.failures(DONE, DONE, smp=False), "")

    def test_one_died_on_the_way(self):
        both = DONE + DONE.replace("FTM", "FTK")
        for before, again in ((both, DONE), (DONE, both)):
            self.assertIn("did not get to the end of FTK", self.failures(before, again))


class SameCounts(unittest.TestCase):
    def failures(self, one, other):
        tally = judge.Tally()
        explore.same_counts(tally, one, other, "under QEMU and UML")
        self.assertGreater(tally.passed + len(tally.failed), 0)
        return "; ".join(tally.failed)

    def test_same(self):
        faster = DONE.replace("rate=13530", "rate=99").replace("pruned=32456", "pruned=1")
        self.assertEqual(self.failures(DONE, "[    1.2] " + faster), "")
        self.assertEqual(self.failures(DONE + DONE.replace("FTM", "FT"), DONE), "")
        others = DONE.replace("prune=1", "prune=0").replace("schedules=3968", "schedules=1")
        self.assertEqual(self.failures(DONE + others, others + DONE), "")

    def test_differ(self):
        for old, new in (("schedules=3968", "schedules=3969"), ("states=4356", "states=1"),
                         ("interleavings=294747608083", "interleavings=0"),
                         ("outcomes=525", "outcomes=5"), ("7b105d9f", "7b105d90"),
                         ("23782459", "23782450")):
            with self.subTest(new=new):
                self.assertIn(old, DONE)
                other = DONE.replace(old, new)
                for consoles in ((DONE, other), (DONE + other, DONE)):
                    self.assertRegex(self.failures(*consoles), r"^FTM bound=-1 .* not the same "
                                     r"under QEMU and UML: \w+ \w+ and \w+$")

    def test_none_on_both(self):
        for one, other in ((DONE, ""), ("", ""), (DONE, DONE.replace("bound=-1", "bound=2")),
                           (DONE, PROGRESS)):
            self.assertIn("no set was explored under QEMU", self.failures(one, other))
