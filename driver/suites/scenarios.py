# SPDX-License-Identifier: GPL-2.0-only
"""Claims, replayed step by step on a stock and on a patched kernel, both with sync points."""

import difflib
import os
import re

from driver.core import expected
from driver.core.paths import OUT, ROOT, logfile, read, shown, write
from driver.core.stage import Fail, say, stage
from driver.kernel import build, console
from driver.kernel.compose import STOCK_LAB
from driver.story import model, page, text
from driver.suites import kunit, picture, record
from driver.suites.kunit import UML_SMP

# {column: kernel}
KERNELS = {"stock": STOCK_LAB, "patched": "mm+lab"}
SOURCE = os.path.join(ROOT, "lib/tests/folio_race_kunit.c")
SUITE = "folio_race.replay."
# UML has no CONFIG_TRANSPARENT_HUGEPAGE.
LARGE = [*(f"folio_explore.explore_set.{name}" for name in
           ("FTM/large", "FT/pair/size", "TL/large", "SL/large", "ST/pair/size", "FS/pair")),
         *(f"folio_explore.check_reports.{name}" for name in ("lookup", "place", "tail", "refs"))]
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


def claims(folder=None):
    """{id: Claim} of those that a scenario of their name replays."""
    return {name: claim for name, claim in record.load(folder).items() if claim.scenario}


def titles():
    """{id: title} of the scenarios, from the source of the suite."""
    table = re.search(r"scenarios\[\] = {$(.*?)^};", read(SOURCE), re.M | re.S)
    found = table and re.findall(r'\.id = "([^"]+)",\s*\.title = "([^"]+)"', table[1])
    if not found:
        raise Fail(f"no scenario found in {shown(SOURCE)}")
    return dict(found)


def ident(name):
    """The id of a scenario, as an argument of ./run replay."""
    known = {each.lower(): each for each in titles()}
    if name not in known.values():
        near = difflib.get_close_matches(name.lower(), known, cutoff=0)
        raise Fail(f"there is no scenario '{name}'; the nearest are "
                   + ", ".join(known[each] for each in near)
                   + " (./run replay --list names all)")
    return name


def log_of(context, column, place):
    """What the console of the replays is called."""
    return f"replay-{place}-{column}{context.base.suffix}"


def image(context, column, place):
    """The kernel of a column."""
    name = KERNELS[column]
    return build.kernel(context.base, context.commit[name], name,
                        kunit.ARCHS.get(place, build.UML))


def wanted(column, place, idents=(), without=None, release=""):
    """What the suites of a kernel with sync points are to come to, all or some scenarios."""
    want = expected.load("scenarios", release)[column]
    # A test fails if, and only if, what was claimed does happen
    want.update({SUITE + name: "pass" if model.good(claim.verdicts[column].partition(":")[0])
                 else "fail" for name, claim in claims().items()})
    if place not in kunit.ARCHS:
        want.update(dict.fromkeys(LARGE, "skip"))
    if idents:
        names = {SUITE + each for each in idents}
        return {name: verdict for name, verdict in want.items() if name in names}
    if column == "patched":     # has the suites of the mm series as well
        want.update(kunit.wanted(place))
    return {name: verdict for name, verdict in want.items() if name.split(".")[0] != without}


def judge(context, column, place, results, log, idents=(), without=None, rerun=RERUN):
    """Count what one kernel gave, all of it, less a suite, or some scenarios; return these."""
    printed = read(logfile(f"{log}.console"))
    where, scenarios = f"replays, {column}, {place}", model.parse(printed)
    want = wanted(column, place, idents, without, context.base.release)
    if idents:
        results = {name: verdict for name, verdict in results.items()
                   if name in {SUITE + each for each in idents}}
        scenarios = {each: scenarios[each] for each in idents if each in scenarios}
    else:
        results["console.no_list_del_corruption"] = "fail" if CORRUPTION.search(printed) else "pass"
    kunit.add(context, where, results, want, rerun, f"{log}.console")
    for name, result in results.items():
        if name.startswith(SUITE):
            which = name.removeprefix(SUITE)
            judge_claim(context.tally, where, column, which, result, scenarios.get(which))
    return scenarios


