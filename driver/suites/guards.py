# SPDX-License-Identifier: GPL-2.0-only
"""With guards removed, one at a time: checks must fail, and the explorer must find it."""

import textwrap

from driver.core.paths import logfile
from driver.core.stage import Fail, stage
from driver.core.tables import grid
from driver.core.tally import Tally
from driver.kernel import build, mutant
from driver.story.text import WIDTH
from driver.suites import explorer, kunit, schedule_files, selftests
from driver.suites.explorer import NO_BOUND, explored, flags, judge, replay_command

# On each mutant: which set, and how many preemptions at most.
SETS = [("FT", NO_BOUND), ("FTM", NO_BOUND), ("TB", NO_BOUND), ("FTR", NO_BOUND),
        ("FTBR", 2), ("FTK", 2), ("TI", NO_BOUND), ("TMZ", NO_BOUND), ("DTW", NO_BOUND),
        ("FB", NO_BOUND)]
# The same, on mutants that name them alone.
NAMED = [("TLR", NO_BOUND), ("NG", NO_BOUND), ("FT/pair/size", NO_BOUND), ("TL/large", NO_BOUND),
         ("ST/pair/size", NO_BOUND), ("BC/mapped", NO_BOUND), ("KA/swap", NO_BOUND),
         ("BK/swap", NO_BOUND), ("OE/large/size", NO_BOUND)]
LIMIT = 600                 # seconds, for a set
UNMUTATED = "none"
ROWS = "guards"             # in context.shared: {name: {set: Found}}
LEGEND = """\
<n> <check>: schedule n fails this check, or the kernel dies in it; -: all schedules hold;
error: not explored to the end; empty: not run, as the mutant's 'Sets:' has it"""


# Which there are


def check_guard(guard, known):
    """Does a mutant's header name sets and another mutant that there are?"""
    where, names = f"mutants/{guard.name}.diff", [name for name, _ in SETS + NAMED]
    for name in guard.sets:
        if name not in names:
            raise Fail(f"{where}: there is no set '{name}' for 'Sets:'; there are: "
                       + ", ".join(names))
    if guard.redundant and guard.redundant not in known:
        raise Fail(f"{where}: there is no mutant '{guard.redundant}' of the lab for 'Redundant:'; "
                   "there are: " + ", ".join(known))
    return guard


def explored_ones():
    """{name: Mutant} of those that the explorer runs on."""
    known = {name: guard for name, guard in mutant.known().items() if guard.explored}
    return {name: check_guard(guard, known) for name, guard in known.items()}


def all_of_them():
    """{name: Mutant} of all that ./run mutants takes: those of one kernel follow each other."""
    known = {name: guard for name, guard in mutant.known().items()
             if guard.fails or guard.explored}
    return dict(sorted(known.items(), key=lambda item: (item[1].where, item[1].on)))


def name_of(text):
    """A mutant, as an argument of ./run mutants."""
    known = mutant.names()
    if text not in known:
        raise Fail(f"there is no mutant '{text}'; there are: {', '.join(known)}")
    guard = mutant.Mutant(text)
    if not guard.fails and not guard.explored:
        raise Fail(f"{text} is for a checker of the kernel's: ./run debugged {guard.where}")
    return text


def removed(text):
    """The mutants of an argument NAME or NAME+NAME of ./run replay."""
    known = explored_ones()
    for name in text.split("+"):
        if name not in known:
            raise Fail(f"there is no mutant '{name}' of the lab; there are: {', '.join(known)}")
    return [known[name] for name in text.split("+")]


# Checks that must fail


def image(context, guard):
    """The kernel without the guard, for where its checks run."""
    if guard.explored and guard.where == "uml":
        return explorer.mutated_image(context, [guard])
    arch = build.UML if guard.where == "uml" and context.base.uml_smp else build.X86_64
    commit = mutant.mutate(context.base, context.commit[guard.on], guard)
    return build.kernel(context.base, commit, f"without-{guard.name}", arch)


def suites_of(guard):
    """(the KUnit suites, the selftests with arguments) that have the checks which must fail."""
    tests = {fixture: test for test in build.SELFTESTS for fixture in build.fixtures(test)}
    tests["mm_sync"] = schedule_files.INTERFACE
    tests.update((check.split(".")[0], f"{schedule_files.TEST} guest.args={file}")
                 for check, file in schedule_files.files(guard.fails).items())
    first = {check.split(".")[0] for check in guard.fails}
    return sorted(first - tests.keys()), sorted({tests[name] for name in first & tests.keys()})


