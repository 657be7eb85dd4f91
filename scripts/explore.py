# SPDX-License-Identifier: GPL-2.0-only
"""All interleavings of a few actors: explored, with guards removed as well; and one replayed."""

import contextlib
import difflib
import os
import re
import shlex
import shutil
import sys
import textwrap
from dataclasses import dataclass, field, replace

import build
import checks
import guest
import judge
import race
import replay
import series
from stage import ROOT, Fail, logfile, run, stage

SOURCE = os.path.join(ROOT, "lib/tests/folio_explore_kunit.c")
POINTS = os.path.join(ROOT, "include/linux/mm_sync_point_defs.h")
NO_BOUND = -1
SETS = ["FTM", "FTM/before", "FTM/mapped", "FTM/cold/mapped", "FTM/shmem", "FTMBR",
        "FTMBR/before", "FTMBR/invalidate", "FTK", "FTKR", "FTP", "TI", "TMZ", "DTW"]
# What the mm series is about goes wrong on stock.
WRONG_ON_STOCK = ["TI", "TMZ", "DTW"]
# On each mutant: which set, and how many preemptions at most.
MUTANT_SETS = [("FT", NO_BOUND), ("FTM", NO_BOUND), ("TB", NO_BOUND), ("FTR", NO_BOUND),
               ("FTBR", 2), ("FTK", 2), ("TI", NO_BOUND), ("TMZ", NO_BOUND), ("DTW", NO_BOUND)]
LIMIT = 600                 # seconds, for a set on a mutant
UML = ["mem=1G", "seccomp=on", "ncpus=2", "console=tty", "kunit_shutdown=halt",
       "kunit.timeout=100000"]
QEMU = ["kunit_shutdown=reboot", "kunit.timeout=100000"]
PREFIX = "folio_explore_kunit."
UNMUTATED = "none"
SATURATED = 2 ** 64 - 1
ESTIMATE = "estimate of the rest: as if each choice's subtree were as large as its siblings'"
LEGEND = """\
<n> <check>: schedule n fails this check, or the kernel dies in it; -: all schedules hold;
error: not explored to the end; empty: not run, as the mutant's 'Sets:' has it"""

LINE = re.compile(r"\s*(?:\[[^]]*\]\s*)*folio_explore: (\w+) (.*)")
PROGRESS = re.compile(r"schedules=(\d+) rate=(\d+) states=(\d+) estimate=(\d+)\s*$")
PANIC = re.compile(r"# Subtest: folio_explore\b.*Kernel panic - not syncing: ([^\n]*)", re.S)
REFUSED = re.compile(r"ASSERTION FAILED at .*\n\s*(.*)")
# Of a done line: what is shown, and what is the same wherever and whenever it is explored.
SHOWN = ["random", "schedules", "interleavings", "states", "outcomes", "ms", "rate"]
SAME = ["schedules", "interleavings", "states", "outcomes", "states_digest", "schedules_digest"]


# What can be explored


def table_of(name):
    """The inside of a table of the suite."""
    with open(SOURCE) as source:
        table = re.search(rf"\b{name}\[\] = {{$(.*?)^}}", source.read(), re.M | re.S)
    if not table:
        raise Fail(f"there is no table {name}[] in {SOURCE}")
    return table[1]


def actors():
    """{letter: (name, what it does)}, from the source of the suite."""
    return {letter: about for letter, *about in
            re.findall(r"""\{ '(\w)', "([^"]+)", "([^"]+)",""", table_of("actors"))}


def options():
    return re.findall(r'\{ "([^"]+)",', table_of("options"))


def points():
    with open(POINTS) as source:
        return re.findall(r"^MM_SYNC_POINT\((\w+)", source.read(), re.M) + ["END", "WAIT"]


def print_actors():
    for letter, (name, does) in actors().items():
        print(f"{letter}  {name:10} {does}")
    print(f"options: {', '.join('/' + option for option in options())}")
    print(f"explored by ./run explore without --actors: {', '.join(SETS)}")
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
    if text not in race.KERNELS:
        raise Fail(f"--on {text}: there are {' and '.join(race.KERNELS)}")
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


