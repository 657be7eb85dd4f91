# SPDX-License-Identifier: GPL-2.0-only
"""What KUnit says is counted, and what a case that failed said is shown."""

import json

from driver.commands import kunit as command
from driver.core import expected
from driver.core.stage import Fail
from driver.suites import kunit
from driver.tests.helpers import Case, counted, log, tally_of

CONSOLE = """\
KTAP version 1
1..1
    KTAP version 1
    # Subtest: folio_release
    1..3
    ok 1 release_lru
    # release_lost: EXPECTATION FAILED at lib/tests/folio_lru_kunit.c:123
    Expected count == 1, but
        count == 2 (0x2)
    # release_lost: ASSERTION FAILED at lib/tests/folio_lru_kunit.c:130
    Expected folio is not error, but is: -12
    # release_lost.speed: slow
    not ok 2 release_lost
    # release_late: initializing
    ok 3 release_late # SKIP needs two CPUs
# folio_release: pass:1 fail:1 skip:1 total:3
not ok 1 folio_release
"""
SAID = ("\n    EXPECTATION at lib/tests/folio_lru_kunit.c:123 Expected count == 1, but "
        "count == 2 (0x2)"
        "\n    ASSERTION at lib/tests/folio_lru_kunit.c:130 Expected folio is not error, but is: "
        "-12")
FOUND = {"folio_release.release_lru": "pass", "folio_release.release_lost": "fail",
         "folio_release.release_late": "skip"}


def stamped(console):
    """The same with times, and who printed it."""
    return "".join(f"[    1.{number:06}][   T12] {line}\n"
                   for number, line in enumerate(console.splitlines()))


class KUnit(Case):
    def load(self, *groups):
        return kunit.results(log(json.dumps({"sub_groups": groups}), "json"))

    def test_results(self):
        cases = [{"name": name, "status": status} for name, status in
                 (("a", "PASS"), ("b", "ERROR"), ("c", "SKIP"), ("d", "FAIL"))]
        with_parameters = {"name": "s", "test_cases": [], "sub_groups": [
            {"name": "b", "test_cases": [{"name": "put lru", "status": "PASS"}]}]}
        self.assertEqual(self.load({"name": "s", "test_cases": cases}, with_parameters),
                         {"s.a": "pass", "s.b": "fail", "s.c": "skip", "s.d": "fail",
                          "s.b.put lru": "pass"})
        self.assertFail("ran no test", self.load)
        self.assertTrue(kunit.died({"s.a": "pass", "s.": "fail"}))
        self.assertFalse(kunit.died({"s.a": "pass"}))

    def test_what_a_glob_selects(self):
        self.assertEqual({*kunit.PLACES, kunit.PLAIN}, {*expected.load("kunit"), kunit.ARM64})
        self.assertEqual(kunit.wanted(kunit.ARM64), kunit.wanted(kunit.QEMU))
        for glob in ("", "folio_release", "folio_*", "folio_release.release_lru"):
            command.check(glob)
        names = ["s.a", "s.a_b", "t.a"]
        self.patch(expected, load=lambda *rest: {"qemu": dict.fromkeys(names)})
        for glob, want in (("", names), ("s", names[:2]), ("s.a", ["s.a"]),
                           ("?.a*", names), ("t*", ["t.a"]), ("*.a_*", ["s.a_b"])):
            self.assertEqual(list(kunit.wanted("qemu", glob)), want, glob)

    def test_expectations(self):
        for console in (CONSOLE, stamped(CONSOLE), CONSOLE.replace("\n", "\r\n")):
            self.assertEqual(kunit.expectations(console, FOUND),
                             {"folio_release.release_lost": SAID,
                              "folio_release.release_late": "\n    it says needs two CPUs"})
        for console, names in (("", FOUND), (CONSOLE, {"s.": "fail", "t": "fail"})):
            self.assertEqual(kunit.expectations(console, names), {})
        # A case with parameters
        console = CONSOLE.replace("# release_lost:", "    # release_lost:").replace(
            "# release_lost.speed: slow\n", "        not ok 1 put lru\n        ok 2 batch lru\n")
        name = "folio_release.release_lost.put lru"
        other = "folio_release.release_lost.batch lru"
        self.assertEqual(kunit.expectations(console, [name, other]), {name: SAID})
        # No more than a few
        one = "    # a: EXPECTATION FAILED at x.c:%d\n    Expected b\n"
        text = kunit.expectations("".join(one % line for line in range(9)), ["s.a"])["s.a"]
        self.assertEqual(len(text.splitlines()), kunit.MOST + 2)
        self.assertTrue(text.endswith("\n    and 5 more"))
        text = kunit.expectations("".join(one % line for line in range(4)), ["s.a"])["s.a"]
        self.assertNotIn("more", text)

    def test_shown_with_the_failure(self):
        lost = (f"KUnit on x: folio_release.release_lost is fail, expected pass: {SAID}\n"
                "    (all it said: out/log/driver-test.console)")
        better = {**FOUND, "folio_release.release_lost": "pass"}
        for console, want, passed, failed in ((CONSOLE, better, 1, [lost]),
                                              (stamped(CONSOLE), better, 1, [lost]),
                                              (CONSOLE, FOUND, 2, [])):
            log(console)
            tally = tally_of(kunit.add, "KUnit on x", FOUND, want, "./run kunit",
                             "driver-test.console")
            self.assertEqual((tally.passed, tally.skipped, tally.failed, tally.reruns),
                             (passed, 1, failed, ["./run kunit"] * len(failed)))

    def test_in_a_guest(self):
        """Which words it gets, and if it may die."""
        boot = self.patch(kunit.qemu, "boot", "initramfs")
        self.patch(kunit, of_console=lambda context, name: {name: "pass"})
        for more, words in (((), "guest.kunit"),
                            (("s.a", ["b=1"]), "guest.kunit kunit.filter_glob=s.a b=1")):
            self.assertEqual(kunit.exec_qemu(counted(), "image", "x", *more), {"x": "pass"})
            self.assertEqual(boot.call_args.args[-1], words)
        boot.side_effect = Fail("the guest died")
        self.assertFail("the guest died", kunit.exec_qemu, counted(), "image", "x")
        self.assertEqual(kunit.exec_qemu(counted(), "image", "x", dies=True), {"x": "pass"})
