# SPDX-License-Identifier: GPL-2.0-only
"""The series under other compilers, architectures and configurations: it compiles, without a word.

A row is one configuration.  The tree with everything applied is configured for it, every
setting that was asked for must hold, and then the files that the series touches are compiled
with W=1.  For each architecture and compiler that is all of mm/, as the series edits
mm/internal.h, which nearly every file of mm/ includes; in the other rows, where all of mm/
takes more than twice as long, it is just the files of the series.  The objects are removed
before, or make would not say again what it said of a file before; ccache makes that cheap from
the second time on.

What a row complains about is compared with stock, in the same configuration.  One row is
linked as well: the one that has nothing but what the series depends on, so that a dependency
that its Kconfig entries do not name is an undefined reference.
"""
import contextlib
import os
import re
import shutil

from driver.core.paths import logfile, read, shown
from driver.core.process import JOBS, run
from driver.core.stage import Fail, stage
from driver.kernel import build, compose
from driver.kernel.compose import LAB, MM, SERIES, TCP
from driver.kernel.objects import complaints
from driver.kernel.source import RELEASES

# The newest one that Debian 12 itself has; the kernel wants 17 (scripts/min-tool-version.sh).
CLANG = "19"

# What all rows ask for, in addition to allnoconfig and what ARCHS says.  A row changes some.
BASE = """
	EXPERT SMP PREEMPT PRINTK BUG MULTIUSER PROC_FS SYSFS ADVISE_SYSCALLS BLOCK NET INET
	SHMEM TMPFS SWAP CGROUPS MEMCG MIGRATION COMPACTION TRANSPARENT_HUGEPAGE
	LRU_GEN LRU_GEN_ENABLED DAMON DAMON_PADDR DAMON_VADDR
	DEBUG_KERNEL DEBUG_FS DEBUG_VM DEBUG_LIST RUNTIME_TESTING_MENU KUNIT
	FOLIO_LRU_KUNIT_TEST DEBUG_VM_LRU_LINKS FOLIO_LINKS_KUNIT_TEST
	MM_SYNC_POINTS MM_SYNC_POINTS_DEBUGFS FOLIO_RACE_KUNIT_TEST FOLIO_BENCH"""
MOVABLE = "MEMORY_HOTPLUG MEMORY_HOTREMOVE MEMORY_FAILURE SPARSEMEM_VMEMMAP"
# {name: (ARCH, CROSS_COMPILE, more settings)}
ARCHS = {
    "x86_64": ("x86_64", "", "64BIT X86_MCE " + MOVABLE),
    "i386": ("i386", "", "64BIT=n"),
    "arm64": ("arm64", "aarch64-linux-gnu-", "MMU " + MOVABLE),
    "riscv": ("riscv", "riscv64-linux-gnu-", "64BIT MMU SPARSEMEM_MANUAL FLATMEM_MANUAL=n "
              + MOVABLE.replace("MEMORY_FAILURE", "")),
}
# What goes when sync points go; when KUnit can't be built in; the files that are not built then.
SYNC_POINTS = "MM_SYNC_POINTS MM_SYNC_POINTS_DEBUGFS FOLIO_RACE_KUNIT_TEST"
RACE_FILES = """lib/tests/folio_race_actors.c lib/tests/folio_race_kunit.c
	lib/tests/mm_sync_point_kunit.c lib/tests/folio_explore.c
	lib/tests/folio_explore_kunit.c"""
LINKS = "DEBUG_VM_LRU_LINKS FOLIO_LINKS_KUNIT_TEST"
LINKS_FILE = "lib/tests/folio_links_kunit.c "
LAB_FILES = "mm/sync_point.c mm/sync_point_debugfs.c " + RACE_FILES


class Row:
    """A configuration.

    settings: how it differs from BASE.  refused: what BASE asks for and Kconfig must turn down
    here, as there is no such thing without a dependency.  left_out: files of the series that
    are not part of such a kernel; all others must have been compiled.  whole: all of mm/ and
    lib/tests/ is compiled.  alone: the settings are all there are, and a kernel is linked.
    """

    def __init__(self, title, settings="", *, arch="x86_64", clang=False, refused="", left_out="",
                 whole=False, alone=False):
        self.title, self.arch, self.clang = title, arch, clang
        self.whole, self.alone = whole, alone
        self.asked = parsed(settings if alone else " ".join((BASE, ARCHS[arch][2], settings)))
        self.wanted = {**self.asked, **dict.fromkeys(refused.split(), "n")}
        self.refused, self.left_out = refused.split(), left_out.split()

    def objects(self, base):
        """One folder of objects an architecture and compiler."""
        return base.objects(f"matrix-{self.arch}" + "-clang" * self.clang)

    def tools(self):
        arch, cross, _ = ARCHS[self.arch]
        if self.clang:
            return [f"ARCH={arch}", f"LLVM=-{CLANG}", f"CC=env FOLIO_CC=clang-{CLANG} folio-cc",
                    "HOSTCC=ccache gcc"]
        return [f"ARCH={arch}", f"CROSS_COMPILE={cross}", f"CC=env FOLIO_CC={cross}gcc folio-cc",
                "HOSTCC=ccache gcc"]


