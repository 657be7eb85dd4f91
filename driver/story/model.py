# SPDX-License-Identifier: GPL-2.0-only
"""An interleaving as the kernel replayed it: parsed from its console."""

import itertools
import re
from dataclasses import dataclass, field

from driver.core.stage import Fail

LINE = re.compile(r"\s*(?:\[[^]]*\]\s*)*folio_race:(.*)")
FIELDS = {"begin": 2, "actor": 3, "event": 6, "step": 7, "verdict": 2, "skip": 2, "end": 2}
FLAGS = {"lru": "LRU", "locked": "lock", "cached": "cache", "listed": "on a list"}
KEYS = ("refs", "mapcount", *FLAGS)     # of an event; a step has no "listed"
KINDS = {"pass": "passes", "stop": "is held at", "wait": "waits for", "end": "is done"}
OUTCOMES = {"refuted": "as the answer said", "contradicted": "CONTRADICTED",
            "infeasible": "infeasible", "held": "all checks hold", "violated": "VIOLATED",
            "error": "error"}
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
