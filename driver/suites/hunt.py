# SPDX-License-Identifier: GPL-2.0-only
"""The hunt: all pairs and triples of actors, in all layouts, with more preemptions step by step."""

import fnmatch
import functools
import itertools
import json
import math
import os
import re
import threading
import time
from collections import deque

from driver.core import expected, process
from driver.core.paths import OUT, read, shown, write
from driver.core.process import in_parallel
from driver.core.stage import Fail, current, say, stage
from driver.core.tables import grid
from driver.kernel import mutant
from driver.story import text as story_text
from driver.suites import explorer
from driver.suites.explorer import NO_BOUND

FOLDER = os.path.join(OUT, "hunt")
FIXED = "fixed"             # the patched kernel with fixes of what is known: expected/hunt.toml
# X sabotages.  I and W break a rule themselves.  For H there is the set EHUQ.  Q comes with Y.
LEFT_OUT = set("XIWHQ")
WITH = {"Y": "YQ"}
# {layout: the actor that it is for, if for one alone}
LAYOUTS = {"": "", "/before": "", "/mapped": "", "/shmem": "", "/swap": "",
           "/cold/mapped": "M", "/invalidate": "B", "/large": "", "/pair/size": "",
           "/large/size/dirty": ""}
# How many actors, and how many preemptions at most: in this order, while there is time
ROUNDS = ((1, NO_BOUND), (2, NO_BOUND), (3, 0), (3, 1), (3, 2), (3, NO_BOUND))
MANY = 100_000              # schedules: a set that has more is left, and is not complete
LOG2 = 20                   # how many states they may have; memory for more takes time to clear
LIMIT, EACH = 200, 10       # seconds for a boot, and more for each set
A_BOOT, OF_ALL = 80, 5      # sets, and triples without a bound, which may take long
WORD = 1024                 # characters of a parameter of the kernel, at most
SAVED = 10                  # seconds, after which what was found is written again
MOST = 6                    # preemptions, up to which a shorter schedule is looked for
COLUMNS = ("actors", "bound", "sets", "complete", "refused", "left", "not yet", "violated",
           "schedules", "interleavings", "states", "minutes")
COUNTED = ("schedules", "interleavings", "states")
# What the meaning of a point says if a guard is next
GUARD = re.compile(r"next: .*(\?|folio_try|xas_reload|PG_|freeze)")


# The plan


def sets_of(number):
    """All sets of so many actors, in all layouts."""
    letters = [WITH.get(letter, letter) for letter in explorer.actors() if letter not in LEFT_OUT]
    return ["".join(chosen) + layout for chosen in itertools.combinations(letters, number)
            for layout, actor in LAYOUTS.items() if actor in "".join(chosen)]


def plan(shard="0/1"):
    """[(number of actors, bound, set)], in order: every N-th for one of N shards."""
    part, parts = map(int, shard.split("/"))
    return [(number, bound, name) for number, bound in ROUNDS
            for name in sets_of(number)][part::parts]


def key(bound, name):
    return f"{name} {bound}"


def fewer(name, number):
    """The sets of so many of a set's actors."""
    letters, slash, layout = name.partition("/")
    units = re.findall("|".join([*WITH.values(), "."]), letters)
    return ["".join(chosen) + slash + layout for chosen in itertools.combinations(units, number)]


def actors_in(name):
    return next(number for number in itertools.count(1) if fewer(name, number) == [name])


def known(results, bound, name):
    """What is known of a set without exploring it.

    What was refused of its actors is refused with another one, too; and what was violated is that
    with more preemptions.
    """
    found = [(part, NO_BOUND, "refused") for part in fewer(name, actors_in(name) - 1)] \
        + [(name, other, "violated") for _, other in ROUNDS
           if other != NO_BOUND and (bound == NO_BOUND or other < bound)]
    return next(({**one, "seconds": 0, **dict.fromkeys(COUNTED, 0)} for part, other, what in found
                 if kind(one := results.get(key(other, part))) == what), None)


# The results, in out/hunt/


