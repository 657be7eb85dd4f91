# SPDX-License-Identifier: GPL-2.0-only
"""A series is composed, if it is asked for, and the mails are what it composes to."""

import os
import threading
from types import SimpleNamespace
from unittest import mock

from driver.core import expected, paths
from driver.core.paths import ROOT
from driver.core.stage import Fail
from driver.core.tally import Tally
from driver.kernel import compose, mails, source
from driver.kernel import context as contexts
from driver.kernel import tree as tree_module
from driver.kernel.compose import KERNELS, LAB, MM, SERIES, STOCK_LAB, TCP
from driver.kernel.context import Commits
from driver.kernel.source import RELEASES, Base, release_of
from driver.kernel.tree import Tree
from driver.suites import patches
from driver.tests.helpers import Case, counted, log, put, tally_of

MESSAGE = "mm: one\n\nWhy.\n\nAssisted-by: LLM\n"
EDITS = """\
diff --git a/mm/folio.c b/mm/folio.c
--- a/mm/folio.c
+++ b/mm/folio.c
@@ -1 +1,2 @@
 int a;
+int b;
"""


class Series(Case):
    def test_each_patch(self):
        """It has files, and tags itself; each file that it adds is there, and is added once."""
        for release in RELEASES:
            added = []
            for name in SERIES:
                self.assertTrue(compose.patches(name, release))
                for patch in compose.patches(name, release):
                    self.assertRegex(patch.message, r"(?m)^Assisted-by: LLM( \w+)*$", patch.slug)
                    self.assertNotIn("Signed-off-by", patch.message)
                    added += patch.files
                for folder, *inside in os.walk(os.path.join(
                        paths.ROOT, compose.folder(name, release))):
                    self.assertTrue(any(inside), f"{folder} is empty")
            self.assertEqual(len(added), len(set(added)))
            for path in added:
                self.assertTrue(os.path.isfile(os.path.join(paths.ROOT, path)), path)

    def test_for_an_older_kernel(self):
        text = compose.carried("6.12", "mm: x\n\nTested-on: y, and\n\nAssisted-by: LLM\n")
        self.assertRegex(text, r"and\n\n\[ For 6\.12\.y\. [^]]* \]\nAssisted-by: LLM\n$")
        text = "mm/folio: a/mm/folio.c mm/folio_bench.c folio:"
        self.assertEqual(compose.moved("6.12", text),
                         "mm/swap: a/mm/swap.c mm/folio_bench.c folio:")
        self.assertEqual(compose.moved("7.3", text), text)


class Import(Case):
    def test_which_series_a_commit_is_of(self):
        """By what it touches; the selftests of net are tcp's."""
        touched = {"1": "M\tmm/vmscan.c", "2": "M\tnet/ipv4/tcp.c",
                   "3": "M\ttools/testing/selftests/net/config\n"
                        "A\ttools/testing/selftests/net/x.c",
                   "4": "A\tlib/tests/folio_links_kunit.c",
                   "5": "A\ttools/testing/selftests/mm/x.c"}
        tree = Tree(mock.Mock(suffix="", ident="v7.3.4", newest=True))
        self.patch(tree, git=lambda verb, *args: "\n".join(touched) if verb == "rev-list"
                   else touched[args[-1]] if verb == "diff-tree" else f"subject {args[-1]}")
        self.assertEqual({series: "".join(sha for _, sha, *_ in commits)
                          for series, commits in tree.commits().items()},
                         {MM: "1", TCP: "23", LAB: "45"})

    def test_overlay_is_not_lost(self):
        """A file that was changed here as well, after out/tree was made."""
        made, head = {"a.c": "1\n"}, {"a.c": "2\n", "b.c": "3\n"}
        tree = Tree(mock.Mock(suffix="", ident="v7.3.4", newest=True))
        tree.base.git.return_value = "made\n"
        self.patch(tree, at=lambda commit, path: (made if commit == "made" else head).get(path))
        for here, lost in (({}, None), ({"a.c": "1\n"}, None), ({"a.c": "2\n"}, None),
                           ({"a.c": "x\n"}, "a.c"), ({"b.c": "x\n"}, "b.c")):
            self.patch(tree_module, ROOT=self.folder(here))
            if lost:
                self.assertFail(f"{lost} has changes that are not in out/tree",
                                tree.check_overlay, head)
            else:
                tree.check_overlay(head)


