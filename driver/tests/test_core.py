# SPDX-License-Identifier: GPL-2.0-only
"""What is expected, what a test or a command did, and what is counted and shown of it."""

import os
import re
import time
from unittest import mock

from driver.core import expected, process, stage, tables, tap
from driver.core.paths import EXPECTED, logfile, read
from driver.core.process import run
from driver.core.stage import Fail
from driver.core.tally import Tally, environment
from driver.kernel.source import RELEASES
from driver.tests.helpers import Case, after_interrupt

LOG = "driver-test.log"
GOOD = """TAP version 13
# TAP version 13
# 1..2
# ok 1 lru.isolate
# ok 2 lru.orphan # SKIP tcp maps no orphan
# # Totals: pass:1 fail:0
ok 1 lru
1..1
"""


class Expected(Case):
    """What each check must be is written down without mistakes, for each kernel."""

    def load(self, columns, checks, release="7.3", more=""):
        folder = self.folder({"x.toml": f"columns = {columns}\n[checks]\n{checks}\n{more}"})
        return expected.load("x", release, folder)

    def test_load(self):
        two, on = ('["a", "b"]', '"c" = ["pass", "fail"]'), '[on."6.12"]\n"c" = '
        self.assertEqual(self.load(*two, "7.3", on + '["skip"]'),
                         {"a": {"c": "pass"}, "b": {"c": "fail"}})
        self.assertEqual(self.load(*two, "6.12", on + '["skip", "fail"]'),
                         {"a": {"c": "skip"}, "b": {"c": "fail"}})
        for said, *text in (
                (r"x\.toml: Invalid value", '["a", "b"]', '"c" = ["pass",'),
                (r"x\.toml: c has 1 verdicts, and there are the columns a, b",
                 '["a", "b"]', '"c" = ["pass"]'),
                (r"x\.toml: c has 2 verdicts, and there are the columns a",
                 '["a"]', '"c" = ["pass", "fail"]'),
                ("c has 1 verdicts", *two, "6.12", on + '["skip"]')):
            self.assertFail(said, self.load, *text)

    def test_files(self):
        names = [file.removesuffix(".toml") for file in sorted(os.listdir(EXPECTED))]
        files = {name: expected.load_file(name)[1] for name in names}
        files = {name: text for name, text in files.items() if "checks" in text}
        sets = files.pop("sets")
        self.assertLessEqual({*sets["injected"]}, {*sets["checks"]})
        for release, checks in sets["on"].items():
            self.assertIn(release, RELEASES)
            self.assertLessEqual(set(checks), set(sets["checks"]))
        self.assertEqual({*files}, {"alone", "kunit", "scenarios", "schedule_files", "selftests",
                                    "stress"})
        for name, text in files.items():
            for release in RELEASES:
                for checks in expected.load(name, release).values():
                    self.assertTrue(checks, name)
                    self.assertLessEqual({*checks.values()}, {"pass", "fail", "skip"}, name)
            # expected.load() is not asked for others by release
            self.assertIn(name, ["alone", "scenarios", "schedule_files"] if "on" in text
                          else names)
            for release, checks in text.get("on", {}).items():
                self.assertIn(release, RELEASES)
                self.assertLessEqual(set(checks), set(text["checks"]))
                self.assertNotEqual(expected.load(name, release), expected.load(name))


class Tap(Case):
    """What a test printed is read as a whole, or is a failure."""

    def test_parse(self):
        for text, results, reasons in (
                (GOOD, {"lru.isolate": "pass", "lru.orphan": "skip", "lru": "pass"},
                 {"lru.orphan": "tcp maps no orphan"}),
                ("1..1\nnot ok 1 lru\n", {"lru": "fail"}, {}),
                ("1..1\nnot ok 1 lru # exit=1\n", {"lru": "fail"}, {}),
                # A test with arguments; what skips may have its name behind
                ("1..2\nok 1 sched a.sched b.sched # SKIP\nok 2 other c\n",
                 {"sched": "skip", "other": "pass"}, {"sched": ""}),
                ("1..1\nok 1 # SKIP pageout # no file\n", {"pageout": "skip"},
                 {"pageout": "no file"}),
                ("1..2\nok 1 a # XFAIL no swap\nnot ok 2 b # TODO\n",
                 {"a": "skip", "b": "fail"}, {"a": "no swap"})):
            self.assertEqual(tap.parse(text), (results, reasons), text)
        self.assertEqual([(line.depth, line.name, line.verdict) for line in tap.lines(GOOD)],
                         [(1, "lru.isolate", "pass"), (1, "lru.orphan", "skip"),
                          (0, "lru", "pass")])
        lost = GOOD.replace("# ok 2 lru.orphan # SKIP tcp maps no orphan\n", "")
        for said, text in (("no test ran", "TAP version 13\n1..0\n"), ("no test ran", ""),
                           ("3 results .* 2 seen: .* died halfway", lost),
                           ("the check a is reported twice", "1..2\nok 1 a\nok 2 a\n")):
            self.assertFail(said, tap.parse, text)


