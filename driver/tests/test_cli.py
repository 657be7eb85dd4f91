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
from unittest import mock

from driver import cli
from driver.commands import kunit as kunit_command
from driver.commands import replay as replay_command
from driver.commands import test as test_command
from driver.commands import tree as tree_command
from driver.core.paths import ROOT, read
from driver.core.stage import Fail
from driver.kernel import context as contexts
from driver.kernel import debian
from driver.tests.helpers import Case, counted, parsed, put, tally_of


class Words(Case):
    def help(self, *words):
        """It is short enough to be read."""
        with self.assertRaises(SystemExit) as end:
            parsed(*words, "--help")
        self.assertFalse(end.exception.code)
        text = self.printed()
        self.assertLessEqual(max(map(len, text.splitlines())), 100, text)
        return text

    def test_help(self):
        """Of each command, and of all."""
        of_all = " ".join(self.help().split())
        for word in ("BASE=", "KDIR=", "JOBS=", "ACCEL=", "CCACHE_DIR="):
            self.assertIn(word, of_all)
        for name in cli.COMMANDS:
            module = importlib.import_module(f"driver.commands.{name}")
            self.assertIn(f" {name} {module.HELP} ", of_all)
            text = self.help(name)
            self.assertIn(f"usage: ./run {name} ", text)
            self.assertIn(module.__doc__.strip().splitlines()[0], text)
            own = argparse.ArgumentParser(add_help=False)
            module.arguments(own)
            for action in own._actions:
                for word in action.option_strings or [action.metavar or action.dest]:
                    self.assertIn(word, text, name)
        self.assertEqual(parsed().module.__name__, "driver.commands.main")

    def refused(self, said, *words, **base):
        """A command refuses this in one sentence, before it does anything."""
        with self.subTest(words=words), self.assertRaisesRegex(Fail, said) as failed:
            args = parsed(*words)
            if getattr(args.module, "at_once", lambda args: False)(args) is False:
                args.module.run(counted(**base), args)
        self.assertEqual((len(str(failed.exception).splitlines()), self.printed()), (1, ""))

    def test_refused(self):
        for said, *words in (
                ("invalid choice: 'nothing' .*'kunit', 'selftest', .*--help", "nothing"),
                ("unrecognized arguments: --nothing.*--help", "--nothing"),
                ("unrecognized arguments: --nothing.*--help", "kunit", "--nothing"),
                ("unrecognized arguments: --nothing.*--help", "stress", "--nothing=1"),
                ("unrecognized arguments: --lis", "matrix", "--lis"),       # no abbreviation
                ("argument --on: expected one argument", "kunit", "--on"),
                ("'mars' .*'qemu', 'uml-smp', 'uml-up'", "kunit", "--on", "mars"),
                ("^folio_race.replay is of the lab: ./run replay r", "kunit", "folio_race.replay"),
                ("^there is no suite 'x'; there are: folio_release, foli", "kunit", "x"),
                ("--on mm: there are stock and patched", "explore", "--on", "mm"),
                ("--print-command is for one set", "explore", "--print-command"),
                ("no mutant 'x'; there are: gup-retries-orphans, ", "mutants", "x"),
                ("no checker 'x'; there are: kasan, locking, kcsan", "debugged", "x"),
                ("no row 'x'; there are: patches, x86_64, ", "matrix", "x"),
                ("no part 'x' of the results; there are: selftests, ", "results", "x"),
                ("there is no category 'x'; there are: kunit, mmap, ", "own", "x"),
                ("there is no step 'nothing'; the nearest are ", "test", "nothing"),
                ("--all goes without steps", "test", "--all", "mails"),
                ("no kernel 'mm' with sync points; there are: ", "selftest", "folio_sched", "mm"),
                ("no kernel 'patched'; there are: stock, ", "selftest", "folio_orphan", "patched"),
                ("there is no selftest 'x'; there are: folio_orph", "selftest", "x"),
                ("one kernel at a time", "selftest", "mm", "stock"),
                *((f"^{option}: ", "stress", option.replace(" ", "="))
                  for option in ("--seed -1", "--seed 4294967296", "--on lab", "--debug kmsan",
                                 *(f"--minutes {bad}" for bad in
                                   ("0", "-1", "abc", "nan", "inf", "1e9", "")))),
                ("--on lab: there are stock, mm, mm.tcp", "stress", "--on", "lab")):
            self.refused(said, *words)

    def test_replays_refused(self):
        folder = self.folder({"a.sched": "", "my file.sched": ""})
        for said, *words in (
                ("no scenario 'f6'; the nearest are F.6, .*/run replay --list", "f6"),
                ("'mm' .*'stock', 'patched'", "--on", "mm"),
                ("--on stock goes with a schedule file", "--on", "stock", "F"),
                ("--on arm64 is for claims", "--on", "arm64", f"{folder}/a.sched"),
                *((f"^--repeat {bad}: a number is wanted, from 1 on", f"--repeat={bad}")
                  for bad in ("0", "-1", "x", "1.5", "")),
                ("there is no schedule file no/such.sched", "no/such.sched"),
                ("name the file with letters", f"{folder}/my file.sched"),
                *(("one schedule file at a time", f"{folder}/a.sched", more)
                  for more in ("F", "--repeat=2", f"{folder}/a.sched",
                               "--mutant=lab-map-skips-reload"))):
            self.refused(said, "replay", *words)
        for more in ((), ("--on=stock",), ("-v",)):
            args = parsed("replay", f"{folder}/a.sched", *more)
            self.assertEqual(replay_command.kind(args), "file")
        self.assertEqual(parsed("replay", "--repeat", "3").repeat, 3)

    def test_where_it_can_t_be_run(self):
        """UML may have one CPU; some steps of ./run test are left out then, and others are."""
        smp = {"uml_smp": False, "newest": False, "version": "6.12.9"}
        for said, *words in (
                ("UML has one CPU in Linux 6.12.9, .*--on qemu", "kunit", "--on", "uml-smp"),
                ("UML has one CPU in Linux 6.12.9, .*--on qemu", "kunit", "--on", "uml-up"),
                ("UML has one in Linux 6.12.9: BASE=7.3 ./run bench", "bench")):
            self.refused(said, *words, **smp)
        for how, settings, want in (({}, {}, (False, False, False)), (smp, {}, (True, True, True)),
                                    ({}, {"KDIR": "/k"}, (False, False, True))):
            self.settings(**settings)
            self.assertEqual(tuple(bool(unfit(counted(**how))) for unfit in (
                test_command.no_uml, test_command.not_newest, test_command.of_debian)), want)
        for text in ("0", "-1", "x", "1.5", ""):
            self.assertFail(f"^JOBS={text}: a number is wanted, from 1 on$", cli.positive, text)
        cli.positive("7")
        self.patch(cli, JOBS="0")
        self.assertFail("JOBS", cli.main, ["matrix", "--list"])


