# SPDX-License-Identifier: GPL-2.0-only
"""The base: which one it is, and that a tree of the user's is taken in as it is."""

import contextlib
import os
import tempfile
import unittest
from unittest import mock

from driver.core import paths
from driver.core.process import output
from driver.core.stage import Fail
from driver.kernel import debian, source
from driver.kernel.source import GIT_ENV, RELEASES, Base
from driver.tests.helpers import environment, quiet

MAKEFILE = "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 9\nEXTRAVERSION =\n"
TREE = {"Makefile": MAKEFILE, ".gitignore": "*.o\n/include/config/\n", "mm/vmscan.c": "int a;\n",
        "mm/swap.c": "int b;\n", "mm/.kunitconfig": "CONFIG_KUNIT=y\n",
        "scripts/run.sh": "#!/bin/sh\n", "tools/mm/.gitignore": "slabinfo\n"}
BUILT = {"mm/vmscan.o": "built", "include/config/auto.conf": "built"}


def put(tree, files):
    for path, text in files.items():
        os.makedirs(os.path.dirname(os.path.join(tree, path)), exist_ok=True)
        with open(os.path.join(tree, path), "w") as out:
            out.write(text)


def listing(tree):
    """Whatever would tell that somebody has written to a tree."""
    found = {}
    for folder, folders, files in os.walk(tree):
        for name in [".", *folders, *files]:
            path = os.path.join(folder, name)
            of = os.lstat(path)
            found[path] = of.st_mtime_ns, of.st_ctime_ns, of.st_size, of.st_mode, of.st_ino
    return found


class Folder(unittest.TestCase):
    """With an out/ of its own."""

    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.folder = os.path.realpath(stack.enter_context(tempfile.TemporaryDirectory()))
        self.out = os.path.join(self.folder, "out")
        os.makedirs(self.out)
        for where, name, value in ((paths, "OUT", self.out), (source, "NEEDED_GIB", 0),
                                   (source, "FURTHER_GIB", 0)):
            stack.enter_context(mock.patch.object(where, name, value))
        stack.enter_context(environment())
        self.said = stack.enter_context(quiet())


class Versions(unittest.TestCase):
    def test_base_without_a_series(self):
        with environment(BASE="5.10"), self.assertRaisesRegex(
                Fail, "BASE=5.10: there are mails for 7.3, 6.12"):
            source.wanted()

    def test_wanted(self):
        for settings, want in (({}, RELEASES), ({"BASE": ""}, RELEASES),
                               ({"BASE": "6.12"}, ("6.12",))):
            with environment(**settings):
                self.assertEqual(source.wanted(), want)

    def test_kdir_of_another_version(self):
        with environment():
            for version, release in (("7.3.9", "7.3"), ("7.9", "7.3"), ("7.1", "7.3"),
                                     ("6.12.1", "6.12"), ("6.15", "6.12"), ("6.19.3", "7.3"),
                                     ("5.10.1", "6.12")):
                self.assertEqual(source.nearest(version), release, version)
        with environment(BASE="6.12"):
            self.assertEqual(source.nearest("7.3.9"), "6.12")

    def test_properties(self):
        for version, release, foreign, newest, suffix in (
                ("7.3.4", "7.3", False, True, ""), ("7.4.1", "7.3", True, True, ""),
                ("6.12.30", "6.12", False, False, "-6.12"), ("6.15", "6.12", True, False, "-6.12")):
            base = Base("x", version, "", release)
            self.assertEqual((base.foreign, base.newest, base.suffix), (foreign, newest, suffix))

    def test_version_of_a_makefile(self):
        self.assertEqual(source.makefile_version(MAKEFILE, "x"), "7.3.9")
        with self.assertRaisesRegex(Fail, "x is not a kernel tree"):
            source.makefile_version("all:\n\ttrue\n", "x")


class Disk(Folder):
    def test_too_little_disk(self):
        with mock.patch.object(source, "NEEDED_GIB", 1 << 30):
            with self.assertRaisesRegex(Fail, "GiB free"):
                source.check_disk()
            os.makedirs(self.out + "/v7.3.4/linux")      # this one is there, and one more will do
            source.check_disk()
        with mock.patch.object(source, "FURTHER_GIB", 1 << 30), \
                self.assertRaisesRegex(Fail, "GiB free"):
            source.check_disk()