class Tallies(Case):
    """Whatever is not as expected is a failure, and names what does it again."""

    def test_verdict(self):
        for results, want, said in (
                ({"a": "pass", "b": "fail"}, {"a": "pass", "b": "fail"}, (2, 0, 0)),
                ({"a": "pass", "b": "skip"}, {"a": "pass", "b": "skip"}, (1, 0, 1)),
                ({"a": "fail"}, {"a": "pass"}, (0, 1, 0)),
                ({"a": "pass"}, {"a": "fail"}, (0, 1, 0)),
                ({"a": "skip"}, {"a": "pass"}, (0, 1, 0)), ({}, {"a": "pass"}, (0, 1, 0)),
                ({"a": "pass", "b": "pass"}, {"a": "pass"}, (1, 1, 0)), ({}, {}, (0, 0, 0))):
            tally = Tally()
            tally.add("x", results, want, "./run")
            self.assertEqual(tally.verdict(), 0 if said[0] and not said[1] else 1)
            self.assertIn("verdict: {} passed, {} failed, {} skipped\n".format(*said),
                          self.printed())
        tally = Tally()
        tally.add("here", {"a": "fail", "new": "pass"}, {"a": "pass", "b": "pass"}, "./run x",
                  {"a": "it broke"}, "out/log/x")
        self.assertEqual(tally.failed, [
            "here: a is fail, expected pass: it broke", "here: b is missing, it did not run",
            "here: new is new: say in driver/expected/ what it should be\n"
            "    (all it said: out/log/x)"])
        self.assertEqual(tally.reruns, ["./run x"])

    def test_reruns_and_merge(self):
        tally = Tally(before="BASE=6.12 ")
        tally.check(False, "x", "./run replay")
        tally.add("x", {"a": "fail"}, {"a": "pass"}, "./run selftest")
        self.assertEqual(tally.reruns, ["BASE=6.12 ./run replay", "BASE=6.12 ./run selftest"])
        tally = Tally("./run test x")           # its own, if none is named; said once
        tally.fail("y")
        tally.fail("z")
        self.assertEqual(tally.verdict(), 1)
        text = self.printed()
        for line in ("NOT AS EXPECTED: y\n", "NOT AS EXPECTED: z\n",
                     "rerun just this: ./run test x\n"):
            self.assertEqual(text.count(line), 1)
        for settings, words in (({}, ""), ({"BASE": "6.12"}, "BASE=6.12 "), ({"BASE": ""}, ""),
                                ({"KDIR": "/k", "BASE": "7.3"}, "KDIR=/k BASE=7.3 ")):
            self.settings(**settings)
            self.assertEqual(environment(), words)
        one, other = Tally("./run"), Tally("./run test x", "BASE=6.12 ")
        for tally in (one, other):
            tally.check(True, "")
        other.fail("y")
        other.leave_out("z: no time")
        self.assertEqual(self.printed(), "not run: z: no time\n")
        one.merge(other)
        self.assertEqual((one.passed, one.failed, one.skipped, one.reruns),
                         (2, ["y"], 1, ["BASE=6.12 ./run test x"]))


