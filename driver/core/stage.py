# SPDX-License-Identifier: GPL-2.0-only
"""What a user is told: one line a stage, one sentence a failure."""

import contextlib
import shutil
import sys
import threading
import time

REPORT_EVERY = 60           # seconds between signs of life off a terminal


class Fail(Exception):
    """What went wrong and what to do about it, in one sentence."""


printing = threading.RLock()
here = threading.local()    # .stage: the one that this thread is in


def current():
    return getattr(here, "stage", None)


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
        with printing:
            if sys.stdout.isatty():
                erase()
                print(line[:shutil.get_terminal_size().columns - 1], end="\r", flush=True)
            else:
                print(line, flush=True)


def erase():
    """Leave nothing of a line that is to be rewritten in place."""
    if sys.stdout.isatty():
        print("\r\x1b[K", end="")


def say(text=""):
    """Print what is not the line of a stage."""
    with printing:
        erase()
        print(text, flush=True)


@contextlib.contextmanager
def stage(name):
    outer, here.stage = current(), Stage(name)
    this = here.stage
    try:
        yield this
        took = f"{time.monotonic() - this.start:.0f}s"
        say(f"{name:<44} {took:>7}  {this.note}".rstrip())
    except Fail:
        say(f"{name:<44}  FAILED")
        raise
    finally:
        here.stage = outer
