# SPDX-License-Identifier: GPL-2.0-only
"""What the change costs: stock, patched, and the fix that was proposed, side by side.

Instructions are counted by QEMU (-icount: the time stamp counter of the guest counts them), one
boot a kernel.  Two boots of one kernel count the same, but what a file system does beside the work
differs from one measurement to the next: of these, too, the median counts.  Time is that of UML,
which runs the kernel's code as it is on the CPUs of this machine.  The three kernels are up side by
side, and measure in turn: the machine is not for itself, and is faster and slower all the time.
What counts is the ratio within a round.  Where the interval of confidence is too wide for a bar,
the verdict is too noisy, not a failure.
"""
import contextlib
import json
import math
import os
import re
import select
import shutil
import statistics
import subprocess
import time

from driver.core import tap
from driver.core.paths import OUT, ROOT, logfile, read
from driver.core.process import kill, output, run
from driver.core.stage import Fail, say, stage
from driver.core.tables import grid
from driver.kernel import build, compose, qemu
from driver.kernel.compose import LAB
from driver.kernel.objects import code_difference

KERNELS = STOCK, PATCHED, LOCK_FIRST = "stock", "patched", "lock-first"
TEST = build.BENCH
CONFIG, QEMU_CONFIG = build.fragment("bench"), build.fragment("bench-x86_64")
VARIANT = os.path.join("bench", "lock-first.diff")
# UML is booted as often as there is time for; measurements in a boot, a quarter of that if long.
BOOTS, LEAST_BOOTS, BOOTS_TIME, REPEATS = 8, 3, 8 * 60, 16
# Nothing in it depends on the time it takes: each instruction is a nanosecond.
COUNTING = ["-icount", "shift=0,sleep=off", "-smp", "1", "-seed", "1",
            "-rtc", "base=2026-01-01,clock=vm"]
QEMU_LIMIT, TURN_LIMIT = 300, 120       # seconds
UML = ["mem=1G", "seccomp=on", "ncpus=2", "con=null", "con0=fd:0,fd:1", "quiet"]
TURN = re.compile(r"# turn\r?\n\Z")
SAMPLE = re.compile(r"^# sample: (\S+) (\d+) (\d+) (\d+) (\d+)\r?$", re.M)
UNCHANGED = ("mm/filemap.o", "mm/truncate.o", "mm/madvise.o")
CONTENDED = ("isolate+release", "isolate+put")     # two CPUs at work

INSTRUCTIONS, TIME = "instructions", "time"


class Bar:
    """What a ratio of two kernels must hold to, for work of at least so many pages.

    noise: it is good enough if the interval of confidence reaches to the right side.
    """

    def __init__(self, letter, kind, works, low=0.0, high=float("inf"), of=PATCHED, to=STOCK,
                 pages=0, noise=False):
        self.letter, self.kind, self.works, self.pages = letter, kind, works.split(), pages
        self.noise = noise
        self.low, self.high, self.of, self.to = low, high, of, to

    def room(self):
        """How far is it from no difference?  An interval of twice that says nothing."""
        return min(abs(bound - 1) for bound in (self.low, self.high)
                   if 0 < bound < float("inf"))

    def __str__(self):
        bounds = [f"at least {self.low:g}"] * (self.low > 0)
        bounds += [f"at most {self.high:g}"] * (self.high < float("inf"))
        return f"{self.of}/{self.to} {' and '.join(bounds)}"


