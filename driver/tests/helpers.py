# SPDX-License-Identifier: GPL-2.0-only
"""What several tests use: a case of its own kind, files, and a context without a kernel."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from collections import defaultdict
from types import SimpleNamespace
from unittest import mock

from driver import cli
from driver.core import steps
from driver.core.paths import ROOT, logfile
from driver.core.stage import Fail
from driver.core.tally import Tally

SETTINGS = ("BASE", "KDIR", "CI", "ACCEL", "JOBS", "CCACHE_DIR")
SOON = 10                   # seconds, in which another thread or process gets there


class Case(unittest.TestCase):
    """No setting of whoever runs the tests counts; what is printed goes into self.out."""

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.stack.enter_context(mock.patch.dict(os.environ))
        self.settings()
        self.out = self.stack.enter_context(quiet())

    def settings(self, **settings):
        """From here to the end of the test these count."""
        for name in SETTINGS:
            os.environ.pop(name, None)
        os.environ.update(settings)

    def patch(self, where, *names, **values):
        """Other values in a module up to the end of the test; mocks, if just named: the first."""
        values.update(dict.fromkeys(names, mock.DEFAULT))
        mocks = self.stack.enter_context(mock.patch.multiple(where, **values))
        return mocks[names[0]] if names else None

    def folder(self, files=()):
        """A folder that is there up to the end of the test, with {path: text} in it."""
        folder = os.path.realpath(self.stack.enter_context(tempfile.TemporaryDirectory()))
        put(folder, dict(files))
        return folder

    def printed(self):
        """What was printed since this was asked the last time."""
        text = self.out.getvalue()
        self.out.seek(0)
        self.out.truncate()
        return text

    def assertFail(self, pattern, function, *args, **how):
        """A function must fail, and say this."""
        with self.subTest(pattern=pattern, args=args), self.assertRaisesRegex(Fail, pattern):
            function(*args, **how)

    def quick_steps(self):
        """steps.run() sees within a moment that all is done, and kills no child of the tests."""
        self.patch(steps, time=SimpleNamespace(
            sleep=lambda seconds: time.sleep(0.005), monotonic=time.monotonic))
        return self.patch(steps, "kill_all")


def put(folder, files, mode=0o644):
    """Write {path: text} below a folder."""
    for path, text in files.items():
        path = os.path.join(folder, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as out:
            out.write(text)
        os.chmod(path, mode)


def log(text, suffix="console"):
    """Write a log of the tests' own; return its path."""
    path = logfile(f"driver-test.{suffix}")
    with open(path, "w") as out:
        out.write(text)
    return path


def own_logs(name):
    """In place of logfile(): the log of the tests' own with that suffix."""
    return logfile(f"driver-test.{name.rpartition('.')[2]}")


def parsed(*words):
    return cli.parser().parse_args(words)


def counted(commit=None, **base):
    """A context whose base has these properties, and no tree."""
    known = {"release": "7.3", "version": "7.3.4", "suffix": "", "newest": True, "foreign": False,
             "uml_smp": True, "has_points": False, "src": "/nowhere", "dir": "/nowhere",
             "tree": threading.RLock()}
    context = SimpleNamespace(base=mock.Mock(**{**known, **base}), tally=Tally(),
                              commit=commit or defaultdict(lambda: "0"), shared={})
    context.counted_by = lambda tally: SimpleNamespace(**{**vars(context), "tally": tally})
    return context


def tally_of(function, *args, **base):
    """What a function has counted that takes a context first, the base of which is so."""
    context = counted(**base)
    function(context, *args)
    return context.tally


def failures_of(judge, *args):
    """The failures that a function has counted that takes a tally first."""
    tally = Tally()
    judge(tally, *args)
    return tally.failed


INTERRUPTED = """
import signal, threading, time
from types import SimpleNamespace
from driver.core import process, steps
from driver.core.tally import Tally

def watch():
    while len(process.running) < {children}:
        time.sleep(0.01)
    print("at work", flush=True)

signal.signal(signal.SIGINT, signal.default_int_handler)    # ignored in the background
threading.Thread(target=watch, daemon=True).start()
"""


def after_interrupt(script, children):
    """What a script says after Ctrl-C, which it gets as soon as it has so many children."""
    with subprocess.Popen([sys.executable, "-c", INTERRUPTED.format(children=children) + script],
                          cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          start_new_session=True) as child:
        timer = threading.Timer(SOON, child.kill)
        timer.start()
        first = child.stdout.readline()
        child.send_signal(signal.SIGINT)
        said = child.stdout.read()
        timer.cancel()
    assert first == "at work\n", first
    return said


def quiet():
    """What is printed goes into this, not to the terminal."""
    return contextlib.redirect_stdout(io.StringIO())
