# SPDX-License-Identifier: GPL-2.0-only
"""Tests of sched.py and of what lab.py takes for schedule files: run by ./run test."""

import contextlib
import io
import os
import sys
import tempfile
import unittest
from unittest import mock

import judge
import lab
import sched
from stage import Fail

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
            scenario = sched.story(text)["my.one.tmpfs.small"]
            self.assertEqual((scenario.outcome, scenario.runs, len(scenario.events)),
                             ("held", 1, 1))

    def judge(self, stories, verdict="pass"):
        tally = judge.Tally()
        name = "my.one.tmpfs.small"
        sched.judged(tally, "here", {name: verdict}, {name: verdict}, stories, "./run")
        return tally

    def test_a_result_without_a_story_is_a_failure(self):
        self.assertFalse(self.judge(sched.story(STORY)).failed)
        self.assertTrue(self.judge({}).failed)
        cut = STORY[:STORY.index("# # folio_race: verdict")]
        self.assertTrue(self.judge(sched.story(cut)).failed)

    def test_what_was_skipped_has_none(self):
        self.assertFalse(self.judge({}, "skip").failed)

    def test_those_that_went_wrong_are_drawn_first(self):
        scenario = sched.story(STORY)["my.one.tmpfs.small"]
        stories = {"stock": {"my.one.tmpfs.small": scenario, "my.one.ext4.small": scenario,
                             "my.two.ext4.small": scenario}}
        with contextlib.redirect_stdout(io.StringIO()) as out, \
             mock.patch("race.write_page"):
            sched.draw(None, stories, {"my.one.ext4.small"}, "my.sched")
        shown = [line.split(". ")[0] for line in out.getvalue().splitlines() if ". A title" in line]
        self.assertEqual(shown, ["my.one.ext4.small", "my.one.tmpfs.small", "my.two.ext4.small"])


class Arguments(unittest.TestCase):
    def test_a_file_that_is_not_there(self):
        with self.assertRaisesRegex(Fail, "there is no schedule file no/such.sched"):
            lab.ident("no/such.sched")

    def test_a_name_that_a_command_line_would_cut(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "my file.sched")
            open(path, "w").close()
            with self.assertRaisesRegex(Fail, "name the file with letters"):
                lab.ident(path)

    def command(self, *words):
        with mock.patch.object(sys, "argv", ["run", *words]), mock.patch("lab.commits"):
            args = lab.arguments()
            return args.command(None, judge.Tally(), args)

    def test_one_file_at_a_time(self):
        with tempfile.NamedTemporaryFile(suffix=".sched") as file:
            for more in ("F", "--repeat=2"):
                with self.assertRaisesRegex(Fail, "one schedule file at a time"):
                    self.command("replay", file.name, more)

    def test_on_goes_with_a_file(self):
        with self.assertRaisesRegex(Fail, "--on goes with a schedule file"):
            self.command("replay", "--on", "stock", "F")

    def test_only_kernels_with_sync_points(self):
        with self.assertRaisesRegex(Fail, "no kernel 'mm' with sync points"):
            self.command("selftest", "folio_sched", "mm")

    def test_the_mistakes_are_in_the_good_file(self):
        for old, _, _ in sched.MISTAKES:
            self.assertIn(old, sched.GOOD)


if __name__ == "__main__":
    unittest.main()
