# SPDX-License-Identifier: GPL-2.0-only
"""Schedule files: real system calls, step by step, on kernels with sync points."""

import os
import re
import subprocess

import build
import checks
import guest
import judge
import race
import replay
from stage import Fail, logfile

TEST = "folio_sched"
FOLDER = "schedules"            # of those that are shipped
CATEGORY = "sync_point"         # of run_vmtests.sh
NEEDED = "CONFIG_MM_SYNC_POINTS_DEBUGFS"     # says a test that skips
COLUMNS = list(race.KERNELS)
# The tests that there are, and what each takes.
INTERFACE = "mm_sync_point"     # tests the files in debugfs
ARGUMENTS = {TEST: f"{FOLDER}/*.sched", INTERFACE: ""}


def is_file(argument):
    return argument.endswith(".sched")


def ident(path):
    """A schedule file, as an argument of ./run replay."""
    if not os.path.isfile(path):
        raise Fail(f"there is no schedule file {path}")
    if not re.fullmatch(r"[\w.-]+", os.path.basename(path)):
        raise Fail(f"{path}: name the file with letters, digits, '_', '-' and '.'")
    return path


def check(tests, path):
    """Say what is wrong in a schedule file before anything is built for it."""
    said = subprocess.run([os.path.join(tests, TEST), "-c", path], capture_output=True, text=True)
    if said.returncode:
        raise Fail((said.stderr or said.stdout).strip().removeprefix("Bail out! "))


def story(text):
    """{id: Scenario} of what folio_sched printed, by itself or under run_vmtests.sh."""
    return replay.parse(re.sub(r"^(?:# )+", "", text, flags=re.M))


def boot(base, tally, commit, initrd, column, append, rerun):
    """Boot a lab kernel for the selftests that need one; return their results, reasons of
    skips, and stories."""
    name = race.KERNELS[column]
    image = build.kernel(base, commit[name], name)
    log = f"sched-{name}"
    results, reasons = checks.boot(base, tally, image, initrd, log, f"kunit.enable=0 {append}",
                                   rerun=rerun)
    return results, reasons, story(checks.read(logfile(f"{log}.tap")))


def judged(tally, where, results, want, stories, rerun):
    """Count results and stories: each run that has a result must have told what happened."""
    tally.add(where, results, want, rerun)
    for name, verdict in results.items():
        if name.count(".") == 3 and verdict != "skip":
            scenario = stories.get(name)
            tally.check(scenario and scenario.runs, f"{where}: {name} told no story as a whole",
                        rerun)


def selftests(base, tally, commit, initrd, columns=COLUMNS, test=""):
    """The selftests that need sync points, all by run_vmtests.sh or one by itself."""
    for column in columns:
        rerun = f"./run selftest {test or TEST} {column}"
        append = f"lab.test={test} lab.args={ARGUMENTS[test]}" if test else \
                 f"lab.category={CATEGORY}"
        results, _, stories = boot(base, tally, commit, initrd, column, append, rerun)
        want = judge.load("sched", COLUMNS, base.series)[column]
        if test:        # run_vmtests.sh, which judges a test as a whole, is left out
            want = {name: verdict for name, verdict in want.items() if "." in name
                    and name.startswith("mm_sync.") == (test != TEST)}
        judged(tally, f"system calls on {column}", results, want, stories, rerun)


def without(base, tally, image, initrd, name):
    """On a kernel without sync points, they skip, and say what it takes."""
    log = f"sched-{name}"
    results, reasons = checks.boot(base, tally, image, initrd, log,
                                   f"kunit.enable=0 lab.category={CATEGORY}")
    text = checks.read(logfile(f"{log}.tap"))
    for test in judge.load("sched", COLUMNS)["patched"]:
        if test.startswith("mm_sync.") or test == TEST:
            said = reasons.get(test) if test != TEST else text
            tally.check(results.get(test) == "skip" and said and NEEDED in said,
                        f"{test} without sync points: {results.get(test)}: {reasons.get(test)}; "
                        f"it is to skip, and name {NEEDED}", "./run test")


