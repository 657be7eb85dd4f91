# SPDX-License-Identifier: GPL-2.0-only
"""System calls on a schedule: each run tells its story, and what is asked for is there."""

import os
from unittest import mock

from driver.core.paths import ROOT, read
from driver.kernel import build
from driver.suites import schedule_files
from driver.tests.consoles import told
from driver.tests.helpers import Case, counted, put, tally_of

NAME = "my.one.tmpfs.small"


def story(verdict="as written|each line", name=NAME, prefix="# # ", call="read m 3|-|data", **how):
    """What folio_sched prints of a run."""
    printed = told(name, verdict, **how).replace("[    1.0] ", prefix)
    return printed.replace("verdict", f"call T.cut|{call}\n{prefix}folio_race: verdict")


class Stories(Case):
    def test_judged(self):
        """Each result has a story, with any number of TAP's prefixes; it is expected in words."""
        for said, result, text, *want in (
                *(("^$", "pass", story(prefix=prefix)) for prefix in ("", "# ", "# # ")),
                ("^$", "skip", ""), ("^$", "fail", story("differs|a"), "differs: a"),
                ("told no story as a whole", "pass", ""),
                ("told no story as a whole", "pass", story(end=False)),
                *(("expected 'as written'", result, story(verdict)) for result, verdict in
                  (("fail", "differs|a"), ("pass", "differs|a"), ("fail", "error|a"))),
                *(("expected 'differs: a'", result, story(verdict), "differs: a")
                  for result, verdict in
                  (("fail", "differs|b"), ("fail", "error|a"), ("pass", "as written|x"))),
                ("but its result is", "fail", story())):
            verdicts = {NAME: want[0]} if want else None
            tally = tally_of(schedule_files.judge, "here", {NAME: result}, {NAME: result},
                             schedule_files.stories(text), "./run x", None, verdicts)
            self.assertRegex("; ".join(tally.failed), said, text)
            self.assertLessEqual({*tally.reruns}, {"./run x"})

    def test_drawn(self):
        """Those that went wrong first, what is the same once, and all of the events if asked."""
        one, other = "my.one.ext4.small", "my.two.ext4.small"
        said = "".join(story(verdict, name, call="truncate f 0|0|EBUSY") for name, verdict in
                       ((NAME, "as written|x"), (one, "differs|y"), (other, "as written|x")))
        runs = schedule_files.stories(said)
        self.patch(schedule_files.scenarios, "write_page")
        for first, verbose, want in ((set(), False, [NAME, one]), ({one}, True, [one, NAME])):
            schedule_files.draw(None, {"stock": runs}, first, "my.sched", verbose)
            said = self.printed()
            shown = [line for line in said.splitlines() if line.endswith(". A title")]
            self.assertEqual(shown, [f"{name}. A title" for name in want])
            self.assertIn(f"the same, step by step: {other}\n", said)
            self.assertIn("    T.cut: truncate f 0 gives EBUSY, wanted: 0\n", said)
            self.assertEqual("is done" in said, verbose)

    def test_death(self):
        text = story()
        text = text[:text.index("# # folio_race: event 0")]
        said = schedule_files.death(text, "[ 2.0] BUG: unable to handle page fault\n"
                                    "[ 2.1] mm_sync: the schedule up to here\n"
                                    "[ 2.2] mm_sync:   0:FIND_LOADED\n")
        for part in (f"died in {NAME} (A title): BUG: unable to handle", "truncate: punches",
                     "mm_sync:   0:FIND_LOADED"):
            self.assertIn(part, said)
        self.assertEqual(schedule_files.death(text, "[ 2.0] fine\n"), "")
        for printed, want in ((text, {f"{NAME}.": "fail"}), (story(), {}), ("", {})):
            self.patch(schedule_files, read=lambda path, printed=printed: printed)
            self.assertEqual(schedule_files.died_in("x"), want)


