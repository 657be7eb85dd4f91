# SPDX-License-Identifier: GPL-2.0-only
"""The litmus tests of the memory ordering, by herd7."""

import os
import re
import shutil

from driver.core.paths import ROOT, read, shown
from driver.core.process import in_parallel, run
from driver.core.stage import stage
from driver.kernel.debian import newer_tool

FOLDER = os.path.join(ROOT, "Documentation/litmus-tests/folio")
RESULT = re.compile(r"^ \* Result: (Never|Sometimes|Always)$", re.M)


def litmus(context):
    """Each test gives what its Result line says; that it gives another is found wrong."""
    base, tally = context.base, context.tally
    herd7 = newer_tool("herdtools7", "herd7", ("libc6", "libgmp10"),
                       "-set-libdir {}/usr/share/herdtools7/herd")
    env = {"PATH": f"{os.path.dirname(herd7)}:{os.environ['PATH']}", "LKMM_DESTDIR": "/",
           "LKMM_TIMEOUT_CMD": "timeout 1m"}
    work = os.path.join(base.dir, "litmus")
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(FOLDER, work)
    wrongs = {}
    for name in sorted(os.listdir(work)):
        test = read(os.path.join(work, name))
        result = RESULT.search(test)
        if not result:
            tally.fail(f"{name} has no Result line")
            continue
        wrongs[name] = "wrong-" + name
        with open(os.path.join(work, wrongs[name]), "w") as out:
            out.write(test.replace(result[0], " * Result: " + ("Never" if result[1] != "Never"
                                                             else "Sometimes")))

    def checked(name):
        """Its exit status: 1 if the result is another one, more if there is none."""
        return run(["sh", "scripts/checklitmus.sh", os.path.join(work, name)], f"litmus-{name}.log",
                   cwd=os.path.join(base.src, "tools/memory-model"), env=env, check=False)
    with stage("litmus tests, herd7") as this:
        said = dict(zip([*wrongs, *wrongs.values()],
                        in_parallel(checked, [*wrongs, *wrongs.values()])))
        for name, wrong in wrongs.items():
            status, log = said[name]
            tally.check(status == 0, f"{name} is not what its Result line says: see {shown(log)}")
            status, log = said[wrong]
            tally.check(status == 1, f"{name} with another Result line is not found wrong: see "
                        f"{shown(log)}")
        this.note = f"{len(wrongs)} tests, each also with a wrong Result"
    tally.check(bool(wrongs), "there is no litmus test")
