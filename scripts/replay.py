# SPDX-License-Identifier: GPL-2.0-only
"""Claimed interleavings as the kernel replayed them: parsed, as tables, as a page of timelines."""

import html
import itertools
import re
import textwrap
from dataclasses import dataclass, field
from urllib.parse import quote

from stage import Fail

LINE = re.compile(r"\s*(?:\[[^]]*\]\s*)*folio_race:(.*)")
FIELDS = {"begin": 2, "actor": 3, "event": 6, "step": 7, "verdict": 2, "skip": 2, "end": 2}
FLAGS = {"lru": "LRU", "locked": "lock", "cached": "cache", "listed": "on a list"}
KEYS = ("refs", "mapcount", *FLAGS)     # of an event; a step has no "listed"
KINDS = {"pass": "passes", "stop": "is held at", "wait": "waits for", "end": "is done"}
OUTCOMES = {"refuted": "as the answer said", "contradicted": "CONTRADICTED",
            "infeasible": "infeasible", "held": "all checks hold", "violated": "VIOLATED",
            "error": "error"}
CRASH = "freed while on a list"
WIDTH = 110                 # of text under a table
LEGEND = """\
r references, m mapcount, L on the LRU list, K locked, C in the page cache; - not so, . no claim
* not as claimed; ! not what the test expects of a patched kernel; - alone: none, or not reached"""


@dataclass
class Actor:
    name: str
    does: str


@dataclass
class Event:
    actor: str
    kind: str
    where: str
    state: dict
    label: str


@dataclass
class Step:
    label: str
    actor: str
    until: str
    claimed: dict | None
    seen: dict | None
    status: str
    text: str


@dataclass
class Scenario:
    id: str
    title: str = ""
    actors: dict = field(default_factory=dict)
    events: list = field(default_factory=list)
    steps: list = field(default_factory=list)
    outcome: str = "unfinished"
    reason: str = ""
    runs: int = 0
    skipped: bool = False


def read_state(text, whole=()):
    """{key: number} of `refs=1 lru=0 ...`; no key of whole may be missing."""
    state = {}
    for item in text.split():
        key, _, value = item.partition("=")
        if key not in KEYS:
            raise ValueError(f"{item} is no part of a state")
        state[key] = int(value)
    if not state or not state.keys() >= set(whole):
        raise ValueError(f"{text or 'nothing'} is no whole state")
    return state


def read(body, scenarios, scenario):
    """Take in what one line says; return the scenario that is open after it."""
    word, _, rest = body.partition(" ")
    if word not in FIELDS and "|" not in rest:
        return scenario         # a remark
    fields = rest.split("|", FIELDS.get(word, 0) - 1)
    if len(fields) != FIELDS.get(word):
        raise ValueError("unknown word or number of fields")
    if word in ("begin", "skip"):
        if not re.fullmatch(r"\S+", fields[0]):
            raise ValueError("the id is no single word")
    elif scenario is None:
        raise ValueError("no scenario has begun")
    if word in ("event", "step") and fields[1] not in scenario.actors:
        raise ValueError(f"{fields[1]} is no actor")
    match word, *fields:
        case "begin", ident, title:
            scenarios[ident] = scenario = Scenario(ident, title)
        case "skip", ident, reason:
            scenarios[ident] = Scenario(ident, outcome="skipped", reason=reason, skipped=True)
            scenario = None
        case "actor", letter, name, does:
            scenario.actors[letter] = Actor(name, does)
        case "event", number, letter, kind, where, state, label:
            if int(number) != len(scenario.events):
                raise ValueError(f"event {len(scenario.events)} was to come")
            if kind not in KINDS:
                raise ValueError(f"{kind} is no kind of event")
            scenario.events.append(Event(letter, kind, where, read_state(state, KEYS), label))
        case "step", label, letter, until, claimed, seen, status, text:
            if status not in ("ok", "differs", "missing"):
                raise ValueError(f"{status} is no status of a step")
            scenario.steps.append(Step(
                label, letter, until, None if claimed == "-" else read_state(claimed),
                None if seen == "-" else read_state(seen, KEYS[:-1]), status, text))
        case "verdict", outcome, reason:
            if outcome not in OUTCOMES:
                raise ValueError(f"{outcome} is no outcome")
            scenario.outcome, scenario.reason = outcome, reason
        case "end", ident, runs:
            if ident != scenario.id:
                raise ValueError(f"the open scenario is {scenario.id}")
            if scenario.outcome == "unfinished":
                raise ValueError("it has no verdict")
            scenario.runs = int(runs)
            scenario = None
    return scenario


