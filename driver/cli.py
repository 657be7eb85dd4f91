# SPDX-License-Identifier: GPL-2.0-only
"""The command line: each module of commands/ is a command."""

import argparse
import contextlib
import fcntl
import importlib
import os
import shlex
import signal
import sys

from driver.core.paths import LOG, OUT, read
from driver.core.process import JOBS, kill_all
from driver.core.stage import Fail, say
from driver.kernel.context import open_context

COMMANDS = ("test", "kunit", "selftest", "replay", "claims", "explore", "hunt", "mutants", "stress",
            "debugged", "own", "f2fs", "bench", "matrix", "litmus", "docs", "results", "shell",
            "tree", "series")
LOCK = os.path.join(OUT, ".lock")
ABOUT = """\
Without a command: build Linux 7.3 as it is, with the mm series, and with the tcp patch on top; boot
the three under QEMU; run the selftests and KUnit; replay the claimed races on stock and patched;
print what differs.  `./run COMMAND --help` says more of a command.
"""
VARIABLES = """\
variables:
  BASE=7.3|6.12         the kernel release (default: 7.3, while Debian has it)
  KDIR=DIR              your kernel tree, with what is not committed in it; DIR is only read.  If it
                        is of another release, the nearest release's mails are applied by git am -3
  JOBS=N                make -jN (default: one for each CPU)
  ACCEL=tcg|kvm         what QEMU uses (default: KVM, where KVM boots a kernel)
  CCACHE_DIR=DIR        the cache of objects (default: out/ccache)

What is built is in out/, for the next run as well.  Logs: out/log/.
Exit status: 0 if each expected check was seen and is as expected, else 1.
"""


class Parser(argparse.ArgumentParser):
    """One that says what is wrong as everything else here does."""

    def error(self, message):
        raise Fail(f"{message} ({self.prog} --help)")


def parser():
    """Each module of commands/ has HELP, arguments(parser) and run(context, args)."""
    top = Parser(prog="./run", description=ABOUT, epilog=VARIABLES, allow_abbrev=False,
                 formatter_class=argparse.RawDescriptionHelpFormatter)
    main = importlib.import_module("driver.commands.main")
    top.set_defaults(module=main)
    sub = top.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser)
    for name in COMMANDS:
        module = importlib.import_module(f"driver.commands.{name}")
        one = sub.add_parser(name, help=module.HELP, description=module.__doc__,
                             allow_abbrev=False,
                             formatter_class=argparse.RawDescriptionHelpFormatter)
        module.arguments(one)
        one.set_defaults(module=module)
    return top


def positive(text):
    if not text.isdecimal() or int(text) < 1:
        raise Fail(f"JOBS={text}: a number is wanted, from 1 on")


def interrupted(signum, frame):
    raise KeyboardInterrupt


@contextlib.contextmanager
def alone():
    """No other ./run may be at work in out/."""
    try:
        os.makedirs(LOG, exist_ok=True)
        lock = open(LOCK, "a+")
    except OSError as failure:
        raise Fail(f"out/ can't be written to ({failure.strerror}: {failure.filename}): make out "
                   "a symbolic link to a folder that can, or give it to your user") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Fail(f"another ./run is at work in out/ (process {read(LOCK).strip()}): wait "
                       "for it, or end it") from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def work(args, words):
    """Run a command that needs a kernel; return its exit status."""
    rerun = shlex.join(["./run", *words])
    context = open_context(rerun, getattr(args.module, "others", lambda args: ())(args))
    try:
        args.module.run(context, args)
    except KeyboardInterrupt:
        if context.tally.failed:
            say("not run: what comes after that")
            context.tally.verdict()
        raise
    except (Fail, OSError) as failure:
        if not context.tally.passed and not context.tally.failed:
            raise
        say("not run: what comes after that")
        context.tally.fail(str(failure))
    return context.tally.verdict() if getattr(args.module, "JUDGES", True) else 0


def main(words):
    positive(JOBS)
    args = parser().parse_args(words)
    at_once = getattr(args.module, "at_once", lambda args: False)(args)
    if at_once is not False:            # it was all that was asked for
        return at_once
    for signum in (signal.SIGHUP, signal.SIGTERM):      # nothing is to outlive a terminal
        signal.signal(signum, interrupted)
    with alone(), contextlib.redirect_stdout(
            sys.stderr if getattr(args, "print_command", False) else sys.stdout):
        return work(args, words)


def run(words):
    """main(), and what a user is to see of how it ended; return the exit status."""
    try:
        return main(words)
    except BrokenPipeError:             # ./run ... | head
        kill_all()
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (Fail, OSError) as failure:
        print(f"run: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nrun: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
