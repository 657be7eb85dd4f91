# SPDX-License-Identifier: GPL-2.0-only
"""The mails are what the series composes to, and carry what they are to."""

import os
from unittest import mock

from driver.core import expected
from driver.core.paths import ROOT
from driver.core.stage import Fail
from driver.kernel import compose, mails
from driver.kernel.compose import LAB, MM, TCP
from driver.kernel.source import RELEASES, release_of
from driver.suites import patches
from driver.tests.helpers import Case, counted, tally_of

COVER, FIRST = "0000-cover-letter.txt", "0001-x.patch"
MAIL = "Subject: x\n\nAssisted-by: LLM\n---\nindex 6a53762d5544..b8fa37604603\n@@ -1 +1 @@ f\n+a\n"
MAILS = {COVER: "Subject: y\n", FIRST: MAIL}


class Recompose(Case):
    def failures(self, fresh=MAILS, committed=MAILS, made_on="7.3.4"):
        self.patch(mails, kept=lambda release: ["mm"], made_on=lambda release: made_on,
                   composed=lambda base, series: fresh,
                   committed=lambda series, release: committed)
        tally = tally_of(patches.recompose)
        self.assertEqual(set(tally.reruns) - {"./run series"}, set())
        return tally.failed

    def test_compared(self):
        """On another point release, but for what changes with each."""
        others = {**MAILS, FIRST: MAIL.replace("+a", "+b")}
        later = {**MAILS, FIRST: MAIL.replace("-1 +1", "-9 +9").replace("6a5", "7a5")}
        more, less = {**MAILS, FIRST: later[FIRST] + "+b\n"}, {COVER: MAILS[COVER]}
        for fresh, committed, made_on, same in (
                (MAILS, MAILS, "7.3.4", True), (others, MAILS, "7.3.4", False),
                (less, MAILS, "7.3.4", False), (MAILS, less, "7.3.4", False),
                (later, MAILS, "7.3.4", False), (later, MAILS, "7.3.1", True),
                (more, MAILS, "7.3.1", False)):
            self.assertEqual(self.failures(fresh, committed, made_on), [] if same else [
                "patches/v7.3/0001-x.patch is not what the series composes to"])

    def test_tags(self):
        for file, text, said in (
                (FIRST, MAIL.replace("Assisted-by: LLM\n", ""), r"must carry .* it carries \[\]"),
                (FIRST, MAIL.replace("Assisted", "Signed-off"), "carries .*'Signed-off-by'"),
                (FIRST, MAIL.replace("LLM", "LLM\nSigned-off-by: a"), "carries .*'Signed-off-by'"),
                (COVER, MAIL, "must carry no tag")):
            found = {**MAILS, file: text}
            self.assertRegex("".join(self.failures(found, found)), said)

    def test_base_that_has_no_mails(self):
        """Those of the nearest release are tried: they are not to be what it composes to."""
        self.patch(compose, run=mock.Mock(return_value=(0, os.devnull)))
        tally = tally_of(patches.recompose, foreign=True, version="7.5.0", ident="kdir-x")
        self.assertEqual(tally.failed, [])


class Kept(Case):
    """What is in patches/, and git am of it."""

    def test_folders(self):
        self.assertEqual([mails.name(MM), mails.name(TCP), mails.name(LAB),
                          mails.name(TCP, "6.12")], ["v7.3", "v7.3-net", "v7.3-lab", "v6.12-net"])
        self.assertEqual([mails.kept(release) for release in ("7.3", "6.12")],
                         [[MM, TCP, LAB], [MM, TCP]])
        # All that are kept are there, and nothing else; a mail for each patch
        self.assertEqual(set(os.listdir(os.path.join(ROOT, "patches"))),
                         {mails.name(series, release) for release in RELEASES
                          for series in mails.kept(release)})
        for release in RELEASES:
            self.assertEqual(release_of(mails.made_on(release)), release)
            for series in mails.kept(release):
                with self.subTest(release=release, series=series):
                    committed = mails.committed(series, release)
                    paths = mails.paths(series, release)
                    self.assertEqual(len(paths), len(compose.patches(series, release)))
                    self.assertEqual([COVER in committed, bool(mails.cover(series, release))],
                                     [series != TCP] * 2)
                    self.assertNotIn("base", committed)
                    # git am stops at a cover letter
                    self.assertNotIn(COVER, map(os.path.basename, paths))

    def test_recipients_of_each_are_expected(self):
        want = expected.load_file("recipients")[1]["recipients"]
        self.assertEqual(want.keys(), patches.paths(counted()).keys())
        for path in patches.paths(counted()).values():
            self.assertTrue(os.path.exists(path), path)

    def test_one_that_does_not_apply(self):
        def git(*args):
            if "--abort" not in args:
                raise Fail("git am exited 1: error: patch failed: mm/vmscan.c:12\nmore")
        base = counted(gitdir=self.folder({"rebase-apply/next": "2\n"})).base
        base.git.side_effect = git
        self.assertFail(r"^git am stopped at x\.patch on Linux 7\.3\.4: patch failed: "
                        r"mm/vmscan\.c:12 \(rebase in",
                        patches.apply, base, ("-3",), [f"{ROOT}/{name}.patch" for name in "wxy"])
        self.assertEqual(base.git.call_args.args, ("am", "--abort"))

    def test_git_am(self):
        for trees, good in ((["t", "t"], True), (["t", "u"], False)):
            context = counted()
            context.base.git.side_effect = lambda *args, trees=trees: (
                "" if args[0] == "am" else trees[args[1] == "0^{tree}"])
            patches.git_am(context, ((),))
            self.assertEqual((bool(context.tally.passed), bool(context.tally.failed)),
                             (good, not good))
        self.patch(mails, paths=lambda series, release: [])
        self.assertFail("patches/v7.3 holds no mail: make them with", patches.git_am, context)
