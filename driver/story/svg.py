# SPDX-License-Identifier: GPL-2.0-only
"""A timeline as SVG: it must read the same on paper and in grey, so shapes and words say it all."""

import html
import itertools
import re
import textwrap
from dataclasses import replace

from driver.story.model import (
    CRASH,
    FLAGS,
    KINDS,
    claimed_text,
    freed_while_linked,
    turn,
    unlike,
    verdict,
    words,
)

# The pixels that a letter takes on average, and some to spare.
SANS, BOLD, ITALIC, MONO = 6.3, 7.7, 5.4, 6.4
ROW, LINE_UP, FORK = 23, 13, 28     # heights: an event, a line of claim below it, a fork
LEAST_FOLD = 3                      # points that are drawn as one
BANNER = 46                         # letters that go below the columns of the state
BARS = {"refs": 8, "mapcount": 6}   # drawn as bars at most; the number says how many there are
STYLE = """\
svg text { font: 11px "DejaVu Sans", Verdana, Helvetica, Arial, sans-serif; fill: #1a1a1a }
svg .heading { font-size: 14px; font-weight: bold }
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
svg .crash { fill: #fff; font-weight: bold; font-size: 11px }
svg .fork { stroke: #1a1a1a; stroke-width: 1.2; stroke-dasharray: 9 3 2 3 }
"""
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


def folded(scenario, keep):
    """[(number, event)] that are drawn: points that one actor passes, and nothing changes, are one.

    keep: the numbers of events that have a row of their own.
    """
    rows, run = [], []

    def end_run():
        if len(run) < LEAST_FOLD:
            rows.extend(run)
        else:
            number, last = run[-1]
            rows.append((number, replace(last, where=f"{len(run)} points, to {last.where}")))
        run.clear()
    before = None
    for number, event in enumerate(scenario.events):
        plain = (event.kind == "pass" and event.label == "-" and number not in keep
                 and before and event.state == before.state)
        if run and (not plain or event.actor != run[-1][1].actor):
            end_run()
        if plain:
            run.append((number, event))
        else:
            rows.append((number, event))
        before = event
    end_run()
    return rows


class Layout:
    """Where the lanes and rows of a timeline are, so that no two texts overlap."""

    def __init__(self, scenario, numbers, fork, turns):
        events, actors = scenario.events, scenario.actors
        self.numbers, self.turns = numbers, turns
        self.steps = {step.label: step for step in scenario.steps}
        self.sentences = [(actors[event.actor].name, KINDS[event.kind],
                           "" if event.kind == "end" else event.where) for event in events]
        self.claims = [self.claim(scenario, event.label) for event in events]
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
        self.banners = [self.banner(scenario, place) for place in range(len(events))]
        for place, lines in enumerate(self.claims):
            self.bottom += FORK if fork and place == fork[0] else 0
            self.rows.append(self.bottom + 12)
            below = max(len(lines), bool(self.banners[place]))
            self.heights.append(ROW + LINE_UP * below)
            self.bottom += self.heights[-1]
        self.bottom += 4

    def banner(self, scenario, place):
        """What is said in the row where it turns."""
        crash = CRASH if freed_while_linked(scenario.events[place]) else ""
        if place != self.turns:
            return crash
        said = verdict(scenario).partition("; see ")[0]
        return crash or textwrap.shorten(said, BANNER, placeholder=" ...")

    def claim(self, scenario, label):
        text = claimed_text(self.steps[label], scenario) if label in self.steps else ""
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
    out = [svg_text(30, y + 4, at.numbers[place], "small", "end"), svg_marker(event.kind, x, y),
           f'<text x="{at.texts}" y="{y + 4}"><tspan class="bold">{esc(actor)}</tspan> '
           f'{how} <tspan class="mono">{esc(where)}</tspan></text>',
           svg_state(at.panel, y, event.state, before)]
    if event.kind == "wait":
        out.append(svg_text(x + 10, y + 15, event.where, "small"))
    if at.banners[place]:
        out += [svg_rect("ink", at.panel - 4, y + 10, at.width - at.panel + 4, 15),
                svg_text((at.panel + at.width) / 2, y + 21.5, at.banners[place], "crash", "middle")]
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
    turns, keep = turn(scenario), {0, len(scenario.events) - 1}
    keep |= {turns, fork and fork[0]}
    numbers, events = zip(*folded(scenario, keep)) if scenario.events else ((), ())
    if fork and fork[0] in numbers:
        fork = numbers.index(fork[0]), fork[1]
    scenario = replace(scenario, events=list(events))
    at = Layout(scenario, numbers, fork, None if turns is None else numbers.index(turns))
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


def svg_file(scenario, name, heading):
    """A timeline as a file of its own."""
    text = svg_timeline(scenario, name, "0")
    width, height = map(int, re.search(r'viewBox="0 0 (\d+) (\d+)"', text).groups())
    inside = re.sub(r"^<svg [^>]*><title .*?</title>(.*)</svg>$", r"\1", text)
    return framed(width, height, heading, inside)


def svg_matrix(heading, columns, rows):
    """A table as a file: rows: {name: {column: (text, filled)}}; what is filled stands out."""
    left, cell, row = round(SANS * max(map(len, rows))) + 16, 74, 24
    width, height = left + cell * len(columns), row * len(rows) + 34
    out = [svg_line("rule", 0, 28, width, 28)]
    out += (svg_text(left + cell * (place + .5), 20, name, "bold", "middle")
            for place, name in enumerate(columns))
    for line, (name, cells) in enumerate(rows.items()):
        y = 34 + row * line
        out.append(svg_text(0, y + 15, name))
        for place, column in enumerate(columns):
            text, filled = cells.get(column, ("", False))
            if text:
                x = left + cell * place
                out += [svg_rect("ink" if filled else "paper", x + 2, y + 1, cell - 4, row - 3, 2),
                        svg_text(x + cell / 2, y + 15, text, "inverse" if filled else "small",
                                 "middle")]
    return framed(width, height, heading, "".join(out))


def framed(width, height, heading, inside):
    """A picture as a file of its own, with a white ground and a heading."""
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-12 -36 {width + 24} {height + 48}" '
            f'width="{width + 24}" height="{height + 48}" role="img"><title>{esc(heading)}</title>'
            f'<style>{STYLE}</style><rect x="-12" y="-36" width="{width + 24}" '
            f'height="{height + 48}" fill="#fff"/>'
            f'<text class="heading" x="0" y="-12">{esc(heading)}</text>{inside}</svg>\n')


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
