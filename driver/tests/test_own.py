# SPDX-License-Identifier: GPL-2.0-only
"""Of the kernel's own tests, whatever gets worse is seen, and just that."""

import unittest
from unittest import mock

from driver import cli
from driver.core.paths import logfile
from driver.core.stage import Fail
from driver.core.tally import Tally
from driver.kernel.compose import KERNELS
from driver.suites import own
from driver.tests.helpers import counted, quiet

TAP = """\
TAP version 13
# ---------
# running ./cow
# TAP version 13
# 1..4
# # [INFO] detected THP size: 2048 KiB
# ok 1 fork() with 2 pages at 0x7f3bdeadbeef
# not ok 2 vmsplice() # TODO
# ok 3 # SKIP no io_uring
# ok 4 vmsplice()
# [FAIL]
not ok 1 cow # exit=1
# SKIP ./on-fault-limit
# [SKIP]
ok 2 gup_test -u -n 1 # SKIP
# ok 1 one
ok 3 gup_test -a -n -1
1..3
"""
GOOD = {own.KERNEL: "pass", "a": "pass", "b": "pass", "c": "skip", "d": "fail"}


def part_of(stock, patched, name="thp"):
    part = own.Part(name)
    for column, runs in (("stock", stock), ("patched", patched)):
        for results in runs:
            part.add(column, {**GOOD, **results})
    return part


def without(*names):
    return {name: result for name, result in GOOD.items() if name not in names}


class Parse(unittest.TestCase):
    def test_inner_and_outer(self):
        self.assertEqual(own.vmtests(TAP), {
            "cow": "fail", "cow: fork() with 2 pages at N": "pass", "cow: vmsplice()": "fail",
            "cow: no io_uring": "skip", "cow: vmsplice() (2)": "pass", "gup_test -u -n 1": "skip",
            "gup_test -a -n -1": "pass", "gup_test -a -n -1: one": "pass"})

    def test_names_without_what_varies(self):
        for one, other in (("mmap at 0x7f00 in 3 ms", "mmap at 0x7fff in 12 ms"),
                           ("took 1.25 s", "took 11.5 s"), ("pfn 12ab34cd56", "pfn 0123456789"),
                           ("Extra pages 54 (10%), extra thread faults 54.",
                            "Extra pages 6 (1%), extra thread faults 6."),
                           ("reaping a child with 2MB", "reaping a child with 1MB")):
            self.assertEqual(own.normal(one), own.normal(other))
        self.assertNotEqual(own.normal("hugetlb (2048 kB)"), own.normal("hugetlb (1048576 kB)"))

    def test_console(self):
        one, other = (own.on_console([line]) for line in (
            "[   12.1][   T34] WARNING: mm/gup.c:7 at f+0x1/0x2, CPU#0: cow/123",
            "[    9.0][    T3] WARNING: mm/gup.c:8 at f+0x7/0x2, CPU#1: cow/99"))
        self.assertEqual(one, other)
        self.assertEqual(own.on_console(["    ok 3 a # SKIP needs CONFIG_DEBUG_VM"]), {})