class Follow(Case):
    def follow(self, verdicts, path="my.sched", name=NAME, reasons=None):
        def boot(context, initrd, column, append, rerun, log):
            self.assertEqual(append, f"guest.test=folio_sched guest.args={os.path.basename(path)}")
            known = schedule_files.verdicts_of(column, {name: "fail"},
                                               schedule_files.shipped(path) or "schedule_files")
            known = known.get(name, "differs: x")
            known = known.replace(": ", "|", 1) if ": " in known else f"{known}|"
            said = story("as written|" if verdicts[column] == "pass" else known, name)
            return {name: verdicts[column]}, (reasons or {}), schedule_files.stories(said)
        draw = self.patch(schedule_files, "draw", "check", "checker", boot=boot)
        self.patch(schedule_files.build, "selftests")
        self.patch(schedule_files.qemu, "initramfs")
        self.patch(schedule_files, needs=lambda path: "")
        tally = tally_of(schedule_files.follow, path, [*verdicts])
        return tally, draw.call_args.args[2]

    def test_follow(self):
        """Those that are shipped may be known to fail; one of the user's not, whatever its name."""
        shipped, orphan = "x/schedules/orphan.sched", "orphan.orphan.tmpfs.small"
        alone, swapped = "x/schedules/alone/swapped.sched", "swapped.truncate.tmpfs.large"
        for verdicts, path, name, reruns in (
                ({"stock": "pass", "patched": "pass"}, "my.sched", NAME, []),
                ({"stock": "pass", "patched": "fail"}, "my.sched", NAME, ["patched my.sched"]),
                ({"stock": "fail", "patched": "pass"}, shipped, orphan, []),
                ({"stock": "pass"}, shipped, orphan, [f"stock {shipped}"]),
                ({"stock": "fail", "patched": "pass"}, alone, swapped, [f"patched {alone}"]),
                ({"stock": "fail"}, "x/orphan.sched", orphan, ["stock x/orphan.sched"])):
            tally, first = self.follow(verdicts, path, name)
            self.assertEqual({*tally.reruns}, {f"./run replay --on {each}" for each in reruns})
            self.assertEqual(first, {name} if reruns else set(), verdicts)
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

    def test_without_points_each_is_to_skip(self):
        """And to name what is missing."""
        tests = [test for test in schedule_files.expected.load("schedule_files")["patched"]
                 if test.startswith("mm_sync.") or test == "folio_sched"]
        needed = f"it takes {schedule_files.NEEDED}"
        for failed, test, result, reason in (
                (0, "folio_sched", "skip", needed),
                *((1, test, *how) for test in ("mm_sync.fuzz", "folio_sched")
                  for how in (("pass", needed), (None, needed), ("skip", "no")))):
            results = {**dict.fromkeys(tests, "skip"), test: result}
            reasons = {**dict.fromkeys(tests, needed), test: reason}
            self.patch(schedule_files.selftests, "image", "initramfs",
                       boot=mock.Mock(return_value=(results, reasons)))
            self.patch(schedule_files, read=mock.Mock(return_value=reasons["folio_sched"]))
            tally = tally_of(schedule_files.without_points)
            self.assertEqual((tally.passed, len(tally.failed)), (len(tests) - failed, failed))

    def test_repeat(self):
        """Each time the same must happen, as often as it is to be run."""
        self.patch(schedule_files.build, "selftests")
        self.patch(schedule_files.qemu, "initramfs")
        self.patch(schedule_files, "boot", needs=lambda path: "")
        path = os.path.join(self.folder({"x.sched": ""}), "x.sched")

        def told(*numbers, name="x", **how):
            return "".join(story(name=f"{name}-{number}.p.tmpfs.small", **how)
                           for number in numbers)
        other = told(2, verdict="differs|x")
        for failed, printed in ((0, told(0, 1, 2)), (1, told(0, 1)), (1, told(0, 1) + other),
                                (1, ""), (1, told(0) + told(0, 1, 2, name="y"))):
            self.patch(schedule_files, read=lambda path, printed=printed: printed)
            tally = tally_of(schedule_files.repeat, path, "stock", 3)
            self.assertEqual(len(tally.failed), failed, tally.failed)

    def test_needs(self):
        folder = self.folder({"a.sched": "title x\nneeds swap\n", "b.sched": "# needs swap\n"})
        self.assertEqual([schedule_files.needs(os.path.join(folder, name))
                          for name in ("a.sched", "b.sched")], [" guest.swap", ""])

    def test_ends(self):
        """What differs in a guest of its own leaves nothing behind."""
        paths = schedule_files.paths()
        names = "report.sched", "beyond_eof.sched", "wakeup.sched"
        self.assertEqual([name for name in names if schedule_files.ends(paths[name])],
                         ["report.sched", "beyond_eof.sched"])

    def test_shipped(self):
        files = schedule_files.paths()
        listed = read(os.path.join(ROOT, "series/lab/07-run-system-calls-on-a/files"))
        for which, folder in (("schedule_files", ""), ("alone", "alone/")):
            names = {name.split(".")[0] for name in
                     schedule_files.expected.load(which)["patched"] if name.count(".") == 3}
            self.assertTrue(names)
            for name in names:
                path = files.pop(f"{name}.sched")
                self.assertEqual(schedule_files.ident(path), path)
                self.assertEqual(schedule_files.shipped(path), which)
                self.assertIn(f"/schedules/{folder}{name}.sched\n", listed)
        self.assertEqual(files, {})
        self.assertFalse(schedule_files.shipped("my.sched"))