def ident(text):
    """What ./run replay takes: the id of a scenario, or a schedule."""
    return schedule(text) if "@" in text else race.ident(text)


def is_schedule(args):
    """Is ./run replay given a schedule, rather than scenarios?"""
    lines = [each for each in args.ids if "@" in each]
    if lines and (len(args.ids) > 1 or args.repeat):
        raise Fail("one schedule at a time is replayed, and once: ./run replay 'LINE'")
    if args.mutant and not lines:
        raise Fail("--mutant goes with a schedule: ./run replay --mutant NAME 'LINE'")
    return bool(lines)


def check_guard(guard, known):
    """Does a mutant's header name sets and another mutant that there are?"""
    where, names = f"mutants/{guard.name}.diff", [name for name, _ in MUTANT_SETS]
    for name in guard.sets:
        if name not in names:
            raise Fail(f"{where}: there is no set '{name}' for 'Sets:'; there are: "
                       + ", ".join(names))
    if guard.redundant and guard.redundant not in known:
        raise Fail(f"{where}: there is no mutant '{guard.redundant}' of the lab for 'Redundant:'; "
                   "there are: " + ", ".join(known))
    return guard


def guards():
    """{name: Mutant} of the lab."""
    known = {name: guard for name, guard in series.guards().items()
             if guard.on == "lab" and guard.where == "uml"}
    return {name: check_guard(guard, known) for name, guard in known.items()}


def guard_name(text):
    if text not in (known := guards()):
        raise Fail(f"there is no mutant '{text}' of the lab; there are: {', '.join(known)}")
    return text


def removed(text):
    """The mutants of an argument NAME or NAME+NAME."""
    return [guards()[guard_name(name)] for name in text.split("+")]


