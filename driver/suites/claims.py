# SPDX-License-Identifier: GPL-2.0-only
"""The record of claims against what there is; what ./run claims lists, runs and prints."""

import os
import shlex

from driver.core import expected
from driver.core.paths import DRIVER
from driver.core.stage import Fail, say, stage
from driver.core.tables import grid
from driver.kernel import build, mutant
from driver.story import model
from driver.suites import (
    explorer,
    guards,
    record,
    results,
    scenarios,
    schedule_files,
    selftests,
)
from driver.suites.record import Run

CHANGED = "guard out, fix in"       # the column of kernels with one of them
WORDS = {"scenario": "replay", "schedule": "", "set": "set", "mutant": "mutant", "fix": "fix",
         "command": ""}


# Is the record whole?


def sets():
    """Each set that some command explores by itself."""
    names = [*explorer.SETS, *explorer.own_sets(),
             *(name for name, _ in guards.SETS + guards.NAMED)]
    return list(dict.fromkeys(names))


def there_are():
    """Each run that has to belong to a claim."""
    return [*(Run("scenario", name) for name in scenarios.titles()),
            *(Run("schedule", name) for name in schedule_files.paths()),
            *(Run("set", name) for name in sets())]


def absent(run):
    """Why a run can't be had, or nothing."""
    known = {"scenario": scenarios.titles, "schedule": schedule_files.paths,
             "mutant": mutant.names, "fix": lambda: mutant.names(mutant.FIXES)}
    if run.kind in known:
        return "" if run.name in known[run.kind]() else f"there is no {run}"
    if run.kind == "command":
        module = os.path.join(DRIVER, "commands", run.name.split()[0] + ".py")
        return "" if os.path.exists(module) else f"there is no {run}"
    try:
        explorer.spec(run.name)
    except Fail as failure:
        return str(failure)
    return ""


def schedule_verdicts(name, column):
    """What is expected of the runs of a schedule file."""
    which = schedule_files.shipped(schedule_files.paths()[name])
    return [verdict for run, verdict in expected.load(which)[column].items()
            if schedule_files.is_run(run) and run.startswith(name.removesuffix("sched"))]


def happens(run, column):
    """Does what is expected of a run say that the claim comes true?  None: it does not say."""
    if run.kind == "set":
        return expected.load("sets")[column].get(run.name, "no violation") != "no violation"
    if run.kind == "schedule" and not absent(run):
        return "fail" in schedule_verdicts(run.name, column)
    return None


def contradictions(claim):
    """Where what is expected of a claim's runs is not what is expected of the claim."""
    for column, verdict in claim.verdicts.items():
        said = {str(run): happens(run, column) for run in claim.runs}
        said = {run: it for run, it in said.items() if it is not None}
        wanted = verdict.startswith("reproduced")
        if said and any(said.values()) != wanted:
            yield (f"{claim.id} on {column} is to be '{verdict}', and what is expected of "
                   f"{', '.join(said)} says otherwise")


def problems(known=None, unclaimed=None):
    """What is wrong with the record, one line each."""
    known = record.load() if known is None else known
    unclaimed = record.unclaimed() if unclaimed is None else unclaimed
    belongs = {run for claim in known.values() for run in claim.runs + claim.also}
    for run in there_are():
        if run not in belongs and run not in unclaimed:
            yield f"{run} belongs to no claim, and 'unclaimed' does not say why"
    for run, why in unclaimed.items():
        if run in belongs:
            yield f"{run} is 'unclaimed', and belongs to a claim"
        if not why:
            yield f"{run} is 'unclaimed' without a reason"
    for owner, run in [(claim.id, run) for claim in known.values()
                       for run in claim.runs + claim.also] + [("unclaimed", run)
                                                              for run in unclaimed]:
        why = absent(run)
        if why:
            yield f"{owner}: {why}"
    for claim in known.values():
        yield from contradictions(claim)


def check(context):
    """The record against what there is."""
    wrong = list(problems())
    for line in wrong:
        context.tally.fail(f"driver/expected/claims.toml: {line}", "./run test claims")
    context.tally.passed += max(len(record.load()) - len(wrong), 0)


# The list


def title(claim):
    return claim.title or scenarios.titles()[claim.id]


def by(claim):
    """How a claim is run, in a few words."""
    kinds = {kind: claim.named(kind) for kind in record.KINDS}
    words = [f"{WORDS[kind]} {', '.join(names)}".strip() for kind, names in kinds.items() if names]
    return "; ".join(words) or "-"


def without(claim, release="7.3"):
    """What came of a claim with its guard taken out, in the last ./run results."""
    seen, said = results.removed_guards(release), []
    for name in claim.named("mutant"):
        guard = mutant.Mutant(name)
        said.append(seen.get(name) or (f"fails {guard.fails[0]}" if guard.fails else "-"))
    return ", ".join(said)


def outcome(claim, column):
    """The first word of a verdict, and whether the test itself breaks a rule."""
    word = claim.verdicts[column].partition(":")[0]
    return word + " (injected)" * (word == "reproduced" and bool(claim.injected)) or "-"


def counts(known):
    running = [claim for claim in known.values() if claim.runs]
    return f"{len(known)} claims, {len(running)} run; the others say what is missing for that"


def print_list(ids=(), verbose=False):
    """All claims, or some."""
    known = {name: claim for name, claim in record.load().items() if not ids or name in ids}
    heads = grid([["id", "date", *record.COLUMNS, "run by"]] + [
        [claim.id, str(claim.source["date"]),
         *(outcome(claim, column) for column in record.COLUMNS), by(claim)]
        for claim in known.values()]).splitlines()
    say(heads[0])
    for head, claim in zip(heads[1:], known.values()):
        say(f"{head}\n    {title(claim)}\n    {claim.source['ended']}")
        if claim.missing:
            say(f"    missing: {claim.missing}")
        if verbose:
            print_details(claim)
    if not ids:
        say(counts(known))