class Stages(Case):
    """Each stage is one line, and what takes long shows that it is at work."""

    def test_line(self):
        before = stage.current()
        with stage.stage("build x") as this:
            self.assertIs(stage.current(), this)
            this.note = "7 files"
            with stage.stage("inner"):
                self.assertEqual(stage.current().name, "inner")
            self.assertIs(stage.current(), this)
        self.assertIs(stage.current(), before)
        self.assertRegex(self.printed(), r"^inner +0s\nbuild x {37} +0s  7 files\n$")
        with self.assertRaises(Fail), stage.stage("build x"):
            raise Fail("no disk")
        self.assertRegex(self.printed(), r"^build x +FAILED\n$")

    def test_progress(self):
        this = stage.Stage("build x")
        this.progress("1 steps")
        self.assertEqual(self.printed(), "")
        this.reported -= stage.REPORT_EVERY
        for steps in (2, 3):
            this.progress(f"{steps} steps")
        self.assertRegex(self.printed(), r"^  \.\.\. build x: 2 steps, 0s\n$")
        this.reported -= 1          # on a terminal, a line is rewritten
        with mock.patch.object(self.out, "isatty", lambda: True):
            this.progress("2 steps")
            stage.say("done")
        self.assertEqual(self.printed(), "\r\x1b[K  ... build x: 2 steps, 0s\r\r\x1b[Kdone\n")

    def test_tables(self):
        self.assertEqual(tables.grid([["name", "n"], ["a", "10"]], right=(1,)),
                         "name   n\na     10\n")
        self.assertEqual(tables.grid([["a", ""]]), "a\n")
        self.assertEqual(tables.markdown([["a", "b"], ["1", "2"]]),
                         "| a | b |\n| --- | --- |\n| 1 | 2 |\n")
        # What was seen, and what was to be seen if that is another thing
        for got, want, text in (("pass", "pass", "pass"), ("fail", "fail", tables.KNOWN),
                                ("skip", "skip", "skip"), ("fail", "pass", "FAIL (expected pass)"),
                                (None, "fail", "MISSING (expected fail)")):
            self.assertEqual(tables.cell(got, want), text)
        lines = tables.results(
            {"stock": {"a": "fail", "b": "pass"}, "mm": {"a": "pass"}},
            {"stock": {"a": "fail", "b": "pass"}, "mm": {"a": "pass", "b": "skip"}}).splitlines()
        self.assertEqual([re.split(" {2,}", line) for line in lines],
                         [["check", "stock", "mm"], ["a", "fail (known)", "pass"],
                          ["b", "pass", "MISSING (expected skip)"]])


class Process(Case):
    """A command that fails, hangs or leaves children behind is seen, and ended."""

    def test_ends_and_output(self):
        self.assertFail("(?s)exited 3; its output: out/log/.*the last words",
                        run, ["sh", "-c", "echo the last words; exit 3"], LOG)
        self.assertEqual(run(["false"], LOG, check=False), (1, logfile(LOG)))
        self.assertFail("sleep did not end within 0.1 s", run, ["sleep", "60"], LOG, timeout=0.1)

    def test_nothing_outlives_it(self):
        run(["sh", "-c", "sleep 60 > /dev/null 2>&1 & echo $!"], LOG)
        stat = f"/proc/{read(logfile(LOG)).strip()}/stat"
        for _ in range(100):
            if not os.path.exists(stat) or read(stat).rpartition(") ")[2].startswith("Z"):
                return
            time.sleep(0.02)
        self.fail("a child of the command is at work")

    def test_progress_is_shown(self):
        current = self.patch(process, "current")
        run(["printf", "%s\n", "a", "step", "say so"], LOG,
            count=lambda line: {"step\n": True, "say so\n": "so"}.get(line))
        self.assertEqual(current.return_value.progress.mock_calls,
                         [mock.call("1 steps"), mock.call("so")])
        run(["sh", "-c", "pwd; echo $A; cat"], LOG, cwd="/", env={"A": "b"})
        self.assertEqual(read(logfile(LOG)), "/\nb\n")
        self.assertEqual(process.output(["cat"], stdin="a\n"), "a\n")
        self.assertFail("sh -c echo why >&2; exit 1 exited 1: why",
                        process.output, ["sh", "-c", "echo why >&2; exit 1"])

    def test_in_parallel(self):
        self.assertEqual(process.in_parallel(lambda number: number * 2, [3, 1, 2]), [6, 2, 4])
        began = time.monotonic()            # Ctrl-C ends it
        after_interrupt("""
process.JOBS = "2"
process.in_parallel(lambda number: process.run(["sleep", "4"], f"driver-test-{number}.log"),
                    range(4))
""", children=2)
        self.assertLess(time.monotonic() - began, 3)
