# SPDX-License-Identifier: GPL-2.0-only
"""An interleaving as the kernel replayed it: parsed from its console."""

import itertools
import re
from dataclasses import dataclass, field

from driver.core.stage import Fail

LINE = re.compile(r"\s*(?:\[[^]]*\]\s*)*folio_race:(.*)")
FIELDS = {"begin": 2, "injected": 1, "actor": 3, "event": 6, "step": 7, "call": 4, "verdict": 2,
          "skip": 2, "end": 2}
FLAGS = {"lru": "LRU", "locked": "lock", "cached": "cache", "listed": "on a list"}
KEYS = ("refs", "mapcount", *FLAGS)     # of an event; a step has no "listed"
MORE = ("order", "index", "dirty", "writeback", "size")     # of either, where it is asked for
KINDS = {"pass": "passes", "stop": "is held at", "wait": "waits for", "end": "is done"}
# What comes of a claim, of a schedule of the explorer, of a schedule file; and of any of them.
OUTCOMES = ("reproduced", "refuted", "blocked", "no violation", "violated", "as written", "differs",
            "does not end", "error")
CRASH = "freed while on a list"


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
class Call:
    """A system call of a schedule file, and what it gave."""
    name: str               # session and step
    text: str
    wanted: str             # or "-"
    got: str


@dataclass
class Scenario:
    id: str
    title: str = ""
    actors: dict = field(default_factory=dict)
    events: list = field(default_factory=list)
    steps: list = field(default_factory=list)
    calls: list = field(default_factory=list)
    injected: str = ""      # which rule the test itself breaks, if it does
    outcome: str = "unfinished"
    reason: str = ""
    runs: int = 0
    skipped: bool = False
    died: str = ""          # what the kernel died of, in it


def read_state(text, whole=()):
    """{key: number} of `refs=1 lru=0 ...`; no key of whole may be missing."""
    state = {}
    for item in text.split():
        key, _, value = item.partition("=")
        if key not in KEYS + MORE:
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
        case "injected", what:
            scenario.injected = what
        case "call", name, text, wanted, got:
            scenario.calls.append(Call(name, text, wanted, got))
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
                   + " ".join(f"{key}={event.state[key]}" for key in KEYS + MORE
                              if key in event.state)
                   + f" {event.label}\n" for number, event in enumerate(scenario.events))


def verdict(scenario):
    """What came of it and why: what is expected of it is the same text."""
    if scenario is None:
        return "did not run"
    reason = scenario.reason
    if scenario.outcome == "blocked":       # what comes after the lock is an explanation
        reason = reason.partition(": ")[0]
    if scenario.outcome in ("as written", "no violation"):
        reason = ""
    return f"{scenario.outcome}: {reason}" if reason else scenario.outcome


def words(scenario):
    """The same in few words, for a table: the guard, or what differs, is said below it."""
    if scenario is None:
        return "did not run"
    if scenario.outcome == "blocked":
        return verdict(scenario)
    return scenario.outcome + " (injected)" * (bool(scenario.injected)
                                               and scenario.outcome == "reproduced")


def in_full(said, injected):
    """A verdict as a document has it: what was reproduced is said by the claim."""
    word, _, _ = said.partition(": ")
    if word != "reproduced":
        return said
    return word + (f" (injected: {injected})" if injected else "")


def good(outcome):
    """Is it what a kernel without bugs gives, so that its test passes?"""
    return outcome in ("refuted", "blocked", "no violation", "as written")


def runs(scenario):
    if scenario is None or not scenario.runs:
        return ""
    return f"{scenario.runs} identical runs" if scenario.runs > 1 else "1 run"


def unlike(claimed, seen):
    """The keys of a claimed state that were seen to be otherwise."""
    return {key for key in claimed or () if seen and claimed[key] != seen[key]}


def claimed_text(step, scenario):
    """What a claim says of a step, less the actor: a picture has that already."""
    return step.text.removeprefix(f"{scenario.actors[step.actor].name}: ")


def step_of(scenario, place):
    """The step that an event is of, or None: the one that the actor's next labelled event ends."""
    lane = scenario.events[place].actor
    label = next((event.label for event in scenario.events[place:]
                  if event.actor == lane and event.label != "-"), None)
    return next((step for step in scenario.steps if step.label == label), None)


def falls_short(scenario, event):
    """Does the actor end, in a step, without having come to the point that is claimed?"""
    step = next((step for step in scenario.steps if step.label == event.label), None)
    return bool(step) and event.kind == "end" and step.until not in ("END", "wait")


def turn(scenario):
    """The number of the event where it turns, or None.

    Where the claimed point is come to, a guard refuses or a lock is waited for; else the end.
    """
    actor, _, point = scenario.reason.partition(" came to ")
    for number, event in enumerate(scenario.events):
        name = scenario.actors[event.actor].name
        match scenario.outcome:
            case "reproduced" if (name, event.where) == (actor, point):
                return number
            case "refuted" if falls_short(scenario, event):
                return number
            case "blocked" if event.kind == "wait" and scenario.reason.startswith(event.where):
                return number
    if scenario.events and scenario.outcome in ("reproduced", "violated", "error"):
        return len(scenario.events) - 1
    return None


def freed_while_linked(event):
    """The crash: its memory goes to somebody else, and some list still leads there."""
    state = event.state
    return (event.where.endswith("_FREE") and not state["refs"] and not state["lru"]
            and bool(state["listed"]))


def first_difference(one, other):
    """The number of the first event in which two timelines differ."""
    pairs = itertools.zip_longest(one.events, other.events)
    return next(place for place, (mine, its) in enumerate(pairs) if mine != its)


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


def scenario_ids(columns):
    return list(dict.fromkeys(itertools.chain(*columns.values())))


def title(ident, columns):
    """A scenario's title; only kernels that ran it know."""
    return next((column[ident].title for column in columns.values()
                 if ident in column and column[ident].title), "")
