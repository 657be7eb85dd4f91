# SPDX-License-Identifier: GPL-2.0-only
"""TAP, as kselftest and run_vmtests.sh print it."""

import re
from dataclasses import dataclass

from driver.core.stage import Fail

LINE = re.compile(r"^((?:# )*) *(not ok|ok) \d+ ?(?:- )?(.*?)(?:\s*# (\w+)?\b ?(.*))?$")
PLAN = re.compile(r"^(?:# )*1\.\.(\d+)")


@dataclass
class Line:
    """One result, as it is printed."""
    depth: int              # how many tests it is within
    name: str
    verdict: str            # pass, fail or skip
    reason: str


def lines(text):
    """The results in a text, in order."""
    for line in text.splitlines():
        if match := LINE.match(line):
            inside, status, name, directive, reason = match.groups(default="")
            skip = directive in ("SKIP", "XFAIL")
            yield Line(len(inside) // 2, name.strip(),
                       "skip" if skip else "pass" if status == "ok" else "fail",
                       reason if skip else "")


def parse(text):
    """({check: pass, fail or skip}, {check: why it skips}); what was announced must be there."""
    results, reasons, seen = {}, {}, 0
    plans = sum(int(plan[1]) for plan in map(PLAN.match, text.splitlines()) if plan)
    for line in lines(text):
        seen += 1
        name, _, _ = line.name.partition(" ")       # less the arguments of a test
        reason = line.reason
        if not name:        # kselftest.h has it after the SKIP
            name, _, reason = reason.partition(" ")
            reason = reason.removeprefix("# ")
        if name in results:
            raise Fail(f"the check {name} is reported twice")
        results[name] = line.verdict
        if line.verdict == "skip":
            reasons[name] = reason
    if not seen:
        raise Fail("no test ran: the guest printed no result line")
    if plans != seen:
        raise Fail(f"{plans} results were announced and {seen} seen: a test died halfway")
    return results, reasons
