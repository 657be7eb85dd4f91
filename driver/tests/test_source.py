# SPDX-License-Identifier: GPL-2.0-only
"""The base: which one it is of Debian's, and that a tree of the user's is taken in as it is."""

import os

from driver.core import paths
from driver.core.process import output
from driver.core.stage import Fail
from driver.kernel import context, debian, source
from driver.kernel.debian import NotShipped
from driver.kernel.source import GIT_ENV, RELEASES, Base
from driver.tests.helpers import Case, log, put

MAKEFILE = "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 9\nEXTRAVERSION =\n"
TREE = {"Makefile": MAKEFILE, ".gitignore": "*.o\n/include/config/\n", "mm/vmscan.c": "int a;\n",
        "mm/swap.c": "int b;\n", "mm/.kunitconfig": "CONFIG_KUNIT=y\n",
        "scripts/run.sh": "#!/bin/sh\n", "tools/mm/.gitignore": "slabinfo\n"}
BUILT = {"mm/vmscan.o": "built", "include/config/auto.conf": "built"}


class Out(Case):
    """With an out/ of its own."""

    def setUp(self):
        super().setUp()
        self.top = self.folder()
        self.out_dir = os.path.join(self.top, "out")
        os.makedirs(self.out_dir)
        self.patch(paths, OUT=self.out_dir)
        self.patch(source, NEEDED_GIB=0, FURTHER_GIB=0)


class Versions(Case):
    def test_asked_for(self):
        """By the environment."""
        self.patch(source, from_debian=lambda releases, _: releases, from_kdir=lambda kdir: kdir)
        for settings, want in (({}, RELEASES), ({"BASE": ""}, RELEASES),
                               ({"BASE": "6.12"}, ("6.12",)),
                               ({"KDIR": "/k", "BASE": "6.12"}, "/k")):
            self.settings(**settings)
            self.assertEqual(source.get(), want)
        self.settings(BASE="5.10")
        self.assertFail("BASE=5.10: there are mails for 7.3, 6.12", source.get)

    def test_versions(self):
        for version, release in (("7.3.9", "7.3"), ("7.9", "7.3"), ("7.1", "7.3"),
                                 ("6.12.1", "6.12"), ("6.15", "6.12"), ("6.19.3", "7.3"),
                                 ("5.10.1", "6.12")):
            self.assertEqual(source.nearest(version), release, version)
        self.settings(BASE="6.12")
        self.assertEqual(source.nearest("7.3.9"), "6.12")
        for version, release, foreign, newest, suffix in (
                ("7.3.4", "7.3", False, True, ""), ("7.4.1", "7.3", True, True, ""),
                ("6.12.30", "6.12", False, False, "-6.12"), ("6.15", "6.12", True, False, "-6.12")):
            base = Base("x", version, "", release)
            self.assertEqual((base.foreign, base.newest, base.suffix), (foreign, newest, suffix))

    def newest(self, have, releases=RELEASES, path=os.devnull, status=0):
        self.patch(debian, shipped=lambda apt: have,
                   versions=lambda apt, package: [(package.rpartition("-")[2] + ".1", "sid")])
        return debian.newest_package({}, status, path, releases)

    def test_the_first_that_is_shipped(self):
        for have, release in ((["7.3", "6.12"], "7.3"), (["7.4", "7.3", "6.12"], "7.3"),
                              (["7.4", "6.12"], "7.4"), (["7.5", "7.4", "6.12"], "7.5"),
                              (["7.10", "7.4"], "7.10"), (["7.2", "6.19", "6.12"], "6.12"),
                              (["6.12"], "6.12")):
            self.assertEqual(self.newest(have), (release, f"{release}.1", "sid"), have)
        for have in (["7.4", "7.3", "6.12"], ["7.4", "6.12"], ["6.12"]):    # one that was named
            self.assertEqual(self.newest(have, ("6.12",))[0], "6.12")

    def test_none(self):
        for said, have, *which in (
                (r"linux-source-7.3 or 6.12 any more \(there is: 7.2\): set KDIR=<a 7.3.x kernel "
                 "tree>", ["7.2"]), ("there is: none", []),
                ("linux-source-6.12 any more", ["7.3"], ("6.12",)),
                ("linux-source-7.3 any more", ["7.4", "6.12"], ("7.3",)),
                ("linux-source-7.3 any more", [], ("7.3",))):
            with self.assertRaisesRegex(NotShipped, said):
                self.newest(have, *which)

    def test_archive_was_not_reached(self):
        for status, text in ((100, ""), (0, "W: Failed to fetch http://x  Could not resolve\n")):
            path = log(text)
            self.assertFalse(debian.all_reached(status, path))
            with self.assertRaisesRegex(Fail, "can't be reached, is the network up") as failed:
                self.newest([], path=path, status=status)
            self.assertNotIsInstance(failed.exception, NotShipped)
            # What is known from before will do
            self.assertEqual(self.newest(["7.3"], path=path, status=status)[0], "7.3")
        path = log("Get:1 http://deb.debian.org trixie InRelease\nReading package lists...\n")
        self.assertTrue(debian.all_reached(0, path))

    def test_words_of_apt(self):
        def said(text):
            self.patch(debian, output=lambda cmd, env=None: text)
        for releases, want in ((("6.12", "7.10", "7.3"), ["7.10", "7.3", "6.12"]), ((), [])):
            said("".join(f"linux-source-{each} - Linux kernel source\n" for each in releases))
            self.assertEqual(debian.shipped({}), want)
        said("".join(
            f" linux-source-7.3 | {version} | http://d.o/debian {suite}/main amd64\n"
            for version, suite in (("7.3.4-1~bpo13+1", "trixie-backports"), ("7.3.10-1", "sid"),
                                   ("7.3.4-1", "forky"), ("7.3.10-1", "other"))))
        self.assertEqual(debian.versions({}, "linux-source-7.3"),
                         [("7.3.10-1", "sid"), ("7.3.4-1", "forky"),
                          ("7.3.4-1~bpo13+1", "trixie-backports")])
        said("Ubuntu|http://x\n")
        self.assertFail("apt knows no Debian archive", debian.environment)


