# SPDX-License-Identifier: GPL-2.0-only
"""CVE-2026-63813 on real f2fs: garbage collection with the lines that were reverted.

What is injected, and what the guest does, is in claims/CVE-2026-63813; which runs there are, and
what each must come to, in driver/expected/f2fs.toml.  A kernel panics at its first warning, so
that what it said first is the last on its console.
"""
import gzip
import os
import re
import shutil
from typing import NamedTuple

from driver.core import expected
from driver.core.paths import ROOT, logfile, read, shown
from driver.core.process import output, run
from driver.core.stage import Fail, say, stage
from driver.core.tables import grid
from driver.kernel import build, compose, console, qemu
from driver.suites import selftests
from driver.suites.debugged import DATA_RACE, data_races

FOLDER = os.path.join(ROOT, "claims", "CVE-2026-63813")
PROGRAM, SCRIPT = "f2fs_gc", "f2fs_gc.sh"
LINES_DIFF = "four-lines.diff"


class Kernel(NamedTuple):
    """onto: which of compose.KERNELS; more: fragments that are not those of all."""

    onto: str
    folder: str = "x86_64-f2fs"
    diffs: tuple = (LINES_DIFF,)
    more: tuple = ()
    arch: str = build.X86_64


# Two that share a folder differ in an option or two: most objects are those of both
KERNELS = {
    "stock": Kernel("stock", more=("f2fs-crypt",)),
    "lab": Kernel("mm+lab", more=("f2fs-crypt", "f2fs-lab")),
    "kcsan": Kernel("stock", "x86_64-f2fs-kcsan", (LINES_DIFF, "kcsan.diff"), ("f2fs-kcsan",)),
    "kcsan-default": Kernel("stock", "x86_64-f2fs-kcsan",
                            (LINES_DIFF, "kcsan.diff", "kcsan-default.diff"), ("f2fs-kcsan",)),
    "arm64": Kernel("stock", "arm64", arch=build.ARM64),
    "guard": Kernel("stock", diffs=(LINES_DIFF, "guard.diff"), more=("f2fs-crypt",)),
}
LINES = ("stock", "literal", "widened", "atomic")       # in the order of drop_mode
FILES = ("compressed", "encrypted")
DELAY = 200                 # us, between the load and the store unless literal
INJECTED = {"drop_folio", "drop_delayed"}       # functions of LINES_DIFF
IMAGE_SIZE, BLOCK = 512 << 20, 4096
MACHINE = ["-m", "2G"]
MORE_TIME = 300             # seconds, to boot and to fill the file system
NOTHING = "nothing"
RACE = r"=+\n.*BUG: KCSAN: data-race in .*\bdrop_folio\b"
# {what a kernel says: (in its first complaint, and in the calls that led there)}
PATTERNS = {
    # PG_lru is lost.  A neighbour is freed: the splat of the phones.
    "list_del": (r"list_del corruption", r"__page_cache_release.*__folio_put.*move_data_block"),
    # The same damage, found by who drains: the folio is the list's first
    "list_add": (r"list_add corruption", r"\blru_add\b.*folio_batch_move_lru"),
    # The same, or the next finding, by somebody else
    "list_del elsewhere": (r"list_del corruption", r"Call Trace"),
    # Compaction has cleared PG_lru, and the store sets it again.  The folio is put back.
    "PG_lru twice": (r"VM_BUG_ON_FOLIO\(folio_test_lru\(folio\)\)",
                     r"folio_batch_move_lru|folio_putback_lru"),
    # The lab's report, at the scene
    "in use": (r"page dumped because: released while in use",
               r"__folio_put.*move_data_block"),
    # What guard.diff says of the set of the flag
    "seen": (r"page dumped because: others see it, its flags are written non-atomically",
             r"drop_folio.*move_data_block"),
    # KCSAN's, of the set of the flag and of PG_lru
    "race with drain": (RACE, r"lru_add_drain"),
    "race with putback": (RACE, r"putback_movable_pages|folio_putback_lru"),
}
COUNT = re.compile(r"^# (\w+): (\d+)$", re.M)
SECONDS = re.compile(r"^\[ *(\d+)\.\d+\]", re.M)