def parsed(settings):
    """{symbol: y, m or n} of words like SWAP, KUNIT=m and SMP=n; the last one counts."""
    return {name: value or "y" for name, _, value in
            (word.partition("=") for word in settings.split())}


ROWS = {
    "x86_64": Row("all of it: sync points, KUnit, PREEMPT, DEBUG_VM, LRU_GEN, huge pages",
                  whole=True),
    "x86_64-clang": Row(f"the same, clang {CLANG}", clang=True, whole=True),
    "i386": Row("the same, FLATMEM", "FLATMEM_MANUAL", arch="i386",
                whole=True),
    "i386-sparsemem": Row("no linear struct pages: no LRU_GEN, and nothing is reported",
                          "SPARSEMEM_MANUAL FLATMEM_MANUAL=n", arch="i386",
                          refused="LRU_GEN LRU_GEN_ENABLED " + LINKS, left_out=LINKS_FILE,
                          whole=True),
    "arm64": Row("the same", arch="arm64", whole=True),
    "arm64-clang": Row(f"the same, clang {CLANG}", arch="arm64", clang=True, whole=True),
    "riscv": Row("the same", arch="riscv", whole=True),
    "riscv-nommu": Row("no MMU: sync points alone, no KUnit suite of the series",
                       "MMU=n NONPORTABLE RISCV_M_MODE SPARSEMEM_MANUAL=n SPARSEMEM_VMEMMAP=n "
                       "MEMORY_HOTPLUG=n MEMORY_HOTREMOVE=n", arch="riscv",
                       refused="SHMEM TMPFS SWAP MIGRATION COMPACTION TRANSPARENT_HUGEPAGE "
                       "LRU_GEN LRU_GEN_ENABLED DAMON_PADDR DAMON_VADDR FOLIO_LRU_KUNIT_TEST "
                       "FOLIO_RACE_KUNIT_TEST FOLIO_BENCH " + LINKS,
                       left_out="mm/madvise.c mm/mlock.c mm/page_vma_mapped.c mm/folio_bench.c "
                       "mm/pgtable-generic.c lib/tests/folio_lru_kunit.c "
                       + LINKS_FILE + RACE_FILES, whole=True),
    "minimal": Row("nothing but what the suites depend on, linked",
                   "64BIT EXPERT SMP PREEMPT DEBUG_KERNEL DEBUG_VM SHMEM ADVISE_SYSCALLS "
                   "RUNTIME_TESTING_MENU KUNIT FOLIO_LRU_KUNIT_TEST MM_SYNC_POINTS "
                   "FOLIO_RACE_KUNIT_TEST", alone=True,
                   left_out="net/ipv4/tcp.c mm/sync_point_debugfs.c mm/folio_bench.c "
                   + LINKS_FILE),
    "no-smp": Row("SMP=n: no sync points", "SMP=n", refused=SYNC_POINTS, left_out=LAB_FILES),
    "no-memcg": Row("MEMCG=n", "MEMCG=n", refused="FOLIO_LINKS_KUNIT_TEST",
                    left_out=LINKS_FILE),
    "no-swap": Row("SWAP=n", "SWAP=n"),
    "no-shmem": Row("SHMEM=n: no replays", "SHMEM=n",
                    refused="TMPFS FOLIO_RACE_KUNIT_TEST", left_out=RACE_FILES),
    "no-advise": Row("ADVISE_SYSCALLS=n: no replays", "ADVISE_SYSCALLS=n",
                     refused="FOLIO_RACE_KUNIT_TEST", left_out="mm/madvise.c " + RACE_FILES),
    "no-migration": Row("MIGRATION=n, and all that selects it", "MIGRATION=n COMPACTION=n "
                        "TRANSPARENT_HUGEPAGE=n MEMORY_HOTREMOVE=n MEMORY_FAILURE=n"),
    "no-thp": Row("TRANSPARENT_HUGEPAGE=n; TMPFS=n, DAMON=n: replays that need them skip",
                  "TRANSPARENT_HUGEPAGE=n TMPFS=n DAMON=n", refused="DAMON_PADDR DAMON_VADDR"),
    "no-lru-gen": Row("LRU_GEN=n; DEBUG_FS=n: sync points, but not for user space",
                      "LRU_GEN=n DEBUG_FS=n", refused="LRU_GEN_ENABLED MM_SYNC_POINTS_DEBUGFS "
                      "FOLIO_BENCH", left_out="mm/sync_point_debugfs.c mm/folio_bench.c"),
    "no-debug-vm": Row("DEBUG_VM=n: nothing is reported, no replays", "DEBUG_VM=n",
                       refused="FOLIO_RACE_KUNIT_TEST " + LINKS, left_out=LINKS_FILE + RACE_FILES),
    "preempt-rt": Row("PREEMPT_RT: no sync points", "PREEMPT_RT",
                      refused="TRANSPARENT_HUGEPAGE " + SYNC_POINTS, left_out=LAB_FILES),
    "preempt-lazy": Row("PREEMPT_LAZY, sync points off",
                        "PREEMPT=n PREEMPT_LAZY MM_SYNC_POINTS=n",
                        refused="MM_SYNC_POINTS_DEBUGFS FOLIO_RACE_KUNIT_TEST",
                        left_out=LAB_FILES),
    "kunit-module": Row("KUNIT=m: the suites are for a built-in one", "KUNIT=m MODULES",
                        refused="FOLIO_LRU_KUNIT_TEST FOLIO_LINKS_KUNIT_TEST "
                        "FOLIO_RACE_KUNIT_TEST",
                        left_out="lib/tests/folio_lru_kunit.c " + LINKS_FILE + RACE_FILES),
}
PATCHES, COCCI = "patches", "coccicheck"
OTHERS = {PATCHES: "each patch of each series on its own, x86_64",
          COCCI: "make coccicheck MODE=report on the files of the series"}
