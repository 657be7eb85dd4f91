# SPDX-License-Identifier: GPL-2.0-only
"""Run the kernel's own tests, stock beside patched: no test may get worse.

kunit is all KUnit suites under UML; a CATEGORY is one of run_vmtests.sh, in a guest.
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