class Packaging(Folder):
    TAIL = ("\n#\n# Debian packaging: ignore everything at the top level, since it isn't\n"
            "# included in our repository\n#\n/*\n!/debian/\n")

    def left(self, text):
        put(self.folder, {".gitignore": text})
        source.without_packaging(self.folder)
        return paths.read(os.path.join(self.folder, ".gitignore"))

    def test_debian_s_tail_goes(self):
        kernel = "#\n# NOTE! x\n#\n*.o\n!.gitignore\n\n# bc language scripts\n!timeconst.bc\n"
        self.assertEqual(self.left(kernel + self.TAIL[1:]), kernel)
        self.assertEqual(self.left(kernel + self.TAIL).rstrip("\n"), kernel.rstrip("\n"))

    def test_nothing_else_goes(self):
        for text in ("*.o\n", "", "/debian/\n#\n# Debian's\n#\n*.deb\n", "/*\n"):
            self.assertEqual(self.left(text), text)

    def test_a_tree_without_one(self):
        source.without_packaging(self.folder)
        self.assertNotIn(".gitignore", os.listdir(self.folder))


class FromDebian(Folder):
    """Which base is taken, and remembered."""

    def base(self, version, release=None):
        made = Base(f"v{version}.1", f"{version}.1", "Debian", release or version)
        os.makedirs(made.src, exist_ok=True)
        return made

    def debian(self, newest, status=0):
        """Debian has what newest() says of the releases that are asked for."""
        def package(apt, status, log, releases):
            self.asked.append(releases)
            return newest(releases), "1", "sid"
        self.asked = []
        stack = contextlib.ExitStack()
        stack.enter_context(mock.patch.multiple(
            debian, environment=mock.DEFAULT, update=lambda apt: (status, os.devnull),
            newest_package=package))
        stack.enter_context(mock.patch.object(
            source, "unpacked", lambda apt, release, version, suite: self.base(
                release, release if release in RELEASES else "7.3")))
        return stack

    def test_an_older_base_is_not_taken_for_the_newest(self):
        with self.debian(lambda releases: "6.12"):
            self.assertEqual(source.from_debian(("6.12",)).version, "6.12.1")
            for _ in range(2):          # there is no 7.3; found once, and remembered
                self.assertEqual(source.from_debian(RELEASES).version, "6.12.1")
            self.assertEqual(self.asked, [("6.12",), RELEASES])
            self.assertIn("no Debian suite ships linux-source-7.3 any more: the base is 6.12\n",
                          self.said.getvalue())
            with environment(BASE="7.3"):
                self.assertEqual(source.from_debian(("6.12",)).release, "6.12")
            source.remember(self.base("7.3"), ("7.3",))
            self.assertEqual(source.from_debian(RELEASES).version, "7.3.1")

    def test_an_older_base_is_not_remembered_without_all_suites(self):
        with self.debian(lambda releases: "6.12", status=100):
            source.from_debian(RELEASES)
            self.assertIn("base-6.12.json", os.listdir(self.out))
            self.assertNotIn("base-7.3-or-6.12.json", os.listdir(self.out))
            source.from_debian(RELEASES)
        self.assertEqual(len(self.asked), 2)

    def test_a_newer_one(self):
        with self.debian(lambda releases: "7.4"):
            base = source.from_debian(RELEASES)
            self.assertEqual((base.version, base.release, base.foreign), ("7.4.1", "7.3", True))
            self.assertIn("the base is 7.4, with the mails of 7.3 by git am -3",
                          self.said.getvalue())

    def test_one_that_was_removed_is_looked_for_again(self):
        with self.debian(lambda releases: "7.3"):
            os.rmdir(source.from_debian(RELEASES).src)
            source.from_debian(RELEASES)
        self.assertEqual(len(self.asked), 2)

    def test_what_is_remembered_in_another_form(self):
        put(self.out, {"base-7.3.json": '{"series": "7.3"}', "base-6.12.json": "{"})
        for releases in (("7.3",), ("6.12",), RELEASES):
            self.assertIsNone(source.remembered(releases))

    def test_asked_for_by_the_environment(self):
        with mock.patch.multiple(source, from_debian=lambda releases: releases,
                                 from_kdir=lambda kdir: kdir):
            for settings, want in (({}, RELEASES), ({"BASE": "6.12"}, ("6.12",)),
                                   ({"KDIR": "/k", "BASE": "6.12"}, "/k")):
                with environment(**settings):
                    self.assertEqual(source.get(), want)


