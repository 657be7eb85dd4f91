# SPDX-License-Identifier: GPL-2.0-only
"""Run the selftests, or one of them, on one kernel.

folio_sched and mm_sync_point need sync points: their kernels are stock and patched, each with sync
points.
"""

from driver.core.paths import logfile, read
from driver.core.stage import Fail
from driver.kernel import build
from driver.suites import schedule_files, selftests

HELP = "the selftests, after an edit"


def arguments(parser):
    parser.add_argument("test", nargs="?", default="", metavar="TEST",
                        help="one of " + ", ".join(build.SELFTESTS))
    parser.add_argument("kernel", nargs="?", default="", metavar="KERNEL",
                        help="one of " + ", ".join(selftests.KERNELS)
                             + " (default: the last)")


def what(args):
    """(test, kernel) that the arguments name."""
    test, kernel = args.test, args.kernel
    if test in selftests.KERNELS:
        if kernel:
            raise Fail(f"one kernel at a time: ./run selftest [TEST] {test}")
        test, kernel = "", test
    if test and test not in build.SELFTESTS:
        raise Fail(f"there is no selftest '{test}'; there are: {', '.join(build.SELFTESTS)}")
    with_points = test in schedule_files.ARGUMENTS
    known = schedule_files.COLUMNS if with_points else list(selftests.KERNELS)
    kernel = kernel or known[-1]
    if kernel not in known:
        raise Fail(f"there is no kernel '{kernel}'" + " with sync points" * with_points
                   + f"; there are: {', '.join(known)}")
    return test, kernel


def at_once(args):
    what(args)
    return False


def run(context, args):
    test, kernel = what(args)
    if test in schedule_files.ARGUMENTS:
        log = schedule_files.on(context, kernel, test)
        print(read(logfile(f"{log}.tap")))
    else:
        selftests.one(context, test, kernel)
