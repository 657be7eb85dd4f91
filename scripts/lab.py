# SPDX-License-Identifier: GPL-2.0-only
"""The commands of ./run; scripts/help.txt says what each does."""

import argparse
import contextlib
import fcntl
import os
import sys

import base as bases
import build
import gate
import guest
import judge
import series
from stage import LOG, OUT, ROOT, Fail, JOBS, logfile, run, stage

# The three kernels: name, and what is applied to the base.
STATES = ["stock", "mm", "mm+tcp"]
PATCHED = STATES[-1]
# Where KUnit runs.
KUNITS = ["qemu", "uml-smp", "uml-up", "kunit.py-x86_64"]


def commits(base):
    """{state: commit}, and the patches of each series."""
    with stage("compose the series") as this:
        mm = series.compose(base, series.MM, base.commit)
        net = series.compose(base, series.NET, mm[-1][1])
        this.note = f"{len(mm)} + {len(net)} patches"
    return dict(zip(STATES, (base.commit, mm[-1][1], net[-1][1])))


def boot(base, tally, image, initrd, name, append="", dies=False):
    """Boot and judge the console; return the results of the selftests, and reasons of skips."""
    with stage(f"boot {name}") as this:
        try:
            console, tests = guest.boot(image, initrd, name, append)
        except Fail:
            if not dies:
                raise
            this.note = "the kernel died, as it was to"
            return {}, {}
        with open(console, errors="replace") as text:
            kunit, rest = judge.kunit_lines(text.read())
        with open(tests, errors="replace") as text:
            results, reasons = judge.tap(text.read())
        splats = judge.badness(base, rest) + judge.splats(base, kunit)
        this.note = f"{len(results)} results"
    tally.check(not splats, f"{name}: the console is not clean ({console}): "
                + "; ".join(splats[:3]), f"./run selftest, then read {console}")
    return results, reasons


def kunit_of_console(base, name):
    """KUnit's results on the console of a guest, by the kernel's own parser."""
    report = logfile(f"{name}.kunit.json")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(report)
    run([sys.executable, "tools/testing/kunit/kunit.py", "parse", f"--json={report}",
         logfile(f"{name}.console")], f"{name}.kunit.log", cwd=base.src, check=False)
    if not os.path.exists(report):
        raise Fail(f"kunit.py found no KUnit output on {name}'s console")
    return judge.kunit(report)


def kunit_uml(base, name, suite="", smp=True, check_console=True):
    """Run KUnit under UML through kunit.py; return its results and the bad console lines."""
    report, objects = logfile(f"{name}.json"), os.path.join(base.dir, "um")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(report)
    cmd = [sys.executable, "tools/testing/kunit/kunit.py", "run", "--kunitconfig=mm",
           f"--build_dir={objects}", f"--json={report}", f"--jobs={JOBS}", "--timeout=60",
           *(f"--make_options={option}" for option in build.COMPILER)]
    if smp:
        cmd += ["--kernel_args=seccomp=on", "--kernel_args=ncpus=2"]
    status, log = run(cmd + ([suite] if suite else []), f"{name}.log", cwd=base.src,
                      env=build.ENV, check=False, count=build.is_object)
    if not os.path.exists(report):
        raise Fail(f"kunit.py did not get to run the suites (exit {status}): see {log}")
    with open(os.path.join(objects, "test.log"), errors="replace") as console:
        text = console.read()
    with open(logfile(f"{name}.console"), "w") as copy:
        copy.write(text)
    return judge.kunit(report), judge.splats(base, text) if check_console else []