class SmallSeries(Case):
    def setUp(self):
        super().setUp()
        self.root = self.folder({
            "tree/Makefile": "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 1\n",
            "tree/mm/folio.c": "int a;\n", "tree/mm/swap.c": "int a;\n",
            "series/mm/01-one/message": MESSAGE, "series/mm/01-one/edits.diff": EDITS,
            "series/mm/02-two/message": MESSAGE.replace("one", "two"),
            "series/mm/02-two/files": "lib/new.c\ntools/new.sh\n", "lib/new.c": "int c;\n"})
        put(self.root, {"tools/new.sh": "#!/bin/sh\n"}, 0o755)
        self.patch(paths, OUT=self.root + "/out")
        self.patch(compose, ROOT=self.root)
        self.patch(source, NEEDED_GIB=0, FURTHER_GIB=0)
        self.base = source.from_kdir(self.root + "/tree")

    def composed(self, release="7.3"):
        base = self.base if release == "7.3" else mock.Mock(
            wraps=self.base, foreign=False, release=release, dir=self.base.dir,
            src=self.base.src, version=release + ".1")
        return compose.compose(base, "mm", self.base.commit)

    def test_commits(self):
        (one, first), (two, second) = self.composed()
        self.assertEqual((one.slug, two.slug), ("01-one", "02-two"))
        self.assertEqual((one.paths(), two.paths()),
                         (["mm/folio.c"], ["lib/new.c", "tools/new.sh"]))
        self.assertEqual(self.base.git("rev-parse", f"{first}^", f"{second}^").split(),
                         [self.base.commit, first])
        self.assertEqual(self.base.git("show", f"{first}:mm/folio.c"), "int a;\nint b;")
        self.assertEqual(self.base.git("show", f"{second}:lib/new.c"), "int c;")
        self.assertEqual(self.base.git("show", "-s", "--format=%B", first), MESSAGE.strip())
        modes = self.base.git("ls-tree", "-r", second).splitlines()
        self.assertEqual([line.split()[0] for line in modes if "new" in line], ["100644", "100755"])
        self.assertEqual([second for _, second in self.composed()], [first, second])

    def test_on_an_older_release(self):
        """Shared, but for the names of files; what is its own takes the place of that."""
        (one, first), _ = self.composed("6.12")
        self.assertEqual(self.base.git("show", f"{first}:mm/swap.c"), "int a;\nint b;")
        self.assertIn("[ For 6.12.y. ", one.message)
        put(self.root + "/series/on-6.12/mm", {
            "01-one/edits.diff": EDITS.replace("folio.c", "swap.c").replace("int b", "int d"),
            "01-one/message": MESSAGE, "03-three/message": MESSAGE.replace("one", "three"),
            "03-three/edits.diff": EDITS})
        (one, first), _, (three, _) = self.composed("6.12")
        self.assertEqual(self.base.git("show", f"{first}:mm/swap.c"), "int a;\nint d;")
        self.assertEqual((one.message, three.slug), (MESSAGE, "03-three"))
        # And what it goes without
        put(self.root + "/series/on-6.12/mm", {"02-two/message": ""})
        self.assertEqual([patch.slug for patch, _ in self.composed("6.12")],
                         ["01-one", "03-three"])
        self.assertEqual(len(self.composed()), 2)

    def test_refused(self):
        put(self.root, {"series/mm/01-one/edits.diff": EDITS.replace(" int a", " int z")})
        self.assertFail(r"^series/mm/01-one/edits.diff does not apply to Linux 7\.3\.1: patch "
                        "failed: mm/folio.c:1; edit it", self.composed)
        put(self.root, {"series/mm/01-one/edits.diff": EDITS})
        os.unlink(os.path.join(self.root, "lib/new.c"))
        self.assertFail("lib/new.c is named in series/ but is not in the overl", self.composed)
        put(self.root, {"series/on-6.12/mm/01-other-name/edits.diff": EDITS})
        self.assertFail("there is no message in series/mm/01-other-name, nor one in "
                        "series/on-6.12/mm/01-other-name", self.composed, "6.12")

    def test_part_of_a_patch(self):
        put(self.root, {"series/mm/01-one/files": "lib/new.c\nmm/bench.c\n",
                        "mm/bench.c": "int e;\n"})
        part = compose.part_of(self.base, self.base.commit, compose.patches("mm")[0], "mm/")
        self.assertEqual(self.base.git("diff", "--name-only", self.base.commit, part).split(),
                         ["mm/bench.c", "mm/folio.c"])

    def test_a_release_without_mails(self):
        base = Base("kdir-x", "7.5.0", "", "7.3")
        self.assertFail("there is no mail of the series mm", compose.compose, base, "mm", "0")
        self.assertFail("patches/ has 1 mails of the series mm, series/mm ", compose.compose,
                        base, "mm", "0", {"0000-cover-letter.txt": "", "0001-x.patch": ""})
        # Files that git am names
        text = ("error: patch failed: mm/vmscan.c:12\nerror: mm/vmscan.c: patch does not apply\n"
                "CONFLICT (content): Merge conflict in mm/folio.c\n")
        self.assertEqual(compose.stopped_at(log(text)), "mm/vmscan.c, mm/folio.c")
        self.assertEqual(compose.stopped_at(os.devnull), "none named")