class FromDebian(Out):
    def base(self, version):
        release = version if version in RELEASES else "7.3"
        made = Base(f"v{version}.1", f"{version}.1", "Debian", release)
        os.makedirs(made.src, exist_ok=True)
        return made

    def debian_has(self, newest, status=0):
        """Whatever is asked for, this is the newest that Debian has."""
        def package(apt, status, log, releases):
            self.asked.append(releases)
            return newest, "1", "sid"
        self.asked = []
        self.patch(debian, "environment", update=lambda apt: (status, os.devnull),
                   newest_package=package)
        self.patch(source, unpacked=lambda apt, release, *rest: self.base(release))

    def test_an_older_base_is_not_taken_for_the_newest(self):
        self.debian_has("6.12")
        self.assertEqual(source.from_debian(("6.12",)).version, "6.12.1")
        for _ in range(2):          # there is no 7.3; found once, and remembered
            self.assertEqual(source.from_debian(RELEASES).version, "6.12.1")
        self.assertEqual(self.asked, [("6.12",), RELEASES])
        self.assertIn("no Debian suite ships linux-source-7.3 any more: the base is 6.12\n",
                      self.printed())
        self.settings(BASE="7.3")
        self.assertEqual(source.from_debian(("6.12",)).release, "6.12")
        source.remember(self.base("7.3"), ("7.3",))
        self.assertEqual(source.from_debian(RELEASES).version, "7.3.1")

    def test_an_older_base_is_not_remembered_without_all_suites(self):
        self.debian_has("6.12", status=100)
        for count in (1, 2):
            source.from_debian(RELEASES)
            self.assertEqual(len(self.asked), count)
        self.assertIn("base-6.12.json", os.listdir(self.out_dir))

    def test_a_newer_one(self):
        self.debian_has("7.4")
        base = source.from_debian(RELEASES)
        self.assertEqual((base.version, base.release, base.foreign), ("7.4.1", "7.3", True))
        self.assertIn("the base is 7.4, with the mails of 7.3 by git am -3", self.printed())
        os.rmdir(base.src)              # one that was removed is looked for again
        source.from_debian(RELEASES)
        self.assertEqual(len(self.asked), 2)

    def test_what_is_remembered_in_another_form(self):
        put(self.out_dir, {"base-7.3.json": '{"series": "7.3"}', "base-6.12.json": "{"})
        for releases in (("7.3",), ("6.12",), RELEASES):
            self.assertIsNone(source.remembered(releases))

    def test_too_little_disk(self):
        self.patch(source, NEEDED_GIB=1 << 30)
        self.assertFail("GiB free", source.check_disk)
        os.makedirs(self.out_dir + "/v7.3.4/linux")     # this one is there, and one more will do
        source.check_disk()
        self.patch(source, NEEDED_GIB=0, FURTHER_GIB=1 << 30)
        self.assertFail("GiB free", source.check_disk)

    def test_debian_s_tail_of_gitignore_goes(self):
        tail = ("\n#\n# Debian packaging: ignore everything at the top level, since it isn't\n"
                "# included in our repository\n#\n/*\n!/debian/\n")
        kernel = "#\n# NOTE! x\n#\n*.o\n!.gitignore\n\n# bc language scripts\n!timeconst.bc\n"
        for text, left in ((kernel + tail[1:], kernel), (kernel + tail, kernel + "\n"),
                           *((text, text) for text in
                             ("*.o\n", "", "/debian/\n#\n# Debian's\n#\n*.deb\n", "/*\n"))):
            put(self.top, {".gitignore": text})
            source.without_packaging(self.top)
            self.assertEqual(paths.read(os.path.join(self.top, ".gitignore")), left)
        source.without_packaging(self.out_dir)          # which has none
        self.assertEqual(os.listdir(self.out_dir), [])


