# SPDX-License-Identifier: GPL-2.0-only
"""The gate of the series: what a maintainer's scripts would say of the mails."""

import os
import re
import shutil
import sys
import unittest
from unittest import mock

import bench_test
import build
import driver_test
import explore_test
import judge
import matrix_test
import own_test
import replay_test
import sched_test
import series
import stress_test
from base import newer_tool
from stage import ROOT, Fail, in_parallel, logfile, output, run, stage

# The base has no history that a commit id could be looked up in.
CHECKPATCH = ["--strict", "--no-signoff", "--show-types", "--ignore=UNKNOWN_COMMIT_ID"]
# Older ones want another format of Assisted-by, or do not know it, and have whole folders in
# MAINTAINERS.
CHECKPATCH_OLDER = [*CHECKPATCH[:-1], CHECKPATCH[-1] + ",BAD_SIGN_OFF,FILE_PATH_CHANGES"]
# 6.12 counts locks for sparse, which can't follow guard().
NO_CONTEXTS = "CF=-Wno-context"
# Some messages have their line number in the code.
NO_LINES = "KCFLAGS=-D__LINE__=0 -Wno-builtin-macro-redefined"
# Debian's python3 has the modules that checkpatch's helpers and Sphinx import.
SYSTEM_PYTHON = {"PATH": "/usr/bin:" + os.environ["PATH"]}


def driver(base, tally):
    """The driver's own negative controls: each kind of bad run must be seen as one."""
    driver_test.Console.base = base
    with stage("driver") as this, mock.patch.object(judge.Tally, "base", ""):
        suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromModule(module)
                                   for module in (driver_test, replay_test,
                                                 explore_test, sched_test, stress_test,
                                                 matrix_test, own_test, bench_test))
        with open(logfile("driver.log"), "w") as log:
            result = unittest.TextTestRunner(log).run(suite)
        this.note = f"{result.testsRun} checks"
    bad = result.failures + result.errors
    tally.passed += result.testsRun - len(bad)
    for case, _ in bad:
        tally.check(False, f"driver: {case} (out/log/driver.log)", "./run test")
    tally.check(result.testsRun > 0, "driver: no check ran", "./run test")


def mails(base, tally):
    """patches/ is, byte for byte, what series/ and the overlay compose to.

    On another point release than they were made on, it is but for what changes with each.
    """
    if base.foreign:
        return
    made_on = series.made_on(base.series)
    same = made_on == base.version
    with stage("mails: recompose and compare") as this:
        count = 0
        for name in series.ALL:
            fresh = series.mails(base, name)
            committed = series.committed_mails(base, name)
            where = series.name(name, base.series)
            count += len(fresh)
            for mail in sorted(fresh.keys() | committed.keys()):
                one, other = fresh.get(mail), committed.get(mail)
                if not same and one and other:
                    one, other = series.without_lines(one), series.without_lines(other)
                tally.check(one == other,
                            f"patches/{where}/{mail} is not what the series composes to",
                            "./run series")
            for mail, text in committed.items():
                tags = re.findall(r"^(Signed-off-by|Assisted-by):", text, re.M)
                wanted = [] if mail.endswith(".txt") else ["Assisted-by"]
                tally.check(tags == wanted, f"patches/{where}/{mail} must carry {wanted or 'no tag'}, "
                            f"it carries {tags}", "./run series")
        this.note = f"{count} mails" + f", made on {made_on}: but for line numbers" * (not same)


def style(base, tally):
    """checkpatch --strict on every mail."""
    base.checkout(base.commit)
    options = CHECKPATCH if base.newest else CHECKPATCH_OLDER
    mails = [(where, mail) for name in series.ALL for where in [series.name(name, base.series)]
             for mail in series.committed_mails(base, name) if mail.endswith(".patch")]

    def look_at(mail):
        return run(["perl", "scripts/checkpatch.pl", *options, os.path.join(ROOT, "patches", *mail)],
                   "-".join(("checkpatch", *mail)) + ".log", cwd=base.src, env=SYSTEM_PYTHON,
                   check=False)
    with stage("checkpatch --strict") as this:
        for status, path in in_parallel(look_at, mails):
            with open(path) as report:
                tally.check(not status and "total: 0 errors, 0 warnings, 0 checks"
                            in report.read(), f"checkpatch has complaints: {path}", "./run test")
        this.note = f"{len(mails)} mails"


