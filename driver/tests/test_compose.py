# SPDX-License-Identifier: GPL-2.0-only
"""A series is composed of what is written for a release, and of what all share."""

import contextlib
import os
import tempfile
import unittest
from unittest import mock

from driver.core import paths
from driver.core.stage import Fail
from driver.kernel import compose, source
from driver.kernel.compose import SERIES
from driver.kernel.source import RELEASES, Base
from driver.tests.helpers import environment, quiet

MESSAGE = "mm: one\n\nWhy.\n\nAssisted-by: LLM\n"
EDITS = """\
diff --git a/mm/folio.c b/mm/folio.c
--- a/mm/folio.c
+++ b/mm/folio.c
@@ -1 +1,2 @@
 int a;
+int b;
"""


class Older(unittest.TestCase):
    def test_message_for_an_older_kernel(self):
        text = compose.carried("6.12", "mm: x\n\nTested-on: y, and\n\nAssisted-by: LLM\n")
        self.assertRegex(text, r"and\n\n\[ For 6\.12\.y\. [^]]* \]\nAssisted-by: LLM\n$")

    def test_files_that_moved(self):
        text = "mm/folio: a/mm/folio.c mm/folio_bench.c folio:"
        self.assertEqual(compose.moved("6.12", text),
                         "mm/swap: a/mm/swap.c mm/folio_bench.c folio:")
        self.assertEqual(compose.moved("7.3", text), text)


class Series(unittest.TestCase):
    """What is in series/."""

    def test_every_mail_tags_itself(self):
        for release in RELEASES:
            for name in SERIES:
                self.assertTrue(compose.patches(name, release))
                for patch in compose.patches(name, release):
                    self.assertRegex(patch.message, r"(?m)^Assisted-by: LLM( \w+)*$", patch.slug)
                    self.assertNotIn("Signed-off-by", patch.message)

    def test_overlay(self):
        """Each file that is added is there, and is added once."""
        for release in RELEASES:
            added = [path for name in SERIES for patch in compose.patches(name, release)
                     for path in patch.files]
            self.assertEqual(len(added), len(set(added)))
            for path in added:
                self.assertTrue(os.path.isfile(os.path.join(paths.ROOT, path)), path)

    def test_what_is_only_an_older_one_s_has_a_place(self):
        for release in RELEASES[1:]:
            for name in SERIES:
                folder = os.path.join(paths.ROOT, compose.folder(name, release))
                for slug in os.listdir(folder) if os.path.isdir(folder) else ():
                    path = os.path.join(folder, slug)
                    if os.path.isdir(path):
                        self.assertTrue(os.listdir(path), path)