BARS = [
    Bar("a", INSTRUCTIONS, "isolate.file isolate.anon", high=1.03),
    Bar("a", TIME, "isolate.file isolate.anon", high=1.02),
    # There is an atomic less, and an instruction more.  How much that is depends on the CPU.
    Bar("b", INSTRUCTIONS, "refuse", high=1.04),
    Bar("b", TIME, "refuse", high=0.9),
    # Fewer take the system call longer than the folios
    Bar("c", INSTRUCTIONS, "orphans", high=0.2, pages=64),
    Bar("c", TIME, "orphans", high=0.2, pages=1024),
    Bar("d", INSTRUCTIONS, "truncate.tmpfs munmap.anon", 0.99, 1.01),
    # What ext4 does beside that grows from one measurement to the next
    Bar("d", INSTRUCTIONS, "truncate.ext4", 0.99, 1.01, noise=True),
    # What takes longer has less throughput.  Of a release, 9 more instructions are 1.5 per cent.
    Bar("e", TIME, "isolate+release.isolate isolate+put.isolate isolate+put.put", high=1 / 0.99,
        noise=True),
    Bar("e", TIME, "isolate+release.release", high=1.03),
    Bar("e", TIME, "isolate+put.put", 2, of=LOCK_FIRST, to=PATCHED),
    Bar("f", TIME, "pageout.ext4 fault.ext4", 0.98, 1.02, noise=True),
]
# Bytes of text.  It was 256 for a series with less in gup, and with its report under lru_lock.
MAX_GROWTH = 512
# Of these just the objects are compared of which the series changes the code; all text of arm64
# is larger, so that the limit is not for it.
GROWING = ("mm/folio.o", "mm/gup.o", "mm/vmscan.o")
DEFCONFIGS = {"x86_64 defconfig": ("x86_64", ""),
              "arm64 defconfig": ("arm64", "aarch64-linux-gnu-")}


def commits(context):
    """{kernel: commit} with the part of the benchmark that is in the kernel."""
    base, commit = context.base, context.commit
    patch = next((each for each in compose.patches(LAB, base.release)
                  if "mm/folio_bench.c" in each.files), None)
    if not patch:
        raise Fail("no patch of the lab adds mm/folio_bench.c")
    found = {kernel: compose.part_of(base, onto, patch, "mm/")
             for kernel, onto in ((STOCK, commit["stock"]), (PATCHED, commit["mm"]))}
    found[LOCK_FIRST] = compose.altered(base, found[STOCK], read(os.path.join(ROOT, VARIANT)),
                                        VARIANT)
    return found


def built(base, commit, kernel, folder, fragments, image, *options):
    """(what boots, vmlinux, the disassembly of what must not change) of a kernel."""
    objects = base.objects(folder)
    kept = os.path.join(base.dir, "images",
                        f"{folder}-{build.key(base, commit, fragments)}")
    names = ["image", "vmlinux", *map(os.path.basename, UNCHANGED)]
    if not os.path.isdir(kept):
        with base.tree, stage(f"build {folder}, {kernel}"):
            base.checkout(commit)
            log = f"{folder}-{kernel}.log"
            build.merge_config(base, f"config-{log}", objects, fragments, *options)
            build.make(base, objects, f"build-{log}", *options, os.path.basename(image))
            shutil.rmtree(kept + ".new", ignore_errors=True)
            os.makedirs(kept + ".new")
            for source, name in zip((image, "vmlinux", *UNCHANGED), names):
                shutil.copy(os.path.join(objects, source), os.path.join(kept + ".new", name))
            os.rename(kept + ".new", kept)
    return {name: os.path.join(kept, name) for name in names}


def samples(text, column):
    """{(work, size): [what one operation took, measurement by measurement]}."""
    found = {}
    for work, size, ops, *figures in SAMPLE.findall(text):
        if int(ops):
            found.setdefault((work, int(size)), []).append(int(figures[column]) / int(ops))
    return found


def by_round(found):
    """[{kernel: {(work, size): figure}}] of {kernel: samples()}, one a turn of each kernel."""
    return [{kernel: {key: figures[number] for key, figures in those.items()
                      if number < len(figures)} for kernel, those in found.items()}
            for number in range(max((len(figures) for those in found.values()
                                     for figures in those.values()), default=0))]


def results_of(tally, text, name, log, skipped):
    """The test ran to its end, and skipped nothing but what it is to."""
    results, reasons = tap.parse(text)
    for work, verdict in results.items():
        want = "skip" if work in skipped else "pass"
        tally.check(verdict == want, f"{name}: {work}: {verdict} {reasons.get(work, '')}".strip()
                    + f", not {want} ({log})")


def count(tally, images, initrd, kernel, name):
    """Boot under QEMU; return samples() of instructions."""
    log = f"bench-qemu-{name}"
    with stage(f"count instructions, {name}") as this:
        _, tests = qemu.boot(images[kernel]["image"], initrd, log,
                             f"guest.test={TEST} guest.args=-r,65,-m,20", QEMU_LIMIT, COUNTING,
                             accel=["-accel", "tcg"])
        text = read(tests)
        found = samples(text, 1)
        this.note = f"{len(found)} figures"
    results_of(tally, text, log, tests, CONTENDED)
    return found


