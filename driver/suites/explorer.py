# SPDX-License-Identifier: GPL-2.0-only
"""All interleavings of a few actors: explored, with guards removed as well; and one replayed."""

import contextlib
import difflib
import functools
import os
import re
import shlex
import sys
from dataclasses import dataclass, field, replace

from driver.core import expected
from driver.core.paths import ROOT, logfile, read, shown
from driver.core.process import in_parallel, run
from driver.core.stage import Fail, say, stage
from driver.core.tables import grid
from driver.core.tally import Tally
from driver.kernel import build, mutant, qemu
from driver.story import model
from driver.story import text as story_text
from driver.suites import scenarios
from driver.suites.kunit import QEMU, UML_SMP

SOURCE = os.path.join(ROOT, "lib/tests/folio_explore_kunit.c")
SHARED = os.path.join(ROOT, "lib/tests/folio_race.h")     # actors that scenarios have as well
POINTS = os.path.join(ROOT, "include/linux/mm_sync_point_defs.h")
NO_BOUND = -1
LARGE = {"large", "pair"}   # options of sets with a large folio
SETS = list(expected.load("sets")["stock"])
LIMIT = 600                 # seconds, to follow a schedule, or to run the suite's own sets
# Actors are all on one CPU.  UML with a second one makes a system call for each change of the
# interrupt flag, which takes three times as long
IN_UML = ["mem=1G", "seccomp=on", "ncpus=1", "console=tty", "kunit_shutdown=halt",
       "kunit.timeout=100000"]
IN_QEMU = ["kunit_shutdown=reboot", "kunit.timeout=100000"]
PREFIX = "folio_explore_kunit."
SATURATED = 2 ** 64 - 1
LINE = re.compile(r"\s*(?:\[[^]]*\]\s*)*folio_explore: (\w+) (.*)")
PROGRESS = re.compile(r"schedules=(\d+) rate=(\d+) states=(\d+) estimate=(\d+)\s*$")
PANIC = re.compile(r"# Subtest: folio_explore\b.*Kernel panic - not syncing: ([^\n]*)", re.S)
SKIPPED = re.compile(r"\bok \d+ explore_param # SKIP (.*)")
FAILED = re.compile(r"ASSERTION FAILED at .*\n(?:\[[^]]*\])*\s*(.*)")
# Of a done line: what is shown, and what is the same wherever and whenever it is explored.
SHOWN = ["random", "schedules", "interleavings", "states", "outcomes", "ms", "rate"]
SAME = ["schedules", "interleavings", "states", "outcomes", "states_digest", "schedules_digest"]
# With an actor that migrates, states are as many under UML as under QEMU, but other ones: UML's
# migration entries have no room for the PTE's accessed bit (migration_entry_supports_ad()), from
# which truncation sets PG_referenced.  Without these two the digests are the same.
MIGRATES, OF_ONE_PLACE = "C", {"states_digest"}


# What can be explored


def table_of(name):
    """The inside of a table of the suite."""
    table = re.search(rf"\b{name}\[\] = {{$(.*?)^}}", read(SOURCE), re.M | re.S)
    if not table:
        raise Fail(f"there is no table {name}[] in {shown(SOURCE)}")
    return table[1]


def actors():
    """{letter: (name, what it does)}, from the source of the suite."""
    shared = dict(re.findall(r"^#define (ACTOR_\w+)\s+(\{[^}]*\})", read(SHARED), re.M))
    text = re.sub(r"\bACTOR_\w+", lambda match: shared[match[0]], table_of("actors"))
    return {letter: about for letter, *about in
            re.findall(r"""\{ '(\w)', "([^"]+)", "([^"]+)",""", text)}


def options():
    return re.findall(r'\{ "([^"]+)",', table_of("options"))


def own_sets():
    """Those that KUnit explores by itself."""
    return re.findall(r'\{ "([^"]+)", -?\d+ \}', table_of("sets"))


