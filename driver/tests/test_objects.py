# SPDX-License-Identifier: GPL-2.0-only
"""What compilers say and make is compared without what varies."""

import unittest

from driver.kernel import objects
from driver.kernel.objects import code_difference

SAID = """\
  CC      mm/vmscan.o
In file included from mm/vmscan.c:12:
mm/vmscan.c:90:5: warning: unused variable 'x' [-Wunused-variable]
mm/folio.c:7:1: error: implicit declaration of function 'y'
mm/Kconfig:12:warning: type of 'Z' redefined from 'bool' to 'tristate'
WARNING: unmet direct dependencies detected for MIGRATION
ld: folio_race_actors.c:(.text+0x1f2): undefined reference to `do_madvise'
1 warning generated.
cc1: all warnings being treated as errors
"""


class Complaints(unittest.TestCase):
    def test_found(self):
        self.assertEqual(objects.complaints(SAID.splitlines()), {
            "mm/vmscan.c: warning: unused variable 'x' [-Wunused-variable]",
            "mm/folio.c: error: implicit declaration of function 'y'",
            "mm/Kconfig:warning: type of 'Z' redefined from 'bool' to 'tristate'",
            "WARNING: unmet direct dependencies detected for MIGRATION",
            "ld: folio_race_actors.c: undefined reference to `do_madvise'"})

    def test_line_numbers_do_not_count(self):
        self.assertEqual(objects.complaints(SAID.splitlines()), objects.complaints(
            SAID.replace(":90:5:", ":80:5:").replace("0x1f2", "0x2f2").splitlines()))


class ObjectCode(unittest.TestCase):
    CODE = ("x.o: file format\n0 <a>:\n 0: ret\n\n5 <b>:\n 5: call\n   6: R_X86_64_PLT32 c-0x4\n"
            "\nDisassembly of section .init.text:\n\n0 <c>:\n 0: ret\n")

    def test_same(self):
        self.assertIsNone(code_difference(self.CODE, self.CODE.replace("x.o", "y.o")))
        self.assertEqual(list(objects.functions(self.CODE)), ["a", "b", "c"])
        one, other = (f"0 <a>:\n 0: jmp 54 <__UNIQUE_ID_addressable_{name}+0x4>\n"
                      for name in ("b_668", "b_669"))
        self.assertIsNone(code_difference(one, other))
        self.assertEqual(code_difference(one, other.replace("b_", "c_")), "a")

    def test_different(self):
        for old, new, name in (("PLT32 c", "PLT32 d", "b"), ("ret\n\n5", "nop\n\n5", "a"),
                               ("0 <c>:\n 0: ret\n", "", "c"), ("<b>", "<bb>", "b")):
            with self.subTest(name=name):
                other = self.CODE.replace(old, new)
                self.assertEqual(code_difference(self.CODE, other), name)
