# SPDX-License-Identifier: GPL-2.0-only
"""A guest that hangs, dies or never starts is seen; KVM is used where it works."""

import json
import os
from unittest import mock

from driver.core.paths import logfile, read
from driver.core.stage import Fail
from driver.kernel import qemu
from driver.kernel.qemu import KVM, TCG
from driver.tests.helpers import Case, environment, put

NAME = "driver-test"
CONSOLE, TESTS = logfile(f"{NAME}.console"), logfile(f"{NAME}.tap")


class Guest(Case):
    """Stand-ins for QEMU: a guest that hangs, one that panics, one that never starts."""

    def boot(self, script, limit=2, **how):
        self.patch(qemu, QEMU=["sh", "-c", script, "sh"])
        return qemu.boot("i", "i", NAME, time_limit=limit, accel=["x"], **how)

    def test_bad_ends(self):
        for said, script in (
                ("died before its tests ended", "true"),
                ("exited 3", "exit 3"),
                ("somebody ended the guest 'driver-test' from outside",
                 "echo 'qemu: terminating on signal 15 from pid 1 (kill)'")):
            self.assertFail(said, self.boot, script)
        # One that hangs is told with what it said last
        script = f"echo ok 1 a > {TESTS}; echo a splat > {CONSOLE}; sleep 60"
        self.assertFail("(?s)did not finish within 0.3 s.*out/log/driver-test.tap and .*ok 1 a\n"
                        ".*a splat\n", self.boot, script, limit=0.3)

    def test_line_printed_twice(self):
        self.boot('echo "ok 1 a\n[ 1.0] ok\r\n** replaying previous printk message **\r\n'
                  f'[ 1.0] ok 2 b\r\n{qemu.ENDED}" > {CONSOLE}')
        with open(CONSOLE, newline="") as text:
            self.assertEqual(text.read(), f"ok 1 a\n[ 1.0] ok 2 b\r\n{qemu.ENDED}\n")

    def test_command(self):
        script = f'echo "$@"; echo {qemu.ENDED} >{CONSOLE}'
        self.boot(script, append="guest.test=x")
        words = read(logfile(f"{NAME}.qemu"))
        for part in ("-kernel i -initrd i -append console=ttyS0 ", " guest.test=x -chardev file,",
                     f"-serial file:{CONSOLE} "):
            self.assertIn(part, words)
        self.boot(script, machine=["-m", "2G"], follow=lambda line: None)
        words = read(logfile(f"{NAME}.qemu"))
        self.assertIn("-chardev stdio,", words)
        self.assertTrue(words.endswith(" -m 2G\n"), words)


class Accelerator(Case):
    def setUp(self):
        super().setUp()
        self.memory, self.start = os.path.join(self.folder(), "kvm.json"), mock.Mock()
        self.patch(qemu, OUT=os.path.dirname(self.memory), start=self.start, DEVICE=os.devnull)

    def choose(self):
        return qemu.Accelerator().choose("i", "i")

    def test_named_or_without_a_device(self):
        for name, device, want in (("tcg", os.devnull, TCG), ("kvm", os.devnull, KVM),
                                   ("", "/nowhere/kvm", TCG)):
            self.patch(qemu, DEVICE=device)
            with environment(ACCEL=name):
                self.assertEqual(self.choose(), want)
        self.start.assert_not_called()
        self.assertEqual((os.path.exists(self.memory), self.printed()), (False, ""))
        with environment(ACCEL="xen"):
            self.assertFail("^ACCEL=xen: there are tcg and kvm$", self.choose)
        self.patch(qemu, DEVICE=os.devnull)
        with environment(ACCEL=""):
            self.assertEqual(self.choose(), KVM)
        self.start.assert_called_once()

    def test_probe(self):
        """It is done once, and said; and once more after the machine was booted anew."""
        for failure, want, name in ((None, KVM, "KVM"), (Fail("did not finish"), TCG, "TCG")):
            put(os.path.dirname(self.memory), {"kvm.json": json.dumps(
                {"boot": "another", "works": not failure})})
            self.start.reset_mock()
            self.start.side_effect = failure
            self.assertEqual([self.choose() for _ in range(3)], [want] * 3)
            self.start.assert_called_once()
            self.assertEqual(self.start.call_args.args[-1], KVM)
            self.assertEqual(self.printed().count(f"guests run under {name}"), 1)
        self.assertEqual(json.loads(read(self.memory))["works"], False)

    def test_one_that_was_chosen_is_kept(self):
        one = qemu.Accelerator()
        with environment(ACCEL="tcg"):
            self.assertEqual(one.choose("i", "i"), TCG)
        self.assertEqual(one.choose("i", "i"), TCG)
        self.patch(qemu, accelerator=qemu.Accelerator())
        with environment(ACCEL="kvm"):
            for how, want in (({}, KVM), ({"accel": ["-accel", "tcg"]}, ["-accel", "tcg"])):
                qemu.boot("i", "i", NAME, **how)
                self.assertEqual(self.start.call_args.args[-1], want)


class Initramfs(Case):
    def test_packed_anew_only_if_something_changed(self):
        folder = self.folder(dict.fromkeys(
            ("ext4.img", "gen_init_cpio", "tests/a", "tests/schedules/b.sched"), ""))
        path, base = os.path.join(folder, "initramfs"), mock.Mock(dir=folder, src=folder)
        tests = os.path.join(folder, "tests")
        run = self.patch(qemu, "run")
        run.side_effect = lambda cmd, log: put(folder, {"initramfs.new": ""})
        for changed, count in (({}, 1), ({}, 1), ({"tests/a": "more"}, 2), ({"tests/c": ""}, 3)):
            put(folder, changed)
            self.assertEqual(qemu.initramfs(base, tests), path)
            self.assertEqual(run.call_count, count)
        spec = read(path + ".list")
        for line in (f"file /tests/a {tests}/a 755 0 0\n", "dir /tests/schedules 755 0 0\n",
                     f"file /tests/c {tests}/c 755 0 0\n", "file /init "):
            self.assertIn(line, spec)