@functools.cache
def meanings():
    """{point: what its place is, and what comes next}."""
    return dict(re.findall(r'^MM_SYNC_POINT\((\w+), "([^"]+)"', read(POINTS), re.M))


def points():
    return [*meanings(), "END", "WAIT"]


def print_actors():
    for letter, (name, does) in actors().items():
        say(f"{letter}  {name:10} {does}")
    say(f"options: {', '.join('/' + option for option in options())}")
    say(f"explored by ./run explore without --actors: {', '.join(SETS)}")
    return 0


def spec(text):
    """A set of actors and how they act, as an argument: FTM/before."""
    (letters, *chosen), known = text.split("/"), actors()
    there_are = "there are: " + ", ".join(f"{letter} {name}" for letter, (name, _) in known.items())
    for letter in letters:
        if letter not in known:
            raise Fail(f"there is no actor '{letter}' for '{text}'; {there_are}")
    if not letters or len(set(letters)) < len(letters):
        raise Fail(f"'{text}' must name some actors, each of them once; {there_are}")
    for option in chosen:
        if option not in options():
            raise Fail(f"there is no option '{option}' for '{text}'; there are: "
                       + ", ".join(options()))
    return text


def specs(text):
    return [spec(each) for each in text.split(",")]


def bound(text):
    if text != "none" and not re.fullmatch(r"\d+", text):
        raise Fail(f"--bound {text}: say how many preemptions there may be in a schedule, or none")
    return NO_BOUND if text == "none" else int(text)


def shard(text):
    part, _, parts = text.partition("/")
    if not re.fullmatch(r"({}|\d+)/\d+", text) or part != "{}" and int(part) >= int(parts):
        raise Fail(f"--shard {text}: say I/N for the I-th of N parts, I from 0 to N - 1")
    return text


def kernel(text):
    if text not in scenarios.KERNELS:
        raise Fail(f"--on {text}: there are {' and '.join(scenarios.KERNELS)}")
    return text


def schedule(text):
    """A schedule as an argument: SPEC:ACTOR@POINT,..., as the explorer prints it."""
    head, _, steps = text.partition(":")
    if not re.fullmatch(r"\S@[^,]+(,\S@[^,]+)*", steps):
        raise Fail(f"'{text}' is no schedule: a set, a colon, then ACTOR@POINT for each step, "
                   "with commas in between")
    letters, known = spec(head).split("/")[0], points()
    for step in steps.split(","):
        actor, _, point = step.partition("@")
        if actor not in letters:
            raise Fail(f"there is no actor '{actor}' for '{step}' in {head}; there are "
                       + ", ".join(letters))
        if point not in known:
            raise Fail(f"there is no point '{point}'; the nearest are "
                       + ", ".join(difflib.get_close_matches(point, known, cutoff=0)))
    return text


def settings(args):
    """{parameter of the suite: value}, of those that were given."""
    given = {name: getattr(args, name)
             for name in ("bound", "coarse", "prune", "random", "seed", "shard")}
    return {name: value for name, value in given.items() if value is not None}


def flags(how):
    """The same as arguments of ./run explore."""
    words = {"coarse": "--coarse", "prune": "--no-prune",
             "bound": f"--bound {'none' if how.get('bound') == NO_BOUND else how.get('bound')}"}
    return "".join(f" {words.get(name, f'--{name} {value}')}" for name, value in how.items())


# What the suite prints


@dataclass
class Found:
    """What came of exploring one set."""
    spec: str
    settings: dict = field(default_factory=dict)
    counts: dict = field(default_factory=dict)  # up to the last progress line until it is done
    done: bool = False
    left: bool = False      # there are more schedules than the most that were asked for
    check: str = ""
    schedule: int = 0       # in which the check failed
    text: str = ""
    line: str = ""          # the schedule
    error: str = ""
    refused: bool = False   # there is no such set, on this kernel at least: error says why
    skipped: bool = False   # for the second reason
    died: str = ""
    console: str = "its console"
    passed: set = field(default_factory=set)    # (point, the next one that an actor came to)

    @property
    def caught(self):
        return bool(self.check or self.died)

    @property
    def ended(self):
        return self.done or self.left or self.refused

    @property
    def held(self):
        return self.done and not self.caught and not self.error


