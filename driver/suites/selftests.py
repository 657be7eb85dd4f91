# SPDX-License-Identifier: GPL-2.0-only
"""The selftests of the series mm and tcp: plain system calls, on kernels without sync points."""

from driver.core import expected, tap
from driver.core.paths import logfile, read, shown
from driver.core.stage import Fail, stage
from driver.kernel import build, console, qemu
from driver.suites import kunit

# The kernels they run on.
KERNELS = ("stock", "mm", "mm+tcp")
PATCHED = KERNELS[-1]
TESTS = ("folio_orphan", "folio_truncate_race", "tcp_zerocopy_splice")


def boot(context, image, initrd, name, append="", dies=False, rerun=None, what=None):
    """Boot for the selftests; return their results, and reasons of skips."""
    with stage(f"boot {what or name}") as this:
        try:
            path, tests = qemu.boot(image, initrd, name, append)
        except Fail:
            if not dies:
                raise
            this.note = "the kernel died, as it was to"
            return {}, {}
        results, reasons = tap.parse(read(tests))
        this.note = f"{len(results)} results"
    console.is_clean(context, name, path, rerun)
    return results, reasons


def initramfs(context):
    return qemu.initramfs(context.base, build.selftests(context.base, context.commit["all"]))


def image(context, kernel):
    return build.kernel(context.base, context.commit[kernel], kernel)


def log_of(context, kernel):
    return f"selftests-{kernel}{context.base.suffix}"


def on(context, kernel):
    """Run all on one kernel, and judge them; on the patched one KUnit as well.

    Return (results, reasons of skips, KUnit's results).
    """
    log, rerun = log_of(context, kernel), f"./run selftest {kernel}"
    results, reasons = boot(context, image(context, kernel), initramfs(context), log,
                            rerun=rerun)
    context.tally.add(f"selftests on {kernel}", results, wanted(kernel), rerun, reasons,
                      shown(logfile(f"{log}.tap")))
    if kernel != PATCHED:
        return results, reasons, {}
    cases = kunit.of_console(context, log)
    kunit.add(context, "KUnit under QEMU", cases, kunit.wanted(kunit.QEMU),
              "./run kunit --on qemu", f"{log}.console")
    return results, reasons, cases


def wanted(kernel, test=""):
    """What is expected on a kernel; of one test, less what run_vmtests.sh says of it as a whole."""
    want = expected.load("stress" if test == "folio_stress" else "selftests")[kernel]
    if not test:
        return want
    own = {test, *build.fixtures(test)}
    return {name: verdict for name, verdict in want.items()
            if "." in name and name.split(".")[0] in own}


def one(context, test, kernel):
    """Run one test, or all, on a kernel, print what it said, and judge it."""
    rerun = " ".join(filter(None, ("./run selftest", test, kernel)))
    results, reasons = boot(context, image(context, kernel), initramfs(context), "selftest",
                            f"kunit.enable=0 guest.test={test}" if test else "",
                            rerun=rerun, what=f"{kernel}, {test or 'selftests'}")
    print(read(logfile("selftest.tap")))
    context.tally.add(f"selftests on {kernel}", results, wanted(kernel, test), rerun, reasons)
