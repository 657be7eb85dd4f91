# SPDX-License-Identifier: GPL-2.0-only
"""Running a kernel's checks, under QEMU or UML, and taking in what it printed."""

import contextlib
import os
import sys

import build
import guest
import judge
from stage import Fail, logfile, run, stage

KUNIT_QEMU = "./run kunit --on qemu"        # what reruns KUnit in a guest


def read(path):
    with open(path, errors="replace") as text:
        return text.read()


def console_is_clean(base, tally, name, console, rerun, known=None):
    """No splat but those that KUnit provokes, and those that match a pattern of known ones."""
    text = read(console)
    kunit, rest = judge.kunit_lines(known.sub("", text) if known else text)
    splats = judge.badness(base, rest) + judge.splats(base, kunit)
    tally.check(not splats, f"{name}: the console is not clean ({console}): "
                + "; ".join(splats[:3]), f"{rerun}, then read {console}")


def boot(base, tally, image, initrd, name, append="", dies=False, rerun="./run selftest"):
    """Boot for the selftests; return their results, and reasons of skips."""
    with stage(f"boot {name}") as this:
        try:
            console, tests = guest.boot(image, initrd, name, append)
        except Fail:
            if not dies:
                raise
            this.note = "the kernel died, as it was to"
            return {}, {}
        results, reasons = judge.tap(read(tests))
        this.note = f"{len(results)} results"
    console_is_clean(base, tally, name, console, rerun)
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


def kunit_uml(base, name, suite="", smp=True, folder="um", configs=("mm", build.UML_FRAGMENT),
              append=(), timeout=180):
    """Run KUnit under UML through kunit.py; return its results and the bad console lines."""
    report, objects = logfile(f"{name}.json"), os.path.join(base.dir, folder)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(report)
    append = (["seccomp=on", "ncpus=2"] if smp else []) + [*append]
    cmd = build.kunit_py("run", objects, configs, f"--json={report}", f"--timeout={timeout}",
                         *(f"--kernel_args={word}" for word in append))
    status, log = run(cmd + ([suite] if suite else []), f"{name}.log", cwd=base.src,
                      env=build.ENV, check=False, count=build.is_object)
    if not os.path.exists(report):
        raise Fail(f"kunit.py did not get to run the suites (exit {status}): see {log}")
    text = read(os.path.join(objects, "test.log"))
    with open(logfile(f"{name}.console"), "w") as copy:
        copy.write(text)
    return judge.kunit(report), judge.splats(base, text)
