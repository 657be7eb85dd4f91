# SPDX-License-Identifier: GPL-2.0-only
"""System calls on a schedule: each run tells its story, and what is asked for is there."""

import os
import tempfile
import unittest
from unittest import mock

from driver import cli
from driver.commands import replay
from driver.core.paths import ROOT
from driver.core.stage import Fail
from driver.kernel import build
from driver.suites import schedule_files
from driver.tests.helpers import counted, quiet

STORY = """TAP version 13
# # folio_race: begin my.one.tmpfs.small|A title
# # folio_race: actor fault|fault|read m 3
# # folio_race: event 0|fault|end|END|refs=1 mapcount=1 lru=1 locked=0 cached=1 listed=1|1
# # folio_race: step 1|fault|END|-|refs=1 mapcount=1 lru=1 locked=0 cached=1|ok|
# # folio_race: remark fault.look: read m 3: data
# # folio_race: verdict held|all went as the schedule says
# # folio_race: end my.one.tmpfs.small|1
# ok 1 my.one.tmpfs.small
"""


class Stories(unittest.TestCase):
    def test_read_with_any_number_of_tap_prefixes(self):
        for text in (STORY, STORY.replace("# # ", "# "), STORY.replace("# # ", "")):
            scenario = schedule_files.stories(text)["my.one.tmpfs.small"]
            self.assertEqual((scenario.outcome, scenario.runs, len(scenario.events)),
                             ("held", 1, 1))

    def judge(self, stories, verdict="pass"):
        context, name = counted(), "my.one.tmpfs.small"
        schedule_files.judge(context, "here", {name: verdict}, {name: verdict}, stories, "./run x")
        self.assertEqual(set(context.tally.reruns) - {"./run x"}, set())
        return context.tally

    def test_a_result_without_a_story_is_a_failure(self):
        self.assertFalse(self.judge(schedule_files.stories(STORY)).failed)
        self.assertTrue(self.judge({}).failed)
        cut = STORY[:STORY.index("# # folio_race: verdict")]
        self.assertTrue(self.judge(schedule_files.stories(cut)).failed)

    def test_what_was_skipped_has_none(self):
        self.assertFalse(self.judge({}, "skip").failed)

    def test_those_that_went_wrong_are_drawn_first(self):
        scenario = schedule_files.stories(STORY)["my.one.tmpfs.small"]
        stories = {"stock": {"my.one.tmpfs.small": scenario, "my.one.ext4.small": scenario,
                             "my.two.ext4.small": scenario}}
        with quiet() as out, mock.patch.object(schedule_files.scenarios, "write_page"):
            schedule_files.draw(None, stories, {"my.one.ext4.small"}, "my.sched")
        shown = [line.split(". ")[0] for line in out.getvalue().splitlines() if ". A title" in line]
        self.assertEqual(shown, ["my.one.ext4.small", "my.one.tmpfs.small", "my.two.ext4.small"])


    def test_events_if_asked_for(self):
        scenario = schedule_files.stories(STORY)["my.one.tmpfs.small"]
        for verbose in (False, True):
            with quiet() as out, mock.patch.object(schedule_files.scenarios, "write_page"):
                schedule_files.draw(None, {"stock": {"my.one.tmpfs.small": scenario}}, set(),
                                    "my.sched", verbose)
            self.assertEqual("is done" in out.getvalue(), verbose)