class Small(unittest.TestCase):
    """A series of two patches on a kernel of two files."""

    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.root = os.path.realpath(stack.enter_context(tempfile.TemporaryDirectory()))
        for where, name, value in ((paths, "OUT", self.root + "/out"), (compose, "ROOT", self.root),
                                   (source, "NEEDED_GIB", 0), (source, "FURTHER_GIB", 0)):
            stack.enter_context(mock.patch.object(where, name, value))
        stack.enter_context(environment())
        stack.enter_context(quiet())
        self.put("tree/Makefile", "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 1\n")
        self.put("tree/mm/folio.c", "int a;\n")
        self.put("tree/mm/swap.c", "int a;\n")
        self.put("series/mm/01-one/message", MESSAGE)
        self.put("series/mm/01-one/edits.diff", EDITS)
        self.put("series/mm/02-two/message", MESSAGE.replace("one", "two"))
        self.put("series/mm/02-two/files", "lib/new.c\ntools/new.sh\n")
        self.put("lib/new.c", "int c;\n")
        self.put("tools/new.sh", "#!/bin/sh\n", 0o755)
        self.base = source.from_kdir(self.root + "/tree")

    def put(self, path, text, mode=0o644):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as out:
            out.write(text)
        os.chmod(path, mode)

    def composed(self, release="7.3"):
        base = self.base if release == "7.3" else mock.Mock(
            wraps=self.base, foreign=False, release=release, dir=self.base.dir,
            src=self.base.src, version=release + ".1")
        return compose.compose(base, "mm", self.base.commit)

    def show(self, what):
        return self.base.git("show", what)

    def test_commits(self):
        (one, first), (two, second) = self.composed()
        self.assertEqual((one.slug, two.slug), ("01-one", "02-two"))
        self.assertEqual((one.paths(), two.paths()),
                         (["mm/folio.c"], ["lib/new.c", "tools/new.sh"]))
        self.assertEqual(self.base.git("rev-parse", f"{first}^"), self.base.commit)
        self.assertEqual(self.base.git("rev-parse", f"{second}^"), first)
        self.assertEqual(self.show(f"{first}:mm/folio.c"), "int a;\nint b;")
        self.assertEqual(self.show(f"{second}:lib/new.c"), "int c;")
        self.assertEqual(self.base.git("show", "-s", "--format=%B", first), MESSAGE.strip())
        modes = self.base.git("ls-tree", "-r", second).splitlines()
        self.assertEqual([line.split()[0] for line in modes if "new" in line],
                         ["100644", "100755"])
        self.assertEqual([second for _, second in self.composed()], [first, second])

    def test_on_an_older_release(self):
        """Shared, but for the names of files; what is its own takes the place of that."""
        (one, first), _ = self.composed("6.12")
        self.assertEqual(self.show(f"{first}:mm/swap.c"), "int a;\nint b;")
        self.assertIn("[ For 6.12.y. ", one.message)
        self.put("series/on-6.12/mm/01-one/edits.diff", EDITS.replace("folio.c", "swap.c")
                 .replace("int b", "int d"))
        self.put("series/on-6.12/mm/01-one/message", MESSAGE)
        self.put("series/on-6.12/mm/03-three/message", MESSAGE.replace("one", "three"))
        self.put("series/on-6.12/mm/03-three/edits.diff", EDITS)
        (one, first), _, (three, _) = self.composed("6.12")
        self.assertEqual(self.show(f"{first}:mm/swap.c"), "int a;\nint d;")
        self.assertEqual((one.message, three.slug), (MESSAGE, "03-three"))
        self.assertEqual(len(self.composed()), 2)

    def test_what_does_not_apply(self):
        self.put("series/mm/01-one/edits.diff", EDITS.replace(" int a", " int z"))
        with self.assertRaisesRegex(Fail, r"^series/mm/01-one/edits.diff does not apply to Linux "
                                          r"7\.3\.1: patch failed: mm/folio.c:1; edit it"):
            self.composed()

    def test_what_is_not_there(self):
        os.unlink(os.path.join(self.root, "lib/new.c"))
        with self.assertRaisesRegex(Fail, "lib/new.c is named in series/ but is not in the overl"):
            self.composed()
        self.put("series/on-6.12/mm/01-other-name/edits.diff", EDITS)
        with self.assertRaisesRegex(Fail, "there is no message in series/mm/01-other-name, nor "
                                          "one in series/on-6.12/mm/01-other-name"):
            self.composed("6.12")

    def test_part_of_a_patch(self):
        self.put("series/mm/01-one/files", "lib/new.c\nmm/bench.c\n")
        self.put("mm/bench.c", "int e;\n")
        part = compose.part_of(self.base, self.base.commit, compose.patches("mm")[0], "mm/")
        self.assertEqual(self.base.git("diff", "--name-only", self.base.commit, part).split(),
                         ["mm/bench.c", "mm/folio.c"])


class Stopped(unittest.TestCase):
    def test_files_that_git_am_names(self):
        with tempfile.NamedTemporaryFile("w") as log:
            log.write("error: patch failed: mm/vmscan.c:12\nerror: mm/vmscan.c: patch does not "
                      "apply\nCONFLICT (content): Merge conflict in mm/folio.c\n")
            log.flush()
            self.assertEqual(compose.stopped_at(log.name), "mm/vmscan.c, mm/folio.c")
        self.assertEqual(compose.stopped_at(os.devnull), "none named")


class Foreign(unittest.TestCase):
    """A release that there are no mails for: those of the nearest are tried."""

    def test_another_number_of_mails(self):
        base = Base("kdir-x", "7.5.0", "", "7.3")
        with self.assertRaisesRegex(Fail, "patches/ has 1 mails of the series mm, series/mm "):
            compose.compose(base, "mm", "0", {"0000-cover-letter.txt": "", "0001-x.patch": ""})

    def test_without_mails(self):
        with self.assertRaises(Fail):
            compose.compose(Base("kdir-x", "7.5.0", "", "7.3"), "mm", "0")
