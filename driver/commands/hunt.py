# SPDX-License-Identifier: GPL-2.0-only
"""Explore all pairs and triples of actors in all layouts, with more preemptions while time is left.

What was explored is kept in out/hunt/, for each kernel: the same command goes on from there, after
Ctrl-C as well.  Each violation is shrunk, drawn, and printed with the line that replays it.  One
that driver/expected/hunt.toml does not name is a failure.

On several machines that have this folder at the same path, the results being brought back here:

    seq 0 7 | parallel -j1 -S HOST1,HOST2 --wd "$PWD" --return out/hunt/stock-{}-of-8.json \\
            ./run hunt --minutes 60 --shard {}/8
    ./run hunt --sum
"""

from driver.core.stage import Fail
from driver.suites import explorer, guards, hunt, stress

HELP = "all pairs and triples of actors, as far as time goes"


def arguments(parser):
    parser.add_argument("--minutes", type=stress.minutes, default=10, metavar="N",
                        help="(default: 10)")
    parser.add_argument("--on", default="stock", metavar="KERNEL",
                        choices=(*explorer.scenarios.KERNELS, hunt.FIXED),
                        help="stock (default); patched; or fixed: what was violated, with fixes of "
                        "what is known")
    parser.add_argument("--shard", type=explorer.shard, default="0/1", metavar="I/N",
                        help="the I-th of N parts of all sets")
    parser.add_argument("--mutant", type=guards.removed, metavar="NAME",
                        help="on the patched kernel without a guard, until that is noticed")
    parser.add_argument("--sum", action="store_true",
                        help="print what is in out/hunt/, or in FILEs from there, of all shards")
    parser.add_argument("files", nargs="*", metavar="FILE")


def at_once(args):
    if args.files and not args.sum:
        raise Fail(f"{args.files[0]}: files go with --sum: ./run hunt --sum FILE")
    if "{}" in args.shard:
        raise Fail(f"--shard {args.shard}: say which part, from 0 on")
    if args.mutant and len(args.mutant) > 1:
        raise Fail("--mutant: one guard at a time is hunted for")
    return hunt.print_sum(args.files) if args.sum else False


def run(context, args):
    hunt.hunt(context, args.on, args.minutes, args.shard, *(args.mutant or []))
