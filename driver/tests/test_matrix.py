# SPDX-License-Identifier: GPL-2.0-only
"""A configuration that does not take, or about which a compiler complains, is seen."""

import os
from types import SimpleNamespace
from unittest import mock

from driver.kernel import compose
from driver.kernel.compose import MM, SERIES, TCP
from driver.kernel.objects import complaints
from driver.suites import matrix
from driver.suites.matrix import Row
from driver.tests.helpers import Case, counted
from driver.tests.test_build import SAID


def config(row, **changes):
    """The .config of a row, all of which took, but for changes."""
    have = {**row.wanted, **changes}
    return "".join(f"# CONFIG_{name} is not set\n" if value == "n" else f"CONFIG_{name}={value}\n"
                   for name, value in have.items()) + "CONFIG_CC_VERSION_TEXT=\"gcc SWAP=n\"\n"


class Rows(Case):
    def test_what_did_not_take(self):
        row = Row("", "SWAP=n KUNIT=m", refused="FOLIO_LRU_KUNIT_TEST")
        self.assertEqual(matrix.did_not_take(config(row), row), [])
        self.assertEqual(row.asked["FOLIO_LRU_KUNIT_TEST"], "y")
        for changes, words in (({"SWAP": "y"}, "^SWAP is y, .* as n: something selects it"),
                               ({"DEBUG_VM": "n"}, "^DEBUG_VM is n, .* as y: .* is not there"),
                               ({"KUNIT": "y"}, "^KUNIT is y, was asked for as m"),
                               ({"FOLIO_LRU_KUNIT_TEST": "y"}, "a dependency is missing"),
                               ({"FOLIO_LRU_KUNIT_TEST": "m"}, "a dependency is missing")):
            with self.subTest(changes=changes):
                [wrong] = matrix.did_not_take(config(row, **changes), row)
                self.assertRegex(wrong, words)
        # Not in the .config at all
        self.assertEqual(len(matrix.did_not_take("", row)),
                         sum(value != "n" for value in row.wanted.values()))

    def test_rows(self):
        files = matrix.touched()
        for name, row in matrix.ROWS.items():
            with self.subTest(row=name):
                self.assertLessEqual(set(row.left_out), set(files))
                self.assertLessEqual(set(row.refused), set(row.asked))
        self.assertIn("mm/vmscan.c", files)
        self.assertFalse([path for path in files if path.startswith("tools/")])
        self.assertEqual(len(files), len(set(files)))
        self.assertLess(len(matrix.touched([MM])), len(files))
        paths = ["mm/a.c", "net/ipv4/tcp.c", "lib/tests/b.c"]
        for row, want in ((Row("", whole=True), ["mm/", "lib/tests/", "net/ipv4/tcp.o"]),
                          (Row("", left_out="mm/a.c"), ["net/ipv4/tcp.o", "lib/tests/b.o"])):
            self.assertEqual(matrix.goals(row, paths), want)

    def test_complaints(self):
        """Those that stock has are not counted."""
        said = complaints(SAID.splitlines())
        stock = complaints(SAID.replace(":90:5:", ":80:5:").splitlines())
        self.assertEqual(matrix.news(said, stock), ([], 5))
        new = "mm/gup.c: warning: z"
        self.assertEqual(matrix.news(said | {new}, stock), ([new], 5))
        text = ("Please check for false positives\n/usr/bin/spatch -D report x.cocci\n"
                "./mm/vmscan.c:785:1-7: preceding lock on line 697\n")
        self.assertEqual(matrix.cocci_reports("/x/mini_lock.cocci", text),
                         {"mini_lock.cocci: mm/vmscan.c: preceding lock on line"})

    def row(self, tree, stock=(set(), True), absent=()):
        """The failures of a row, where (complaints, was make content) is said of a tree."""
        row, paths = Row(""), ["mm/vmscan.c", "mm/folio.c"]
        said = {"tree": tree, "stock": stock}
        context = counted(commit={"all": "tree", "stock": "stock"})
        files = SimpleNamespace(path=SimpleNamespace(
            exists=lambda path: path[:-1] + "c" not in absent, join=os.path.join))
        self.patch(matrix, ROWS={"r": row}, os=files, touched=lambda release: paths,
                   compiled=lambda base, commit, *rest:
                   (config(row), said[commit][1], said[commit][0]))
        self.patch(Row, objects=lambda self, base: "")
        matrix.one_row(context, "r")
        tally = context.tally
        self.assertEqual(set(tally.reruns), {"./run matrix r"} if tally.failed else set())
        return "; ".join(tally.failed)

    def test_row(self):
        new, old = {"mm/folio.c: warning: new"}, {"mm/gup.c: error: old"}
        for words, *what in (("", (set(), True)),
                             ("r: mm/folio.c: warning: new", (new, True)),
                             ("", (old, False), (old, False)),
                             ("new", (old | new, False), (old, False)),
                             ("", (old, True), (old, True)),
                             ("make failed", (set(), False)),
                             ("make failed", (old, False), (old, True)),
                             ("folio.c was not compiled", (set(), True), None, {"mm/folio.c"})):
            with self.subTest(what=what):
                found = self.row(*what)
                self.assertEqual(bool(found), bool(words), found)
                self.assertIn(words, found)

    def patches(self, said_after):
        """The failures of each patch of each series, the second of which makes make say this."""
        context, made = counted(commit=mock.MagicMock(chain=lambda which, onto: [
            (patch, patch.slug) for patch in compose.patches(which)])), []

        def make(*args):
            made.append(args)
            return True, said_after if len(made) == 2 else set()
        self.patch(matrix, "remove_objects", compiled=lambda *args: ("", True, set()), make=make,
                   configure=lambda *args: ("", set()))
        self.patch(Row, objects=lambda self, base: "")
        matrix.every_patch(context)
        count = sum(len(compose.patches(which)) for which in (*SERIES, TCP))
        self.assertEqual((len(made), context.tally.passed + len(context.tally.failed)),
                         (count, count))
        return "; ".join(context.tally.failed)

    def test_every_patch(self):
        self.assertEqual(self.patches(set()), "")
        second = compose.patches(MM)[1]
        self.assertEqual(self.patches({"mm/vmscan.c: warning: new"}),
                         f"matrix patches, {second.dir}: mm/vmscan.c: warning: new")
