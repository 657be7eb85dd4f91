# SPDX-License-Identifier: GPL-2.0-only
"""Judging what a run printed: every expected check seen, as expected, nothing else."""

import contextlib
import json
import os
import re
import subprocess
import time
import tomllib

from stage import ROOT, Fail

KNOWN = "fail (known)"
CI_MINUTES = 86             # of CI's 90; the others are for packages, and for what takes longer
BEGUN = time.monotonic()
# Where KUnit runs: the columns of [kunit] there.
KUNITS = ["qemu", "uml-smp", "uml-up", "kunit.py-x86_64"]
EXPECTED = os.path.join(ROOT, "scripts", "expected.toml")
RESULT = re.compile(r"^(?:# )*(not ok|ok) \d+ (?:([^\s#]\S*)[^#]*)?(?:# (SKIP|XFAIL)\b ?(.*))?")
PLAN = re.compile(r"^(?:# )*1\.\.(\d+)")
# In addition to rcutorture's console-badness.sh.
BADNESS = re.compile(r"page dumped because|Bad page|list_(add|del) corruption|Kernel panic|"
                     r"blocked for more than|nobody cared|soft lockup|Out of memory|general protection")


def section(name, series=""):
    """A section of scripts/expected.toml, as it stands there, with what differs on one kernel."""
    with open(EXPECTED, "rb") as expected:
        try:
            sections = tomllib.load(expected)
        except tomllib.TOMLDecodeError as mistake:
            raise Fail(f"scripts/expected.toml: {mistake}") from None
    return {**sections[name], **sections.get(f"{name} on {series}", {})}


def load(name, columns, series=""):
    """{column: {check: verdict}} of a section of scripts/expected.toml."""
    checks = section(name, series)
    for check, verdicts in checks.items():
        if len(verdicts) < len(columns):
            raise Fail(f"scripts/expected.toml: {check} has {len(verdicts)} verdicts in [{name}], "
                       f"which has the columns {', '.join(columns)}")
    return {column: {name: verdicts[number] for name, verdicts in checks.items()}
            for number, column in enumerate(columns)}


def tap(text):
    """{check: pass, fail or skip} of kselftest output, run_vmtests.sh's or a test's own."""
    results, reasons, plans, seen = {}, {}, 0, 0
    for line in text.splitlines():
        plan = PLAN.match(line)
        if plan:
            plans += int(plan[1])
        match = RESULT.match(line)
        if not match:
            continue
        seen += 1
        verdict, name, skip, reason = match.groups()
        if not name:        # kselftest.h has it after the SKIP
            name, _, reason = (reason or "").partition(" ")
            reason = reason.removeprefix("# ")
        if name in results:
            raise Fail(f"the check {name} is reported twice")
        results[name] = "skip" if skip else "pass" if verdict == "ok" else "fail"
        if skip:
            reasons[name] = reason
    if not seen:
        raise Fail("no test ran: the guest printed no result line")
    if plans != seen:
        raise Fail(f"{plans} results were announced and {seen} seen: a test died halfway")
    return results, reasons


def kunit(path):
    """{suite.case: pass, fail or skip} of the file that kunit.py --json writes."""
    with open(path) as report:
        root = json.load(report)
    results = {}

    def walk(group, prefix):
        for case in group.get("test_cases", ()):
            status = case["status"]
            results[prefix + case["name"]] = {"PASS": "pass", "SKIP": "skip"}.get(status, "fail")
        for sub in group.get("sub_groups", ()):
            walk(sub, prefix + sub["name"] + ".")
    for group in root.get("sub_groups", ()):
        walk(group, group["name"] + ".")
    if not results:
        raise Fail(f"KUnit ran no test, see {path}")
    return results


def died(kunit_results):
    """Did the kernel die in a suite?  kunit.py reports a test without a name there."""
    return any(name.endswith(".") for name in kunit_results)


def kunit_lines(console):
    """Split a console into what KUnit printed, splats that its cases provoke included, and the rest."""
    start = re.search(r"KTAP version 1", console)
    if not start:
        return "", console
    end = [match.end() for match in re.finditer(r"^(?:\[[^]]*\] )?(?:not )?ok \d+ \S+.*$", console, re.M)]
    stop = end[-1] if end else len(console)
    return console[start.start():stop], console[:start.start()] + console[stop:]