def runs():
    """{name: what it is}."""
    path, found = expected.load_file("f2fs")
    for name, one in found["runs"].items():
        one.setdefault("files", FILES[0])
        for key, known in (("kernel", KERNELS), ("lines", LINES), ("files", FILES),
                           ("says", [NOTHING, *PATTERNS])):
            for word in one[key] if key == "says" else [one[key]]:
                if word not in known:
                    raise Fail(f"{shown(path)}: {name}: there is no {key} '{word}', there are: "
                               + ", ".join(known))
    return found["runs"]


def named(text):
    """The runs that an argument of ./run f2fs names: one, or a group."""
    known = runs()
    if text in known:
        return [text]
    found = [name for name, one in known.items() if one.get("group") == text]
    if not found:
        groups = {one["group"]: None for one in known.values() if "group" in one}
        raise Fail(f"there is no run '{text}', there are: {', '.join([*groups, *known])}")
    return found


def usual():
    """Those that are run where none is named: what the others take is minutes more to build."""
    return [name for name, one in runs().items() if "group" not in one]


def blocks(path):
    """The blocks of a file that are not empty, each after its offset."""
    with open(path, "rb") as image:
        for offset in range(0, os.stat(path).st_size, BLOCK):
            block = image.read(BLOCK)
            if block.strip(b"\0"):
                yield offset.to_bytes(8, "little") + block


def guest_files(base, arch):
    """The program, its script and an empty f2fs; return their folder."""
    folder = os.path.join(base.dir, "f2fs" + f"-{arch}" * (arch != build.X86_64))
    made = os.path.join(folder, "blocks.gz")
    os.makedirs(folder, exist_ok=True)
    shutil.copy(os.path.join(FOLDER, SCRIPT), folder)
    run([build.CROSS.get(arch, "") + "gcc", "-O2", "-Wall", "-Werror", "-static", "-pthread", "-o",
         os.path.join(folder, PROGRAM), os.path.join(FOLDER, PROGRAM + ".c")], "f2fs-program.log")
    if not os.path.exists(made):
        image = os.path.join(base.dir, "f2fs.img")
        with open(image, "wb") as empty:
            empty.truncate(IMAGE_SIZE)
        run(["mkfs.f2fs", "-f", "-O", "extra_attr,compression,encrypt", image], "mkfs.f2fs.log")
        with gzip.open(made + ".new", "wb") as out:
            out.writelines(blocks(image))
        os.rename(made + ".new", made)
        os.unlink(image)
    return folder


def initramfs(base, arch):
    return qemu.initramfs(base, guest_files(base, arch), name="initramfs-f2fs", arch=arch)


def image_of(context, name):
    kernel = KERNELS[name]
    commit = context.commit[kernel.onto]
    for each in kernel.diffs:
        diff = os.path.join(FOLDER, each)
        commit = compose.altered(context.base, commit, read(diff), shown(diff))
    more = [build.fragment(each) for each in ("f2fs", *kernel.more)]
    return build.kernel(context.base, commit, f"{name} with f2fs", kernel.arch, more,
                        kernel.folder, kunitconfigs=())


def said(base, text):
    """What the kernel said first, of PATTERNS, or its own words, NOTHING if nothing; and when.

    KCSAN's reports of other races are left out.
    """
    text, _ = data_races(text, INJECTED)
    found = console.badness(base, text)
    if not found:
        return NOTHING, 0
    for name, (complaint, calls) in PATTERNS.items():
        first = re.search(complaint, text)
        if first and re.search(calls, text[first.start():], re.S) and \
                not console.badness(base, text[:first.start()].rpartition("\n")[0]):
            return name, when(text[:first.end()])
    return found[0], when(text[:text.find(found[0]) + len(found[0])])


def when(text):
    """The second of the boot in which the last line of a console was printed."""
    seconds = SECONDS.findall(text)
    return int(seconds[-1]) if seconds else 0


def say_races(text):
    """What KCSAN reported in all, if it did."""
    whole, others = data_races(text, INJECTED)
    for titles in ([match[1] for match in DATA_RACE.finditer(whole)], others):
        for title in sorted(set(titles)):
            say(f"  a data race{' of others' * (titles is others)}: {title} "
                f"({titles.count(title)} times)")


