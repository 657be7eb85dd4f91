# SPDX-License-Identifier: GPL-2.0-only
"""Schedule files: real system calls, step by step, on kernels with sync points."""

import os
import re
import shutil
import subprocess
import tempfile

from driver.core import expected
from driver.core.paths import ROOT, logfile, read, shown
from driver.core.stage import Fail, say, stage
from driver.kernel import build, qemu
from driver.story import model, text
from driver.suites import scenarios, selftests
from driver.suites.kunit import QEMU

TEST = "folio_sched"
FOLDER = "schedules"            # of those that are shipped
ALONE = "alone"                 # in it: for a guest of their own, which may be lost to them
FILES = os.path.join(ROOT, "tools/testing/selftests/mm", FOLDER)
CATEGORY = "sync_point"         # of run_vmtests.sh
NEEDS_SWAP = "\nneeds swap"     # says a file
NEEDED = "CONFIG_MM_SYNC_POINTS_DEBUGFS"     # says a test that skips
COLUMNS = list(scenarios.KERNELS)
AS_WRITTEN = "as written"
LAST = 10                       # events before a death
SPLAT = re.compile(r"(?:BUG: |WARNING: |Oops: |kernel BUG at |Kernel panic).*")
# The tests that there are, and what each takes.
INTERFACE = "mm_sync_point"     # tests the files in debugfs
ARGUMENTS = {TEST: f"{FOLDER}/*.sched", INTERFACE: ""}


def is_file(argument):
    return argument.endswith(".sched")


def paths():
    """{name: path} of those that are shipped."""
    return {name: os.path.join(folder, name) for folder in (FILES, os.path.join(FILES, ALONE))
            for name in sorted(os.listdir(folder)) if is_file(name)}


def ident(path):
    """A schedule file, as an argument of ./run replay."""
    if not os.path.isfile(path):
        raise Fail(f"there is no schedule file {path}")
    if not re.fullmatch(r"[\w.-]+", os.path.basename(path)):
        raise Fail(f"{path}: name the file with letters, digits, '_', '-' and '.'")
    return path


def is_run(check):
    """Is a check one of the runs of a schedule file that is shipped?  A case of KUnit is not."""
    return check.count(".") == 3 and f"{check.split('.')[0]}.sched" in paths()


def files(checks):
    """{check: its schedule file, in the guest} of those that are runs of one that is shipped.

    What the guest is told besides follows the name.
    """
    known = {check: paths()[f"{check.split('.')[0]}.sched"] for check in checks if is_run(check)}
    return {check: os.path.relpath(path, os.path.dirname(FILES)) + needs(path)
            for check, path in known.items()}


def checker(context):
    """What looks for mistakes: built at once, or, of an older kernel's, with the selftests."""
    base = context.base
    if base.newest and not base.foreign and not base.has_points:
        return build.schedule_checker(base)
    return os.path.join(build.selftests(base, context.commit["all"]), TEST)


def check(program, path):
    """Say what is wrong in a schedule file before anything is composed or built for it."""
    said = subprocess.run([program, "-c", path], capture_output=True, text=True)
    if said.returncode:
        raise Fail((said.stderr or said.stdout).strip().removeprefix("Bail out! "))


def stories(printed):
    """{id: Scenario} of what folio_sched printed, by itself or under run_vmtests.sh."""
    return model.parse(re.sub(r"^(?:# )+", "", printed, flags=re.M))


def boot(context, initrd, column, append, rerun, log):
    """Boot a kernel with sync points for the selftests that need one; return their results,
    reasons of skips, and stories."""
    image = scenarios.image(context, column, QEMU)
    try:
        results, reasons = selftests.boot(context, image, initrd, log, f"kunit.enable=0 {append}",
                                          rerun=rerun)
    except Fail as failure:
        said = death(read(logfile(f"{log}.tap")), read(logfile(f"{log}.console")))
        raise Fail(f"on {column}, {said}; all it said: "
                   f"{shown(logfile(f'{log}.console'))}" if said else str(failure)) from None
    return results, reasons, stories(read(logfile(f"{log}.tap")))


def unfinished(printed):
    return [story for story in stories(printed).values() if story.outcome == "unfinished"]