def shortened(line):
    """A schedule in which the kernel dies, without what is repeated before that.

    The last actor goes on to where it dies, however often it comes by a point on its way.
    """
    return re.sub(r"((\w)@\w+)(?:,\1)+(?=,\2@END$)", r"\1", line)


def summed_up(found, seconds):
    """What is kept of a set that was explored."""
    lost = not found.ended and not found.error and not found.caught and not found.counts
    return {"verdict": explorer.verdict(found), "check": found.check,
            "line": shortened(found.line),
            "done": found.done, "refused": found.refused, "died": found.died,
            "error": "it has printed no result" if lost else found.error,
            "seconds": round(seconds, 2),
            **{what: found.counts.get(what, 0) for what in COUNTED}}


def kind(result):
    """What has become of a set."""
    if result is None:
        return "not yet"
    if result["check"] or result["died"]:
        return "violated"
    if result["error"]:
        return "refused" if result["refused"] else "error"
    return "complete" if result["done"] else "left"


def load(path):
    try:
        found = json.loads(read(path))
    except (OSError, ValueError) as failure:
        raise Fail(f"{shown(path)} can't be read: {failure}") from None
    if not isinstance(found, dict) or not {"on", "kernel", "sets"} <= found.keys():
        raise Fail(f"{shown(path)}: these are no results of a hunt")
    return found


def files():
    names = sorted(os.listdir(FOLDER)) if os.path.isdir(FOLDER) else []
    return [os.path.join(FOLDER, name) for name in names if name.endswith(".json")]


def merged(parts):
    """{(column, kernel): results} of what was kept, of all shards."""
    whole_of = {}
    for part in parts:
        which_one = part["on"], part["kernel"]
        whole = whole_of.setdefault(which_one, empty(*which_one))
        for name, result in part["sets"].items():
            if kind(whole["sets"].get(name)) in ("not yet", "left", "error"):
                whole["sets"][name] = result
        whole["passed"] = {**part["passed"], **whole["passed"]}
    return whole_of


def empty(column, kernel):
    """passed: {"a point > the next one": the first set in which an actor went on so}."""
    return {"on": column, "kernel": kernel, "sets": {}, "passed": {}}


# What is told of them


def total(results, what):
    """The sum; the explorer counts no further than 2^64."""
    numbers = [one[what] for one in results]
    return "2^64 or more" if explorer.SATURATED in numbers else f"{sum(numbers):,}"


def table(sets):
    """One line a round, of those that have begun."""
    rows = [COLUMNS]
    for number, bound in ROUNDS:
        these = [sets.get(key(bound, name)) for name in sets_of(number)]
        there = [one for one in these if one]
        kinds = [kind(one).replace("error", "not yet") for one in these]
        rows.append([str(number), "none" if bound == NO_BOUND else str(bound), str(len(these)),
                     *(str(kinds.count(what)) for what in COLUMNS[3:8]),
                     *(total(there, what) for what in COUNTED),
                     f"{sum(one['seconds'] for one in there) / 120:.1f}"] if there else [])
    return grid([row for row in rows if row], right=range(len(COLUMNS))) + "minutes: of 2 CPUs\n"


def of_each_kind(kinds):
    """{what: a set}, as {what: how many sets, and the first}."""
    seen = {}
    for name, what in kinds:
        seen.setdefault(what, {})[name.split()[0]] = True
    return {what: f"{len(names)} set{'s' * (len(names) > 1)}, {min(names, key=len)} for one"
            for what, names in seen.items()}


def refusals(sets):
    """Each reason once, and each check that has failed, with how many sets."""
    refused = of_each_kind((name, one["error"]) for name, one in sets.items()
                           if kind(one) == "refused")
    violated = of_each_kind((name, one["check"] or "dies") for name, one in sets.items()
                            if kind(one) == "violated")
    return "".join([*(f"refused: {many}: {why}\n" for why, many in refused.items()),
                    *(f"violated: {what}: {many}\n" for what, many in violated.items())])


def known_as(column, violation, name):
    """What was found out about it, see driver/expected/hunt.toml; with its fix it is another."""
    if column == FIXED:
        return ""
    _, told = expected.load_file("hunt")
    where = violation.replace(" after ", f" in {name.split()[0]} after ")
    return next((about for pattern, about in told["violations"].items()
                 if fnmatch.fnmatchcase(where, pattern)), "")


