# SPDX-License-Identifier: GPL-2.0-only
"""The lab: claimed races, replayed on a stock and on a patched kernel with sync points."""

import difflib
import os
import re

import build
import checks
import guest
import judge
import replay
from stage import OUT, ROOT, Fail, logfile, stage

# {column: which of lab.commits()}
KERNELS = {"stock": "lab-stock", "patched": "lab"}
SOURCE = os.path.join(ROOT, "lib/tests/folio_race_kunit.c")
SUITE = "folio_race.replay."
KUNITCONFIG = "lib/tests/folio_race.kunitconfig"
UML_FOLDER = "um-lab"
# UML has no CONFIG_TRANSPARENT_HUGEPAGE.
LARGE = "folio_explore.explore_set.FTM/large"
# What the release of a folio that is on a list comes to on stock, as a WARN with its trace.
CORRUPTION = re.compile(r"^.*\[ cut here \].*\n(?:.*\n)?.*list_del corruption(?:.*\n)*?"
                        r".*end trace.*\n", re.M)
KNOWN = {"stock": CORRUPTION}
# UML's flush_tlb_mm() walks the VMAs.  tlb_finish_mmu() calls it without the mmap_lock when two
# threads unmap at once, as truncation and reclaim do in the explorer.
UML_FLUSH = re.compile(r"^=+\nWARNING: suspicious RCU usage\n(?:(?!WARNING).*\n)*?"
                       r".*\bflush_tlb_mm\+.*\n", re.M)
PAGE = os.path.join(OUT, "replay.html")
RERUN = "./run replay"


def titles():
    """{id: title} of the scenarios, from the source of the suite."""
    with open(SOURCE) as source:
        table = re.search(r"scenarios\[\] = {$(.*?)^};", source.read(), re.M | re.S)
    found = table and re.findall(r'\.id = "([^"]+)",\s*\.title = "([^"]+)"', table[1])
    if not found:
        raise Fail(f"no scenario found in {SOURCE}")
    return dict(found)


def print_titles():
    for each, title in titles().items():
        print(f"{each:8} {title}")
    return 0


def ident(name):
    """The id of a scenario, as an argument of ./run replay."""
    known = {each.lower(): each for each in titles()}
    if name not in known.values():
        near = difflib.get_close_matches(name.lower(), known, cutoff=0)
        raise Fail(f"there is no scenario '{name}'; the nearest are "
                   + ", ".join(known[each] for each in near)
                   + " (./run replay --list names all)")
    return name


def times(repeat):
    return f"folio_race_kunit.repeat={repeat}" if repeat else ""


def judged(tally, place, column, results, console, idents=(), without=None, rerun=RERUN):
    """Count what one kernel gave, all of it, without a suite, or some scenarios; return these."""
    where, scenarios = f"lab, {column}, {place}", replay.parse(console)
    want = judge.load("race", KERNELS)[column]
    if place != "qemu":
        want[LARGE] = "skip"
    if idents:
        names = {SUITE + each for each in idents}
        want = {name: verdict for name, verdict in want.items() if name in names}
        results = {name: verdict for name, verdict in results.items() if name in names}
        scenarios = {each: scenarios[each] for each in idents if each in scenarios}
    else:
        results["console.no_list_del_corruption"] = "fail" if CORRUPTION.search(console) else "pass"
        if column == "patched":     # has the suites of the mm series as well
            want.update(judge.load("kunit", judge.KUNITS)[place])
        want = {name: verdict for name, verdict in want.items()
                if name.split(".")[0] != without}
    tally.add(where, results, want, rerun)
    for name in results:
        if name.startswith(SUITE):
            scenario = scenarios.get(name.removeprefix(SUITE))
            tally.check(scenario and (scenario.runs or scenario.skipped),
                        f"{where}: {name} is not on the console as a whole", rerun)
    return scenarios


def clean(base, tally, log, known=None, rerun=RERUN):
    """No kernel is to report anything but what is known."""
    checks.console_is_clean(base, tally, log, logfile(f"{log}.console"), rerun, known)


