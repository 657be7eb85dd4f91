# SPDX-License-Identifier: GPL-2.0-only
"""The selftests, stress, and ./run: kernels side by side, and nothing is left out."""

import math
import os
import re
from unittest import mock

from driver.commands import main
from driver.core import expected
from driver.core.paths import read
from driver.core.stage import Fail, Stage
from driver.kernel import build
from driver.story import model
from driver.suites import kunit, scenarios, selftests, stress
from driver.tests.consoles import CONSOLE
from driver.tests.helpers import Case, counted, failures_of, log, own_logs, parsed, tally_of

TAP = "TAP version 13\n1..2\nok 1 folio_orphan.a # SKIP no swap\nok 2 folio_orphan\n"
WANT = {"stock": {"a": "pass", "b": "fail"}, "mm": {"a": "pass", "b": "pass"}}


def cells(text):
    return [re.split(" {2,}", line.strip()) for line in text.splitlines()]


class Selftests(Case):
    def test_results_of_a_selftest(self):
        names = [name for test in selftests.TESTS for name in build.fixtures(test)]
        by_vmtests = [test for test in selftests.TESTS if build.SELFTESTS[test] == "mm"]
        self.assertEqual({check.split(".")[0] for check in expected.load("selftests")["stock"]},
                         {*names, *by_vmtests})
        for name in ("selftests", "stress"):
            self.assertEqual(tuple(expected.load(name)), selftests.KERNELS)

    def test_wanted_of_one(self):
        """Less what run_vmtests.sh says of it as a whole."""
        want = selftests.wanted("mm+tcp", "folio_truncate_race")
        self.assertEqual({name.split(".")[0] for name in want}, {"folio_truncate_race"})
        self.assertNotIn("folio_truncate_race", want)
        self.assertIn("tcp_copy_progress", {name.split(".")[0] for name in
                                            selftests.wanted("mm+tcp", "tcp_zerocopy_splice")})
        self.assertEqual(selftests.wanted("mm", "folio_stress"), expected.load("stress")["mm"])
        self.assertEqual(selftests.wanted("mm"), expected.load("selftests")["mm"])

    def boot(self, text, dies=False, **how):
        self.patch(selftests.qemu, boot=mock.Mock(return_value=("c", log(text, "tap")), **how))
        self.clean = self.patch(selftests.console, "is_clean")
        return selftests.boot(counted(), "image", "initrd", "x", dies=dies, rerun="./run")

    def test_results(self):
        self.assertEqual(self.boot(TAP), ({"folio_orphan.a": "skip", "folio_orphan": "pass"},
                                          {"folio_orphan.a": "no swap"}))
        self.clean.assert_called_once_with(mock.ANY, "x", "c", "./run")
        death = {"side_effect": Fail("the guest died")}
        self.assertFail("the guest died", self.boot, TAP, **death)
        self.assertEqual(self.boot(TAP, dies=True, **death), ({}, {}))
        self.clean.assert_not_called()
        self.assertFail("died halfway", self.boot, TAP[:TAP.index("ok 2")], dies=True)   # by itself

    def on(self, results, kernel):
        context, cases = counted(), selftests.kunit.wanted("qemu")
        self.patch(selftests, "image", "initramfs", boot=lambda *args, **how: (dict(results), {}))
        self.patch(selftests.kunit, of_console=lambda context, log: cases, read=lambda path: "")
        return context.tally, selftests.on(context, kernel)

    def test_one_kernel(self):
        for kernel in selftests.KERNELS:
            want = selftests.wanted(kernel)
            tally, (results, _, cases) = self.on(want, kernel)
            self.assertEqual((tally.failed, results, bool(cases)), ([], want, kernel == "mm+tcp"))
        tally, _ = self.on({}, "stock")
        self.assertEqual(set(tally.reruns), {"./run selftest stock"})
        self.assertIn("(all it said: out/log/selftests-stock.tap)", tally.failed[-1])


