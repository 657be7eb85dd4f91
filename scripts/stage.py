# SPDX-License-Identifier: GPL-2.0-only
"""Running commands and saying so: one line a stage, one sentence a failure."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = os.path.join(ROOT, "out")
LOG = os.path.join(OUT, "log")
JOBS = os.environ.get("JOBS") or str(os.cpu_count())
REPORT_EVERY = 60           # seconds between signs of life off a terminal


class Fail(Exception):
    """What went wrong and what to do about it, in one sentence."""


current = None


class Stage:
    def __init__(self, name):
        self.name, self.note, self.start = name, "", time.monotonic()
        self.reported = self.start

    def progress(self, text):
        """A sign of life: rewritten in place on a terminal, now and then elsewhere."""
        now = time.monotonic()
        if now - self.reported < (1 if sys.stdout.isatty() else REPORT_EVERY):
            return
        self.reported = now
        line = f"  ... {self.name}: {text}, {now - self.start:.0f}s"
        if sys.stdout.isatty():
            erase()
            print(line[:shutil.get_terminal_size().columns - 1], end="\r", flush=True)
        else:
            print(line, flush=True)


def erase():
    """Leave nothing of a line that is to be rewritten in place."""
    if sys.stdout.isatty():
        print("\r\x1b[K", end="")


@contextlib.contextmanager
def stage(name):
    global current
    outer, current = current, Stage(name)
    try:
        yield current
        took = f"{time.monotonic() - current.start:.0f}s"
        erase()
        print(f"{name:<44} {took:>7}  {current.note}".rstrip(), flush=True)
    except Fail:
        erase()
        print(f"{name:<44}  FAILED", flush=True)
        raise
    finally:
        current = outer


def tail(path, lines=12):
    with open(path, errors="replace") as log:
        return "".join(log.readlines()[-lines:])


def logfile(name):
    os.makedirs(LOG, exist_ok=True)
    return os.path.join(LOG, name)


def run(cmd, log, *, cwd=None, env=None, timeout=None, count=None, check=True, stdin=None):
    """Run cmd with its output in out/log/<log>.

    count: a function that says of an output line whether it is progress, or what it tells.
    Return (exit status, path of the log).  With check, a failure is a Fail.
    """
    path = logfile(log)
    seen = 0
    with open(path, "w") as out:
        child = subprocess.Popen(cmd, cwd=cwd, env={**os.environ, **(env or {})},
                                 stdin=stdin or subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 text=True, errors="replace", start_new_session=True)

        def expired(signum, frame):
            raise TimeoutError
        if timeout:
            signal.signal(signal.SIGALRM, expired)
            signal.alarm(timeout)
        try:
            for line in child.stdout:
                out.write(line)
                step = count(line) if count and current else None
                if step:
                    seen += 1
                    current.progress(step if isinstance(step, str) else f"{seen} steps")
            child.wait()
        except TimeoutError:
            raise Fail(f"{cmd[0]} did not end within {timeout} s; its output: {path}") from None
        finally:
            signal.alarm(0)
            kill(child)
            child.stdout.close()
    if check and child.returncode:
        raise Fail(f"{' '.join(cmd[:4])} ... exited {child.returncode}; its output: {path}\n"
                   + tail(path))
    return child.returncode, path


def kill(child):
    """Nothing that a stage started outlives it, Ctrl-C included."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def output(cmd, *, cwd=None, env=None, stdin=None):
    """The standard output of a short command that is expected to succeed."""
    done = subprocess.run(cmd, cwd=cwd, env={**os.environ, **(env or {})}, input=stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          errors="surrogateescape")
    if done.returncode:
        raise Fail(f"{' '.join(cmd)} exited {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def in_parallel(function, items):
    """[function(item)], for functions that run a command which uses one CPU."""
    with ThreadPoolExecutor(int(JOBS)) as pool:
        return list(pool.map(function, items))