def parse(text):
    """{id: Scenario} of a console; a scenario without a verdict stays unfinished."""
    scenarios, scenario = {}, None
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        match = LINE.match(line)
        if not match:
            continue
        body = "".join(char if char.isprintable() else "\ufffd" for char in match[1].strip())
        try:
            scenario = read(body, scenarios, scenario)
        except ValueError as reason:
            if number < len(lines):
                raise Fail(f"line {number} of the console is malformed ({reason}): "
                           f"folio_race: {body}") from None
            # A last line without its end was cut when the kernel died.
    return scenarios


def timeline(scenario):
    """The events, one a line, for comparing runs."""
    return "".join(f"{number} {event.actor} {event.kind} {event.where} "
                   + " ".join(f"{key}={event.state[key]}" for key in KEYS)
                   + f" {event.label}\n" for number, event in enumerate(scenario.events))


def words(scenario):
    """The outcome in words; of an infeasible order, with the lock that forbids it."""
    if scenario is None:
        return "did not run"
    if scenario.outcome == "infeasible":
        for event in reversed(scenario.events):
            if event.kind == "wait" and event.where in scenario.reason:
                return f"infeasible: {event.where}"
    return OUTCOMES.get(scenario.outcome, scenario.outcome)


def runs(scenario):
    if scenario is None or not scenario.runs:
        return ""
    return f"{scenario.runs} identical runs" if scenario.runs > 1 else "1 run"


def unlike(claimed, seen):
    """The keys of a claimed state that were seen to be otherwise."""
    return {key for key in claimed or () if seen and claimed[key] != seen[key]}


def freed_while_linked(event):
    """The crash: its memory goes to somebody else, and some list still leads there."""
    state = event.state
    return (event.where.endswith("_FREE") and not state["refs"] and not state["lru"]
            and bool(state["listed"]))


def compact(state):
    if not state:
        return "-"
    numbers = f"{state.get('refs', '.')}r {state.get('mapcount', '.')}m "
    return numbers + "".join("." if key not in state else sign if state[key] else "-"
                             for key, sign in zip(("lru", "locked", "cached"), "LKC"))


def merge(columns):
    """[{column: step}], one a step, in an order that all columns agree with."""
    order, found = [], {}
    for column, scenario in columns.items():
        place = 0
        for step in scenario.steps:
            key = step.label, step.actor, step.until
            if key not in found:
                order.insert(place, key)
            place = order.index(key) + 1
            found.setdefault(key, {})[column] = step
    return [found[key] for key in order]


def actor_names(columns):
    return {letter: actor.name for scenario in columns.values()
            for letter, actor in scenario.actors.items()}


def grid(rows):
    """Rows of cells as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "".join("  ".join(map(str.ljust, row, widths)).rstrip() + "\n" for row in rows)


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
        parts = words(scenario), runs(scenario), scenario.reason
        text += textwrap.fill(f"{column}: " + "; ".join(filter(None, parts)), WIDTH,
                              subsequent_indent="    ") + "\n"
    return text


def scenario_ids(columns):
    return list(dict.fromkeys(itertools.chain(*columns.values())))


def title(ident, columns):
    """A scenario's title; only kernels that ran it know."""
    return next((column[ident].title for column in columns.values()
                 if ident in column and column[ident].title), "")