class Main(Case):
    def test_what_differs(self):
        self.assertEqual(cells(main.differences(WANT, WANT)),
                         [["what differs", "stock", "mm"], ["b", "fail (known)", "pass"]])
        found = {"stock": {"a": "fail", "b": "fail"}, "mm": {"b": "pass"}}
        self.assertEqual(cells(main.differences(found, WANT))[1],
                         ["a", "FAIL (expected pass)", "MISSING (expected pass)"])
        self.assertEqual(cells(main.counts({"stock": {"a": "pass", "b": "fail", "c": "pass"}})),
                         [["kernel", "pass", "fail", "skip"], ["stock", "2", "1", "0"]])

    def run_it(self, fails=()):
        def selftest(context, kernel):
            if kernel in fails:
                raise Fail("the guest died")
            cases = kunit.wanted("qemu") if kernel == selftests.PATCHED else {}
            context.tally.check(True, "")
            return selftests.wanted(kernel), {"x": "no swap"}, cases
        folder, context = self.folder(), counted()
        self.quick_steps()
        self.patch(selftests, "image", on=selftest)
        self.patch(main.patches, "git_am")
        self.patch(main.build, "selftests")
        self.patch(main, logfile=lambda name: os.path.join(folder, name))
        page = self.patch(scenarios, "write_page", "image", on=lambda *args: model.parse(CONSOLE))
        main.run(context, None)
        page.assert_called_once()
        path = os.path.join(folder, "all-checks.txt")
        return context.tally, self.printed(), read(path) if os.path.exists(path) else ""

    def test_all(self):
        tally, said, kept = self.run_it()
        self.assertEqual((tally.passed, tally.failed), (3, []))
        for line in ("kernel", "what differs", "claims, replayed", "all checks: "):
            self.assertIn(f"\n{line}", said)
        [head] = [line for line in said.splitlines() if line.startswith("what differs")]
        self.assertEqual(head.split()[2:], list(selftests.KERNELS))
        for line in ("folio_truncate_race.tmpfs.reads", "folio_release.release_lru.put",
                     "skip on mm+tcp: x: no swap"):
            self.assertIn(f"\n{line}", kept)

    def test_some_fail(self):
        for kernels in (*([each] for each in selftests.KERNELS), selftests.KERNELS):
            tally, said, kept = self.run_it(kernels)
            self.assertEqual({*tally.failed}, {f"{kernel}: the guest died" for kernel in kernels})
            self.assertEqual({*tally.reruns}, {f"./run selftest {kernel}" for kernel in kernels})
            self.assertIn("claims, replayed", said)
            self.assertEqual(["what differs" in said, bool(kept)],
                             [kernels != selftests.KERNELS] * 2)

    def test_what_is_run_again(self):
        self.assertEqual([step.rerun for step in main.plan({}, {})], [
            "./run", *(f"./run selftest {kernel}" for kernel in selftests.KERNELS),
            *["./run replay"] * len(scenarios.KERNELS)])


STRESS = """\
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
HELD = {"stock": {"folio_stress.reads": "pass", "folio_stress.tcp_no_orphan": "fail"},
        "mm+tcp": {"folio_stress.reads": "pass", "folio_stress.tcp_no_orphan": "pass"}}


class Stress(Case):
    def judged(self, text, on="stock", whole=True):
        self.patch(expected, load=lambda name: HELD)
        return failures_of(stress.judge, on, text, "again", whole)

    def test_rates(self):
        self.assertEqual(cells(stress.table(stress.rates(STRESS))), [
            ["actions/s", "tmpfs", "anon"], ["fault", "20.0"], ["move_pages", "0.1", "0.2"]])

    def test_verdict(self):
        self.assertEqual(self.judged(STRESS), [])
        self.assertEqual(len(self.judged(STRESS, "mm+tcp")), 1)
        no_rate = "".join(line for line in STRESS.splitlines(True) if "rate" not in line)
        self.assertEqual(self.judged(no_rate), ["stress on stock: no rate was printed"])
        not_joined = STRESS + "# not joined: swap: no /dev/ram0\n"
        self.assertEqual(self.judged(not_joined),
                         ["stress on stock: did not take part: swap: no /dev/ram0"])
        # In a part of another run not all of it has to
        self.assertEqual(self.judged(not_joined, whole=False), [])
        self.assertFail("the test gave up: ext4.fork does not end", self.judged,
                        "1..2\nBail out! ext4.fork does not end within 120 s; seed 7\n")
        self.assertFail("a test died halfway", self.judged, STRESS.replace("ok 1", "# ok1"))

    def test_progress_is_shown_soon(self):
        this = Stage("stress")
        told = stress.progress(this)
        self.assertIsNone(told("ok 1 folio_stress.reads"))
        self.assertTrue(told(STRESS.splitlines()[3] + "\n").startswith("10 of 60 s"))
        self.assertNotEqual(this.reported, -math.inf)
        this.reported -= stress.SAY_EVERY
        told(STRESS.splitlines()[3])
        self.assertEqual(this.reported, -math.inf)

    def test_command(self):
        for words in ("--minutes 1 --seed 7", "--minutes 0.5 --seed 0 --on stock --debug kasan"):
            args = parsed("stress", *words.split())
            self.assertEqual(stress.command(args), f"./run stress {words}")

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
        self.patch(expected, load=lambda name: HELD)
        args = parsed("stress", "--on", "stock", *words)
        tally = tally_of(stress.stress, args)
        self.assertIn(f"the same load again: ./run stress --minutes 1 --seed {args.seed} "
                      "--on stock\n", self.out.getvalue())
        return tally, args.seed

    def test_run(self):
        tally, _ = self.stress(STRESS, "--seed", "7")
        self.assertEqual(tally.failed, [])
        for line in ("not ok 2 folio_stress.tcp_no_orphan #  3 times: ",
                     "# verdict: 1 of 2 checks"):
            self.assertIn(line, self.out.getvalue())
        _, seed = self.stress(STRESS)
        self.assertEqual(stress.seed(str(seed)), seed)
        tally, _ = self.stress("1..2\n", "--seed", "7", failure=Fail("the guest died"))
        self.assertRegex("".join(tally.failed),
                         r"^stress-stock: the guest died \(all it said: out/log/")
        self.assertEqual(tally.reruns, ["./run stress --minutes 1 --seed 7 --on stock"])
