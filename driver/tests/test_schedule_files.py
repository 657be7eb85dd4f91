# SPDX-License-Identifier: GPL-2.0-only
"""System calls on a schedule: each run tells its story, and what is asked for is there."""

import os

from driver.core.paths import ROOT
from driver.kernel import build
from driver.suites import schedule_files
from driver.tests.helpers import Case, counted, put, tally_of

NAME = "my.one.tmpfs.small"
STORY = """TAP version 13
# # folio_race: begin my.one.tmpfs.small|A title
# # folio_race: actor fault|fault|read m 3
# # folio_race: event 0|fault|end|END|refs=1 mapcount=1 lru=1 locked=0 cached=1 listed=1|1
# # folio_race: step 1|fault|END|-|refs=1 mapcount=1 lru=1 locked=0 cached=1|ok|
# # folio_race: call fault.look|read m 3|-|data
# # folio_race: verdict as written|each line
# # folio_race: end my.one.tmpfs.small|1
# ok 1 my.one.tmpfs.small
"""


class Stories(Case):
    def test_read_with_any_number_of_tap_prefixes(self):
        for text in (STORY, STORY.replace("# # ", "# "), STORY.replace("# # ", "")):
            scenario = schedule_files.stories(text)[NAME]
            self.assertEqual((scenario.outcome, scenario.runs, len(scenario.events)),
                             ("as written", 1, 1))

    def test_a_result_without_a_story_is_a_failure(self):
        for text, verdict, failed in (
                (STORY, "pass", 0), ("", "pass", 1), ("", "skip", 0),
                (STORY[:STORY.index("# # folio_race: verdict")], "pass", 1)):
            tally = tally_of(schedule_files.judge, "here", {NAME: verdict}, {NAME: verdict},
                             schedule_files.stories(text), "./run x")
            self.assertEqual(tally.reruns, ["./run x"] * failed)

    def test_those_that_went_wrong_are_drawn_first(self):
        """Then the others, and of all the events if asked for."""
        one, other = "my.one.ext4.small", "my.two.ext4.small"
        runs = {name: schedule_files.stories(STORY.replace("refs=1", f"refs={number}"))[NAME]
                for number, name in enumerate([NAME, one, other])}
        self.patch(schedule_files.scenarios, "write_page")
        for first, verbose, want in ((set(), False, [NAME, one, other]),
                                     ({one}, True, [one, NAME, other])):
            schedule_files.draw(None, {"stock": runs}, first, "my.sched", verbose)
            said = self.printed()
            shown = [line for line in said.splitlines() if line.endswith(". A title")]
            self.assertEqual(shown, [f"{name}. A title" for name in want])
            self.assertEqual("is done" in said, verbose)


class Follow(Case):
    """One file on both kernels, with stand-ins for them."""

    def follow(self, verdicts, path="my.sched", name=NAME, reasons=None):
        def boot(context, initrd, column, append, rerun, log):
            self.assertEqual(append, f"guest.test=folio_sched guest.args={os.path.basename(path)}")
            verdict = schedule_files.verdicts_of(column).get(name, "differs: x")
            verdict = verdict.replace(": ", "|", 1)
            told = schedule_files.stories(STORY.replace(NAME, name).replace(
                "as written|each line", "as written|" if verdicts[column] == "pass" else verdict))
            return {name: verdicts[column]}, (reasons or {}), told
        draw = self.patch(schedule_files, "draw", "check", "checker", boot=boot)
        self.patch(schedule_files.build, "selftests")
        self.patch(schedule_files.qemu, "initramfs")
        tally = tally_of(schedule_files.follow, path, [*verdicts])
        return tally, draw.call_args.args[2]

    def test_follow(self):
        """Those that are shipped may be known to fail; one of the user's not, whatever its name."""
        shipped, orphan = "x/schedules/orphan.sched", "orphan.orphan.tmpfs.small"
        for verdicts, path, name, reruns in (
                ({"stock": "pass", "patched": "pass"}, "my.sched", NAME, []),
                ({"stock": "pass", "patched": "fail"}, "my.sched", NAME, ["patched my.sched"]),
                ({"stock": "fail", "patched": "pass"}, shipped, orphan, []),
                ({"stock": "pass"}, shipped, orphan, [f"stock {shipped}"]),
                ({"stock": "fail"}, "x/orphan.sched", orphan, ["stock x/orphan.sched"])):
            with self.subTest(verdicts=verdicts, path=path):
                tally, first = self.follow(verdicts, path, name)
                self.assertEqual({*tally.reruns}, {f"./run replay --on {each}" for each in reruns})
                self.assertEqual(first, {name} if reruns else set())
        tally, _ = self.follow({"stock": "skip"}, reasons={NAME: "no large folios"})
        self.assertEqual(tally.failed, ["my.sched on stock: each run is skipped: no large folios"])

    def program(self, said):
        """In place of folio_sched: it says this of a file."""
        self.top = self.folder()
        put(self.top, {"check": f"#!/bin/sh\n{said}\n"}, 0o755)
        return os.path.join(self.top, "check")

    def test_each_mistake_is_to_be_named(self):
        for old, _, _ in schedule_files.MISTAKES:
            self.assertIn(old, schedule_files.GOOD)
        count, told = len(schedule_files.MISTAKES), schedule_files.MISTAKES[0][2]
        for said, passed, failed in (
                ("exit 0", 1, count),
                (f'grep -q xfs "$2" || exit 0; echo "Bail out! $2:{told} and" >&2; exit 1',
                 2, count - 1),
                ("echo 'Bail out! no idea'; exit 1", 0, count + 1)):
            program = self.program(said)
            self.patch(schedule_files, checker=lambda context, program=program: program)
            tally = tally_of(schedule_files.mistakes, dir=self.top)
            self.assertEqual((tally.passed, len(tally.failed)), (passed, failed))
            self.assertEqual(os.listdir(self.top), ["check"])
        self.assertIn("no idea, not 2: expected tmpfs", tally.failed[1])
        schedule_files.check("true", "x.sched")
        self.assertFail("^x.sched:2: what$", schedule_files.check,
                        self.program('echo "Bail out! $2:2: what" >&2\nexit 1'), "x.sched")

    def test_which_program(self):
        self.patch(build, schedule_checker=lambda base: "here",
                   selftests=lambda base, commit: "there")
        for how, want in (({}, "here"), ({"foreign": True}, "there/folio_sched"),
                          ({"newest": False}, "there/folio_sched")):
            self.assertEqual(schedule_files.checker(counted(**how)), want)

    def failures(self, change=lambda results, reasons: None):
        tests = [test for test in schedule_files.expected.load("schedule_files")["patched"]
                 if test.startswith("mm_sync.") or test == "folio_sched"]
        results = dict.fromkeys(tests, "skip")
        reasons = dict.fromkeys(tests, f"it takes {schedule_files.NEEDED}")
        change(results, reasons)
        self.patch(schedule_files.selftests, "image", "initramfs",
                   boot=lambda *args: (results, reasons))
        self.patch(schedule_files, read=lambda path: reasons["folio_sched"])
        tally = tally_of(schedule_files.without_points)
        self.assertEqual(tally.passed + len(tally.failed), len(tests))
        return len(tally.failed)

    def test_each_is_to_skip(self):
        self.assertEqual(self.failures(), 0)
        for test in ("mm_sync.fuzz", "folio_sched"):
            for change in (lambda results, reasons, test=test: results.update({test: "pass"}),
                           lambda results, reasons, test=test: results.pop(test),
                           lambda results, reasons, test=test: reasons.update({test: "no"})):
                self.assertEqual(self.failures(change), 1)

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