class Contexts(Case):
    """Kernels are composed when they are asked for, once, each on top of the one below it."""

    def setUp(self):
        super().setUp()
        self.did = []

        def composed(base, series, onto, theirs=None):
            self.did.append((series, onto, theirs))
            return [(None, "half"), (None, f"{onto}+{series}")]
        self.patch(compose, compose=composed,
                   stock_with_points=lambda base, *those: " ".join(those))

    def commits(self, **how):
        base = counted(**how).base
        base.commit = "stock"
        return Commits(base)

    def test_each_on_what_is_below_it(self):
        commits = self.commits()
        found = {kernel: commits[kernel] for kernel in [*KERNELS, STOCK_LAB]}
        self.assertEqual(found, {
            "stock": "stock", "mm": "stock+mm", "mm+tcp": "stock+mm+tcp",
            "mm+lab": "stock+mm+lab", "all": "stock+mm+tcp+lab",
            STOCK_LAB: "stock stock+mm stock+mm+lab"})
        self.assertEqual(len(self.did), 4)
        for kernel, series in KERNELS.items():
            self.assertEqual(compose.name(series), kernel)
            self.assertIn(compose.name(series[:-1]), KERNELS)

    def test_just_what_is_asked_for(self):
        """And that once."""
        commits = self.commits()
        for kernel, did in (("stock", []), ("mm", [(MM, "stock", None)])):
            for _ in range(2):
                self.assertTrue(commits[kernel])
                self.assertEqual(self.did, did)
        for _ in range(2):
            self.assertEqual([commit for _, commit in commits.chain(TCP, "x")], ["half", "x+tcp"])
        self.assertEqual(self.did[1:], [(TCP, "x", None)])

    def test_mails_of_the_nearest_release(self):
        self.patch(mails, committed=lambda series, release: f"{series} of {release}",
                   composed=lambda base, series: f"{series} on {base}")
        self.patch(contexts.source, from_debian=lambda releases: f"Debian {releases[0]}")
        for release, lab in (("7.3", "lab of 7.3"), ("6.12", "lab on Debian 6.12")):
            self.did.clear()
            commits = self.commits(foreign=True, release=release)
            self.assertEqual(commits["mm+lab"], "stock+mm+lab")
            self.assertEqual(self.did, [(MM, "stock", f"mm of {release}"), (LAB, "stock+mm", lab)])

    def test_opened(self):
        base = counted().base
        fetched, called = [], threading.Event()

        def from_debian(releases):
            fetched.append(releases)
            called.set()
            raise Fail("no network")

        def get(meanwhile):
            meanwhile()
            return base
        self.patch(contexts.source, get=get, from_debian=from_debian)
        self.settings(BASE="7.3")
        context = contexts.open_context("./run kunit", ["6.12"])
        self.assertTrue(called.wait(10))
        self.assertEqual(fetched[:1], [("6.12",)])          # that it failed is said to who wants it
        self.assertFail("no network", contexts.further, "6.12")
        self.assertIs(context.base, base)
        self.assertEqual((context.tally.rerun, context.tally.before), ("./run kunit", "BASE=7.3 "))
        self.assertIn("base: Linux 7.3.4 (", self.printed())
        other = context.counted_by(Tally())
        self.assertIs(other.shared, context.shared)
        self.assertIsNot(other.tally, context.tally)

    def settled(self, ident, failure=None, **how):
        """Does a base stay the base?"""
        base, commits = counted(ident=ident, **how).base, mock.MagicMock()
        commits.__getitem__.side_effect = failure
        context = SimpleNamespace(base=base, commit=commits)
        self.patch(contexts.source, from_debian=lambda releases: SimpleNamespace(version="6.12.9"))
        contexts.settle(context)
        self.assertEqual("the base is 6.12" in self.printed(), context.base is not base)
        return context.base is base

    def test_a_base_that_is_newer_than_all_mails(self):
        fails = Fail("0001 does not apply")
        self.assertTrue(self.settled("v7.3.4", fails))      # for which there are mails
        self.assertTrue(self.settled("v7.4.1", foreign=True))
        self.assertFalse(self.settled("v7.4.1", fails, foreign=True))
        # What the user has chosen stays
        self.assertFail("does not apply", self.settled, "kdir-x", fails, foreign=True)


