# SPDX-License-Identifier: GPL-2.0-only
"""Tests of scripts/stress.py."""

import argparse
import math
import unittest
from unittest import mock

import judge
import stress
from stage import Fail, Stage

TAP = """\
TAP version 13
1..2
# seed 7, 60 s
# progress: 10 of 60 s, 500 operations, 12 kB of swap used
# rate: tmpfs.fault 1200 20.0
# rate: tmpfs.move_pages 6 0.1
# rate: anon.move_pages 12 0.2
ok 1 folio_stress.reads
not ok 2 folio_stress.tcp_no_orphan #  3 times: pfn 0x1234 flags 0x1 was mapped
# verdict: 1 of 2 checks hold, 1218 operations in 60 s, seed 7
"""
WANT = {"stock": {"folio_stress.reads": "pass", "folio_stress.tcp_no_orphan": "fail"},
        "mm+tcp": {"folio_stress.reads": "pass", "folio_stress.tcp_no_orphan": "pass"}}


def parsed(*words):
    parser = argparse.ArgumentParser()
    stress.arguments(parser)
    return parser.parse_args(words)


class Arguments(unittest.TestCase):
    def test_minutes(self):
        self.assertEqual(parsed("--minutes", "0.5").minutes, 0.5)
        for bad in ("0", "-1", "abc", "nan", "inf", "1e9", ""):
            with self.assertRaisesRegex(Fail, "^--minutes .*: say for how many minutes"):
                stress.minutes(bad)

    def test_others(self):
        self.assertEqual(parsed("--seed", "0").seed, 0)
        for option, bad in (("--seed", "-1"), ("--seed", "4294967296"), ("--on", "lab"),
                            ("--debug", "kmsan")):
            with self.assertRaisesRegex(Fail, f"^{option} {bad}: "):
                parsed(f"{option}={bad}")

    def test_command(self):
        self.assertEqual(stress.command(parsed("--seed", "7")), "./run stress --minutes 1 --seed 7")
        words = ("--minutes", "0.5", "--seed", "7", "--on", "stock", "--debug", "kasan")
        self.assertEqual(stress.command(parsed(*words)), "./run stress " + " ".join(words))


class Output(unittest.TestCase):
    def judged(self, text, on="stock"):
        tally = judge.Tally()
        with mock.patch("judge.load", return_value=WANT):
            found = stress.judged(tally, on, text, "again")
        return tally, found

    def test_rates(self):
        found = stress.rates(TAP)
        self.assertEqual(found, {"fault": {"tmpfs": 20.0},
                                 "move_pages": {"tmpfs": 0.1, "anon": 0.2}})
        self.assertEqual([line.split() for line in stress.table(found).splitlines()],
                         [["actions/s", "tmpfs", "anon"], ["fault", "20.0"],
                          ["move_pages", "0.1", "0.2"]])

    def test_verdict(self):
        tally, _ = self.judged(TAP)
        self.assertEqual((tally.passed, tally.failed), (3, []))
        tally, _ = self.judged(TAP, "mm+tcp")
        self.assertEqual(len(tally.failed), 1)

    def test_did_not_take_part(self):
        tally, _ = self.judged(TAP + "# not joined: swap: no /dev/ram0\n")
        self.assertEqual(tally.failed, ["stress on stock: did not take part: swap: no /dev/ram0"])

    def test_nothing_was_done(self):
        tally, _ = self.judged("".join(line for line in TAP.splitlines(True) if "rate" not in line))
        self.assertEqual(tally.failed, ["stress on stock: no rate was printed"])

    def test_gave_up(self):
        with self.assertRaisesRegex(Fail, "the test gave up: ext4.fork does not end"):
            self.judged("1..2\nBail out! ext4.fork does not end within 120 s; seed 7\n")
        with self.assertRaisesRegex(Fail, "a test died halfway"):
            self.judged(TAP.replace("ok 1", "# ok1"))

    def test_progress_is_shown_soon(self):
        this = Stage("stress")
        told = stress.progress(this)
        self.assertIsNone(told("ok 1 folio_stress.reads"))
        self.assertTrue(told(TAP.splitlines()[3] + "\n").startswith("10 of 60 s"))
        self.assertNotEqual(this.reported, -math.inf)
        this.reported -= stress.SAY_EVERY
        told(TAP.splitlines()[3])
        self.assertEqual(this.reported, -math.inf)


if __name__ == "__main__":
    unittest.main()
