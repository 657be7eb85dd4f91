# SPDX-License-Identifier: GPL-2.0-only
"""Counting: every expected check seen, as expected, nothing else."""

import os

from driver.core.stage import say


class Tally:
    """What was seen against what was expected.

    rerun: the command that does the same again, for what names no smaller one.
    before: what comes before a command that is to be rerun, as in BASE=6.12.
    """

    def __init__(self, rerun="./run", before=""):
        self.passed, self.failed, self.skipped, self.reruns = 0, [], 0, []
        self.rerun, self.before = rerun, before

    def leave_out(self, what):
        say(f"not run: {what}")
        self.skipped += 1

    def fail(self, what, rerun=None):
        self.failed.append(what)
        self.reruns.append(self.before + (rerun or self.rerun))

    def check(self, good, what, rerun=None):
        if good:
            self.passed += 1
        else:
            self.fail(what, rerun)

    def add(self, where, results, expected, rerun=None, why=None, log=""):
        """Compare {check: verdict} with {check: expected verdict}.

        why: {check: what the test said of its verdict}.  log: where all that it said is.
        """
        bad = []
        for name, want in expected.items():
            got = results.get(name)
            if got is None:
                bad.append(f"{name} is missing, it did not run")
            elif got != want:
                said = (why or {}).get(name)
                bad.append(f"{name} is {got}, expected {want}" + (f": {said}" if said else ""))
            elif got == "skip":
                self.skipped += 1
            else:
                self.passed += 1
        bad += [f"{name} is new: say in driver/expected/ what it should be"
                for name in results.keys() - expected.keys()]
        self.failed += [f"{where}: {what}" for what in bad]
        if bad:
            if log:
                self.failed[-1] += f"\n    (all it said: {log})"
            self.reruns.append(self.before + (rerun or self.rerun))

    def merge(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.reruns += other.reruns

    def verdict(self):
        """Print the end of a run; return its exit status."""
        for line in self.failed:
            say(f"NOT AS EXPECTED: {line}")
        for command in dict.fromkeys(self.reruns):
            say(f"rerun just this: {command}")
        say("logs: out/log/")
        say(f"verdict: {self.passed} passed, {len(self.failed)} failed, {self.skipped} skipped")
        return 0 if self.passed and not self.failed else 1


def environment():
    """The variables that say which kernel a command is for, as they are typed before it."""
    return "".join(f"{name}={os.environ[name]} " for name in ("KDIR", "BASE")
                   if os.environ.get(name))