COVER, FIRST = "0000-cover-letter.txt", "0001-x.patch"
MAIL = "Subject: x\n\nAssisted-by: LLM\n---\nindex 6a53762d5544..b8fa37604603\n@@ -1 +1 @@ f\n+a\n"
MAILS = {COVER: "Subject: y\n", FIRST: MAIL}


class Mails(Case):
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
        # A base that has no mails: it is not to be what those of the nearest release are
        self.patch(compose, run=mock.Mock(return_value=(0, os.devnull)))
        tally = tally_of(patches.recompose, foreign=True, version="7.5.0", ident="kdir-x")
        self.assertEqual(tally.failed, [])

    def test_folders(self):
        """All that are kept are there, and nothing else; a mail for each patch."""
        self.assertEqual(set(os.listdir(os.path.join(ROOT, "patches"))) - {"cc"},
                         {mails.name(series, release) for release in RELEASES
                          for series in mails.kept(release)})
        for release in RELEASES:
            self.assertEqual(release_of(mails.made_on(release)), release)
            for series in mails.kept(release):
                committed = mails.committed(series, release)
                paths = mails.paths(series, release)
                self.assertEqual(len(paths), len(compose.patches(series, release)), series)
                self.assertEqual([COVER in committed, bool(mails.cover(series, release))],
                                 [series in (MM, LAB)] * 2)
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

    def test_checkpatch_beside_a_checkout(self):
        """It is run once more if MAINTAINERS was not there; other complaints are complaints."""
        clean = "total: 0 errors, 0 warnings, 0 checks, 9 lines checked\n"
        for said, good in (([patches.NO_TREE + "\n", clean], True),
                           ([patches.NO_TREE + "\n"] * 2, False),
                           (["total: 1 errors, 0 warnings, 0 checks\n"], False)):
            context, words = counted(), iter(said)
            context.base.tree = threading.RLock()
            self.patch(patches, paths=lambda context: {"v7.3/0001": "m"},
                       run=lambda *args, words=words, **how: (
                           int((text := next(words)) != clean), log(text)))
            patches.checkpatch(context)
            self.assertEqual((bool(context.tally.passed), next(words, None)), (good, None))

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
