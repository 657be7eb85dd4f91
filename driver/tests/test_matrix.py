# SPDX-License-Identifier: GPL-2.0-only
"""A configuration that does not take, or about which a compiler complains, is seen."""

import os
import unittest
from types import SimpleNamespace
from unittest import mock

from driver.core.stage import Fail
from driver.kernel import compose
from driver.kernel.compose import MM, SERIES, TCP
from driver.kernel.objects import complaints
from driver.suites import matrix
from driver.suites.matrix import Row
from driver.tests.helpers import counted, quiet
from driver.tests.test_objects import SAID


def config(row, **changes):
    """The .config of a row, all of which took, but for changes."""
    have = {**row.wanted, **changes}
    return "".join(f"# CONFIG_{name} is not set\n" if value == "n" else f"CONFIG_{name}={value}\n"
                   for name, value in have.items()) + "CONFIG_CC_VERSION_TEXT=\"gcc SWAP=n\"\n"


class Settings(unittest.TestCase):
    row = Row("", "SWAP=n KUNIT=m", refused="FOLIO_LRU_KUNIT_TEST")

    def wrong(self, **changes):
        return "; ".join(matrix.did_not_take(config(self.row, **changes), self.row))

    def test_all_took(self):
        self.assertEqual(self.wrong(), "")
        self.assertEqual(self.row.asked["FOLIO_LRU_KUNIT_TEST"], "y")

    def test_did_not_take(self):
        for changes, words in (({"SWAP": "y"}, "^SWAP is y, .* as n: something selects it"),
                               ({"DEBUG_VM": "n"}, "^DEBUG_VM is n, .* as y: .* is not there"),
                               ({"KUNIT": "y"}, "^KUNIT is y, was asked for as m"),
                               ({"FOLIO_LRU_KUNIT_TEST": "y"}, "a dependency is missing"),
                               ({"FOLIO_LRU_KUNIT_TEST": "m"}, "a dependency is missing")):
            with self.subTest(changes=changes):
                self.assertRegex(self.wrong(**changes), words)

    def test_not_in_the_config_at_all(self):
        self.assertEqual(len(matrix.did_not_take("", self.row)),
                         sum(value != "n" for value in self.row.wanted.values()))

    def test_rows(self):
        files = matrix.touched()
        for name, row in matrix.ROWS.items():
            with self.subTest(row=name):
                self.assertLessEqual(set(row.left_out), set(files))
                self.assertLessEqual(set(row.refused), set(row.asked))

    def test_no_such_row(self):
        with self.assertRaisesRegex(Fail, "no row 'no-such'; there are: patches, x86_64, "):
            matrix.row_name("no-such")


class Complaints(unittest.TestCase):
    def test_old_is_not_counted(self):
        said = complaints(SAID.splitlines())
        stock = complaints(SAID.replace(":90:5:", ":80:5:").splitlines())
        self.assertEqual(matrix.news(said, stock), ([], 5))
        new = "mm/gup.c: warning: z"
        self.assertEqual(matrix.news(said | {new}, stock), ([new], 5))

    def test_coccicheck(self):
        text = ("Please check for false positives\n/usr/bin/spatch -D report x.cocci\n"
                "./mm/vmscan.c:785:1-7: preceding lock on line 697\n")
        self.assertEqual(matrix.cocci_reports("/x/mini_lock.cocci", text),
                         {"mini_lock.cocci: mm/vmscan.c: preceding lock on line"})


class OneRow(unittest.TestCase):
    """A row on a tree that is not there: only what make said, and the objects it left."""

    def failures(self, tree, stock=(set(), True), absent=(), refused=()):
        row, paths = Row("", refused=" ".join(refused)), ["mm/vmscan.c", "mm/folio.c"]
        said = {"tree": tree, "stock": stock}
        context = counted(commit={"all": "tree", "stock": "stock"})

        def compiled(base, commit, *rest):
            return config(row), said[commit][1], said[commit][0]

        def exists(path):
            return path[:-1] + "c" not in absent
        files = SimpleNamespace(path=SimpleNamespace(exists=exists, join=os.path.join))
        with mock.patch.multiple(matrix, ROWS={"r": row}, compiled=compiled, os=files,
                                 touched=lambda release: paths), \
                mock.patch.object(Row, "objects", lambda self, base: ""), quiet():
            matrix.one_row(context, "r")
        tally = context.tally
        self.assertEqual(set(tally.reruns), {"./run matrix r"} if tally.failed else set())
        return "; ".join(tally.failed)

    def test_verdicts(self):
        new, old = {"mm/folio.c: warning: new"}, {"mm/gup.c: error: old"}
        for what, words in ((((set(), True),), ""),
                            (((new, True),), "r: mm/folio.c: warning: new"),
                            (((old, False), (old, False)), ""),
                            (((old | new, False), (old, False)), "new"),
                            (((old, True), (old, True)), ""),
                            (((set(), False),), "make failed"),
                            (((old, False), (old, True)), "make failed"),
                            (((set(), True), None, {"mm/folio.c"}), "folio.c was not compiled")):
            with self.subTest(what=what):
                found = self.failures(*what)
                self.assertEqual(bool(found), bool(words), found)
                self.assertIn(words, found)


class EveryPatch(unittest.TestCase):
    """Each patch of each series, on a tree that is not there."""

    def failures(self, said_after):
        commit = mock.MagicMock()
        commit.chain = lambda which, onto: [(patch, patch.slug) for patch in
                                            compose.patches(which)]
        context, made = counted(commit=commit), []

        def make(*args):
            made.append(args)
            return True, said_after if len(made) == 2 else set()

        with mock.patch.multiple(matrix, compiled=lambda *args: ("", True, set()), make=make,
                                 configure=lambda *args: ("", set()),
                                 remove_objects=mock.DEFAULT), \
                mock.patch.object(Row, "objects", lambda self, base: ""), quiet():
            matrix.every_patch(context)
        tally, patches = context.tally, [len(compose.patches(which)) for which in (*SERIES, TCP)]
        self.assertEqual(len(made), sum(patches))
        self.assertEqual(tally.passed + len(tally.failed), sum(patches))
        return "; ".join(tally.failed)

    def test_good(self):
        self.assertEqual(self.failures(set()), "")

    def test_second_patch(self):
        second = compose.patches(MM)[1]
        self.assertEqual(self.failures({"mm/vmscan.c: warning: new"}),
                         f"matrix patches, {second.dir}: mm/vmscan.c: warning: new")


class Mails(unittest.TestCase):
    def test_sources(self):
        files = matrix.touched()
        self.assertIn("mm/vmscan.c", files)
        self.assertFalse([path for path in files if path.startswith("tools/")])
        self.assertEqual(len(files), len(set(files)))
        self.assertLess(len(matrix.touched([MM])), len(files))

    def test_goals(self):
        paths = ["mm/a.c", "net/ipv4/tcp.c", "lib/tests/b.c"]
        for row, want in ((Row("", whole=True), ["mm/", "lib/tests/", "net/ipv4/tcp.o"]),
                          (Row("", left_out="mm/a.c"), ["net/ipv4/tcp.o", "lib/tests/b.o"])):
            self.assertEqual(matrix.goals(row, paths), want)