def numbers(text):
    """{key: value} of `schedules=1 states_digest=7b10`."""
    pairs = (item.split("=") for item in text.split())
    return {key: value if key.endswith("digest") else int(value) for key, value in pairs}


def passed(text):
    """(point, the next one) of `0:1-3,7 5:8`."""
    names = points()
    for point, after in (item.split(":") for item in text.split()):
        for part in after.split(","):
            first, _, last = part.partition("-")
            for number in range(int(first), int(last or first) + 1):
                yield names[int(point)], names[number]


def take(word, rest, found):
    """Take in what one line says of a set."""
    match word:
        case "points":
            found.passed.update(passed(rest))
        case "progress":
            found.counts = numbers(rest)
        case "failed":
            number, found.check, found.text = rest.split("|", 2)
            found.schedule = int(number)
        case "error" | "refused":
            found.error, found.refused = rest, word == "refused"
        case "done" | "left":
            how, counts = rest.split("|")
            found.settings = dict(item.split("=") for item in how.split())
            found.counts, found.done, found.left = numbers(counts), word == "done", word == "left"
            missing = ({"bound", "shard"} - found.settings.keys()
                       | {*SHOWN, *SAME} - found.counts.keys())
            if missing:
                raise ValueError(f"no {', '.join(sorted(missing))}")


def parse(text):
    """[Found] of a console, in order."""
    results, found = [], None
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        match = LINE.match(line)
        if not match or match[1] not in ("progress", "points", "failed", "schedule", "error",
                                         "refused", "done", "left"):
            continue
        word, rest = match[1], match[2].strip()
        if word == "schedule":
            if found:
                found.line += rest
            continue
        name, _, rest = rest.partition("|")
        if found is None or found.spec != name or found.ended:
            found = Found(name)
            results.append(found)
        try:
            take(word, rest, found)
        except ValueError as reason:
            if number < len(lines):
                raise Fail(f"line {number} of the console is malformed ({reason}): "
                           f"{line.strip()}") from None
            # A last line without its end was cut when the kernel died.
    return results


def outcome(name, text):
    """What the console of a boot that ended with one set says of it."""
    found = next((one for one in parse(text) if one.spec == name), Found(name))
    if not found.ended:
        panic, failed, skipped = (each.search(text) for each in (PANIC, FAILED, SKIPPED))
        found.died = panic[1].strip() if panic else ""
        if failed and not found.error:
            found.error = failed[1].strip().removeprefix(f"{name}: ")
        if skipped:
            found.refused, found.skipped, found.error = True, True, skipped[1].strip()
    return found


def outcomes(names, text):
    """[Found] of a boot for some sets, up to the last one that it came to."""
    printed, results = {one.spec: one for one in parse(text)}, []
    for name in names:
        found = printed.get(name)
        results.append(found if found and found.ended else outcome(name, text))
        if not found or not found.ended or found.caught or (found.error and not found.refused):
            break
    return results


def time_left(seconds):
    if seconds > 365 * 86400:
        return "no end known"
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"~{seconds // size} {unit} left"
    return f"~{seconds} s left"


