# SPDX-License-Identifier: GPL-2.0-only
"""A replay as tables of text."""

import textwrap

from driver.core.tables import grid
from driver.story.model import (
    KINDS,
    MORE,
    actor_names,
    merge,
    runs,
    scenario_ids,
    title,
    unlike,
    verdict,
    words,
)

WIDTH = 110                 # of text under a table
LAST = 10                   # events that are shown of what ended in an error
LEGEND = """\
r references, m mapcount, L on the LRU list, K locked, C in the page cache; - not so, . no claim
* not as claimed; ! not what the test expects of a patched kernel; - alone: none, or not reached"""


def compact(state):
    if not state:
        return "-"
    numbers = f"{state.get('refs', '.')}r {state.get('mapcount', '.')}m "
    return numbers + "".join("." if key not in state else sign if state[key] else "-"
                             for key, sign in zip(("lru", "locked", "cached"), "LKC")) \
        + "".join(f" {key}={state[key]}" for key in MORE if key in state)


def step_table(columns):
    """One line a step: what was claimed, and what each kernel did; columns: {name: Scenario}."""
    names = actor_names(columns)
    rows = [["step", "actor", "until", "claimed", *columns]]
    for steps in merge(columns):
        step = next(iter(steps.values()))
        row = [step.label, names[step.actor], step.until, compact(step.claimed)]
        for column in columns:
            seen = steps[column].seen if column in steps else None
            marks = "*" if unlike(step.claimed, seen) else " "
            marks += "!" if seen and steps[column].status == "differs" else ""
            row.append(f"{compact(seen)} {marks}".rstrip())
        rows.append(row)
    text = grid(rows) + LEGEND + "\n" if len(rows) > 1 else ""
    for column, scenario in columns.items():
        text += "".join(textwrap.fill(line, WIDTH, subsequent_indent="    ") + "\n"
                        for line in about(column, scenario))
    return text


def about(column, scenario):
    """The verdict of one kernel, what calls gave, and of an error what happened last."""
    said = verdict(scenario)
    if scenario.outcome == "blocked":
        said += f"; {scenario.reason.partition(': ')[2]}"
    if scenario.injected:
        said += f"; injected: {scenario.injected}"
    yield "; ".join(filter(None, (f"{column}: {said}", runs(scenario))))
    for call in scenario.calls:
        yield (f"    {call.name}: {call.text} gives {call.got}"
               + (f", wanted: {call.wanted}" if call.wanted not in ("-", call.got) else ""))
    if scenario.outcome in ("error", "unfinished") or scenario.died:
        for number, event in list(enumerate(scenario.events))[-LAST:]:
            yield (f"    event {number}: {scenario.actors[event.actor].name} {KINDS[event.kind]} "
                   + f"{event.where}: {compact(event.state)}")


def verdict_table(columns, reasons=True):
    """One line a scenario, and the last column's reason; columns: {name: {id: Scenario}}."""
    rows, below = [["id", "scenario", *columns]], [""]
    for ident in scenario_ids(columns):
        rows.append([ident, textwrap.shorten(title(ident, columns), 52, placeholder=" ..."),
                     *(words(column.get(ident)) for column in columns.values())])
        last = [column[ident].reason for column in columns.values() if ident in column][-1]
        below.append(textwrap.fill(last, WIDTH, initial_indent="    ",
                                   subsequent_indent="    ") + "\n" if last and reasons else "")
    return "".join(line + reason
                   for line, reason in zip(grid(rows).splitlines(keepends=True), below))


def events(columns):
    """All events of a run: which points were passed, where actors were held, and the folio then."""
    out = ""
    for column, scenario in columns.items():
        rows = [["event", "step", "actor", "", "where", "folio"]] + [
            [str(number), event.label, scenario.actors[event.actor].name, KINDS[event.kind],
             event.where if event.kind != "end" else "", compact(event.state)
             + (" on a list" if event.state["listed"] else "")]
            for number, event in enumerate(scenario.events)]
        out += f"\n{column}\n{grid(rows, right=(0,))}"
    return out
