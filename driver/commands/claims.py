# SPDX-License-Identifier: GPL-2.0-only
"""The record of claims about races in mm: lists them, runs them, and judges what comes of it.

Without an ID all are listed: who says so, how that ended, what comes of it on stock and patched
kernels, and how it is run.  What can't be run says what is missing.
"""

import argparse
import importlib

from driver.commands import mutants
from driver.commands.replay import times
from driver.core import steps
from driver.core.stage import Fail
from driver.suites import claims, record

HELP = "other people's races: a record of claims, each with a run"


def arguments(parser):
    parser.add_argument("ids", nargs="*", type=record.ident, metavar="ID")
    parser.add_argument("--list", action="store_true", help="the claims, and no more")
    parser.add_argument("--all", action="store_true", help="run all that can be run")
    parser.add_argument("-v", "--verbose", action="store_true",
                        help="list the steps, the source and the kernels as well")
    parser.add_argument("--repeat", type=times, metavar="N",
                        help="each replay N times, which must be identical")
    parser.add_argument("--no-mutants", action="store_true",
                        help="leave out the kernels with a guard removed")


def at_once(args):
    if args.all and args.ids:
        raise Fail("--all goes without IDs: ./run claims --all")
    if not args.list and (args.ids or args.all):
        return False
    claims.print_list(args.ids, args.verbose)
    return 0


def other(context):
    """What runs another command of ./run, of its words."""
    def run(words):
        module = importlib.import_module(f"driver.commands.{words[0]}")
        parser = argparse.ArgumentParser(words[0])
        module.arguments(parser)
        module.run(context, parser.parse_args(words[1:]))
    return run


def run(context, args):
    known = record.load()
    chosen = [known[name] for name in args.ids] or list(known.values())
    claims.run(context, chosen, args.repeat,
               None if args.no_mutants else
               lambda names: steps.run(context, mutants.plan(names)), other(context))