class Kdir(Folder):
    """A kernel tree of the user's."""

    def setUp(self):
        super().setUp()
        self.tree = os.path.join(self.folder, "my tree")
        put(self.tree, TREE)
        os.chmod(os.path.join(self.tree, "scripts/run.sh"), 0o755)

    def git(self, *args):
        return output(["git", "-C", self.tree, *args], env=GIT_ENV)

    def commit(self):
        self.git("init", "--quiet")
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", "x")

    def edit(self):
        """An edit, a new file, one that is gone, and a build; none of it committed."""
        put(self.tree, {"mm/vmscan.c": "int ab;\n", "mm/new.c": "int c;\n", **BUILT})
        os.unlink(os.path.join(self.tree, "mm/swap.c"))

    def take(self):
        """The base; nothing in the tree may be written for it."""
        before = listing(self.tree)
        base = source.from_kdir(self.tree)
        self.assertEqual(listing(self.tree), before)
        return base

    def files(self, base):
        return {name: base.git("show", f"{base.commit}:{name}") for name in
                base.git("ls-tree", "-r", "--name-only", base.commit).splitlines()}

    def test_no_kernel(self):
        with self.assertRaisesRegex(Fail, "no kernel tree there"):
            source.from_kdir(self.out)
        put(self.out, {"Makefile": "all:\n"})
        with self.assertRaisesRegex(Fail, "is not a kernel tree"):
            source.from_kdir(self.out)

    def test_checkout(self):
        self.commit()
        base = self.take()
        want = {name: text.strip() for name, text in TREE.items()}
        self.assertEqual(self.files(base), want)
        self.assertEqual((base.version, base.release, base.foreign), ("7.3.9", "7.3", False))
        self.edit()
        before, base = base.commit, self.take()
        self.assertNotEqual(base.commit, before)
        del want["mm/swap.c"]
        self.assertEqual(self.files(base),
                         {**want, "mm/vmscan.c": "int ab;", "mm/new.c": "int c;"})
        self.assertEqual(self.take().commit, base.commit)

    def test_what_is_staged_is_no_other_thing(self):
        self.commit()
        self.edit()
        want = self.take().commit
        self.git("add", "--all")
        self.assertEqual(self.take().commit, want)
        self.git("commit", "--quiet", "-m", "y")
        self.assertEqual(self.take().commit, want)

    def test_folder(self):
        put(self.tree, BUILT)
        base = self.take()
        found = self.files(base)
        for name in ("Makefile", "mm/vmscan.c", "mm/swap.c", "scripts/run.sh"):
            self.assertEqual(found[name], TREE[name].strip())
        self.edit()
        before, base = base.commit, self.take()
        self.assertNotEqual(base.commit, before)
        found = self.files(base)
        self.assertEqual((found["mm/vmscan.c"], found["mm/new.c"]), ("int ab;", "int c;"))
        self.assertFalse({"mm/swap.c", *BUILT} & found.keys())
        self.assertEqual(self.take().commit, base.commit)

    def test_all_of_a_folder(self):
        self.assertEqual(self.files(self.take()),
                         {name: text.strip() for name, text in TREE.items()})

    def test_links(self):
        for where in ("Documentation", "scripts"):
            os.makedirs(os.path.join(self.tree, where), exist_ok=True)
        os.symlink("../Makefile", os.path.join(self.tree, "Documentation/Changes"))
        os.symlink("../mm", os.path.join(self.tree, "scripts/mm"))
        found = self.files(self.take())
        self.assertEqual((found["Documentation/Changes"], found.get("scripts/mm")),
                         ("../Makefile", "../mm"))

    def test_modes(self):
        base = self.take()
        for name, mode in (("Makefile", "100644"), ("scripts/run.sh", "100755")):
            self.assertTrue(base.git("ls-tree", base.commit, name).startswith(mode), name)

    def test_a_file_that_is_a_folder_now(self):
        self.commit()
        self.take()
        os.unlink(os.path.join(self.tree, "mm/swap.c"))
        put(self.tree, {"mm/swap.c/a.c": "int d;\n"})
        self.assertEqual(self.files(self.take())["mm/swap.c/a.c"], "int d;")

    def test_a_file_that_is_ignored_now(self):
        self.commit()
        put(self.tree, {"mm/notes": "x\n"})
        self.assertIn("mm/notes", self.files(self.take()))
        put(self.tree, {"mm/.gitignore": "notes\n"})
        self.assertNotIn("mm/notes", self.files(self.take()))

    def test_two_of_one_name(self):
        other = os.path.join(self.folder, "other", "my tree")
        put(other, {**TREE, "mm/vmscan.c": "int other;\n"})
        mine, its = self.take(), source.from_kdir(other)
        self.assertNotEqual(mine.dir, its.dir)
        self.assertEqual(self.files(its)["mm/vmscan.c"], "int other;")

    def test_checked_out(self):
        """What is built is the tree; folders of objects are not removed for another commit."""
        self.commit()
        base = self.take()
        base.checkout(base.commit)
        self.assertEqual(paths.read(os.path.join(base.src, "mm/vmscan.c")), "int a;\n")
        put(base.src, {f"{source.OBJECTS}x86_64/vmlinux": "built", "left.c": "x"})
        self.edit()
        base = self.take()
        base.checkout(base.commit)
        self.assertEqual(paths.read(os.path.join(base.src, "mm/vmscan.c")), "int ab;\n")
        self.assertTrue(os.path.exists(os.path.join(base.objects("x86_64"), "vmlinux")))
        self.assertFalse(os.path.exists(os.path.join(base.src, "left.c")))

    def test_what_debian_s_kernels_have_is_shared(self):
        theirs = os.path.join(self.out, "v7.3.4/linux")
        put(theirs, TREE)
        source.init_repository(theirs)
        output(["git", "-C", theirs, "add", "--all"], env=GIT_ENV)
        base = self.take()
        self.assertEqual(self.files(base).keys() & {"mm/vmscan.c"}, {"mm/vmscan.c"})
        blob = base.git("rev-parse", f"{base.commit}:mm/vmscan.c")
        self.assertFalse(os.path.exists(
            os.path.join(base.src, ".git/objects", blob[:2], blob[2:])))
        # If that goes, so does what was made with it
        os.rename(theirs, os.path.join(self.folder, "gone"))
        self.assertEqual(self.files(self.take())["mm/vmscan.c"], "int a;")

    def test_another_release_is_told(self):
        """It is merged with the nearest one, whose objects git am -3 needs."""
        put(self.tree, {"Makefile": MAKEFILE.replace("7", "6").replace("3", "15")})
        theirs = Base("v6.12.1", "6.12.1", "Debian", "6.12")

        def from_debian(releases):
            self.assertEqual(releases, ("6.12",))
            put(theirs.src, TREE)
            source.init_repository(theirs.src)
            return theirs
        with mock.patch.object(source, "from_debian", from_debian):
            base = self.take()
        self.assertEqual((base.release, base.foreign), ("6.12", True))
        self.assertIn("is Linux 6.15.9: the patches for 6.12 are tried", self.said.getvalue())
        self.assertEqual(self.alternates(base), [os.path.join(theirs.src, ".git/objects")])

    def test_a_tree_that_is_another_release_now(self):
        self.take()
        self.test_another_release_is_told()

    def alternates(self, base):
        objects = os.path.join(base.src, ".git/objects")
        return [os.path.normpath(os.path.join(objects, line)) for line in
                paths.read(os.path.join(objects, "info/alternates")).splitlines()]


