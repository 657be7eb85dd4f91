# SPDX-License-Identifier: GPL-2.0-only
"""The lab's kernel under QEMU with one of the kernel's checkers on: its suites and selftests."""
import re

from driver.core import expected, tap
from driver.core.paths import read, shown
from driver.core.stage import Fail, say, stage
from driver.kernel import build, console, mutant, qemu
from driver.suites import kunit, scenarios, schedule_files, selftests, stress

CHECKERS = ("kasan", "locking", "kcsan")
TIME_LIMIT = 1800
# KASAN takes an eighth of the memory, and keeps what was freed.
MACHINE = {"kasan": ["-m", "1536M"]}
# Emulated, with a checker on, the CPUs are too slow for each other to compare clocks; and one
# test holds a thread that reads under RCU until kswapd has come by.  no5lvl: identify_cpu() clears
# boot_cpu_data's features for a moment.  If an interrupt comes then, KASAN takes an address of
# five-level paging for wild.
APPEND = "tsc=reliable rcupdate.rcu_cpu_stall_timeout=300 no5lvl"
# All interleavings would take hours, and with KCSAN in vain: one actor runs at a time.
# ./run test explores under UML with the other two.
EXPLORER = "folio_explore"
# The lab's suites in the second run of KUnit
LAB_AGAIN = {"again.folio_race": "pass", "again.folio_links": "pass"}
# A minute
STRESSED = f"kunit.enable=0 guest.test={stress.TEST} guest.args=-t,60,-s,1"
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


def kernel(context, which, commit, name):
    return build.kernel(context.base, commit, name, build.X86_64,
                        [build.fragment(f"debug-{which}")], f"x86_64-{which}")


def boot(image, initrd, which, what, append):
    name = f"debugged-{which}-{what}"
    with stage(f"boot with {which}: {what}") as this:
        path, tests = qemu.boot(image, initrd, name, f"{APPEND} {append}", TIME_LIMIT,
                                MACHINE.get(which, ()))
        results, _ = tap.parse(read(tests))
        this.note = f"{len(results)} results"
    return name, path, read(tests), results


def our_functions(context):
    return touched(context.base.git("diff", "--unified=0", context.commit["stock"],
                                    context.commit["mm+lab"], "--", "*.c", "*.h", ":!tools"))


def console_is_clean(context, path, which, rerun):
    if which == "kcsan":        # which the base has something to say to, too
        text, others = data_races(read(path), our_functions(context))
        with open(path, "w") as log:
            log.write(text)
        for title in sorted(set(others)):
            say(f"  a data race of the base's own: {title} ({others.count(title)} times)")
    console.is_clean(context, f"mm+lab with {which}", path, rerun)


def debugged(context, which):
    rerun = f"./run debugged {which}"
    image = kernel(context, which, context.commit["mm+lab"], f"mm+lab-{which}")
    initrd = selftests.initramfs(context)

    log, path, _, results = boot(image, initrd, which, "folio",
                                 f"kunit.filter=module!={EXPLORER}_kunit")
    scenarios.judge(context, "patched", kunit.QEMU, kunit.of_console(context, log), log,
                    without=EXPLORER, rerun=rerun)
    context.tally.add(f"selftests with {which}", results,
                      {**expected.load("selftests")["mm"], **LAB_AGAIN}, rerun)
    console_is_clean(context, path, which, rerun)

    _, path, text, results = boot(image, initrd, which, "sync",
                                  f"kunit.enable=0 guest.category={schedule_files.CATEGORY}")
    schedule_files.judge(context, f"system calls with {which}", results,
                         expected.load("schedule_files", context.base.release)["patched"],
                         schedule_files.stories(text), rerun)
    console_is_clean(context, path, which, rerun)

    # More of it, with all that it takes, is ./run stress --debug
    _, path, text, _ = boot(image, initrd, which, "stress", STRESSED)
    stress.judge(context.tally, "mm", text, rerun, whole=False)
    console_is_clean(context, path, which, rerun)

    for each in mutant.known().values():
        if each.where == which:
            control(context, initrd, each, rerun)


def control(context, initrd, guard, rerun):
    """Without the guard, the checker must have something to say of a function of the series."""
    which, log = guard.where, f"mutant-{guard.name}"
    commit = mutant.mutate(context.base, context.commit["mm+lab"], guard)
    image = kernel(context, which, commit, log)
    with stage(f"boot {log}"):
        path, _ = qemu.boot(image, initrd, log, f"{APPEND} {STRESSED}", TIME_LIMIT,
                            MACHINE.get(which, ()))
    found, _ = data_races(read(path), our_functions(context))
    context.tally.check(DATA_RACE.search(found), f"{which} has nothing to say ({shown(path)}) with "
                        f"this removed: {guard.removes}", rerun)
