# SPDX-License-Identifier: GPL-2.0-only
"""./run bench: figures that are wrong, missing or over a bar must be seen."""

import contextlib
import io
import unittest

import bench
import judge

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
    def test_least(self):
        self.assertEqual(bench.samples(TEXT, 0), {("refuse", 64): 5, ("refuse", 512): 1})
        self.assertEqual(bench.samples(TEXT, 1), {("refuse", 64): 50, ("refuse", 512): 10})

    def test_contended(self):
        text = "".join(f"# sample: isolate+put.put 2 10 {10 * nsecs} 0\n" for nsecs in (3, 9, 7))
        self.assertEqual(bench.samples(text, 0), {("isolate+put.put", 2): 7})

    def test_contended(self):
        text = "".join(f"# sample: isolate+put.put 2 10 {10 * nsecs} 0\n" for nsecs in (3, 9, 7))
        self.assertEqual(bench.samples(text, 0), {("isolate+put.put", 2): 7})

    def verdict(self, text, skipped):
        tally = judge.Tally()
        bench.results_of(tally, text, "x", "x.log", skipped)
        with contextlib.redirect_stdout(io.StringIO()) as out:
            tally.verdict()
        return out.getvalue()

    def test_good(self):
        self.assertNotIn("NOT AS", self.verdict(TEXT, ["isolate+put"]))

    def test_skipped(self):
        self.assertIn("isolate+put: skip needs a second CPU, not pass", self.verdict(TEXT, []))

    def test_not_skipped(self):
        self.assertIn("refuse: pass, not skip", self.verdict(TEXT, ["refuse", "isolate+put"]))

    def test_failed(self):
        self.assertIn("refuse: fail", self.verdict(TEXT.replace("ok 1", "not ok 1"), ["isolate+put"]))


class Ratios(unittest.TestCase):
    ROUNDS = [{"stock": {("refuse", 64): 10.0}, "patched": {("refuse", 64): value}}
              for value in (5.0, 3.0, 40.0)]

    def test_median(self):
        self.assertEqual(bench.ratios(self.ROUNDS, "patched", "stock"),
                         {("refuse", 64): (0.5, 0.4, 2.25)})


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
        tally, figures = judge.Tally(), self.figures(**more)
        for work in [work for work, value in more.items() if value is None]:
            for kernel in bench.KERNELS:
                del figures[kernel][work.replace("_", "."), 1024]
        bench.judged(tally, figures, [figures])
        with contextlib.redirect_stdout(io.StringIO()) as out:
            tally.verdict()
        return out.getvalue()

    def test_good(self):
        self.assertIn("0 failed", self.verdict())

    def test_over(self):
        self.assertRegex(self.verdict(isolate_file=104.0),
                         r"\(a\) isolate.file 1k, instructions: 1.040, not patched/stock at most")

    def test_under(self):
        self.assertRegex(self.verdict(munmap_anon=98.0), r"\(d\) munmap.anon 1k, .*: 0.980, not")

    def test_throughput(self):
        self.assertRegex(self.verdict(**{"isolate+put_put": 130.0}),
                         r"\(e\) isolate\+put.put 1k, time: 1.923, not lock-first/patched at least 2")

    def test_noise(self):
        for last, want in ((101.0, "0 failed"), (109.0, r"\(f\) fault.ext4 1k, time: 1.090, not")):
            tally = judge.Tally()
            bench.judged(tally, self.figures(), [self.figures(fault_ext4=value)
                                                 for value in (last, last, 108.0, 109.0, 109.0)])
            with contextlib.redirect_stdout(io.StringIO()) as out:
                tally.verdict()
            self.assertRegex(out.getvalue(), want)

    def test_missing(self):
        self.assertIn("(c) orphans: nothing was measured", self.verdict(orphans=None))
