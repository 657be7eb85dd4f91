# SPDX-License-Identifier: GPL-2.0-only
"""A stress test that fails, gives up or does not do its share is seen."""

import math
import unittest
from unittest import mock

from driver import cli
from driver.core import expected
from driver.core.paths import logfile
from driver.core.stage import Fail, Stage
from driver.core.tally import Tally
from driver.suites import stress
from driver.tests.helpers import counted, quiet

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
    return cli.parser().parse_args(["stress", *words])


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
    def judged(self, text, on="stock", whole=True):
        tally = Tally()
        with mock.patch.object(expected, "load", return_value=WANT):
            found = stress.judge(tally, on, text, "again", whole)
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
        # In a part of another run not all of it has to
        tally, _ = self.judged(TAP + "# not joined: swap: no /dev/ram0\n", whole=False)
        self.assertEqual(tally.failed, [])

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


class Run(unittest.TestCase):
    """With a stand-in for the guest."""

    def stress(self, text, failure=None):
        context, args = counted(), parsed("--seed", "7", "--on", "stock")

        def boot(image, initrd, name, *rest):
            for suffix in ("console", "tap"):
                with open(logfile(f"driver-test.{suffix}"), "w") as out:
                    out.write(text)
            if failure:
                raise failure
        with mock.patch.object(stress.qemu, "boot", boot), mock.patch.multiple(
                stress, image_of=mock.DEFAULT, logfile=lambda name: logfile(
                    "driver-test." + name.rpartition(".")[2])), mock.patch.object(
                stress.selftests, "initramfs"), mock.patch.object(
                stress.console, "is_clean"), mock.patch.object(
                expected, "load", return_value=WANT), quiet() as out:
            stress.stress(context, args)
        return context.tally, out.getvalue()

    def test_good(self):
        tally, said = self.stress(TAP)
        self.assertEqual(tally.failed, [])
        for line in ("not ok 2 folio_stress.tcp_no_orphan #  3 times: ", "# verdict: 1 of 2 checks",
                     "the same load again: ./run stress --minutes 1 --seed 7 --on stock\n"):
            self.assertIn(line, said)

    def test_a_guest_that_dies(self):
        tally, said = self.stress("1..2\n", Fail("the guest died"))
        self.assertRegex("".join(tally.failed),
                         r"^stress-stock: the guest died \(all it said: out/log/")
        self.assertEqual(tally.reruns, ["./run stress --minutes 1 --seed 7 --on stock"])
        self.assertIn("the same load again", said)

    def test_the_seed_of_a_run_without_one(self):
        args = parsed()
        with mock.patch.multiple(stress, image_of=mock.DEFAULT, read=lambda path: "",
                                 judge=mock.DEFAULT), \
                mock.patch.object(stress.qemu, "boot"), mock.patch.object(
                stress.selftests, "initramfs"), mock.patch.object(
                stress.console, "is_clean"), quiet():
            stress.stress(counted(), args)
        self.assertEqual(stress.seed(str(args.seed)), args.seed)