def judge_claim(tally, where, column, which, result, scenario):
    """The verdict is as expected, word for word, and the result of the test agrees with it."""
    rerun, claim = f"./run replay {which}", claims().get(which)
    if not scenario or not (scenario.runs or scenario.skipped):
        tally.fail(f"{where}: {SUITE}{which} is not on the console as a whole", rerun)
        return
    if scenario.skipped:
        return                  # which is a result
    if not claim:
        tally.fail(f"{where}: the claim {which} is new: say in driver/expected/claims.toml whose "
                   "it is, and what should come of it", rerun)
        return
    said, want = model.verdict(scenario), claim.verdicts[column]
    tally.check(said == want, f"{where}: {which} is '{said}', expected '{want}'", rerun)
    tally.check(scenario.injected == claim.injected, f"{where}: {which} injects "
                f"'{scenario.injected}', expected '{claim.injected}'", rerun)
    tally.check((result == "pass") == model.good(scenario.outcome),
                f"{where}: {which} is '{said}', but its test is '{result}'", rerun)


def on(context, column, place, idents=(), repeat=None):
    """Replay on one kernel; return {id: Scenario}."""
    name, log = KERNELS[column], log_of(context, column, place)
    rerun = f"{RERUN} --on {place}" if place == kunit.ARM64 else RERUN
    suite = SUITE.rstrip(".") if idents else ""
    append = [f"folio_race_kunit.repeat={repeat}"] * bool(repeat)
    kernel = image(context, column, place)
    with stage(f"replay on {name}, {place}" + (f", {repeat} times" if repeat else "")) as this:
        if place in kunit.ARCHS:
            results = kunit.exec_qemu(context, kernel, log, suite, append,
                                      arch=kunit.ARCHS[place])
        else:
            results = kunit.exec_uml(context, kernel, log, suite, append=append)
        this.note = f"{len(results)} results"
        scenarios = judge(context, column, place, results, log, idents, rerun=rerun)
        if len(idents) == 1:
            this.note = f"{idents[0]}: {model.verdict(scenarios.get(idents[0]))}"
    console.is_clean(context, log, logfile(f"{log}.console"), rerun, KNOWN.get(column))
    if picture.CLAIM in scenarios and context.base.newest and not context.base.foreign:
        picture.is_current(context.tally, f"{name}, {place}", scenarios[picture.CLAIM])
    return scenarios


def oops(context):
    """An actor that oopses ends this kernel, which must print the schedule up to there."""
    log, kernel = "replay-oops", image(context, "patched", UML_SMP)
    with stage("an actor oopses, UML"):
        kunit.exec_uml(context, kernel, log, "mm_sync_point.actor_oopses",
                       append=["mm_sync_point_kunit.oops=1"])
    path = logfile(f"{log}.console")
    printed = read(path)
    for line in ("Kernel panic", "mm_sync:   1:TEST_1", "mm_sync:   0:TEST_1"):
        context.tally.check(line in printed,
                            f"an actor oopsed, and '{line}' is not on {shown(path)}")


def debugged(context, checker):
    """Replay under UML with a checker of the kernel's on, which must find nothing."""
    name, log = KERNELS["patched"], f"replay-uml-{checker}"
    kernel = build.kernel(context.base, context.commit[name], f"{name}-{checker}", build.UML,
                          [build.fragment(f"debug-{checker}")], f"um-{checker}")
    with stage(f"replay on {name}, UML, {checker}") as this:
        results = kunit.exec_uml(context, kernel, log, timeout=1800)
        this.note = f"{len(results)} results"
    judge(context, "patched", UML_SMP, results, log)
    console.is_clean(context, log, logfile(f"{log}.console"), None, UML_FLUSH)


def same_timelines(tally, columns, others, where):
    """What happened in two places, event by event."""
    for column in columns:
        for which in columns[column].keys() | others[column].keys():
            one, other = columns[column].get(which), others[column].get(which)
            same = one and other and model.timeline(one) == model.timeline(other)
            tally.check(same, f"scenario {which} on {column}: the timelines {where} differ"
                        + (f" from event {model.first_difference(one, other)} on"
                           if one and other and not same else ""))


def steps(columns, which):
    """The steps of a scenario, as text."""
    return f"{which}. {titles()[which]}\n" + text.step_table(
        {column: scenarios[which] for column, scenarios in columns.items() if which in scenarios})


def notes():
    """{id: who claims it, and how that ended}, for the page."""
    return {name: f'Source: <a href="{page.esc(claim.source["link"])}">'
                  f'{page.esc(claim.source["role"])}, {claim.source["date"]}</a>; '
                  f'{page.esc(claim.source["ended"])}.'
            for name, claim in claims().items()}


def write_page(context, columns, what="Claimed races on the life of a folio, replayed"):
    write(PAGE, page.page(columns, f"{what} on Linux {context.base.version}", notes()))
    say(f"the timelines: {shown(PAGE)}")
