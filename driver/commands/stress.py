# SPDX-License-Identifier: GPL-2.0-only
"""Make system calls at random, with reclaim, swap, migration, compaction and DAMON."""

from driver.suites import stress

HELP = "system calls at random, short of memory"
arguments = stress.arguments


def run(context, args):
    stress.stress(context, args)