def judge(tally, name, one, got, counts, paths):
    """Is a run what it was to be, and does it say something?"""
    rerun, where = f"./run f2fs {name}", f"f2fs, {name}"
    tally.check(got in one["says"], f"{where}: the kernel says '{got}', expected '"
                + "' or '".join(one["says"]) + f"' ({paths})", rerun)
    if got != NOTHING or got not in one["says"]:
        return
    tally.check(counts.get("moved", 0) > 0, f"{where}: no block was moved, so nothing was tested "
                f"({paths})", rerun)
    tally.check(counts.get("open", 0) >= one.get("open", 0), f"{where}: PG_lru was clear in "
                f"{counts.get('open', 0)} folios, at least {one.get('open', 0)} are needed: a "
                "clean run says nothing (a longer one may: seconds in driver/expected/f2fs.toml)",
                rerun)


def single_step():
    """Arguments for QEMU, to take an interrupt after each instruction, as hardware does."""
    version = re.search(r"version (\d+)", output([qemu.QEMU_ARM64[0], "--version"]))
    return ["-singlestep"] if int(version[1]) < 9 else ["-accel", "tcg,one-insn-per-tb=on"]


def one_run(context, name, one, image, initrd):
    """Boot, collect garbage, and judge; return a row of the table."""
    log, kcsan = f"f2fs-{name}", one["kernel"].startswith("kcsan")
    args = [LINES.index(one["lines"]), one.get("delay", DELAY), 1, int(one.get("bias", False)),
            one["seconds"], one["files"], *one["beside"]]
    # KCSAN has something to say of others, too
    append = (f"kunit.enable=0 panic_on_warn={int(not kcsan)} guest.test={SCRIPT} "
              "guest.args=" + ",".join(map(str, args)))
    died, machine = None, MACHINE + (single_step() if one.get("single_step") else [])
    with stage(f"f2fs, {name}") as this:
        try:
            qemu.boot(image, initrd, log, append, one["seconds"] + MORE_TIME, machine,
                      arch=KERNELS[one["kernel"]].arch)
        except Fail as failure:
            died = failure
        text, tests = read(logfile(f"{log}.console")), read(logfile(f"{log}.tap"))
        (got, at), counts = said(context.base, text), {key: int(n) for key, n
                                                       in COUNT.findall(tests)}
        this.note = f"{got}, {at} s after the boot" if got != NOTHING else NOTHING
    say_races(text)
    paths = f"{shown(logfile(f'{log}.console'))}, {shown(logfile(f'{log}.tap'))}"
    ended = not died and "ok 1 collected" in tests.splitlines()
    if not ended and (got == NOTHING or kcsan):
        context.tally.fail(f"f2fs, {name}: it did not get through ({paths})"
                           + (f": {died}" if died else ""), f"./run f2fs {name}")
    else:
        judge(context.tally, name, one, got, counts, paths)
    return [name, one["kernel"], one["lines"], " ".join(one["beside"]) or "nobody", got,
            *(str(counts.get(key, "")) for key in ("moved", "open"))]


def f2fs(context, names=()):
    if not context.base.newest:
        raise Fail(f"the lines are put into the f2fs of Linux 7.3, this is {context.base.version}")
    known = runs()
    rows = [["run", "kernel", "lines", "beside", "the kernel says", "moved", "PG_lru clear"]]
    for name in names or usual():
        kernel = known[name]["kernel"]
        rows.append(one_run(context, name, known[name], image_of(context, kernel),
                            initramfs(context.base, KERNELS[kernel].arch)))
    say(f"\n{grid(rows, right=(5, 6))}")
    if "guard-literal" in names:
        with_guard(context)


def with_guard(context):
    """The selftests on stock, where the guard has nothing to say."""
    results, reasons = selftests.boot(context, image_of(context, "guard"),
                                      selftests.initramfs(context), "f2fs-guard-selftests",
                                      rerun="./run f2fs guard", what="selftests with the guard")
    context.tally.add("selftests with the guard", results, selftests.wanted("stock"),
                      "./run f2fs guard", reasons)
