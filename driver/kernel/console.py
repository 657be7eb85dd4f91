# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel printed: no splat but those that a test provokes."""

import os
import re
import subprocess

from driver.core.paths import read, shown
from driver.core.stage import Fail

# In addition to rcutorture's console-badness.sh.
BADNESS = re.compile(r"page dumped because|Bad page|list_(add|del) corruption|Kernel panic|"
                     r"blocked for more than|nobody cared|soft lockup|Out of memory|"
                     r"general protection")
RESULT = re.compile(r"^(?:\[[^]]*\] )?(?:not )?ok \d+ \S+.*$", re.M)


def kunit_lines(console):
    """Split a console into what KUnit printed, with splats that its cases provoke, and the rest."""
    start = re.search(r"KTAP version 1", console)
    if not start:
        return "", console
    end = [match.end() for match in RESULT.finditer(console)]
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


def is_clean(context, name, path, rerun=None, known=None):
    """No splat but those that KUnit provokes, and those that match a pattern of known ones."""
    text = read(path)
    kunit, rest = kunit_lines(known.sub("", text) if known else text)
    found = badness(context.base, rest) + splats(context.base, kunit)
    context.tally.check(not found, f"{name}: the console is not clean ({shown(path)}): "
                        + "; ".join(found[:3]), rerun)
