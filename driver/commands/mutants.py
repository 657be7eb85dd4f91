# SPDX-License-Identifier: GPL-2.0-only
"""Remove guards, one at a time: the checks that a mutant names must fail.

A mutant is a file in mutants/.  Those of the lab are explored as well.  The table at the end says
for each guard which sets of actors need it.
"""

from driver.core import steps
from driver.core.stage import say
from driver.core.steps import Step
from driver.suites import guards

HELP = "each guard removed in turn: what fails then"
WITH_ALL = "all-guards"


def arguments(parser):
    parser.add_argument("names", nargs="*", type=guards.name_of, metavar="NAME",
                        help="a mutant (default: all)")


def with_all():
    """The step that the explorer's mutants are compared with."""
    return Step(WITH_ALL, "the explorer, with all guards", 0.5, guards.with_all,
                lambda context: guards.explorer.image_of(context, "patched"), lane="um",
                rerun="./run mutants")


def unfit(guard, base):
    return "" if guard.base in ("", base.release) else f"it is of Linux {guard.base} alone"


def step(guard, known, verbose=False):
    """The step of one mutant; verbose: print which checks fail."""
    def work(context):
        if guard.fails:
            seen = guards.checks(context, guard)
            if verbose:
                for check in sorted(each for each in seen if seen[each] == "fail"):
                    say(f"  fails without {guard.name}: {check}")
        if guard.explored:
            guards.explored_guard(context, guard, known)
    return Step(guard.name, f"without {guard.removes}", 0.3, work,
                lambda context: guards.prepare(context, guard, known),
                lane="um" if guard.where == "uml" else "x86_64",
                needs=(WITH_ALL,) if guard.explored else (), unfit=lambda context: unfit(
                    guard, context.base), rerun=f"./run mutants {guard.name}")


def of(where, on):
    """The steps of the mutants of one kernel and one place."""
    known = guards.explored_ones()
    return [step(guard, known) for guard in guards.all_of_them().values()
            if (guard.where, guard.on) == (where, on)]


def plan(names=()):
    """The steps: all guards in place, then a step a mutant."""
    known = guards.explored_ones()
    chosen = [guard for name, guard in guards.all_of_them().items() if not names or name in names]
    return [*[with_all()] * any(guard.explored for guard in chosen),
            *(step(guard, known, bool(names)) for guard in chosen)]


def run(context, args):
    steps.run(context, plan(args.names))
    text = guards.summary(context)
    if text:
        say(f"\n{text}")
