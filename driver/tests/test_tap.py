# SPDX-License-Identifier: GPL-2.0-only
"""What a test printed is read as a whole, or is a failure."""

import unittest

from driver.core import tap
from driver.core.stage import Fail

GOOD = """TAP version 13
# TAP version 13
# 1..2
# ok 1 lru.isolate
# ok 2 lru.orphan # SKIP tcp maps no orphan
# # Totals: pass:1 fail:0
ok 1 lru
1..1
"""


class Tap(unittest.TestCase):
    def test_skip_of_a_test_with_arguments(self):
        results, reasons = tap.parse("1..2\nok 1 sched a.sched b.sched # SKIP\nok 2 other c\n")
        self.assertEqual(results, {"sched": "skip", "other": "pass"})
        self.assertEqual(reasons, {"sched": ""})

    def test_skip_before_the_name(self):
        self.assertEqual(tap.parse("1..1\nok 1 # SKIP pageout # no file\n"),
                         ({"pageout": "skip"}, {"pageout": "no file"}))

    def test_good(self):
        results, reasons = tap.parse(GOOD)
        self.assertEqual(results, {"lru.isolate": "pass", "lru.orphan": "skip", "lru": "pass"})
        self.assertEqual(reasons, {"lru.orphan": "tcp maps no orphan"})

    def test_failure(self):
        self.assertEqual(tap.parse("1..1\nnot ok 1 lru\n")[0], {"lru": "fail"})
        self.assertEqual(tap.parse("1..1\nnot ok 1 lru # exit=1\n")[0], {"lru": "fail"})

    def test_xfail_is_a_skip_and_todo_is_none(self):
        self.assertEqual(tap.parse("1..2\nok 1 a # XFAIL no swap\nnot ok 2 b # TODO\n"),
                         ({"a": "skip", "b": "fail"}, {"a": "no swap"}))

    def test_nothing_ran(self):
        for text in ("TAP version 13\n1..0\n", ""):
            with self.assertRaisesRegex(Fail, "no test ran"):
                tap.parse(text)

    def test_died_halfway(self):
        with self.assertRaisesRegex(Fail, "3 results .* 2 seen: .* died halfway"):
            tap.parse(GOOD.replace("# ok 2 lru.orphan # SKIP tcp maps no orphan\n", ""))

    def test_reported_twice(self):
        with self.assertRaisesRegex(Fail, "the check a is reported twice"):
            tap.parse("1..2\nok 1 a\nok 2 a\n")

    def test_lines(self):
        self.assertEqual([(line.depth, line.name, line.verdict) for line in tap.lines(GOOD)],
                         [(1, "lru.isolate", "pass"), (1, "lru.orphan", "skip"),
                          (0, "lru", "pass")])
