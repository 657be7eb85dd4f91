# SPDX-License-Identifier: GPL-2.0-only
"""What each check must be is written down without mistakes, for each kernel."""

import os
import tempfile
import unittest

from driver.core import expected
from driver.core.paths import EXPECTED
from driver.core.stage import Fail
from driver.kernel.source import RELEASES

VERDICTS = {"pass", "fail", "skip"}


def files():
    """{name: what is in it} of those that have checks."""
    found = {file.removesuffix(".toml"): None for file in sorted(os.listdir(EXPECTED))}
    found = {name: expected.load_file(name)[1] for name in found}
    return {name: text for name, text in found.items() if "checks" in text}


class Mistakes(unittest.TestCase):
    def test_mistake_in_what_is_expected(self):
        for text, said in (('columns = ["stock", "mm"]\n[checks]\n"a" = ["pass",\n',
                            r"x\.toml: Invalid value"),
                           ('columns = ["stock", "mm"]\n[checks]\n"a" = ["pass"]\n',
                            r"x\.toml: a has 1 verdicts, and there are the columns stock, mm"),
                           ('columns = ["stock"]\n[checks]\n"a" = ["pass", "fail"]\n',
                            r"x\.toml: a has 2 verdicts, and there are the columns stock")):
            with tempfile.TemporaryDirectory() as folder:
                with open(os.path.join(folder, "x.toml"), "w") as file:
                    file.write(text)
                with self.assertRaisesRegex(Fail, said):
                    expected.load("x", folder=folder)

    def test_mistake_on_one_kernel(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "x.toml"), "w") as file:
                file.write('columns = ["a", "b"]\n[checks]\n"c" = ["pass", "fail"]\n'
                           '[on."6.12"]\n"c" = ["skip"]\n')
            self.assertEqual(expected.load("x", "7.3", folder),
                             {"a": {"c": "pass"}, "b": {"c": "fail"}})
            with self.assertRaisesRegex(Fail, "c has 1 verdicts"):
                expected.load("x", "6.12", folder)


class Files(unittest.TestCase):
    def test_verdicts(self):
        self.assertEqual(set(files()), {"kunit", "scenarios", "schedule_files", "selftests",
                                        "stress"})
        for name in files():
            for release in RELEASES:
                for column, checks in expected.load(name, release).items():
                    self.assertTrue(checks, name)
                    self.assertLessEqual(set(checks.values()), VERDICTS, (name, column))

    def test_what_differs_on_one_kernel_is_there_on_all(self):
        for name, text in files().items():
            for release, checks in text.get("on", {}).items():
                self.assertEqual(name, "schedule_files",
                                 "expected.load() is not asked for others by release")
                self.assertIn(release, RELEASES)
                self.assertLess(set(checks), set(text["checks"]))
                usual, other = expected.load(name), expected.load(name, release)
                self.assertNotEqual(other, usual)
                for number, column in enumerate(text["columns"]):
                    want = {check: verdicts[number] for check, verdicts in checks.items()}
                    self.assertEqual(other[column], {**usual[column], **want})