def recipients(base, tally, commit):
    """get_maintainer.pl names the lists that each mail is for, and maintainers."""
    base.checkout(commit["tree"])       # as whoever sends them has them applied
    want = judge.section("recipients")

    with stage("get_maintainer.pl") as this:
        mails_of = {f"{name}/{mail[:4]}": os.path.join(ROOT, "patches", name, mail)
                    for which in series.ALL for name in [series.name(which, base.series)]
                    for mail in series.committed_mails(base, which) if mail.endswith(".patch")}
        # The base has no history to guess from.
        said_of = dict(zip(mails_of, in_parallel(lambda mail: output(
            ["perl", "scripts/get_maintainer.pl", "--nogit", "--nogit-fallback", mail],
            cwd=base.src), mails_of.values())))
        for mail in sorted(mails_of.keys() | want.keys()):
            said = said_of.get(mail, "")
            lists = sorted(re.findall(r"^(\S+)@\S+ \(.*\blist\b", said, re.M))
            tally.check(lists == want.get(mail), f"patches/{mail} would go to {lists}, expected is "
                        f"{want.get(mail)} ([recipients] in scripts/expected.toml)", "./run test")
            tally.check(re.search(r"\(maintainer:(?!LIBRARY CODE)", said), "get_maintainer.pl names "
                        f"no maintainer for {mail}", "./run test")
        this.note = f"{len(mails_of)} mails"


def litmus(base, tally):
    """Each litmus test gives what its Result line says; that it gives another is found wrong."""
    herd7 = newer_tool("herdtools7", "herd7", ("libc6", "libgmp10"),
                       "-set-libdir {}/usr/share/herdtools7/herd")
    env = {"PATH": f"{os.path.dirname(herd7)}:{os.environ['PATH']}", "LKMM_DESTDIR": "/",
           "LKMM_TIMEOUT_CMD": "timeout 1m"}
    base.checkout(base.commit)
    work = os.path.join(base.dir, "litmus")
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(os.path.join(ROOT, "Documentation/litmus-tests/folio"), work)
    tests = sorted(os.listdir(work))
    with stage("litmus tests, herd7") as this:
        for name in tests:
            path = os.path.join(work, name)
            with open(path) as text:
                test = text.read()
            result = re.search(r"^ \* Result: (Never|Sometimes|Always)$", test, re.M)
            if not result:
                tally.check(False, f"{name} has no Result line", "./run litmus")
                continue
            # Its exit status: 1 if the result is another one, more if there is none
            status, log = run(["sh", "scripts/checklitmus.sh", path], f"litmus-{name}.log",
                              cwd=os.path.join(base.src, "tools/memory-model"), env=env,
                              check=False)
            tally.check(status == 0, f"{name} is not {result[1]}: see {log}", "./run litmus")
            wrong = os.path.join(work, "wrong-" + name)
            with open(wrong, "w") as out:
                out.write(test.replace(result[0], " * Result: " + ("Never" if result[1] != "Never"
                                                                 else "Sometimes")))
            status, log = run(["sh", "scripts/checklitmus.sh", wrong], f"litmus-wrong-{name}.log",
                              cwd=os.path.join(base.src, "tools/memory-model"), env=env,
                              check=False)
            tally.check(status == 1, f"{name} with another Result line is not found wrong: see "
                        f"{log}", "./run litmus")
        this.note = f"{len(tests)} tests, each also with a wrong Result"
    tally.check(bool(tests), "there is no litmus test", "./run litmus")


