# SPDX-License-Identifier: GPL-2.0-only
"""Whatever is not as expected is a failure, and names what does it again."""

import unittest

from driver.core.tally import Tally, environment
from driver.tests import helpers
from driver.tests.helpers import quiet


class Expectations(unittest.TestCase):
    def verdict(self, results, expected):
        tally = Tally()
        tally.add("x", results, expected, "./run")
        return helpers.ended(tally)

    def test_as_expected(self):
        status, text = self.verdict({"a": "pass", "b": "fail"}, {"a": "pass", "b": "fail"})
        self.assertEqual(status, 0)
        self.assertIn("verdict: 2 passed, 0 failed, 0 skipped", text)

    def test_skips_are_counted(self):
        status, text = self.verdict({"a": "pass", "b": "skip"}, {"a": "pass", "b": "skip"})
        self.assertEqual(status, 0)
        self.assertIn("verdict: 1 passed, 0 failed, 1 skipped", text)

    def test_everything_else_fails(self):
        for results, expected in (({"a": "fail"}, {"a": "pass"}),
                                  ({"a": "pass"}, {"a": "fail"}),
                                  ({"a": "skip"}, {"a": "pass"}),
                                  ({}, {"a": "pass"}),
                                  ({"a": "pass", "b": "pass"}, {"a": "pass"}),
                                  ({}, {})):
            with self.subTest(results=results, expected=expected):
                self.assertEqual(self.verdict(results, expected)[0], 1)

    def test_words(self):
        tally = Tally()
        tally.add("here", {"a": "fail", "new": "pass"}, {"a": "pass", "b": "pass"}, "./run x",
                  {"a": "it broke"}, "out/log/x")
        self.assertEqual(tally.failed, [
            "here: a is fail, expected pass: it broke", "here: b is missing, it did not run",
            "here: new is new: say in driver/expected/ what it should be\n"
            "    (all it said: out/log/x)"])
        self.assertEqual(tally.reruns, ["./run x"])


class Reruns(unittest.TestCase):
    def test_rerun_names_the_base(self):
        tally = Tally(before="BASE=6.12 ")
        tally.check(False, "x", "./run replay")
        tally.add("x", {"a": "fail"}, {"a": "pass"}, "./run selftest")
        self.assertEqual(tally.reruns, ["BASE=6.12 ./run replay", "BASE=6.12 ./run selftest"])

    def test_the_tally_s_own(self):
        tally = Tally("./run test x")
        tally.fail("y")
        tally.fail("z")
        status, text = helpers.ended(tally)
        self.assertEqual((status, text.count("rerun just this: ./run test x\n")), (1, 1))
        for line in ("NOT AS EXPECTED: y\n", "NOT AS EXPECTED: z\n", "0 passed, 2 failed"):
            self.assertIn(line, text)

    def test_environment(self):
        for settings, words in (({}, ""), ({"BASE": "6.12"}, "BASE=6.12 "), ({"BASE": ""}, ""),
                                ({"KDIR": "/k", "BASE": "7.3"}, "KDIR=/k BASE=7.3 ")):
            with helpers.environment(**settings):
                self.assertEqual(environment(), words)


class Sums(unittest.TestCase):
    def test_merge(self):
        one, other = Tally("./run"), Tally("./run test x", "BASE=6.12 ")
        one.check(True, "")
        other.check(True, "")
        other.fail("y")
        with quiet() as out:
            other.leave_out("z: no time")
        self.assertEqual(out.getvalue(), "not run: z: no time\n")
        one.merge(other)
        self.assertEqual((one.passed, one.failed, one.skipped, one.reruns),
                         (2, ["y"], 1, ["BASE=6.12 ./run test x"]))