def splats(base, text):
    """What rcutorture's scan of a console finds."""
    script = os.path.join(base.src, "tools/testing/selftests/rcutorture/bin/console-badness.sh")
    scan = subprocess.run(["bash", script], input=text, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True)
    if scan.returncode not in (0, 1):       # grep's: found, not found
        raise Fail(f"{script} does not run: no console can be judged")
    return scan.stdout.splitlines()


def badness(base, text):
    """The lines of a console that no good run has."""
    found = splats(base, text)
    return found + [line for line in text.splitlines()
                    if BADNESS.search(line) and line not in found]


def complaints(lines):
    """What a compiler, sparse, ld or Kconfig complains about, without line numbers: a set."""
    return {re.sub(r":(\d+:(\d+:)?|\(\.text\S*\):)", ":", line).strip() for line in lines
            if re.search(r"warning:|error:|WARNING:|ERROR:|undefined reference", line)}


def functions(disassembly):
    """{function: its code} of what objdump says of an object file.

    It may name code after a symbol with a number of its own in each file.
    """
    disassembly = re.sub(r"(__UNIQUE_ID_\w+)_\d+", r"\1", disassembly)
    parts = re.split(r"^[0-9a-f]+ <(.*)>:$", disassembly, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def code_difference(one, other):
    """The first function that is not the same in two disassemblies, or None."""
    one, other = functions(one), functions(other)
    return next((name for name in [*one, *other] if one.get(name) != other.get(name)), None)


class Tally:
    """What was seen against what was expected.

    base: what comes before a command that is to be rerun, if it is for one kernel of several.
    """

    base = ""

    def __init__(self):
        self.passed, self.failed, self.skipped, self.rerun = 0, [], 0, []

    def leave_out(self, what):
        print(f"not run: {what}", flush=True)
        self.skipped += 1

    def late(self, what, minutes):
        """CI has 90 minutes.  Are there not as many left as this takes on a slow machine?  Then
        it is left out."""
        if not os.environ.get("CI") or time.monotonic() - BEGUN < (CI_MINUTES - minutes) * 60:
            return False
        self.leave_out(f"{what}: it is late for CI")
        return True

    @contextlib.contextmanager
    def on(self, base):
        """What is to be rerun is for this kernel."""
        self.base = base
        try:
            yield
        finally:
            del self.base

    @contextlib.contextmanager
    def going_on(self, rerun):
        """A part that other parts do not need: if it can't be run, that is one failure."""
        try:
            yield
        except (Fail, OSError) as failure:
            self.check(False, str(failure), rerun)

    def add(self, where, results, expected, rerun):
        """Compare {check: verdict} with {check: expected verdict}."""
        bad = len(self.failed)
        for name, want in expected.items():
            got = results.get(name)
            if got is None:
                self.failed.append(f"{where}: {name} is missing, it did not run")
            elif got != want:
                self.failed.append(f"{where}: {name} is {got}, expected {want}")
            elif got == "skip":
                self.skipped += 1
            else:
                self.passed += 1
        for name in results.keys() - expected.keys():
            self.failed.append(f"{where}: {name} is new: say in scripts/expected.toml what it "
                               "should be")
        if len(self.failed) > bad:
            self.rerun.append(self.base + rerun)

    def check(self, good, what, rerun):
        if good:
            self.passed += 1
        else:
            self.failed.append(what)
            self.rerun.append(self.base + rerun)

    def verdict(self):
        for line in self.failed:
            print(f"NOT AS EXPECTED: {line}")
        for command in dict.fromkeys(self.rerun):
            print(f"rerun just this: {command}")
        print("logs: out/log/")
        print(f"verdict: {self.passed} passed, {len(self.failed)} failed, {self.skipped} skipped")
        return 0 if self.passed and not self.failed else 1


def cell(got, want):
    if got == want:
        return KNOWN if got == "fail" else got
    return f"{(got or 'missing').upper()} (expected {want})"


def table(columns, seen, want):
    """One line a check, one column a kernel; seen and want: {column: {check: verdict}}."""
    checks = want[columns[0]]
    width = max(len(name) for name in checks) + 2
    print("check".ljust(width) + "".join(column.ljust(14) for column in columns).rstrip())
    for name in checks:
        print(name.ljust(width) + "".join(cell(seen[column].get(name), want[column][name]).ljust(14)
                                          for column in columns).rstrip())
