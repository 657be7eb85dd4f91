# SPDX-License-Identifier: GPL-2.0-only
"""What the explorer prints must be judged right, and what can't be explored be refused."""

import io
import os
import re
import sys
from unittest import mock

from driver.commands import explore as command
from driver.commands import replay as replay_command
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
    LEFT,
    NOT_THERE,
    PANIC,
    PROGRESS,
    REFUSED,
    SCHEDULE,
    SKIPPED,
    found,
)
from driver.tests.helpers import Case, counted, failures_of, parsed, tally_of


class Printed(Case):
    def test_what_is_known(self):
        [one] = explorer.parse("[    1.23][   T12] " + PROGRESS + "noise\n[    1.24] " + DONE)
        self.assertEqual((one.done, one.spec, one.check, one.line, one.error),
                         (True, "FTM", "", "", ""))
        self.assertEqual(one.settings, {"bound": "-1", "prune": "1", "coarse": "0", "shard": "0/1"})
        self.assertEqual(one.counts["interleavings"], 294747608083)
        self.assertEqual(one.counts["states_digest"], "7b105d9f8e63821a")

    def test_verdicts(self):
        elsewhere = "Kernel panic - not syncing: VFS: Unable to mount root fs\n"
        for said, held, caught, *texts in (
                ("no violation", True, False, DONE, DONE + PANIC),
                ("violated: pte at schedule 29", False, True,
                 FAILED + "folio_explore: ramfs is slow\n" + DONE,
                 PANIC.replace("\n", "\n" + FAILED, 1)),
                ("violated: the kernel dies (BUG!)", False, True,
                 PANIC.replace("\n", "\r\n" + PROGRESS, 1)),
                ("error: too many states", False, False, ERROR + DONE),
                ("no result", False, False, elsewhere,
                 elsewhere + "    # Subtest: folio_explore\n", "", PROGRESS,
                 DONE.replace("FTM", "FT"))):
            for text in texts:
                one = explorer.outcome("FTM", text)
                self.assertEqual((explorer.verdict(one), one.held, one.caught),
                                 (said, held, caught), text)
                failed = "".join(failures_of(explorer.judge, "on stock", one))
                self.assertEqual((bool(failed), said in failed), (not held, not held))
        # One that fails
        one = explorer.outcome("FTM", FAILED + DONE)
        self.assertEqual((one.check, one.schedule, one.text, one.line, one.done),
                         ("pte", 29, "a PTE maps a folio | that is gone", SCHEDULE, True))
        for text, counts in ((PANIC.replace("\n", "\r\n" + PROGRESS, 1), 1000),
                             (PANIC + PROGRESS[:-20], None)):       # cut when the kernel died
            one = explorer.outcome("FTM", text)
            self.assertEqual((one.died, one.counts.get("schedules")), ("BUG!", counts))
        self.assertEqual(explorer.outcome("FTR/shmem", REFUSED).error,
                         "R can't reuse a page of shmem")

    def test_one_after_the_other(self):
        self.assertEqual(explorer.parse("[ 1.0] ok 1 another\nfolio_explore: schedule F@END\n"), [])
        text = FAILED + DONE + DONE + DONE.replace("FTM", "FT/cold")
        results = explorer.parse(text.replace("\n", "\r\n"))
        self.assertEqual([(one.spec, one.held, one.line) for one in results],
                         [("FTM", False, SCHEDULE), ("FTM", True, ""), ("FT/cold", True, "")])

    def test_malformed(self):
        for good, bad in (("interleavings=", "paths="), ("states=4356", "states=many"),
                          (" rate=13530", ""), ("|random", " random"), ("bound=-1 ", ""),
                          ("=525", "")):
            self.assertIn(good, DONE)
            self.assertFail(r"line 2 .* malformed .*folio_explore: done FTM",
                            explorer.parse, "\n" + DONE.replace(good, bad, 1))
        self.assertFail("line 1 .* malformed", explorer.parse, "folio_explore: failed FTM|29|pte\n")

    def test_points(self):
        """Numbers of the kernel's own become names again; lines of one set add up."""
        names = explorer.points()
        end = len(names) - 2
        one = found("FTM", f"folio_explore: points FTM|0:1-2,{end} \n"
                    "folio_explore: points FTM|2:0\n" + DONE)
        self.assertEqual(one.passed, {(names[0], names[1]), (names[0], names[2]),
                                      (names[0], "END"), (names[2], names[0])})

    def test_refusal(self):
        """A test that fails before it explores has refused nothing."""
        one = explorer.outcome("FTR/shmem", NOT_THERE)
        self.assertEqual((one.refused, one.error), (True, "no page of shmem"))
        one = explorer.outcome("FTR/shmem", REFUSED)
        self.assertEqual((one.refused, one.error), (False, "R can't reuse a page of shmem"))
        self.assertFalse(explorer.outcome("FTR/shmem", "").refused)

    def test_in_turn(self):
        """Several sets in one boot: up to the one that something has failed in."""
        left, other = LEFT.replace("FTM", "FT"), DONE.replace("FTM", "FK")
        for text, kinds in (
                (NOT_THERE + left + DONE + other, ["refused", "left", "done", "done"]),
                (NOT_THERE + left + FAILED + DONE, ["refused", "left", "caught"]),
                (NOT_THERE + left + PANIC, ["refused", "left", "caught"]),
                (NOT_THERE + left + DONE + SKIPPED, ["refused", "left", "done", "skipped"]),
                (NOT_THERE + PROGRESS.replace("FTM", "FT"), ["refused", "counts"]),
                (NOT_THERE + left + ERROR + DONE, ["refused", "left", "error"]),
                ("", ["nothing"])):
            results = explorer.outcomes(["FTR/shmem", "FT", "FTM", "FK"], text)
            self.assertEqual([next((what for what in ("caught", "skipped", "refused", "error",
                                                      "left", "done", "counts")
                                    if getattr(one, what)), "nothing") for one in results], kinds)

    def test_progress(self):
        self.assertEqual(explorer.progress("[  5.1] " + PROGRESS),
                         "1000 schedules at 200/s, ~2 min left, 600 states")
        for old, new in (("estimate=25000", "estimate=0"), ("rate=200", "rate=0")):
            self.assertIn("no end known", explorer.progress(PROGRESS.replace(old, new)))
        for line in (DONE, FAILED, PROGRESS[:-10] + "\n", "something else\n"):
            self.assertIsNone(explorer.progress(line))
        for seconds, words in ((0, "~0 s left"), (119, "~119 s left"), (120, "~2 min left"),
                               (7200, "~2 h left"), (10 ** 6, "~11 days left"),
                               (10 ** 8, "no end known")):
            self.assertEqual(explorer.time_left(seconds), words)

    def row(self, one, column="stock"):
        one.settings.setdefault("bound", "2")
        return "|".join(re.split(r"  +", explorer.table([(column, one)]).splitlines()[1]))

    def test_rows(self):
        for name, text, row in (
                ("FTM/cold", DONE,
                 "FTM/cold|stock|none|4,032|294,747,608,083|4,356|525|13,530|no violation"),
                ("FTM", PROGRESS + PANIC,
                 "FTM|stock|2|1,000|-|600|-|200|violated: the kernel dies (BUG!)"),
                ("FTM", "", "FTM|stock|2|-|-|-|-|-|no result"),
                *(("FTM", DONE.replace("=294747608083", f"={number}"),
                   f"FTM|stock|none|4,032|{words}|4,356|525|13,530|no violation")
                  for number, words in ((0, "-"), (2 ** 64 - 1, "2^64 or more"), (1000, "1,000")))):
            self.assertEqual(self.row(found(name, text)), row)
        text = explorer.table([("stock", found("FTM", FAILED + DONE)), ("patched", consoles.HELD)])
        self.assertIn(f"\n    ./run replay {SCHEDULE}\nFTM", text)


