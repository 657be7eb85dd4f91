# SPDX-License-Identifier: GPL-2.0-only
"""Run the KUnit suites of the mm series, or those that a glob of kunit.py selects.

They run under UML with two CPUs, which is fastest after an edit, under UML with one CPU, or under
QEMU.  ./run replay runs the suites of the lab.
"""

import fnmatch

from driver.core import expected
from driver.core.stage import Fail, say
from driver.suites import kunit

HELP = "the KUnit suites of the mm series, after an edit"


def arguments(parser):
    parser.add_argument("suite", nargs="?", default="", metavar="SUITE",
                        help="a suite, a case as SUITE.CASE, or a glob")
    parser.add_argument("--on", choices=kunit.PLACES, help="where to run (default: uml-smp)")


def check(glob):
    """Is there a suite that the glob selects?"""
    suite = glob.partition(".")[0]
    if kunit.wanted(kunit.QEMU, suite):
        return
    of_lab = any(fnmatch.fnmatchcase(each.split(".")[0], suite)
                 for each in expected.load("scenarios")["patched"])
    raise Fail(f"{glob} is of the lab: ./run replay runs its suites" if of_lab else
               f"there is no suite '{glob}'; there are: " + ", ".join(
                   dict.fromkeys(name.split(".")[0] for name in kunit.wanted(kunit.QEMU))))


def at_once(args):
    check(args.suite)
    return False


def run(context, args):
    place = args.on or (kunit.UML_SMP if context.base.uml_smp else kunit.QEMU)
    if place not in kunit.ARCHS and not context.base.uml_smp:
        raise Fail(f"UML has one CPU in Linux {context.base.version}, where the suites need two: "
                   "--on qemu")
    for name, verdict in kunit.suites(context, place, args.suite).items():
        say(f"  {verdict:5} {name}")
