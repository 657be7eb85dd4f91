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
from stage import ROOT, Fail, logfile, stage

CHECKERS = ("kasan", "locking", "kcsan")
# They are slow, and KASAN takes memory.
TIME_LIMIT = 1800
MACHINE = ["-m", "2G"]
# One of KCSAN's reports, and the functions that it is about.
DATA_RACE = re.compile(r"^.*={60,}\n.*BUG: KCSAN: (?:data-race|assert: race) in (.*)\n"
                       r"(?:(?!.*={60,}).*\n)*.*={60,}\n", re.M)


def checker(name):
    if name not in CHECKERS:
        raise Fail(f"there is no checker '{name}'; there are: {', '.join(CHECKERS)}")
    return name


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


def boot(image, initrd, name, append):
    with stage(f"boot {name}") as this:
        console, tests = guest.boot(image, initrd, name, append, TIME_LIMIT, MACHINE)
        results, _ = judge.tap(checks.read(tests))
        this.note = f"{len(results)} results"
    return console, checks.read(tests), results


def console_is_clean(base, tally, commit, console, which, rerun):
    if which == "kcsan":        # which the base has something to say to, too
        diff = base.git("diff", "--unified=0", commit["stock"], commit["lab"], "--", "*.c", "*.h",
                        ":!tools")
        text, others = data_races(checks.read(console), touched(diff))
        with open(console, "w") as log:
            log.write(text)
        for title in sorted(set(others)):
            print(f"  a data race of the base's own: {title} ({others.count(title)} times)")
    checks.console_is_clean(base, tally, f"lab with {which}", console, rerun)


def debugged(base, tally, commit, which):
    rerun = f"./run debugged {which}"
    name = f"lab-{which}"
    fragment = os.path.join(ROOT, "scripts", f"debug-{which}.config")
    image = build.kernel(base, commit["lab"], name, f"x86_64-{which}", [fragment])
    initrd = guest.initramfs(base, build.selftests(base, commit["tree"]))

    console, _, results = boot(image, initrd, f"{name}-folio", "")
    race.judged(tally, "qemu", "patched", checks.kunit_of_console(base, f"{name}-folio"),
                checks.read(console))
    tally.add(f"selftests with {which}", results, judge.load("selftests", ["stock", "mm"])["mm"],
              rerun)
    console_is_clean(base, tally, commit, console, which, rerun)

    console, text, results = boot(image, initrd, f"{name}-sync",
                                  f"kunit.enable=0 lab.category={sched.CATEGORY}")
    sched.judged(tally, f"system calls with {which}", results,
                 judge.load("sched", sched.COLUMNS)["patched"], sched.story(text), rerun)
    console_is_clean(base, tally, commit, console, which, rerun)