NAMES = [PATCHES, *ROWS, COCCI]
# Semantic patches that are left out: {file: why}; spatch can't run them
COCCI_LEFT_OUT = {
    "api/check_bq27xxx_data.cocci": "takes an OCaml compiler; for one driver",
    "null/badzero.cocci": "takes an OCaml compiler; sparse looks for the same",
}
# Reports that are no defects: {report: why}
COCCI_WRONG = {f"doubletest.cocci: {path}: duplicated argument to && or ||":
               "get_kernel_nofault() assigns to it in between"
               for path in ("lib/tests/folio_lru_kunit.c", "mm/sync_point.c")}
# What coccicheck finds, in between what it says of itself
COCCI_REPORT = re.compile(r"^\./(\S+):\d+:\d+-\d+: (.*)$", re.M)


def row_name(text):
    """What ./run matrix takes."""
    if text not in NAMES:
        raise Fail(f"there is no row '{text}'; there are: {', '.join(NAMES)}")
    return text


def touched(names=SERIES, release=RELEASES[0]):
    """The .c files of the kernel that the series touch."""
    return list(dict.fromkeys(path for name in names for patch in compose.patches(name, release)
                              for path in patch.paths() if is_source(path)))


def is_source(path):
    return path.endswith(".c") and not path.startswith(("tools/", "Documentation/"))


def object_of(path):
    return path[:-1] + "o"


def goals(row, paths):
    """What make is to build, of paths that there are in the tree."""
    # What make is told to build by name it builds, be it part of the kernel or not
    paths = [path for path in paths if path not in row.left_out]
    folders = ("mm/", "lib/tests/") if row.whole else ()
    return [*folders, *(object_of(path) for path in paths if not path.startswith(folders))]


def did_not_take(config, row):
    """What of a row's settings does not hold in a .config, each as a sentence."""
    have = dict(re.findall(r"^CONFIG_(\w+)=([ym])$", config, re.M))
    wrong = []
    for name, value in row.wanted.items():
        got = have.get(name, "n")
        if got == value:
            continue
        if name in row.refused:
            why = "should not be possible here: a dependency is missing in its Kconfig entry"
        elif got == "n":
            why = f"was asked for as {value}: something that it depends on is not there"
        else:
            why = f"was asked for as {value}: something selects it, or changed its type"
        wrong.append(f"{name} is {got}, {why}")
    return wrong


