# SPDX-License-Identifier: GPL-2.0-only
"""Lines for the kernel's MAINTAINERS."""

from driver.core.stage import Fail
from driver.kernel import maintainers
from driver.tests.helpers import Case

KERNEL = "Maintainers\n\nONE\nM:\tA\nF:\tlib/a.c\nF:\tmm/\n\nONE - PART\nF:\tlib/c.c\n\nTWO\n"


class Maintainers(Case):
    def added(self, lines, *files):
        self.patch(maintainers, lines=lambda: lines)
        return maintainers.added(KERNEL, maintainers.wanted(files))

    def test_sorted_into_its_section(self):
        for pattern, before, after in (("lib/b.c", "lib/a.c\n", "F:\tmm/"),
                                       ("a.c", "M:\tA\n", "F:\tlib/a.c"),
                                       ("z/*.c", "F:\tmm/\n", "\nONE - PART")):
            with self.subTest(pattern):
                text = self.added([("ONE", pattern)], pattern.replace("*", "x"))
                self.assertIn(f"{before}F:\t{pattern}\n{after}", text)

    def test_not_added(self):
        """Another patch's file; one that the section names already."""
        for files in (("lib/other.c",), ("mm/b.c",)):
            self.assertEqual(self.added([("ONE", "lib/b.c"), ("ONE", "mm/b.c")], *files), KERNEL)

    def test_older_kernel(self):
        self.assertIn("lib/a.c\nF:\tlib/b.c\n", self.added([("ONE - NEW", "lib/b.c")], "lib/b.c"))
        with self.assertRaisesRegex(Fail, "no section 'THREE'"):
            self.added([("THREE", "lib/b.c")], "lib/b.c")

    def test_those_of_this_project(self):
        sections = {section for section, _ in maintainers.lines()}
        self.assertEqual(sections, {"MEMORY MANAGEMENT - CORE", "MEMORY MANAGEMENT - RECLAIM"})
