# SPDX-License-Identifier: GPL-2.0-only
"""Tests of scripts/matrix.py."""

import unittest
from unittest import mock

import judge
import matrix
import series
from matrix import Row
from stage import Fail

SAID = """\
  CC      mm/vmscan.o
In file included from mm/vmscan.c:12:
mm/vmscan.c:90:5: warning: unused variable 'x' [-Wunused-variable]
mm/folio.c:7:1: error: implicit declaration of function 'y'
mm/Kconfig:12:warning: type of 'Z' redefined from 'bool' to 'tristate'
WARNING: unmet direct dependencies detected for MIGRATION
ld: folio_race_actors.c:(.text+0x1f2): undefined reference to `do_madvise'
1 warning generated.
cc1: all warnings being treated as errors
"""


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
    def test_found(self):
        self.assertEqual(judge.complaints(SAID.splitlines()), {
            "mm/vmscan.c: warning: unused variable 'x' [-Wunused-variable]",
            "mm/folio.c: error: implicit declaration of function 'y'",
            "mm/Kconfig:warning: type of 'Z' redefined from 'bool' to 'tristate'",
            "WARNING: unmet direct dependencies detected for MIGRATION",
            "ld: folio_race_actors.c: undefined reference to `do_madvise'"})

    def test_old_is_not_counted(self):
        said = judge.complaints(SAID.splitlines())
        stock = judge.complaints(SAID.replace(":90:5:", ":80:5:").splitlines())
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
        tally = judge.Tally()

        def compiled(base, commit, *rest):
            return config(row), said[commit][1], said[commit][0]
        with mock.patch.multiple(matrix, ROWS={"r": row}, compiled=compiled,
                                 touched=lambda version: paths), \
             mock.patch.object(Row, "objects", lambda self, base: ""), \
             mock.patch("os.path.exists", lambda path: path[:-1] + "c" not in absent), \
             mock.patch("builtins.print"):
            matrix.one_row(mock.Mock(series="7.3"), tally, {"tree": "tree", "stock": "stock"}, "r")
        self.assertEqual(set(tally.rerun), {"./run matrix r"} if tally.failed else set())
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
        tally, made = judge.Tally(), []

        def make(*args):
            made.append(args)
            return True, said_after if len(made) == 2 else set()
        with mock.patch.multiple(matrix, compiled=lambda *args: ("", True, set()), make=make,
                                 configure=lambda *args: ("", set()),
                                 remove_objects=mock.DEFAULT), \
             mock.patch.object(series, "compose", lambda base, which, onto: [
                 (patch, patch.slug) for patch in series.patches(which)]), \
             mock.patch.object(Row, "objects", lambda self, base: ""), \
             mock.patch("builtins.print"):
            matrix.every_patch(mock.Mock(series="7.3", commit="base"), tally, {"stock": "base"})
        patches = [len(series.patches(which)) for which in (*series.ALL, series.NET)]
        self.assertEqual(len(made), sum(patches))
        self.assertEqual(tally.passed + len(tally.failed), sum(patches))
        return "; ".join(tally.failed)

    def test_good(self):
        self.assertEqual(self.failures(set()), "")

    def test_second_patch(self):
        second = series.patches(series.MM)[1]
        self.assertEqual(self.failures({"mm/vmscan.c: warning: new"}),
                         f"matrix patches, series/{second.dir}: mm/vmscan.c: warning: new")


class Mails(unittest.TestCase):
    def test_sources(self):
        files = matrix.touched()
        self.assertIn("mm/vmscan.c", files)
        self.assertFalse([path for path in files if path.startswith("tools/")])
        self.assertEqual(len(files), len(set(files)))
        self.assertLess(len(matrix.touched([series.MM])), len(files))

    def test_goals(self):
        paths = ["mm/a.c", "net/ipv4/tcp.c", "lib/tests/b.c"]
        for row, want in ((Row("", whole=True), ["mm/", "lib/tests/", "net/ipv4/tcp.o"]),
                          (Row("", left_out="mm/a.c"), ["net/ipv4/tcp.o", "lib/tests/b.o"])):
            self.assertEqual(matrix.goals(row, paths), want)
