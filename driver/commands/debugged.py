# SPDX-License-Identifier: GPL-2.0-only
"""Run suites, selftests and a minute of stress on a kernel that has a checker of its own on."""

from driver.suites import debugged

HELP = "suites and selftests with KASAN, lockdep (locking) or KCSAN"


def arguments(parser):
    parser.add_argument("checkers", nargs="*", type=debugged.checker, metavar="CHECKER",
                        help="one of " + ", ".join(debugged.CHECKERS))


def run(context, args):
    for which in args.checkers or debugged.CHECKERS:
        debugged.debugged(context, which)
