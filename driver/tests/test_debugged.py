# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel's checkers report is told from what they report of the base itself."""

import unittest
from unittest import mock

from driver.core.paths import logfile, read
from driver.core.stage import Fail
from driver.kernel import build, mutant
from driver.suites import debugged
from driver.tests.helpers import counted, quiet


class DataRaces(unittest.TestCase):
    """Of KCSAN's reports, those about functions that the series touches are failures."""

    REPORT = """[    1.0] {line}
[    1.0] BUG: KCSAN: data-race in {first} / {second}
[    1.0]
[    1.0] write to 0xffff888001 of 8 bytes by task 1 on cpu 0:
[    1.0]  folio_isolate_lru+0x1/0x2
[    1.0] Reported by Kernel Concurrency Sanitizer on:
[    1.0] {line}
"""

    def console(self, first, second):
        report = self.REPORT.format(line="=" * 66, first=first, second=second)
        return f"before\n{report}after\n"

    def test_ours(self):
        text, others = debugged.data_races(self.console("tick", "folio_isolate_lru"),
                                           {"folio_isolate_lru"})
        self.assertIn("BUG: KCSAN", text)
        self.assertEqual(others, [])

    def test_others(self):
        text, others = debugged.data_races(self.console("tick", "tock"), {"folio_isolate_lru"})
        self.assertEqual((text, others), ("before\nafter\n", ["tick / tock"]))

    def test_two(self):
        text, others = debugged.data_races(self.console("tick", "tock") + self.console("a", "b"),
                                           {"b"})
        self.assertIn("in a / b", text)
        self.assertEqual(others, ["tick / tock"])

    def test_touched(self):
        diff = """@@ -3,1 +3,2 @@ bool folio_isolate_lru(struct folio *folio)
-\treturn old(folio);
+\treturn new(folio);
@@ -9,0 +10,4 @@ struct thing {
+static int added(int one,
+\t\t int two)
+{
+}
"""
        self.assertEqual(debugged.touched(diff), {"folio_isolate_lru", "added"})

    def test_console(self):
        """Just KCSAN has something to say of the base."""
        for which, left in (("kcsan", "before\nafter\n"), ("kasan", None)):
            path, context = logfile("driver-test.console"), counted()
            text = self.console("tick", "tock")
            with open(path, "w") as out:
                out.write(text)
            with mock.patch.object(debugged.console, "is_clean") as is_clean, \
                    mock.patch.object(debugged, "our_functions", lambda context: {"x"}), \
                    quiet() as out:
                debugged.console_is_clean(context, path, which, "./run")
            is_clean.assert_called_once()
            self.assertEqual(read(path), left or text)
            self.assertEqual("base's own: tick / tock (1 times)" in out.getvalue(), bool(left))


class Control(unittest.TestCase):
    """With a guard removed, the checker must have something to say."""

    def failures(self, text):
        context = counted(commit={"mm+lab": "0"})
        path, guard = logfile("driver-test.console"), mock.Mock(where="kcsan", removes="the guard")
        guard.name = "m"
        with open(path, "w") as out:
            out.write(text)
        with mock.patch.multiple(debugged, kernel=mock.DEFAULT,
                                 our_functions=lambda context: {"folio_isolate_lru"}), \
                mock.patch.object(debugged.qemu, "boot", lambda *args: (path, "")), \
                mock.patch.object(debugged.mutant, "mutate", mock.Mock()), quiet():
            debugged.control(context, "initrd", guard, "./run debugged kcsan")
        return "".join(context.tally.failed)

    def test_control(self):
        console = DataRaces().console
        self.assertEqual(self.failures(console("tick", "folio_isolate_lru")), "")
        for text in ("", console("tick", "tock")):
            self.assertRegex(self.failures(text), "^kcsan has nothing to say .*: the guard$")

    def test_there_is_one(self):
        self.assertIn("kcsan", {each.where for each in mutant.known().values()})


class Checkers(unittest.TestCase):
    def test_no_such_checker(self):
        with self.assertRaisesRegex(Fail, "no checker 'kmsan'; there are: kasan, locking, kcsan"):
            debugged.checker("kmsan")

    def test_each_has_a_fragment(self):
        for name in debugged.CHECKERS:
            self.assertEqual(debugged.checker(name), name)
            self.assertTrue(read(build.fragment(f"debug-{name}")))