class Compare(unittest.TestCase):
    def worse(self, part):
        tally = Tally()
        own.judge(tally, part)
        return tally.failed

    def test_same(self):
        part = part_of([{}], [{}])
        self.assertEqual((part.worse(), self.worse(part)), ([], []))
        self.assertEqual(part.row(), ["thp", "4", "2/1/1", "2/1/1", "0"])

    def test_worse(self):
        for name, now in (("a", "fail"), ("a", "skip"), ("c", "fail"), ("console: BUG", "fail")):
            with self.subTest(name=name, now=now):
                part = part_of([{}], [{name: now}])
                self.assertEqual(part.worse(), [name])
                self.assertIn(f"thp: {name}: stock: ", self.worse(part)[0])

    def test_better(self):
        for name, now in (("d", "pass"), ("d", "skip"), ("c", "pass"), ("e", "fail")):
            self.assertEqual(part_of([{}], [{name: now}]).worse(), [])
        self.assertEqual(part_of([{"console: BUG": "fail"}], [{}]).worse(), [])

    def test_missing(self):
        for name in ("a", "c", "d"):
            part = part_of([{}], [{}])
            part.runs["patched"] = [without(name)]
            self.assertEqual(part.worse(), [name])
            self.assertIn("missing", self.worse(part)[0])

    def test_varies_on_stock(self):
        part = part_of([{}, {"a": "fail"}], [{"a": "fail"}, {}])
        self.assertEqual((part.worse(), part.different(), part.varies("a")), ([], ["a"], True))
        part = part_of([{}, {"b": "fail"}, {}], [{"a": "fail"}, {}, {}])
        self.assertEqual(part.worse(), ["a"])
        self.assertIn("a: stock: pass pass pass; mm+tcp: fail pass pass", self.worse(part)[0])

    def test_known_to_vary(self):
        with mock.patch.dict(own.KNOWN_TO_VARY, {"a": "why"}, clear=True):
            for name in ("a", "a (2)"):
                part = part_of([{name: "pass"}] * 2, [{name: "fail"}, {name: "pass"}])
                self.assertEqual((part.worse(), part.different()), ([], [name]))
                part = part_of([{name: "pass"}] * 2, [{name: "fail"}] * 2)
                self.assertEqual(part.worse(), [name])

    def test_runs_again_only_while_it_differs(self):
        for first, rest, count in (({}, {}, 1), ({"a": "fail"}, {}, 3)):
            part = part_of([{}], [first])
            own.again(part, lambda column, rest=rest: {**GOOD, **rest})
            self.assertEqual(len(part.runs["stock"]), count)
        part = part_of([{}], [{"a": "fail"}])
        own.again(part, lambda column: {**GOOD, "a": "fail"})
        self.assertEqual((len(part.runs["stock"]), part.worse()), (2, []))

    def test_guest_that_dies(self):
        dead = {own.KERNEL: "fail", "a": "pass"}
        for stock, patched in (({}, dead), (dead, {})):
            part = part_of([{}], [{}])
            part.runs = {"stock": [stock or GOOD], "patched": [patched or GOOD]}
            part.why["stock"] = "it died"
            self.assertEqual(part.worse(), [own.KERNEL])
            self.assertIn("it died", self.worse(part)[0])

    def test_guest_that_dies_on_both(self):
        part = part_of([{own.KERNEL: "fail"}], [{own.KERNEL: "fail", "a": "fail"}])
        part.why["stock"] = "it died"
        self.assertEqual(part.worse(), [])
        self.assertRegex(self.worse(part)[0], "on both kernels it died: .* or say in NOT_RUN")
        self.assertEqual(own.table([part]).splitlines()[1].split(maxsplit=3),
                         ["thp", "not", "run", "on both kernels it died"])

    def test_nothing_compared(self):
        part = own.Part("thp")
        for column in own.KERNELS:
            part.add(column, {own.KERNEL: "pass"})
        self.assertIn("nothing was compared", self.worse(part)[0])


class Chosen(unittest.TestCase):
    def test_order_and_all(self):
        with mock.patch.multiple(own, CATEGORIES={"mmap": 1, "thp": 1}, NOT_RUN={"vm": "why"}):
            self.assertEqual(own.chosen(()), ["kunit", "mmap", "thp"])
            self.assertEqual(own.chosen(("thp", "kunit")), ["kunit", "thp"])
            with self.assertRaisesRegex(Fail, "no category 'x'; there are: kunit, mmap, thp"):
                own.chosen(("x",))
            with self.assertRaisesRegex(Fail, "category vm is not run: why"):
                own.chosen(("vm",))

    def test_said_before_anything_is_built(self):
        args = cli.parser().parse_args(["own", "nothing"])
        with self.assertRaisesRegex(Fail, "there is no category 'nothing'"):
            args.module.at_once(args)

    def test_kernels(self):
        self.assertLessEqual(set(own.KERNELS.values()), set(KERNELS))

    def test_each_category_once(self):
        self.assertFalse(own.CATEGORIES.keys() & own.NOT_RUN.keys())


class Guest(unittest.TestCase):
    """A category in a guest, with a stand-in for it."""

    def boot(self, failure=None):
        part = own.Part("thp")
        for suffix in ("console", "tap"):
            with open(logfile(f"driver-test.{suffix}"), "w") as out:
                out.write(TAP if suffix == "tap" else "")
        boot = mock.Mock(side_effect=failure)
        with mock.patch.object(own.qemu, "boot", boot), mock.patch.object(
                own.console, "badness", lambda base, text: []), mock.patch.object(
                own, "logfile", lambda name: logfile("driver-test." + name.rpartition(".")[2])), \
                mock.patch.object(own.shutil, "copy"), quiet():
            results = own.vmtest(counted().base, "image", "initrd", part, "stock")
        return results, part.why

    def test_ended(self):
        results, why = self.boot()
        self.assertEqual((results[own.KERNEL], results["cow"], why), ("pass", "fail", {}))

    def test_died(self):
        for words, said in (("did not finish within 9 s", "it did not end within 1200 s"),
                            ("died before its tests ended", "it died")):
            results, why = self.boot(Fail(f"the guest 'x' {words}\nmore"))
            self.assertEqual((results[own.KERNEL], results["cow"], why),
                             ("fail", "fail", {"stock": said}))

    def test_ended_from_outside(self):
        with self.assertRaisesRegex(Fail, "from outside"):
            self.boot(Fail("somebody ended the guest 'x' from outside (QEMU: y)"))