def verdict_table(columns):
    """One line a scenario, and the last column's reason; columns: {name: {id: Scenario}}."""
    rows, reasons = [["id", "scenario", *columns]], [""]
    for ident in scenario_ids(columns):
        rows.append([ident, textwrap.shorten(title(ident, columns), 52, placeholder=" ..."),
                     *(words(column.get(ident)) for column in columns.values())])
        last = [column[ident].reason for column in columns.values() if ident in column][-1]
        reasons.append(last and textwrap.fill(last, WIDTH, initial_indent="    ",
                                              subsequent_indent="    ") + "\n")
    return "".join(line + reason
                   for line, reason in zip(grid(rows).splitlines(keepends=True), reasons))


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
.contradicted, .violated, .dies, .error, .crash { background: #1a1a1a; color: #fff;
           font-weight: bold }
.infeasible { border-style: double; border-width: 3px }
.unfinished { border-style: dashed }
.skipped, .absent { border-style: dotted; border-color: #6a6a6a; color: #4a4a4a }
.label { display: inline-block; min-width: 1.1em; text-align: center; font-weight: bold;
         border: 1.2px solid #1a1a1a; border-radius: 1em; padding: 0 .35em }
.state { white-space: nowrap; line-height: 1.65 }
.state span { margin-right: .45em }
.state .on { border: 1.2px solid #1a1a1a; border-radius: 2px; padding: 0 .3em }
.state .off { color: #5c5c5c }
.state .unlike { font-weight: bold; color: #1a1a1a; border-bottom: 3px double #1a1a1a }
.state .on.unlike { border: 3px double #1a1a1a }
.tag { font-size: 11px; font-style: italic }
.unexpected { background: #1a1a1a; color: #fff; font-style: normal; padding: 0 .4em }
.note { font-size: 13px; color: #333; margin: .3em 0 }
figure { margin: .4em 0 0; break-inside: avoid }
svg { display: block; max-width: 100%; height: auto }
svg text { font: 11px "DejaVu Sans", Verdana, Helvetica, Arial, sans-serif; fill: #1a1a1a }
svg .mono { font: 10.5px "DejaVu Sans Mono", Menlo, Consolas, monospace }
svg .bold { font-weight: bold }
svg .small { font-size: 10px; fill: #444 }
svg .claim { font-size: 10px; font-style: italic; fill: #333 }
svg .inverse { fill: #fff; font-weight: bold; font-size: 10px }
svg .ink { fill: #1a1a1a }
svg .paper { fill: #fff; stroke: #1a1a1a; stroke-width: 1.4 }
svg .band { fill: #ececec }
svg .changed { fill: #fff; stroke: #1a1a1a; stroke-width: 1.2 }
svg .run { stroke: #1a1a1a; stroke-width: 6; stroke-linecap: butt }
svg .held { stroke: #1a1a1a; stroke-width: 1.4; stroke-dasharray: 4 3 }
svg .idle { stroke: #8a8a8a; stroke-width: 1; stroke-dasharray: 1 4 }
svg .wait { stroke: #1a1a1a; stroke-width: 1.5; fill: none }
svg .hand { stroke: #1a1a1a; stroke-width: 1 }
svg .leader { stroke: #9a9a9a; stroke-width: .8; stroke-dasharray: 1 3 }
svg .rule { stroke: #1a1a1a; stroke-width: 1 }
svg .crash { fill: #fff; font-weight: bold; font-size: 12px }
svg .fork { stroke: #1a1a1a; stroke-width: 1.2; stroke-dasharray: 9 3 2 3 }
@media print {
  body { margin: 0; padding: 0; max-width: none; font-size: 12px }
  table, code, dl, .verdict, .tag { font-size: 9.5px }
  th, td { padding: .25em .6em .25em 0 }
  h3 { margin-top: 1.2em }
  section { margin: 2em 0 0 }
  section.ran { break-before: page; margin: 0 }
  svg { max-height: 255mm }
}
"""
# The pixels that a letter takes on average, and some to spare.
SANS, BOLD, ITALIC, MONO = 6.3, 7.7, 5.4, 6.4
ROW, LINE_UP, FORK = 23, 13, 28     # heights: an event, a line of claim below it, a fork
BARS = {"refs": 8, "mapcount": 6}   # drawn as bars at most; the number says how many there are
PANEL = {"refs": 76, "mapcount": 66, "lru": 36, "locked": 36, "cached": 40, "listed": 58}


def esc(text):
    return html.escape(str(text))


def svg_line(kind, x1, y1, x2, y2):
    return f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def svg_rect(kind, x, y, width, height, radius=0):
    return (f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" '
            f'rx="{radius}"/>')


def svg_text(x, y, text, kind="", anchor="start"):
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{esc(text)}</text>'


def svg_marker(kind, x, y):
    """What an event looks like in its lane."""
    if kind == "pass":
        return f'<circle class="paper" cx="{x}" cy="{y}" r="4.2"/>'
    if kind == "stop":
        return (svg_rect("paper", x - 6.5, y - 6.5, 13, 13)
                + svg_rect("ink", x - 3.5, y - 3.5, 2.5, 7)
                + svg_rect("ink", x + 1, y - 3.5, 2.5, 7))
    if kind == "wait":
        return f'<path class="paper" d="M{x} {y - 7.5}l7.5 7.5l-7.5 7.5l-7.5-7.5z"/>'
    return svg_rect("ink", x - 10, y - 2.5, 20, 5)


def svg_span(kind, x, top, bottom):
    """A stretch of a lane: run, held, idle, or the zigzag of a wait."""
    if kind != "wait":
        return svg_line(kind, x, top, x, bottom)
    points = [f"{x + (0, 4, 0, -4)[number % 4]} {y}"
              for number, y in enumerate(range(top, bottom, 3))]
    return f'<polyline class="wait" points="{", ".join(points)}, {x} {bottom}"/>'


def svg_label(x, y, label, filled=False):
    """A step's label in a rounded box that is centred on x."""
    width = max(18, 7 * len(label) + 9)
    return (svg_rect("ink" if filled else "paper", x - width / 2, y - 8.5, width, 17, 8)
            + svg_text(x, y + 4, label, "inverse" if filled else "bold", "middle"))


def svg_state(x, y, state, before):
    """The folio after an event; what changed is boxed."""
    out = []
    for key, width in PANEL.items():
        value = state[key]
        if before[key] != value:
            out.append(svg_rect("changed", x - 4, y - 9.5, width - 4, 19, 3))
        if key in FLAGS:
            out.append(svg_rect("ink" if value else "paper", x + width / 2 - 11.5, y - 5.5, 11, 11))
        else:
            out.append(svg_text(x + 14, y + 4, value, "bold" if value else "", "end"))
            out += (svg_rect("ink", x + 19 + 5 * bar, y - 5, 3, 10)
                    for bar in range(min(value, BARS[key])))
        if key == "refs" and not value:
            out += [svg_rect("ink", x + 20, y - 7.5, 42, 15),
                    svg_text(x + 41, y + 4, "no refs", "inverse", "middle")]
        x += width
    return "".join(out)


def stretches(events, letter, ys, top, bottom):
    """(what, from, to) of an actor's lane: one actor runs between two events."""
    what, since = "idle", top
    after = {"pass": "run", "stop": "held", "wait": "wait", "end": None}
    for above, event, y in zip([top, *ys], events, ys):
        if event.actor == letter:
            yield what, since, above
            yield "run", above, y
            what, since = after[event.kind], y
    yield what, since, bottom


class Layout:
    """Where the lanes and rows of a timeline are, so that no two texts overlap."""

    def __init__(self, scenario, fork):
        events, actors = scenario.events, scenario.actors
        self.steps = {step.label: step for step in scenario.steps}
        self.sentences = [(actors[event.actor].name, KINDS[event.kind],
                           "" if event.kind == "end" else event.where) for event in events]
        self.claims = [self.claim(event.label) for event in events]
        self.pill = max([24, *(7 * len(event.label) + 9 for event in events)])
        lane = round(max(60, *(BOLD * len(actor.name) + 16 for actor in actors.values()),
                         *(SANS * len(event.where) + 18
                           for event in events if event.kind == "wait")))
        left = 36 + self.pill + 22
        self.lanes = {letter: left + lane * place for place, letter in enumerate(actors)}
        self.texts = left + lane * len(actors)
        wide = max([160, *(BOLD * len(actor) + SANS * len(how) + MONO * len(where) + 12
                           for actor, how, where in self.sentences),
                    *(ITALIC * len(line) for lines in self.claims for line in lines)])
        self.panel = round(self.texts + wide + 12)
        self.width = self.panel + sum(PANEL.values())
        self.top = self.bottom = 48
        self.rows, self.heights = [], []
        for place, lines in enumerate(self.claims):
            self.bottom += FORK if fork and place == fork[0] else 0
            self.rows.append(self.bottom + 12)
            below = max(len(lines), freed_while_linked(events[place]))
            self.heights.append(ROW + LINE_UP * below)
            self.bottom += self.heights[-1]
        self.bottom += 4

    def claim(self, label):
        text = self.steps[label].text if label in self.steps else ""
        return textwrap.wrap(f"claim: {text}", 64) if text else []


def svg_head(scenario, at):
    """The names of columns and lanes."""
    out = [svg_text(at.panel, 18, "the folio after the event", "bold"),
           svg_text(30, 36, "event", "small", "end"),
           svg_text(36 + at.pill / 2, 36, "step", "small", "middle"),
           svg_line("rule", 0, 42, at.width, 42)]
    for key, x in zip(PANEL, itertools.accumulate(PANEL.values(), initial=at.panel)):
        out.append(svg_text(x + (PANEL[key] / 2 - 6 if key in FLAGS else 0), 36,
                            FLAGS.get(key, key), "small", "middle" if key in FLAGS else "start"))
    for letter, x in at.lanes.items():
        name = scenario.actors[letter].name
        width = BOLD * len(name) + 10
        out += [svg_rect("paper", x - 12, 12, width, 19, 2),
                svg_text(x - 12 + width / 2, 25.5, name, "bold", "middle")]
    return out


def svg_row(at, place, event, before):
    """One event: its number, step, marker, sentence, claim and state."""
    x, y = at.lanes[event.actor], at.rows[place]
    actor, how, where = at.sentences[place]
    out = [svg_text(30, y + 4, place, "small", "end"), svg_marker(event.kind, x, y),
           f'<text x="{at.texts}" y="{y + 4}"><tspan class="bold">{esc(actor)}</tspan> '
           f'{how} <tspan class="mono">{esc(where)}</tspan></text>',
           svg_state(at.panel, y, event.state, before)]
    if event.kind == "wait":
        out.append(svg_text(x + 10, y + 15, event.where, "small"))
    if freed_while_linked(event):
        out += [svg_rect("ink", at.panel - 4, y + 10, at.width - at.panel + 4, 15),
                svg_text((at.panel + at.width) / 2, y + 21.5, CRASH, "crash", "middle")]
    if event.label != "-":
        step = at.steps.get(event.label)
        out.append(svg_label(36 + at.pill / 2, y, event.label,
                             step and unlike(step.claimed, step.seen)))
    out += (svg_text(at.texts, y + 4 + LINE_UP * line, text, "claim")
            for line, text in enumerate(at.claims[place], 1))
    return out


def svg_hand_over(y, x, to):
    """An arrow from one lane to another."""
    back = -8 if to > x else 8
    return (svg_line("hand", x, y, to + back, y)
            + f'<path class="ink" d="M{to} {y}l{back} -4v8z"/>')


def svg_timeline(scenario, name, number, fork=None):
    """Time goes down: a row an event, a lane an actor, the folio's state on the right.

    fork: (number of the first event that differs, from which column).
    """
    events = scenario.events
    at = Layout(scenario, fork)
    cut = scenario.outcome == "unfinished"
    height = at.bottom + (26 if cut else 6)
    bands, lanes, rows = [], [], svg_head(scenario, at)
    for letter, x in at.lanes.items():
        lanes += (svg_span(what, x, since, until)
                  for what, since, until in stretches(events, letter, at.rows, at.top, at.bottom)
                  if what and until > since)
    for place, (event, y) in enumerate(zip(events, at.rows)):
        before = events[place - 1].state if place else event.state
        x = at.lanes[event.actor]
        if before != event.state:
            bands.append(svg_rect("band", 0, y - 12, at.width, at.heights[place] - .5))
        bands.append(svg_line("leader", x, y, at.texts - 6, y))
        if event.kind != "pass" and place + 1 < len(events):
            to = at.lanes[events[place + 1].actor]
            lanes += [svg_hand_over(y, x, to)] if to != x else []
        rows += svg_row(at, place, event, before)
    if fork and fork[0] < len(events):
        y = at.rows[fork[0]] - 18
        rows += [svg_line("fork", 0, y, at.width, y),
                 svg_text(at.texts, y - 6, f"from here on not as on {fork[1]}", "bold")]
    if cut:
        rows += [svg_line("fork", 0, at.bottom, at.width, at.bottom),
                 svg_text(at.texts, at.bottom + 17, "the console ends here", "bold")]
    story = " ".join(f"{place}: {' '.join(filter(None, sentence))}."
                     for place, sentence in enumerate(at.sentences))
    return (f'<svg viewBox="0 0 {at.width} {height}" width="{at.width}" height="{height}" '
            f'role="img" aria-labelledby="t{number} d{number}"><title id="t{number}">'
            f"{esc(scenario.id)} on {esc(name)}: {esc(words(scenario))}</title>"
            f'<desc id="d{number}">{len(events)} events of {len(scenario.actors)} actors, from '
            f"top to bottom. {esc(story)}</desc>{''.join(bands + lanes + rows)}</svg>")


def svg_key():
    """The legend of the timelines."""
    out = []
    marks = (("pass", "passes a point"), ("stop", "is held at a point: another actor goes on"),
             ("wait", "must wait for a lock"), ("end", "is done"))
    for place, (kind, text) in enumerate(marks):
        y = 16 + 24 * place
        out += [svg_marker(kind, 16, y), svg_text(36, y + 4, text)]
    spans = (("run", "runs"), ("held", "held at a point"), ("wait", "waits for the lock named"),
             ("idle", "not started"))
    for place, (kind, text) in enumerate(spans):
        y = 16 + 24 * place
        out += [svg_span(kind, 340, y - 10, y + 10), svg_text(358, y + 4, text)]
    out += [svg_label(576, 16, "5"), svg_text(596, 20, "a step ends here; the claim is below it"),
            svg_label(576, 40, "5", True), svg_text(596, 44, "... and the folio is not as claimed"),
            svg_rect("ink", 562, 58.5, 11, 11), svg_rect("paper", 579, 58.5, 11, 11),
            svg_text(596, 68, "so, and not so: on the LRU list, locked, in the page cache"),
            svg_rect("band", 556, 78, 36, 20), svg_rect("changed", 562, 80.5, 24, 15, 3),
            svg_text(596, 92, "the state changed, and what of it")]
    return ('<svg viewBox="0 0 960 106" width="960" height="106" role="img" '
            'aria-labelledby="tkey dkey"><title id="tkey">Legend of the timelines</title>'
            '<desc id="dkey">What markers, lines and boxes mean.</desc>' + "".join(out) + "</svg>")


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
    return "<br>".join(filter(None, ("".join(numbers), "".join(flags))))


def page_steps(columns):
    """The step table of one scenario; columns: {name: Scenario}."""
    names = actor_names(columns)
    out = ["<table><thead><tr><th>step</th><th>what the claim says happens</th><th>claimed</th>",
           *(f"<th>{esc(column)}</th>" for column in columns), "</tr></thead><tbody>"]
    for steps in merge(columns):
        step = next(iter(steps.values()))
        until = {"END": "to its end", "wait": "until it waits for a lock"}.get(
            step.until, f"until <code>{esc(step.until)}</code>")
        out.append(f'<tr><td><span class="label">{esc(step.label)}</span></td>'
                   f"<td><b>{esc(names[step.actor])}</b> {esc(step.text)}<br>{until}</td>"
                   f'<td class="state">{state_cell(step.claimed or {}) or "no claim"}</td>')
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
    return "".join([*out, "</tbody></table>"])


def first_difference(one, other):
    """The number of the first event in which two timelines differ."""
    pairs = itertools.zip_longest(one.events, other.events)
    return next(place for place, (mine, its) in enumerate(pairs) if mine != its)


def page_timelines(columns, number):
    """A figure for each timeline; kernels with the same one share it."""
    same = {}
    for column, scenario in columns.items():
        if scenario.events:
            same.setdefault((timeline(scenario), scenario.outcome), []).append(column)
    out, first = [], None
    for place, (_, names) in enumerate(same.items()):
        scenario, fork = columns[names[0]], None
        if first and timeline(scenario) != timeline(columns[first]):
            fork = first_difference(columns[first], scenario), first
        first = first or names[0]
        name = " and ".join(names)
        note = " (the same, event by event)" if len(names) > 1 else ""
        out.append(f"<h3>Timeline: {esc(name)}{note}</h3><figure>"
                   + svg_timeline(scenario, name, f"{number}-{place}", fork) + "</figure>")
    return "".join(out)


def page_scenario(number, ident, columns):
    """The section of one scenario; columns: {name: Scenario or None}."""
    ran = {column: scenario for column, scenario in columns.items() if scenario}
    about = title(ident, {name: {ident: scenario} for name, scenario in ran.items()})
    figures = page_timelines(ran, number)
    out = [f'<section id="{esc(ident)}"{" class=ran" if figures else ""}>'
           f"<h2>{esc(f'{ident}. {about}' if about else ident)}</h2><dl>"]
    for column, scenario in columns.items():
        reason = "; ".join(filter(None, (scenario and scenario.reason, runs(scenario))))
        out.append(f"<dt>{esc(column)}</dt><dd>{badge(scenario)} {esc(reason)}")
        out += (f' <span class="verdict crash">{CRASH}: event {place}</span>'
                for place, event in enumerate(scenario.events if scenario else ())
                if freed_while_linked(event))
        out.append("</dd>")
    out.append("</dl>")
    actors = {letter: actor for scenario in ran.values()
              for letter, actor in scenario.actors.items()}
    if actors:
        out += ["<h3>Actors</h3><dl>",
                *(f"<dt>{esc(actor.name)}</dt><dd>{esc(actor.does)}</dd>"
                  for actor in actors.values()), "</dl>"]
    if any(scenario.steps for scenario in ran.values()):
        out += ["<h3>Step by step: as claimed and as seen</h3>", page_steps(ran)]
    return "".join([*out, figures, "</section>"])


def page(columns, heading):
    """All scenarios as one HTML page that needs nothing else; columns: {name: {id: Scenario}}."""
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
                *(f"<td>{badge(column.get(ident))}</td>" for column in columns.values()), "</tr>"]
    out += ["</tbody></table></nav><h2>How to read the timelines</h2>",
            '<p class="note">Time goes down: one row an event, one lane an actor. One actor runs '
            "at a time; an arrow is where the schedule hands over.</p>", svg_key()]
    out += (page_scenario(number, ident, {name: column.get(ident)
                                          for name, column in columns.items()})
            for number, ident in enumerate(idents))
    return "\n".join([*out, "</main></body></html>\n"])
