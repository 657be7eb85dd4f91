# SPDX-License-Identifier: GPL-2.0-only
"""Explore all pairs and triples of actors in all layouts, with more preemptions while time is left.

What was explored is kept in out/hunt/, for each kernel: the same command goes on from there.  A
violation is no failure here: each is printed once, with the line that replays it, to be judged.
"""

from driver.suites import explorer, hunt, stress

HELP = "all pairs and triples of actors, as far as time goes"


def arguments(parser):
    parser.add_argument("--minutes", type=stress.minutes, default=10, metavar="N",
                        help="(default: 10)")
    parser.add_argument("--on", type=explorer.kernel, default="stock", metavar="KERNEL",
                        help="stock (default) or patched")


def run(context, args):
    hunt.hunt(context, args.on, args.minutes)