def print_details(claim):
    more = {"source": f"{claim.source['role']}: {claim.source['link']}", "steps": claim.steps,
            "kernels": claim.kernels, "what it took to see it": claim.effort,
            "without its guard": without(claim)}
    for what, text in more.items():
        if text:
            say(f"    {what}: {text}")


# Running them


def of_kind(claims, kind):
    """The names of all runs of a kind, each once."""
    return list(dict.fromkeys(name for claim in claims for name in claim.named(kind)))


def replay(context, claims, repeat=None):
    """The scenarios; return {Run: {column: verdict}} and {column: {id: Scenario}}."""
    names, seen, told = of_kind(claims, "scenario"), {}, {}
    if names:
        where = explorer.place(context.base)
        for column in scenarios.KERNELS:
            told[column] = scenarios.on(context, column, where, names, repeat)
    for name in names:
        seen[Run("scenario", name)] = {column: model.verdict(found.get(name))
                                       for column, found in told.items()}
    return seen, told


def explore(context, claims):
    names, seen = of_kind(claims, "set"), {}
    if names:
        for column, found in explorer.standard(context, sets=names):
            seen.setdefault(Run("set", found.spec), {})[column] = explorer.verdict(found)
    return seen


def follow(context, claims, repeat=None):
    """The schedule files, as replay() has it."""
    seen, told = {}, {}
    for name in of_kind(claims, "schedule"):
        path = schedule_files.paths()[name]
        found = schedule_files.follow(context, path, schedule_files.COLUMNS)
        for column in found if repeat and schedule_files.ends(path) else ():
            schedule_files.repeat(context, path, column, repeat)
        for column, runs in found.items():
            said = dict.fromkeys(model.verdict(story) for story in runs.values()
                                 if not story.skipped)
            seen.setdefault(Run("schedule", name), {})[column] = "; ".join(said)
            told.setdefault(column, {}).update(runs)
    return seen, told


def taken_out(context, claims):
    """What came of the mutants, which have run."""
    rows, seen = context.shared.get(guards.ROWS, {}), {}
    for name in of_kind(claims, "mutant"):
        guard = mutant.Mutant(name)
        said = [guards.shown_by(guard, rows)] if name in rows else []
        said += [f"fails {check}" for check in guard.fails]
        seen[Run("mutant", name)] = {CHANGED: ", ".join(said)}
    return seen


def explore_with(context, commit, name, text):
    """What comes of a set with a fix: pass, or what was found."""
    kernel = explorer.built(context, commit, f"with-{name}", text)
    with stage(f"explore {text} with {name}") as this:
        found = explorer.explored(kernel, f"explore-with-{name}", text)
        this.note = explorer.verdict(found)
    return "pass" if found.held else this.note


def put_in(context, claims):
    """What comes of sets and schedule files with a fix that the kernel has not got."""
    seen = {}
    for name in of_kind(claims, "fix"):
        if not context.base.newest:
            context.tally.leave_out(f"{name}: Linux {context.base.version} may have it")
            continue
        fix, results = mutant.Fix(name), {}
        commit = mutant.fixed(context.base, context.commit["mm+lab"], fix)
        for each in fix.sets:
            results[f"set {each}"] = explore_with(context, commit, name, each)
        for file in dict.fromkeys(check.split(".")[0] + ".sched" for check in fix.runs):
            kernel = build.kernel(context.base, commit, f"with-{name}")
            initrd, append = schedule_files.guest(context, [schedule_files.paths()[file]])
            results |= selftests.boot(context, kernel, initrd, f"with-{name}",
                                      f"kunit.enable=0 {append}", what=f"{file} with {name}")[0]
        for check in fix.passes:
            context.tally.check(results.get(check) == "pass", f"{check} is "
                                f"{results.get(check, 'missing')}, not pass, with {fix.adds}")
        seen[Run("fix", name)] = {CHANGED: ", ".join(
            f"{check} is {results.get(check, 'missing')}" for check in fix.passes)}
    return seen


def table(claims, seen):
    """What was seen of each claim, one line a run."""
    columns = (*record.COLUMNS, CHANGED)
    rows = [["claim", "run", *columns]]
    for claim in claims:
        for number, run in enumerate(claim.runs):
            rows.append([claim.id if not number else "", str(run),
                         *(seen.get(run, {}).get(column, "") for column in columns)])
    return grid(rows)


def run(context, claims, repeat=None, mutants=None, command=None):
    """Run claims, and print what comes of them.

    mutants: runs those with these names; command: runs one of ./run, of its words.
    """
    for claim in claims:
        if not claim.runs:
            context.tally.leave_out(f"{claim.id}: {claim.missing}")
    seen, told = replay(context, claims, repeat)
    seen.update(explore(context, claims))
    files_seen, files_told = follow(context, claims, repeat)
    seen.update(files_seen)
    for column, runs in files_told.items():
        told.setdefault(column, {}).update(runs)
    names = of_kind(claims, "mutant")
    if names and mutants:
        mutants(names)
        seen.update(taken_out(context, claims))
    seen.update(put_in(context, claims))
    for words in of_kind(claims, "command"):
        command(shlex.split(words))
    say(f"\n{table([claim for claim in claims if claim.runs], seen)}")
    if told:
        scenarios.write_page(context, told)
