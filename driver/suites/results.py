# SPDX-License-Identifier: GPL-2.0-only
"""What each claim, defect, set of actors and guard comes to on each kernel: doc/results.md.

Claims and sets come to what driver/expected/ says, which each run holds them to.  README has ten
rows of it.

driver/results/<release>.json keeps what was seen on a kernel, part by part: a run on one kernel
leaves the others' as they are.
"""

import json
import os

from driver.core import expected
from driver.core.paths import DRIVER, ROOT, logfile, read, shown, write
from driver.core.stage import Fail
from driver.core.tables import markdown
from driver.kernel import mutant
from driver.kernel.source import RELEASES
from driver.story import model, svg
from driver.suites import guards, picture, record, scenarios, selftests
from driver.suites.kunit import QEMU

README = os.path.join(ROOT, "README.md")
RESULTS = os.path.join(ROOT, "doc", "results.md")
MATRIX = os.path.join(ROOT, "doc", "guards.svg")
FOLDER = os.path.join(DRIVER, "results")
BEGIN, END = "<!-- written by ./run results -->\n", "<!-- until here -->\n"
HEADS = {"selftests": "selftest", "guards": "guard removed"}


def path(release):
    return os.path.join(FOLDER, f"{release}.json")


def load(release):
    return json.loads(read(path(release))) if os.path.exists(path(release)) else {}


def removed_guards(release):
    """{mutant: what the sets came to without its guard}, in the last ./run results."""
    return load(release).get("guards", {}).get("columns", {}).get("", {})


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


def keep_report(context):
    """The report's interleaving on the newest release, for the picture."""
    if not context.base.newest:
        return
    log = scenarios.log_of(context, "stock", QEMU)
    for column in scenarios.KERNELS:
        scenarios.on(context, column, QEMU, [picture.CLAIM])
    picture.keep(read(logfile(f"{log}.console")), context.base.version)


# {part: runs it on a kernel, and keeps what was seen}
PARTS = {"selftests": lambda context: keep(context.base, "selftests", of_selftests(context)),
         "guards": lambda context: keep(context.base, "guards", of_guards(context)),
         "report": keep_report}


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


def from_doc(link):
    """A link as it is in doc/: one within the project is from its top."""
    return link if "://" in link else f"../{link}"


def claims():
    """Each claim: who says so, and what comes of it, or what is missing to see that."""
    titles = scenarios.titles()
    rows = [[f"`{name}` {claim.title or titles[name]}",
             f"[{claim.source['role']}, {claim.source['date']}]({from_doc(claim.source['link'])})",
             *([model.in_full(verdict, claim.injected) for verdict in claim.verdicts.values()]
               if claim.runs else [f"not run: {claim.missing}", ""])]
            for name, claim in record.load().items()]
    return markdown([["claim", "source", *scenarios.KERNELS], *rows])


def real_fixes():
    """The fixes of others that were taken out, or put in: what sees that, and what it took them."""
    rows = [["claim", "fix", "seen here by", "what it took others"]]
    found = removed_guards(RELEASES[0])
    for name, claim in record.load().items():
        if claim.scenario:
            continue
        took = claim.effort or "not said"
        for each in claim.named("mutant"):
            guard = mutant.Mutant(each)
            dies = f"`{guard.dies}` (dies)" if guard.dies else ""
            runs = [f"`{check}`" for check in guard.fails if check != guard.dies]
            rows.append([f"`{name}`", f"out: {guard.removes}",
                         ", ".join(filter(None, [found.get(each), *runs, dies])), took])
        for each in claim.named("fix"):
            fix = mutant.Fix(each)
            rows.append([f"`{name}`", f"in: {fix.adds}",
                         "not seen any more by " + ", ".join(f"`{run}`" for run in fix.passes),
                         took])
    return markdown(rows)


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


# What README has of it: {row: what it is of}; a selftest is of the two kernels named
SHORT = {
    "`F` the report, step by step": ("claim", "F"),
    "`A` the last put comes after PG_lru is cleared, before the pin": ("claim", "A"),
    "`G` two truncates at once, as system calls": ("claim", "G"),
    "`K` reclaim joins": ("claim", "K"),
    "`FTMBR` five threads, in all orders": ("set", "FTMBR"),
    "`A.free` a stale reference": ("claim", "A.free"),
    "`L` PG_lru is lost": ("claim", "L"),
    "`F.6` TCP maps, then madvise": ("claim", "F.6"),
    "selftest: no orphan is offlined": ("folio_orphan.offline_refuses_mapped_orphan", "mm"),
    "selftest: TCP maps no truncated page (tcp patch)":
        ("tcp_zerocopy_truncated.not_mapped", "mm+tcp"),
}
INJECTED = "†"          # after a verdict: explained below the table


def short():
    """The ten rows of README."""
    rows = [["what", *scenarios.KERNELS]]
    for row, (kind, name) in SHORT.items():
        if kind == "claim":
            claim = scenarios.claims()[name]
            cells = [model.in_full(said, "") + INJECTED * bool(
                claim.injected and said.startswith("reproduced"))
                for said in claim.verdicts.values()]
        elif kind == "set":
            cells = [expected.load("sets")[column][name] for column in scenarios.KERNELS]
        else:
            cells = [selftests.wanted(kernel)[kind] for kernel in ("stock", name)]
        rows.append([row, cells[0], "the same" if cells[1] == cells[0] else cells[1]])
    return markdown(rows)


def tables():
    kept = [load(release) for release in RELEASES]
    return "\n".join([claims(), real_fixes(), sets(),
                      *filter(None, (table(which, kept) for which in HEADS))])


def matrix():
    """Guards x sets of the newest release, as a picture."""
    found, rows = removed_guards(RELEASES[0]), {}
    for name, guard in guards.explored_ones().items():
        said = found.get(name, "")
        _, redundant, pair = said.partition(", the pair: ")
        rows[guard.removes] = dict.fromkeys(pair.split(", "), ("pair", False)) \
            if redundant else {which: (how, True) for which, _, how in
                               (each.partition(" ") for each in said.split(", "))}
    on = load(RELEASES[0]).get("guards", {}).get("on", "")
    heading = f"Linux {on}, a guard removed: the schedule and the check that catch it"
    return svg.svg_matrix(heading, list(guards.sets_of([])), rows)


def write_tables():
    """Put the tables into README and doc/results.md, and draw the pictures."""
    for path, text in ((README, short()), (RESULTS, tables())):
        before, begin, rest = read(path).partition(BEGIN)
        _, end, after = rest.partition(END)
        if not begin or not end:
            raise Fail(f"{shown(path)} has no lines '{BEGIN.strip()}' and '{END.strip()}'")
        write(path, f"{before}{begin}\n{text}\n{end}{after}")
    picture.draw()
    write(MATRIX, matrix())


if __name__ == "__main__":      # after an edit of driver/expected/: no kernel is needed
    write_tables()
