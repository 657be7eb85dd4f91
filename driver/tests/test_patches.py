# SPDX-License-Identifier: GPL-2.0-only
"""The mails are what the series composes to, and carry what they are to."""

import os
import tempfile
import unittest
from unittest import mock

from driver.core import expected
from driver.core.stage import Fail
from driver.kernel import compose, mails
from driver.kernel.compose import SERIES
from driver.kernel.source import RELEASES
from driver.suites import patches
from driver.tests.helpers import counted, quiet

MAIL = "Subject: x\n\nAssisted-by: LLM\n---\nindex 6a53762d5544..b8fa37604603\n@@ -1 +1 @@ f\n+a\n"
MAILS = {"0000-cover-letter.txt": "Subject: y\n", "0001-x.patch": MAIL}


class Recompose(unittest.TestCase):
    def failures(self, fresh=MAILS, committed=MAILS, made_on="7.3.4"):
        context = counted()
        with mock.patch.multiple(
                mails, kept=lambda release: ["mm"], made_on=lambda release: made_on,
                composed=lambda base, series: fresh,
                committed=lambda series, release: committed), quiet():
            patches.recompose(context)
        self.assertEqual(set(context.tally.reruns) - {"./run series"}, set())
        return context.tally.failed

    def test_same(self):
        self.assertEqual(self.failures(), [])

    def test_others(self):
        said = "patches/v7.3/0001-x.patch is not what the series composes to"
        edited = {**MAILS, "0001-x.patch": MAIL.replace("+a", "+b")}
        self.assertEqual(self.failures(edited), [said])
        self.assertEqual(self.failures({"0000-cover-letter.txt": "Subject: y\n"}), [said])
        self.assertIn(said, self.failures(committed={"0000-cover-letter.txt": "Subject: y\n"}))

    def test_another_point_release(self):
        """There, but for what changes with each."""
        later = {**MAILS, "0001-x.patch": MAIL.replace("-1 +1", "-9 +9").replace("6a5", "7a5")}
        self.assertEqual(self.failures(later, made_on="7.3.1"), [])
        self.assertEqual(len(self.failures(later)), 1)
        later["0001-x.patch"] += "+b\n"
        self.assertEqual(len(self.failures(later, made_on="7.3.1")), 1)

    def test_tags(self):
        for text, tags in ((MAIL.replace("Assisted-by: LLM\n", ""), r"\[\]"),
                           (MAIL.replace("Assisted", "Signed-off"), "'Signed-off-by'"),
                           (MAIL.replace("LLM", "LLM\nSigned-off-by: a"), "'Signed-off-by'")):
            found = {**MAILS, "0001-x.patch": text}
            self.assertRegex("".join(self.failures(found, found)),
                             f"must carry .* it carries .*{tags}")
        found = {**MAILS, "0000-cover-letter.txt": MAIL}
        self.assertRegex("".join(self.failures(found, found)), "must carry no tag")

    def test_base_that_has_no_mails(self):
        """Those of the nearest release are tried: they are not to be what it composes to."""
        context = counted(foreign=True, version="7.5.0", ident="kdir-x")
        with quiet(), mock.patch.object(compose, "run", return_value=(0, os.devnull)):
            patches.recompose(context)
        self.assertEqual(context.tally.failed, [])


class Mails(unittest.TestCase):
    def test_paths(self):
        for release in RELEASES:
            found = patches.paths(counted(release=release))
            self.assertEqual(len(found), sum(len(compose.patches(series, release))
                                             for series in mails.kept(release)))
            for name, path in found.items():
                self.assertTrue(os.path.exists(path), name)

    def test_recipients_of_each_are_expected(self):
        want = expected.load_file("recipients")[1]["recipients"]
        self.assertEqual(want.keys(), patches.paths(counted()).keys())

    def test_series(self):
        self.assertEqual(mails.kept(RELEASES[0]), [*SERIES])


class Am(unittest.TestCase):
    def test_one_that_does_not_apply(self):
        with tempfile.TemporaryDirectory() as src:
            os.makedirs(os.path.join(src, ".git/rebase-apply"))
            with open(os.path.join(src, ".git/rebase-apply/next"), "w") as out:
                out.write("2\n")
            calls = []

            def git(*args):
                calls.append(args)
                if "--abort" not in args:
                    raise Fail("git am exited 1: error: patch failed: mm/vmscan.c:12\nmore")
            base = counted(src=src, gitdir=os.path.join(src, ".git")).base
            base.git = git
            with self.assertRaisesRegex(Fail, r"^git am stopped at .*/x\.patch on Linux 7\.3\.4: "
                                              r"patch failed: mm/vmscan\.c:12 \(rebase in"):
                patches.apply(base, ("-3",), [os.path.join(src, f"{name}.patch") for name in "wxy"])
        self.assertEqual(calls[-1], ("am", "--abort"))

    def test_no_mails(self):
        context = counted(commit={"all": "0"})
        with mock.patch.object(mails, "paths", lambda series, release: []), quiet(), \
                self.assertRaisesRegex(Fail, "patches/v7.3 holds no mail: make them with"):
            patches.git_am(context)

    def test_another_tree(self):
        for trees, good in ((["t", "t"], True), (["t", "u"], False)):
            context = counted(commit={"all": "0"})
            context.base.git = mock.Mock(side_effect=lambda *args, trees=trees: (
                "" if args[0] == "am" else trees[args[1] == "0^{tree}"]))
            with quiet():
                patches.git_am(context, ((),))
            self.assertEqual(bool(context.tally.passed), good)
            self.assertEqual(bool(context.tally.failed), not good)
