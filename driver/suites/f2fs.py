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

from driver.core import expected
from driver.core.paths import ROOT, logfile, read, shown
from driver.core.process import run
from driver.core.stage import Fail, say, stage
from driver.core.tables import grid
from driver.kernel import build, compose, console, qemu

FOLDER = os.path.join(ROOT, "claims", "CVE-2026-63813")
DIFF, PROGRAM, SCRIPT = "four-lines.diff", "f2fs_gc", "f2fs_gc.sh"
KERNELS = {"stock": "stock", "lab": "mm+lab"}      # {kernel: which of compose.KERNELS}
LINES = ("stock", "literal", "widened", "atomic")       # in the order of drop_mode
DELAY = 200                 # us, between the load and the store if widened
IMAGE_SIZE, BLOCK = 512 << 20, 4096
MACHINE = ["-m", "2G"]
MORE_TIME = 180             # seconds, to boot and to fill the file system
NOTHING = "nothing"
# {what a kernel says: (in its first complaint, and in the calls that led there)}
PATTERNS = {
    # PG_lru is lost.  A neighbour is freed: the splat of the phones.
    "list_del": (r"list_del corruption", r"__page_cache_release.*__folio_put.*move_data_block"),
    # The same, or the next finding, by somebody else
    "list_del elsewhere": (r"list_del corruption", r"Call Trace"),
    # Compaction has cleared PG_lru, and the store sets it again.  The folio is put back.
    "PG_lru twice": (r"VM_BUG_ON_FOLIO\(folio_test_lru\(folio\)\)",
                     r"folio_batch_move_lru|folio_putback_lru"),
    # The lab's report, at the scene
    "in use": (r"page dumped because: released while in use",
               r"__folio_put.*move_data_block"),
}
COUNT = re.compile(r"^# (\w+): (\d+)$", re.M)
SECONDS = re.compile(r"^\[ *(\d+)\.\d+\]", re.M)


def runs():
    """{name: what it is}."""
    path, found = expected.load_file("f2fs")
    for name, one in found["runs"].items():
        for key, known in (("kernel", KERNELS), ("lines", LINES), ("says", [NOTHING, *PATTERNS])):
            for word in one[key] if key == "says" else [one[key]]:
                if word not in known:
                    raise Fail(f"{shown(path)}: {name}: there is no {key} '{word}', there are: "
                               + ", ".join(known))
    return found["runs"]


def run_name(text):
    """A run, as an argument of ./run f2fs."""
    if text not in runs():
        raise Fail(f"there is no run '{text}', there are: {', '.join(runs())}")
    return text


def blocks(path):
    """The blocks of a file that are not empty, each after its offset."""
    with open(path, "rb") as image:
        for offset in range(0, os.stat(path).st_size, BLOCK):
            block = image.read(BLOCK)
            if block.strip(b"\0"):
                yield offset.to_bytes(8, "little") + block


def guest_files(base):
    """The program, its script and an empty f2fs; return their folder."""
    folder = os.path.join(base.dir, "f2fs")
    made = os.path.join(folder, "f2fs.blocks.gz")
    os.makedirs(folder, exist_ok=True)
    shutil.copy(os.path.join(FOLDER, SCRIPT), folder)
    run(["gcc", "-O2", "-Wall", "-Werror", "-static", "-pthread", "-o",
         os.path.join(folder, PROGRAM), os.path.join(FOLDER, PROGRAM + ".c")], "f2fs-program.log")
    if not os.path.exists(made):
        image = os.path.join(base.dir, "f2fs.img")
        with open(image, "wb") as empty:
            empty.truncate(IMAGE_SIZE)
        run(["mkfs.f2fs", "-f", "-O", "extra_attr,compression", image], "mkfs.f2fs.log")
        with gzip.open(made + ".new", "wb") as out:
            out.writelines(blocks(image))
        os.rename(made + ".new", made)
        os.unlink(image)
    return folder


def image_of(context, kernel):
    onto = context.commit[KERNELS[kernel]]
    diff = os.path.join(FOLDER, DIFF)
    commit = compose.altered(context.base, onto, read(diff), shown(diff))
    # Two configurations that differ in one option: most objects are those of both
    more = [build.fragment(name) for name in ["f2fs"] + ["f2fs-lab"] * (kernel == "lab")]
    return build.kernel(context.base, commit, f"{kernel} with f2fs", build.X86_64, more,
                        "x86_64-f2fs", kunitconfigs=())


def said(base, text):
    """What the kernel said first, of PATTERNS, or its own words; NOTHING if nothing."""
    found = console.badness(base, text)
    if not found:
        return NOTHING
    for name, (complaint, calls) in PATTERNS.items():
        first = re.search(complaint, text)
        if first and re.search(calls, text[first.start():], re.S) and \
                not console.badness(base, text[:first.start()].rpartition("\n")[0]):
            return name
    return found[0]


def when(text):
    """The second of the boot in which the last line of a console was printed."""
    seconds = SECONDS.findall(text)
    return int(seconds[-1]) if seconds else 0


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


def one_run(context, name, one, image, initrd):
    """Boot, collect garbage, and judge; return a row of the table."""
    log = f"f2fs-{name}"
    args = [LINES.index(one["lines"]), DELAY, 1, one["seconds"], *one["beside"]]
    append = (f"kunit.enable=0 panic_on_warn=1 guest.test={SCRIPT} "
              "guest.args=" + ",".join(map(str, args)))
    died = None
    with stage(f"f2fs, {name}") as this:
        try:
            qemu.boot(image, initrd, log, append, one["seconds"] + MORE_TIME, MACHINE)
        except Fail as failure:
            died = failure
        text, tests = read(logfile(f"{log}.console")), read(logfile(f"{log}.tap"))
        got, counts = said(context.base, text), {key: int(n) for key, n in COUNT.findall(tests)}
        this.note = f"{got}, {when(text)} s after the boot" if got != NOTHING else NOTHING
    paths = f"{shown(logfile(f'{log}.console'))}, {shown(logfile(f'{log}.tap'))}"
    if got == NOTHING and (died or "ok 1 collected" not in tests.splitlines()):
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
    initrd = qemu.initramfs(context.base, guest_files(context.base), name="initramfs-f2fs")
    rows = [["run", "kernel", "lines", "beside", "the kernel says", "moved", "PG_lru clear"]]
    for name in names or known:
        rows.append(one_run(context, name, known[name], image_of(context, known[name]["kernel"]),
                            initrd))
    say(f"\n{grid(rows, right=(5, 6))}")
