# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel's checkers report is told from what they report of the base itself."""

from unittest import mock

from driver.core.paths import read
from driver.kernel import build, mutant
from driver.suites import debugged
from driver.tests.helpers import Case, log, tally_of

REPORT = """before
[    1.0] {line}
[    1.0] BUG: KCSAN: data-race in {first} / {second}
[    1.0]
[    1.0] write to 0xffff888001 of 8 bytes by task 1 on cpu 0:
[    1.0]  folio_isolate_lru+0x1/0x2
[    1.0] Reported by Kernel Concurrency Sanitizer on:
[    1.0] {line}
after
"""


def race(first, second):
    """A console with a report of a data race in two functions."""
    return REPORT.format(line="=" * 66, first=first, second=second)


class DataRaces(Case):
    def test_told_from_others(self):
        """Reports about functions that the series touches are failures."""
        ours, others = race("tick", "folio_isolate_lru"), race("tick", "tock")
        rest, title = "before\nafter\n", "tick / tock"
        for console, text, titles in ((ours, ours, []), (others, rest, [title]),
                                      (others + ours, rest + ours, [title])):
            self.assertEqual(debugged.data_races(console, {"folio_isolate_lru"}), (text, titles))

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
        for which, left in (("kcsan", "before\nafter\n"), ("kasan", race("tick", "tock"))):
            path = log(race("tick", "tock"))
            is_clean = self.patch(debugged.console, "is_clean")
            self.patch(debugged, our_functions=lambda context: {"x"})
            tally_of(debugged.console_is_clean, path, which, "./run")
            is_clean.assert_called_once()
            self.assertEqual(read(path), left)
            self.assertEqual("base's own: tick / tock (1 times)" in self.printed(),
                             which == "kcsan")

    def test_control(self):
        """With a guard removed, the checker must have something to say."""
        self.assertIn("kcsan", {each.where for each in mutant.known().values()})
        guard = mock.Mock(where="kcsan", removes="the guard")
        guard.name = "m"
        self.patch(debugged, "kernel", "mutant",
                   our_functions=lambda context: {"folio_isolate_lru"})
        for text, good in ((race("tick", "folio_isolate_lru"), True), ("", False),
                           (race("tick", "tock"), False)):
            self.patch(debugged.qemu, boot=mock.Mock(return_value=(log(text), "")))
            tally = tally_of(debugged.control, "initrd", guard, "./run debugged kcsan")
            self.assertRegex("".join(tally.failed),
                             "^$" if good else "^kcsan has nothing to say .*: the guard$")

    def test_each_checker_has_a_fragment(self):
        for name in debugged.CHECKERS:
            self.assertEqual(debugged.checker(name), name)
            self.assertTrue(read(build.fragment(f"debug-{name}")))
