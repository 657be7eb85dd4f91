# SPDX-License-Identifier: GPL-2.0-only
"""The command line: whatever is wrong with it is one sentence; and one ./run at a time."""

import argparse
import contextlib
import importlib
import io
import os
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

from driver import cli
from driver.commands import kunit as kunit_command
from driver.commands import main as main_command
from driver.commands import test as test_command
from driver.commands import tree as tree_command
from driver.core.paths import ROOT, read
from driver.core.stage import Fail
from driver.kernel import context as contexts
from driver.kernel import debian
from driver.tests.helpers import counted, environment, quiet

HOLD = """
import fcntl, os, sys
with open(sys.argv[1], "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    lock.write(f"{os.getpid()}\\n")
    lock.flush()
    print("held", flush=True)
    sys.stdin.read()
"""


def parsed(*words):
    return cli.parser().parse_args(words)


class Help(unittest.TestCase):
    def help(self, *words):
        with self.assertRaises(SystemExit) as end, quiet() as out:
            parsed(*words, "--help")
        self.assertFalse(end.exception.code)
        return out.getvalue()

    def test_of_each_command(self):
        for name in cli.COMMANDS:
            module = importlib.import_module(f"driver.commands.{name}")
            text = self.help(name)
            self.assertIn(f"usage: ./run {name} ", text)
            self.assertIn(module.__doc__.strip().splitlines()[0], text)
            own = argparse.ArgumentParser(add_help=False)
            module.arguments(own)
            for action in own._actions:
                for word in action.option_strings or [action.metavar or action.dest]:
                    self.assertIn(word, text, name)

    def test_of_all(self):
        text = " ".join(self.help().split())
        for name in cli.COMMANDS:
            module = importlib.import_module(f"driver.commands.{name}")
            self.assertIn(f" {name} {module.HELP} ", text)
        for word in ("BASE=", "KDIR=", "JOBS=", "ACCEL=", "CCACHE_DIR="):
            self.assertIn(word, text)

    def test_it_is_read(self):
        """No longer than a screen is wide."""
        for name in ((), *((each,) for each in cli.COMMANDS)):
            for line in self.help(*name).splitlines():
                self.assertLessEqual(len(line), 100, line)


class Words(unittest.TestCase):
    def refused(self, pattern, *words):
        with self.assertRaisesRegex(Fail, pattern) as failed:
            parsed(*words)
        self.assertEqual(len(str(failed.exception).splitlines()), 1)

    def test_which_module(self):
        self.assertIs(parsed().module, main_command)
        for name in cli.COMMANDS:
            self.assertEqual(parsed(name).module.__name__, f"driver.commands.{name}")

    def test_no_such_command(self):
        self.refused("invalid choice: 'nothing' .*'kunit', 'selftest', .*--help", "nothing")

    def test_no_such_option(self):
        for words in (("--nothing",), ("kunit", "--nothing"), ("stress", "--nothing=1")):
            self.refused("unrecognized arguments: --nothing.*--help", *words)

    def test_options_are_not_abbreviated(self):
        self.refused("unrecognized arguments: --lis", "matrix", "--lis")

    def test_no_value(self):
        self.refused("argument --on: expected one argument", "kunit", "--on")

    def test_bad_choices(self):
        for said, *words in (
                ("'mars' .*'qemu', 'uml-smp', 'uml-up'", "kunit", "--on", "mars"),
                ("'mm' .*'stock', 'patched'", "replay", "--on", "mm"),
                ("--on mm: there are stock and patched", "explore", "--on", "mm"),
                ("--on x: there are stock, mm, mm.tcp", "stress", "--on", "x"),
                ("no mutant 'x'; there are: gup-retries-orphans, ", "mutants", "x"),
                ("no checker 'x'; there are: kasan, ", "debugged", "x"),
                ("no row 'x'; there are: patches, ", "matrix", "x"),
                ("no part 'x' of the results; there are: replays, ", "results", "x"),
                ("no scenario 'x'; the nearest are ", "replay", "x")):
            self.refused(said, *words)

    def test_steps(self):
        args = parsed("test", "nothing")
        with self.assertRaisesRegex(Fail, "there is no step 'nothing'; the nearest are "):
            args.module.at_once(args)

    def test_print_command_is_all_that_is_printed(self):
        self.assertTrue(parsed("explore", "--print-command", "--actors", "FT").print_command)