def died_in(log):
    """The run in which the kernel died, by a name as kunit.died() looks for."""
    return {f"{story.id}.": "fail" for story in unfinished(read(logfile(f"{log}.tap")))}


def death(printed, console):
    """What is known of a run in which the kernel died: which, its sessions, the last events."""
    open_ones = unfinished(printed)
    splat = SPLAT.search(console)
    if not open_ones or not splat:
        return ""
    story = open_ones[-1]
    who = "".join(f"\n    {number}: {actor.name}: {actor.does}"
                  for number, actor in enumerate(story.actors.values()))
    lines = re.findall(r"mm_sync: .*", console)
    return (f"the kernel died in {story.id} ({story.title}): {splat[0].strip()}; its sessions:{who}"
            + "".join(f"\n    {line}" for line in lines[-LAST - 1:])
            if lines else f"the kernel died in {story.id}: {splat[0].strip()}")


def judge(context, where, results, want, told, rerun, reasons=None, verdicts=None):
    """Count results and stories: each run that has a result must have told what happened."""
    context.tally.add(where, results, want, rerun, reasons)
    for name, result in results.items():
        if name.count(".") == 3 and result != "skip":
            judge_run(context.tally, where, name, result, told.get(name), rerun,
                      (verdicts or {}).get(name, AS_WRITTEN))


def judge_run(tally, where, name, result, story, rerun, want):
    """The verdict of one run is as expected, word for word, and its result agrees with it."""
    if not story or not story.runs:
        tally.fail(f"{where}: {name} told no story as a whole", rerun)
        return
    said = model.verdict(story)
    tally.check(said == want, f"{where}: {name} is '{said}', expected '{want}'", rerun)
    tally.check((result == "pass") == model.good(story.outcome),
                f"{where}: {name} is '{said}', but its result is '{result}'", rerun)


def verdicts_of(column, want, which="schedule_files"):
    """{run: verdict} of those that are not to go as written; want: {check: verdict}."""
    _, found = expected.load_file(which)
    return {name: those[column] for name, those in found["verdicts"].items()
            if column in those and want.get(name) == "fail"}


def on(context, column, test=""):
    """The selftests that need sync points, all by run_vmtests.sh or one by itself."""
    log = f"schedules-{column}{context.base.suffix}"
    rerun = f"./run selftest {test or TEST} {column}"
    append = f"guest.test={test} guest.args={ARGUMENTS[test]}" if test else \
             f"guest.category={CATEGORY}"
    results, reasons, told = boot(context, selftests.initramfs(context), column, append, rerun, log)
    want = expected.load("schedule_files", context.base.release)[column]
    if test:        # run_vmtests.sh, which judges a test as a whole, is left out
        want = {name: verdict for name, verdict in want.items() if "." in name
                and name.startswith("mm_sync.") == (test != TEST)}
    judge(context, f"system calls on {column}", results, want, told, rerun, reasons,
          verdicts_of(column, want))
    return log


def without_points(context):
    """On a kernel without sync points, they skip, and say what it takes."""
    log = "schedules-without-points"
    results, reasons = selftests.boot(context, selftests.image(context, selftests.PATCHED),
                                      selftests.initramfs(context), log,
                                      f"kunit.enable=0 guest.category={CATEGORY}")
    printed = read(logfile(f"{log}.tap"))
    for test in expected.load("schedule_files")["patched"]:
        if test.startswith("mm_sync.") or test == TEST:
            said = reasons.get(test) if test != TEST else printed
            context.tally.check(results.get(test) == "skip" and said and NEEDED in said,
                                f"{test} without sync points: {results.get(test)}: "
                                f"{reasons.get(test)}; it is to skip, and name {NEEDED}")


def shipped(path):
    """Which file of driver/expected/ has what is expected of a schedule file, if any."""
    folder = os.path.basename(os.path.dirname(os.path.abspath(path)))
    return {FOLDER: "schedule_files", ALONE: ALONE}.get(folder, "")


