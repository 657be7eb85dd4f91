# SPDX-License-Identifier: GPL-2.0-only
"""KUnit: under UML or QEMU, by the kernel's own kunit.py and its parser."""

import contextlib
import fnmatch
import json
import os
import re
import shutil
import sys

from driver.core import expected
from driver.core.paths import LOG, logfile, read, shown
from driver.core.process import run
from driver.core.stage import Fail, stage
from driver.kernel import build, console, qemu

KUNIT_PY = [sys.executable, "tools/testing/kunit/kunit.py"]
# Where KUnit runs: the columns of expected/kunit.toml.
QEMU, UML_SMP, UML_UP, PLAIN = "qemu", "uml-smp", "uml-up", "kunit.py-x86_64"
ARM64 = "arm64"             # under QEMU as well, and to come to the same
PLACES = (QEMU, UML_SMP, UML_UP, ARM64)
ARCHS = {QEMU: build.X86_64, ARM64: build.ARM64}
PATCHED = "mm+tcp"          # the kernel that has the suites of the mm series
TIME_LIMIT = 300            # seconds, under UML
STAMP = re.compile(r"^\s*(?:\[[^]]*\]\s*)*")
SAID = re.compile(STAMP.pattern
                  + r"# (\w+)(?:\.\w+)?: (EXPECTATION|ASSERTION) FAILED at (.*)$")
SUBTEST = re.compile(STAMP.pattern + r"# Subtest: (\w+)")
RESULT = re.compile(STAMP.pattern + r"(?:not )?ok \d+ ([^#]*)(?:# SKIP (.*))?")
NEXT = re.compile(STAMP.pattern + r"(#|KTAP|\d+\.\.)")
MOST = 4                    # failed expectations that are shown of a case


def results(path):
    """{suite.case: pass, fail or skip} of the file that kunit.py --json writes."""
    root, found = json.loads(read(path)), {}

    def walk(group, prefix):
        for case in group.get("test_cases", ()):
            status = case["status"]
            found[prefix + case["name"]] = {"PASS": "pass", "SKIP": "skip"}.get(status, "fail")
        for sub in group.get("sub_groups", ()):
            walk(sub, prefix + sub["name"] + ".")
    for group in root.get("sub_groups", ()):
        walk(group, group["name"] + ".")
    if not found:
        raise Fail(f"KUnit ran no test, see {shown(path)}")
    return found


def died(found):
    """Did the kernel die in a suite?  kunit.py reports a test without a name there."""
    return any(name.endswith(".") for name in found)


def expectations(text, names):
    """{check: the expectations that failed in it, or why it skips}, of a console.

    They come before the result of their case, or of its parameter.
    """
    said, pending, case = {}, [], None
    for line in text.splitlines():
        if match := SAID.match(line):
            case = match[1]
            pending.append(f"{match[2]} at {match[3]}")
        elif match := SUBTEST.match(line):
            case = match[1]
        elif match := RESULT.match(line):
            which, reason = match[1].strip(), match[2]
            if reason:
                pending.append(f"it says {reason.strip()}")
            if pending:
                said[case if which == case else f"{case}.{which}"] = pending
                said.setdefault(which, pending)
            pending = []
        elif pending and not NEXT.match(line):
            pending[-1] += f" {STAMP.sub('', line).strip()}"
    if pending:                 # the kernel died in it
        said[case] = pending
    found = {}
    for name in names:
        lines = said.get(name.partition(".")[2])
        if lines:
            more = [f"and {len(lines) - MOST} more"] * (len(lines) > MOST)
            found[name] = "".join(f"\n    {each}" for each in [*lines[:MOST], *more])
    return found


def add(context, where, found, want, rerun, log):
    """Count the results of KUnit, with what failed."""
    path = logfile(log)
    context.tally.add(where, found, want, rerun, expectations(read(path), found), shown(path))


def of_console(context, name):
    """KUnit's results on the console of a guest, by the kernel's own parser."""
    report = logfile(f"{name}.kunit.json")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(report)
    run([*KUNIT_PY, "parse", f"--json={report}", logfile(f"{name}.console")], f"{name}.kunit.log",
        cwd=context.base.src, check=False)
    if not os.path.exists(report):
        raise Fail(f"kunit.py found no KUnit output on {name}'s console")
    return results(report)