def news(said, stock):
    """Complaints that stock does not have, and how many are as old as stock."""
    return sorted(said - stock), len(said & stock)


def make(base, objects, log, *args):
    """make, going on after errors; return whether it was content, and its complaints."""
    status, path = run(["make", "-k", f"-j{JOBS}", f"O={objects}", *build.REPRODUCIBLE, *args],
                       log, cwd=base.src, env=build.ENV, count=build.is_object, check=False)
    with open(path) as report:
        return not status, complaints(line.replace(base.src + "/", "").replace("../", "")
                                      for line in report)


def configure(base, row, log):
    """allnoconfig plus the settings of a row; return the .config and Kconfig's complaints."""
    objects = row.objects(base)
    os.makedirs(objects, exist_ok=True)
    fragment = os.path.join(objects, "matrix.config")
    with open(fragment, "w") as out:
        for name, value in row.asked.items():
            out.write(f"# CONFIG_{name} is not set\n" if value == "n" else
                      f"CONFIG_{name}={value}\n")
    good, said = make(base, objects, log, *row.tools(), "allnoconfig",
                      f"KCONFIG_ALLCONFIG={fragment}")
    if not good:
        raise Fail(f"make allnoconfig failed: see {logfile(log)}")
    return read(os.path.join(objects, ".config")), said


def remove_objects(objects, paths):
    """Let make say again what it has to say."""
    for folder in ("mm", "lib/tests"):
        shutil.rmtree(os.path.join(objects, folder), ignore_errors=True)
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(objects, object_of(path)))


def compiled(base, commit, row, log, paths):
    """Configure and compile a row; return the .config, if make was content, and complaints."""
    base.checkout(commit)
    config, said = configure(base, row, f"{log}.config")
    paths = [path for path in paths if os.path.exists(os.path.join(base.src, path))]
    remove_objects(row.objects(base), paths)
    good, more = make(base, row.objects(base), f"{log}.log", *row.tools(), "W=1",
                      *goals(row, paths))
    return config, good, said | more


def one_row(context, name):
    """One configuration; stock is compiled as well if there is something to compare."""
    base, tally, commit = context.base, context.tally, context.commit
    row, paths, rerun = ROWS[name], touched(release=base.release), f"./run matrix {name}"
    log = f"matrix-{name}"
    with base.tree, stage(f"matrix: {name}") as this:
        config, good, said = compiled(base, commit["all"], row, log, paths)
        for wrong in did_not_take(config, row):
            tally.fail(f"matrix {name}: {wrong}", rerun)
        absent = [path for path in paths
                  if not os.path.exists(os.path.join(row.objects(base), object_of(path)))]
        for path in sorted(set(absent) ^ set(row.left_out)) if good else ():
            tally.fail(f"matrix {name}: {path} was "
                        + ("not " if path in absent else "") + "compiled: a Makefile or Kconfig "
                       "entry, or the row in driver/suites/matrix.py, is not right", rerun)
        this.note = f"{len(paths) - len(absent)} of {len(paths)} files of the series"
        if row.alone and good:
            good, more = make(base, row.objects(base), f"{log}-link.log", *row.tools(), "W=1",
                              "vmlinux")
            # No warnings: a file that is not compiled again does not say again what it said
            said |= set() if good else {each for each in more if "warning:" not in each}
        stock, stock_good = set(), True
        if said or not good:
            _, stock_good, stock = compiled(base, commit["stock"], row, f"{log}-stock", paths)
        fresh, old = news(said, stock)
        if old:
            this.note += f"; stock has the same {old} complaints"
    report(tally, name, fresh, good or (said and not fresh and not stock_good), rerun,
           shown(logfile(f"{log}.log")))


def report(tally, name, fresh, good, rerun, log):
    """One failure a complaint that is new; make may not fail without one."""
    for complaint in fresh[:5]:
        tally.fail(f"matrix {name}: {complaint}", rerun)
    if len(fresh) > 5:
        tally.fail(f"matrix {name}: and {len(fresh) - 5} more, see {log}", rerun)
    if not fresh:
        tally.check(good, f"matrix {name}: make failed, see {log}", rerun)