def ends(path):
    """Is nothing left behind by any run of it, so that it can be run again in the same guest?"""
    _, known = expected.load_file(ALONE)
    first = os.path.basename(path).removesuffix("sched")
    return shipped(path) != ALONE or not any(
        run.startswith(first) and "does not end" in said.values()
        for run, said in known["verdicts"].items())


def needs(path):
    """What a guest is told that runs a schedule file."""
    return " guest.swap" * (NEEDS_SWAP in read(path))


def guest(context, files):
    """(the initramfs, what the kernel is told) of a guest that runs schedule files."""
    tests = build.selftests(context.base, context.commit["all"])
    initrd = qemu.initramfs(context.base, tests, more=files, name="initramfs-schedule")
    names = ",".join(map(os.path.basename, files))
    needed = "".join(dict.fromkeys(map(needs, files)))
    return initrd, f"guest.test={TEST} guest.args={names}{needed}"


def follow(context, path, columns, verbose=False):
    """Run one schedule file, and draw it; return {column: {run: Scenario}}.

    verbose: print all events.
    """
    check(checker(context), path)
    columns = columns[-1:] if context.base.has_points else columns
    initrd, append = guest(context, [path])
    which, told, unlike = shipped(path), {}, set()
    known = expected.load(which or "schedule_files", context.base.release)
    name = os.path.basename(path)
    for column in columns:
        rerun = f"./run replay --on {column} {path}"
        results, reasons, told[column] = boot(context, initrd, column, append, rerun,
                                              f"schedule-{column}")
        want = {each: "skip" if each in reasons else "pass" for each in results}
        if which:               # some are to fail on stock
            want = {each: known[column].get(each, want[each]) for each in want}
        judge(context, f"{name} on {column}", results, want, told[column], rerun, reasons,
              verdicts_of(column, want, which) if which else None)
        unlike |= {each for each in results if results[each] != want[each]}
        ran = any(verdict != "skip" for verdict in results.values())
        context.tally.check(ran, f"{name} on {column}: each run is skipped: "
                            + "; ".join(dict.fromkeys(reasons.values())), rerun)
    draw(context, told, unlike, path, verbose)
    return told


def each_time(printed):
    """{run: [its timeline, each time that it was run]}, by copies of one file."""
    runs = {}
    for name, story in stories(printed).items():
        if not story.skipped:
            runs.setdefault(re.sub(r"-\d+\.", ".", name, count=1), []).append(
                model.timeline(story) + model.verdict(story))
    return runs


def repeat(context, path, column, times):
    """Run one schedule file several times in one guest: each time the same must happen."""
    name, log = os.path.basename(path), f"schedule-{column}-repeated"
    with tempfile.TemporaryDirectory() as folder:       # two runs can't have one name
        copies = [os.path.join(folder, name.replace(".sched", f"-{number}.sched"))
                  for number in range(times)]
        for copy in copies:
            shutil.copy(path, copy)
        initrd, append = guest(context, copies)
    boot(context, initrd, column, append, None, log)
    runs = each_time(read(logfile(f"{log}.tap")))
    context.tally.check(runs, f"{name} on {column}: no run was seen")
    for run, seen in runs.items():
        context.tally.check(len(seen) == times and len(set(seen)) == 1,
                            f"{run} on {column}: {len(set(seen))} different stories in "
                            f"{len(seen)} of {times} runs")


def draw(context, told, first, path, verbose=False):
    """The steps of a few runs, those that went wrong first, and all of them as a page."""
    tables = {}                 # {steps and verdicts: the runs that have them}
    ran = [each for each in model.scenario_ids(told)
           if any(each in column and column[each].runs for column in told.values())]
    for each in sorted(ran, key=lambda each: each not in first):
        runs = {column: those[each] for column, those in told.items() if each in those}
        table = text.step_table(runs) + (text.events(runs) if verbose else "")
        tables.setdefault(table, []).append(each)
    for table, (each, *others) in tables.items():
        say(f"\n{each}. {model.title(each, told)}\n{table}"
            + (f"the same, step by step: {', '.join(others)}" if others else ""))
    say(text.verdict_table(told))
    scenarios.write_page(context, told, f"{os.path.basename(path)}: system calls on a schedule")