class Follow(unittest.TestCase):
    """One file on both kernels, with stand-ins for them."""

    NAME = "my.one.tmpfs.small"

    def follow(self, verdicts, path="my.sched", reasons=None):
        def boot(context, initrd, column, append, rerun, log):
            self.assertEqual(append, f"guest.test=folio_sched guest.args={os.path.basename(path)}")
            told = schedule_files.stories(STORY.replace(self.NAME, self.name))
            return {self.name: verdicts[column]}, (reasons or {}), told
        context = counted(commit={"all": "0"})
        with mock.patch.multiple(schedule_files, boot=boot, check=mock.DEFAULT,
                                 checker=mock.DEFAULT, draw=mock.DEFAULT) as stands, \
                mock.patch.object(schedule_files.build, "selftests"), \
                mock.patch.object(schedule_files.qemu, "initramfs"):
            schedule_files.follow(context, path, [*verdicts])
        self.first = stands["draw"].call_args.args[2]
        return context.tally

    def setUp(self):
        self.name = self.NAME

    def test_good(self):
        self.assertEqual(self.follow({"stock": "pass", "patched": "pass"}).failed, [])
        self.assertEqual(self.first, set())

    def test_bad(self):
        tally = self.follow({"stock": "pass", "patched": "fail"})
        self.assertEqual(len(tally.failed), 1)
        self.assertEqual(tally.reruns, ["./run replay --on patched my.sched"])
        self.assertEqual(self.first, {self.NAME})

    def test_all_skipped(self):
        tally = self.follow({"stock": "skip"}, reasons={self.NAME: "no large folios"})
        self.assertEqual(tally.failed,
                         ["my.sched on stock: each run is skipped: no large folios"])

    def test_one_that_is_shipped_may_be_known_to_fail(self):
        self.name, path = "orphan.orphan.tmpfs.small", "x/schedules/orphan.sched"
        self.assertEqual(self.follow({"stock": "fail", "patched": "pass"}, path).failed, [])

    def test_one_that_is_shipped_is_to_fail(self):
        self.name = "orphan.orphan.tmpfs.small"
        self.assertEqual(len(self.follow({"stock": "pass"}, "x/schedules/orphan.sched").failed), 1)
        # One of the user's is not, whatever its name
        self.assertEqual(len(self.follow({"stock": "fail"}, "x/orphan.sched").failed), 1)


class Arguments(unittest.TestCase):
    def test_a_file_that_is_not_there(self):
        with self.assertRaisesRegex(Fail, "there is no schedule file no/such.sched"):
            replay.what("no/such.sched")

    def test_a_name_that_a_command_line_would_cut(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "my file.sched")
            open(path, "w").close()
            with self.assertRaisesRegex(Fail, "name the file with letters"):
                replay.what(path)

    def kind(self, *words):
        return replay.kind(cli.parser().parse_args(["replay", *words]))

    def test_one_file_at_a_time(self):
        with tempfile.NamedTemporaryFile(suffix=".sched") as file:
            for more in ((), ("--on=stock",), ("-v",)):
                self.assertEqual(self.kind(file.name, *more), "file")
            for more in ("F", "--repeat=2", file.name, "--mutant=lab-map-skips-reload"):
                with self.assertRaisesRegex(Fail, "one schedule file at a time"):
                    self.kind(file.name, more)

    def test_on_goes_with_a_file(self):
        with self.assertRaisesRegex(Fail, "--on goes with a schedule file"):
            self.kind("--on", "stock", "F")

    def test_repeat(self):
        self.assertEqual(replay.times("3"), 3)
        for text in ("0", "-1", "x", "1.5", ""):
            with self.assertRaisesRegex(Fail, f"^--repeat {text}: a number is wanted, from 1 on"):
                replay.times(text)

    def test_only_kernels_with_sync_points(self):
        for words, said in ((("folio_sched", "mm"), "no kernel 'mm' with sync points; there are: "
                                                    "stock, patched"),
                            (("folio_orphan", "patched"), "no kernel 'patched'; there are: stock, "
                                                          r"mm, mm\+tcp"),
                            (("nothing",), "there is no selftest 'nothing'; there are: folio_orph"),
                            (("mm", "stock"), "one kernel at a time")):
            args = cli.parser().parse_args(["selftest", *words])
            with self.assertRaisesRegex(Fail, said):
                args.module.run(counted(), args)