def shipped(path):
    return os.path.basename(os.path.dirname(os.path.abspath(path))) == FOLDER


def follow(base, tally, commit, path, columns):
    """Run one schedule file, and draw it."""
    tests = build.selftests(base, commit["tree"])
    check(tests, path)
    initrd = guest.initramfs(base, tests, more=[path])
    rerun = f"./run replay {path}"
    expected, stories, unlike = judge.load("sched", COLUMNS, base.series), {}, set()
    for column in columns:
        name = os.path.basename(path)
        results, reasons, stories[column] = boot(
            base, tally, commit, initrd, column, f"lab.test={TEST} lab.args={name}", rerun)
        want = {each: "skip" if each in reasons else "pass" for each in results}
        if shipped(path):       # some are to fail on stock
            want = {each: expected[column].get(each, want[each]) for each in want}
        judged(tally, f"{name} on {column}", results, want, stories[column], rerun)
        unlike |= {each for each in results if results[each] != want[each]}
        tally.check("pass" in results.values() or unlike, f"{name} on {column}: each run is "
                    "skipped: " + "; ".join(dict.fromkeys(reasons.values())), rerun)
    draw(base, stories, unlike, path)


def draw(base, stories, first, path):
    """The steps of a few runs, those that went wrong first, and all of them as a page."""
    idents = replay.scenario_ids(stories)
    ran = [each for each in idents if any(each in column and column[each].runs
                                          for column in stories.values())]
    shown, seen = [each for each in ran if each in first], set()
    for each in ran:            # one of each permutation
        if each.split(".")[1] not in seen and each not in shown:
            shown.append(each)
        seen.add(each.split(".")[1])
    for each in shown:
        print(f"\n{each}. {replay.title(each, stories)}")
        print(replay.step_table({column: runs[each] for column, runs in stories.items()
                                 if each in runs}), end="")
    print(f"\n{replay.verdict_table(stories)}")
    race.write_page(base, stories, f"{os.path.basename(path)}: system calls on a schedule")


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
    ("setup\n", "", "3: expected title, files, folios, setup, session or permutation, found"),
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
    ("one@FIND", "two@FIND", "10: expected a session, and there is none with the name 'two'"),
    ("FIND_GET_ENTRY_LOADED", "FIND_GET_ENTRY_LODAED",
     "10: there is no sync point 'FIND_GET_ENTRY_LODAED'; the nearest are FIND_GET_ENTRY_LOADED,"),
    ("one@FIND_GET_ENTRY_LOADED", "one.snip", "10: expected a step of the session 'one'"),
    ("lru=1", "lru=yes", "10: expected lru, not above 100000, found 'yes'"),
    ("lru=1", "lur=1", "10: expected refs=, mapcount=, lru=, locked=, cached=, claimed, found lur"),
    ("one@FIND_GET_ENTRY_LOADED lru=1", "one@WAIT", "10: expected SESSION@WAIT for LOCK"),
    ("one@FIND_GET_ENTRY_LOADED lru=1", "never one", "10: expected never SESSION@POINT"),
    ("\tone@FIND_GET_ENTRY_LOADED lru=1", "[ext4 one", "10: expected a ']'"),
    ("A test\n", "A test\n\x01", "2: expected text, found a character with the code 1"),
)


def mistakes(base, tally, tests):
    """A mistake in a schedule file is named with file, line, and what was expected."""
    path = os.path.join(base.dir, "mistake.sched")
    for old, new, said in (("", "", None), *MISTAKES):
        with open(path, "w") as out:
            out.write(GOOD.replace(old, new, 1) if old else GOOD)
        try:
            check(tests, path)
            told = None
        except Fail as failure:
            told = str(failure)
        tally.check(told is None if said is None else told and told.startswith(f"{path}:{said}"),
                    f"a schedule file with {new!r} for {old!r}: {told}, not {said}", "./run test")
    os.unlink(path)