def qemu(base, tally, commit, idents=(), repeat=None, kernels=KERNELS):
    """Replay under QEMU; return {column: {id: Scenario}}."""
    initrd, columns = guest.initramfs(base), {}
    for column, name in kernels.items():
        image, log = build.kernel(base, commit[name], name), name + base.suffix
        with stage(f"boot {name}") as this:
            console, _ = guest.boot(image, initrd, log, f"lab.kunit {times(repeat)}")
            results = checks.kunit_of_console(base, log)
            this.note = f"{len(results)} results"
        columns[column] = judged(tally, "qemu", column, results, checks.read(console), idents)
        clean(base, tally, log, KNOWN.get(column))
    return columns


def configs(column):
    """What kunit.py configures a lab kernel with."""
    return [KUNITCONFIG, *(["mm"] if column == "patched" else []), build.UML_FRAGMENT]


def kunit_uml(base, name, column="patched", debug=(), **how):
    """checks.kunit_uml() with the configuration of a lab kernel, in a folder of its own."""
    return checks.kunit_uml(base, name, configs=[*configs(column), *debug],
                            **{"folder": UML_FOLDER, **how})


def uml(base, tally, commit, repeat=None, kernels=KERNELS):
    """Replay under UML; return {column: {id: Scenario}}."""
    columns = {}
    for column, name in kernels.items():
        base.checkout(commit[name])
        log = f"uml-{name}{base.suffix}"
        with stage(f"{name} under UML" + (f", {repeat} times" if repeat else "")) as this:
            results, _ = kunit_uml(base, log, column, append=[times(repeat)])
            this.note = f"{len(results)} results"
        console = checks.read(logfile(f"{log}.console"))
        columns[column] = judged(tally, "uml-smp", column, results, console, rerun="./run test")
        clean(base, tally, log, KNOWN.get(column), "./run test")
    return columns


def oops(base, tally, commit):
    """An actor that oopses ends this kernel, which must print the schedule up to there."""
    base.checkout(commit["lab"])
    with stage("lab under UML, an actor oopses"):
        kunit_uml(base, "uml-lab-oops", suite="mm_sync_point.actor_oopses",
                  append=["mm_sync_point_kunit.oops=1"])
    console = logfile("uml-lab-oops.console")
    text = checks.read(console)
    for line in ("Kernel panic", "mm_sync:   1:TEST_1", "mm_sync:   0:TEST_1"):
        tally.check(line in text, f"an actor oopsed, and '{line}' is not on {console}",
                    "./run test")


def debugged(base, tally, commit, checker):
    """Replay under UML with a checker of the kernel's on, which must find nothing."""
    base.checkout(commit["lab"])
    log = f"uml-lab-{checker}"
    with stage(f"lab under UML, {checker} checked") as this:
        fragment = os.path.join(ROOT, "scripts", f"debug-{checker}.config")
        results, _ = kunit_uml(base, log, debug=[fragment], folder=log)
        this.note = f"{len(results)} results"
    rerun = "./run test --all"
    judged(tally, "uml-smp", "patched", results, checks.read(logfile(f"{log}.console")),
           rerun=rerun)
    clean(base, tally, log, UML_FLUSH, rerun)


def same_timelines(tally, columns, others, where):
    """What happened in two places, event by event."""
    for column in columns:
        for which in columns[column].keys() | others[column].keys():
            one, other = columns[column].get(which), others[column].get(which)
            same = one and other and replay.timeline(one) == replay.timeline(other)
            tally.check(same, f"scenario {which} on {column}: the timelines {where} differ"
                        + (f" from event {replay.first_difference(one, other)} on"
                           if one and other and not same else ""), "./run test")


def print_steps(columns, which):
    print(f"\n{which}. {titles()[which]}")
    print(replay.step_table({column: scenarios[which] for column, scenarios in columns.items()
                             if which in scenarios}), end="")


def write_page(base, columns, what="Claimed races on the life of a folio, replayed"):
    page = replay.page(columns, f"{what} on Linux {base.version}")
    with open(PAGE + ".new", "w") as out:
        out.write(page)
    os.rename(PAGE + ".new", PAGE)
    print(f"the timelines: {os.path.relpath(PAGE, ROOT)}")
