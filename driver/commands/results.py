# SPDX-License-Identifier: GPL-2.0-only
"""Run again what the tables in doc/results.md and README are made of, and write them.

Parts: the selftests and the removed guards on each release; the report's interleaving, which README
has a picture of.  With BASE on that release alone; what was kept of the others stays.
"""

import os

from driver.core.stage import Fail
from driver.core.tally import Tally
from driver.kernel import source
from driver.kernel.context import Context, further
from driver.suites import results

HELP = "the tables and the picture of README and doc/"


def arguments(parser):
    parser.add_argument("parts", nargs="*", type=results.part, metavar="PART",
                        help="one of " + ", ".join(results.PARTS))


def run(context, args):
    if os.environ.get("KDIR"):
        raise Fail("the results are those of Debian's kernels: unset KDIR")
    for release in source.wanted():
        before = f"BASE={release} "
        tally = Tally(context.tally.rerun, before)
        base = context.base if release == context.base.release else further(release)
        for part in args.parts or results.PARTS:
            results.PARTS[part](Context(base, tally))
        context.tally.merge(tally)
    results.write_tables()