def exec_uml(context, image, name, suite="", smp=True, append=(), timeout=TIME_LIMIT):
    """Run KUnit in a UML kernel that was built; return its results.

    The console is in out/log/<name>.console.
    """
    report, folder = logfile(f"{name}.json"), os.path.join(LOG, f"{name}.uml")
    shutil.rmtree(folder, ignore_errors=True)       # kunit.py takes a folder that has a kernel
    os.makedirs(folder)
    os.symlink(image, os.path.join(folder, "linux"))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(report)
    append = (["seccomp=on", "ncpus=2"] if smp else []) + [*append]
    status, log = run([*KUNIT_PY, "exec", f"--build_dir={folder}", f"--json={report}",
                       f"--timeout={timeout}", *(f"--kernel_args={word}" for word in append),
                       *[suite] * bool(suite)], f"{name}.log", cwd=context.base.src, check=False)
    text = os.path.join(folder, "test.log")
    if not os.path.exists(report) or not os.path.exists(text):
        raise Fail(f"kunit.py did not get to run the suites (exit {status}): see {shown(log)}")
    shutil.copyfile(text, logfile(f"{name}.console"))
    return results(report)


def exec_qemu(context, image, name, suite="", append=(), dies=False, arch=build.X86_64):
    """Run KUnit in a guest, which may die in it if dies; return its results."""
    words = ["guest.kunit", *[f"kunit.filter_glob={suite}"] * bool(suite), *append]
    with contextlib.suppress(*[Fail] * dies):
        qemu.boot(image, qemu.initramfs(context.base, arch=arch), name, " ".join(words), arch=arch)
    return of_console(context, name)


def wanted(place, suite=""):
    """What KUnit is to come to; with suite, what that glob selects, as the kernel reads it."""
    globs = suite.split(".")
    place = QEMU if place == ARM64 else place
    return {name: want for name, want in expected.load("kunit")[place].items()
            if not suite or all(map(fnmatch.fnmatchcase, name.split("."), globs))}


def kernel(context, place, more=()):
    """The kernel with the suites of the mm series, for a place."""
    arch = ARCHS.get(place, build.UML)
    return build.kernel(context.base, context.commit[PATCHED], PATCHED, arch, more)


def suites(context, place, suite=""):
    """Run the suites of the mm series, or those that a glob selects, and judge them."""
    rerun = " ".join(["./run kunit --on", place, suite]).strip()
    log = f"kunit-{place}{context.base.suffix}"
    image = kernel(context, place)
    with stage(f"KUnit, {place}") as this:
        if place in ARCHS:
            found = exec_qemu(context, image, log, suite, arch=ARCHS[place])
        else:
            found = exec_uml(context, image, log, suite, place == UML_SMP)
        this.note = f"{len(found)} results"
    add(context, f"KUnit on {place}", found, wanted(place, suite), rerun, f"{log}.console")
    console.is_clean(context, log, logfile(f"{log}.console"), rerun)
    return found


def plain_x86_64(context):
    """Plain kunit.py --arch=x86_64 with the shipped .kunitconfig, as a user would."""
    base, name = context.base, "kunit-arch-x86_64"
    report = logfile(f"{name}.json")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(report)
    # kunit.py prefers KVM, and hangs where /dev/kvm is there but does not work.
    no_kvm = ["unshare", "-m", "sh", "-c", 'mount --bind /dev/null /dev/kvm; exec "$@"', "sh"]
    hide = no_kvm if os.path.exists(qemu.DEVICE) and os.geteuid() == 0 else []
    with base.tree, stage("plain kunit.py --arch=x86_64"):
        base.checkout(context.commit["mm"])
        run([*hide, *KUNIT_PY, "run", "--arch=x86_64", "--kunitconfig=mm",
             f"--build_dir={base.objects('kunit-x86_64')}", f"--json={report}",
             *(f"--make_options={option}" for option in build.COMPILER)],
            f"{name}.log", cwd=base.src, env=build.ENV, count=build.is_object, check=False)
        if not os.path.exists(report):
            raise Fail("kunit.py --arch=x86_64 did not get to run the suites, see "
                       + shown(logfile(f"{name}.log")))
    add(context, "kunit.py --arch=x86_64", results(report), wanted(PLAIN), None, f"{name}.log")
