# SPDX-License-Identifier: GPL-2.0-only
"""The record of claims, driver/expected/claims.toml: who says what, and how it is run here."""

import difflib
import re
from dataclasses import dataclass

from driver.core import expected
from driver.core.paths import shown
from driver.core.stage import Fail

COLUMNS = ("stock", "patched")
# What ./run claims runs a claim by.
KINDS = ("scenario", "schedule", "set", "mutant", "fix", "command")
VERDICT = re.compile(r"(reproduced|refuted|blocked)(: \S.*)?$")
NEAREST = 3


@dataclass(frozen=True)
class Run:
    """A way to run a claim, as "schedule hole.sched"."""
    kind: str
    name: str

    def __str__(self):
        return f"{self.kind} {self.name}"


@dataclass
class Claim:
    """What claims.toml says of one."""
    id: str
    title: str              # empty: that of its scenario
    source: dict            # link, date, role, ended
    runs: list              # [Run] of ./run claims
    also: list              # [Run] that belong to it, and are run by other commands
    verdicts: dict          # {column: verdict}
    injected: str
    steps: str
    kernels: str
    effort: str             # what it took the reporter to see it
    missing: str

    def named(self, kind):
        """The names of its runs of one kind."""
        return [run.name for run in self.runs if run.kind == kind]

    @property
    def scenario(self):
        """Is it replayed by the scenario of its name?"""
        return self.id in self.named("scenario")


def run_of(where, text):
    """A Run, of its words."""
    kind, _, name = text.partition(" ")
    if kind not in KINDS or not name:
        raise Fail(f"{where} is run by '{text}': a word of {', '.join(KINDS)}, and a name")
    return Run(kind, name)


def source_of(where, about, sources):
    """Who claims it: a source that several claims have, or what the claim itself says."""
    if "source" in about:
        if about["source"] not in sources:
            raise Fail(f"{where} has no source of these: " + ", ".join(sources))
        return sources[about["source"]]
    words = ("link", "date", "role", "ended")
    for word in words:
        if not about.get(word):
            raise Fail(f"{where} has no source, and no '{word}' of its own")
    return {word: about[word] for word in words}


def verdicts_of(where, about, runs):
    """{column: verdict}: the outcome, and of a scenario the reason, word for word."""
    verdicts = {column: about.get(column, "") for column in COLUMNS}
    replayed = any(run.kind == "scenario" for run in runs)
    for column, verdict in verdicts.items():
        if not runs and not verdict:
            continue
        match = VERDICT.match(verdict)
        if not match or replayed and not match[2]:
            raise Fail(f"{where} has no verdict for {column}: a word of reproduced, refuted, "
                       "blocked, and, of a scenario, a colon and the reason")
    return verdicts


def claim_of(path, name, about, sources):
    where = f"{shown(path)}: {name}"
    missing = about.get("missing", "")
    runs = [run_of(where, text) for text in
            about.get("runs", [] if missing else [f"scenario {name}"])]
    claim = Claim(name, about.get("title", ""), source_of(where, about, sources), runs,
                  [run_of(where, text) for text in about.get("also", [])],
                  verdicts_of(where, about, runs), about.get("injected", ""),
                  about.get("steps", ""), about.get("kernels", ""), about.get("effort", ""),
                  missing)
    for word in ("title", "steps", "kernels"):
        if not claim.scenario and not getattr(claim, word):
            raise Fail(f"{where} has no '{word}', and no scenario of its name")
    if not runs and not missing:
        raise Fail(f"{where} neither has a run nor says what is missing")
    return claim


def load(folder=None):
    """{id: Claim}, in the order of the file."""
    path, found = expected.load_file("claims", folder)
    return {name: claim_of(path, name, about, found.get("source", {}))
            for name, about in found["claim"].items()}


def unclaimed(folder=None):
    """{Run: why it belongs to no claim}."""
    path, found = expected.load_file("claims", folder)
    return {run_of(f"{shown(path)}: unclaimed", text): why
            for text, why in found.get("unclaimed", {}).items()}


def ident(name):
    """The id of a claim, as an argument of ./run claims."""
    known = {each.lower(): each for each in load()}
    if name.lower() not in known:
        near = difflib.get_close_matches(name.lower(), known, NEAREST, 0)
        raise Fail(f"there is no claim '{name}'; the nearest are "
                   + ", ".join(known[each] for each in near) + " (./run claims lists all)")
    return known[name.lower()]