def arguments(parser):
    """Those of ./run explore."""
    parser.add_argument("--list", dest="at_once", action="store_const", const=print_actors)
    parser.add_argument("--sum", dest="at_once", action="store_const", const=print_sum)
    parser.add_argument("--actors", type=specs, default=SETS)
    parser.add_argument("--on", type=kernel)
    parser.add_argument("--bound", type=bound)
    parser.add_argument("--coarse", action="store_const", const=1)
    parser.add_argument("--no-prune", dest="prune", action="store_const", const=0)
    parser.add_argument("--random", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--shard", type=shard)
    parser.add_argument("--print-command", action="store_true")


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
    check: str = ""
    schedule: int = 0       # in which the check failed
    text: str = ""
    line: str = ""          # the schedule
    error: str = ""
    died: str = ""
    console: str = "its console"

    @property
    def caught(self):
        return bool(self.check or self.died)

    @property
    def held(self):
        return self.done and not self.caught and not self.error


def numbers(text):
    """{key: value} of `schedules=1 states_digest=7b10`."""
    pairs = (item.split("=") for item in text.split())
    return {key: value if key.endswith("digest") else int(value) for key, value in pairs}


def read(word, rest, found):
    """Take in what one line says of a set."""
    match word:
        case "progress":
            found.counts = numbers(rest)
        case "failed":
            number, found.check, found.text = rest.split("|", 2)
            found.schedule = int(number)
        case "error":
            found.error = rest
        case "done":
            how, counts = rest.split("|")
            found.settings = dict(item.split("=") for item in how.split())
            found.counts, found.done = numbers(counts), True
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
        if not match or match[1] not in ("progress", "failed", "schedule", "error", "done"):
            continue
        word, rest = match[1], match[2].strip()
        if word == "schedule":
            if found:
                found.line += rest
            continue
        name, _, rest = rest.partition("|")
        if found is None or found.spec != name or found.done:
            found = Found(name)
            results.append(found)
        try:
            read(word, rest, found)
        except ValueError as reason:
            if number < len(lines):
                raise Fail(f"line {number} of the console is malformed ({reason}): "
                           f"{line.strip()}") from None
            # A last line without its end was cut when the kernel died.
    return results


def outcome(name, text):
    """What the console of a boot for one set says of it."""
    found = next((one for one in parse(text) if one.spec == name), Found(name))
    if not found.done:
        panic, refused = PANIC.search(text), REFUSED.search(text)
        found.died = panic[1].strip() if panic else ""
        if refused and not found.error:
            found.error = refused[1].strip().removeprefix(f"{name}: ")
    return found


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
        return [image, *UML, *words]
    return [*guest.QEMU, *guest.PARALLEL, "-kernel", image, "-serial", "stdio", "-append",
            " ".join([guest.APPEND, *QEMU, *words])]


def boot(image, log, case, *words, limit=None):
    """Run one case of the suite; return the path of the console."""
    with contextlib.suppress(Fail):     # out of time: it has printed how far it got
        run(machine(image, [f"kunit.filter_glob=folio_explore.{case}", *words]), log,
            count=progress, check=False, timeout=limit)
    return logfile(log)


def parameters(**how):
    return [f"{PREFIX}{name}={value}" for name, value in how.items()]


def image_of(base, commit, name, column="patched"):
    """The kernel that explores: UML's, or QEMU's where UML has no sync points."""
    if not base.uml_smp:
        return build.kernel(base, commit, name)
    return build.uml(base, commit, f"build-uml-{name}.log", race.UML_FOLDER, race.configs(column))


def lab_image(base, commit, column):
    """The UML kernel of a column, with all its guards."""
    name = race.KERNELS[column]
    with stage(f"build {name} for {'UML' if base.uml_smp else 'QEMU'}"):
        return image_of(base, commit[name], name, column)


def without(base, commit, removes):
    """The lab less some guards."""
    for guard in removes:
        commit = series.mutate(base, commit, guard)
    return commit


def explored(image, log, name, limit=None, **how):
    """Explore one set."""
    console = boot(image, f"{log}-{name.replace('/', '-')}.console", "explore_param",
                   *parameters(actors=name, **how), limit=limit)
    found = outcome(name, checks.read(console))
    found.console = console
    found.settings.setdefault("bound", str(how.get("bound", NO_BOUND)))
    return found


def verdict(found):
    if found.check:
        return f"VIOLATED: {found.check}, at schedule {found.schedule:,}"
    if found.died:
        return f"VIOLATED: the kernel dies ({found.died})"
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
                   zip(replay.grid(rows).splitlines(keepends=True), below))


def replay_command(line, removes=()):
    mutant = f"--mutant {'+'.join(removes)} " if removes else ""
    return f"./run replay {mutant}{shlex.quote(line)}"


def judged(tally, where, found, rerun):
    """A set holds if it was explored to its end, and no check failed."""
    said = verdict(found) if found.done or found.caught or found.error else "it printed no result"
    tally.check(found.held, f"{found.spec} {where}: {said}; see {found.console}", rerun)


def standard(base, tally, commit, columns=race.KERNELS, sets=SETS, **how):
    """[(kernel, Found)] of some sets of actors, on some kernels."""
    results = []
    for column in columns:
        image = lab_image(base, commit, column)
        for each in sets:
            with stage(f"explore {each} on {column}") as this:
                found = explored(image, f"explore-{column}", each, **how)
                this.note = verdict(found)
            rerun = (f"./run explore --actors {each} --on {column}{flags(how)}")
            if column == "stock" and each in WRONG_ON_STOCK:
                tally.check(found.caught, f"{each} on stock: {verdict(found)}, and it is known to "
                            "go wrong there", rerun)
            else:
                judged(tally, f"on {column}", found, rerun)
            results.append((column, found))
    return results


def explore(base, tally, commit, args):
    """The sets of ./run explore, on one kernel or all."""
    columns = [args.on] if args.on else race.KERNELS
    results = standard(base, tally, commit, columns, args.actors, **settings(args))
    print(f"\n{table(results)}{ESTIMATE}")


