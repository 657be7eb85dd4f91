# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's own tests, stock beside patched: no test may get worse.

All KUnit suites that UML can run, and the mm selftests that a guest with 2 GiB can run.
"""
import collections
import glob
import json
import os
import re
import shutil

from driver.core import tap
from driver.core.paths import logfile, read
from driver.core.process import JOBS, run
from driver.core.stage import Fail, say, stage
from driver.core.tables import grid
from driver.kernel import build, console, qemu
from driver.suites import kunit as kunit_suite

KUNIT = "kunit"
ALL_TESTS = "tools/testing/kunit/configs/all_tests.config"
KUNIT_TIME_LIMIT = 900      # seconds, to run the suites
KERNELS = {"stock": "stock", "patched": "mm+tcp"}      # {column: which of compose.KERNELS}
MORE_RUNS = 2               # of what differs, on both kernels

# The categories of run_vmtests.sh that are run, and for how many seconds at most.
CATEGORIES = {
    "mmap": 120, "madv_populate": 120, "madv_guard": 120, "process_madv": 120, "mkdirty": 120,
    "mdwe": 120, "memfd_secret": 120, "soft_dirty": 120, "pagemap": 180, "pfnmap": 120,
    "mremap": 120, "mlock": 120, "vma_merge": 120, "process_mrelease": 120, "hugevm": 120,
    "rmap": 120, "compaction": 180, "memory-failure": 120, "gup_test": 120, "pkey": 240,
    "cow": 300, "migration": 600, "ksm_numa": 120, "ksm": 600, "hmm": 400, "hugetlb": 600,
    "thp": 1200,
}

# The CPUs of a guest, if not two: migration wants two more than it has threads.
CPUS = {"migration": 4}

# Those that are not, and why.
NOT_RUN = {
    "userfaultfd": "uffd-unit-tests did not end within 7 minutes under TCG",
    "vmalloc": "test_vmalloc.sh loads a module, of which the guest has none",
    "page_frag": "test_page_frag.sh loads a module, of which the guest has none",
}

# Tests of a category that are left out: they skip on both kernels.
LEFT_OUT = {
    "charge_reserved_hugetlb.sh": "it needs killall --wait, which busybox does not have",
    "hugetlb_fault_after_madv": "its threads race for minutes on two CPUs of TCG",
    "folio_split_race_test": "16 threads that spin take minutes on two CPUs of TCG",
}

# Tests that were seen to fail now and then on stock.  They must still pass on patched in one run
# of those that there are; a category has too few runs to see it each time.
KNOWN_TO_VARY = {
    "khugepaged: collapse_max_ptes_swap": "MADV_PAGEOUT does not always swap all 64 pages out",
    "khugepaged: collapse_compound_extreme": "seen once",
    "khugepaged": "as one of its tests does",
}

STUB = "#!/bin/sh\nexit 4\n"

# How good a result is; one that is not there is worst.
RANK = {"pass": 3, "skip": 2, "fail": 1, "missing": 0}
# Results that are no test's: how a run ended, and what is on its console.
KERNEL, CONSOLE = "the kernel", "console: "

# What is not the same in two runs of the same test.
VARIES = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{8,}\b|\b\d+\.\d+\b|\b\d+ (?:ns|us|ms|s)\b"
                    r"|(?<=Extra pages )\d+ \(\d+%\)|(?<=thread faults )\d+"    # pagemap_ioctl
                    r"|(?<=reaping a child with )\d+")                           # mrelease_test


def normal(name):
    """A name without what varies between runs."""
    return VARIES.sub("N", name).strip()


def numbered(name, results):
    """name, or with how often it has been there already."""
    count, each = 1, name
    while each in results:
        count += 1
        each = f"{name} ({count})"
    return each


def known_to_vary(name):
    """Why, if a test is; it may be there more than once."""
    return KNOWN_TO_VARY.get(re.sub(r" \(\d+\)$", "", name))


def vmtests(text):
    """{test: verdict} of run_vmtests.sh, the tests' own results as TEST: NAME."""
    results, inside = {}, []
    for line in tap.lines(text):
        if line.depth:
            # ksft_test_result_skip() puts the name behind the directive
            inside.append((normal(line.name or line.reason or "-"), line.verdict))
            continue
        test = numbered(line.name, results)
        results[test] = line.verdict
        for name, result in inside:
            results[numbered(f"{test}: {name}", results)] = result
        inside = []
    return results


def on_console(lines):
    """{what a kernel reported: fail}, without times, addresses and numbers."""
    said = [re.sub(r"^(?:\[[^]]*\] *)+", "", line.strip()) for line in lines]
    # A reason to skip may well name CONFIG_DEBUG_VM
    return {CONSOLE + re.sub(r"0x[0-9a-f]+|\b[0-9a-f]{8,}\b|\d+", "N", line): "fail"
            for line in said if not re.match(r"ok \d+ .*# SKIP", line)}


def value(results, name):
    return results.get(name, "pass" if name.startswith(CONSOLE) else "missing")