class Kdir(Out):
    def setUp(self):
        super().setUp()
        self.tree = os.path.join(self.top, "my tree")
        put(self.tree, TREE)
        os.chmod(os.path.join(self.tree, "scripts/run.sh"), 0o755)

    def git(self, *args):
        return output(["git", "-C", self.tree, *args], env=GIT_ENV)

    def commit(self):
        for cmd in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "x"]):
            self.git(*cmd)

    def edit(self):
        """An edit, a new file, one that is gone, and a build; none of it committed."""
        put(self.tree, {"mm/vmscan.c": "int ab;\n", "mm/new.c": "int c;\n", **BUILT})
        os.unlink(os.path.join(self.tree, "mm/swap.c"))

    def take(self):
        """The base; nothing in the tree may be written for it."""
        look = ["find", self.tree, "-printf", "%p %T@ %C@ %s %m %i\n"]
        before = output(look)
        base = source.from_kdir(self.tree)
        self.assertEqual(output(look), before)
        return base

    def files(self, base):
        return {name: base.git("show", f"{base.commit}:{name}") for name in
                base.git("ls-tree", "-r", "--name-only", base.commit).splitlines()}

    def taken_in(self):
        """The base of a tree that was edited: all of it is there, before and after that."""
        base, want = self.take(), {name: text.strip() for name, text in TREE.items()}
        self.assertEqual(self.files(base), want)
        self.edit()
        before, base = base.commit, self.take()
        self.assertNotEqual(base.commit, before)
        del want["mm/swap.c"]
        self.assertEqual(self.files(base), {**want, "mm/vmscan.c": "int ab;", "mm/new.c": "int c;"})
        self.assertEqual(self.take().commit, base.commit)
        return base

    def test_with_points(self):
        """Where the lab's mails are applied nothing is composed."""
        self.assertFalse(self.take().has_points)
        put(self.tree, {"mm/sync_point.c": "int p;\n"})
        base = self.take()
        self.assertTrue(base.has_points)
        self.assertEqual(context.Commits(base)["mm+lab"], base.commit)

    def test_no_kernel(self):
        self.assertFail("no kernel tree there", source.from_kdir, self.out_dir)
        for text in ("all:\n", "VERSION = 7\n"):
            put(self.out_dir, {"Makefile": text})
            self.assertFail("is not a kernel tree", source.from_kdir, self.out_dir)

    def test_folder(self):
        put(self.tree, BUILT)
        base = self.taken_in()
        for name, mode in (("Makefile", "100644"), ("scripts/run.sh", "100755")):
            self.assertTrue(base.git("ls-tree", base.commit, name).startswith(mode), name)

    def test_checkout(self):
        self.commit()
        base = self.taken_in()
        self.assertEqual((base.version, base.release, base.foreign), ("7.3.9", "7.3", False))
        for cmd in (["add", "--all"], ["commit", "--quiet", "-m", "y"]):    # is no other thing
            self.git(*cmd)
            self.assertEqual(self.take().commit, base.commit)

    def test_links_and_what_becomes_of_a_file(self):
        os.makedirs(os.path.join(self.tree, "Documentation"))
        links = {"Documentation/Changes": "../Makefile", "scripts/mm": "../mm"}
        for link, target in links.items():
            os.symlink(target, os.path.join(self.tree, link))
        found = self.files(self.take())
        self.assertEqual({link: found.get(link) for link in links}, links)
        self.commit()
        put(self.tree, {"mm/notes": "x\n"})
        self.assertIn("mm/notes", self.files(self.take()))
        put(self.tree, {"mm/.gitignore": "notes\n"})        # it is ignored now
        self.assertNotIn("mm/notes", self.files(self.take()))
        os.unlink(os.path.join(self.tree, "mm/swap.c"))     # it is a folder now
        put(self.tree, {"mm/swap.c/a.c": "int d;\n"})
        self.assertEqual(self.files(self.take())["mm/swap.c/a.c"], "int d;")

    def test_two_of_one_name(self):
        other = os.path.join(self.top, "other", "my tree")
        put(other, {**TREE, "mm/vmscan.c": "int other;\n"})
        mine, its = self.take(), source.from_kdir(other)
        self.assertNotEqual(mine.dir, its.dir)
        self.assertEqual(self.files(its)["mm/vmscan.c"], "int other;")

    def test_checked_out(self):
        """What is built is the tree; of what is left in it just folders of objects stay."""
        self.commit()
        base = self.take()
        base.checkout(base.commit)
        built = f"{source.OBJECTS}x86_64/vmlinux"
        left = {".git/index.lock": "", ".git/rebase-apply/next": "1", "mm/left.c": ""}
        put(base.src, {built: "built", **left})
        self.edit()
        base = self.take()
        base.checkout(base.commit)
        self.assertEqual(paths.read(os.path.join(base.src, "mm/vmscan.c")), "int ab;\n")
        for path in (built, *left, ".git/rebase-apply"):
            there = os.path.exists(os.path.join(base.src, path))
            self.assertEqual(there, path == built, path)

    def test_a_copy_of_the_tree(self):
        """It is looked at once, so that what has not changed is not checked out anew."""
        base, copy, seen = self.take(), Base("copy", "7.3.9", "", "7.3"), []
        base.checkout(base.commit)
        output(["cp", "-a", base.dir, copy.dir])
        for _ in range(2):
            of = os.stat(os.path.join(copy.src, "mm/vmscan.c"))
            seen.append((of.st_ino, of.st_mtime_ns))
            copy.checkout(copy.commit)
        self.assertEqual(seen[0], seen[1])

    def test_what_debian_s_kernels_have_is_shared(self):
        theirs = os.path.join(self.out_dir, "v7.3.4/linux")
        put(theirs, TREE)
        source.init_repository(theirs)
        output(["git", "-C", theirs, "add", "--all"], env=GIT_ENV)
        base = self.take()
        self.assertIn("mm/vmscan.c", self.files(base))
        blob = base.git("rev-parse", f"{base.commit}:mm/vmscan.c")
        self.assertFalse(os.path.exists(os.path.join(base.src, ".git/objects", blob[:2], blob[2:])))
        # If that goes, so does what was made with it
        os.rename(theirs, os.path.join(self.top, "gone"))
        self.assertEqual(self.files(self.take())["mm/vmscan.c"], "int a;")

    def test_another_release_is_told(self):
        """It is merged with the nearest one, whose objects git am -3 needs."""
        self.take()                 # as another release before
        put(self.tree, {"Makefile": MAKEFILE.replace("7", "6").replace("3", "15")})
        theirs = Base("v6.12.1", "6.12.1", "Debian", "6.12")

        def from_debian(releases):
            self.assertEqual(releases, ("6.12",))
            put(theirs.src, TREE)
            source.init_repository(theirs.src)
            return theirs
        self.patch(source, from_debian=from_debian)
        base = self.take()
        self.assertEqual((base.release, base.foreign), ("6.12", True))
        self.assertIn("is Linux 6.15.9: the patches for 6.12 are tried", self.printed())
        objects = os.path.join(base.src, ".git/objects")
        self.assertEqual([os.path.normpath(os.path.join(objects, line)) for line in paths.read(
            os.path.join(objects, "info/alternates")).splitlines()],
            [os.path.join(theirs.src, ".git/objects")])