def run_checks(context, guard, kernel):
    """Run just the suites and tests that are to fail; return all their results."""
    log, seen = f"without-{guard.name}", {}
    suites, tests = suites_of(guard)
    for suite in suites:
        glob = f"{suite}*" if guard.on == "mm+lab" else suite
        with stage(f"KUnit {suite} without {guard.name}"):
            if guard.where == "uml" and context.base.uml_smp:
                seen.update(kunit.exec_uml(context, kernel, f"{log}-{suite}", glob,
                                           append=guard.append))
            else:
                seen.update(kunit.exec_qemu(context, kernel, f"{log}-{suite}", glob, guard.append,
                                            bool(guard.dies)))
    for words in tests:
        test = words.split()[0]
        # What a kernel without this guard reports is not judged here
        apart = context.counted_by(Tally())
        found, _ = selftests.boot(apart, kernel, selftests.initramfs(context), f"{log}-{test}",
                                  " ".join([f"kunit.enable=0 guest.test={words}", *guard.append]),
                                  bool(guard.dies),
                                  what=f"{test} without {guard.name}")
        seen.update(found or schedule_files.died_in(f"{log}-{test}"))
    return seen


def checks(context, guard):
    """Each check that the mutant names must fail, or the kernel die in it."""
    rerun = f"./run mutants {guard.name}"
    seen = run_checks(context, guard, image(context, guard)) if guard.fails else {}
    for check in guard.fails:
        # A kernel that dies in another check is no proof
        dead = check == guard.dies and check not in seen and (
            f"{check}." in seen if schedule_files.is_run(check) else kunit.died(seen))
        context.tally.check(dead or seen.get(check) == "fail",
                            f"{check} is {seen.get(check, 'missing')}, not fail, with this "
                            f"removed: {guard.removes}", rerun)
    return seen


# What the explorer finds


def sets_of(guards):
    """{set: bound} of those that are run less these guards; the first one's header says it."""
    if not guards:
        return dict(SETS + NAMED)
    wanted = guards[0].sets or [name for name, _ in SETS]
    return {name: most for name, most in SETS + NAMED if name in wanted}


def explored_without(context, guards):
    """{set: Found} on the patched kernel less some guards."""
    name = " + ".join(guard.name for guard in guards) or UNMUTATED
    log = "explore-without-" + name.replace(" ", "")
    wanted = sets_of(guards)
    kernels = {each: explorer.mutated_image(context, guards, each) if guards else
               explorer.image_of(context, "patched", each) for each in wanted}
    with stage(f"explore without {name}" if guards else "explore with all guards") as this:
        results = {each: explored(kernels[each], log, each, LIMIT, bound=most)
                   for each, most in wanted.items()}
        failed = [each for each, found in results.items() if not found.held]
        this.note = f"{', '.join(failed)} failed" if failed else "all sets hold"
    return name, results


def with_all(context):
    """With no guard removed all sets hold."""
    rows = context.shared.setdefault(ROWS, {})
    rows.update([explored_without(context, [])])
    for found in rows[UNMUTATED].values():
        judge(context.tally, "with no guard removed", found,
              f"./run explore --actors {found.spec} --on patched"
              + flags({"bound": sets_of([])[found.spec]}))


def explored_guard(context, guard, known):
    """The guard is needed, or another makes up for it; with_all() has run."""
    rows, rerun = context.shared[ROWS], f"./run mutants {guard.name}"
    names = [guard.name]
    rows.update([explored_without(context, [guard])])
    if guard.redundant and not caught(rows, guard.name):
        rows.update([explored_without(context, [guard, known[guard.redundant]])])
        names.append(pair(guard))
    for name in names:
        for found in rows[name].values():
            if not found.caught and not found.held:
                judge(context.tally, f"without {name}", found, rerun)
    good, why = explanation(guard, rows)
    context.tally.check(good, f"{guard.name}: {why}", rerun)


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


def table(rows):
    """One line a row of guards removed, one column a set; rows: {name: {set: Found}}."""
    sets = list(sets_of([]))
    bounds = ", ".join(f"{most} in {name}" for name, most in SETS if most != NO_BOUND)
    return grid([["guard removed", *sets]] + [
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
        return False, (f"no set catches it: add one that does to SETS in driver/suites/guards.py "
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
                textwrap.fill(explanation(guard, rows)[1], WIDTH)]
        for row in (name, pair(guard)):
            if row in rows:
                out.append(how_to_look(rows, row))
    return "\n".join(filter(None, out)) + "\n"


def summary(context):
    """The table, and what it says of each guard; it is in out/log/guards.txt as well."""
    rows = context.shared.get(ROWS, {})
    order = [UNMUTATED]
    for guard in explored_ones().values():
        order += [guard.name, pair(guard)]
    rows = {name: rows[name] for name in order if name in rows}
    chosen = {name: guard for name, guard in explored_ones().items() if name in rows}
    if not chosen:
        return ""
    text = f"{table(rows)}{explanations(rows, chosen)}"
    with open(logfile("guards.txt"), "w") as out:
        out.write(text)
    return text


def prepare(context, guard, known):
    """Build what a mutant's checks and sets run on."""
    if guard.fails or not guard.explored:
        image(context, guard)
    for name in sets_of([guard]) if guard.explored else ():
        explorer.mutated_image(context, [guard], name)
        if guard.redundant:
            explorer.mutated_image(context, [guard, known[guard.redundant]], name)
    if suites_of(guard)[1]:
        selftests.initramfs(context)