class Repository(Folder):
    def test_a_copy_of_the_tree(self):
        """It is looked at once, so that what has not changed is not checked out anew."""
        base = Base("v7.3.9", "7.3.9", "", "7.3")
        put(base.src, TREE)
        source.init_repository(base.src)
        for cmd in (["add", "--all"], ["commit", "--quiet", "-m", "x"], ["tag", "base"]):
            base.git(*cmd)
        base.checkout(base.commit)
        copy = Base("copy", "7.3.9", "", "7.3")
        output(["cp", "-a", base.dir, copy.dir])
        before = os.stat(os.path.join(copy.src, "mm/vmscan.c"))
        copy.checkout(copy.commit)
        after = os.stat(os.path.join(copy.src, "mm/vmscan.c"))
        self.assertEqual((before.st_ino, before.st_mtime_ns), (after.st_ino, after.st_mtime_ns))

    def test_what_a_killed_run_left(self):
        base = Base("v7.3.9", "7.3.9", "", "7.3")
        put(base.src, TREE)
        source.init_repository(base.src)
        for cmd in (["add", "--all"], ["commit", "--quiet", "-m", "x"], ["tag", "base"]):
            base.git(*cmd)
        put(base.src, {".git/index.lock": "", ".git/rebase-apply/next": "1", "mm/left.c": ""})
        base.checkout(base.commit)
        for path in (".git/index.lock", ".git/rebase-apply", "mm/left.c"):
            self.assertFalse(os.path.exists(os.path.join(base.src, path)), path)