def progress(line):
    """What a line of progress comes to, for Stage.progress()."""
    match = LINE.match(line)
    counts = match and match[1] == "progress" and PROGRESS.search(match[2])
    if not counts:
        return None
    schedules, rate, states, estimate = map(int, counts.groups())
    left = time_left((estimate - schedules) // rate) if rate and estimate > schedules \
        else "no end known"
    return f"{schedules} schedules at {rate}/s, {left}, {states} states"


# Running it


def machine(image, words):
    """The command that boots a kernel, UML or a bzImage, and prints its console."""
    if os.path.basename(image) == "linux":
        return [image, *IN_UML, *words]
    return [*qemu.QEMU, *qemu.TCG, "-kernel", image, "-serial", "stdio", "-append",
            " ".join([qemu.APPEND, *IN_QEMU, *words])]


def boot(image, log, case, *words, limit=None, count=progress):
    """Run one case of the suite; return the path of the console."""
    with contextlib.suppress(Fail):     # out of time: it has printed how far it got
        run(machine(image, [f"kunit.filter_glob=folio_explore.{case}", *words]), log,
            count=count, check=False, timeout=limit)
    return logfile(log)


def parameters(**how):
    return [f"{PREFIX}{name}={value}" for name, value in how.items()]


def place(base, name=""):
    """Where a set is explored: under UML, or QEMU where UML has no sync points, or no folio of it.

    UML has no transparent huge pages, and so no large folios.
    """
    large = not LARGE.isdisjoint(name.split("/")[1:])
    return UML_SMP if base.uml_smp and not large else QEMU


def image_of(context, column, name=""):
    """The kernel of a column, with all its guards, for a set."""
    return scenarios.image(context, column, place(context.base, name))


def built(context, commit, label, name=""):
    """A kernel of one's own, for a set."""
    arch = build.UML if place(context.base, name) == UML_SMP else build.X86_64
    return build.kernel(context.base, commit, label, arch)


def mutated_image(context, mutants, name=""):
    """The patched kernel less some guards, for a set."""
    commit = mutant.without(context.base, context.commit["mm+lab"], mutants)
    return built(context, commit, "without-" + "+".join(one.name for one in mutants), name)


def fixed_image(context, fixes, name=""):
    """The patched kernel with some fixes, for a set."""
    commit = context.commit["mm+lab"]
    for fix in fixes:
        commit = mutant.fixed(context.base, commit, fix)
    return built(context, commit, "fixed", name)


def explored_in_turn(image, log, names, limit=None, count=progress, **how):
    """[Found] of sets explored in one boot, up to the first in which something has failed."""
    console = boot(image, f"{log}-{names[0].replace('/', '-')}.console", "explore_param",
                   *parameters(actors=",".join(names), **how), limit=limit, count=count)
    results = outcomes(names, read(console))
    for found in results:
        found.console = shown(console)
        found.settings.setdefault("bound", str(how.get("bound", NO_BOUND)))
    return results


def explored(image, log, name, limit=None, **how):
    """Explore one set."""
    return explored_in_turn(image, log, [name], limit, **how)[0]


def verdict(found):
    if found.check:
        return f"violated: {found.check} at schedule {found.schedule}"
    if found.died:
        return f"violated: the kernel dies ({found.died})"
    if found.skipped:
        return "skip"
    if found.error:
        return f"error: {found.error}"
    return "no violation" if found.done else "no result"


def count(found, name):
    """A cell of the table; 0 is what was not counted."""
    number = found.counts.get(name)
    if name == "schedules" and found.done:
        number += found.counts["random"]
    if name == "interleavings" and number == SATURATED:
        return "2^64 or more"
    return f"{number:,}" if number else "-"


def table(results):
    """One line a set and kernel, below it how to replay what failed; results: [(kernel, Found)]."""
    rows, below = [["set", "kernel", "bound", "schedules", "interleavings", "states", "outcomes",
                    "per second", "verdict"]], [""]
    for column, found in results:
        most = found.settings["bound"]
        rows.append([found.spec, column, "none" if most == str(NO_BOUND) else most,
                     *(count(found, name) for name in ("schedules", "interleavings", "states",
                                                       "outcomes", "rate")), verdict(found)])
        below.append(f"    {replay_command(found.line)}\n" if found.line else "")
    return "".join(line + more for line, more in
                   zip(grid(rows, right=range(2, 8)).splitlines(keepends=True), below))


def replay_command(line, removes=()):
    names = f"--mutant {'+'.join(removes)} " if removes else ""
    return f"./run replay {names}{shlex.quote(line)}"


def judge(tally, where, found, rerun=None):
    """A set holds if it was explored to its end, and no check failed."""
    said = verdict(found) if found.done or found.caught or found.error else "it printed no result"
    tally.check(found.held, f"{found.spec} {where}: {said}; see {found.console}", rerun)


def standard(context, columns=tuple(scenarios.KERNELS), sets=None, **how):
    """[(kernel, Found)] of some sets of actors, or the standard ones, on some kernels.

    As many at once as there are CPUs; in each of them one actor runs at a time.
    """
    known = expected.load("sets", context.base.release)
    if sets is None:
        sets = [name for name in SETS if name in known[columns[0]]]
        if left_out := [name for name in SETS if name not in sets]:
            context.tally.leave_out(f"not on {context.base.release}: {', '.join(left_out)}; "
                                    "driver/expected/sets.toml says why")
    images = {(column, name): image_of(context, column, name)
              for column in columns for name in sets}

    def one(which):
        column, name = which
        with stage(f"explore {name} on {column}") as this:
            found = explored(images[which], f"explore-{column}", name, **how)
            this.note = verdict(found)
        return column, found
    # The sets that take longest first
    results = in_parallel(one, [(column, name) for name in sorted(sets, key=len, reverse=True)
                                for column in columns])
    for column, found in results:
        rerun = f"./run explore --actors {found.spec} --on {column}{flags(how)}"
        want = known[column].get(found.spec, "no violation")
        if how and want != "skip":
            want = "no violation"
        if verdict(found) == want == "skip":
            context.tally.leave_out(f"{found.spec} on {column}: {found.error}")
            continue
        context.tally.check(verdict(found) == want, f"{found.spec} on {column}: {verdict(found)}, "
                            f"expected {want}; see {found.console}", rerun)
    return sorted(results, key=lambda result: (list(columns).index(result[0]),
                                               sets.index(result[1].spec)))


def explore(context, columns, sets, how):
    """Explore, and print what came of it."""
    say(f"\n{table(standard(context, columns, sets, **how))}".rstrip())


# In parts, on any number of machines


def command(context, column, name, how):
    """Build, and return what explores one set of actors without ./run."""
    line = shlex.join(machine(image_of(context, column, name),
                              ["kunit.filter_glob=folio_explore.explore_param",
                               *parameters(actors=name, **how)]))
    return f"{line} </dev/null 2>&1 | grep -aE 'folio_explore: |mm_sync: |Kernel panic'"


def added_up(tally, name, parts):
    """The shards of one set as one; the states of two shards may be the same ones."""
    shards = [one.settings["shard"] for one in parts]
    number = int(shards[0].split("/")[1])
    for each in range(number):
        tally.check(shards.count(f"{each}/{number}") == 1, f"{name}: there is not one done line "
                    f"for shard {each}/{number}", "the command of that shard")
    for one in parts:
        judge(tally, f"in shard {one.settings['shard']}", one,
              replay_command(one.line) if one.line else "the command of that shard")
    total = {key: sum(one.counts[key] for one in parts) for key in ("random", "schedules", "ms")}
    total["rate"] = total["schedules"] * 1000 // max(total["ms"], 1)
    first_bad = next((one for one in parts if not one.held), parts[0])
    return f"shards: {number}", replace(first_bad, counts=total)


def print_sum():
    """Add up what the shards printed, which comes in on standard input."""
    sets, tally = {}, Tally("the command of that shard")
    for one in parse(sys.stdin.read()):
        if one.done:
            how = [value for name, value in one.settings.items() if name != "shard"]
            sets.setdefault((one.spec, *how), []).append(one)
    if not sets:
        raise Fail("there is no done line on standard input: pipe into it what the commands "
                   "of the shards print")
    say(table([added_up(tally, key[0], parts) for key, parts in sets.items()]))
    return tally.verdict()


# One schedule


def followed(name, console):
    """The schedule as the kernel ran it, up to its death at the latest."""
    text = read(console)
    scenario = model.parse(text).get(name) or model.Scenario(name, "a schedule of the explorer")
    if scenario.outcome == "unfinished":
        found = outcome(name, text)
        scenario.died, scenario.outcome = found.died, "violated" if found.died else "error"
        scenario.reason = (f"the kernel dies ({found.died})" if found.died else
                           found.error or "it printed no schedule") + f"; see {shown(console)}"
    return scenario


def followed_on(image, column, line, limit=LIMIT):
    """A schedule, as one kernel ran it."""
    with stage(f"schedule on {column}") as this:
        console = boot(image, f"schedule-{column}.console", "follow_schedule",
                       *parameters(schedule=line), limit=limit)
        scenario = followed(line.partition(":")[0], console)
        this.note = model.words(scenario)
    return scenario


def follow(context, line, removes=(), verbose=False):
    """Replay a schedule on stock and patched, or with some guards removed; print what happened."""
    name, columns, names = line.partition(":")[0], {}, [one.name for one in removes]
    wanted = "violated" if removes else "no violation"
    for column in ["+".join(names)] if removes else scenarios.KERNELS:
        image = mutated_image(context, removes, name) if removes \
            else image_of(context, column, name)
        scenario = followed_on(image, column, line)
        columns[column] = {name: scenario}
        context.tally.check(scenario.outcome == wanted, f"the schedule on {column}: "
                            f"{model.verdict(scenario)}, expected {wanted}",
                            replay_command(line, names))
    stories = {column: runs[name] for column, runs in columns.items()}
    say(f"\n{line}\n{story_text.step_table(stories)}"
        + (story_text.events(stories) if verbose else ""))
    scenarios.write_page(context, columns, "A schedule of the explorer, replayed")


# The same everywhere


def counts_of(console):
    """{set, and how it was explored: what came out, each time that it was}."""
    result = {}
    for found in parse(console):
        if found.done:
            how = " ".join(f"{key}={value}" for key, value in found.settings.items())
            result.setdefault(f"{found.spec} {how}", []).append(found.counts)
    return result


def same_counts(tally, console_a, console_b, where, places=1):
    """What was explored on both consoles came out the same on both, each time."""
    one, other = counts_of(console_a), counts_of(console_b)
    both = [key for key in one if key in other]
    tally.check(both, f"no set was explored {where}")
    for key in both:
        letters = re.match(r"[A-Z]+", key)[0]
        leave_out = OF_ONE_PLACE if places > 1 and MIGRATES in letters else ()
        seen = {name: {counts[name] for counts in one[key] + other[key]} for name in SAME
                if name not in leave_out}
        differ = [f"{name} {' and '.join(sorted(map(str, values)))}"
                  for name, values in seen.items() if len(values) > 1]
        tally.check(not differ, f"{key}: not the same {where}: {', '.join(differ)}")


def replayed(context, column, where):
    """The console that the replays have left."""
    return read(logfile(f"{scenarios.log_of(context, column, where)}.console"))


def same_places(context):
    """Under QEMU and UML."""
    for column in scenarios.KERNELS:
        one, other = (replayed(context, column, where) for where in (QEMU, UML_SMP))
        same_counts(context.tally, one, other, f"on {column} under QEMU and UML", places=2)


def same_again(context):
    """The suite's own sets, after the replays once more."""
    before = replayed(context, "patched", place(context.base))
    image = image_of(context, "patched")
    with stage("explore the suite's sets, once more") as this:
        again = read(boot(image, "explore-again.console", "*", limit=LIMIT))
        this.note = f"{len(counts_of(again))} sets"
    one, other = counts_of(before).keys(), counts_of(again).keys()
    context.tally.check(one == other, "in one of two runs the explorer did not get to the end of "
                        + ", ".join(sorted(one ^ other)))
    same_counts(context.tally, before, again, "in two runs")