class Uml:
    """A kernel under UML, which measures when it is its turn."""

    def __init__(self, image, initrd, log):
        self.path, self.text, self.ended = logfile(log), "", False
        self.child = subprocess.Popen(
            [image, f"initrd={initrd}", *UML, f"guest.test={TEST}", f"guest.args=-t,-r,{REPEATS}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True)
        self.log = open(self.path, "w")

    def wait(self):
        """Until it is ready for a turn, or at its end."""
        until = time.monotonic() + TURN_LIMIT
        while not TURN.search(self.text[-20:]):
            left = max(0, until - time.monotonic())
            if not left or not select.select([self.child.stdout], [], [], left)[0]:
                raise Fail(f"UML said nothing for {TURN_LIMIT} s that ends its turn; what it said: "
                           + self.path)
            news = os.read(self.child.stdout.fileno(), 1 << 16).decode(errors="replace")
            if not news:
                self.ended = True
                break
            self.log.write(news)
            self.log.flush()
            self.text += news

    def turn(self):
        if not self.ended:
            self.text += "\n"
            with contextlib.suppress(BrokenPipeError):      # it died, which wait() sees
                self.child.stdin.write(b"\n")
                self.child.stdin.flush()
            self.wait()

    def end(self):
        kill(self.child)
        for file in (self.child.stdin, self.child.stdout, self.log):
            with contextlib.suppress(BrokenPipeError):
                file.close()


def measure(tally, images, initrd, number):
    """Boot the kernels under UML, side by side; return [{kernel: {(work, size): nanoseconds}}]."""
    with contextlib.ExitStack() as stack:
        guests = {}
        for kernel in KERNELS:
            log = f"bench-uml-{kernel}-{number}.log"
            guests[kernel] = Uml(images[kernel]["image"], initrd, log)
            stack.callback(guests[kernel].end)
            guests[kernel].wait()
        order = [*KERNELS]
        while not all(guest.ended for guest in guests.values()):
            for kernel in order:
                guests[kernel].turn()
            order.append(order.pop(0))      # to be the first is no advantage
    for guest in guests.values():
        results_of(tally, guest.text[guest.text.find("TAP version"):],
                   os.path.basename(guest.path), guest.path, [])
    return by_round({kernel: samples(guest.text, 0) for kernel, guest in guests.items()})


def confidence(values):
    """In which interval the median of what these are a sample of is, in 95 of 100 cases."""
    count, half = len(values), 1.96 * len(values) ** 0.5
    ranks = math.floor((count - half) / 2), math.ceil((count + half) / 2)
    return [sorted(values)[max(0, min(count - 1, rank))] for rank in ranks]


def ratios(rounds, of, to):
    """{(work, size): (median, and confidence() in it) of the ratios of two kernels in a round}."""
    found = {}
    for each in rounds:
        for key in each[of].keys() & each[to].keys():
            if each[to][key]:
                found.setdefault(key, []).append(each[of][key] / each[to][key])
    return {key: (statistics.median(values), *confidence(values)) for key, values in found.items()}


def bloat(base, old, new):
    """By how many bytes text grows, and what bloat-o-meter says of it."""
    lines = output([os.path.join(base.src, "scripts/bloat-o-meter"), "-t", old, new]).splitlines()
    total = next(line for line in lines if line.startswith("Total: "))
    before, after = map(int, re.search(r"Before=(\d+), After=(\d+)", total).groups())
    return after - before, [f"  {line}" for line in lines[2:] if line.split()[-1:] != ["0"]
                            and not line.startswith("Total")]


def defconfigs(base, commit):
    """{which: by how many bytes text grows} where no kernel is linked."""
    grown = {}
    for what, (arch, cross) in DEFCONFIGS.items():
        objects = base.objects(f"bench-{arch}-defconfig")
        options = [f"ARCH={arch}", f"CROSS_COMPILE={cross}", f"CC=ccache {cross}gcc"]
        log = f"bench-{arch}-defconfig.log"
        growing = [compose.moved(base.release, path) for path in GROWING]
        with base.tree, stage(f"size of objects, {what}") as this:
            for kernel in (STOCK, "mm"):
                base.checkout(commit[kernel])
                build.make(base, objects, log, *options, "defconfig")
                build.make(base, objects, log, *options, *growing)
                for path in growing:
                    shutil.copy(os.path.join(objects, path),
                                os.path.join(objects, f"{kernel}-{os.path.basename(path)}"))
            names = [os.path.basename(path) for path in growing]
            grown[what] = sum(bloat(base, *(os.path.join(objects, f"{kernel}-{name}")
                                            for kernel in (STOCK, "mm")))[0] for name in names)
            this.note = f"{grown[what]:+} bytes"
    return grown


def same_code(tally, images, what):
    for path in UNCHANGED:
        name = os.path.basename(path)
        one, other = (output(["objdump", "-dr", "--no-show-raw-insn", images[kernel][name]])
                      for kernel in (STOCK, PATCHED))
        differs = code_difference(one, other)
        tally.check(differs is None, f"{differs} of {path} ({what}) is not what it is on stock")


def size(number):
    return f"{number / 1024:g}k" if number >= 1024 else str(number)


def median(rounds, kernel, key):
    return statistics.median(each[kernel][key] for each in rounds if key in each[kernel])


def table(counted, timed, rounds):
    """One line a work and size."""
    exact = {kernel: ratios(counted, kernel, STOCK) for kernel in KERNELS[1:]}
    rows = [["work", "size", *(f"instr. {each}" for each in (STOCK, PATCHED, "/stock", "lock-f.")),
             *(f"ns {each}" for each in (STOCK, PATCHED, "/stock", "from", "to", "lock-f."))]]
    works = list(dict.fromkeys(work for work, _ in [*counted[0][STOCK], *rounds[0][STOCK]]))
    for key in sorted(exact[PATCHED].keys() | timed[PATCHED].keys(),
                      key=lambda key: (works.index(key[0]), key[1])):
        row = [key[0], size(key[1])]
        if key in exact[PATCHED]:
            row += [f"{median(counted, kernel, key):.1f}" for kernel in (STOCK, PATCHED)]
            row += [f"{exact[kernel][key][0]:.3f}" for kernel in KERNELS[1:]]
        else:
            row += [""] * 4
        if key in timed[PATCHED]:
            row += [f"{median(rounds, kernel, key):.1f}" for kernel in (STOCK, PATCHED)]
            row += [f"{ratio:.3f}" for ratio in (*timed[PATCHED][key], timed[LOCK_FIRST][key][0])]
        else:
            row += [""] * 6
        rows.append(row)
    return grid(rows, right=range(1, len(rows[0])))


def judge(tally, counted, rounds):
    """Hold the ratios to the bars."""
    for bar in BARS:
        found = ratios(counted if bar.kind == INSTRUCTIONS else rounds, bar.of, bar.to)
        for work in bar.works:
            keys = [key for key in found if key[0] == work and key[1] >= bar.pages]
            tally.check(keys, f"({bar.letter}) {work}: nothing was measured")
            for key in keys:
                ratio, least, most = found[key]
                what = f"({bar.letter}) {work} {size(key[1])}, {bar.kind}"
                if most - least > 2 * bar.room():
                    tally.leave_out(f"{what}: too noisy: {least:.3f} to {most:.3f}, which can't "
                                    f"tell {bar}")
                    continue
                if not bar.noise:
                    least = most = ratio
                tally.check(bar.low <= most and least <= bar.high,
                            f"{what}: {ratio:.3f}, not {bar}")


PLOT = """
set terminal svg size 1150,1050 font 'DejaVu Sans,12' background 'white'; set output '{path}';
set multiplot layout 2,1; set grid y; set bmargin 8; set rmargin 10;
set xtics rotate by -35 noenhanced;
set pointsize 1.1; set key outside top center horizontal; set offsets 0.6, 0.6, 0, 0;
set ylabel 'ratio to stock, largest size'; set logscale y 2; set yrange [0.0625:128];
plot '{data}' index 0 using 0:3:xtic(1) title 'patched, instructions' with points pt 4,
  '' index 0 using 0:4 title 'patched, time' with points pt 5,
  '' index 0 using 0:7 title 'lock-first, instructions' with points pt 6,
  '' index 0 using 0:8 title 'lock-first, time' with points pt 7, 1 notitle lt -1;
unset logscale; set ylabel 'patched / stock, all sizes'; set yrange [0.9:1.1];
plot '{data}' index 1 using 0:3:xtic(stringcolumn(1).' '.stringcolumn(2)) title 'instructions'
  with points pt 4,
  '' index 1 using 0:4:5:6 title 'time, with confidence' with yerrorbars pt 5, 1 notitle lt -1
"""


def plot(path, counted, rounds):
    """A picture of the ratios to stock, by gnuplot: all work, then what is close to 1."""
    exact, timed = ({kernel: ratios(each, kernel, STOCK) for kernel in KERNELS[1:]}
                    for each in (counted, rounds))
    largest, close = {}, []
    for work, number in rounds[0][STOCK]:
        key = work, number
        line = " ".join(map(str, (
            work, size(number), exact[PATCHED].get(key, ["NaN"])[0], *timed[PATCHED][key],
            exact[LOCK_FIRST].get(key, ["NaN"])[0], timed[LOCK_FIRST][key][0])))
        largest[work] = line
        if 0.9 < timed[PATCHED][key][0] < 1.1:
            close.append(line)
    data = path + ".dat"
    with open(data, "w") as out:
        out.write("\n".join(largest.values()) + "\n\n\n" + "\n".join(close) + "\n")
    run(["gnuplot", "-e", PLOT.format(path=path, data=data).replace("\n", " ")], "gnuplot.log")


def bench(context):
    base, tally = context.base, context.tally
    sizes = defconfigs(base, context.commit)
    commit = commits(context)
    initrd = qemu.initramfs(base, build.selftests(base, context.commit["all"]))
    boots, uml = {}, {}
    for kernel in KERNELS:
        boots[kernel] = built(base, commit[kernel], kernel, "bench-x86_64", [CONFIG, QEMU_CONFIG],
                             "arch/x86/boot/bzImage")
    for kernel in KERNELS:
        uml[kernel] = built(base, commit[kernel], kernel, "bench-um", [CONFIG], "linux", "ARCH=um")

    counted = {kernel: count(tally, boots, initrd, kernel, kernel) for kernel in KERNELS}
    again = count(tally, boots, initrd, PATCHED, PATCHED + "-again")
    tally.check(again == counted[PATCHED], "two boots of one kernel do not count the same: "
                + ", ".join(f"{work} {number}" for work, number in sorted(
                    key for key in again.keys() | counted[PATCHED].keys()
                    if again.get(key) != counted[PATCHED].get(key))))
    counted, rounds = by_round(counted), []
    with stage("time, kernels in turn") as this:
        for number in range(BOOTS):
            if number >= LEAST_BOOTS and time.monotonic() - this.start > BOOTS_TIME:
                break
            rounds += measure(tally, uml, initrd, number)
            this.progress(f"{number + 1} of {BOOTS} boots")
        this.note = f"{len(rounds)} rounds"

    timed = {kernel: ratios(rounds, kernel, STOCK) for kernel in KERNELS[1:]}
    say(f"\n{table(counted, timed, rounds)}\n")
    grown = {}
    for what, images in (("x86_64", boots), ("UML", uml)):
        for kernel in KERNELS[1:]:
            grown[f"{what}, {kernel}"], lines = bloat(base, images[STOCK]["vmlinux"],
                                                      images[kernel]["vmlinux"])
            say(f"text of vmlinux, {what}, {kernel}: {grown[f'{what}, {kernel}']:+} bytes")
            if kernel == PATCHED:
                say("\n".join(lines))
        same_code(tally, images, what)
    grown.update(sizes)
    for what in (f"x86_64, {PATCHED}", "x86_64 defconfig"):
        tally.check(grown[what] <= MAX_GROWTH, f"text of {what} grows by {grown[what]} bytes, "
                    f"more than {MAX_GROWTH}")
    judge(tally, counted, rounds)
    with open(os.path.join(OUT, "bench.json"), "w") as out:
        json.dump({
            "base": base.version, "text growth": grown,
            **{what: [{kernel: {f"{work} {number}": value
                                for (work, number), value in figures.items()}
                       for kernel, figures in each.items()} for each in measured]
               for what, measured in (("instructions", counted), ("nanoseconds", rounds))},
        }, out, indent=1)
    plot(os.path.join(OUT, "bench.svg"), counted, rounds)
    say("the figures: out/bench.json; a picture: out/bench.svg")
