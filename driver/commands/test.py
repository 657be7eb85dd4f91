# SPDX-License-Identifier: GPL-2.0-only
"""What CI runs: the mails, KUnit, selftests, replays, explored sets, each guard removed in turn.

With STEPs, only these and what they need.  --all adds what takes hours: kernels of 6.12, the
matrix, debugged and stress with each checker, the hunt, and own.
"""

import os
import re
import sys
from argparse import Namespace

from driver.commands import mutants
from driver.core import steps
from driver.core.paths import ROOT, logfile, read, shown
from driver.core.process import run as run_command
from driver.core.process import tail
from driver.core.stage import Fail, say, stage
from driver.core.steps import Step
from driver.core.tables import grid
from driver.kernel import build, debian, source
from driver.kernel.context import Context, further
from driver.suites import (
    claims,
    debugged,
    docs,
    explorer,
    f2fs,
    guards,
    hunt,
    kunit,
    litmus,
    matrix,
    own,
    patches,
    scenarios,
    schedule_files,
    selftests,
    static,
    stress,
)
from driver.suites.kunit import ARM64, QEMU, UML_SMP, UML_UP

HELP = "what CI runs"
REPEATS = 20                # of each replay under UML
REPLAYS = "replays"         # in context.shared: {place: {column: {id: Scenario}}}


def driver(context):
    """The driver's own negative controls: each kind of bad run must be seen as one."""
    with stage("driver") as this:
        # The scan of consoles is in the kernel tree
        status, log = run_command([sys.executable, "-m", "unittest", "discover", "-s",
                                   "driver/tests", "-t", "."], "driver.log", cwd=ROOT,
                                  env={"DRIVER_TEST_SRC": context.base.src}, check=False)
        text = read(log)
        ran = re.search(r"^Ran (\d+) tests", text, re.M)
        skipped = re.search(r"skipped=(\d+)", text)
        count, skips = (int(found[1]) if found else 0 for found in (ran, skipped))
        this.note = f"{count} checks"
    bad = dict.fromkeys(re.findall(r"^(?:FAIL|ERROR): \w+ \((\S+?)\)", text, re.M))
    for case in bad:
        context.tally.fail(f"driver: {case} ({shown(log)})", f"python3 -m unittest {case}")
    context.tally.passed += max(count - skips - len(bad), 0)
    context.tally.skipped += skips
    context.tally.check(not status or bad, f"driver: its tests did not get through: {shown(log)}")
    context.tally.check(count > 0, f"driver: no check ran: {shown(log)}")


def lint(context):
    """The style of driver/ is that of pyproject.toml."""
    ruff = debian.newer_tool("ruff", libraries=("libc6", "libgcc-s1"))
    with stage("ruff"):
        for words in (["check", "--output-format=concise"],):
            status, log = run_command([ruff, *words, "--quiet", "--no-cache", "driver"],
                              f"ruff-{words[0]}.log", cwd=ROOT, check=False)
            context.tally.check(not status, f"ruff {words[0]} has complaints ({shown(log)}):\n"
                                + tail(log), "./run test lint")


def uml_kernels(context):
    for column in scenarios.KERNELS:
        scenarios.image(context, column, UML_SMP)


def replay(place, repeat=None):
    def work(context):
        context.shared.setdefault(REPLAYS, {})[place] = {
            column: scenarios.on(context, column, place, repeat=repeat)
            for column in scenarios.KERNELS}
    return work


def same(context):
    """What is replayed and explored is the same under QEMU and UML."""
    replays = context.shared[REPLAYS]
    scenarios.same_timelines(context.tally, replays[QEMU], replays[UML_SMP], "under QEMU and UML")
    explorer.same_places(context)


def on_both(function):
    def work(context):
        for column in scenarios.KERNELS:
            function(context, column)
    return work


def older(context):
    """The mails for an older release: recomposed, checkpatch, git am."""
    for release in source.RELEASES[1:]:
        try:
            base = further(release)
        except debian.NotShipped as gone:
            context.tally.leave_out(f"Linux {release}: {gone}")
            continue
        one = Context(base, context.tally)
        patches.recompose(one)
        patches.altered(one)
        patches.checkpatch(one)
        patches.git_am(one)


