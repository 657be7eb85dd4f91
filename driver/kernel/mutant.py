# SPDX-License-Identifier: GPL-2.0-only
"""Mutants: kernels with one guard removed, each of them a file in mutants/."""

import os
import re

from driver.core.paths import ROOT, read, shown
from driver.core.stage import Fail
from driver.kernel import compose

FOLDER = os.path.join(ROOT, "mutants")
FIXES = os.path.join(FOLDER, "fixes")
# From which kernels a mutant may remove a guard, and where it may run.
ON = ("mm", "mm+tcp", "mm+lab")
WHERE = ("uml", "qemu", "kcsan")


def names(folder=FOLDER):
    return sorted(name[:-5] for name in os.listdir(folder) if name.endswith(".diff"))


def header_of(diff, where, needed):
    """{word: what it says} of the lines above a diff; needed: which must be there."""
    header = dict(re.findall(r"^([A-Z]\w+): (.*)$", diff.split("diff --git")[0], re.M))
    for line in needed:
        if line not in header and (line, header.get("On")) != ("Fails", "mm+lab"):
            raise Fail(f"{where} has no line '{line}: ...' above its diff")
    return header


class Mutant:
    """mutants/<name>.diff: which guard it removes, from which kernel, and what must fail then.

    One of mm+lab may be for the explorer alone: then no check is named that fails.
    """

    def __init__(self, name, folder=FOLDER):
        self.name = name
        self.diff = read(os.path.join(folder, name + ".diff"))
        header = header_of(self.diff, f"mutants/{name}.diff",
                           ("Removes", "On", "Where", "Fails"))
        for line, known in (("On", ON), ("Where", WHERE)):
            if header[line] not in known:
                raise Fail(f"mutants/{name}.diff: there is no '{line}: {header[line]}', there are: "
                           + ", ".join(known))
        self.removes, self.on, self.where = header["Removes"], header["On"], header["Where"]
        self.fails = header["Fails"].split(", ") if "Fails" in header else []
        # The check in which the kernel dies, if it does
        self.dies = header.get("Dies")
        # The only release that has it, or whose files have folios large enough to show it
        self.base = header.get("Base", "")
        # Words for the kernel command line, for instance to run just that check
        self.append = header.get("Append", "").split()
        # The explorer's sets that are run on it; no line: all, "none": it is not explored
        self.sets = header.get("Sets", "").split()
        # Which other mutant's guard makes up for this one, and why
        self.redundant, _, self.why = header.get("Redundant", "").partition(": ")
        if self.redundant and not self.why:
            raise Fail(f"mutants/{name}.diff must say 'Redundant: <other mutant>: <why>'")

    @property
    def explored(self):
        """Is it one that the explorer runs on?"""
        return (self.on == "mm+lab" and self.sets != ["none"]
                and (self.where == "uml" or bool(self.sets)))


class Fix:
    """mutants/fixes/<name>.diff: what another kernel has, put into that of the lab.

    Which runs of schedule files and which sets pass then stands above the diff.  `Series:` is in
    place of a diff that is sent: that of the series is merged with the lab's.
    """

    def __init__(self, name, folder=FIXES):
        self.name = name
        self.diff = read(os.path.join(folder, name + ".diff"))
        header = header_of(self.diff, f"mutants/fixes/{name}.diff", ("Adds", "Passes"))
        if "Series" in header:
            self.diff = "".join(patch.edits for patch in compose.patches(header["Series"]))
        self.adds, self.passes = header["Adds"], header["Passes"].split(", ")
        self.sets = [each[4:] for each in self.passes if each.startswith("set ")]
        self.runs = [each for each in self.passes if not each.startswith("set ")]


def fixed(base, onto, fix):
    """A commit on top of onto, with a fix."""
    return compose.altered(base, onto, fix.diff, f"mutants/fixes/{fix.name}.diff", "--3way")


def known():
    """{name: Mutant}, all there are."""
    return {name: Mutant(name) for name in names()}


def mutate(base, onto, mutant):
    """A commit on top of onto, less the guard."""
    own = os.path.join(FOLDER, f"on-{base.release}", mutant.name + ".diff")
    if os.path.exists(own):     # just the diff, where that of RELEASES[0] does not fit
        return compose.altered(base, onto, read(own), shown(own))
    return compose.altered(base, onto, mutant.diff, f"mutants/{mutant.name}.diff")


def without(base, onto, mutants):
    """The same, less several guards."""
    for mutant in mutants:
        onto = mutate(base, onto, mutant)
    return onto
