# SPDX-License-Identifier: GPL-2.0-only
"""./run bench: figures that are wrong, missing or over a bar must be seen."""

import subprocess
from types import SimpleNamespace

from driver.suites import bench
from driver.tests.helpers import Case, failures_of

TEXT = """TAP version 13
1..2
# sample: refuse 64 64 640 6400
# sample: refuse 64 64 320 3200
# sample: refuse 512 512 512 5120
# sample: isolate+put.put 2 0 0 0
ok 1 refuse
ok 2 # SKIP isolate+put # needs a second CPU
"""


class Measured(Case):
    GUEST = ["bash", "-c", "for i in 1 2; do echo '# turn'; read; echo; "
             "echo \"# sample: x 1 1 $i 0\"; done"]

    def test_samples(self):
        self.assertEqual(bench.samples(TEXT, 0), {("refuse", 64): [10, 5], ("refuse", 512): [1]})
        self.assertEqual(bench.samples(TEXT, 1), {("refuse", 64): [100, 50], ("refuse", 512): [10]})
        self.assertEqual(bench.by_round({"stock": bench.samples(TEXT, 0), "patched": {}}),
                         [{"stock": {("refuse", 64): 10, ("refuse", 512): 1}, "patched": {}},
                          {"stock": {("refuse", 64): 5}, "patched": {}}])

    def test_results(self):
        """What is to skip skips, and all else passes."""
        for text, skipped, said in (
                (TEXT, ["isolate+put"], ""),
                (TEXT, [], "isolate+put: skip needs a second CPU, not pass"),
                (TEXT, ["refuse", "isolate+put"], "refuse: pass, not skip"),
                (TEXT.replace("ok 1", "not ok 1"), ["isolate+put"], "refuse: fail")):
            failed = failures_of(bench.results_of, text, "x", "x.log", skipped)
            self.assertEqual(len(failed), bool(said))
            self.assertIn(said, "".join(failed))

    def turns(self, *guest):
        self.patch(bench, UML=[], subprocess=SimpleNamespace(
            Popen=lambda args, **how: subprocess.Popen(guest or self.GUEST, **how),
            PIPE=subprocess.PIPE, STDOUT=subprocess.STDOUT))
        uml = bench.Uml("image", "initrd", "driver-test.log")
        self.addCleanup(uml.end)
        uml.wait()
        count = 0
        while not uml.ended and count < 8:
            uml.turn()
            count += 1
        return count, uml.text

    def test_turns(self):
        count, text = self.turns()
        self.assertEqual((count, bench.samples(text, 0)), (2, {("x", 1): [1, 2]}))
        self.assertEqual(self.turns("bash", "-c", "echo '# turn'")[0], 1)       # it dies

    def test_hangs(self):
        for limit, guest in ((0, ["sleep", "9"]),
                             (0.3, ["bash", "-c", "while sleep 0.1; do echo x; done"])):
            self.patch(bench, TURN_LIMIT=limit)
            self.assertFail(f"UML said nothing for {limit} s that ends its turn",
                            self.turns, *guest)
        rounds = [{"stock": {("refuse", 64): 10.0}, "patched": {("refuse", 64): value}}
                  for value in (5.0, 3.0, 40.0)]
        self.assertEqual(bench.ratios(rounds, "patched", "stock"), {("refuse", 64): (0.5, 0.3, 4)})
        self.assertEqual(bench.confidence([1]), [1, 1])
        self.assertEqual(bench.confidence([*range(100)]), [40, 60])

    def figures(self, work, value):
        """Figures that are within each bar, but for one; None: it is not there."""
        found = {kernel: {} for kernel in bench.KERNELS}
        for each in {each for bar in bench.BARS for each in bar.works}:
            usual = {"refuse": 40.0, "orphans": 10.0}.get(each, 100.0)
            if each != work or value is not None:
                for kernel, figure in ((bench.STOCK, 100.0), (bench.LOCK_FIRST, 250.0),
                                       (bench.PATCHED, value if each == work else usual)):
                    found[kernel][each, 1024] = figure
        return found

    def test_held_to_the_bars(self):
        for said, work, exact, *rounds in (
                ("^$", "", 0, 0),
                (r"\(a\) isolate.file 1k, instructions: 1.040, not patched/stock at most",
                 "isolate.file", 104, 104),
                (r"\(d\) munmap.anon 1k, .*: 0.980, not", "munmap.anon", 98, 98),
                (r"\(e\) isolate\+put.put 1k, time: 1.923, not lock-first/patched at least 2",
                 "isolate+put.put", 130, 130),
                (r"\(c\) orphans: nothing was measured", "orphans", None, None),
                # Noise is an excuse for some work; for all other the median counts
                ("^$", "fault.ext4", 100, 101, 101, 108, 109, 109),
                (r"\(f\) fault.ext4 1k, time: 1.090, not", "fault.ext4", 100, 109, 109, 108, 109),
                # Too much of it is no verdict
                ("^$", "isolate.file", 100, 70, 110, 320),
                (r"\(a\) isolate.file 1k, time: 1.030, not", "isolate.file", 100, 100, 103, 103)):
            failed = failures_of(bench.judge, [self.figures(work, exact)],
                                 [self.figures(work, value) for value in rounds])
            self.assertRegex("; ".join(failed), said, (work, rounds))