def no_uml(context):
    base = context.base
    return "" if base.uml_smp else f"UML has one CPU in Linux {base.version}, and no sync points"


def not_newest(context):
    return "" if context.base.newest else "these mails are sent to nobody"


def just_newest(context):
    return "" if context.base.newest else "this is run on 7.3"


def of_debian(context):
    if os.environ.get("KDIR"):
        return "on a tree of yours"
    return "" if context.base.newest else "they are what is tested here"


def images(*kernels):
    """What builds kernels for QEMU, and the selftests."""
    def prepare(context):
        for kernel in kernels:
            build.kernel(context.base, context.commit[kernel], kernel)
        build.selftests(context.base, context.commit["all"])
    return prepare


def boot(kernel):
    return lambda context: selftests.on(context, kernel)


def plan():
    """The steps.  What one kernel needs follows each other: little is to be built again then."""
    return [
        Step("driver", "the driver's own tests", 0.3, driver),
        Step("lint", "ruff on the driver", 0.2, lint),
        Step("claims", "the record of claims names what there is", 0.1, claims.check),
        Step("mails", "patches/ is what series/ composes to", 0.2, patches.recompose),
        Step("altered", "mutants and fixes apply to the series", 0.3, patches.altered),
        Step("checkpatch", "checkpatch --strict on the mails", 0.5, patches.checkpatch),
        Step("kunit-uml", "KUnit under UML, with one CPU and with two", 2,
             lambda context: [kunit.suites(context, place) for place in (UML_UP, UML_SMP)],
             lambda context: kunit.kernel(context, UML_SMP), lane="um", unfit=no_uml),
        *mutants.of("uml", "mm+tcp"),
        Step("replay-uml", f"the claims, replayed {REPEATS} times under UML, stock and patched", 3,
             replay(UML_SMP, REPEATS), uml_kernels, lane="um", unfit=no_uml),
        Step("same-again", "the sets that KUnit explores, once more", 0.5, explorer.same_again,
             needs=("replay-uml",), unfit=no_uml),
        Step("oops", "an actor that oopses: the schedule up to there", 0.1, scenarios.oops,
             uml_kernels, lane="um", unfit=no_uml),
        mutants.with_all(),
        *mutants.of("uml", "mm+lab"),
        Step("litmus", "the litmus tests", 0.3, litmus.litmus),
        Step("older", "the mails for 6.12: recomposed, checkpatch, git am; mutants apply", 2, older,
             unfit=of_debian),
        # These check other kernels out: once one is built, that would be paid for
        Step("build-selftests", "the selftests, by their own Makefile", 0.3, images(), tree=True),
        Step("recipients", "get_maintainer.pl on the mails", 0.2, patches.recipients, tree=True,
             unfit=not_newest),
        Step("git-am", "git am, plain and with -3", 0.2, patches.git_am, tree=True),
        Step("documents", "make htmldocs; callers and tests", 0.3, docs.documents, tree=True),
        Step("patches-mm", "a kernel after each mail of mm and tcp", 7, patches.mm_and_tcp_build,
             tree=True),
        Step("selftests-mm", "selftests on mm", 0.5, boot("mm"), images("mm")),
        Step("selftests-mm+tcp", "selftests on mm+tcp, and KUnit under QEMU", 0.5, boot("mm+tcp"),
             images("mm+tcp")),
        Step("without-points", "the tests of schedules skip without sync points", 0.2,
             schedule_files.without_points, images("mm+tcp")),
        Step("stress", "ten seconds of stress", 0.5, stress.smoke, images("mm+tcp"), alone=True),
        *mutants.of("qemu", "mm+tcp"),
        *mutants.of("qemu", "mm"),
        Step("patches-lab", "a kernel after each mail of the lab", 2, patches.lab_builds,
             tree=True),
        *mutants.of("qemu", "mm+lab"),
        Step("mistakes", "mistakes in schedule files", 0.1, schedule_files.mistakes,
             schedule_files.checker),
        Step("replay-qemu", "the claims, replayed under QEMU, stock and patched", 2, replay(QEMU),
             on_both(lambda context, column: scenarios.image(context, column, QEMU))),
        Step("same", "replays and sets are the same under QEMU and UML", 0, same,
             needs=("replay-uml", "replay-qemu"), unfit=no_uml),
        Step("schedules", "schedule files, and the files in debugfs, stock and patched", 1,
             on_both(schedule_files.on), images()),
        Step("wrong-schedules", "what is said of an order that does not come true", 0.1,
             schedule_files.wrong, images("mm+lab")),
        Step("sparse", "sparse and W=1 on the files of the series", 1, static.sparse, tree=True),
        Step("object-code", "without sync points, the object code is what it was", 1,
             static.object_code, tree=True),
    ]