class Arguments(Case):
    def test_suite(self):
        self.assertEqual(explorer.actors()["F"],
                         ["filemap", "faults next to the folio: fault-around"])
        self.assertEqual(explorer.options()[0], "before")
        self.assertIn("ISOLATE_DONE", explorer.points())
        self.assertEqual(explorer.points()[-2:], ["END", "WAIT"])
        for name in explorer.SETS + [*guards.sets_of([])]:
            self.assertEqual(explorer.spec(name), name)
        self.assertTrue(guards.explored_ones())
        self.assertEqual(command.at_once(parsed("explore", "--list")), 0)
        self.assertRegex(self.printed(), "(?s)T  truncate   punches the page out.*"
                                         "\noptions: /before, .*/cold")
        self.assertFail(r"no table nothing\[\]", explorer.table_of, "nothing")

    def test_good(self):
        args = parsed("explore", "--actors", "FT,TM/cold/before")
        self.assertEqual(args.actors, ["FT", "TM/cold/before"])
        self.assertIsNone(parsed("explore").actors)
        for words, how in (((), {}), (("--bound", "none"), {"bound": -1}),
                           (("--bound", "0", "--coarse"), {"bound": 0, "coarse": 1}),
                           (("--no-prune", "--random", "9", "--seed", "3", "--shard", "7/8"),
                            {"prune": 0, "random": 9, "seed": 3, "shard": "7/8"})):
            self.assertEqual(explorer.settings(parsed("explore", *words)), how)
            again = parsed("explore", *explorer.flags(how).split())
            self.assertEqual(explorer.settings(again), how)
        self.assertEqual(explorer.parameters(actors="FT", bound=2),
                         ["folio_explore_kunit.actors=FT", "folio_explore_kunit.bound=2"])

    def test_refused(self):
        once = ".*must name some actors, each of them once; there are: F filemap, "
        for said, *words in (
                ("there is no actor 'J' for 'FJ'; there are: F filemap", "explore", "--actors=FJ"),
                ("there is no actor 'f' for 'f'; ", "explore", "--actors=FT,f"),
                *((once, "explore", f"--actors={text}") for text in ("", "FT,", "/cold", "FTF")),
                ("there is no option 'x' for 'F/x'; there are: before,", "explore", "--actors=F/x"),
                ("--bound many: say how many", "explore", "--bound=many"),
                *(("--shard .*: say I/N", "explore", f"--shard={text}") for text in
                  ("8/8", "1", "x/2", "1/2/3", "-1/2", "{}")),
                ("'FT:F@END,T' is no schedule", "replay", "FT:F@END,T"),
                *(("", "replay", line) for line in
                  ("F@END", "FT:@", "FT:F@", "FT:@END", "F:F@END,", "FT:F@END T@END", "FT:FF@END")),
                ("there is no actor 'M' for 'M@END' in FT; there are F, T$", "replay", "FT:M@END"),
                ("there is no actor 'J' for 'FJ'", "replay", "FJ:F@END"),
                ("there is no point 'SO'; the nearest are ", "replay", "FT:F@SO"),
                ("lab-isolate-reads-flags-plainly is for a checker of the kernel's: "
                 "./run debugged kcsan", "mutants", "lab-isolate-reads-flags-plainly"),
                # A schedule is followed just with those that the explorer runs on
                *(("there is no mutant .* of the lab; there are: lab-",
                   "replay", "--mutant", name, "FT:F@END") for name in
                  ("lab-map-skips-reload+", "orphan-ignores-rmap", "nothing"))):
            self.assertFail("^" + said, parsed, *words)

    def test_together(self):
        for words in (("--print-command", "--actors", "FT", "--shard", "{}/8"),
                      ("--shard", "1/8"), ()):
            self.assertFalse(command.at_once(parsed("explore", *words)))
        for said, *words in (("for one set", "--print-command"),
                             ("for one set", "--print-command", "--actors", "FT,TM"),
                             ("say which", "--actors", "FT", "--shard", "{}/8")):
            self.assertFail(said, command.at_once, parsed("explore", *words))

    def test_what_is_replayed(self):
        schedule, mutants = "FT/cold:F@WAIT,T@END", "lab-find-skips-reload+lab-map-skips-reload"
        for want, *words in (("schedule", schedule), ("claims", "F", "F.6"), ("claims",)):
            args = parsed("replay", *words)
            self.assertEqual((replay_command.kind(args), args.what), (want, words))
        for words in ((schedule, "F"), (schedule, schedule), ("--repeat", "3", schedule),
                      ("--mutant", "lab-find-skips-reload", "F"), ("--on", "stock", schedule)):
            self.assertFail("", replay_command.kind, parsed("replay", *words))
        args = parsed("replay", "--mutant", mutants, schedule)
        self.assertEqual([guard.name for guard in args.mutant], mutants.split("+"))


