# SPDX-License-Identifier: GPL-2.0-only
"""The documents: make htmldocs, and what they say of callers and tests."""

import os
import re
import shutil

from driver.core.paths import ROOT, read
from driver.core.process import run
from driver.core.stage import stage
from driver.suites.patches import SYSTEM_PYTHON

PAGES = os.path.join(ROOT, "Documentation/mm")


def documents(context):
    htmldocs(context)
    callers_and_tests(context)


def htmldocs(context):
    """make htmldocs has nothing to say of the new pages, and makes them."""
    base, tally, said = context.base, context.tally, {}
    for kernel in ("stock", "all"):
        objects = os.path.join(base.dir, f"docs-{kernel}")
        shutil.rmtree(objects, ignore_errors=True)
        with base.tree, stage(f"make htmldocs on {kernel}") as this:
            base.checkout(context.commit[kernel])
            _, log = run(["make", f"O={objects}", "htmldocs", "SPHINXDIRS=mm"],
                         f"htmldocs-{kernel}.log", cwd=base.src, env=SYSTEM_PYTHON, background=True)
            said[kernel] = {re.sub(r":\d+:", ":", line) for line in read(log).splitlines()
                            if re.search("warning|error", line, re.I)}
            made = {name for _, _, names in os.walk(objects) for name in names}
            this.note = f"{len(said[kernel])} complaints"
    new = said["all"] - said["stock"]
    tally.check(not new, "make htmldocs complains: " + "; ".join(sorted(new)))
    for page in sorted(os.listdir(PAGES)):
        tally.check(page.replace(".rst", ".html") in made, f"make htmldocs made nothing of {page}")


def callers_and_tests(context):
    """folio_isolation.rst names each caller of folio_isolate_lru(), and only tests there are."""
    base, tally = context.base, context.tally
    with stage("folio_isolation.rst names callers and tests") as this:
        page = base.git("show", f"{context.commit['all']}:Documentation/mm/folio_isolation.rst")
        wanted = callers(base, context.commit["all"])
        for caller in wanted:
            tally.check(f"   {caller}() " in page, "folio_isolation.rst has no row for "
                        f"{caller}(), which calls folio_isolate_lru()")
        tests = set(re.findall(r"\bfolio/[\w+-]+\w|\b(?:isolate|release|pageout|longterm|"
                               r"offline)_\w+(?=[,)]| *\n)", page))
        cases = read(os.path.join(ROOT, "lib/tests/folio_lru_kunit.c")) + \
            read(os.path.join(ROOT, "tools/testing/selftests/mm/folio_orphan.c"))
        litmus_tests = os.path.join(ROOT, "Documentation/litmus-tests")
        for test in sorted(tests):
            there = os.path.exists(os.path.join(litmus_tests, test + ".litmus")) or \
                re.search(rf"(KUNIT_CASE|TEST_F)\w*\(.*\b{re.escape(test)}\b", cases)
            tally.check(there, f"folio_isolation.rst names a test that is not there: {test}")
        this.note = f"{len(wanted)} callers, {len(tests)} tests"
    tally.check(len(wanted) > 10 and len(tests) > 10, "hardly any caller or test was found in "
                "folio_isolation.rst")


def callers(base, commit):
    """The functions that call folio_isolate_lru(), or isolate_folio_to_list() which does."""
    said = base.git("grep", "-hpE", r"\b(folio_isolate_lru|isolate_folio_to_list)\(folio\b",
                    commit, "--", "mm")
    found = re.findall(r"^(?:\S.*\b)?(\w+)\(.*[^;]$", said, re.M)
    return sorted(set(found) - {"isolate_folio_to_list"})
