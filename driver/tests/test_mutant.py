# SPDX-License-Identifier: GPL-2.0-only
"""A mutant says which guard it removes, where, and what must fail then."""

import os
import tempfile
import unittest

from driver.core.stage import Fail
from driver.kernel import mutant
from driver.kernel.source import RELEASES

HEAD = "Removes: x\nOn: mm+lab\nWhere: uml\n"


def guard(head, diff="diff --git a/x b/x\nSets: FT\n"):
    with tempfile.TemporaryDirectory() as folder:
        with open(folder + "/m.diff", "w") as out:
            out.write(f"{head}\n{diff}")
        return mutant.Mutant("m", folder)


class Headers(unittest.TestCase):
    def test_mutant_without_a_claim(self):
        with self.assertRaisesRegex(Fail, "has no line 'On"):
            guard("Removes: x\n")

    def test_mutant_for_nothing_that_there_is(self):
        for on, where, said in (("mm-tcp", "uml", "On: mm-tcp"), ("lab", "uml", "On: lab"),
                                ("mm+lab", "UML", "Where: UML")):
            with self.assertRaisesRegex(Fail, f"there is no '{said}', there are: ".replace(
                    "+", r"\+")):
                guard(f"Removes: x\nOn: {on}\nWhere: {where}\nFails: y\n")

    def test_for_the_explorer_alone(self):
        one = guard(HEAD)
        self.assertEqual((one.fails, one.sets, one.redundant, one.explored), ([], [], "", True))
        for on in ("mm", "mm+tcp"):
            with self.assertRaisesRegex(Fail, "has no line 'Fails"):
                guard(HEAD.replace("mm+lab", on))

    def test_where_the_explorer_runs(self):
        for old, new in (("mm+lab", "mm"), ("uml", "qemu"), ("uml", "kcsan")):
            self.assertFalse(guard(HEAD.replace(old, new) + "Fails: a\n").explored)

    def test_all_of_a_header(self):
        one = guard(HEAD + "Fails: s.a, s.b\nDies: s.b\nAppend: a=1 b\nSets: FT FTBR\n")
        self.assertEqual((one.fails, one.dies, one.append, one.sets),
                         (["s.a", "s.b"], "s.b", ["a=1", "b"], ["FT", "FTBR"]))

    def test_redundant(self):
        one = guard(HEAD + "Redundant: other: it tests that: too\n")
        self.assertEqual((one.redundant, one.why), ("other", "it tests that: too"))
        with self.assertRaisesRegex(Fail, "Redundant: <other mutant>: <why>"):
            guard(HEAD + "Redundant: other\n")


class Files(unittest.TestCase):
    """What is in mutants/."""

    def test_all_can_be_read(self):
        self.assertGreater(len(mutant.known()), 20)
        for name, one in mutant.known().items():
            self.assertIn("\ndiff --git a/", one.diff, name)

    def test_mutants_of_older_kernels(self):
        for release in RELEASES[1:]:
            folder = os.path.join(mutant.FOLDER, f"on-{release}")
            for file in os.listdir(folder) if os.path.isdir(folder) else ():
                self.assertIn(file.removesuffix(".diff"), mutant.names())

    def test_no_other_folder(self):
        folders = {name for name in os.listdir(mutant.FOLDER) if not name.endswith(".diff")}
        self.assertLessEqual(folders, {f"on-{release}" for release in RELEASES[1:]})
