# SPDX-License-Identifier: GPL-2.0-only
"""Replays as one HTML page of timelines, which needs nothing else."""

from urllib.parse import quote

from driver.story.model import (
    CRASH,
    FLAGS,
    KINDS,
    MORE,
    actor_names,
    claimed_text,
    first_difference,
    freed_while_linked,
    merge,
    runs,
    scenario_ids,
    step_of,
    timeline,
    title,
    turn,
    unlike,
    words,
)
from driver.story.svg import STYLE as SVG_STYLE
from driver.story.svg import esc, svg_key, svg_timeline

OPEN_AT_MOST = 3        # scenarios of which the timelines are seen at once
# The page.  It must read the same on paper and in grey: shapes and words say all that a
# shade says.

STYLE = """
@page { size: A4; margin: 12mm }
* { print-color-adjust: exact; -webkit-print-color-adjust: exact }
body { font: 15px/1.5 "DejaVu Sans", Verdana, Helvetica, Arial, sans-serif; color: #1a1a1a;
       background: #fff; max-width: 1000px; margin: 2em auto; padding: 0 1.2em }
h1 { font-size: 1.6em; line-height: 1.25; margin: 0 0 .8em }
h2 { font-size: 1.2em; line-height: 1.3; margin: 1.8em 0 .6em }
section h2 { margin-top: 0; padding-top: .7em; border-top: 3px solid #1a1a1a }
h3 { font-size: 1em; margin: 1.8em 0 .4em; break-after: avoid }
section { margin: 3.2em 0 0 }
a { color: inherit }
table { border-collapse: collapse; width: 100%; font-size: 12.5px; line-height: 1.4 }
th, td { text-align: left; vertical-align: top; padding: .45em .9em .45em 0;
         border-bottom: 1px solid #c4c4c4 }
thead th { border-bottom: 1.5px solid #1a1a1a; white-space: nowrap }
tr { break-inside: avoid }
code { font: 11.5px "DejaVu Sans Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere }
dl { margin: .4em 0; font-size: 13.5px; display: grid; grid-template-columns: max-content 1fr;
     gap: .15em .9em }
dt { font-weight: bold }
dd { margin: 0 }
.verdict { display: inline-block; border: 1.5px solid #1a1a1a; border-radius: 3px;
           padding: 0 .5em; white-space: nowrap; font-size: 12.5px }
.reproduced, .violated, .differs, .error, .crash { background: #1a1a1a; color: #fff;
           font-weight: bold }
.blocked { border-style: double; border-width: 3px }
.unfinished { border-style: dashed }
.skipped, .absent { border-style: dotted; border-color: #6a6a6a; color: #4a4a4a }
.label { display: inline-block; min-width: 1.1em; text-align: center; font-weight: bold;
         border: 1.2px solid #1a1a1a; border-radius: 1em; padding: 0 .35em }
td.state { white-space: nowrap }
.state { line-height: 1.65 }
.state span { margin-right: .45em }
.state .on { border: 1.2px solid #1a1a1a; border-radius: 2px; padding: 0 .3em }
.state .off { color: #5c5c5c }
.state .unlike { font-weight: bold; color: #1a1a1a; border-bottom: 3px double #1a1a1a }
.state .on.unlike { border: 3px double #1a1a1a }
.tag { font-size: 11px; font-style: italic }
.unexpected { background: #1a1a1a; color: #fff; font-style: normal; padding: 0 .4em }
.note { font-size: 13px; color: #333; margin: .3em 0 }
.turn { margin: .6em 0; padding: .1em 0 .1em .8em; border-left: 4px solid #1a1a1a }
details { margin: .5em 0 }
summary { cursor: pointer; font-weight: bold; font-size: 14px }
nav .reason { font-size: 11.5px; color: #333; padding-left: .3em }
.wide { overflow-x: auto }
figure { margin: .4em 0 0; break-inside: avoid; overflow-x: auto }
svg { display: block; max-width: 100%; height: auto }
""" + SVG_STYLE + """\
@media screen and (max-width: 760px) {
  body { margin: 1em auto; padding: 0 .8em }
  figure svg { max-width: none; width: 800px }
  .wide table { min-width: 700px }
  nav table, nav tbody, nav tr, nav th, nav td { display: block; border: 0 }
  nav thead { display: none }
  nav tr { border-bottom: 1px solid #c4c4c4; padding: .4em 0 }
  nav th, nav td { padding: .1em 0 }
  nav td[data-on]::before { content: attr(data-on) ": "; font-weight: bold }
  .verdict { white-space: normal }
}
@media print {
  details::details-content { content-visibility: visible; block-size: auto }
  summary { list-style: none }
  body { margin: 0; padding: 0; max-width: none; font-size: 12px }
  table, code, dl, .verdict, .tag, .note, nav .reason { font-size: 9.5px }
  th, td { padding: .25em .6em .25em 0 }
  h3 { margin-top: 1.2em }
  section { margin: 2em 0 0 }
  section.ran { break-before: page; margin: 0 }
  svg { max-height: 255mm }
}
"""


