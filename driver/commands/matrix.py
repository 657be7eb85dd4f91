# SPDX-License-Identifier: GPL-2.0-only
"""Compile the series for other architectures, with clang and in other configurations."""

from driver.core.stage import say
from driver.suites import matrix

HELP = "compile for other architectures and configurations"


def arguments(parser):
    parser.add_argument("names", nargs="*", type=matrix.row_name, metavar="ROW",
                        help="a row of --list (default: all)")
    parser.add_argument("--list", action="store_true", help="list the rows and exit")


def at_once(args):
    if not args.list:
        return False
    for name in matrix.NAMES:
        say(f"{name:16}{matrix.OTHERS.get(name) or matrix.ROWS[name].title}")
    return 0


def run(context, args):
    matrix.matrix(context, args.names)
