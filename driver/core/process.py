# SPDX-License-Identifier: GPL-2.0-only
"""Running commands, with their output in out/log/."""

import contextlib
import os
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

from driver.core.paths import logfile, shown
from driver.core.stage import Fail, current, here

JOBS = os.environ.get("JOBS") or str(os.cpu_count())
NICE = 10                   # of what is built beside a guest
running = set()             # children, of all threads
over = threading.Event()    # nothing is to be started any more


class Over(BaseException):
    """The run is over: kill_all() was called."""


def tail(path, lines=12):
    with open(path, errors="replace") as log:
        return "".join(log.readlines()[-lines:])


def give_way(pid):
    """Let others on this machine go first.

    start_new_session makes a group of its own of each child, and nice counts within one only.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, NICE)
        with open(f"/proc/{pid}/autogroup", "w") as group:
            group.write(str(NICE))


def run(cmd, log, *, cwd=None, env=None, timeout=None, count=None, check=True, stdin=None,
        background=False):
    """Run cmd with its output in out/log/<log>.

    count: a function that says of an output line whether it is progress, or what it tells.
    background: let guests that run beside it go first.
    Return (exit status, path of the log).  With check, a failure is a Fail.
    """
    if over.is_set():
        raise Over
    path, this, seen, expired = logfile(log), current(), 0, threading.Event()
    with open(path, "w") as out:
        child = subprocess.Popen(cmd, cwd=cwd, env={**os.environ, **(env or {})},
                                 stdin=stdin or subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 text=True, errors="replace", start_new_session=True)
        running.add(child)
        if over.is_set():
            kill(child)
            raise Over
        if background:
            give_way(child.pid)

        def expire():
            expired.set()
            signal_group(child)
        timer = threading.Timer(timeout, expire) if timeout else None
        try:
            if timer:
                timer.start()
            for line in child.stdout:
                out.write(line)
                step = count(line) if count and this else None
                if step:
                    seen += 1
                    this.progress(step if isinstance(step, str) else f"{seen} steps")
            child.wait()
        finally:
            if timer:
                timer.cancel()
            kill(child)
            child.stdout.close()
            running.discard(child)
    if expired.is_set():
        raise Fail(f"{cmd[0]} did not end within {timeout} s; its output: {shown(path)}")
    if check and child.returncode:
        raise Fail(f"{' '.join(cmd[:4])} ... exited {child.returncode}; its output: "
                   f"{shown(path)}\n{tail(path)}")
    return child.returncode, path


def signal_group(child):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def kill(child):
    """Nothing that a stage started outlives it, Ctrl-C included."""
    signal_group(child)
    child.wait()


def kill_all():
    """End what other threads have started, and let them start no more."""
    over.set()
    for child in list(running):
        signal_group(child)


def output(cmd, *, cwd=None, env=None, stdin=None):
    """The standard output of a short command that is expected to succeed."""
    done = subprocess.run(cmd, cwd=cwd, env={**os.environ, **(env or {})}, input=stdin,
                          capture_output=True, text=True, errors="surrogateescape")
    if done.returncode:
        raise Fail(f"{' '.join(cmd)} exited {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def in_parallel(function, items):
    """[function(item)], for functions that run a command which uses one CPU."""
    outer = current()

    def within(item):
        here.stage = outer
        return function(item)
    pool = ThreadPoolExecutor(int(JOBS))
    try:
        return list(pool.map(within, items))
    except BaseException:       # interrupted: what runs is not waited for
        pool.shutdown(wait=False, cancel_futures=True)
        kill_all()
        raise
    finally:
        pool.shutdown(wait=False)