def differences(stock, patched):
    """The names of what is worse on patched than on stock; of how it ended, what is other."""
    if KERNEL in stock and stock[KERNEL] != patched.get(KERNEL):
        return [KERNEL]          # and what it did not get to is no news
    return [name for name in [*stock, *(patched.keys() - stock.keys())]
            if (name in stock or name.startswith(CONSOLE))
            and RANK[value(patched, name)] < RANK[value(stock, name)]]


class Part:
    """One row of the table: what was seen in each run, on both kernels."""

    def __init__(self, name):
        self.name, self.runs, self.why = name, {column: [] for column in KERNELS}, {}

    def add(self, column, results):
        self.runs[column].append(results)

    def first(self, column):
        return self.runs[column][0]

    def tests(self, column):
        """The results that are a test's, of those that are compared."""
        return {name: result for name, result in self.first(column).items()
                if name in self.first("stock") and name != KERNEL
                and not name.startswith(CONSOLE)}

    def dead(self):
        """Did the first guest end on neither kernel?"""
        return all(self.first(column).get(KERNEL) == "fail" for column in KERNELS)

    def different(self):
        return [] if self.dead() else differences(*(self.first(column) for column in KERNELS))

    def seen(self, column, name):
        return [value(results, name) for results in self.runs[column]]

    def varies(self, name):
        """Is it not always the same on stock, now or as is known?"""
        now = set(self.seen("stock", name))
        return len(now) > 1 or known_to_vary(name) and bool(now & set(self.seen("patched", name)))

    def worse(self):
        return [name for name in self.different() if not self.varies(name)]

    def story(self, name):
        return "; ".join(f"{KERNELS[column]}: {' '.join(self.seen(column, name))}"
                         for column in KERNELS)

    def counts(self, column):
        count = collections.Counter(self.tests(column).values())
        return "/".join(str(count[each]) for each in ("pass", "fail", "skip"))

    def row(self):
        if self.dead():
            return [self.name, "not run", "", "", f"on both kernels {self.why['stock']}"]
        return [self.name, str(len(self.tests("stock"))), *map(self.counts, KERNELS),
                str(len(self.worse()))]


def table(parts):
    return grid([["suite", "compared", "stock p/f/s", f"{KERNELS['patched']} p/f/s", "differences"],
                 *(part.row() for part in parts)])


def judge(tally, part):
    """Count a part: whatever is worse on patched, and does not vary on stock, is a failure."""
    rerun = f"./run own {part.name}"
    if part.dead():
        tally.fail(f"own tests, {part.name}: on both kernels {part.why['stock']}: give it "
                   "what it needs, or say in NOT_RUN of driver/suites/own.py why it can't be run",
                   rerun)
        return
    worse = part.worse()
    for name in worse:
        tally.fail(f"own tests, {part.name}: {name}: {part.story(name)}"
                    + (f" ({', '.join(filter(None, part.why.values()))})"
                       if name == KERNEL else ""), rerun)
    count = len(part.tests("stock"))
    tally.check(count, f"own tests, {part.name}: nothing was compared", rerun)
    if KERNEL not in worse:
        tally.passed += max(count - len(worse) - 1, 0)


def again(part, go):
    """Run once more what differs, on both kernels: does it vary by itself?"""
    for _ in range(MORE_RUNS):
        if not part.worse():
            return
        for column in KERNELS:
            part.add(column, go(column))


def kunit(context):
    """All the KUnit suites under UML; one folder of objects, so the second build is short."""
    part, base = Part(KUNIT), context.base

    def go(column):
        name, report = f"own-kunit-{column}", logfile(f"own-kunit-{column}.json")
        with base.tree, stage(f"all KUnit suites under UML on {KERNELS[column]}") as this:
            base.checkout(context.commit[KERNELS[column]])
            objects = base.objects("um-own")
            if os.path.exists(report):
                os.unlink(report)
            status, log = run(
                [*kunit_suite.KUNIT_PY, "run", f"--build_dir={objects}", f"--jobs={JOBS}",
                 f"--kunitconfig={ALL_TESTS}", f"--json={report}", f"--timeout={KUNIT_TIME_LIMIT}",
                 *(f"--make_options={option}" for option in build.COMPILER)],
                f"{name}.log", cwd=base.src, env=build.ENV, check=False, count=build.is_object)
            if not os.path.exists(report):
                why = f"kunit.py did not get to run the suites (exit {status}): see {log}"
                if column == "stock":
                    raise Fail(why)
                this.note = part.why[column] = why
                return {KERNEL: "fail"}
            results = kunit_suite.results(report)
            this.note = f"{len(results)} results"
            splats = console.splats(base, read(os.path.join(objects, "test.log")))
        return {KERNEL: "pass", **results, **on_console(splats)}

    for column in KERNELS:
        part.add(column, go(column))
    if not part.why:            # what does not build will not the next time, either
        again(part, go)
    return part