class Alone(Case):
    def setUp(self):
        super().setUp()
        self.top = self.folder()
        self.lock = os.path.join(self.top, ".lock")
        self.patch(cli, LOCK=self.lock, LOG=os.path.join(self.top, "log"))

    def enter(self):
        with cli.alone():
            return read(self.lock)

    def test_another_one(self):
        with subprocess.Popen(["flock", self.lock, "sh", "-c", 'echo 7 > "$0"; echo held; read x',
                               self.lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            self.assertEqual(other.stdout.readline(), b"held\n")
            self.assertFail(r"another ./run is at work in out/ \(process 7\): wait", self.enter)
            self.assertEqual(read(self.lock), "7\n")
        for _ in range(2):
            self.assertEqual(self.enter(), f"{os.getpid()}\n")

    def test_out_that_can_t_be_written_to(self):
        put(self.top, {"file": ""})
        self.patch(cli, LOG=os.path.join(self.top, "file", "log"))
        self.assertFail(r"^out/ can't be written to \(Not a directory: .*\): make out a symbolic ",
                        self.enter)
        self.patch(cli, os=mock.Mock(path=os.path, makedirs=mock.Mock(
            side_effect=PermissionError(13, "Permission denied", "/x/out/log"))))
        self.assertFail(r"^out/ can't be written to \(Permission denied: /x/out/log\)", self.enter)


class Work(Case):
    def test_failures(self):
        kill_all = self.patch(cli, "kill_all")
        for failure, status, said in (
                (Fail("no disk"), 1, "run: no disk\n"),
                (OSError(28, "No space left", "/x"), 1, "run: [Errno 28] No space left: '/x'\n"),
                (KeyboardInterrupt, 130,
                 "\nrun: interrupted; the same command goes on from here\n"),
                (BrokenPipeError, 141, "")):            # nobody reads it
            self.patch(cli, main=mock.Mock(side_effect=failure))
            with contextlib.redirect_stderr(io.StringIO()) as err, \
                    tempfile.TemporaryFile("w") as out, contextlib.redirect_stdout(out):
                self.assertEqual((cli.run([]), err.getvalue()), (status, said))
        kill_all.assert_called_once()

    def test_as_a_process(self):
        """A list that nobody reads, and a mistake."""
        with subprocess.Popen([sys.executable, "-m", "driver", "matrix", "--list"], cwd=ROOT,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            child.stdout.close()
            said = child.stderr.read()
        self.assertEqual((child.returncode, said), (141, b""))
        done = subprocess.run([sys.executable, "-m", "driver", "nothing"], cwd=ROOT, text=True,
                              capture_output=True)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r"^run: argument COMMAND: invalid choice: 'nothing' .*\n$")

    def main(self, *words, module=kunit_command, work=None, **settings):
        base = counted().base
        self.patch(module, run=work)
        self.patch(cli, "signal", alone=contextlib.nullcontext)
        self.patch(contexts.source, get=lambda meanwhile: base)
        self.settings(**settings)
        return cli.main(list(words))

    def test_verdict(self):
        def work(context, args):
            self.assertEqual(args.suite, "folio_release")
            context.tally.check(True, "")
        self.assertEqual(self.main("kunit", "folio_release", work=work), 0)
        said = self.printed()
        for line in ("base: Linux 7.3.4 ", "verdict: 1 passed, 0 failed, 0 skipped"):
            self.assertIn(line, said)
        self.assertEqual(self.main("kunit", work=mock.Mock()), 1)       # nothing was seen
        self.printed()
        self.assertEqual(self.main("tree", module=tree_command, work=mock.Mock()), 0)
        self.assertNotIn("verdict", self.printed())                     # it judges nothing

    def test_ends_halfway(self):
        def end(failure):
            def work(context, args):
                context.tally.check(False, "what was seen")
                raise failure
            return self.main("kunit", "folio_*.a b", work=work, KDIR="/k")
        self.assertEqual(end(Fail("no more disk")), 1)
        said = self.printed()
        for line in ("what was seen", "no more disk"):
            self.assertIn(f"NOT AS EXPECTED: {line}\n", said)
        self.assertIn("0 passed, 2 failed", said)
        with self.assertRaises(KeyboardInterrupt):
            end(KeyboardInterrupt)
        for text in (said, self.printed()):
            for line in ("NOT AS EXPECTED: what was seen\n", "not run: what comes after that\n",
                         "rerun just this: KDIR=/k ./run kunit 'folio_*.a b'\n"):
                self.assertIn(line, text)
        # Before anything was seen
        self.assertFail("no more disk", self.main, "kunit",
                        work=mock.Mock(side_effect=Fail("no more disk")))

    def test_all_that_was_asked_for(self):
        self.assertEqual(self.main("matrix", "--list"), 0)
        self.assertNotIn("base: ", self.printed())
        self.assertTrue(parsed("explore", "--print-command", "--actors", "FT").print_command)

    def test_kernel_that_is_not_shipped_any_more(self):
        self.patch(test_command, further=mock.Mock(side_effect=debian.NotShipped("gone")))
        tally = tally_of(test_command.older)
        self.assertEqual((tally.skipped, tally.failed), (1, []))
        self.assertEqual(self.printed(), "not run: Linux 6.12: gone\n")
        self.patch(test_command, further=mock.Mock(side_effect=Fail("no network")))
        self.assertFail("no network", tally_of, test_command.older)
