# SPDX-License-Identifier: GPL-2.0-only
"""What each claim, defect, set of actors and guard comes to on each kernel, for README.

series/v<version>/results.json keeps what was seen on a kernel, part by part: a run on one kernel
leaves the others' as they are.
"""

import json
import os

import base as bases
import build
import checks
import explore
import guest
import judge
import race
import replay
import series
from stage import ROOT, Fail

README = os.path.join(ROOT, "README.md")
BEGIN, END = "<!-- written by ./run results -->\n", "<!-- until here -->\n"
HEADS = {"replays": "claimed race", "selftests": "selftest", "explored": "all interleavings of",
         "guards": "guard removed"}


def path(version):
    return os.path.join(ROOT, "series", series.name("", version), "results.json")


def load(version):
    if not os.path.exists(path(version)):
        return {}
    with open(path(version)) as text:
        return json.load(text)


def keep(base, part, columns):
    """columns: {kernel: {row: what it comes to}}."""
    kept = load(base.series)
    kept[part] = {"on": base.version, "columns": columns}
    with open(path(base.series) + ".new", "w") as out:
        json.dump(kept, out, indent=1)
        out.write("\n")
    os.rename(path(base.series) + ".new", path(base.series))


# What can be seen on a kernel


def replays(base, tally, commit, states):
    races = race.qemu(base, tally, commit)
    return {column: {f"`{ident}` {title}": replay.words(found.get(ident))
                     for ident, title in race.titles().items()} for column, found in races.items()}


def selftests(base, tally, commit, states, chosen=None):
    """On those of states that are chosen, the last of them with the patches."""
    initrd = guest.initramfs(base, build.selftests(base, commit["tree"]))
    want, columns = judge.load("selftests", states), {}
    for state in chosen or states:
        log, rerun = f"{state}-{base.series}", f"./run selftest {state}"
        seen, _ = checks.boot(base, tally, build.kernel(base, commit[state], state), initrd, log,
                              rerun=rerun)
        tally.add(log, seen, want[state], rerun)
        columns[state] = {f"`{name}`": verdict for name, verdict in seen.items()}
    # The last of the kernels has the tests of KUnit
    tally.add(f"KUnit under QEMU on {log}", checks.kunit_of_console(base, log),
              judge.load("kunit", judge.KUNITS)["qemu"], checks.KUNIT_QEMU)
    return columns


def explored(base, tally, commit, states):
    columns = {}
    for column, found in explore.standard(base, tally, commit):
        columns.setdefault(column, {})[f"`{found.spec}`"] = explore.verdict(found)
    return columns


def guards(base, tally, commit, states):
    rows, known = explore.mutants(base, tally, commit)
    return {"": {f"{guard.removes} (`{name}`)": explore.shown_by(guard, rows)
                 for name, guard in known.items()}}


PARTS = {"replays": replays, "selftests": selftests, "explored": explored, "guards": guards}


def part(text):
    if text not in PARTS:
        raise Fail(f"there is no part '{text}' of the results; there are: {', '.join(PARTS)}")
    return text


# The tables


def grid(head, rows):
    """A table; rows: {first cell: [other cells]}."""
    lines = [head, ["---"] * len(head), *([name, *cells] for name, cells in rows.items())]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def table(which, kept):
    """One part on all kernels; kept: [{part: what keep() was given}].  Of the selftests just those
    that are not the same everywhere."""
    seen = {f"{one[which]['on']} {column}".strip(): cells for one in kept if which in one
            for column, cells in one[which]["columns"].items()}
    names = list(dict.fromkeys(name for cells in seen.values() for name in cells))
    rows = {name: [cells.get(name, "did not run") for cells in seen.values()] for name in names}
    if which == "selftests":
        rows = {name: cells for name, cells in rows.items() if len(set(cells)) > 1}
    return grid([HEADS[which], *seen], rows) if seen else ""


def write():
    """Put the tables into README."""
    kept = [load(version) for version in bases.VERSIONS]
    text = "\n".join(filter(None, (table(which, kept) for which in PARTS)))
    with open(README) as readme:
        before, begin, rest = readme.read().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise Fail(f"README.md has no lines '{BEGIN.strip()}' and '{END.strip()}'")
    with open(README, "w") as readme:
        readme.write(f"{before}{begin}\n{text}\n{end}{after}")