class Alone(unittest.TestCase):
    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.folder = stack.enter_context(tempfile.TemporaryDirectory())
        self.lock = os.path.join(self.folder, ".lock")
        stack.enter_context(mock.patch.multiple(cli, LOCK=self.lock,
                                                LOG=os.path.join(self.folder, "log")))

    def test_another_one(self):
        with subprocess.Popen([sys.executable, "-c", HOLD, self.lock], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            self.assertEqual(other.stdout.readline(), "held\n")
            with self.assertRaisesRegex(
                    Fail, rf"another ./run is at work in out/ \(process {other.pid}\): wait"), \
                    cli.alone():
                self.fail("two at work")
            self.assertEqual(read(self.lock), f"{other.pid}\n")
            other.stdin.close()
            other.wait()
            for _ in range(2):
                with cli.alone():
                    self.assertEqual(read(self.lock), f"{os.getpid()}\n")

    def test_out_that_can_t_be_written_to(self):
        open(os.path.join(self.folder, "file"), "w").close()
        with mock.patch.multiple(cli, LOG=os.path.join(self.folder, "file", "log")), \
                self.assertRaisesRegex(Fail, r"^out/ can't be written to \(Not a directory: .*\): "
                                             "make out a symbolic link"), cli.alone():
            self.fail("it could")
        denied = mock.Mock(path=os.path, makedirs=mock.Mock(
            side_effect=PermissionError(13, "Permission denied", "/x/out/log")))
        with mock.patch.object(cli, "os", denied), self.assertRaisesRegex(
                Fail, r"^out/ can't be written to \(Permission denied: /x/out/log\)"), cli.alone():
            self.fail("it could")


class Ends(unittest.TestCase):
    """How a run ends, and what of it is seen."""

    def run_it(self, failure):
        with mock.patch.object(cli, "main", side_effect=failure), \
                contextlib.redirect_stderr(io.StringIO()) as said:
            return cli.run([]), said.getvalue()

    def test_failure(self):
        self.assertEqual(self.run_it(Fail("no disk")), (1, "run: no disk\n"))
        self.assertEqual(self.run_it(OSError(28, "No space left", "/x")),
                         (1, "run: [Errno 28] No space left: '/x'\n"))

    def test_interrupt(self):
        self.assertEqual(self.run_it(KeyboardInterrupt),
                         (130, "\nrun: interrupted; the same command goes on from here\n"))

    def test_nobody_reads_it(self):
        with tempfile.TemporaryFile("w") as out, contextlib.redirect_stdout(out), \
                mock.patch.object(cli, "kill_all") as kill_all:
            self.assertEqual(self.run_it(BrokenPipeError), (141, ""))
            kill_all.assert_called_once()

    def test_nobody_reads_a_list(self):
        for words in (["matrix", "--list"], ["test", "--list"], ["explore", "--list"]):
            with subprocess.Popen([sys.executable, "-m", "driver", *words], cwd=ROOT,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
                child.stdout.close()
                said = child.stderr.read()
            self.assertEqual((child.returncode, said), (141, b""))

    def test_a_mistake_on_the_command_line(self):
        done = subprocess.run([sys.executable, "-m", "driver", "nothing"], cwd=ROOT, text=True,
                              capture_output=True)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r"^run: argument COMMAND: invalid choice: 'nothing' .*\n$")

    def test_jobs(self):
        for text in ("0", "-1", "x", "1.5", ""):
            with self.assertRaisesRegex(Fail, f"^JOBS={text}: a number is wanted, from 1 on$"):
                cli.positive(text)
        cli.positive("7")


class Work(unittest.TestCase):
    """A command on a base that is not there."""

    def main(self, *words, module=kunit_command, work=None, **settings):
        base = counted().base
        with mock.patch.object(module, "run", work), mock.patch.object(
                cli, "alone", contextlib.nullcontext), mock.patch.object(
                cli, "signal"), mock.patch.object(contexts.source, "get", lambda: base), \
                environment(**settings), quiet() as out:
            try:
                return cli.main(list(words))
            finally:
                self.said = out.getvalue()

    def test_good(self):
        def work(context, args):
            self.assertEqual(args.suite, "folio_release")
            context.tally.check(True, "")
        self.assertEqual(self.main("kunit", "folio_release", work=work), 0)
        self.assertIn("base: Linux 7.3.4 ", self.said)
        self.assertIn("verdict: 1 passed, 0 failed, 0 skipped", self.said)

    def test_nothing_was_seen(self):
        self.assertEqual(self.main("kunit", work=lambda context, args: None), 1)

    def test_end_halfway(self):
        def work(context, args):
            context.tally.check(False, "what was seen", "./run kunit")
            raise Fail("no more disk")
        self.assertEqual(self.main("kunit", "folio_*.a b", work=work, KDIR="/k"), 1)
        for line in ("NOT AS EXPECTED: what was seen", "NOT AS EXPECTED: no more disk",
                     "rerun just this: KDIR=/k ./run kunit 'folio_*.a b'", "0 passed, 2 failed",
                     "not run: what comes after that"):
            self.assertIn(line, self.said)

    def test_end_before_anything_was_seen(self):
        def work(context, args):
            raise Fail("no more disk")
        with self.assertRaisesRegex(Fail, "no more disk"):
            self.main("kunit", work=work)

    def test_interrupt(self):
        def work(context, args):
            context.tally.check(False, "what was seen")
            raise KeyboardInterrupt
        with self.assertRaises(KeyboardInterrupt):
            self.main("kunit", work=work, BASE="7.3")
        self.assertIn("NOT AS EXPECTED: what was seen", self.said)
        self.assertIn("rerun just this: BASE=7.3 ./run kunit\n", self.said)

    def test_a_command_that_judges_nothing(self):
        self.assertEqual(self.main("tree", module=tree_command,
                                   work=lambda context, args: None), 0)
        self.assertNotIn("verdict", self.said)

    def test_a_mistake_is_said_before_anything_is_done(self):
        for words in (["own", "x"], ["test", "x"], ["test", "--all", "mails"], ["kunit", "--on"],
                      ["explore", "--print-command"]):
            with self.assertRaises(Fail):
                self.main(*words)
            self.assertEqual(self.said, "")

    def test_all_that_was_asked_for(self):
        self.assertEqual(self.main("matrix", "--list"), 0)
        self.assertNotIn("base: ", self.said)


class Bases(unittest.TestCase):
    """A base that can't be had, or on which not all can be done."""

    def test_kernel_that_is_not_shipped_any_more(self):
        context = counted()
        with mock.patch.object(test_command, "further", side_effect=debian.NotShipped("gone")), \
                quiet() as out:
            test_command.older(context)
        self.assertEqual((context.tally.skipped, context.tally.failed), (1, []))
        self.assertEqual(out.getvalue(), "not run: Linux 6.12: gone\n")
        with mock.patch.object(test_command, "further", side_effect=Fail("no network")), \
                self.assertRaisesRegex(Fail, "no network"):
            test_command.older(context)

    def test_where_steps_are_not_for(self):
        with environment():
            for how, no_uml, newest, of_debian in (({}, False, False, False),
                                                   ({"uml_smp": False, "newest": False}, True, True,
                                                    True)):
                context = counted(**how)
                self.assertEqual((bool(test_command.no_uml(context)),
                                  bool(test_command.not_newest(context)),
                                  bool(test_command.of_debian(context))),
                                 (no_uml, newest, of_debian))
        with environment(KDIR="/k"):
            self.assertTrue(test_command.of_debian(counted()))
