# SPDX-License-Identifier: GPL-2.0-only
"""The commands of ./run; scripts/help.txt says what each does."""

import argparse
import contextlib
import fcntl
import fnmatch
import os
import shlex
import signal
import sys

import base as bases
import bench
import build
import checks
import debugged
import explore
import gate
import guest
import judge
import matrix
import own
import race
import replay
import results
import sched
import series
import stress
from stage import LOG, OUT, Fail, logfile, stage

# The three kernels: name, and what is applied to the base.
STATES = ["stock", "mm", "mm+tcp"]
PATCHED = STATES[-1]
# What the older kernels take in CI.
OLDER_MINUTES = {"7.2": 9, "6.12": 13}


def commits(base):
    """{state: commit}, and the patches of each series."""
    with stage("compose the series") as this:
        mm = series.compose(base, series.MM, base.commit)
        net = series.compose(base, series.NET, mm[-1][1])
        lab = series.compose(base, series.LAB, mm[-1][1])
        everything = series.compose(base, series.LAB, net[-1][1])
        this.note = f"{len(mm)} + {len(net)} + {len(lab)} patches"
    return {**dict(zip(STATES, (base.commit, mm[-1][1], net[-1][1]))),
            "lab": lab[-1][1], "lab-stock": series.lab_stock(base, lab[-1][1]),
            "tree": everything[-1][1]}


def cmd_main(base, tally, args):
    """Stock, mm and mm+tcp side by side."""
    commit = commits(base)
    gate.git_am(base, commit["tree"])
    images = {state: build.kernel(base, commit[state], state) for state in STATES}
    tests = build.selftests(base, commit["tree"])
    initrd = guest.initramfs(base, tests)
    seen = {}
    for state in STATES:
        seen[state], reasons = checks.boot(base, tally, images[state], initrd, state,
                                           rerun=f"./run selftest {state}")
    kunit = checks.kunit_of_console(base, PATCHED)
    races = race.qemu(base, tally, commit)

    want, kunit_want = judge.load("selftests", STATES), judge.load("kunit", judge.KUNITS)["qemu"]
    print()
    judge.table(STATES, seen, want)
    print("\nKUnit")
    judge.table([PATCHED], {PATCHED: kunit}, {PATCHED: kunit_want})
    print("\nclaimed races, replayed")
    print(replay.verdict_table(races), end="")
    race.print_steps(races, "F")
    print(f"\n{judge.KNOWN}: a defect that this kernel is known to have")
    for name, reason in sorted(reasons.items()):
        print(f"skip on mm+tcp: {name}: {reason}")
    for state in STATES:
        tally.add(state, seen[state], want[state], f"./run selftest {state}")
    tally.add("KUnit on mm+tcp", kunit, kunit_want, checks.KUNIT_QEMU)
    print(f"what was found at each step: out/log/{{{','.join(STATES)}}}.tap")
    race.write_page(base, races)
    print(f"base: Linux {base.version} ({base.origin})")
    return tally.verdict()


