# SPDX-License-Identifier: GPL-2.0-only
"""Run garbage collection of f2fs with the lines of CVE-2026-63813: stock, literal, widened, atomic.

The claim, what is injected, and the mail that answers it are in claims/CVE-2026-63813.
"""

from driver.suites import f2fs

HELP = "CVE-2026-63813 on a real f2fs"


def arguments(parser):
    parser.add_argument("names", nargs="*", type=f2fs.named, metavar="RUN",
                        help="a run of driver/expected/f2fs.toml, or a group of runs (default: all "
                        "that are in no group)")


def run(context, args):
    f2fs.f2fs(context, list(dict.fromkeys(sum(args.names, []))))