def which(result):
    """A violation: its check, and the last point that an actor was held at."""
    held = re.findall(r"@(?!END|WAIT)(\w+)", result["line"])
    return f"{result['check'] or 'dies'} after {held[-1] if held else 'nothing'}"


def violations(sets):
    """{which: (set, result)}, the shortest of each."""
    shortest = {}
    for name, result in sets.items():
        if kind(result) == "violated":
            steps = result["line"].count(",")
            if steps < shortest.get(which(result), (steps + 1,))[0]:
                shortest[which(result)] = (steps, name, result)
    return {each: (name, result) for each, (_, name, result) in sorted(shortest.items())}


def coverage(passed):
    """Which points were reached, and of which guards just one outcome was seen."""
    meanings = {name: told for name, told in explorer.meanings().items()
                if not name.startswith("USER_")}
    after = {}
    for point, follower in (pair.split(">") for pair in passed):
        after.setdefault(point, set()).add(follower)
    missed = [name for name in meanings if name not in after]
    guards = [name for name in after if GUARD.search(meanings[name])]
    single = [name for name in meanings if name in guards and len(after[name]) == 1]
    return (f"points reached: {len(meanings) - len(missed)} of {len(meanings)}; never: "
            f"{', '.join(missed) or 'none'}\nguards of which more than one outcome was seen: "
            f"{len(guards) - len(single)} of {len(guards)}; one alone:\n"
            + "".join(f"    {name} ({meanings[name]}), on to {min(after[name])}\n"
                      for name in single))


def told(results):
    """The tables, and below them each violation, with the line that replays it."""
    column, sets = results["on"], results["sets"]
    text = f"{column}, {results['kernel']}\n{table(sets)}{refusals(sets)}"
    text += coverage(results["passed"])
    for each, (name, result) in violations(sets).items():
        text += f"\n{each} ({name.split()[0]}): {known_as(column, each, name) or 'new'}\n"
        text += "    " + replay(column, result.get("shortest") or result["line"]) + "\n"
    return text


def replay(column, line):
    of_its_own = column not in (*explorer.scenarios.KERNELS, FIXED)
    return explorer.replay_command(line, [column] if of_its_own else ())


def outcome(result):
    return result["check"] or ("dies" if result["died"] else "no violation")


def compared(one, other):
    """What is violated on one kernel, and is not or is otherwise on another."""
    differ = []
    for name, result in one["sets"].items():
        there = other["sets"].get(name)
        kinds = {kind(result), kind(there)}
        if "violated" in kinds and not kinds & {"not yet", "refused"} and \
                outcome(result) != outcome(there):
            differ.append((name, f"{outcome(result)} on {one['on']}, {outcome(there)} on "
                                 f"{other['on']}"))
    return "".join(f"{what}: {many}\n" for what, many in of_each_kind(differ).items()) or \
        f"no set is violated on {one['on']} alone, or {other['on']} alone\n"


def print_sum(paths):
    """What is in these files, or in out/hunt/, of all shards."""
    paths = paths or files()
    if not paths:
        raise Fail(f"there is no result in {shown(FOLDER)}/: ./run hunt makes some")
    all_of_them = merged(map(load, paths))
    for results in all_of_them.values():
        say(told(results))
    by_column = {column: results for (column, _), results in all_of_them.items()}
    if {"stock", "patched"} <= by_column.keys():
        say(compared(by_column["stock"], by_column["patched"]))
    return 0


# At work