def cmd_test(base, tally, args):
    gate.driver(base, tally)
    commit = commits(base)
    gate.mails(base, tally)
    gate.style(base, tally)
    if base.newest:             # the others are sent to nobody
        gate.recipients(base, tally, commit)
    gate.git_am(base, commit["tree"], tally)
    gate.litmus(base, tally)
    gate.documentation(base, tally, commit)

    image = {state: build.kernel(base, commit[state], state) for state in STATES[1:]}
    tests = build.selftests(base, commit["tree"])
    initrd = guest.initramfs(base, tests)
    want = judge.load("selftests", STATES)
    for state in STATES[1:]:        # the first of them is also what a missing tcp patch is
        rerun = f"./run selftest {state}"
        with tally.going_on(rerun):
            seen, _ = checks.boot(base, tally, image[state], initrd, state, rerun=rerun)
            tally.add(state, seen, want[state], rerun)
    with tally.going_on(checks.KUNIT_QEMU):
        tally.add("KUnit under QEMU", checks.kunit_of_console(base, PATCHED),
                  judge.load("kunit", judge.KUNITS)["qemu"], checks.KUNIT_QEMU)
    races = {}
    with tally.going_on(race.RERUN):
        races = race.qemu(base, tally, commit)
    sched.mistakes(base, tally, tests)
    with tally.going_on("./run test"):
        sched.without(base, tally, image[PATCHED], initrd, PATCHED)
    with tally.going_on(f"./run selftest {sched.TEST}"):
        sched.selftests(base, tally, commit, initrd)
    with tally.going_on(stress.SMOKE_RERUN):
        stress.smoke(base, tally, image[PATCHED], initrd, PATCHED)
    if not base.uml_smp:
        tally.leave_out(f"KUnit under UML, which has one CPU in Linux {base.version}, no sync "
                        "points, and no get_kernel_nofault()")
    elif not tally.late("KUnit under UML", 14):
        for place in ("uml-up", "uml-smp"):
            with tally.going_on(f"./run kunit --on {place}"):
                uml(base, tally, commit[PATCHED], place)
    if base.uml_smp and not tally.late("the lab under UML", 14):
        with tally.going_on("./run test"):
            race.same_timelines(tally, races, race.uml(base, tally, commit, repeat=20),
                                "under QEMU and UML")
            explore.same_places(base, tally)
            race.oops(base, tally, commit)
    if not tally.late("the explorer's sets, once more", 14):
        with tally.going_on("./run test"):
            explore.same_again(base, tally, commit)
    if not tally.late("sparse, W=1 and the object code without sync points", 14):
        gate.static_checks(base, tally, commit)
        gate.object_code(base, tally, commit)
    for name in with_checks():
        if tally.late(f"without guards, from {name} on", 5):
            break
        with tally.going_on(f"./run mutant {name}"):
            mutant(base, tally, commit, name, initrd)
    gate.every_patch_builds(base, tally)
    if base.newest:
        for version in reversed(bases.VERSIONS[1:]):    # more people run the oldest
            if not tally.late(f"the series for {version}", OLDER_MINUTES[version]):
                with tally.going_on(f"BASE={version} ./run test"):
                    older(tally, version, STATES if args.all else [])
    explore.mutants(base, tally, commit)
    if args.all:
        tally.add("kunit.py --arch=x86_64", gate.kunit_x86_64(base, commit["mm"]),
                  judge.load("kunit", judge.KUNITS)["kunit.py-x86_64"], "./run test --all")
        matrix.matrix(base, tally, commit)
        for checker in ("locking", "kasan"):
            if base.uml_smp:
                race.debugged(base, tally, commit, checker)
            else:
                tally.leave_out(f"the lab under UML, {checker} checked: UML has one CPU")
            stress.stress(base, tally, commit, stress.with_checker(checker))
        for checker in debugged.CHECKERS:
            debugged.debugged(base, tally, commit, checker)
        own.own(base, tally, commit)
    return tally.verdict()


def further(tally, version):
    """One more base, said; None if Debian has it no more."""
    try:
        base = bases.from_debian((version,))
    except bases.NotShipped as gone:
        tally.leave_out(f"Linux {version}: {gone}")
        return None
    print(f"base: Linux {base.version} ({base.origin})")
    return base


def older(tally, version, states):
    """The series for an older kernel: the mails; KUnit on one with all patches; the selftests on
    states, or on the patched one where there is QEMU only.
    """
    if os.environ.get("KDIR"):
        tally.leave_out(f"the series for {version}, on a tree of yours")
        return
    base = further(tally, version)
    if not base:
        return
    with tally.on(f"BASE={version} "):
        commit = commits(base)
        gate.mails(base, tally)
        gate.style(base, tally)
        gate.git_am(base, commit["tree"], tally)
        if base.uml_smp:
            race.uml(base, tally, commit, kernels={"patched": "tree"})
        else:
            race.qemu(base, tally, commit, kernels={"patched": "tree"})
        if states:
            results.selftests(base, tally, commit, STATES, states)
        elif not base.uml_smp:
            selftests_too(base, tally, commit)