def cmd_main(base, args):
    """Stock, mm and mm+tcp side by side."""
    commit = commits(base)
    gate.git_am(base, commit[PATCHED])
    images = {state: build.kernel(base, commit[state], state) for state in STATES}
    tests = build.selftests(base, commit[PATCHED])
    initrd = guest.initramfs(base, tests)
    tally, seen = judge.Tally(), {}
    for state in STATES:
        seen[state], reasons = boot(base, tally, images[state], initrd, state)
    kunit = kunit_of_console(base, PATCHED)

    want, kunit_want = judge.load("selftests", STATES), judge.load("kunit", KUNITS)["qemu"]
    print()
    judge.table(STATES, seen, want)
    print("\nKUnit")
    judge.table([PATCHED], {PATCHED: kunit}, {PATCHED: kunit_want})
    print(f"\n{judge.KNOWN}: a defect that this kernel is known to have")
    for name, reason in sorted(reasons.items()):
        print(f"skip on mm+tcp: {name}: {reason}")
    for state in STATES:
        tally.add(state, seen[state], want[state], "./run")
    tally.add("KUnit on mm+tcp", kunit, kunit_want, "./run kunit")
    print(f"what was found at each step: out/log/{{{','.join(STATES)}}}.tap")
    print(f"base: Linux {base.version} ({base.origin})")
    return tally.verdict()


def cmd_test(base, args):
    tally = judge.Tally()
    gate.driver(base, tally)
    commit = commits(base)
    gate.mails(base, tally)
    gate.style(base, tally)
    gate.git_am(base, commit[PATCHED], tally)

    images = gate.every_patch_builds(base, tally)
    gate.static_checks(base, tally, commit)
    tests = build.selftests(base, commit[PATCHED])
    initrd = guest.initramfs(base, tests)
    want = judge.load("selftests", STATES)
    for state in STATES[1:]:        # the first of them is also what a missing tcp patch is
        seen, _ = boot(base, tally, images[commit[state]], initrd, state)
        tally.add(state, seen, want[state], "./run selftest")
    tally.add("KUnit under QEMU", kunit_of_console(base, PATCHED),
              judge.load("kunit", KUNITS)["qemu"], "./run kunit")
    uml(base, tally, commit[PATCHED], "uml-smp", smp=True)
    uml(base, tally, commit[PATCHED], "uml-up", smp=False)
    for name in series.mutants():
        mutant(base, tally, commit, name, initrd)
    if args.all:
        tally.add("kunit.py --arch=x86_64", gate.kunit_x86_64(base, commit["mm"]),
                  judge.load("kunit", KUNITS)["kunit.py-x86_64"], "./run test --all")
    return tally.verdict()


def uml(base, tally, commit, name, smp):
    base.checkout(commit)
    with stage(f"KUnit under UML ({'SMP' if smp else 'one CPU'})") as this:
        seen, splats = kunit_uml(base, name, smp=smp)
        this.note = f"{len(seen)} results"
    tally.add(name, seen, judge.load("kunit", KUNITS)[name], "./run kunit")
    tally.check(not splats, f"{name}: the console is not clean ({logfile(name + '.console')}): "
                + "; ".join(splats[:3]), "./run kunit")


def mutant(base, tally, commit, name, initrd):
    """Remove one guard: each check that the mutant names must fail, or the kernel die in it."""
    guard = series.Mutant(name)
    mutated = series.mutate(base, commit[guard.on], guard)
    log = f"mutant-{name}"
    if guard.where == "qemu":
        image = build.kernel(base, mutated, log)
        seen, _ = boot(base, judge.Tally(), image, initrd, log, dies=bool(guard.dies))
        seen.update(kunit_of_console(base, log))
    else:
        base.checkout(mutated)
        with stage(f"KUnit under UML: {log}"):
            seen, _ = kunit_uml(base, log)
    for check in guard.fails:
        # A kernel that dies in another check is no proof
        dead = check == guard.dies and check not in seen and judge.died(seen)
        tally.check(dead or seen.get(check) == "fail", f"{check} is {seen.get(check, 'missing')}, "
                    f"not fail, with this removed: {guard.removes}", f"./run mutant {name}")
    return seen


def cmd_mutant(base, args):
    names = series.mutants()
    if args.name and args.name not in names:
        raise Fail(f"there is no mutant '{args.name}'; there are: {', '.join(names)}")
    tally = judge.Tally()
    commit = commits(base)
    initrd = guest.initramfs(base, build.selftests(base, commit[PATCHED]))
    for name in [args.name] if args.name else names:
        seen = mutant(base, tally, commit, name, initrd)
        for check in sorted(check for check, verdict in seen.items() if verdict == "fail"):
            print(f"  fails without the guard: {check}")
    return tally.verdict()


