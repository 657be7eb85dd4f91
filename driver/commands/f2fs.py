# SPDX-License-Identifier: GPL-2.0-only
"""Run garbage collection of f2fs with the lines of CVE-2026-63813: stock, literal, widened, atomic.

The claim, what is injected, and the mail that answers it are in claims/CVE-2026-63813.
"""

from driver.core.stage import Fail
from driver.suites import f2fs

HELP = "CVE-2026-63813 on a real f2fs"


def arguments(parser):
    parser.add_argument("names", nargs="*", metavar="RUN",
                        help="one of " + ", ".join(f2fs.runs()) + " (default: all)")


def at_once(args):
    for name in args.names:
        if name not in f2fs.runs():
            raise Fail(f"there is no run '{name}', there are: {', '.join(f2fs.runs())}")
    return False


def run(context, args):
    f2fs.f2fs(context, args.names)
