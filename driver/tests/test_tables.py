# SPDX-License-Identifier: GPL-2.0-only
"""Tables show what was seen, and what was to be seen if that is another thing."""

import re
import unittest

from driver.core import tables

SEEN = {"stock": {"a": "fail", "b": "pass"}, "mm": {"a": "pass"}}
WANT = {"stock": {"a": "fail", "b": "pass"}, "mm": {"a": "pass", "b": "skip"}}


class Tables(unittest.TestCase):
    def test_grid(self):
        self.assertEqual(tables.grid([["name", "n"], ["a", "10"]], right=(1,)),
                         "name   n\na     10\n")
        self.assertEqual(tables.grid([["a", ""]]), "a\n")

    def test_markdown(self):
        self.assertEqual(tables.markdown([["a", "b"], ["1", "2"]]),
                         "| a | b |\n| --- | --- |\n| 1 | 2 |\n")

    def test_cell(self):
        for got, want, text in (("pass", "pass", "pass"), ("fail", "fail", tables.KNOWN),
                                ("skip", "skip", "skip"), ("fail", "pass", "FAIL (expected pass)"),
                                (None, "fail", "MISSING (expected fail)")):
            self.assertEqual(tables.cell(got, want), text)

    def test_results(self):
        lines = tables.results(SEEN, WANT).splitlines()
        self.assertEqual([re.split(" {2,}", line) for line in lines],
                         [["check", "stock", "mm"], ["a", "fail (known)", "pass"],
                          ["b", "pass", "MISSING (expected skip)"]])