def release_6_12(context):
    """The older releases, built and booted."""
    for release in source.RELEASES[1:]:
        one = Context(further(release), context.tally)
        with_points = {column: scenarios.on(one, column, QEMU) for column in scenarios.KERNELS}
        context.tally.check(all(with_points.values()), f"Linux {release}: no claim was replayed")
        for kernel in selftests.KERNELS:
            selftests.on(one, kernel)


def checked(checker):
    def work(context):
        if context.base.uml_smp:
            scenarios.debugged(context, checker)
        else:
            context.tally.leave_out(f"replays under UML with {checker}: UML has one CPU")
        stress.stress(context, Namespace(minutes=2, seed=None, on=stress.KERNELS[-1],
                                         debug=checker))
    return work


def of_all():
    """What --all has in addition: one after the other, as each builds its own kernels."""
    return [
        Step("older-boots", "6.12: replays and selftests on its kernels", 25, release_6_12,
             unfit=of_debian),
        Step("kunit-arm64", "KUnit on arm64, under QEMU", 10,
             lambda context: kunit.suites(context, ARM64), unfit=just_newest),
        Step("replay-arm64", "the claims, replayed on arm64, stock and patched", 15, replay(ARM64),
             rerun="./run replay --on arm64", unfit=just_newest),
        Step("f2fs", "CVE-2026-63813 on a real f2fs, also with KCSAN and on arm64", 70,
             lambda context: f2fs.f2fs(context, list(f2fs.runs())), rerun="./run f2fs",
             unfit=just_newest),
        Step("kunit.py", "plain kunit.py --arch=x86_64", 8, kunit.plain_x86_64),
        *(Step(f"matrix-{name}", f"matrix: {name}", 5,
               lambda context, name=name: matrix.matrix(context, [name]),
               rerun=f"./run matrix {name}") for name in matrix.NAMES),
        *(Step(f"checked-{checker}", f"replays and stress with {checker}", 15, checked(checker))
          for checker in ("locking", "kasan")),
        *(Step(f"debugged-{checker}", f"all suites with {checker}", 40,
               lambda context, checker=checker: debugged.debugged(context, checker),
               rerun=f"./run debugged {checker}") for checker in debugged.CHECKERS),
        Step("hunt", "all pairs and triples of actors, as far as ten minutes go", 15,
             lambda context: hunt.hunt(context, "stock", 10), rerun="./run hunt", unfit=no_uml),
        Step("own", "the kernel's own tests", 60, own.own, rerun="./run own"),
    ]


def arguments(parser):
    parser.add_argument("steps", nargs="*", metavar="STEP", help="a step that --list names")
    parser.add_argument("--list", action="store_true", help="list the steps and exit")
    parser.add_argument("--all", action="store_true", help="all steps, with those that take hours")


def known(args):
    return plan() + (of_all() if args.all or args.list or args.steps else [])


def others(args):
    """The bases that steps want in addition."""
    wanted = {step.name for step in steps.chosen(known(args), args.steps)}
    return source.RELEASES[1:] if "older" in wanted else ()


def at_once(args):
    if args.all and args.steps:
        raise Fail("--all goes without steps: ./run test --all")
    chosen = steps.chosen(known(args), args.steps)       # says what there is
    if not args.list:
        return False
    first = {step.name for step in plan()}
    say(grid([["step", "minutes", "needs", "what it tests"]] + [
        [step.name, f"{step.minutes:g}", " ".join(step.needs),
         step.about + " (--all)" * (step.name not in first)] for step in chosen], right=(1,)))
    return 0


def run(context, args):
    steps.run(context, steps.chosen(known(args), args.steps))
    if guards.summary(context):
        say(f"the table of guards: {shown(logfile('guards.txt'))}")
