# SPDX-License-Identifier: GPL-2.0-only
"""A command that fails, hangs or leaves children behind is seen, and ended."""

import os
import signal
import subprocess
import sys
import time
import unittest
from unittest import mock

from driver.core import process
from driver.core.paths import ROOT, logfile, read
from driver.core.process import run
from driver.core.stage import Fail

LOG = "driver-test.log"


class Run(unittest.TestCase):
    def test_failing_command(self):
        with self.assertRaisesRegex(Fail, "(?s)exited 3; its output: out/log/.*the last words"):
            run(["sh", "-c", "echo the last words; exit 3"], LOG)
        self.assertEqual(run(["false"], LOG, check=False), (1, logfile(LOG)))

    def test_hang(self):
        with self.assertRaisesRegex(Fail, "sleep did not end within 0.2 s"):
            run(["sleep", "60"], LOG, timeout=0.2)

    def test_nothing_outlives_it(self):
        run(["sh", "-c", "sleep 60 > /dev/null 2>&1 & echo $!"], LOG)
        stat = f"/proc/{read(logfile(LOG)).strip()}/stat"
        for _ in range(100):
            if not os.path.exists(stat) or read(stat).rpartition(") ")[2].startswith("Z"):
                return
            time.sleep(0.02)
        self.fail("a child of the command is at work")

    def test_progress_is_shown(self):
        with mock.patch.object(process, "current") as current:
            run(["printf", "%s\n", "a", "step", "say so"], LOG,
                count=lambda line: {"step\n": True, "say so\n": "so"}.get(line))
            self.assertEqual(current.return_value.progress.mock_calls,
                             [mock.call("1 steps"), mock.call("so")])

    def test_what_it_is_given(self):
        run(["sh", "-c", "pwd; echo $A; cat"], LOG, cwd="/", env={"A": "b"})
        self.assertEqual(read(logfile(LOG)), "/\nb\n")


class Output(unittest.TestCase):
    def test_output(self):
        self.assertEqual(process.output(["cat"], stdin="a\n"), "a\n")
        with self.assertRaisesRegex(Fail, "sh -c echo why >&2; exit 1 exited 1: why"):
            process.output(["sh", "-c", "echo why >&2; exit 1"])

    def test_in_parallel(self):
        self.assertEqual(process.in_parallel(lambda number: number * 2, [3, 1, 2]), [6, 2, 4])


class Interrupt(unittest.TestCase):
    """Ctrl-C, in a process of its own."""

    SCRIPT = """
import signal
import threading
import time
from driver.core import process

def watch():
    while len(process.running) < 2:
        time.sleep(0.01)
    print("at work", flush=True)

signal.signal(signal.SIGINT, signal.default_int_handler)    # ignored in the background
threading.Thread(target=watch, daemon=True).start()
process.JOBS = "2"
process.in_parallel(lambda number: process.run(["sleep", "4"], f"driver-test-{number}.log"),
                    range(4))
"""

    def test_what_runs_in_parallel_ends(self):
        with subprocess.Popen([sys.executable, "-c", self.SCRIPT], cwd=ROOT, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            self.assertEqual(child.stdout.readline(), "at work\n")
            child.send_signal(signal.SIGINT)
            began = time.monotonic()
            child.wait()
            self.assertLess(time.monotonic() - began, 2)