# In parts, on any number of machines


def check_arguments(args):
    """What ./run explore can't be given together."""
    if args.print_command and len(args.actors) != 1:
        raise Fail("--print-command is for one set of actors: name it with --actors")
    if not args.print_command and args.shard and "{}" in args.shard:
        raise Fail(f"--shard {args.shard} is for --print-command: without it, say which of the "
                   "shards is to be explored")


def print_command(base, commit, args):
    """Build, and print what explores one set of actors without ./run."""
    column = args.on or "patched"
    image = lab_image(base, commit, column)
    if base.uml_smp:            # the next one built there replaces it
        kept = os.path.join(base.dir, f"uml-{race.KERNELS[column]}", "linux")
        os.makedirs(os.path.dirname(kept), exist_ok=True)
        shutil.copy(image, kept + ".new")
        os.rename(kept + ".new", kept)
        image = kept
    command = shlex.join(machine(image, ["kunit.filter_glob=folio_explore.explore_param",
                                         *parameters(actors=args.actors[0], **settings(args))]))
    print(f"{command} </dev/null 2>&1 | grep -aE 'folio_explore: |mm_sync: |Kernel panic'",
          file=sys.__stdout__)
    return 0


def added_up(tally, name, parts):
    """The shards of one set as one; the states of two shards may be the same ones."""
    shards = [one.settings["shard"] for one in parts]
    number = int(shards[0].split("/")[1])
    for each in range(number):
        tally.check(shards.count(f"{each}/{number}") == 1, f"{name}: there is not one done line "
                    f"for shard {each}/{number}", "the command of that shard")
    for one in parts:
        judged(tally, f"in shard {one.settings['shard']}", one,
               replay_command(one.line) if one.line else "the command of that shard")
    total = {key: sum(one.counts[key] for one in parts) for key in ("random", "schedules", "ms")}
    total["rate"] = total["schedules"] * 1000 // max(total["ms"], 1)
    first_bad = next((one for one in parts if not one.held), parts[0])
    return f"shards: {number}", replace(first_bad, counts=total)


def print_sum():
    """Add up what the shards printed, which comes in on standard input."""
    sets, tally = {}, judge.Tally()
    for one in parse(sys.stdin.read()):
        if one.done:
            how = [value for name, value in one.settings.items() if name != "shard"]
            sets.setdefault((one.spec, *how), []).append(one)
    if not sets:
        raise Fail("there is no done line on standard input: pipe into it what the commands "
                   "of the shards print")
    print(table([added_up(tally, key[0], parts) for key, parts in sets.items()]))
    return tally.verdict()


# With guards removed


def explored_without(base, commit, removes):
    """{set: Found} on the lab kernel less some guards."""
    name = " + ".join(guard.name for guard in removes) or UNMUTATED
    log = "without-" + name.replace(" ", "")
    wanted = removes[0].sets if removes else []
    with stage(f"without {name}" if removes else "with all guards") as this:
        image = image_of(base, without(base, commit["lab"], removes), log)
        results = {each: explored(image, log, each, LIMIT, bound=most)
                   for each, most in MUTANT_SETS if not wanted or each in wanted}
        failed = [each for each, found in results.items() if not found.held]
        this.note = f"{', '.join(failed)} failed" if failed else "all sets hold"
    return name, results


def caught(rows, row):
    """The sets that fail with these guards removed, and only then."""
    return [name for name, found in rows[row].items()
            if found.caught and rows[UNMUTATED][name].held]


def pair(guard):
    return f"{guard.name} + {guard.redundant}"


def cell(found):
    if found is None:
        return ""
    if found.check:
        return f"{found.schedule} {found.check}"
    if found.died:
        return "dies"
    return "-" if found.held else "error"


