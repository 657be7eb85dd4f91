# SPDX-License-Identifier: GPL-2.0-only
"""What KUnit says is counted, and what a case that failed said is shown."""

import json
import tempfile
import unittest
from unittest import mock

from driver.commands import kunit as command
from driver.core import expected
from driver.core.paths import logfile
from driver.core.stage import Fail
from driver.suites import kunit
from driver.tests.helpers import counted

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


class Report(unittest.TestCase):
    """The file that kunit.py writes."""

    def load(self, report):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as out:
            json.dump(report, out)
            out.flush()
            return kunit.results(out.name)

    def test_crash_is_a_failure(self):
        cases = [{"name": "a", "status": "PASS"}, {"name": "b", "status": "ERROR"},
                 {"name": "c", "status": "SKIP"}]
        self.assertEqual(self.load({"sub_groups": [{"name": "s", "test_cases": cases}]}),
                         {"s.a": "pass", "s.b": "fail", "s.c": "skip"})

    def test_cases_with_parameters(self):
        cases = [{"name": "put lru", "status": "PASS"}]
        self.assertEqual(self.load({"sub_groups": [
            {"name": "s", "test_cases": [], "sub_groups": [{"name": "b", "test_cases": cases}]}]}),
            {"s.b.put lru": "pass"})

    def test_nothing_ran(self):
        with self.assertRaisesRegex(Fail, "ran no test"):
            self.load({"sub_groups": []})

    def test_died(self):
        self.assertTrue(kunit.died({"s.a": "pass", "s.": "fail"}))
        self.assertFalse(kunit.died({"s.a": "pass"}))


class Wanted(unittest.TestCase):
    def test_what_a_glob_selects(self):
        names = ["s.a", "s.a_b", "t.a"]
        with mock.patch.object(expected, "load", lambda *rest: {"qemu": dict.fromkeys(names)}):
            for glob, want in (("", names), ("s", names[:2]), ("s.a", ["s.a"]),
                               ("?.a*", names), ("t*", ["t.a"]), ("*.a_*", ["s.a_b"])):
                self.assertEqual(list(kunit.wanted("qemu", glob)), want, glob)

    def test_places_are_the_columns(self):
        self.assertEqual([*kunit.PLACES, kunit.PLAIN], list(expected.load("kunit")))

    def test_a_glob_that_selects_none(self):
        for glob in ("", "folio_release", "folio_*", "folio_release.release_lru"):
            command.check(glob)
        with self.assertRaisesRegex(Fail, "^folio_race.replay is of the lab: ./run replay runs"):
            command.check("folio_race.replay")
        with self.assertRaisesRegex(Fail, "^there is no suite 'x'; there are: folio_release, foli"):
            command.check("x")

    def test_uml_with_one_cpu(self):
        for place in ("uml-smp", "uml-up"):
            with self.assertRaisesRegex(Fail, "UML has one CPU in Linux 6.12.9, .*--on qemu"):
                command.run(counted(uml_smp=False, version="6.12.9"),
                            mock.Mock(suite="", on=place))


class Said(unittest.TestCase):
    def test_expectations(self):
        for console in (CONSOLE, stamped(CONSOLE), CONSOLE.replace("\n", "\r\n")):
            self.assertEqual(kunit.expectations(console, FOUND),
                             {"folio_release.release_lost": SAID})

    def test_a_case_with_parameters(self):
        console = CONSOLE.replace("# release_lost:", "    # release_lost:").replace(
            "# release_lost.speed: slow\n", "        not ok 1 put lru\n        ok 2 batch lru\n")
        name = "folio_release.release_lost.put lru"
        other = "folio_release.release_lost.batch lru"
        self.assertEqual(kunit.expectations(console, [name, other]), {name: SAID})

    def test_no_more_than_a_few(self):
        one = "    # a: EXPECTATION FAILED at x.c:%d\n    Expected b\n"
        text = kunit.expectations("".join(one % line for line in range(9)), ["s.a"])["s.a"]
        self.assertEqual(len(text.splitlines()), kunit.MOST + 2)
        self.assertTrue(text.endswith("\n    and 5 more"))
        text = kunit.expectations("".join(one % line for line in range(4)), ["s.a"])["s.a"]
        self.assertNotIn("more", text)

    def test_none(self):
        self.assertEqual(kunit.expectations("", FOUND), {})
        self.assertEqual(kunit.expectations(CONSOLE, {"s.": "fail", "t": "fail"}), {})

    def test_shown_with_the_failure(self):
        for console in (CONSOLE, stamped(CONSOLE)):
            with open(logfile("driver-test.console"), "w") as out:
                out.write(console)
            context = counted()
            kunit.add(context, "KUnit on x", FOUND, {**FOUND, "folio_release.release_lost": "pass"},
                      "./run kunit", "driver-test.console")
            self.assertEqual(context.tally.failed, [
                f"KUnit on x: folio_release.release_lost is fail, expected pass: {SAID}\n"
                "    (all it said: out/log/driver-test.console)"])
            self.assertEqual((context.tally.passed, context.tally.skipped, context.tally.reruns),
                             (1, 1, ["./run kunit"]))

    def test_as_expected(self):
        with open(logfile("driver-test.console"), "w") as out:
            out.write(CONSOLE)
        context = counted()
        kunit.add(context, "KUnit on x", FOUND, FOUND, "./run kunit", "driver-test.console")
        self.assertEqual((context.tally.passed, context.tally.failed), (2, []))


class Run(unittest.TestCase):
    """Which words a guest gets."""

    def test_qemu(self):
        context, boot = counted(), mock.Mock()
        with mock.patch.multiple(kunit.qemu, boot=boot, initramfs=lambda base: "initrd"), \
                mock.patch.object(kunit, "of_console", lambda context, name: {name: "pass"}):
            self.assertEqual(kunit.exec_qemu(context, "image", "x"), {"x": "pass"})
            kunit.exec_qemu(context, "image", "x", "s.a", ["b=1"])
            self.assertEqual(boot.mock_calls, [
                mock.call("image", "initrd", "x", "guest.kunit"),
                mock.call("image", "initrd", "x", "guest.kunit kunit.filter_glob=s.a b=1")])
            boot.side_effect = Fail("the guest died")
            with self.assertRaises(Fail):
                kunit.exec_qemu(context, "image", "x")
            self.assertEqual(kunit.exec_qemu(context, "image", "x", dies=True), {"x": "pass"})
