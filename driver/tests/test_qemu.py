# SPDX-License-Identifier: GPL-2.0-only
"""A guest that hangs, dies or never starts is seen; KVM is used where it works."""

import contextlib
import json
import os
import tempfile
import unittest
from unittest import mock

from driver.core.paths import logfile, read
from driver.core.stage import Fail
from driver.kernel import qemu
from driver.kernel.qemu import KVM, TCG
from driver.tests.helpers import environment, quiet

NAME = "driver-test"


class Guest(unittest.TestCase):
    """Stand-ins for QEMU: a guest that hangs, one that panics, one that never starts."""

    def boot(self, script, limit=2, **how):
        with mock.patch.object(qemu, "QEMU", ["sh", "-c", script, "sh"]):
            return qemu.boot("i", "i", NAME, time_limit=limit, accel=["x"], **how)

    def test_hang(self):
        with self.assertRaisesRegex(Fail, "did not finish within 1 s"):
            self.boot("sleep 60", limit=1)

    def test_what_a_guest_that_hangs_said_last(self):
        console, tests = logfile(f"{NAME}.console"), logfile(f"{NAME}.tap")
        with self.assertRaisesRegex(Fail, "(?s)out/log/driver-test.tap and .*ok 1 a\n.*a splat\n"):
            self.boot(f"echo ok 1 a > {tests}; echo a splat > {console}; sleep 60", limit=1)

    def test_death(self):
        with self.assertRaisesRegex(Fail, "died before its tests ended"):
            self.boot("true")

    def test_ended_from_outside(self):
        with self.assertRaisesRegex(Fail, "somebody ended the guest 'driver-test' from outside"):
            self.boot("echo 'qemu: terminating on signal 15 from pid 1 (kill)'")

    def test_line_printed_twice(self):
        console, _ = self.boot('echo "ok 1 a\n[ 1.0] ok\r\n** replaying previous printk message **'
                               '\r\n[ 1.0] ok 2 b\r\nguest: tests ended" >'
                               + logfile(f"{NAME}.console"))
        with open(console, newline="") as text:
            self.assertEqual(text.read(), "ok 1 a\n[ 1.0] ok 2 b\r\nguest: tests ended\n")

    def test_no_start(self):
        with self.assertRaisesRegex(Fail, "exited 3"):
            self.boot("exit 3")

    def test_command(self):
        console = logfile(f"{NAME}.console")
        self.boot(f'echo "$@"; echo {qemu.ENDED} >{console}', append="guest.test=x")
        words = read(logfile(f"{NAME}.qemu"))
        for part in ("-kernel i -initrd i -append console=ttyS0 ", " guest.test=x -chardev file,",
                     f"-serial file:{console} "):
            self.assertIn(part, words)
        self.boot(f'echo "$@"; echo {qemu.ENDED} >{console}', machine=["-m", "2G"],
                  follow=lambda line: None)
        words = read(logfile(f"{NAME}.qemu"))
        self.assertIn("-chardev stdio,", words)
        self.assertTrue(words.endswith(" -m 2G\n"), words)


class Accelerator(unittest.TestCase):
    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.out = stack.enter_context(tempfile.TemporaryDirectory())
        self.start = mock.Mock()
        stack.enter_context(mock.patch.multiple(qemu, OUT=self.out, start=self.start,
                                                DEVICE=os.devnull))
        stack.enter_context(environment())
        self.said = stack.enter_context(quiet())

    def choose(self):
        return qemu.Accelerator().choose("i", "i")

    def test_named(self):
        for name, want in (("tcg", TCG), ("kvm", KVM)):
            with environment(ACCEL=name):
                self.assertEqual(self.choose(), want)
        self.start.assert_not_called()
        self.assertEqual((os.listdir(self.out), self.said.getvalue()), ([], ""))
        with environment(ACCEL="xen"), self.assertRaisesRegex(
                Fail, "^ACCEL=xen: there are tcg and kvm$"):
            self.choose()

    def test_named_by_nobody(self):
        with environment(ACCEL=""):
            self.assertEqual(self.choose(), KVM)
        self.start.assert_called_once()

    def test_no_device(self):
        with mock.patch.object(qemu, "DEVICE", "/nowhere/kvm"):
            self.assertEqual(self.choose(), TCG)
        self.start.assert_not_called()
        self.assertEqual(os.listdir(self.out), [])

    def test_it_works(self):
        self.assertEqual([self.choose() for _ in range(3)], [KVM] * 3)
        self.start.assert_called_once()
        self.assertEqual(self.start.call_args.args[-1], KVM)
        self.assertEqual(self.said.getvalue().count("guests run under KVM"), 1)

    def test_it_does_not_work(self):
        self.start.side_effect = Fail("did not finish")
        self.assertEqual([self.choose() for _ in range(3)], [TCG] * 3)
        self.start.assert_called_once()
        self.assertEqual(self.said.getvalue().count("guests run under TCG"), 1)

    def test_after_the_machine_was_booted_anew(self):
        self.start.side_effect = Fail("did not finish")
        self.choose()
        path = os.path.join(self.out, "kvm.json")
        with open(path) as known:
            self.assertEqual(json.load(known)["works"], False)
        with open(path, "w") as known:
            json.dump({"boot": "another", "works": False}, known)
        self.start.side_effect = None
        self.assertEqual(self.choose(), KVM)
        self.assertEqual(self.start.call_count, 2)

    def test_one_that_was_chosen_is_kept(self):
        one = qemu.Accelerator()
        with environment(ACCEL="tcg"):
            self.assertEqual(one.choose("i", "i"), TCG)
        self.assertEqual(one.choose("i", "i"), TCG)

    def test_what_boots_asks(self):
        with mock.patch.object(qemu, "accelerator", qemu.Accelerator()), environment(ACCEL="kvm"):
            qemu.boot("i", "i", NAME)
            self.assertEqual(self.start.call_args.args[-1], KVM)
            qemu.boot("i", "i", NAME, accel=["-accel", "tcg"])
            self.assertEqual(self.start.call_args.args[-1], ["-accel", "tcg"])


class Initramfs(unittest.TestCase):
    def test_packed_anew_only_if_something_changed(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(qemu, "run") as run:
            path = os.path.join(folder, "initramfs")
            tests = os.path.join(folder, "tests")
            os.makedirs(tests + "/schedules")
            base = mock.Mock(dir=folder, src=folder)
            for name in ("ext4.img", "gen_init_cpio", "tests/a", "tests/schedules/b.sched"):
                open(os.path.join(folder, name), "w").close()

            def pack(cmd, log):
                open(path + ".new", "w").close()
            run.side_effect = pack
            self.assertEqual(qemu.initramfs(base, tests), path)
            qemu.initramfs(base, tests)
            run.assert_called_once()
            spec = read(path + ".list")
            for line in (f"file /tests/a {tests}/a 755 0 0\n", "dir /tests/schedules 755 0 0\n",
                         "file /init "):
                self.assertIn(line, spec)
            with open(tests + "/a", "w") as out:
                out.write("more")
            qemu.initramfs(base, tests)
            self.assertEqual(run.call_count, 2)
            open(tests + "/c", "w").close()
            qemu.initramfs(base, tests)
            self.assertEqual(run.call_count, 3)