def folded(what, inside, opened=False):
    """What is not to be seen at first; on paper it is."""
    tag = '<details open="">' if opened else "<details>"
    return f"{tag}<summary>{what}</summary>{inside}</details>"


def brief(scenario):
    """The guard, or what else a verdict names."""
    return "" if scenario is None or scenario.outcome == "blocked" else scenario.reason


def badge(scenario):
    kind = scenario.outcome if scenario else "absent"
    return f'<span class="verdict {kind}">{esc(words(scenario))}</span>'


def state_cell(state, differing=frozenset()):
    """A state in words, those which differ from the claim marked."""
    def part(key, text, kind="number"):
        return f'<span class="{kind}{" unlike" if key in differing else ""}">{text}</span>'
    numbers = []
    if "refs" in state:
        refs = state["refs"]
        numbers.append(part("refs", f"{refs} ref{'' if refs == 1 else 's'}"))
    if "mapcount" in state:
        numbers.append(part("mapcount", f"mapcount {state['mapcount']}"))
    flags = [part(key, name if state[key] else f"no {name}", "on" if state[key] else "off")
             for key, name in FLAGS.items() if key in state]
    flags += [part(key, f"{key} {state[key]}") for key in MORE if key in state]
    return "<br>".join(filter(None, ("".join(numbers), "".join(flags))))


def page_steps(columns):
    """The step table of one scenario; columns: {name: Scenario}."""
    names = actor_names(columns)
    out = ['<div class="wide"><table><thead><tr><th>step</th>'
           "<th>what the claim says happens</th><th>claimed</th>",
           *(f"<th>{esc(column)}</th>" for column in columns), "</tr></thead><tbody>"]
    for steps in merge(columns):
        step = next(iter(steps.values()))
        until = {"END": "to its end", "wait": "until it waits for a lock"}.get(
            step.until, f"until <code>{esc(step.until)}</code>")
        out.append(f'<tr><td><span class="label">{esc(step.label)}</span></td>'
                   f"<td><b>{esc(names[step.actor])}</b> "
                   f"{esc(claimed_text(step, next(iter(columns.values()))))}<br>{until}</td>"
                   f'<td class="state">{state_cell(step.claimed or {}) }</td>')
        for column in columns:
            seen = steps[column].seen if column in steps else None
            if not seen:
                out.append("<td>not reached</td>" if column in steps else "<td>-</td>")
                continue
            differing = unlike(step.claimed, seen)
            cell = state_cell(seen, differing)
            if differing:
                cell += '<br><span class="tag">not as claimed</span>'
            if steps[column].status == "differs":
                cell += '<br><span class="tag unexpected">not as the test expects</span>'
            out.append(f'<td class="state">{cell}</td>')
        out.append("</tr>")
    return "".join([*out, "</tbody></table></div>"])


def page_turn(scenario, place):
    """Where it turns: (the step, and what was claimed and came; the states then)."""
    event, step = scenario.events[place], step_of(scenario, place)
    came = f" <code>{esc(event.where)}</code>" if event.kind != "end" else ""
    came = f"Seen: <b>{esc(scenario.actors[event.actor].name)}</b> {KINDS[event.kind]}{came}"
    if not step:
        return f"event {place}.<br>{came}", ("", "")
    said = (f'step <span class="label">{esc(step.label)}</span>.<br>Claimed: '
            f"<b>{esc(scenario.actors[step.actor].name)}</b> "
            f"{esc(claimed_text(step, scenario))}{{}}<br>{came}{{}}")
    differing = unlike(step.claimed, step.seen)
    states = (step.claimed, frozenset()), (step.seen, differing)
    return said, [f': <span class="state">{state_cell(*each).replace("<br>", " ")}</span>'
                  if differing else "" for each in states]


def page_turns(columns):
    """The same of all kernels; those on which it turns alike share it."""
    seen, out = {}, ""
    came = next((each for each in columns.values() if each.outcome == "reproduced"), None)
    for name, scenario in columns.items():
        place = turn(scenario)
        if place is None and came and scenario.outcome == "refuted":
            place = min(first_difference(came, scenario), len(scenario.events) - 1)
        if place is not None:
            said, states = page_turn(scenario, place)
            seen.setdefault(said, ([], states))[0].append(name)
    for said, (names, states) in seen.items():
        on = f'<p class="turn">On {esc(" and ".join(names))} it turns at '
        out += on + said.format(*states) + "</p>"
    return out


