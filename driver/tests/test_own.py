# SPDX-License-Identifier: GPL-2.0-only
"""Of the kernel's own tests, whatever gets worse is seen, and just that."""

from unittest import mock

from driver.core.stage import Fail
from driver.kernel.compose import KERNELS
from driver.suites import own
from driver.tests.helpers import Case, counted, failures_of, log, own_logs

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


def part_of(stock, patched):
    """A part with a run for each of these changes of GOOD, on both kernels; None: not there."""
    part = own.Part("thp")
    for column, runs in (("stock", stock), ("patched", patched)):
        for changes in runs:
            results = {**GOOD, **changes}
            part.add(column, {name: results[name] for name in results if results[name]})
    return part


class Own(Case):
    def test_inner_and_outer(self):
        self.assertEqual(own.vmtests(TAP), {
            "cow": "fail", "cow: fork() with 2 pages at N": "pass", "cow: vmsplice()": "fail",
            "cow: no io_uring": "skip", "cow: vmsplice() (2)": "pass", "gup_test -u -n 1": "skip",
            "gup_test -a -n -1": "pass", "gup_test -a -n -1: one": "pass"})

    def test_without_what_varies(self):
        for one, other in (("mmap at 0x7f00 in 3 ms", "mmap at 0x7fff in 12 ms"),
                           ("took 1.25 s", "took 11.5 s"), ("pfn 12ab34cd56", "pfn 0123456789"),
                           ("Extra pages 54 (10%), extra thread faults 54.",
                            "Extra pages 6 (1%), extra thread faults 6."),
                           ("reaping a child with 2MB", "reaping a child with 1MB")):
            self.assertEqual(own.normal(one), own.normal(other))
        self.assertNotEqual(own.normal("hugetlb (2048 kB)"), own.normal("hugetlb (1048576 kB)"))
        one, other = (own.on_console([line]) for line in (
            "[   12.1][   T34] WARNING: mm/gup.c:7 at f+0x1/0x2, CPU#0: cow/123",
            "[    9.0][    T3] WARNING: mm/gup.c:8 at f+0x7/0x2, CPU#1: cow/99"))
        self.assertEqual(one, other)
        self.assertEqual(own.on_console(["    ok 3 a # SKIP needs CONFIG_DEBUG_VM"]), {})

    def test_compared(self):
        part = part_of([{}], [{}])
        self.assertEqual((part.worse(), failures_of(own.judge, part)), ([], []))
        self.assertEqual(part.row(), ["thp", "4", "2/1/1", "2/1/1", "0"])
        for name, was, now, said in (
                ("a", "pass", "fail", "fail"), ("a", "pass", "skip", "skip"),
                ("c", "skip", "fail", "fail"), ("console: BUG", None, "fail", "fail"),
                *((name, GOOD[name], None, "missing") for name in "acd"),
                ("d", "fail", "pass", ""), ("d", "fail", "skip", ""), ("c", "skip", "pass", ""),
                ("e", None, "fail", ""), ("console: BUG", "fail", None, "")):
            part = part_of([{name: was}], [{name: now}])
            self.assertEqual(part.worse(), [name] if said else [], (name, was, now))
            if said:
                self.assertRegex(failures_of(own.judge, part)[0],
                                 rf"thp: {name}: stock: .*\+tcp: {said}$")

    def test_varies(self):
        """On stock, or as is known."""
        part = part_of([{}, {"a": "fail"}], [{"a": "fail"}, {}])
        self.assertEqual((part.worse(), part.different(), part.varies("a")), ([], ["a"], True))
        part = part_of([{}, {"b": "fail"}, {}], [{"a": "fail"}, {}, {}])
        self.assertEqual(part.worse(), ["a"])
        [failed] = failures_of(own.judge, part)
        self.assertIn("a: stock: pass pass pass; mm+tcp: fail pass pass", failed)
        self.patch(own, KNOWN_TO_VARY={"a": "why"})
        for name in ("a", "a (2)"):
            for again, worse in (("pass", []), ("fail", [name])):
                part = part_of([{name: "pass"}] * 2, [{name: "fail"}, {name: again}])
                self.assertEqual((part.worse(), part.different()), (worse, [name]))

    def test_runs_again_only_while_it_differs(self):
        for first, rest, count, worse in (({}, {}, 1, []), ({"a": "fail"}, {}, 3, ["a"]),
                                          ({"a": "fail"}, {"a": "fail"}, 2, [])):
            part = part_of([{}], [first])
            own.again(part, lambda column, rest=rest: {**GOOD, **rest})
            self.assertEqual((len(part.runs["stock"]), part.worse()), (count, worse))

    def test_guest_that_dies(self):
        dead = {own.KERNEL: "fail", "b": None, "c": None, "d": None}
        for stock, patched in (({}, dead), (dead, {})):
            part = part_of([stock], [patched])
            part.why["stock"] = "it died"
            self.assertEqual(part.worse(), [own.KERNEL])
            self.assertIn("it died", failures_of(own.judge, part)[0])
        part = part_of([dead], [{own.KERNEL: "fail", "a": "fail"}])         # on both
        part.why["stock"] = "it died"
        self.assertEqual(part.worse(), [])
        [failed] = failures_of(own.judge, part)
        self.assertRegex(failed, "on both kernels it died: .* or say in NOT_RUN")
        self.assertEqual(own.table([part]).splitlines()[1].split(maxsplit=3),
                         ["thp", "not", "run", "on both kernels it died"])
        none = dict.fromkeys("abcd")
        self.assertIn("nothing was compared", failures_of(own.judge, part_of([none], [none]))[0])

    def test_order_and_all(self):
        self.assertLessEqual(set(own.KERNELS.values()), set(KERNELS))
        self.assertFalse(own.CATEGORIES.keys() & own.NOT_RUN.keys())
        self.patch(own, CATEGORIES={"mmap": 1, "thp": 1}, NOT_RUN={"vm": "why"})
        self.assertEqual(own.chosen(()), ["kunit", "mmap", "thp"])
        self.assertEqual(own.chosen(("thp", "kunit")), ["kunit", "thp"])
        self.assertFail("category vm is not run: why", own.chosen, ("vm",))

    def boot(self, failure=None):
        part = own.Part("thp")
        for suffix, text in (("console", ""), ("tap", TAP)):
            log(text, suffix)
        self.patch(own.qemu, boot=mock.Mock(side_effect=failure))
        self.patch(own.console, badness=lambda base, text: [])
        self.patch(own, logfile=own_logs)
        self.patch(own.shutil, "copy")
        results = own.vmtest(counted().base, "image", "initrd", part, "stock")
        return results[own.KERNEL], results["cow"], part.why

    def test_how_it_ends(self):
        self.assertEqual(self.boot(), ("pass", "fail", {}))
        for words, said in (("did not finish within 9 s", "it did not end within 1200 s"),
                            ("died before its tests ended", "it died")):
            self.assertEqual(self.boot(Fail(f"the guest 'x' {words}\nmore")),
                             ("fail", "fail", {"stock": said}))
        self.assertFail("from outside",
                        self.boot, Fail("somebody ended the guest 'x' from outside (QEMU: y)"))