def mutant_table(rows):
    """One line a row of guards removed, one column a set; rows: {name: {set: Found}}."""
    sets = [name for name, _ in MUTANT_SETS]
    bounds = ", ".join(f"{most} in {name}" for name, most in MUTANT_SETS if most != NO_BOUND)
    return replay.grid([["guard removed", *sets]] + [
        [name, *(cell(results.get(each)) for each in sets)] for name, results in rows.items()]) \
        + f"{LEGEND}\nhow many preemptions at most: {bounds}; any number in the others\n"


def explanation(guard, rows):
    """(is all well with this guard, why or what to do about it)."""
    alone, where = caught(rows, guard.name), f"mutants/{guard.name}.diff"
    if guard.redundant and alone:
        return False, f"{where} says Redundant, but {alone[0]} catches it alone: take that line out"
    if alone:
        return True, f"needed, {', '.join(alone)} {'shows' if len(alone) == 1 else 'show'} it"
    if not guard.redundant:
        return False, (f"no set catches it: add one that does to MUTANT_SETS in scripts/explore.py "
                       f"or a check to lib/tests/folio_explore_kunit.c, or, if another guard makes "
                       f"up for it, say in {where} 'Redundant: <its mutant>: <why>'")
    both = caught(rows, pair(guard))
    if both:
        return True, f"redundant with {guard.redundant}: {guard.why}; {both[0]} catches the pair"
    return False, (f"no set catches it together with {guard.redundant} either: name in {where} "
                   "the guard that makes up for it, or find a set that catches it")


def shown_by(guard, rows):
    """What a guard comes to, in a cell: the sets that catch its removal, or its redundancy."""
    alone = caught(rows, guard.name)
    if alone or not guard.redundant:
        return ", ".join(f"{name} {cell(rows[guard.name][name])}" for name in alone) or "not caught"
    both = caught(rows, pair(guard))
    return f"redundant with `{guard.redundant}`" + (f", the pair: {', '.join(both)}" if both
                                                    else ", the pair is not caught")


def how_to_look(rows, row):
    """The shortest way to see what goes wrong: a schedule or, if all die, the first console."""
    seen = [rows[row][name] for name in caught(rows, row)]
    looks = [f"{found.text}: {replay_command(found.line, row.split(' + '))}"
             for found in seen if found.line]
    looks += [f"{found.spec}: {found.died}: {found.console}" for found in seen]
    return looks[0] if looks else ""


def explanations(rows, chosen):
    """What the table says of each guard."""
    out = []
    for name, guard in chosen.items():
        out += [f"\n{name}: without {guard.removes}",
                textwrap.fill(explanation(guard, rows)[1], replay.WIDTH)]
        for row in (name, pair(guard)):
            if row in rows:
                out.append(how_to_look(rows, row))
    return "\n".join(filter(None, out)) + "\n"


def judge_mutants(tally, rows, chosen):
    """Without a guard removed all sets hold; each guard is needed, or another makes up for it."""
    for found in rows[UNMUTATED].values():
        judged(tally, "with no guard removed", found,
               f"./run explore --actors {found.spec} --on patched"
               + flags({"bound": dict(MUTANT_SETS)[found.spec]}))
    for name, results in rows.items():
        for found in results.values():
            if name != UNMUTATED and not found.caught and not found.held:
                judged(tally, f"without {name}", found, f"./run mutants {name.split(' + ')[0]}")
    for name, guard in chosen.items():
        good, why = explanation(guard, rows)
        tally.check(good, f"{name}: {why}", f"./run mutants {name}")


def mutants(base, tally, commit, names=()):
    """Explore with no guard removed, then with each in turn; return the rows, and the guards."""
    known = guards()
    chosen = {name: known[name] for name in names or known}
    pairs = {name: [guard, known[guard.redundant]] for name, guard in chosen.items()
             if guard.redundant}
    for both in pairs.values():         # to learn now of one that does not apply
        without(base, commit["lab"], both)
    if tally.late("the explorer with guards removed", 14):
        return {}, {}
    rows = dict([explored_without(base, commit, [])])
    for name, guard in chosen.items():
        if tally.late(f"the explorer without guards, from {name} on", 5):
            chosen = {each: chosen[each] for each in chosen if each in rows}
            break
        rows.update([explored_without(base, commit, [guard])])
        if name in pairs and not caught(rows, name):
            rows.update([explored_without(base, commit, pairs[name])])
    judge_mutants(tally, rows, chosen)
    return rows, chosen