def alike(columns):
    """[[column]]: those with the same timeline and outcome are together."""
    same = {}
    for column, scenario in columns.items():
        if scenario.events:
            same.setdefault((timeline(scenario), scenario.outcome), []).append(column)
    return list(same.values())


def page_timelines(columns, number, opened):
    """A figure for each timeline; kernels with the same one share it."""
    out, first = [], None
    for place, names in enumerate(alike(columns)):
        scenario, fork = columns[names[0]], None
        if first and timeline(scenario) != timeline(columns[first]):
            fork = first_difference(columns[first], scenario), first
        first = first or names[0]
        name = " and ".join(names)
        note = " (the same, event by event)" if len(names) > 1 else ""
        out.append(folded(f"Timeline: {esc(name)}{note}", "<figure>" + svg_timeline(
            scenario, name, f"{number}-{place}", fork) + "</figure>", opened))
    return "".join(out)


def page_scenario(number, ident, columns, note="", opened=False):
    """The section of one scenario; columns: {name: Scenario or None}; note: HTML about it.

    Verdict, and where it turns; the rest is folded, unless it is to be open.
    """
    ran = {column: scenario for column, scenario in columns.items() if scenario}
    about = title(ident, {name: {ident: scenario} for name, scenario in ran.items()})
    figures = page_timelines(ran, number, opened)
    out = [f'<section id="{esc(ident)}"{" class=ran" if figures else ""}>'
           f"<h2>{esc(f'{ident}. {about}' if about else ident)}</h2><dl>"]
    for column, scenario in columns.items():
        reason = "; ".join(filter(None, (scenario and scenario.reason, runs(scenario))))
        out.append(f"<dt>{esc(column)}</dt><dd>{badge(scenario)} {esc(reason)}")
        out += (f' <span class="verdict crash">{CRASH}: event {place}</span>'
                for place, event in enumerate(scenario.events if scenario else ())
                if freed_while_linked(event))
        if scenario and scenario.injected:
            out.append(f"<br>injected: {esc(scenario.injected)}")
        out += (f"<br><code>{esc(call.name)}: {esc(call.text)}</code> gives {esc(call.got)}"
                + (f", wanted: {esc(call.wanted)}" if call.wanted not in ("-", call.got) else "")
                for call in (scenario.calls if scenario else ()))
        out.append("</dd>")
    out.append("</dl>")
    out.append(page_turns(ran))
    out.append(f'<p class="note">{note}</p>' if note else "")
    out.append(figures)
    if any(scenario.steps for scenario in ran.values()):
        out.append(folded("Step by step: as claimed and as seen", page_steps(ran)))
    actors = {letter: actor for scenario in ran.values()
              for letter, actor in scenario.actors.items()}
    if actors:
        out.append(folded("Actors", "<dl>" + "".join(
            f"<dt>{esc(actor.name)}</dt><dd>{esc(actor.does)}</dd>"
            for actor in actors.values()) + "</dl>"))
    return "".join([*out, "</section>"])


def page(columns, heading, notes=None):
    """All scenarios as one HTML page that needs nothing else; columns: {name: {id: Scenario}};
    notes: {id: HTML}."""
    idents = scenario_ids(columns)
    out = ['<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
           '<meta name="viewport" content="width=device-width">',
           f"<title>{esc(heading)}</title><style>{STYLE}</style></head><body>",
           f"<header><h1>{esc(heading)}</h1></header><main><nav aria-label=\"Scenarios\"><table>",
           "<thead><tr><th>id</th><th>scenario</th>",
           *(f"<th>{esc(column)}</th>" for column in columns), "</tr></thead><tbody>"]
    for ident in idents:
        out += [f'<tr><th scope="row">{esc(ident)}</th><td><a href="#{quote(ident)}">',
                esc(title(ident, columns) or ident), "</a></td>",
                *(f'<td data-on="{esc(name)}">{badge(column.get(ident))}'
                  f'<div class="reason">{esc(brief(column.get(ident)))}</div></td>'
                  for name, column in columns.items()), "</tr>"]
    key = ('<p class="note">Time goes down: one row an event, one lane an actor. One actor runs '
           "at a time; an arrow is where the schedule hands over.</p>"
           f"<figure>{svg_key()}</figure>")
    out += ["</tbody></table></nav>", folded("How to read the timelines", key)]
    out += (page_scenario(number, ident, {name: column.get(ident)
                                          for name, column in columns.items()},
                          (notes or {}).get(ident, ""), len(idents) <= OPEN_AT_MOST)
            for number, ident in enumerate(idents))
    return "\n".join([*out, "</main></body></html>\n"])
