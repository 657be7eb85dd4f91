# SPDX-License-Identifier: GPL-2.0-only
"""./run bench: figures that are wrong, missing or over a bar must be seen."""

import functools
import subprocess
import unittest
from types import SimpleNamespace
from unittest import mock

from driver.commands import bench as command
from driver.core.stage import Fail
from driver.core.tally import Tally
from driver.suites import bench
from driver.tests import helpers
from driver.tests.helpers import counted

TEXT = """TAP version 13
1..2
# sample: refuse 64 64 640 6400
# sample: refuse 64 64 320 3200
# sample: refuse 512 512 512 5120
# sample: isolate+put.put 2 0 0 0
ok 1 refuse
ok 2 # SKIP isolate+put # needs a second CPU
"""


class Samples(unittest.TestCase):
    def test_samples(self):
        self.assertEqual(bench.samples(TEXT, 0), {("refuse", 64): [10, 5], ("refuse", 512): [1]})
        self.assertEqual(bench.samples(TEXT, 1), {("refuse", 64): [100, 50], ("refuse", 512): [10]})

    def test_rounds(self):
        self.assertEqual(bench.by_round({"stock": bench.samples(TEXT, 0), "patched": {}}),
                         [{"stock": {("refuse", 64): 10, ("refuse", 512): 1}, "patched": {}},
                          {"stock": {("refuse", 64): 5}, "patched": {}}])

    def verdict(self, text, skipped):
        tally = Tally()
        bench.results_of(tally, text, "x", "x.log", skipped)
        return helpers.ended(tally)[1]

    def test_good(self):
        self.assertNotIn("NOT AS", self.verdict(TEXT, ["isolate+put"]))

    def test_skipped(self):
        self.assertIn("isolate+put: skip needs a second CPU, not pass", self.verdict(TEXT, []))

    def test_not_skipped(self):
        self.assertIn("refuse: pass, not skip", self.verdict(TEXT, ["refuse", "isolate+put"]))

    def test_failed(self):
        self.assertIn("refuse: fail", self.verdict(TEXT.replace("ok 1", "not ok 1"),
                                                   ["isolate+put"]))


class Turns(unittest.TestCase):
    GUEST = ["bash", "-c", "for i in 1 2; do echo '# turn'; read; echo; "
             "echo \"# sample: x 1 1 $i 0\"; done"]

    def turns(self, *guest):
        stand = SimpleNamespace(Popen=functools.partial(self.start, guest or self.GUEST),
                                PIPE=subprocess.PIPE, STDOUT=subprocess.STDOUT)
        with mock.patch.multiple(bench, UML=[], subprocess=stand):
            uml = bench.Uml("image", "initrd", "driver-test.log")
        self.addCleanup(uml.end)
        uml.wait()
        count = 0
        while not uml.ended and count < 8:
            uml.turn()
            count += 1
        return count, uml.text

    @staticmethod
    def start(guest, args, **how):
        return subprocess.Popen(guest, **how)

    def test_turns(self):
        count, text = self.turns()
        self.assertEqual((count, bench.samples(text, 0)), (2, {("x", 1): [1, 2]}))

    def test_dies(self):
        self.assertEqual(self.turns("bash", "-c", "echo '# turn'")[0], 1)

    def test_hangs(self):
        with mock.patch.object(bench, "TURN_LIMIT", 0), self.assertRaisesRegex(
                Fail, "UML said nothing for 0 s"):
            self.turns("sleep", "9")
        with mock.patch.object(bench, "TURN_LIMIT", 1), self.assertRaisesRegex(
                Fail, "UML said nothing for 1 s that ends its turn"):
            self.turns("bash", "-c", "while sleep 0.1; do echo x; done")


class Machines(unittest.TestCase):
    def test_uml_with_one_cpu(self):
        with self.assertRaisesRegex(Fail, "UML has one in Linux 6.12.9: BASE=7.3 ./run bench"):
            command.run(counted(uml_smp=False, version="6.12.9"), None)


class Ratios(unittest.TestCase):
    ROUNDS = [{"stock": {("refuse", 64): 10.0}, "patched": {("refuse", 64): value}}
              for value in (5.0, 3.0, 40.0)]

    def test_median(self):
        self.assertEqual(bench.ratios(self.ROUNDS, "patched", "stock"),
                         {("refuse", 64): (0.5, 0.3, 4)})

    def test_confidence(self):
        self.assertEqual(bench.confidence([1]), [1, 1])
        self.assertEqual(bench.confidence([*range(100)]), [40, 60])


class Bars(unittest.TestCase):
    def figures(self, **more):
        """Figures that are within each bar, but for more."""
        found = {kernel: {} for kernel in bench.KERNELS}
        for bar in bench.BARS:
            for work in bar.works:
                for kernel, value in ((bench.STOCK, 100.0), (bench.LOCK_FIRST, 250.0)):
                    found[kernel][work, 1024] = value
                found[bench.PATCHED][work, 1024] = more.get(
                    work.replace(".", "_"), {"refuse": 40.0, "orphans": 10.0}.get(work, 100.0))
        return found

    def verdict(self, **more):
        tally, figures = Tally(), self.figures(**more)
        for work in [work for work, value in more.items() if value is None]:
            for kernel in bench.KERNELS:
                del figures[kernel][work.replace("_", "."), 1024]
        bench.judge(tally, figures, [figures])
        return helpers.ended(tally)[1]

    def test_good(self):
        self.assertIn("0 failed", self.verdict())

    def test_over(self):
        self.assertRegex(self.verdict(isolate_file=104.0),
                         r"\(a\) isolate.file 1k, instructions: 1.040, not patched/stock at most")

    def test_under(self):
        self.assertRegex(self.verdict(munmap_anon=98.0), r"\(d\) munmap.anon 1k, .*: 0.980, not")

    def test_throughput(self):
        self.assertRegex(self.verdict(**{"isolate+put_put": 130.0}),
                         r"\(e\) isolate\+put.put 1k, time: 1.923, not lock-first/patched at "
                         "least 2")

    def test_noise(self):
        for last, want in ((101.0, "0 failed"), (109.0, r"\(f\) fault.ext4 1k, time: 1.090, not")):
            tally = Tally()
            bench.judge(tally, self.figures(), [self.figures(fault_ext4=value)
                                                 for value in (last, last, 108.0, 109.0, 109.0)])
            self.assertRegex(helpers.ended(tally)[1], want)

    def test_median_counts(self):
        """Where noise is no excuse, whatever the interval of confidence is."""
        tally = Tally()
        bench.judge(tally, self.figures(), [self.figures(isolate_file=value)
                                             for value in (100.0, 103.0, 103.0)])
        self.assertRegex("".join(tally.failed), r"\(a\) isolate.file 1k, time: 1.030, not")

    def test_missing(self):
        self.assertIn("(c) orphans: nothing was measured", self.verdict(orphans=None))