def selftests_too(base, tally, commit):
    """The selftests on the kernel that has all patches and has run KUnit: no other is built."""
    log, rerun = f"selftests{base.suffix}", f"./run selftest {PATCHED}"
    initrd = guest.initramfs(base, build.selftests(base, commit["tree"]))
    seen, _ = checks.boot(base, tally, build.kernel(base, commit["tree"], "tree"), initrd, log,
                          "kunit.enable=0", rerun=rerun)
    tally.add(log, seen, judge.load("selftests", STATES)[PATCHED], rerun)


def kunit_wanted(place, suite):
    """What KUnit is to come to; with suite, what that glob selects, as the kernel reads it."""
    globs = suite.split(".")
    return {name: want for name, want in judge.load("kunit", judge.KUNITS)[place].items()
            if not suite or all(map(fnmatch.fnmatchcase, name.split("."), globs))}


def uml(base, tally, commit, place, suite=""):
    """KUnit under UML, with two CPUs or one."""
    smp, rerun = place == "uml-smp", " ".join(["./run kunit --on", place, suite]).strip()
    log = f"{place}-{base.series}"
    base.checkout(commit)
    with stage(f"KUnit under UML ({'SMP' if smp else 'one CPU'})") as this:
        seen, splats = checks.kunit_uml(base, log, suite, smp)
        this.note = f"{len(seen)} results"
    tally.add(log, seen, kunit_wanted(place, suite), rerun)
    tally.check(not splats, f"{log}: the console is not clean ({logfile(log + '.console')}): "
                + "; ".join(splats[:3]), rerun)
    return seen


def with_checks():
    """The mutants that name a check which must fail; the others are for the explorer alone.

    Those of one kernel and one place follow each other: less is to be built again.
    """
    guards = series.guards()
    return sorted((name for name in guards if guards[name].fails),
                  key=lambda name: (guards[name].where, guards[name].on))


def mutant(base, tally, commit, name, initrd):
    """Remove one guard: each check that the mutant names must fail, or the kernel die in it."""
    guard = series.Mutant(name)
    mutated = series.mutate(base, commit[guard.on], guard)
    log = f"mutant-{name}"
    if guard.where == "uml" and not base.uml_smp:
        seen = kunit_qemu(base, mutated, log, "folio_race*" if guard.on == "lab" else "",
                          guard.append, bool(guard.dies))
    elif guard.where == "qemu":
        image = build.kernel(base, mutated, log)
        append = f"kunit.enable=0 lab.test={sched.INTERFACE}" if guard.on == "lab" else ""
        seen, _ = checks.boot(base, judge.Tally(), image, initrd, log, append,
                              dies=bool(guard.dies))
        if not append:
            seen.update(checks.kunit_of_console(base, log))
    else:
        base.checkout(mutated)
        with stage(f"KUnit under UML: {log}"):
            if guard.on == "lab":
                seen, _ = race.kunit_uml(base, log, suite="folio_race*", append=guard.append)
            else:
                seen, _ = checks.kunit_uml(base, log)
    for check in guard.fails:
        # A kernel that dies in another check is no proof
        dead = check == guard.dies and check not in seen and judge.died(seen)
        tally.check(dead or seen.get(check) == "fail", f"{check} is {seen.get(check, 'missing')}, "
                    f"not fail, with this removed: {guard.removes}", f"./run mutant {name}")
    return seen


def kunit_qemu(base, commit, log, suite="", append=(), dies=False):
    """KUnit's results under QEMU, where UML can't have them; the kernel may die in it if dies."""
    image = build.kernel(base, commit, log)
    words = ["lab.kunit", *[f"kunit.filter_glob={suite}"] * bool(suite), *append]
    with stage(f"boot {log}"), contextlib.suppress(*[Fail] * dies):
        guest.boot(image, guest.initramfs(base), log, " ".join(words))
    return checks.kunit_of_console(base, log)


def cmd_mutant(base, tally, args):
    names = with_checks()
    if args.name and args.name not in names:
        if args.name in series.mutants():
            where = series.Mutant(args.name).where
            how = f"mutants {args.name}" if where == "uml" else f"debugged {where}"
            raise Fail(f"{args.name} names no check; what catches it is ./run {how}")
        raise Fail(f"there is no mutant '{args.name}'; there are: {', '.join(names)}")
    commit = commits(base)
    initrd = guest.initramfs(base, build.selftests(base, commit["tree"]))
    for name in [args.name] if args.name else names:
        seen = mutant(base, tally, commit, name, initrd)
        for check in sorted(check for check, verdict in seen.items() if verdict == "fail"):
            print(f"  fails without the guard: {check}")
    return tally.verdict()