def every_patch(context):
    """The files that the patches so far touch, after each patch of each series."""
    base, commit = context.base, context.commit
    row, rerun = ROWS["x86_64"], f"./run matrix {PATCHES}"
    chains = [commit.chain(MM, commit["stock"]), commit.chain(TCP, commit["mm"]),
              commit.chain(LAB, commit["mm"])]
    # The tcp mail goes to another list: it must do without the mm series.
    chains.append(commit.chain(TCP, commit["stock"]))
    with base.tree, stage(f"matrix: {PATCHES}") as this:
        _, _, stock = compiled(base, commit["stock"], row, "matrix-patches-stock",
                               touched(release=base.release))
        count, old = 0, set()
        for chain in chains:
            paths = []
            for patch, step in chain:
                paths += [path for path in patch.paths() if is_source(path) and path not in paths]
                count += 1
                this.progress(f"patch {count}")
                base.checkout(step)
                log = f"matrix-patch-{count:02}"
                _, said = configure(base, row, f"{log}.config")
                remove_objects(row.objects(base), paths)
                good, more = make(base, row.objects(base), f"{log}.log", *row.tools(), "W=1",
                                  *(map(object_of, paths) if paths else ["prepare"]))
                fresh, _ = news(said | more, stock)
                old |= (said | more) & stock
                report(context.tally, f"{PATCHES}, {patch.dir}", fresh, good, rerun,
                       shown(logfile(f"{log}.log")))
        this.note = f"{count} patches" + f"; stock has the same {len(old)} complaints" * bool(old)


def cocci_reports(patch, text):
    """What coccicheck printed of a semantic patch, without the line numbers."""
    return {f"{os.path.basename(patch)}: {path}: " + re.sub(r"\bline \d+", "line", what)
            for path, what in COCCI_REPORT.findall(text)}


def semantic_patches(base):
    """Those that can report, but for COCCI_LEFT_OUT."""
    folder = os.path.join(base.src, "scripts/coccinelle")
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)
            with open(path) as text:
                if (name.endswith(".cocci") and re.search(r"virtual\s+report", text.read())
                        and os.path.relpath(path, folder) not in COCCI_LEFT_OUT):
                    yield path


def cocci_run(base, commit, log, patches, this):
    """{semantic patch: its reports} of the files of the series, as they are at commit."""
    row, folder = ROWS["x86_64"], os.path.join(base.dir, "coccicheck")
    base.checkout(commit)
    configure(base, row, f"{log}.config")
    make(base, row.objects(base), f"{log}.prepare", *row.tools(), "prepare")
    # A folder of just these files: M= takes one folder, and not a file of this tree and that
    shutil.rmtree(folder, ignore_errors=True)
    for path in touched(release=base.release):
        source, copy = os.path.join(base.src, path), os.path.join(folder, path)
        if os.path.exists(source):
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            shutil.copyfile(source, copy)
    found = {}
    for number, patch in enumerate(patches, 1):
        this.progress(f"{number} of {len(patches)}")
        # One by one: coccicheck ends at the first that does not run
        _, path = run(["make", f"O={row.objects(base)}", *row.tools(), "coccicheck", "MODE=report",
                       f"M={folder}", f"J={JOBS}", f"COCCI={patch}"], f"{log}.one", cwd=base.src,
                      env=build.ENV)
        found[patch] = cocci_reports(patch, read(path))
    with open(logfile(f"{log}.log"), "w") as out:
        out.writelines(f"{each}\n" for patch in patches for each in sorted(found[patch]))
    return found


def coccicheck(context):
    """Nothing that stock does not have."""
    base, commit, log = context.base, context.commit, "matrix-coccicheck"
    with base.tree, stage(f"matrix: {COCCI}") as this:
        base.checkout(commit["all"])
        patches = sorted(semantic_patches(base))
        said = cocci_run(base, commit["all"], log, patches, this)
        again = [patch for patch in patches if said[patch]]
        stock = cocci_run(base, commit["stock"], f"{log}-stock", again, this) if again else {}
        fresh, old = news(set().union(*said.values()), set().union(*stock.values()))
        wrong = COCCI_WRONG.keys() & set(fresh)
        fresh = [each for each in fresh if each not in wrong]
        this.note = (f"{len(patches)} semantic patches, {len(COCCI_LEFT_OUT)} left out, "
                     f"{len(wrong)} wrong reports"
                     + f"; stock has the same {old} complaints" * bool(old))
        context.tally.check(len(patches) > 50, "coccicheck: hardly any semantic patch was found",
                            f"./run matrix {COCCI}")
    report(context.tally, COCCI, fresh, True, f"./run matrix {COCCI}",
           shown(logfile(f"{log}.log")))


def matrix(context, names=()):
    """All rows, or those that are named."""
    for name in names or NAMES:
        if name == PATCHES:
            every_patch(context)
        elif name == COCCI:
            coccicheck(context)
        else:
            one_row(context, name)