# One schedule


def followed(name, console):
    """The schedule as the kernel ran it, up to its death at the latest."""
    text = checks.read(console)
    scenario = replay.parse(text).get(name) or replay.Scenario(name, "a schedule of the explorer")
    if scenario.outcome == "unfinished":
        found = outcome(name, text)
        scenario.outcome = "dies" if found.died else "error"
        scenario.reason = f"{found.died or found.error or 'it printed no schedule'}; see {console}"
    return scenario


def follow(base, tally, commit, line, removes=()):
    """Replay a schedule on stock and patched, or with some guards removed; print what happened."""
    name, columns, names = line.partition(":")[0], {}, [guard.name for guard in removes]
    wanted = ("violated", "dies") if removes else ("held",)
    for column, lab in {"+".join(names): "lab"}.items() if removes else race.KERNELS.items():
        with stage(f"schedule on {column}") as this:
            image = image_of(base, without(base, commit[lab], removes), column,
                             "patched" if removes else column)
            console = boot(image, f"schedule-{column}.console", "follow_schedule",
                           *parameters(schedule=line), limit=LIMIT)
            scenario = followed(name, console)
            this.note = replay.words(scenario)
        columns[column] = {name: scenario}
        tally.check(scenario.outcome in wanted, f"the schedule on {column}: {this.note}; "
                    f"{scenario.reason}", replay_command(line, names))
    print(f"\n{line}")
    print(replay.step_table({column: scenarios[name] for column, scenarios in columns.items()}))
    race.write_page(base, columns, "A schedule of the explorer, replayed")


# The same everywhere


def counts_of(console):
    """{set, and how it was explored: what came out, each time that it was}."""
    result = {}
    for found in parse(console):
        if found.done:
            how = " ".join(f"{key}={value}" for key, value in found.settings.items())
            result.setdefault(f"{found.spec} {how}", []).append(found.counts)
    return result


def same_counts(tally, console_a, console_b, where):
    """What was explored on both consoles came out the same on both, each time."""
    one, other = counts_of(console_a), counts_of(console_b)
    both = [key for key in one if key in other]
    tally.check(both, f"no set was explored {where}", "./run test")
    for key in both:
        seen = {name: {counts[name] for counts in one[key] + other[key]} for name in SAME}
        differ = [f"{name} {' and '.join(sorted(map(str, values)))}"
                  for name, values in seen.items() if len(values) > 1]
        tally.check(not differ, f"{key}: not the same {where}: {', '.join(differ)}", "./run test")


def replayed(base, column, uml):
    """The console that the replays under UML, or QEMU, have left."""
    return checks.read(logfile(f"{'uml-' * uml}{race.KERNELS[column]}{base.suffix}.console"))


def same_places(base, tally):
    """Under QEMU and UML."""
    for column in race.KERNELS:
        one, other = (replayed(base, column, uml) for uml in (False, True))
        same_counts(tally, one, other, f"on {column} under QEMU and UML")


def same_again(base, tally, commit):
    """The suite's own sets, after the replays once more."""
    before = replayed(base, "patched", base.uml_smp)
    with stage("explore, once more") as this:
        image = image_of(base, commit["lab"], "lab")
        again = checks.read(boot(image, "explore-again.console", "*", limit=LIMIT))
        this.note = f"{len(counts_of(again))} sets"
    one, other = counts_of(before).keys(), counts_of(again).keys()
    tally.check(one == other, "in one of two runs the explorer did not get to the end of "
                + ", ".join(sorted(one ^ other)), "./run test")
    same_counts(tally, before, again, "in two runs")
