# SPDX-License-Identifier: GPL-2.0-only
"""System calls at random, with reclaim, swap, migration, compaction and DAMON, and no schedule."""

from driver.suites import stress

HELP = "the same system calls at random, short of memory"
arguments = stress.arguments


def run(context, args):
    stress.stress(context, args)
