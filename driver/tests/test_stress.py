# SPDX-License-Identifier: GPL-2.0-only
"""A stress test that fails, gives up or does not do its share is seen."""

import math

from driver.core import expected
from driver.core.stage import Fail, Stage
from driver.suites import stress
from driver.tests.helpers import Case, failures_of, log, own_logs, parsed, tally_of

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


class Stress(Case):
    def judged(self, text, on="stock", whole=True):
        self.patch(expected, load=lambda name: WANT)
        return failures_of(stress.judge, on, text, "again", whole)

    def test_rates(self):
        found = stress.rates(TAP)
        self.assertEqual(found, {"fault": {"tmpfs": 20.0},
                                 "move_pages": {"tmpfs": 0.1, "anon": 0.2}})
        self.assertEqual([line.split() for line in stress.table(found).splitlines()],
                         [["actions/s", "tmpfs", "anon"], ["fault", "20.0"],
                          ["move_pages", "0.1", "0.2"]])

    def test_verdict(self):
        self.assertEqual(self.judged(TAP), [])
        self.assertEqual(len(self.judged(TAP, "mm+tcp")), 1)
        no_rate = "".join(line for line in TAP.splitlines(True) if "rate" not in line)
        self.assertEqual(self.judged(no_rate), ["stress on stock: no rate was printed"])
        not_joined = TAP + "# not joined: swap: no /dev/ram0\n"
        self.assertEqual(self.judged(not_joined),
                         ["stress on stock: did not take part: swap: no /dev/ram0"])
        # In a part of another run not all of it has to
        self.assertEqual(self.judged(not_joined, whole=False), [])

    def test_gave_up(self):
        self.assertFail("the test gave up: ext4.fork does not end", self.judged,
                        "1..2\nBail out! ext4.fork does not end within 120 s; seed 7\n")
        self.assertFail("a test died halfway", self.judged, TAP.replace("ok 1", "# ok1"))

    def test_progress_is_shown_soon(self):
        this = Stage("stress")
        told = stress.progress(this)
        self.assertIsNone(told("ok 1 folio_stress.reads"))
        self.assertTrue(told(TAP.splitlines()[3] + "\n").startswith("10 of 60 s"))
        self.assertNotEqual(this.reported, -math.inf)
        this.reported -= stress.SAY_EVERY
        told(TAP.splitlines()[3])
        self.assertEqual(this.reported, -math.inf)

    def test_command(self):
        self.assertEqual(stress.command(parsed("stress", "--seed", "7")),
                         "./run stress --minutes 1 --seed 7")
        words = "--minutes 0.5 --seed 0 --on stock --debug kasan"
        self.assertEqual(stress.command(parsed("stress", *words.split())), f"./run stress {words}")

    def stress(self, text, *words, failure=None):
        def boot(*args):
            for suffix in ("console", "tap"):
                log(text, suffix)
            if failure:
                raise failure
        self.patch(stress.qemu, boot=boot)
        self.patch(stress, "image_of", logfile=own_logs)
        self.patch(stress.selftests, "initramfs")
        self.patch(stress.console, "is_clean")
        self.patch(expected, load=lambda name: WANT)
        args = parsed("stress", "--on", "stock", *words)
        tally = tally_of(stress.stress, args)
        self.assertIn(f"the same load again: ./run stress --minutes 1 --seed {args.seed} "
                      "--on stock\n", self.out.getvalue())
        return tally, args.seed

    def test_run(self):
        tally, _ = self.stress(TAP, "--seed", "7")
        self.assertEqual(tally.failed, [])
        for line in ("not ok 2 folio_stress.tcp_no_orphan #  3 times: ",
                     "# verdict: 1 of 2 checks"):
            self.assertIn(line, self.out.getvalue())
        _, seed = self.stress(TAP)
        self.assertEqual(stress.seed(str(seed)), seed)
        tally, _ = self.stress("1..2\n", "--seed", "7", failure=Fail("the guest died"))
        self.assertRegex("".join(tally.failed),
                         r"^stress-stock: the guest died \(all it said: out/log/")
        self.assertEqual(tally.reruns, ["./run stress --minutes 1 --seed 7 --on stock"])