def cmd_kunit(base, args):
    commit = commits(base)
    tally = judge.Tally()
    base.checkout(commit[PATCHED])
    expected = judge.load("kunit", KUNITS)["uml-smp"]
    with stage("KUnit under UML (SMP)") as this:
        seen, splats = kunit_uml(base, "uml-smp", args.name)
        this.note = f"{len(seen)} results"
    if args.name:
        expected = {name: want for name, want in expected.items()
                    if name in seen or name.startswith(args.name)}
    for name, verdict in seen.items():
        print(f"  {verdict:5} {name}")
    tally.add("uml-smp", seen, expected, f"./run kunit {args.name}".strip())
    tally.check(not splats, f"the console is not clean: {'; '.join(splats[:3])}", "./run kunit")
    return tally.verdict()


def cmd_selftest(base, args):
    if args.name and args.name not in build.SELFTESTS:
        raise Fail(f"there is no selftest '{args.name}'; there are: {', '.join(build.SELFTESTS)}")
    if args.kernel not in STATES:
        raise Fail(f"there is no kernel '{args.kernel}'; there are: {', '.join(STATES)}")
    commit = commits(base)
    tally = judge.Tally()
    image = build.kernel(base, commit[args.kernel], args.kernel)
    initrd = guest.initramfs(base, build.selftests(base, commit[PATCHED]))
    seen, _ = boot(base, tally, image, initrd, "selftest",
                   "kunit.enable=0" + (f" lab.test={args.name}" if args.name else ""))
    with open(logfile("selftest.tap"), errors="replace") as text:
        print(text.read())
    want = judge.load("selftests", STATES)[args.kernel]
    if args.name:       # run_vmtests.sh, which judges a test as a whole, is left out
        want = {name: verdict for name, verdict in want.items()
                if name in seen or name.startswith(args.name + ".")}
    tally.add(args.kernel, seen, want, f"./run selftest {args.name}".strip())
    return tally.verdict()


def cmd_tree(base, args):
    commit = commits(base)
    tree = series.Tree(base)
    how = tree.make(commit[PATCHED])
    print(f"out/tree: Linux {base.version} and the series as commits, {how}.  Hack, commit "
          "--amend or rebase -i base,\nthen ./run series --import takes the commits back.")
    return 0


def cmd_series(base, args):
    if args.take_back:
        tree = series.Tree(base)
        tree.take_back()
        tree.settle(commits(base)[PATCHED])
    changed = series.write_mails(base)
    print("\n".join("rewritten: " + name for name in changed)
          or "patches/ is what the series composes to")
    return 0


def cmd_shell(base, args):
    commit = commits(base)
    image = build.kernel(base, commit[PATCHED], PATCHED)
    guest.shell(image, guest.initramfs(base, build.selftests(base, commit[PATCHED])))
    return 0


def arguments():
    parser = argparse.ArgumentParser(prog="./run", add_help=False)
    parser.set_defaults(command=cmd_main, name="")
    sub = parser.add_subparsers()
    for name, command in (("test", cmd_test), ("kunit", cmd_kunit), ("selftest", cmd_selftest),
                          ("mutant", cmd_mutant), ("tree", cmd_tree), ("series", cmd_series),
                          ("shell", cmd_shell)):
        one = sub.add_parser(name, add_help=False)
        one.set_defaults(command=command)
        if name == "test":
            one.add_argument("--all", action="store_true")
        elif name == "series":
            one.add_argument("--import", dest="take_back", action="store_true")
        elif name in ("kunit", "selftest", "mutant"):
            one.add_argument("name", nargs="?", default="")
        if name == "selftest":
            one.add_argument("kernel", nargs="?", default=PATCHED)
    return parser.parse_args()


def main():
    args = arguments()
    os.makedirs(LOG, exist_ok=True)
    lock = open(os.path.join(OUT, ".lock"), "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Fail("another ./run is at work in out/: wait for it, or end it") from None
    return args.command(bases.get(), args)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Fail as failure:
        print(f"run: {failure}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nrun: interrupted; nothing is half-written, the same command goes on from here",
              file=sys.stderr)
        sys.exit(130)
