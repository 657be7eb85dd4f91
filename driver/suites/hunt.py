# SPDX-License-Identifier: GPL-2.0-only
"""The hunt: all pairs and triples of actors, in all layouts, with more preemptions step by step."""

import itertools
import json
import os
import time

from driver.core.paths import OUT, read, shown, write
from driver.core.process import in_parallel
from driver.core.stage import say, stage
from driver.core.tables import grid
from driver.suites import explorer
from driver.suites.explorer import NO_BOUND

# Sabotage; those that break a rule themselves, for which there are sets; what UML has no folios for
LEFT_OUT = set("XIWSQ")
WITH = {"Y": "YQ"}          # one that there is for the other alone
LAYOUTS = ("", "/before", "/mapped", "/shmem")
# How many actors, and how many preemptions at most: in this order, while there is time
ROUNDS = ((2, NO_BOUND), (3, 0), (3, 1), (3, 2), (3, NO_BOUND))
LIMIT = 120                 # seconds, for a set: what takes longer is not complete
COLUMNS = ("actors", "bound", "sets", "complete", "refused", "too long", "not yet", "schedules",
           "states", "violated")


def sets_of(number):
    """All sets of so many actors, in all layouts."""
    letters = [WITH.get(letter, letter) for letter in explorer.actors() if letter not in LEFT_OUT]
    return ["".join(chosen) + layout for chosen in itertools.combinations(letters, number)
            for layout in LAYOUTS]


def plan():
    """[(number of actors, bound, set)], in order."""
    return [(number, bound, name) for number, bound in ROUNDS for name in sets_of(number)]


def summed_up(found):
    """What is kept of a set that was explored."""
    return {"verdict": explorer.verdict(found), "check": found.check, "line": found.line,
            "done": found.done, "error": found.error, "died": found.died,
            "schedules": found.counts.get("schedules", 0), "states": found.counts.get("states", 0)}


def kind(result):
    """What has become of a set."""
    if result is None:
        return "not yet"
    if result["check"] or result["died"]:
        return "violated"
    if result["error"]:         # after a refusal nothing is explored
        return "error" if result["done"] else "refused"
    return "complete" if result["done"] else "too long"


def place_of(image):
    """Where the results of a kernel are kept."""
    return os.path.join(OUT, "hunt", os.path.basename(os.path.dirname(image)) + ".json")


def load(path):
    return json.loads(read(path)) if os.path.exists(path) else {}


def key(bound, name):
    return f"{name} {bound}"


def table(results):
    rows = [COLUMNS]
    for number, bound in ROUNDS:
        these = [results.get(key(bound, name)) for name in sets_of(number)]
        kinds = [kind(one) for one in these]
        rows.append([str(number), "none" if bound == NO_BOUND else str(bound), str(len(these)),
                     *(str(kinds.count(what)) for what in ("complete", "refused", "too long",
                                                           "not yet")),
                     *(f"{sum(one[what] for one in these if one):,}" for what in ("schedules",
                                                                                 "states")),
                     str(kinds.count("violated"))])
    return grid(rows, right=range(len(COLUMNS)))


def violations(results):
    """Each once, by its check and the point at which its last step but one ends: the shortest."""
    shortest = {}
    for name, result in results.items():
        if kind(result) != "violated":
            continue
        steps = result["line"].partition(":")[2].split(",")
        which = (result["check"] or "dies", steps[-2].partition("@")[2] if len(steps) > 1 else "")
        if which not in shortest or len(steps) < shortest[which][0]:
            shortest[which] = (len(steps), name, result)
    return {which: (name, result) for which, (_, name, result) in sorted(shortest.items())}


def told(results):
    """The table and below it each violation, with the line that replays it."""
    text = table(results)
    for (check, point), (name, result) in violations(results).items():
        text += f"\n{check}, after {point or 'no other step'} ({name.split()[0]})\n"
        text += f"    {explorer.replay_command(result['line'])}\n"
    return text


def errors(results):
    """What the explorer itself could not do, which is no result of a set."""
    return [f"hunt: {name}: {result['error']}" for name, result in results.items()
            if kind(result) == "error"]


def hunt(context, column, minutes):
    """Explore what has not been explored of this kernel yet, for so long."""
    image = explorer.image_of(context, column)
    path, end = place_of(image), time.monotonic() + minutes * 60
    results = load(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)

    def one(job):
        _, bound, name = job
        left = end - time.monotonic()
        if left <= 0:
            return
        found = explorer.explored(image, f"hunt-{bound}", name, min(left, LIMIT), bound=bound)
        if kind(summed_up(found)) == "too long" and left < LIMIT:
            return
        results[key(bound, name)] = summed_up(found)
        write(path, json.dumps(dict(results), indent=1))

    jobs = [job for job in plan() if key(*job[1:]) not in results]
    with stage(f"hunt on {column}, {minutes:g} minutes") as this:
        in_parallel(one, jobs)
        this.note = f"{len(results)} sets"
    say(f"\n{told(results)}\nresults: {shown(path)}; the same command goes on from there".rstrip())
    context.tally.check(results, f"hunt on {column}: no set was explored", "./run hunt")
    for what in errors(results):
        context.tally.fail(what, "./run hunt")