# Mistakes in a schedule file: what is written in place of a good line, and what is said.
GOOD = """title A test
files tmpfs
setup
\tfile f 8
\tmap m f
\ttest f 4
session one
\tcut: truncate f 2
permutation all
\tone@FIND_GET_ENTRY_LOADED lru=1
"""
MISTAKES = (
    ("files tmpfs", "files tmpfs xfs", "2: expected tmpfs, ext4 or ramfs, found 'xfs'"),
    ("files tmpfs", "files", "2: expected tmpfs, ext4 or ramfs, found the end of the line"),
    ("files tmpfs", "folios huge", "2: expected small or large, found 'huge'"),
    ("title A test\n", "", "9: expected a title before the end of the file"),
    ("setup\n", "", "3: expected title, files, folios, needs, setup, session, permutation, found"),
    ("file f 8", "file f", "4: expected file NAME PAGES, found the end of the line"),
    ("file f 8", "file f 8x", "4: expected file NAME PAGES, not above 1024, found '8x'"),
    ("file f 8", "file f 8 9", "4: expected the end of the line, found '9'"),
    ("file f 8", "file f* 8", "4: expected a name (letters, digits, '-', '_'), found 'f*'"),
    ("map m f", "map m g", "5: expected map NAME FILE, and 'g' is no file"),
    ("map m f", "map f f", "5: there is a 'f' already"),
    ("test f 4", "test f 8", "6: expected test FILE PAGE, not above 7, found '8'"),
    ("\ttest f 4\n", "", "9: expected test FILE PAGE under 'setup' before the end"),
    ("cut: truncate f 2", "truncate f 2", "8: expected STEP: COMMAND, found 'truncate'"),
    ("cut: truncate f 2", "cut: chop f 2", "8: expected a command (read, pageout,"),
    ("cut: truncate f 2", "cut: truncate m 2", "8: expected truncate FILE PAGES, and 'm' is no"),
    ("cut: truncate f 2", "cut: truncate g 2", "8: expected truncate FILE PAGES, and 'g' is not"),
    ("cut: truncate f 2", "cut: truncate f 2 =", "8: expected a result after '='"),
    ("\tcut: truncate f 2\n", "", "9: expected a step in the session 'one' before the end"),
    ("one@FIND", "two@FIND", "10: there is no session 'two'; there are: one"),
    ("FIND_GET_ENTRY_LOADED", "FIND_GET_ENTRY_LODAED",
     "10: there is no sync point 'FIND_GET_ENTRY_LODAED'; the nearest are FIND_GET_ENTRY_LOADED,"),
    ("one@FIND_GET_ENTRY_LOADED", "one.snip", "10: expected a step of the session 'one'"),
    ("lru=1", "lru=yes", "10: expected lru, not above 100000, found 'yes'"),
    ("lru=1", "lur=1", "10: expected refs=, mapcount=, lru=, locked=, cached=, order=, index=, "
     "dirty=, writeback=, size=, claimed, found lur"),
    ("one@FIND_GET_ENTRY_LOADED lru=1", "one@WAIT", "10: expected SESSION@WAIT for LOCK"),
    ("one@FIND_GET_ENTRY_LOADED lru=1", "never one", "10: expected never SESSION@POINT"),
    ("\tone@FIND_GET_ENTRY_LOADED lru=1", "[ext4 one", "10: expected a ']'"),
    ("one@FIND_GET_ENTRY_LOADED lru=1", "one@WAIT for folio_lock",
     "10: expected a lock (PTL, folio lock, i_rwsem, invalidate_lock, i_mmap_rwsem, mmap_lock, "
     "some rw_semaphore, i_pages, wakeup) and the end of the line after 'for', found "
     "'folio_lock'"),
    ("one@FIND_GET_ENTRY_LOADED lru=1", "one@WAIT for invalidate_lock mapcount=0",
     "10: expected a lock (PTL, folio lock, i_rwsem, invalidate_lock, i_mmap_rwsem, mmap_lock, "
     "some rw_semaphore, i_pages, wakeup) and the end of the line after 'for', found "
     "'invalidate_lock mapcount=0'"),
    ("one@FIND_GET_ENTRY_LOADED lru=1", "one@WAIT for", "10: expected a lock (PTL, "),
    ("cut: truncate f 2", "cut: truncate f 2 = datta",
     "8: expected 0 or an error like EBUSY after '=', found 'datta'"),
    ("cut: truncate f 2", "cut: read m 2 = datta",
     "8: expected data, zero, other, SIGBUS, EOF or an error like EIO after '=', found 'datta'"),
    ("files tmpfs\n", "files tmpfs\r\n",
     "2: expected lines that end with a line feed, found Windows line ends"),
    ("title A test\n", "title A test\r\n",
     "1: expected lines that end with a line feed, found Windows line ends"),
    ("A test\n", "A test\n\x01", "2: expected text, found a character with the code 1"),
)


