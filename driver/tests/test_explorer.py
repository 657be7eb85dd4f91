# SPDX-License-Identifier: GPL-2.0-only
"""What the explorer prints must be judged right, and what can't be explored be refused."""

import io
import os
import re
import sys
import tempfile
import unittest
from unittest import mock

from driver import cli
from driver.commands import explore as command
from driver.commands import replay as replay_command
from driver.core import process
from driver.core.stage import Fail
from driver.core.tally import Tally
from driver.kernel import build
from driver.story import model
from driver.story import page as story_page
from driver.story import text as story_text
from driver.suites import explorer, guards
from driver.tests import consoles
from driver.tests.consoles import (
    DONE,
    ERROR,
    FAILED,
    HELD,
    PANIC,
    PROGRESS,
    REFUSED,
    SCHEDULE,
    found,
    shards,
)
from driver.tests.helpers import counted, quiet

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


class Parse(unittest.TestCase):
    def test_held(self):
        [one] = explorer.parse("[    1.23][   T12] " + PROGRESS + "noise\n[    1.24] " + DONE)
        self.assertTrue(one.held and one.done)
        self.assertEqual((one.spec, one.check, one.line, one.error), ("FTM", "", "", ""))
        self.assertEqual(one.settings,
                         {"bound": "-1", "prune": "1", "coarse": "0", "shard": "0/1"})
        self.assertEqual(one.counts["interleavings"], 294747608083)
        self.assertEqual(one.counts["states_digest"], "7b105d9f8e63821a")

    def test_failed(self):
        one = explorer.outcome("FTM", FAILED + "folio_explore: ramfs is slow\n" + DONE)
        self.assertEqual((one.check, one.schedule, one.text, one.line),
                         ("pte", 29, "a PTE maps a folio | that is gone", SCHEDULE))
        self.assertTrue(one.caught and one.done and not one.held)
        self.assertEqual(explorer.verdict(one), "VIOLATED: pte, at schedule 29")

    def test_failed_and_died(self):
        one = explorer.outcome("FTM", PANIC.replace("\n", "\n" + FAILED, 1))
        self.assertEqual(explorer.verdict(one), "VIOLATED: pte, at schedule 29")
        self.assertTrue(one.died and not one.held)

    def test_died(self):
        one = explorer.outcome("FTM", PANIC.replace("\n", "\r\n" + PROGRESS, 1))
        self.assertEqual((one.died, one.counts["schedules"]), ("BUG!", 1000))
        self.assertEqual(explorer.verdict(one), "VIOLATED: the kernel dies (BUG!)")
        self.assertTrue(one.caught)

    def test_died_in_a_line(self):
        one = explorer.outcome("FTM", PANIC + PROGRESS[:-20])
        self.assertEqual((one.died, one.counts), ("BUG!", {}))

    def test_died_elsewhere(self):
        panic = "Kernel panic - not syncing: VFS: Unable to mount root fs\n"
        for text in (panic, panic + "    # Subtest: folio_explore\n"):
            self.assertEqual(explorer.verdict(explorer.outcome("FTM", text)), "no result")

    def test_done_and_then_a_panic(self):
        self.assertTrue(explorer.outcome("FTM", DONE + PANIC).held)

    def test_error(self):
        one = explorer.outcome("FTM", ERROR + DONE)
        self.assertEqual(explorer.verdict(one), "error: too many states")
        self.assertFalse(one.held or one.caught)

    def test_refused(self):
        one = explorer.outcome("FTR/shmem", REFUSED)
        self.assertEqual(one.error, "R can't reuse a page of shmem")

    def test_nothing(self):
        self.assertEqual(explorer.parse("[ 1.0] ok 1 another\nfolio_explore: schedule F@END\n"), [])
        for text in ("", PROGRESS, DONE.replace("FTM", "FT")):
            one = explorer.outcome("FTM", text)
            self.assertEqual(explorer.verdict(one), "no result")
            self.assertFalse(one.held or one.caught)

    def test_one_after_the_other(self):
        results = explorer.parse((FAILED + DONE + DONE + DONE.replace("FTM", "FT/cold")).replace(
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
                    explorer.parse("\n" + DONE.replace(good, bad, 1))
        with self.assertRaisesRegex(Fail, "line 1 .* malformed"):
            explorer.parse("folio_explore: failed FTM|29|pte\n")


class Progress(unittest.TestCase):
    def test_words(self):
        self.assertEqual(explorer.progress("[  5.1] " + PROGRESS),
                         "1000 schedules at 200/s, ~2 min left, 600 states")
        for old, new in (("estimate=25000", "estimate=0"), ("rate=200", "rate=0")):
            self.assertIn("no end known", explorer.progress(PROGRESS.replace(old, new)))
        for line in (DONE, FAILED, PROGRESS[:-10] + "\n", "something else\n"):
            self.assertIsNone(explorer.progress(line))

    def test_time_left(self):
        for seconds, words in ((0, "~0 s left"), (119, "~119 s left"), (120, "~2 min left"),
                               (7200, "~2 h left"), (10 ** 6, "~11 days left"),
                               (10 ** 8, "no end known")):
            self.assertEqual(explorer.time_left(seconds), words)

    def test_shown(self):
        with mock.patch.object(process, "current") as current:
            process.run(["printf", "%s", PROGRESS + DONE], "driver-test.log",
                        count=explorer.progress)
            current.return_value.progress.assert_called_once_with(explorer.progress(PROGRESS))


class Table(unittest.TestCase):
    def row(self, one, column="stock"):
        one.settings.setdefault("bound", "2")
        line = explorer.table([(column, one)]).splitlines()[1]
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
        text = explorer.table([("stock", found("FTM", FAILED + DONE)), ("patched", HELD)])
        self.assertIn(f"\n    ./run replay {SCHEDULE}\nFTM", text)
        self.assertEqual(explorer.replay_command("F:F@END", ["a", "b"]),
                         "./run replay --mutant a+b F:F@END")

    def test_judged(self):
        for text, words in ((DONE, ""), (FAILED + DONE, "VIOLATED: pte"), (PANIC, "kernel dies"),
                            (REFUSED, "can't reuse"), (PROGRESS, "it printed no result")):
            tally = Tally()
            explorer.judge(tally, "on stock", found("FTM", text), "./run explore")
            self.assertEqual((tally.passed, len(tally.failed)), (int(not words), int(bool(words))))
            self.assertIn(words, "".join(tally.failed))


class Arguments(unittest.TestCase):
    def setUp(self):
        for name, text in (("SOURCE", SUITE), ("POINTS", DEFS)):
            with tempfile.NamedTemporaryFile("w", delete=False) as out:
                out.write(text)
            self.addCleanup(os.unlink, out.name)
            patch = mock.patch.object(explorer, name, out.name)
            patch.start()
            self.addCleanup(patch.stop)

    def parse(self, *words):
        return cli.parser().parse_args(words)

    def refused(self, pattern, *words):
        with self.assertRaisesRegex(Fail, f"^{pattern}"):
            self.parse(*words)

    def test_suite(self):
        self.assertEqual(list(explorer.actors()), ["F", "T", "M"])
        self.assertEqual(explorer.actors()["F"],
                         ["filemap", "faults next to the folio: fault-around"])
        self.assertEqual(explorer.options(), ["before", "cold"])
        self.assertEqual(explorer.points(), ["NEXT_LOADED", "NEXT_SKIP", "END", "WAIT"])
        with quiet() as out:
            self.assertEqual(command.at_once(self.parse("explore", "--list")), 0)
        self.assertIn("T  truncate   punches the folio out", out.getvalue())
        self.assertIn("options: /before, /cold\n", out.getvalue())

    def test_no_table(self):
        with self.assertRaisesRegex(Fail, r"no table checks\[\]"):
            explorer.table_of("checks")

    def test_sets(self):
        self.assertEqual(self.parse("explore", "--actors", "FT,TM/cold/before").actors,
                         ["FT", "TM/cold/before"])
        self.assertEqual(self.parse("explore").actors, explorer.SETS)
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
            self.assertEqual(explorer.settings(args), how)
            again = self.parse("explore", *explorer.flags(how).split())
            self.assertEqual(explorer.settings(again), how)
        self.refused("--bound many: say how many", "explore", "--bound", "many")
        for text in ("8/8", "1", "x/2", "1/2/3", "-1/2", "{}"):
            self.refused("--shard .*: say I/N", "explore", f"--shard={text}")
        self.refused("--on both: there are stock and patched$", "explore", "--on", "both")
        self.assertEqual(explorer.parameters(actors="FT", bound=2),
                         ["folio_explore_kunit.actors=FT", "folio_explore_kunit.bound=2"])

    def test_together(self):
        for words in (("--print-command", "--actors", "FT", "--shard", "{}/8"),
                      ("--shard", "1/8"), ()):
            self.assertFalse(command.at_once(self.parse("explore", *words)))
        for pattern, words in (("for one set", ("--print-command",)),
                               ("for one set", ("--print-command", "--actors", "FT,TM")),
                               ("say which", ("--actors", "FT", "--shard", "{}/8"))):
            with self.assertRaisesRegex(Fail, pattern):
                command.at_once(self.parse("explore", *words))

    def kind(self, *words):
        return replay_command.kind(self.parse("replay", *words))

    def test_schedule(self):
        for line in (SCHEDULE, "FT/cold:F@WAIT"):
            self.assertEqual(self.parse("replay", line).what, [line])
            self.assertEqual(self.kind(line), "schedule")
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
        self.assertEqual((self.kind("F", "F.6"), self.kind()), ("claims", "claims"))
        for words in ((SCHEDULE, "F"), (SCHEDULE, SCHEDULE), ("--repeat", "3", SCHEDULE),
                      ("--mutant", "lab-find-skips-reload", "F"), ("--on", "stock", SCHEDULE)):
            with self.assertRaises(Fail):
                self.kind(*words)
        args = self.parse("replay", "--mutant", "lab-find-skips-reload+lab-map-skips-reload",
                          SCHEDULE)
        self.assertEqual([guard.name for guard in args.mutant],
                         ["lab-find-skips-reload", "lab-map-skips-reload"])

    def test_mutants(self):
        for name in ("lab-map-skips-reload", "orphan-ignores-rmap"):
            self.assertEqual(self.parse("mutants", name).names, [name])
        self.refused("there is no mutant 'nothing'; there are: ", "mutants", "nothing")
        self.refused("lab-isolate-reads-flags-plainly is for a checker of the kernel's: "
                     "./run debugged kcsan", "mutants", "lab-isolate-reads-flags-plainly")
        # A schedule is followed just with those that the explorer runs on
        for name in ("lab-map-skips-reload+", "orphan-ignores-rmap", "nothing"):
            self.refused("there is no mutant .* of the lab; there are: lab-",
                         "replay", "--mutant", name, SCHEDULE)


class Suite(unittest.TestCase):
    """What the driver says of the suite is so."""

    def test_sets(self):
        for name in explorer.SETS + [name for name, _ in guards.SETS]:
            self.assertEqual(explorer.spec(name), name)
        self.assertLessEqual({*explorer.WRONG_ON_STOCK}, {*explorer.SETS})

    def test_mutants(self):
        self.assertTrue(guards.explored_ones())


class Follow(unittest.TestCase):
    CONSOLE = consoles.CONSOLE.replace("begin F|", "begin FB/cold|").replace(
        "end F|100", "end FB/cold|1").replace("verdict refuted|", "verdict held|")

    def followed(self, text):
        with mock.patch.object(explorer, "read", lambda path: text):
            return explorer.followed("FB/cold", "x.console")

    def test_held(self):
        self.assertEqual(model.words(self.followed(self.CONSOLE)), "all checks hold")

    def test_violated(self):
        scenario = self.followed(self.CONSOLE.replace("verdict held|", "verdict violated|pte: "))
        self.assertEqual((model.words(scenario), scenario.runs), ("VIOLATED", 1))

    def test_died(self):
        for end in ("folio_race: begin", "folio_race: event 2"):
            text = self.CONSOLE[:self.CONSOLE.index(end)] + PANIC
            scenario = self.followed(text)
            self.assertEqual(model.words(scenario), "dies")
            self.assertEqual(scenario.reason, "BUG!; see x.console")
            self.assertIn("dies; ", story_text.step_table({"a": scenario}))
            self.assertIn('verdict dies">dies<',
                          story_page.page({"a": {"FB/cold": scenario}}, "x"))

    def test_nothing(self):
        self.assertIn("printed no schedule", self.followed("").reason)
        scenario = self.followed(REFUSED)
        self.assertEqual(model.words(scenario), "error")
        self.assertIn("can't reuse", scenario.reason)


    def follow(self, text, removes=()):
        context = counted()
        with mock.patch.multiple(explorer, image_of=mock.DEFAULT, mutated_image=mock.DEFAULT,
                                 boot=lambda image, log, *rest, **how: log,
                                 read=lambda path: text), \
                mock.patch.object(explorer.scenarios, "write_page") as write_page, quiet() as out:
            explorer.follow(context, "FB/cold:F@END", removes)
        write_page.assert_called_once()
        self.said = out.getvalue()
        return context.tally

    def test_on_both_kernels_it_is_to_hold(self):
        tally = self.follow(self.CONSOLE)
        self.assertEqual((tally.passed, tally.failed), (2, []))
        self.assertIn("\nFB/cold:F@END\nstep ", self.said)
        for text in (self.CONSOLE.replace("verdict held|", "verdict violated|pte: "), "", PANIC):
            tally = self.follow(text)
            self.assertEqual(len(tally.failed), 2)
            self.assertEqual(set(tally.reruns), {"./run replay FB/cold:F@END"})

    def test_without_a_guard_it_is_not(self):
        guard = mock.Mock()
        guard.name = "m"
        for text in (self.CONSOLE.replace("verdict held|", "verdict violated|pte: "), PANIC):
            self.assertEqual(self.follow(text, [guard]).failed, [])
        for text in (self.CONSOLE, ""):
            tally = self.follow(text, [guard])
            self.assertEqual(tally.reruns, ["./run replay --mutant m FB/cold:F@END"])


class Shards(unittest.TestCase):
    def added(self, text):
        with mock.patch.object(sys, "stdin", io.StringIO(text)), \
                quiet() as out:
            return explorer.print_sum(), out.getvalue()

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


class Standard(unittest.TestCase):
    """The sets that are explored without --actors, with stand-ins for the kernels."""

    def explore(self, **how):
        """how: {set: what its console is on stock}."""
        context = counted()

        def explored(image, log, name, **settings):
            return found(name, how.get(name, DONE) if image == "stock" else DONE)
        with mock.patch.multiple(explorer, explored=explored,
                                 image_of=lambda context, column: column), quiet():
            found_ = explorer.standard(context, sets=["FTM", "TI", "FTK"])
        return found_, context.tally

    def test_as_known(self):
        results, tally = self.explore(TI=FAILED + DONE)
        self.assertEqual((tally.passed, tally.failed), (6, []))
        self.assertEqual([(column, one.spec) for column, one in results],
                         [(column, name) for column in ("stock", "patched")
                          for name in ("FTM", "TI", "FTK")])

    def test_what_is_known_to_go_wrong_does_not(self):
        _, tally = self.explore()
        self.assertEqual(tally.failed, ["TI on stock: no violation, and it is known to go wrong "
                                        "there"])
        self.assertEqual(tally.reruns, ["./run explore --actors TI --on stock"])

    def test_what_is_not_known(self):
        for text, words in ((FAILED + DONE, "VIOLATED: pte"), (PANIC, "kernel dies"),
                            ("", "it printed no result")):
            _, tally = self.explore(TI=PANIC, FTK=text)
            self.assertRegex("".join(tally.failed), f"^FTK on stock: .*{words}")

    def test_rerun_with_settings(self):
        context = counted()
        with mock.patch.multiple(
                explorer, image_of=lambda context, column: column,
                explored=lambda image, log, name, **how: found(name, "")), quiet():
            explorer.standard(context, ["patched"], ["FTM"], bound=-1, coarse=1, shard="1/8")
        self.assertEqual(context.tally.reruns, ["./run explore --actors FTM --on patched "
                                                "--bound none --coarse --shard 1/8"])


class Machine(unittest.TestCase):
    def test_uml_or_qemu(self):
        self.assertEqual(explorer.machine("/x/linux", ["a=b"]),
                         ["/x/linux", *explorer.IN_UML, "a=b"])
        words = explorer.machine("/x/bzImage", ["a=b"])
        self.assertEqual((words[0], words[words.index("-kernel") + 1]),
                         ("qemu-system-x86_64", "/x/bzImage"))
        self.assertTrue(words[-1].endswith(" a=b"))

    def test_where(self):
        with mock.patch.object(build, "kernel", lambda base, commit, name, arch: arch):
            for smp, place, arch in ((True, "uml-smp", "um"), (False, "qemu", "x86_64")):
                context = counted(commit={"mm+lab": "0"}, uml_smp=smp)
                self.assertEqual(explorer.place(context.base), place)
                self.assertEqual(explorer.image_of(context, "patched"), arch)

    def test_time_is_out(self):
        """What it has printed up to there counts."""
        with mock.patch.object(explorer, "machine",
                               lambda *words: ["sh", "-c", f"echo '{PROGRESS}'; sleep 60"]):
            one = explorer.explored("x", "driver-test", "FTM", limit=0.5, bound=2)
        self.assertEqual((one.done, one.counts["schedules"], one.settings["bound"]),
                         (False, 1000, "2"))
        self.assertEqual(one.console, "out/log/driver-test-FTM.console")


class SameAgain(unittest.TestCase):
    def failures(self, before, again, smp=True):
        context, place = counted(uml_smp=smp, suffix="-6.12"), "uml-smp" if smp else "qemu"
        said = {f"replay-{place}-patched-6.12.console": before, "explore-again.console": again}
        with mock.patch.multiple(explorer, image_of=mock.DEFAULT,
                                 boot=lambda image, log, *rest, **how: log,
                                 read=lambda path: said[os.path.basename(path)]), quiet():
            explorer.same_again(context)
        return "; ".join(context.tally.failed)

    def test_same(self):
        self.assertEqual(self.failures(DONE, DONE), "")
        self.assertEqual(self.failures(DONE, DONE, smp=False), "")

    def test_one_died_on_the_way(self):
        both = DONE + DONE.replace("FTM", "FTK")
        for before, again in ((both, DONE), (DONE, both)):
            self.assertIn("did not get to the end of FTK", self.failures(before, again))

    def test_places(self):
        for other, failed in ((DONE, []), (DONE.replace("=525", "=5"), ["stock", "patched"])):
            context = counted()
            said = {"qemu": DONE, "uml-smp": other}
            with mock.patch.object(explorer, "replayed",
                                   lambda context, column, where, said=said: said[where]):
                explorer.same_places(context)
            self.assertEqual(len(context.tally.failed), len(failed))
            for column in failed:
                self.assertIn(f"not the same on {column} under QEMU and UML: outcomes 5 and 525",
                              "".join(context.tally.failed))


class SameCounts(unittest.TestCase):
    def failures(self, one, other):
        tally = Tally()
        explorer.same_counts(tally, one, other, "under QEMU and UML")
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
                for both in ((DONE, other), (DONE + other, DONE)):
                    self.assertRegex(self.failures(*both), r"^FTM bound=-1 .* not the same "
                                     r"under QEMU and UML: \w+ \w+ and \w+$")

    def test_none_on_both(self):
        for one, other in ((DONE, ""), ("", ""), (DONE, DONE.replace("bound=-1", "bound=2")),
                           (DONE, PROGRESS)):
            self.assertIn("no set was explored under QEMU", self.failures(one, other))