class Hunt:
    """On one kernel, which may be the patched one without a guard."""

    def __init__(self, context, column, shard="0/1", guard=None):
        self.context, self.guard, self.images, self.saved = context, guard, {}, 0
        self.lock, self.building = threading.RLock(), threading.Lock()
        self.column = guard.name if guard else column
        name = self.column + (f"-{shard.replace('/', '-of-')}" if shard != "0/1" else "")
        self.path = os.path.join(FOLDER, f"{name}.json")
        kernel = os.path.basename(os.path.dirname(self.image("")))
        self.results = merged(map(load, files())).get((self.column, kernel),
                                                      empty(self.column, kernel))
        self.sets = self.results["sets"]
        # By which sets the removal of the guard is noticed
        self.caught = [name for name, result in self.sets.items() if result.get("new")]

    def image(self, name):
        place = explorer.place(self.context.base, name)
        if place not in self.images:
            with self.building:
                self.images[place] = self.images.get(place) or self.built(name)
        return self.images[place]

    def built(self, name):
        if self.guard:
            return explorer.mutated_image(self.context, [self.guard], name)
        if self.column == FIXED:
            _, about = expected.load_file("hunt")
            return explorer.fixed_image(self.context, map(mutant.Fix, about["fixes"]), name)
        return explorer.image_of(self.context, self.column, name)

    def jobs(self, shard):
        """What is left to do; with the fixes, what was violated on the other kernels."""
        jobs = [job for job in plan(shard)
                if kind(self.sets.get(key(*job[1:]))) in ("not yet", "error")]
        if self.column != FIXED:
            return jobs
        violated = {name for results in merged(map(load, files())).values()
                    for name, one in results["sets"].items() if kind(one) == "violated"}
        return [job for job in jobs if key(*job[1:]) in violated]

    def keep(self, bound, results):
        """[(set, result, points passed)]"""
        with self.lock:
            for name, result, passed in results:
                for point, after in passed:
                    self.results["passed"].setdefault(f"{point}>{after}", name)
                self.sets[key(bound, name)] = result
            if time.monotonic() >= self.saved + SAVED:
                self.save()

    def so_far(self, bound, name):
        """How much of the round with this set is done."""
        number = actors_in(name)
        names = [key(bound, each) for each in sets_of(number)]
        return f"{number} actor{'s' * (number > 1)}" \
            + (f", {bound} preemption{'s' * (bound != 1)}" if bound != NO_BOUND else "") \
            + f": {sum(each in self.sets for each in names)} of {len(names)} sets"

    def save(self):
        with self.lock:
            os.makedirs(FOLDER, exist_ok=True)
            write(self.path, json.dumps(self.results, indent=0))
        self.saved = time.monotonic()

    def explore(self, bound, names, left=math.inf, **how):
        """[(set, result, points passed)] of those that there was time for.

        With more preemptions the random schedules would be the ones of the first round again.
        """
        how = {**({"random": 0} if bound > 0 else {}), **how}
        begun, limit = time.monotonic(), min(left, LIMIT + EACH * len(names))
        every = explorer.explored_in_turn(
            self.image(names[0]), f"hunt-{self.column}-{bound}", names, limit, bound=bound,
            most=MANY, states_log2=LOG2, count=None, **how)
        seconds = time.monotonic() - begun
        cut = process.over.is_set() or seconds >= limit and (limit == left or len(every) > 1)
        return [(found.spec, summed_up(found, seconds / len(every)), found.passed)
                for found in every if found.ended or found.caught or not cut]

    def result(self, bound, name, **how):
        """Of one set, or none if there was no time."""
        return next((result for _, result, _ in self.explore(bound, [name], **how)), None)

    def take(self, queues):
        """(bound, sets for one boot): the next ones of which nothing is known without one.

        They are of the earliest round that is left, and of the first queue that has one.
        """
        first, names = None, []
        with self.lock:
            queue = min(filter(None, queues), default=(),
                        key=lambda jobs: ROUNDS.index(jobs[0][:2]))
            while queue and (not first or queue[0][:2] == first) and \
                    len(names) < (OF_ALL if first == ROUNDS[-1] else A_BOOT) and \
                    len(",".join([*names, queue[0][2]])) < WORD:
                number, bound, name = queue.popleft()
                result = known(self.sets, bound, name)
                if result:
                    self.sets[key(bound, name)] = result
                else:
                    first, names = (number, bound), [*names, name]
        return first and first[1], names

    def work(self, queues, end):
        """Explore the sets of some queues, until they are empty."""
        while not self.caught and not process.over.is_set():
            bound, names = self.take(queues)
            while names and not self.caught and (left := end - time.monotonic()) > 0:
                results = self.explore(bound, names, left)
                self.keep(bound, [(name, self.judged(bound, name, result), passed)
                                  for name, result, passed in results])
                self.caught += [name for name, result, _ in results if result.get("new")]
                current().progress(self.so_far(bound, names[0]))
                names = names[len(results):] if results else []
            if not names and not any(queues) or end <= time.monotonic():
                return

    def judged(self, bound, name, result):
        """The result; if a guard was removed, whether that is what was noticed."""
        if self.guard and kind(result) == "violated":
            result["new"] = self.is_new(bound, name, result)
        return result

    @functools.cached_property
    def with_guard(self):
        return Hunt(self.context, "patched")

    def is_new(self, bound, name, result):
        """Does the kernel with the guard not have it?"""
        there = self.with_guard.result(bound, name)
        return kind(there) == "complete" or bool(there) and there["check"] != result["check"]

    def shrink(self, name, result):
        """The same violation with as few actors, and then as few preemptions, as will do."""
        for number in range(1, actors_in(name) + 1):
            for part in fewer(name, number):
                if kind(self.sets.get(key(NO_BOUND, part))) == "complete":
                    continue
                for bound in range(MOST):
                    other = self.result(bound, part, random=0)
                    if kind(other) == "violated" and other["check"] == result["check"]:
                        return other["line"]
                    if kind(other) == "refused":
                        break
        return result["line"]

    def shrink_all(self):
        """Of each violation the shortest schedule, and what it does."""
        for each, (name, result) in violations(self.sets).items():
            name, _, bound = name.partition(" ")
            if "shortest" not in result and (result.get("new") or not self.guard):
                with stage(f"shrink {each}"):
                    line = self.shrink(name, result)
                self.keep(bound, [(name, {**result, "shortest": line}, ())])
                scenario = explorer.followed_on(self.image(name), self.column, line)
                say(f"\n{line}\n{story_text.step_table({self.column: scenario})}")


