# SPDX-License-Identifier: GPL-2.0-only
"""The lab's kernel under QEMU with one of the kernel's checkers on: its suites and selftests."""

import os
import re

import build
import checks
import guest
import judge
import race
import sched
import series
import stress
from stage import ROOT, Fail, stage

CHECKERS = ("kasan", "locking", "kcsan")
TIME_LIMIT = 1800
# KASAN takes an eighth of the memory, and keeps what was freed.
MACHINE = {"kasan": ["-m", "1536M"]}
# Emulated, with a checker on, the CPUs are too slow for each other to compare clocks; and one
# test holds a thread that reads under RCU until kswapd has come by.
APPEND = "tsc=reliable rcupdate.rcu_cpu_stall_timeout=300"
# All interleavings would take hours, and with KCSAN in vain: one actor runs at a time.
# ./run test explores under UML with the other two.
EXPLORER = "folio_explore"
STRESS = 60                 # seconds
# Two CPUs at the same folio all the time: what a checker must not miss, it sees there.
CONTENDED = "folio_isolate_lru.isolate_contended"
# One of KCSAN's reports, and the functions that it is about.
DATA_RACE = re.compile(r"^.*={60,}\n.*BUG: KCSAN: (?:data-race|assert: race) in (.*)\n"
                       r"(?:(?!.*={60,}).*\n)*.*={60,}\n", re.M)


def checker(name):
    if name not in CHECKERS:
        raise Fail(f"there is no checker '{name}'; there are: {', '.join(CHECKERS)}")
    return name


def fragment(which):
    return os.path.join(ROOT, "scripts", f"debug-{which}.config")


def touched(diff):
    """The functions that a diff without context changes or adds."""
    heads = re.findall(r"^@@ .* @@ (.*)$|^\+([a-z_].*\($|[a-z_].*\).*|[a-z_].*,)$", diff, re.M)
    return {name for head in heads for text in head
            for name in re.findall(r"(\w+)\(", text)[:1]}


def data_races(text, ours):
    """(the text without the reports that are not about ours, their titles)."""
    others = []

    def judge_report(report):
        if ours & set(re.findall(r"\w+", report[1])):
            return report[0]
        others.append(report[1])
        return ""
    return DATA_RACE.sub(judge_report, text), others


def boot(image, initrd, which, what, append):
    name = f"lab-{which}-{what}"
    with stage(f"boot {name}") as this:
        console, tests = guest.boot(image, initrd, name, f"{APPEND} {append}", TIME_LIMIT,
                                    MACHINE.get(which, ()))
        results, _ = judge.tap(checks.read(tests))
        this.note = f"{len(results)} results"
    return console, checks.read(tests), results


def our_functions(base, commit):
    return touched(base.git("diff", "--unified=0", commit["stock"], commit["lab"], "--",
                            "*.c", "*.h", ":!tools"))


def console_is_clean(base, tally, commit, console, which, rerun):
    if which == "kcsan":        # which the base has something to say to, too
        text, others = data_races(checks.read(console), our_functions(base, commit))
        with open(console, "w") as log:
            log.write(text)
        for title in sorted(set(others)):
            print(f"  a data race of the base's own: {title} ({others.count(title)} times)")
    checks.console_is_clean(base, tally, f"lab with {which}", console, rerun)


def debugged(base, tally, commit, which):
    rerun = f"./run debugged {which}"
    image = build.kernel(base, commit["lab"], f"lab-{which}", f"x86_64-{which}",
                         [fragment(which)])
    initrd = guest.initramfs(base, build.selftests(base, commit["tree"]))

    console, _, results = boot(image, initrd, which, "folio",
                               f"kunit.filter=module!={EXPLORER}_kunit")
    race.judged(tally, "qemu", "patched", checks.kunit_of_console(base, f"lab-{which}-folio"),
                checks.read(console), without=EXPLORER, rerun=rerun)
    tally.add(f"selftests with {which}", results, judge.load("selftests", ["stock", "mm"])["mm"],
              rerun)
    console_is_clean(base, tally, commit, console, which, rerun)

    console, text, results = boot(image, initrd, which, "sync",
                                  f"kunit.enable=0 lab.category={sched.CATEGORY}")
    sched.judged(tally, f"system calls with {which}", results,
                 judge.load("sched", sched.COLUMNS, base.series)["patched"], sched.story(text),
                 rerun)
    console_is_clean(base, tally, commit, console, which, rerun)

    # More of it, with all that it takes, is ./run stress --debug
    console, text, _ = boot(image, initrd, which, "stress", "kunit.enable=0 "
                            f"lab.test={stress.TEST} lab.args=-t,{STRESS},-s,1")
    stress.judged(tally, "mm", text, rerun, whole=False)
    console_is_clean(base, tally, commit, console, which, rerun)

    for name, guard in series.guards().items():
        if guard.where == which:
            control(base, tally, commit, initrd, guard, rerun)


def control(base, tally, commit, initrd, guard, rerun):
    """Without the guard, the checker must have something to say of a function of the series."""
    which = guard.where
    image = build.kernel(base, series.mutate(base, commit["lab"], guard), f"mutant-{guard.name}",
                         f"x86_64-{which}", [fragment(which)])
    log = f"mutant-{guard.name}"
    with stage(f"boot {log}"):
        console, _ = guest.boot(image, initrd, log, f"{APPEND} lab.kunit "
                                f"kunit.filter_glob={CONTENDED}", TIME_LIMIT,
                                MACHINE.get(which, ()))
    found, _ = data_races(checks.read(console), our_functions(base, commit))
    tally.check(DATA_RACE.search(found), f"{which} has nothing to say ({console}) with this "
                f"removed: {guard.removes}", rerun)
