# SPDX-License-Identifier: GPL-2.0-only
"""The mails in patches/."""

import os
import unittest

from driver.core.paths import ROOT
from driver.kernel import compose, mails
from driver.kernel.compose import LAB, MM, TCP
from driver.kernel.source import RELEASES, release_of


class Mails(unittest.TestCase):
    def test_mails_of_another_point_release(self):
        one = "index 6a53762d5544..b8fa37604603 100644\n@@ -17,2 +17,3 @@ int f(void)\n a\n+b\n"
        other = "index 1a53762d5544..c8fa37604603 100644\n@@ -19,2 +19,3 @@ int g(void)\n a\n+b\n"
        self.assertEqual(mails.without_lines(one), mails.without_lines(other))
        self.assertNotEqual(mails.without_lines(one), mails.without_lines(other + "+c\n"))

    def test_names(self):
        self.assertEqual([mails.name(MM), mails.name(TCP), mails.name(LAB),
                          mails.name(TCP, "6.12")], ["v7.3", "v7.3-net", "v7.3-lab", "v6.12-net"])

    def test_which_are_kept(self):
        self.assertEqual(mails.kept("7.3"), [MM, TCP, LAB])
        self.assertEqual(mails.kept("6.12"), [MM, TCP])

    def test_folders(self):
        """All that are kept are there, and nothing else; a mail for each patch."""
        self.assertEqual(set(os.listdir(os.path.join(ROOT, "patches"))),
                         {mails.name(series, release) for release in RELEASES
                          for series in mails.kept(release)})
        for release in RELEASES:
            for series in mails.kept(release):
                self.assertEqual(len(mails.paths(series, release)),
                                 len(compose.patches(series, release)), (series, release))
                self.assertNotIn("base", mails.committed(series, release))
            self.assertEqual(release_of(mails.made_on(release)), release)

    def test_cover_letters(self):
        for release in RELEASES:
            for series in mails.kept(release):
                self.assertEqual("0000-cover-letter.txt" in mails.committed(series, release),
                                 bool(mails.cover(series, release)), (series, release))
                self.assertEqual(bool(mails.cover(series, release)), series != TCP)
                self.assertNotIn("0000-cover-letter.txt",       # git am stops there
                                 map(os.path.basename, mails.paths(series, release)))