class Mistakes(unittest.TestCase):
    def test_the_mistakes_are_in_the_good_file(self):
        for old, _, _ in schedule_files.MISTAKES:
            self.assertIn(old, schedule_files.GOOD)

    def mistakes(self, said):
        """With a program that says this of a file."""
        with tempfile.TemporaryDirectory() as folder, quiet():
            program = os.path.join(folder, "check")
            with open(program, "w") as out:
                out.write(f"#!/bin/sh\n{said}\n")
            os.chmod(program, 0o755)
            context = counted(dir=folder)
            with mock.patch.object(schedule_files, "checker", lambda context: program):
                schedule_files.mistakes(context)
            self.assertEqual(os.listdir(folder), ["check"])
        return context.tally

    def test_each_is_to_be_named(self):
        tally = self.mistakes("exit 0")
        self.assertEqual((tally.passed, len(tally.failed)), (1, len(schedule_files.MISTAKES)))
        tally = self.mistakes("echo 'Bail out! no idea'; exit 1")
        self.assertEqual((tally.passed, len(tally.failed)), (0, len(schedule_files.MISTAKES) + 1))
        self.assertIn("no idea, not 2: expected tmpfs", tally.failed[1])
        told = schedule_files.MISTAKES[0][2]
        tally = self.mistakes(f'grep -q xfs "$2" || exit 0; echo "Bail out! $2:{told} and" >&2; '
                              "exit 1")
        self.assertEqual((tally.passed, len(tally.failed)),
                         (2, len(schedule_files.MISTAKES) - 1))

    def test_said_before_anything_is_built(self):
        schedule_files.check("true", "x.sched")
        with tempfile.TemporaryDirectory() as folder:
            program = os.path.join(folder, "check")
            with open(program, "w") as out:
                out.write('#!/bin/sh\necho "Bail out! $2:2: what" >&2\nexit 1\n')
            os.chmod(program, 0o755)
            with self.assertRaisesRegex(Fail, "^x.sched:2: what$"):
                schedule_files.check(program, "x.sched")

    def test_which_program(self):
        with mock.patch.multiple(build, schedule_checker=lambda base: "here",
                                 selftests=lambda base, commit: "there"):
            for how, want in (({}, "here"), ({"foreign": True}, "there/folio_sched"),
                              ({"newest": False}, "there/folio_sched")):
                context = counted(commit={"all": "0"}, **how)
                self.assertEqual(schedule_files.checker(context), want)


class WithoutPoints(unittest.TestCase):
    """On a kernel without sync points they skip, and name what is missing."""

    def failures(self, change=lambda results, reasons: None):
        tests = [test for test in schedule_files.expected.load("schedule_files")["patched"]
                 if test.startswith("mm_sync.") or test == "folio_sched"]
        results = dict.fromkeys(tests, "skip")
        reasons = dict.fromkeys(tests, f"it takes {schedule_files.NEEDED}")
        change(results, reasons)
        context = counted()
        with mock.patch.multiple(
                schedule_files.selftests, boot=lambda *args: (results, reasons),
                image=mock.DEFAULT, initramfs=mock.DEFAULT), mock.patch.object(
                schedule_files, "read", lambda path: reasons["folio_sched"]):
            schedule_files.without_points(context)
        self.assertEqual(context.tally.passed + len(context.tally.failed), len(tests))
        return context.tally.failed

    def test_all_skip(self):
        self.assertEqual(self.failures(), [])

    def test_others(self):
        for test in ("mm_sync.fuzz", "folio_sched"):
            for change in (lambda results, reasons, test=test: results.update({test: "pass"}),
                           lambda results, reasons, test=test: results.pop(test),
                           lambda results, reasons, test=test: reasons.update({test: "no"})):
                self.assertEqual(len(self.failures(change)), 1)


class Shipped(unittest.TestCase):
    def test_shipped(self):
        folder = os.path.join(ROOT, "tools/testing/selftests/mm", schedule_files.FOLDER)
        files = os.listdir(folder)
        self.assertTrue(files)
        names = {name.split(".")[0] for name in
                 schedule_files.expected.load("schedule_files")["patched"] if name.count(".") == 3}
        self.assertEqual({file.removesuffix(".sched") for file in files}, names)
        for file in files:
            path = os.path.join(folder, file)
            self.assertEqual(schedule_files.ident(path), path)
            self.assertTrue(schedule_files.shipped(path))
        self.assertFalse(schedule_files.shipped("my.sched"))