def cmd_kunit(base, tally, args):
    suite = args.name.partition(".")[0]
    if not kunit_wanted("qemu", suite):
        also = any(fnmatch.fnmatchcase(each.split(".")[0], suite)
                   for each in judge.section("race"))
        raise Fail(f"{args.name} is of the lab: ./run replay runs its suites" if also else
                   f"there is no suite '{args.name}'; there are: " + ", ".join(
                       dict.fromkeys(name.split(".")[0] for name in kunit_wanted("qemu", ""))))
    commit = commits(base)
    place = args.on or ("uml-smp" if base.uml_smp else "qemu")
    if place != "qemu" and not base.uml_smp:
        raise Fail(f"UML has one CPU in Linux {base.version}, where the suites need two: "
                   f"--on qemu")
    if place != "qemu":
        seen = uml(base, tally, commit[PATCHED], place, args.name)
    else:
        rerun = f"{checks.KUNIT_QEMU} {args.name}".strip()
        seen = kunit_qemu(base, commit[PATCHED], PATCHED, args.name)
        tally.add("qemu", seen, kunit_wanted("qemu", args.name), rerun)
        checks.console_is_clean(base, tally, PATCHED, logfile(f"{PATCHED}.console"), rerun)
    for name, verdict in seen.items():
        print(f"  {verdict:5} {name}")
    return tally.verdict()


def cmd_selftest(base, tally, args):
    if args.name in STATES:
        if args.kernel:
            raise Fail(f"one kernel at a time: ./run selftest [TEST] {args.name}")
        args.name, args.kernel = "", args.name
    args.kernel = args.kernel or PATCHED
    if args.name and args.name not in build.SELFTESTS:
        raise Fail(f"there is no selftest '{args.name}'; there are: {', '.join(build.SELFTESTS)}")
    if args.name in sched.ARGUMENTS:
        return cmd_selftest_lab(base, tally, args)
    if args.kernel not in STATES:
        raise Fail(f"there is no kernel '{args.kernel}'; there are: {', '.join(STATES)}")
    commit = commits(base)
    rerun = " ".join(filter(None, ("./run selftest", args.name, args.kernel)))
    image = build.kernel(base, commit[args.kernel], args.kernel)
    initrd = guest.initramfs(base, build.selftests(base, commit["tree"]))
    seen, _ = checks.boot(base, tally, image, initrd, "selftest",
                          "kunit.enable=0" + (f" lab.test={args.name}" if args.name else ""),
                          rerun=rerun)
    with open(logfile("selftest.tap"), errors="replace") as text:
        print(text.read())
    section = "stress" if args.name == stress.TEST else "selftests"
    want = judge.load(section, STATES)[args.kernel]
    if args.name:       # run_vmtests.sh, which judges a test as a whole, is left out
        own = {args.name, *build.fixtures(args.name)}
        want = {name: verdict for name, verdict in want.items()
                if "." in name and name.split(".")[0] in own}
    tally.add(args.kernel, seen, want, rerun)
    return tally.verdict()


def cmd_selftest_lab(base, tally, args):
    """A selftest that needs sync points."""
    columns = [args.kernel] if args.kernel != PATCHED else sched.COLUMNS[-1:]
    if columns[0] not in sched.COLUMNS:
        raise Fail(f"there is no kernel '{args.kernel}' with sync points; there are: "
                   + ", ".join(sched.COLUMNS))
    commit = commits(base)
    initrd = guest.initramfs(base, build.selftests(base, commit["tree"]))
    sched.selftests(base, tally, commit, initrd, columns, args.name)
    with open(logfile(f"sched-{race.KERNELS[columns[0]]}.tap"), errors="replace") as text:
        print(text.read())
    return tally.verdict()