def turned(items, number):
    """The same, from another one on."""
    return [items[(number + each) % len(items)] for each in range(len(items))]


def hunt(context, column, minutes, shard="0/1", guard=None):
    """Explore what has not been explored of this kernel yet, for so long."""
    this = Hunt(context, column, shard, guard)
    for layout in () if guard else LAYOUTS:
        this.image(layout)
    queues = {}
    for job in this.jobs(shard):
        queues.setdefault(explorer.place(context.base, job[2]), deque()).append(job)
    end = time.monotonic() + minutes * 60
    with stage(f"hunt on {this.column}, {minutes:g} minutes") as now:
        # Each place has a CPU of its own, until its round is done: under QEMU it takes longer
        try:
            in_parallel(lambda number: this.work(turned([*queues.values()], number), end),
                        range(int(process.JOBS)))
        finally:
            this.save()
        now.note = f"{len(this.sets)} sets"
    this.shrink_all()
    this.save()
    say(f"\n{told(this.results)}\nresults: {shown(this.path)}; the same command goes on from there")
    judge(context.tally, this)


def judge(tally, this):
    """Each violation is known, and what the explorer could not do is no result of a set."""
    if this.column == FIXED and not this.sets:
        tally.fail("hunt on fixed: no set was violated on stock or patched, as far as out/hunt/ "
                   "knows: hunt there first", "./run hunt; ./run hunt --on fixed")
        return
    tally.check(this.sets, f"hunt on {this.column}: no set was explored", "./run hunt")
    for name, result in this.sets.items():
        if kind(result) == "error":
            tally.fail(f"hunt: {name}: {result['error']}", "./run hunt")
    if this.guard:
        tally.check(this.caught, f"hunt: no set was violated without {this.guard.removes}",
                    f"./run hunt --mutant {this.guard.name}")
        return
    for each, (name, result) in violations(this.sets).items():
        tally.check(known_as(this.column, each, name), f"hunt on {this.column}: {name}: "
                    f"{result['verdict']}: say in driver/expected/hunt.toml what it is",
                    explorer.replay_command(result["line"]))