# Orders that a kernel does not follow: {permutation: (its lines, the verdict)}.
SETUP = """title What is said of an order that does not come true
files tmpfs
folios small
setup
\tfile f 8
\tmap m f
\tread m 4
\ttest f 4
session one
\tcut: truncate f 2
session two
\tcut: truncate f 1
session look
\tit: read m 4 = zero
"""
WRONG = {
    "lock": (("one@FIND_GET_ENTRY_LOADED", "two@WAIT for invalidate_lock"),
             "differs: line {1}: two waits for the i_rwsem, wanted: the invalidate_lock"),
    "waits": (("one@FIND_GET_ENTRY_LOADED", "two"),
              "error: line {1}, until END: two has to wait for the i_rwsem; one, which may hold "
              "it, is at FIND_GET_ENTRY_LOADED; it passed no point at all"),
    "states": (("one@FIND_GET_ENTRY_LOADED lru=0 cached=0", "one locked=1"),
               "differs: line {0}: lru=1, wanted: 0, cached=1, wanted: 0; line {1}: locked=0, "
               "wanted: 1"),
    "result": (("look",), "differs: look.it gives data, wanted: zero"),
    "optional": (("one@FIND_GET_ENTRY_STALE? lru=7", "two"), "as written"),
    "never": (("one", "never one@FOLIOS_PUT_FREE"),
              "differs: line {1}: one came to FOLIOS_PUT_FREE"),
    "elsewhere": (("one@MADVISE_PTE_BEFORE_LRU",), "error: line {0}, until "
                  "MADVISE_PTE_BEFORE_LRU: one ended, and did not come there; its last points: "),
}


def wrong(context):
    """What is said of an order that does not come true, word for word."""
    path, text, lines = os.path.join(context.base.dir, "wrong.sched"), SETUP, {}
    for name, (order, _) in WRONG.items():
        text += f"permutation {name}\n"
        first = text.count("\n") + 1
        lines[name] = range(first, first + len(order))
        text += "".join(f"\t{line}\n" for line in order)
    with open(path, "w") as out:
        out.write(text)
    check(checker(context), path)
    initrd = qemu.initramfs(context.base, build.selftests(context.base, context.commit["all"]),
                            more=[path], name="initramfs-wrong")
    os.unlink(path)
    _, _, told = boot(context, initrd, "patched", f"guest.test={TEST} guest.args=wrong.sched", None,
                      "schedules-wrong")
    for name, (_, want) in WRONG.items():
        story = told.get(f"wrong.{name}.tmpfs.small")
        said = model.verdict(story) if story and story.runs else "nothing"
        want = want.format(*lines[name])
        context.tally.check(said.startswith(want), f"wrong.sched, {name}: '{said}', expected "
                            f"'{want}'")


def mistakes(context):
    """A mistake in a schedule file is named with file, line, and what was expected."""
    program = checker(context)
    path = os.path.join(context.base.dir, "mistake.sched")
    with stage("mistakes in a schedule file") as this:
        for old, new, said in (("", "", None), *MISTAKES):
            with open(path, "w") as out:
                out.write(GOOD.replace(old, new, 1) if old else GOOD)
            try:
                check(program, path)
                told = None
            except Fail as failure:
                told = str(failure)
            context.tally.check(
                told is None if said is None else told and told.startswith(f"{path}:{said}"),
                f"a schedule file with {new!r} for {old!r}: {told}, not {said}")
        this.note = f"{len(MISTAKES)} mistakes"
    os.unlink(path)