class Follow(Case):
    HELD = consoles.CONSOLE.replace("begin F|", "begin FB/cold|").replace(
        "end F|100", "end FB/cold|1").replace("verdict refuted|", "verdict no violation|")
    VIOLATED = HELD.replace("verdict no violation|", "verdict violated|pte: ")

    def test_followed(self):
        for text, words, reason in (
                (self.HELD, "no violation", ""), (self.VIOLATED, "violated", ""),
                ("", "error", "printed no schedule"), (REFUSED, "error", "can't reuse"),
                *((self.HELD[:self.HELD.index(end)] + PANIC, "violated",
                   "the kernel dies (BUG!); see x.console")
                  for end in ("folio_race: begin", "folio_race: event 2"))):
            self.patch(explorer, read=lambda path, text=text: text)
            scenario = explorer.followed("FB/cold", "x.console")
            self.assertEqual(model.words(scenario), words)
            self.assertIn(reason, scenario.reason)
        self.assertIn("a: violated: the kernel dies", story_text.step_table({"a": scenario}))
        page = story_page.page({"a": {"FB/cold": scenario}}, "x")
        self.assertIn("violated: the kernel dies", page.replace("</span> ", ": "))

    def follow(self, text, *removes):
        self.patch(explorer, "image_of", "mutated_image", boot=lambda image, log, *rest, **how: log,
                   read=lambda path: text)
        page = self.patch(explorer.scenarios, "write_page")
        tally = tally_of(explorer.follow, "FB/cold:F@END", removes)
        page.assert_called_once()
        return tally

    def test_on_both_kernels_it_is_to_hold(self):
        tally = self.follow(self.HELD)
        self.assertEqual((tally.passed, tally.failed), (2, []))
        self.assertIn("\nFB/cold:F@END\nstep ", self.out.getvalue())
        for text in (self.VIOLATED, "", PANIC):
            tally = self.follow(text)
            self.assertEqual(len(tally.failed), 2)
            self.assertEqual(set(tally.reruns), {"./run replay FB/cold:F@END"})

    def test_without_a_guard_it_is_not(self):
        guard = mock.Mock()
        guard.name = "m"
        for text, good in ((self.VIOLATED, True), (PANIC, True), (self.HELD, False), ("", False)):
            self.assertEqual(self.follow(text, guard).reruns,
                             [] if good else ["./run replay --mutant m FB/cold:F@END"])


