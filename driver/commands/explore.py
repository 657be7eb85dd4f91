# SPDX-License-Identifier: GPL-2.0-only
"""Run all interleavings of some actors on one folio, each checked, on stock and patched kernels.

SPEC is a letter for each actor, then how they act: FTM, FTM/before.  A large set can be cut into
shards, for any number of machines: see doc/explorer.md.  The time left is an estimate: it takes all
branches of a choice to be of one size.
"""

import sys

from driver.core.stage import Fail
from driver.suites import explorer, scenarios

HELP = "all interleavings of a few actors, each checked"


def arguments(parser):
    parser.add_argument("--list", action="store_true",
                        help="list the actors and how they can act, and exit")
    parser.add_argument("--actors", type=explorer.specs, metavar="SPEC,...",
                        help="these sets, not the standard ones")
    parser.add_argument("--on", type=explorer.kernel, metavar="KERNEL", help="stock or patched")
    parser.add_argument("--bound", type=explorer.bound, metavar="N",
                        help="at most N preemptions in a schedule")
    parser.add_argument("--coarse", action="store_const", const=1,
                        help="do not decide at points where it should make no difference")
    parser.add_argument("--no-prune", dest="prune", action="store_const", const=0,
                        help="go on from states that were seen before")
    parser.add_argument("--random", type=int, metavar="N", help="start with N random schedules")
    parser.add_argument("--seed", type=int, metavar="N",
                        help="of the random schedules")
    parser.add_argument("--shard", type=explorer.shard, metavar="I/N",
                        help="the I-th of N parts")
    parser.add_argument("--print-command", action="store_true",
                        help="build, and print the command that explores a set by itself")
    parser.add_argument("--sum", action="store_true",
                        help="add up what shards have printed; read from standard input")


def check(args):
    """What can't be given together."""
    if args.print_command and len(args.actors or ()) != 1:
        raise Fail("--print-command is for one set of actors: name it with --actors")
    if not args.print_command and args.shard and "{}" in args.shard:
        raise Fail(f"--shard {args.shard} is for --print-command: without it, say which of the "
                   "shards is to be explored")


def at_once(args):
    check(args)
    if args.list:
        return explorer.print_actors()
    return explorer.print_sum() if args.sum else False


def run(context, args):
    how = explorer.settings(args)
    if args.print_command:
        print(explorer.command(context, args.on or "patched", args.actors[0], how),
              file=sys.__stdout__)
        context.tally.passed += 1
    else:
        columns = [args.on] if args.on else list(scenarios.KERNELS)
        explorer.explore(context, columns, args.actors, how)
