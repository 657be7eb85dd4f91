# SPDX-License-Identifier: GPL-2.0-only
"""Without a command: stock, mm and mm+tcp side by side, and the claims replayed."""

import os

from driver.core import steps
from driver.core.paths import logfile, shown, write
from driver.core.stage import say
from driver.core.steps import Step
from driver.core.tables import cell, grid, results
from driver.kernel import build
from driver.story import text
from driver.suites import kunit, patches, scenarios, selftests

HELP = "stock and patched kernels side by side"


def arguments(parser):
    pass


def plan(seen, races):
    """The steps; what they see goes into seen and races."""
    def boot(kernel):
        def work(context):
            seen[kernel] = selftests.on(context, kernel)
        return work

    def replay(column):
        def work(context):
            races[column] = scenarios.on(context, column, kunit.QEMU)
        return work

    def selftests_too(context):
        selftests.image(context, selftests.KERNELS[0])
        build.selftests(context.base, context.commit["all"])
    return [Step("git-am", "git am the mails", 0.2,
                 lambda context: patches.git_am(context, ((),)), tree=True, rerun="./run"),
            *(Step(kernel, f"boot {kernel}", 1, boot(kernel),
                   selftests_too if kernel == selftests.KERNELS[0] else
                   lambda context, kernel=kernel: selftests.image(context, kernel),
                   rerun=f"./run selftest {kernel}") for kernel in selftests.KERNELS),
            *(Step(f"replay-{column}", f"replay on {column}", 1, replay(column),
                   lambda context, column=column: scenarios.image(context, column, kunit.QEMU),
                   rerun=scenarios.RERUN) for column in scenarios.KERNELS)]


def differences(found, want):
    """The checks that do not come to the same on all kernels, or are not as expected."""
    names = [name for name in want[next(iter(want))]
             if len({want[column].get(name) for column in want}) > 1
             or any(found[column].get(name) != want[column].get(name) for column in found)]
    return grid([["what differs", *found]] + [
        [name, *(cell(found[column].get(name), want[column].get(name)) for column in found)]
        for name in names])


def counts(found):
    """One line a kernel."""
    return grid([["kernel", "pass", "fail", "skip"]] + [
        [name, *(str(list(those.values()).count(verdict)) for verdict in ("pass", "fail", "skip"))]
        for name, those in found.items()], right=(1, 2, 3))


def run(context, args):
    seen, races = {}, {}
    steps.run(context, plan(seen, races))
    # Guests end in any order
    found = {kernel: seen[kernel][0] for kernel in selftests.KERNELS if kernel in seen}
    races = {column: races[column] for column in scenarios.KERNELS if column in races}
    want = {kernel: selftests.wanted(kernel) for kernel in found}
    cases = seen[selftests.PATCHED][2] if selftests.PATCHED in seen else {}
    path = logfile("all-checks.txt")
    if found:
        say(f"\n{counts({**found, 'KUnit on ' + selftests.PATCHED: cases})}\n"
            + differences(found, want))
        reasons = seen[selftests.PATCHED][1] if selftests.PATCHED in seen else {}
        write(path, results(found, want) + "\n" + (results(
            {selftests.PATCHED: cases}, {selftests.PATCHED: kunit.wanted(kunit.QEMU)})
            if cases else "") + "".join(f"skip on {selftests.PATCHED}: {name}: {reason}\n"
                                        for name, reason in sorted(reasons.items())))
    if races:
        say(f"claims, replayed\n{text.verdict_table(races, reasons=False)}")
        say(scenarios.steps(races, "F"))
        scenarios.write_page(context, races)
    say(f"all checks: {shown(path)}; what was found at each step: "
        f"out/log/{os.path.basename(selftests.log_of(context, 'stock'))}.tap and so on")