def cmd_explore(base, tally, args):
    explore.check_arguments(args)
    if args.print_command:
        return explore.print_command(base, commits(base), args)
    explore.explore(base, tally, commits(base), args)
    return tally.verdict()


def cmd_mutants(base, tally, args):
    rows, guards = explore.mutants(base, tally, commits(base), args.names)
    print(f"\n{explore.mutant_table(rows)}{explore.explanations(rows, guards)}")
    return tally.verdict()


def cmd_replay(base, tally, args):
    """Scenarios of the lab, one table of steps each; or a schedule of the explorer."""
    files = [each for each in args.ids if sched.is_file(each)]
    if files:
        if len(args.ids) > 1 or args.repeat or args.mutant:
            raise Fail("one schedule file at a time is replayed, and once: ./run replay FILE.sched")
        sched.follow(base, tally, commits(base), files[0], [args.on] if args.on else sched.COLUMNS)
        return tally.verdict()
    if args.on:
        raise Fail("--on goes with a schedule file: ./run replay --on stock FILE.sched")
    if explore.is_schedule(args):
        explore.follow(base, tally, commits(base), args.ids[0], args.mutant)
        return tally.verdict()
    columns = race.qemu(base, tally, commits(base), args.ids, args.repeat)
    for which in args.ids or race.titles():
        race.print_steps(columns, which)
    print(f"\n{replay.verdict_table(columns)}")
    race.write_page(base, columns)
    return tally.verdict()


def cmd_stress(base, tally, args):
    stress.stress(base, tally, commits(base), args)
    return tally.verdict()


def cmd_results(base, tally, args):
    """Without BASE on each kernel that there is a series for, one after the other."""
    if os.environ.get("KDIR"):
        raise Fail("the results are those of Debian's kernels: unset KDIR")
    for version in bases.wanted():
        one = base if version == base.series else further(tally, version)
        if not one:
            continue
        with tally.on(f"BASE={version} "):
            commit = commits(one)
            for part in args.parts or results.PARTS:
                results.keep(one, part, results.PARTS[part](one, tally, commit, STATES))
    results.write()
    return tally.verdict()


def cmd_bench(base, tally, args):
    if not base.uml_smp:
        raise Fail(f"the times are those of UML with two CPUs, and UML has one in Linux "
                   f"{base.version}: BASE=7.3 ./run bench")
    commit = commits(base)
    bench.bench(base, tally, commit, build.selftests(base, commit["tree"]))
    return tally.verdict()


def cmd_matrix(base, tally, args):
    matrix.matrix(base, tally, commits(base), args.names)
    return tally.verdict()


def cmd_litmus(base, tally, args):
    gate.litmus(base, tally)
    return tally.verdict()


def cmd_docs(base, tally, args):
    gate.documentation(base, tally, commits(base))
    return tally.verdict()


def cmd_debugged(base, tally, args):
    commit = commits(base)
    for checker in args.checkers or debugged.CHECKERS:
        debugged.debugged(base, tally, commit, checker)
    return tally.verdict()


def cmd_own(base, tally, args):
    own.chosen(args.names)      # says what there is before anything is built
    own.own(base, tally, commits(base), args.names)
    return tally.verdict()


def cmd_tree(base, tally, args):
    commit = commits(base)
    tree = series.Tree(base)
    how = tree.make(commit["tree"])
    print(f"{tree.name}: Linux {base.version} and the series as commits, {how}.  Hack, commit "
          "--amend or rebase -i base,\nthen ./run series --import takes the commits back.")
    return 0


def cmd_series(base, tally, args):
    if base.foreign:
        raise Fail(f"the series is for Linux {base.series}, and this is {base.version}: unset KDIR")
    if args.take_back:
        tree = series.Tree(base)
        tree.take_back()
        tree.settle(commits(base)["tree"])
        for version in bases.VERSIONS[1:]:      # what is only theirs goes by the same names
            for which in series.ALL:
                series.patches(which, version)
    changed = series.write_mails(base)
    print("\n".join("rewritten: " + name for name in changed)
          or "patches/ is what the series composes to")
    return 0