class Explored(Case):
    DIES_AT_ONCE = FAILED.replace("29|pte", "1|dies") + PANIC

    def added(self, *parts):
        self.patch(sys, stdin=io.StringIO("".join(parts)))
        return explorer.print_sum(), self.printed()

    def test_shards(self):
        parts = [DONE.replace("shard=0/1", f"shard={number}/3") for number in range(3)]
        status, text = self.added(*parts, DONE.replace("FTM", "FT"))
        self.assertEqual(status, 0)
        self.assertRegex(text, r"\nFTM +shards: 3 +none +12,096 +- +- +- +13,315 +no violation\n"
                               r"FT +shards: 1 +none +4,032 +- +- +- +13,315 +no violation\n")
        for words, *some in (("not one done line for shard 2/3", *parts[:2]),
                             ("not one done line for shard 0/3", *parts, parts[0]),
                             ("error: too many states", *parts[:2], ERROR, parts[2]),
                             ("FTM in shard 2/3: violated", *parts[:2], FAILED, parts[2])):
            status, text = self.added(*some)
            self.assertEqual(status, 1)
            self.assertIn(words, text)
        self.assertIn(f"    ./run replay {SCHEDULE}\n", text)
        self.assertFail("no done line on standard input", self.added, PROGRESS)

    def explore(self, of_stock, *columns, sets=("FTM", "TI", "FTK"), release="7.3", **how):
        """of_stock: {set: what its console is on stock}."""
        context = counted(release=release)
        self.patch(explorer, image_of=lambda context, column, name: column,
                   explored=lambda image, log, name, **how: found(
                       name, of_stock.get(name, DONE) if image == "stock" else DONE))
        results = explorer.standard(context, *columns, sets=list(sets), **how)
        return results, context.tally

    def test_as_known(self):
        results, tally = self.explore({"TI": self.DIES_AT_ONCE})
        self.assertEqual((tally.passed, tally.failed), (6, []))
        self.assertEqual([(column, one.spec) for column, one in results],
                         [(column, name) for column in ("stock", "patched")
                          for name in ("FTM", "TI", "FTK")])

    def test_what_a_release_has_not_got(self):
        """A set that skips is counted as such where that is expected, and fails elsewhere."""
        self.assertEqual(set(explorer.expected.load("sets")["stock"]), set(explorer.SETS))
        self.assertNotIn("skip", explorer.expected.load("sets")["stock"].values())
        for release, text, how, counts in (
                ("6.12", SKIPPED, {}, (0, 1, [])), ("6.12", SKIPPED, {"bound": 2}, (0, 1, [])),
                ("6.12", DONE, {}, (0, 0, ["no violation, expected skip"])),
                ("6.12", "", {}, (0, 0, ["no result, expected skip"])),
                ("7.3", SKIPPED, {}, (0, 0, ["skip, expected no violation"])),
                ("7.3", DONE, {}, (1, 0, []))):
            _, tally = self.explore({"KL/swap": text}, ["stock"], sets=["KL/swap"],
                                    release=release, **how)
            failed = [line.split(": ", 1)[1].split(";")[0] for line in tally.failed]
            self.assertEqual((tally.passed, tally.skipped, failed), counts, (release, text, how))
        context = counted(release="6.12")
        results = explorer.standard(context, ["stock"])
        self.assertNotIn("FTMBR", [one.spec for _, one in results])
        self.assertEqual(context.tally.skipped, 1)
        one = found("KL/swap", SKIPPED)
        self.assertEqual((one.refused, one.held, one.caught, one.error),
                         (True, False, False, "no swap: needs SWAP"))

    def test_failures(self):
        ti = {"TI": self.DIES_AT_ONCE}
        for of_stock, said in (
                ({}, "TI on stock: no violation, expected violated: dies at schedule 1"),
                ({"TI": FAILED.replace("29|pte", "2|dies")}, "TI on stock: violated: dies at "),
                ({"TI": FAILED.replace("29|pte", "1|pte")}, "TI on stock: violated: pte at "),
                ({**ti, "FTK": FAILED + DONE}, "FTK on stock: violated: pte at schedule 29, expec"),
                ({**ti, "FTK": PANIC}, "FTK on stock: violated: the kernel"),
                ({**ti, "FTK": ""}, "FTK on stock: no result, expected no violation")):
            _, tally = self.explore(of_stock)
            [failed] = tally.failed
            self.assertTrue(failed.startswith(said), failed)
        self.assertEqual(tally.reruns, ["./run explore --actors FTK --on stock"])
        _, tally = self.explore({"FTM": ""}, ["stock"], sets=["FTM"], bound=-1, coarse=1,
                                shard="1/8")
        self.assertEqual(tally.reruns, ["./run explore --actors FTM --on stock --bound none "
                                        "--coarse --shard 1/8"])

    def test_uml_or_qemu(self):
        self.patch(build, kernel=lambda base, commit, name, arch: arch)
        for smp, place, arch, image, program in (
                (True, "uml-smp", "um", "/x/linux", "/x/linux"),
                (False, "qemu", "x86_64", "/x/bzImage", "qemu-system-x86_64")):
            context, words = counted(uml_smp=smp), explorer.machine(image, ["a=b"])
            self.assertEqual((words[0], words[-1].split()[-1]), (program, "a=b"))
            self.assertEqual(explorer.place(context.base), place)
            self.assertEqual(explorer.image_of(context, "patched"), arch)

    def test_time_is_out(self):
        """What it has printed up to there counts."""
        self.patch(explorer, machine=lambda *words: ["sh", "-c", f"echo '{PROGRESS}'; sleep 60"])
        one = explorer.explored("x", "driver-test", "FTM", limit=0.2, bound=2)
        self.assertEqual((one.done, one.counts["schedules"], one.settings["bound"], one.console),
                         (False, 1000, "2", "out/log/driver-test-FTM.console"))

    def test_again(self):
        both, lost = DONE + DONE.replace("FTM", "FTK"), "did not get to the end of FTK"
        for smp, before, again, said in ((True, DONE, DONE, "^$"), (False, DONE, DONE, "^$"),
                                         (True, both, DONE, lost), (True, DONE, both, lost)):
            printed = {f"replay-{'uml-smp' if smp else 'qemu'}-patched-6.12.console": before,
                       "explore-again.console": again}
            self.patch(explorer, "image_of", boot=lambda image, log, *rest, **how: log,
                       read=lambda path, printed=printed: printed[os.path.basename(path)])
            tally = tally_of(explorer.same_again, uml_smp=smp, suffix="-6.12")
            self.assertRegex("; ".join(tally.failed), said)

    def test_places(self):
        for other, columns in ((DONE, []), (DONE.replace("=525", "=5"), ["stock", "patched"])):
            said = {"qemu": DONE, "uml-smp": other}
            self.patch(explorer, replayed=lambda context, column, where, said=said: said[where])
            failed = tally_of(explorer.same_places).failed
            self.assertEqual([line.split(": ", 1)[1] for line in failed], [
                f"not the same on {column} under QEMU and UML: outcomes 5 and 525"
                for column in columns])

    def test_states_after_migration(self):
        """They depend on the place; nothing else does."""
        digest = DONE.replace("7b105d9f", "7b105d90")
        for one, other, places, wrong in ((DONE, digest, 2, 1), (DONE, digest, 1, 1),
                                          (DONE.replace("FTM", "FTC"), digest, 2, 0),
                                          (DONE.replace("FTM", "FTC"), digest, 1, 1),
                                          (DONE.replace("FTM", "FTC"),
                                           DONE.replace("=525", "=5"), 2, 1)):
            other = other.replace("FTM", re.search(r"FT\w", one)[0])
            self.assertEqual(len(failures_of(explorer.same_counts, one, other, "x and y", places)),
                             wrong)

    def test_counts(self):
        faster = DONE.replace("rate=13530", "rate=99").replace("pruned=32456", "pruned=1")
        others = DONE.replace("prune=1", "prune=0").replace("schedules=3968", "schedules=1")
        for one, other in ((DONE, "[    1.2] " + faster),
                           (DONE + DONE.replace("FTM", "FT"), DONE),
                           (DONE + others, others + DONE)):
            self.assertEqual(failures_of(explorer.same_counts, one, other, "x and y"), [])
        for old, new in (("schedules=3968", "schedules=3969"), ("states=4356", "states=1"),
                         ("interleavings=294747608083", "interleavings=0"),
                         ("outcomes=525", "outcomes=5"), ("7b105d9f", "7b105d90"),
                         ("23782459", "23782450")):
            self.assertIn(old, DONE)
            other = DONE.replace(old, new)
            for both in ((DONE, other), (DONE + other, DONE)):
                [failed] = failures_of(explorer.same_counts, *both, "x and y")
                self.assertRegex(failed, r"^FTM bound=-1 .* not the same x and y: \w+ \w+ and \w+$")
        for one, other in ((DONE, ""), ("", ""), (DONE, DONE.replace("bound=-1", "bound=2")),
                           (DONE, PROGRESS)):
            self.assertEqual(failures_of(explorer.same_counts, one, other, "x and y"),
                             ["no set was explored x and y"])
