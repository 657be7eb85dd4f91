# SPDX-License-Identifier: GPL-2.0-only
"""What each claim, defect, set of actors and guard comes to on each kernel, for README.

driver/results/<release>.json keeps what was seen on a kernel, part by part: a run on one kernel
leaves the others' as they are.
"""

import json
import os

from driver.core.paths import DRIVER, ROOT, read, write
from driver.core.stage import Fail
from driver.core.tables import markdown
from driver.kernel.source import RELEASES
from driver.story import model
from driver.suites import explorer, guards, scenarios, selftests
from driver.suites.kunit import QEMU

README = os.path.join(ROOT, "README.md")
FOLDER = os.path.join(DRIVER, "results")
BEGIN, END = "<!-- written by ./run results -->\n", "<!-- until here -->\n"
HEADS = {"replays": "claimed race", "selftests": "selftest", "explored": "all interleavings of",
         "guards": "guard removed"}


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


def of_replays(context):
    return {column: {f"`{ident}` {title}": model.words(found.get(ident))
                     for ident, title in scenarios.titles().items()}
            for column in scenarios.KERNELS
            for found in [scenarios.on(context, column, QEMU)]}


def of_selftests(context):
    return {kernel: {f"`{name}`": verdict
                     for name, verdict in selftests.on(context, kernel)[0].items()}
            for kernel in selftests.KERNELS}


def of_sets(context):
    columns = {}
    for column, found in explorer.standard(context):
        columns.setdefault(column, {})[f"`{found.spec}`"] = explorer.verdict(found)
    return columns


def of_guards(context):
    known = guards.explored_ones()
    guards.with_all(context)
    for guard in known.values():
        guards.explored_guard(context, guard, known)
    rows = context.shared[guards.ROWS]
    return {"": {f"{guard.removes} (`{name}`)": guards.shown_by(guard, rows)
                 for name, guard in known.items()}}


PARTS = {"replays": of_replays, "selftests": of_selftests, "explored": of_sets,
         "guards": of_guards}


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
    return markdown([[HEADS[which], *seen]] + [[name, *cells] for name, cells in rows.items()]) \
        if seen else ""


def write_tables():
    """Put the tables into README."""
    kept = [load(release) for release in RELEASES]
    text = "\n".join(filter(None, (table(which, kept) for which in PARTS)))
    before, begin, rest = read(README).partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise Fail(f"README.md has no lines '{BEGIN.strip()}' and '{END.strip()}'")
    write(README, f"{before}{begin}\n{text}\n{end}{after}")