def documentation(base, tally, commit):
    """make htmldocs has nothing to say of the new pages, and makes them."""
    said = {}
    for state in ("stock", "tree"):
        base.checkout(commit[state])
        objects = os.path.join(base.dir, f"docs-{state}")
        shutil.rmtree(objects, ignore_errors=True)
        with stage(f"make htmldocs on {state}") as this:
            _, log = run(["make", f"O={objects}", "htmldocs", "SPHINXDIRS=mm"],
                         f"htmldocs-{state}.log", cwd=base.src, env=SYSTEM_PYTHON)
            with open(log) as report:
                said[state] = {re.sub(r":\d+:", ":", line) for line in report
                               if re.search("warning|error", line, re.I)}
            made = {name for _, _, names in os.walk(objects) for name in names}
            this.note = f"{len(said[state])} complaints"
    new = said["tree"] - said["stock"]
    tally.check(not new, "make htmldocs complains: " + "; ".join(sorted(new)).strip(), "./run docs")
    for page in sorted(os.listdir(os.path.join(ROOT, "Documentation/mm"))):
        tally.check(page.replace(".rst", ".html") in made, f"make htmldocs made nothing of {page}",
                    "./run docs")
    with stage("folio_isolation.rst names callers and tests") as this:
        page = base.git("show", f"{commit['tree']}:Documentation/mm/folio_isolation.rst")
        wanted = callers(base, commit["tree"])
        for caller in wanted:
            tally.check(f"   {caller}() " in page, f"folio_isolation.rst has no row for {caller}(), "
                        "which calls folio_isolate_lru()", "./run docs")
        tests = set(re.findall(r"\bfolio/[\w+-]+\w|\b(?:isolate|release|tcp|pageout|longterm|"
                               r"offline)_\w+(?=[,)]| *\n)", page))
        cases = read("lib/tests/folio_lru_kunit.c") + \
            read("tools/testing/selftests/mm/folio_orphan.c")
        litmus_tests = os.path.join(ROOT, "Documentation/litmus-tests")
        for test in sorted(tests):
            there = os.path.exists(os.path.join(litmus_tests, test + ".litmus")) or \
                re.search(rf"(KUNIT_CASE|TEST_F)\w*\(.*\b{re.escape(test)}\b", cases)
            tally.check(there, f"folio_isolation.rst names a test that is not there: {test}",
                        "./run docs")
        this.note = f"{len(wanted)} callers, {len(tests)} tests"
    tally.check(len(wanted) > 10 and len(tests) > 10, "hardly any caller or test was found in "
                "folio_isolation.rst", "./run docs")


def callers(base, commit):
    """The functions that call folio_isolate_lru(), or isolate_folio_to_list() which does."""
    said = base.git("grep", "-hpE", r"\b(folio_isolate_lru|isolate_folio_to_list)\(folio\b",
                    commit, "--", "mm")
    found = re.findall(r"^(?:\S.*\b)?(\w+)\(.*[^;]$", said, re.M)
    return sorted(set(found) - {"isolate_folio_to_list"})


def read(path):
    with open(os.path.join(ROOT, path)) as text:
        return text.read()


def git_am(base, tip, tally=None):
    """git am the committed mails on the pristine base, plain and with -3."""
    if base.foreign:            # that is how it was composed
        return
    for mode in ([], ["-3"]) if tally else ([],):
        base.checkout(base.commit)
        with stage(" ".join(["git am", *mode])) as this:
            count = 0
            try:
                for which in series.ALL:
                    name = series.name(which, base.series)
                    paths = [os.path.join(ROOT, "patches", name, mail)
                             for mail in series.committed_mails(base, which)
                             if mail.endswith(".patch")]
                    if not paths:
                        raise Fail(f"patches/{name} holds no mail: make them with ./run series")
                    base.git("am", "--quiet", *mode, *paths)
                    count += len(paths)
            except Fail as failure:
                if os.path.isdir(os.path.join(base.src, ".git/rebase-apply")):
                    base.git("am", "--abort")
                raise Fail(f"git am stopped on Linux {base.version}: "
                           + str(failure).split("error: ", 1)[-1].splitlines()[0]
                           + " (rebase in ./run tree, then ./run series --import)") from None
            same = base.git("rev-parse", "HEAD^{tree}") == base.git("rev-parse", tip + "^{tree}")
            this.note = f"{count} mails"
        if tally:
            tally.check(same, "the tree after git am is not overlay plus edits", "./run series")
        elif not same:
            raise Fail("patches/ is not what series/ and the overlay compose to: ./run series")


def every_patch_builds(base, tally):
    """Each patch on its own: a bzImage after every mail."""
    steps = series.compose(base, series.MM, base.commit)
    mm = steps[-1][1]
    steps += series.compose(base, series.NET, mm)
    steps += series.compose(base, series.LAB, mm)
    # The tcp mail goes to another list: it must build without the mm series, too.
    steps += series.compose(base, series.NET, base.commit)
    for number, (patch, commit) in enumerate(steps, 1):
        name = f"{number:02} {patch.slug[3:]}"[:36]
        if tally.late(f"every patch builds, from {name} on", 5):
            break
        build.kernel(base, commit, name)
        tally.passed += 1


