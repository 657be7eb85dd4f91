# SPDX-License-Identifier: GPL-2.0-only
"""Each stage is one line, and what takes long shows that it is at work."""

import unittest
from unittest import mock

from driver.core import stage
from driver.core.stage import Fail
from driver.tests.helpers import quiet


class Stages(unittest.TestCase):
    def test_line(self):
        with quiet() as out, stage.stage("build x") as this:
            self.assertIs(stage.current(), this)
            this.note = "7 files"
        self.assertRegex(out.getvalue(), r"^build x {37} +0s  7 files\n$")

    def test_failure(self):
        with quiet() as out, self.assertRaises(Fail), stage.stage("build x"):
            raise Fail("no disk")
        self.assertRegex(out.getvalue(), r"^build x +FAILED\n$")

    def test_one_in_another(self):
        before = stage.current()
        with quiet() as out, stage.stage("outer") as outer:
            with stage.stage("inner"):
                self.assertEqual(stage.current().name, "inner")
            self.assertIs(stage.current(), outer)
        self.assertIs(stage.current(), before)
        self.assertEqual([line.split()[0] for line in out.getvalue().splitlines()],
                         ["inner", "outer"])

    def test_progress_off_a_terminal(self):
        this = stage.Stage("build x")
        with quiet() as out:
            this.progress("1 steps")
            self.assertEqual(out.getvalue(), "")
            this.reported -= stage.REPORT_EVERY
            this.progress("2 steps")
            this.progress("3 steps")
        self.assertRegex(out.getvalue(), r"^  \.\.\. build x: 2 steps, 0s\n$")

    def test_on_a_terminal_a_line_is_rewritten(self):
        this = stage.Stage("build x")
        this.reported -= 1
        with quiet() as out, mock.patch.object(out, "isatty", lambda: True):
            this.progress("2 steps")
            stage.say("done")
        self.assertEqual(out.getvalue(), "\r\x1b[K  ... build x: 2 steps, 0s\r\r\x1b[Kdone\n")