def selftests(context):
    """Build the mm selftests of stock, all that there are, static; return their folder."""
    base = context.base
    tests = os.path.join(base.dir, "selftests-own")
    folder = os.path.join(base.src, "tools/testing/selftests/mm")
    with base.tree, stage("build the kernel's mm selftests") as this:
        base.checkout(context.commit["stock"])
        os.makedirs(tests, exist_ok=True)
        # What libraries there are is looked up once, maybe before they were installed
        found = os.path.join(folder, "local_config.mk")
        if os.path.exists(found) and "-luring" not in read(found):
            os.unlink(found)
        headers = build.uapi(base)
        for name in os.listdir(tests):      # what was left out may not be any more
            if read(os.path.join(tests, name)) == STUB:
                os.unlink(os.path.join(tests, name))
        run(["make", f"-j{JOBS}", "-C", folder, f"OUTPUT={tests}", *build.COMPILER[:1],
             "EXTRA_CFLAGS=-static", f"KHDR_INCLUDES=-isystem {headers}/usr/include"],
            "own-selftests.log", env=build.ENV)
        this.note = f"{len(os.listdir(tests))} programs"
        for script in glob.glob(os.path.join(folder, "*.sh")):
            shutil.copy(script, tests)
        for name in LEFT_OUT:
            path = os.path.join(tests, name)
            with open(path, "w") as stub:
                stub.write(STUB)
            os.chmod(path, 0o755)
    return tests


def machine(cpus):
    """2 GiB, two nodes, and as many CPUs."""
    return ["-m", "2G", "-smp", f"{cpus},sockets=2",
            *(word for node in range(2) for word in (
                "-object", f"memory-backend-ram,id=m{node},size=1G",
                "-numa", f"node,nodeid={node},memdev=m{node},cpus="
                f"{cpus // 2 * node}-{cpus // 2 * (node + 1) - 1}"))]


def vmtest(base, image, initrd, part, column):
    """Boot one kernel for one category; return its results."""
    name = f"own-{part.name}-{column}"
    said_by, tests, ended = logfile(f"{name}.console"), logfile(f"{name}.tap"), "pass"
    try:
        qemu.boot(image, initrd, name, f"kunit.enable=0 guest.own guest.category={part.name}",
                  CATEGORIES[part.name], machine(CPUS.get(part.name, 2)))
    except Fail as failure:
        said = str(failure).splitlines()[0]
        if "from outside" in said:
            raise
        ended = "fail"
        part.why[column] = (f"it did not end within {CATEGORIES[part.name]} s"
                            if "did not finish" in said else "it died")
    results = {KERNEL: ended, **vmtests(read(tests)),
               **on_console(console.badness(base, read(said_by)))}
    for suffix in ("console", "tap"):       # of each run, for whoever looks into a difference
        number = len(part.runs[column]) + 1
        shutil.copy(logfile(f"{name}.{suffix}"), logfile(f"{name}.{number}.{suffix}"))
    return results


def vm(base, image, initrd, category):
    """One category of run_vmtests.sh on both kernels."""
    part = Part(category)

    def go(column):
        return vmtest(base, image[column], initrd, part, column)

    with stage(f"run_vmtests.sh -t {category}") as this:
        for column in KERNELS:
            part.add(column, go(column))
        again(part, go)
        this.note = f"{len(part.tests('stock'))} results"
        if part.different():
            this.note += f", {len(part.different())} differ in the first run"
    return part


def chosen(which):
    """What is to run, in the order that there is."""
    known = [KUNIT, *CATEGORIES]
    for name in which:
        if name in NOT_RUN:
            raise Fail(f"the category {name} is not run: {NOT_RUN[name]}")
        if name not in known:
            raise Fail(f"there is no category '{name}'; there are: {', '.join(known)}")
    return [name for name in known if name in which or not which]


def own(context, which=()):
    """Run the kernel's own tests, all or those named, on both kernels, and compare."""
    names, parts, base = chosen(which), [], context.base
    if KUNIT in names:
        parts.append(kunit(context))
    categories = [name for name in names if name != KUNIT]
    if categories:
        image = {column: build.kernel(base, context.commit[kernel], f"own-{column}", build.X86_64,
                                      [build.fragment("own")], "x86_64-own")
                 for column, kernel in KERNELS.items()}
        initrd = qemu.initramfs(base, selftests(context), name="initramfs-own")
        parts += [vm(base, image, initrd, name) for name in categories]
    with open(logfile("own.json"), "w") as out:
        json.dump({part.name: {**part.runs, "worse": part.worse()} for part in parts}, out,
                  indent=1)
    say(f"\n{table(parts)}")
    for part in parts:
        judge(context.tally, part)
        for name in part.different():
            if part.varies(name):
                why = known_to_vary(name)
                say(f"varies on stock: {part.name}: {name}: {part.story(name)}"
                    + (f" (known: {why})" if why else ""))
    if not which:
        for name, why in {**NOT_RUN, **LEFT_OUT}.items():
            say(f"not run: {name}: {why}")
    say("each result: out/log/own.json")