def cmd_shell(base, tally, args):
    commit = commits(base)
    image = build.kernel(base, commit[PATCHED], PATCHED)
    guest.shell(image, guest.initramfs(base, build.selftests(base, commit["tree"])))
    return 0


def ident(text):
    """What ./run replay takes."""
    return sched.ident(text) if sched.is_file(text) else explore.ident(text)


def positive(text):
    if not text.isdecimal() or int(text) < 1:
        raise Fail(f"'{text}': a number is wanted, from 1 on")
    return int(text)


def arguments():
    parser = argparse.ArgumentParser(prog="./run", add_help=False)
    parser.set_defaults(command=cmd_main, name="", at_once=None, print_command=False)
    sub = parser.add_subparsers()
    for name, command in (("test", cmd_test), ("kunit", cmd_kunit), ("selftest", cmd_selftest),
                          ("replay", cmd_replay), ("explore", cmd_explore),
                          ("stress", cmd_stress), ("debugged", cmd_debugged),
                          ("matrix", cmd_matrix), ("bench", cmd_bench), ("results", cmd_results),
                          ("own", cmd_own),
                          ("mutants", cmd_mutants), ("mutant", cmd_mutant), ("litmus", cmd_litmus),
                          ("docs", cmd_docs), ("tree", cmd_tree), ("series", cmd_series),
                          ("shell", cmd_shell)):
        one = sub.add_parser(name, add_help=False, allow_abbrev=False)
        one.set_defaults(command=command)
        if name == "test":
            one.add_argument("--all", action="store_true")
        elif name == "series":
            one.add_argument("--import", dest="take_back", action="store_true")
        elif name in ("kunit", "selftest", "mutant"):
            one.add_argument("name", nargs="?", default="")
            if name == "kunit":
                one.add_argument("--on", choices=judge.KUNITS[:3])
        elif name == "replay":
            one.add_argument("ids", nargs="*", type=ident)
            one.add_argument("--on", choices=sched.COLUMNS)
            one.add_argument("--list", dest="at_once", action="store_const",
                             const=race.print_titles)
            one.add_argument("--repeat", type=positive)
            one.add_argument("--mutant", type=explore.removed, default=[])
        elif name == "explore":
            explore.arguments(one)
        elif name == "stress":
            stress.arguments(one)
        elif name == "debugged":
            one.add_argument("checkers", nargs="*", type=debugged.checker)
        elif name == "mutants":
            one.add_argument("names", nargs="*", type=explore.guard_name)
        elif name == "matrix":
            one.add_argument("names", nargs="*", type=matrix.row_name)
            one.add_argument("--list", dest="at_once", action="store_const",
                             const=matrix.print_rows)
        elif name == "own":
            one.add_argument("names", nargs="*")
        elif name == "results":
            one.add_argument("parts", nargs="*", type=results.part)
        if name == "selftest":
            one.add_argument("kernel", nargs="?", default="")
    return parser.parse_args()


def interrupted(signum, frame):
    raise KeyboardInterrupt


def main():
    positive(build.JOBS)
    args = arguments()
    if args.at_once:
        return args.at_once()
    for signum in (signal.SIGHUP, signal.SIGTERM):      # nothing is to outlive a terminal
        signal.signal(signum, interrupted)
    os.makedirs(LOG, exist_ok=True)
    lock = open(os.path.join(OUT, ".lock"), "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Fail("another ./run is at work in out/: wait for it, or end it") from None
    judge.Tally.base = "".join(f"{name}={os.environ[name]} " for name in ("KDIR", "BASE")
                               if os.environ.get(name))
    tally = judge.Tally()
    with contextlib.redirect_stdout(sys.stderr if args.print_command else sys.stdout):
        try:
            return args.command(bases.get(), tally, args)
        except KeyboardInterrupt:
            if tally.failed:
                print("not run: what comes after that")
                tally.verdict()
            raise
        except (Fail, OSError) as failure:
            if not tally.passed and not tally.failed:
                raise
            print("not run: what comes after that")
            tally.check(False, str(failure), shlex.join(["./run", *sys.argv[1:]]))
            return tally.verdict()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Fail, OSError) as failure:
        print(f"run: {failure}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nrun: interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
