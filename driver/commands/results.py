# SPDX-License-Identifier: GPL-2.0-only
"""Replays, selftests, explored sets and removed guards on each release, for the tables in README.

With BASE on that release alone; the others stay as they were.
"""

import os

from driver.core.stage import Fail
from driver.core.tally import Tally
from driver.kernel import source
from driver.kernel.context import Context, further
from driver.suites import results

HELP = "the tables in README"


def arguments(parser):
    parser.add_argument("parts", nargs="*", type=results.part, metavar="PART",
                        help="of " + ", ".join(results.PARTS))


def run(context, args):
    if os.environ.get("KDIR"):
        raise Fail("the results are those of Debian's kernels: unset KDIR")
    for release in source.wanted():
        before = f"BASE={release} "
        tally = Tally(context.tally.rerun, before)
        base = context.base if release == context.base.release else further(release)
        for part in args.parts or results.PARTS:
            one = Context(base, tally)
            results.keep(base, part, results.PARTS[part](one))
        context.tally.merge(tally)
    results.write_tables()