def static_checks(base, tally, commit):
    """sparse and W=1 say nothing of the touched files that they do not say of the base."""
    touched = [path for name in series.ALL for patch in series.patches(name, base.series)
               for path in patch.paths() if re.match(r"(mm|net|lib|kernel)/.*\.c$", path)]
    said = {}
    sparse = newer_tool("sparse")   # that of Debian 12 can't parse this kernel
    for state in ("stock", "tree"):
        base.checkout(commit[state])
        objects = [path[:-1] + "o" for path in dict.fromkeys(touched)
                   if os.path.exists(os.path.join(base.src, path))]
        with stage(f"sparse and W=1 on {state}") as this:
            build.configure(base, f"config-static-{state}.log")
            _, log = build.make(base, build.objects_of(base), f"static-{state}.log", "W=1", "C=2",
                                f"CHECK={sparse}", NO_CONTEXTS, *objects)
            with open(log) as report:
                lines = report.readlines()
            checked = sum(line.startswith("  CHECK") for line in lines)
            if checked < len(objects):
                raise Fail(f"sparse ran on {checked} of {len(objects)} files, see {log}")
            said[state] = judge.complaints(lines)
            this.note = f"{len(objects)} files, {len(said[state])} complaints"
    new = said["tree"] - said["stock"]
    tally.check(not new, "sparse or W=1 complains: " + "; ".join(sorted(new)), "./run test")


def object_code(base, tally, commit):
    """With sync points off, the files that the lab series edits compile to what they did."""
    objects = os.path.join(base.dir, "sync-points-off")
    touched = sorted({path[:-1] + "o" for patch in series.patches(series.LAB, base.series)
                      for path in patch.paths()
                      if path.endswith(".c") and path not in patch.files})
    for plain, lab in (("stock", "lab-stock"), ("mm", "lab")):
        with stage(f"object code of {lab} is that of {plain}") as this:
            code = {}
            for state in (plain, lab):
                base.checkout(commit[state])
                build.configure(base, f"config-object-code-{state}.log", objects,
                                build.KUNITCONFIGS[:1])
                build.make(base, objects, f"object-code-{state}.log", NO_LINES, *touched)
                code[state] = {path: output(["objdump", "-dr", "--no-show-raw-insn",
                                             os.path.join(objects, path)]) for path in touched}
            count = 0
            for path in touched:
                count += len(judge.functions(code[plain][path]))
                name = judge.code_difference(code[plain][path], code[lab][path])
                tally.check(name is None, f"with sync points off, {name} of {path} is not on "
                            f"{lab} what it is on {plain}", "./run test")
            this.note = f"{len(touched)} files, {count} functions"
            tally.check(count > 100, "objdump found hardly any function", "./run test")


def kunit_x86_64(base, commit):
    """Plain kunit.py --arch=x86_64 with the shipped .kunitconfig, as a user would."""
    base.checkout(commit)
    report = logfile("kunit-arch-x86_64.json")
    if os.path.exists(report):
        os.unlink(report)
    # kunit.py prefers KVM, and hangs where /dev/kvm is there but does not work.
    no_kvm = ["unshare", "-m", "sh", "-c", 'mount --bind /dev/null /dev/kvm; exec "$@"', "sh"]
    hide = no_kvm if os.path.exists("/dev/kvm") and os.geteuid() == 0 else []
    with stage("plain kunit.py --arch=x86_64"):
        run([*hide, sys.executable, "tools/testing/kunit/kunit.py", "run", "--arch=x86_64",
             "--kunitconfig=mm", f"--build_dir={base.dir}/kunit-x86_64", f"--json={report}",
             *(f"--make_options={option}" for option in build.COMPILER)],
            "kunit-arch-x86_64.log", cwd=base.src, env=build.ENV, count=build.is_object,
            check=False)
        if not os.path.exists(report):
            raise Fail("kunit.py --arch=x86_64 did not get to run the suites, see "
                       + logfile("kunit-arch-x86_64.log"))
    seen = judge.kunit(report)
    return seen
