# SPDX-License-Identifier: GPL-2.0-only
"""Replay an interleaving step by step, on a stock and a patched kernel, both with sync points.

ID names a claim; without any, all claims are replayed.  FILE.sched is a schedule file: real system
calls in the order that it says.  LINE is a schedule, as ./run explore and ./run mutants print it.
out/replay.html is a page with a timeline of each.
"""

from driver.core.stage import Fail, say
from driver.story import text
from driver.suites import explorer, guards, scenarios, schedule_files
from driver.suites.kunit import ARM64, QEMU

HELP = "a claim, a schedule file or a schedule, step by step"


def what(name):
    """An argument: a schedule file, a schedule, or the id of a claim."""
    if schedule_files.is_file(name):
        return schedule_files.ident(name)
    return explorer.schedule(name) if "@" in name else scenarios.ident(name)


def times(name):
    if not name.isdecimal() or int(name) < 1:
        raise Fail(f"--repeat {name}: a number is wanted, from 1 on")
    return int(name)


def arguments(parser):
    parser.add_argument("what", nargs="*", type=what, metavar="ID | FILE.sched | LINE")
    parser.add_argument("--list", action="store_true", help="list the claims and exit")
    parser.add_argument("-v", "--verbose", action="store_true",
                        help="print each point that was passed, and the folio there")
    parser.add_argument("--repeat", type=times, metavar="N",
                        help="replay each claim N times: all must be the same")
    parser.add_argument("--on", choices=[*scenarios.KERNELS, ARM64], help="a schedule file on one "
                        "kernel, or claims on arm64")
    parser.add_argument("--mutant", type=guards.removed, default=[], metavar="NAME",
                        help="a schedule on the patched kernel without a guard")


def kind(args):
    """What is to be replayed: file, schedule or claims; refuses what does not go together."""
    files = [each for each in args.what if schedule_files.is_file(each)]
    lines = [each for each in args.what if "@" in each and each not in files]
    if files and (len(args.what) > 1 or args.repeat or args.mutant):
        raise Fail("one schedule file at a time is replayed, and once: ./run replay FILE.sched")
    if lines and (len(args.what) > 1 or args.repeat):
        raise Fail("one schedule at a time is replayed, and once: ./run replay 'LINE'")
    if args.mutant and not lines:
        raise Fail("--mutant goes with a schedule: ./run replay --mutant NAME 'LINE'")
    if args.on == ARM64 and (files or lines):
        raise Fail("--on arm64 is for claims: ./run replay --on arm64 F")
    if args.on and args.on != ARM64 and not files:
        raise Fail(f"--on {args.on} goes with a schedule file: ./run replay --on stock FILE.sched")
    return "file" if files else "schedule" if lines else "claims"


def at_once(args):
    kind(args)
    if not args.list:
        return False
    for each, title in scenarios.titles().items():
        say(f"{each:16} {title}")
    return 0


def run(context, args):
    match kind(args):
        case "file":
            schedule_files.follow(context, args.what[0], [args.on] if args.on else
                                  schedule_files.COLUMNS, args.verbose)
        case "schedule":
            explorer.follow(context, args.what[0], args.mutant, args.verbose)
        case "claims":
            columns = {column: scenarios.on(context, column, args.on or QEMU, args.what,
                                            args.repeat)
                       for column in scenarios.KERNELS}
            for which in args.what or scenarios.titles():
                say(f"\n{scenarios.steps(columns, which)}")
                if args.verbose:
                    say(text.events({column: found[which] for column, found in columns.items()
                                     if which in found}))
            say(text.verdict_table(columns))
            scenarios.write_page(context, columns)
