# SPDX-License-Identifier: GPL-2.0-only
"""Which kernel source is taken of those that Debian ships."""

import os
import tempfile
import unittest
from unittest import mock

from driver.core.stage import Fail
from driver.kernel import debian
from driver.kernel.debian import NotShipped
from driver.kernel.source import RELEASES


class Newest(unittest.TestCase):
    def newest(self, have, releases=RELEASES, log=os.devnull, status=0):
        with mock.patch.multiple(
                debian, shipped=lambda apt: have,
                versions=lambda apt, package: [(package.rpartition("-")[2] + ".1", "sid")]):
            return debian.newest_package({}, status, log, releases)

    def test_the_first_that_is_shipped(self):
        for have, release in ((["7.3", "6.12"], "7.3"), (["7.4", "7.3", "6.12"], "7.3"),
                              (["7.4", "6.12"], "7.4"), (["7.5", "7.4", "6.12"], "7.5"),
                              (["7.10", "7.4"], "7.10"), (["7.2", "6.19", "6.12"], "6.12"),
                              (["6.12"], "6.12")):
            with self.subTest(have=have):
                self.assertEqual(self.newest(have), (release, f"{release}.1", "sid"))

    def test_one_that_was_named_is_never_another(self):
        for have in (["7.4", "7.3", "6.12"], ["7.4", "6.12"], ["6.12"]):
            self.assertEqual(self.newest(have, ("6.12",))[0], "6.12")
        for have, release in ((["7.3"], "6.12"), (["7.4", "6.12"], "7.3"), ([], "7.3")):
            with self.assertRaisesRegex(NotShipped, f"linux-source-{release} any more"):
                self.newest(have, (release,))

    def test_none(self):
        with self.assertRaisesRegex(NotShipped, r"linux-source-7.3 or 6.12 any more \(there is: "
                                                r"7.2\): set KDIR=<a 7.3.x kernel tree>"):
            self.newest(["7.2"])
        with self.assertRaisesRegex(NotShipped, "there is: none"):
            self.newest([])

    def test_archive_was_not_reached(self):
        for status, text in ((100, ""), (0, "W: Failed to fetch http://x  Could not resolve\n")):
            with tempfile.NamedTemporaryFile("w") as log:
                log.write(text)
                log.flush()
                with self.assertRaisesRegex(Fail, "can't be reached, is the network up") as failed:
                    self.newest([], log=log.name, status=status)
                self.assertNotIsInstance(failed.exception, NotShipped)
                # What is known from before will do
                self.assertEqual(self.newest(["7.3"], log=log.name, status=status)[0], "7.3")

    def test_all_reached(self):
        with tempfile.NamedTemporaryFile("w") as log:
            log.write("Get:1 http://deb.debian.org trixie InRelease\nReading package lists...\n")
            log.flush()
            self.assertTrue(debian.all_reached(0, log.name))
            self.assertFalse(debian.all_reached(100, log.name))


class Words(unittest.TestCase):
    """What apt's programs say."""

    def said(self, text):
        return mock.patch.object(debian, "output", lambda cmd, env: text)

    def test_shipped(self):
        with self.said("linux-source-6.12 - Linux kernel source\n"
                       "linux-source-7.10 - Linux kernel source\n"
                       "linux-source-7.3 - Linux kernel source\n"):
            self.assertEqual(debian.shipped({}), ["7.10", "7.3", "6.12"])
        with self.said(""):
            self.assertEqual(debian.shipped({}), [])

    def test_versions(self):
        text = "".join(f" linux-source-7.3 | {version} | http://d.o/debian {suite}/main amd64\n"
                       for version, suite in (("7.3.4-1~bpo13+1", "trixie-backports"),
                                              ("7.3.10-1", "sid"), ("7.3.4-1", "forky"),
                                              ("7.3.10-1", "other")))
        with self.said(text):
            self.assertEqual(debian.versions({}, "linux-source-7.3"),
                             [("7.3.10-1", "sid"), ("7.3.4-1", "forky"),
                              ("7.3.4-1~bpo13+1", "trixie-backports")])

    def test_no_archive(self):
        with mock.patch.object(debian, "output", lambda cmd: "Ubuntu|http://x\n"), \
                self.assertRaisesRegex(Fail, "apt knows no Debian archive"):
            debian.environment()
