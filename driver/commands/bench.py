# SPDX-License-Identifier: GPL-2.0-only
"""Measure isolation and release of folios: on stock, patched, and with the fix proposed in 2024."""

from driver.core.stage import Fail
from driver.suites import bench

HELP = "what the change costs: instructions, time, size"


def arguments(parser):
    pass


def run(context, args):
    if not context.base.uml_smp:
        raise Fail("the times are those of UML with two CPUs, and UML has one in Linux "
                   f"{context.base.version}: BASE=7.3 ./run bench")
    bench.bench(context)
