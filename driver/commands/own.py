# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's own tests, stock beside patched: no test may get worse.

All KUnit suites under UML (kunit), and run_vmtests.sh by category in a guest.
"""

from driver.suites import own

HELP = "the kernel's own tests, stock beside patched"


def arguments(parser):
    parser.add_argument("names", nargs="*", metavar="kunit | CATEGORY")


def at_once(args):
    own.chosen(args.names)      # says what there is before anything is built
    return False


def run(context, args):
    own.own(context, args.names)
