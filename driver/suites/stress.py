# SPDX-License-Identifier: GPL-2.0-only
"""Everything at once: random system calls, short of memory, for as long as one wants to wait."""
import math
import re
import time

from driver.core import expected, tap
from driver.core.paths import logfile, read, shown
from driver.core.stage import Fail, say, stage
from driver.core.tables import grid
from driver.kernel import build, console, qemu
from driver.suites import selftests

TEST = "folio_stress"
KERNELS = list(selftests.KERNELS)
DEBUG = ["none", "kasan", "locking"]
# Two nodes; more memory than the selftests have, as KASAN takes some of it.
MACHINE = ["-m", "2G", "-smp", "2,sockets=2",
           "-object", "memory-backend-ram,id=m0,size=1G",
           "-object", "memory-backend-ram,id=m1,size=1G",
           "-numa", "node,nodeid=0,cpus=0,memdev=m0", "-numa", "node,nodeid=1,cpus=1,memdev=m1"]
LONGEST = 7 * 24 * 60       # minutes
SMOKE = 10                  # seconds, as a part of ./run test
SMOKE_RERUN = "./run stress --minutes 0.2"
MORE_TIME = 600             # seconds, to boot, to come to rest, and to look for what is left
MAX_SEED = 2 ** 32 - 1
SAY_EVERY = 30              # seconds, off a terminal

PROGRESS = re.compile(r"# progress: (.*)")
RATE = re.compile(r"^# rate: (\w+)\.(\w+) (\d+) ([\d.]+)$", re.M)
NOT_JOINED = re.compile(r"^# not joined: (.*)$", re.M)
# What tells more than the table: why a check failed, what is left, the guest's own verdict.
TELLING = re.compile(r"^(?:not ok .*|# (?:left|move_pages|tcp|verdict): .*|Bail out! .*)$", re.M)


def minutes(text):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= LONGEST:
        raise Fail(f"--minutes {text}: say for how many minutes, such as 0.5 or 10, at most "
                   f"{LONGEST} (a week)")
    return value


def seed(text):
    if not re.fullmatch(r"\d+", text) or int(text) > MAX_SEED:
        raise Fail(f"--seed {text}: say a number from 0 to {MAX_SEED}, as a run printed it")
    return int(text)


def one_of(option, known):
    def check(text):
        if text not in known:
            raise Fail(f"--{option} {text}: there are {', '.join(known)}")
        return text
    return check


def arguments(parser):
    """Those of ./run stress."""
    parser.add_argument("--minutes", type=minutes, default=1, metavar="N", help="(default: 1)")
    parser.add_argument("--seed", type=seed, metavar="N", help="(default: the time)")
    parser.add_argument("--on", type=one_of("on", KERNELS), default=KERNELS[-1], metavar="KERNEL",
                        help=f"one of {', '.join(KERNELS)} (default: the last)")
    parser.add_argument("--debug", type=one_of("debug", DEBUG), default=DEBUG[0],
                        metavar="CHECKER", help=f"one of {', '.join(DEBUG)}")


def command(args):
    """What does the same again."""
    debug = "" if args.debug == DEBUG[0] else f" --debug {args.debug}"
    on = "" if args.on == KERNELS[-1] else f" --on {args.on}"
    return f"./run stress --minutes {args.minutes:g} --seed {args.seed}{on}{debug}"


def progress(this):
    """What a line of the test comes to, for Stage.progress(), which is to show it soon."""
    def told(line):
        match = PROGRESS.match(line)
        if match and time.monotonic() - this.reported >= SAY_EVERY:
            this.reported = -math.inf
        return match and match[1].strip()
    return told


def rates(text):
    """{actor: {group: operations per second}}, in the order of the test."""
    found = {}
    for group, actor, _, rate in RATE.findall(text):
        found.setdefault(actor, {})[group] = float(rate)
    return found


def table(found):
    """One line an actor, one column a group of them; only the columns that say something."""
    columns = list(dict.fromkeys(group for row in found.values() for group in row))
    return grid([["actions/s", *columns]] + [
        [actor, *(f"{row[group]:.1f}" if group in row else "" for group in columns)]
        for actor, row in found.items()], right=range(1, len(columns) + 1))


def image_of(context, args, name):
    """Its kernel, with a folder of objects for each way to debug."""
    more, folder = [build.fragment("stress")], "x86_64-stress"
    if args.debug != DEBUG[0]:
        more.append(build.fragment(f"debug-{args.debug}"))
        folder += f"-{args.debug}"
    return build.kernel(context.base, context.commit[args.on], name, build.X86_64, more, folder)


def judge(tally, on, text, rerun, whole=True):
    """Count what the test printed; return its rates.  whole: everything is to take part."""
    where = f"stress on {on}"
    if "Bail out!" in text:
        raise Fail(f"the test gave up: {re.search('Bail out! (.*)', text)[1]}")
    results, reasons = tap.parse(text)
    tally.add(where, results, expected.load("stress")[on], rerun, reasons)
    for reason in NOT_JOINED.findall(text) if whole else ():
        tally.check(False, f"{where}: did not take part: {reason}", rerun)
    found = rates(text)
    tally.check(found, f"{where}: no rate was printed", rerun)
    return found


def stress(context, args):
    """Run the test in a guest, and judge what it and the kernel printed."""
    if args.seed is None:
        args.seed = int(time.time()) & MAX_SEED
    rerun = command(args)
    name = "-".join(["stress", args.on] + [args.debug] * (args.debug != DEBUG[0]))
    image, initrd = image_of(context, args, name), selftests.initramfs(context)
    seconds = math.ceil(args.minutes * 60)
    said, tests = logfile(f"{name}.console"), logfile(f"{name}.tap")
    found = {}
    try:
        with stage(f"{name}, {args.minutes:g} min, seed {args.seed}") as this:
            qemu.boot(image, initrd, name, f"kunit.enable=0 guest.test={TEST} "
                      f"guest.args=-t,{seconds},-s,{args.seed}", seconds + MORE_TIME, MACHINE,
                      progress(this))
        found = judge(context.tally, args.on, read(tests), rerun)
    except Fail as failure:
        context.tally.fail(f"{name}: {failure} (all it said: {shown(said)}, {shown(tests)})", rerun)
    console.is_clean(context, name, said, rerun)
    say(f"\n{table(found)}" if found else "")
    say("\n".join(TELLING.findall(read(tests))))
    say(f"the same load again: {context.tally.before}{rerun}")


def smoke(context):
    """A few seconds of it on a kernel that has not all of the configuration."""
    on, log = KERNELS[-1], "stress-smoke"
    rerun = f"{SMOKE_RERUN} --on {on}"
    selftests.boot(context, selftests.image(context, on), selftests.initramfs(context), log,
                   f"kunit.enable=0 guest.test={TEST} guest.args=-t,{SMOKE},-s,1", rerun=rerun)
    judge(context.tally, on, read(logfile(f"{log}.tap")), rerun, whole=False)
