# SPDX-License-Identifier: GPL-2.0-only
"""What each claim, defect, set of actors and guard comes to on each kernel, for README.

Claims and sets come to what driver/expected/ says, which each run holds them to.

driver/results/<release>.json keeps what was seen on a kernel, part by part: a run on one kernel
leaves the others' as they are.
"""

import json
import os

from driver.core import expected
from driver.core.paths import DRIVER, ROOT, read, write
from driver.core.stage import Fail
from driver.core.tables import markdown
from driver.kernel.source import RELEASES
from driver.story import model
from driver.suites import guards, scenarios, selftests

README = os.path.join(ROOT, "README.md")
FOLDER = os.path.join(DRIVER, "results")
BEGIN, END = "<!-- written by ./run results -->\n", "<!-- until here -->\n"
HEADS = {"selftests": "selftest", "guards": "guard removed"}


def path(release):
    return os.path.join(FOLDER, f"{release}.json")


def load(release):
    return json.loads(read(path(release))) if os.path.exists(path(release)) else {}


def keep(base, part, columns):
    """columns: {kernel: {row: what it comes to}}."""
    kept = load(base.release)
    kept[part] = {"on": base.version, "columns": columns}
    write(path(base.release), dumps(kept))


def dumps(kept):
    """One line a column."""
    rows = [f"{json.dumps(part)}: {{\"on\": {json.dumps(those['on'])}, \"columns\": {{" + ",".join(
        f"\n {json.dumps(column)}: {json.dumps(cells)}" for column, cells in
        those["columns"].items()) + "}}" for part, those in kept.items()]
    return "{\n" + ",\n".join(rows) + "\n}\n"


# What can be seen on a kernel


def of_selftests(context):
    return {kernel: {f"`{name}`": verdict
                     for name, verdict in selftests.on(context, kernel)[0].items()}
            for kernel in selftests.KERNELS}


def of_guards(context):
    known = guards.explored_ones()
    guards.with_all(context)
    for guard in known.values():
        guards.explored_guard(context, guard, known)
    rows = context.shared[guards.ROWS]
    return {"": {name: guards.shown_by(guard, rows) for name, guard in known.items()}}


PARTS = {"selftests": of_selftests, "guards": of_guards}


def part(text):
    if text not in PARTS:
        raise Fail(f"there is no part '{text}' of the results; there are: {', '.join(PARTS)}")
    return text


# The tables


def table(which, kept):
    """One part on all kernels; kept: [{part: what keep() was given}].  Of the selftests just those
    that are not the same everywhere."""
    seen = {f"{one[which]['on']} {column}".strip(): cells for one in kept if which in one
            for column, cells in one[which]["columns"].items()}
    names = list(dict.fromkeys(name for cells in seen.values() for name in cells))
    rows = {name: [cells.get(name, "did not run") for cells in seen.values()] for name in names}
    if which == "selftests":
        rows = {name: cells for name, cells in rows.items() if len(set(cells)) > 1}
    else:
        words = {name: f"{guard.removes} (`{name}`)"
                 for name, guard in guards.explored_ones().items()}
        rows = {words.get(name, name): cells for name, cells in rows.items()}
    return markdown([[HEADS[which], *seen]] + [[name, *cells] for name, cells in rows.items()]) \
        if seen else ""


def claims():
    """Each claim: who says so, and what comes of it."""
    titles = scenarios.titles()
    rows = [[f"`{name}` {titles[name]}",
             f"[{claim.source['role']}, {claim.source['date']}]({claim.source['link']})",
             *(model.in_full(verdict, claim.injected) for verdict in claim.verdicts.values())]
            for name, claim in scenarios.claims().items()]
    return markdown([["claim", "source", *scenarios.KERNELS], *rows])


def sets():
    """All interleavings of each set of actors; those that come to the same in one line."""
    _, found = expected.load_file("sets")
    alike = {}
    for name, verdicts in found["checks"].items():
        cells = tuple(f"{said} (injected: {found['injected'][name]})"
                      if name in found["injected"] and said != "no violation" else said
                      for said in verdicts)
        alike.setdefault(cells, []).append(f"`{name}`")
    return markdown([["all interleavings of", *found["columns"]]]
                    + [[", ".join(names), *cells] for cells, names in alike.items()])


def tables():
    kept = [load(release) for release in RELEASES]
    return "\n".join([claims(), sets(), *filter(None, (table(which, kept) for which in PARTS))])


def write_tables():
    """Put the tables into README."""
    before, begin, rest = read(README).partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise Fail(f"README.md has no lines '{BEGIN.strip()}' and '{END.strip()}'")
    write(README, f"{before}{begin}\n{tables()}\n{end}{after}")


if __name__ == "__main__":      # after an edit of driver/expected/: no kernel is needed
    write_tables()
