# SPDX-License-Identifier: GPL-2.0-only
"""A guest that hangs, dies or never starts is seen, and so is each splat on its console."""

import glob
import json
import os
import re
from types import SimpleNamespace
from unittest import mock

from driver.core import paths
from driver.core.paths import logfile, read
from driver.core.stage import Fail
from driver.kernel import build, console, mutant, qemu
from driver.kernel.qemu import KVM, TCG
from driver.suites import debugged
from driver.tests.helpers import Case, log, put, tally_of

NAME = "driver-test"
SERIAL, TESTS = logfile(f"{NAME}.console"), logfile(f"{NAME}.tap")


class Guest(Case):
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
        script = f"echo ok 1 a > {TESTS}; echo a splat > {SERIAL}; sleep 60"
        self.assertFail("(?s)did not finish within 0.3 s.*out/log/driver-test.tap and .*ok 1 a\n"
                        ".*a splat\n", self.boot, script, limit=0.3)

    def test_line_printed_twice(self):
        self.boot('echo "ok 1 a\n[ 1.0] ok\r\n** replaying previous printk message **\r\n'
                  f'[ 1.0] ok 2 b\r\n{qemu.ENDED}" > {SERIAL}')
        with open(SERIAL, newline="") as text:
            self.assertEqual(text.read(), f"ok 1 a\n[ 1.0] ok 2 b\r\n{qemu.ENDED}\n")

    def test_command(self):
        script = f'echo "$@"; echo {qemu.ENDED} >{SERIAL}'
        for how, parts in (({"append": "guest.test=x"}, (" guest.test=x -chardev file,",
                                                         f"-serial file:{SERIAL} ")),
                           ({"machine": ["-m", "2G"], "follow": lambda line: None},
                            ("-chardev stdio,", " -m 2G\n"))):
            self.boot(script, **how)
            for part in parts:
                self.assertIn(part, read(logfile(f"{NAME}.qemu")))

    def test_one_serial_line(self):
        """On arm64 what the tests say is between what the kernel prints."""
        script = (f'echo "$@"; printf "[    1.5] up\\r\\nok 1 a\\r\\n[   12.5] in\\r\\nok 2 b\\r\\n'
                  f'{qemu.ENDED}\\r\\n" > {SERIAL}')
        self.patch(qemu, QEMU_ARM64=["sh", "-c", script, "sh"])
        qemu.boot("i", "i", NAME, arch=build.ARM64)
        self.assertEqual(read(TESTS), "ok 1 a\nok 2 b\n")
        words = read(logfile(f"{NAME}.qemu"))
        for part, there in (("-accel tcg", True), ("console=ttyAMA0 ", True), ("chardev", False)):
            self.assertEqual(part in words, there)

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
            self.settings(ACCEL=name)
            self.assertEqual(self.choose(), want)
        self.start.assert_not_called()
        self.assertEqual((os.path.exists(self.memory), self.printed()), (False, ""))
        self.settings(ACCEL="xen")
        self.assertFail("^ACCEL=xen: there are tcg and kvm$", self.choose)
        self.patch(qemu, DEVICE=os.devnull)
        self.settings(ACCEL="")
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
        for settings in ({"ACCEL": "tcg"}, {}):
            self.settings(**settings)
            self.assertEqual(one.choose("i", "i"), TCG)
        self.patch(qemu, accelerator=qemu.Accelerator())
        self.settings(ACCEL="kvm")
        for how, want in (({}, KVM), ({"accel": ["-accel", "tcg"]}, ["-accel", "tcg"])):
            qemu.boot("i", "i", NAME, **how)
            self.assertEqual(self.start.call_args.args[-1], want)


SCAN = "tools/testing/selftests/rcutorture/bin/console-badness.sh"
KUNIT = ("[ 1.0] booting\n[ 1.1] KTAP version 1\n[ 1.2] 1..1\n"
         "[ 1.3] page dumped because: x\n[ 1.4] ok 1 suite\n[ 1.5] later\n")


def source():
    """A kernel tree that has the scan of a console, or None."""
    there = glob.glob(os.path.join(paths.OUT, "v*", "linux", SCAN))
    return os.environ.get("DRIVER_TEST_SRC") or (there[0].removesuffix(SCAN) if there else None)


class Scan(Case):
    def setUp(self):
        super().setUp()
        self.src = source()
        if not self.src:
            self.skipTest("there is no kernel tree in out/ yet, nor does DRIVER_TEST_SRC name one: "
                          f"{SCAN} is there")

    def test_patterns(self):
        base = SimpleNamespace(src=self.src)
        for line in ("list_del corruption. next->prev should be", "Kernel panic - not syncing",
                     "page dumped because: VM_WARN_ON", "INFO: task x blocked for more than",
                     "WARNING: mm/folio.c:1 at __page_cache_release", "BUG: KASAN: use-after-free",
                     "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:"):
            self.assertTrue(console.badness(base, "[ 1.0] fine\n[ 2.0] " + line), line)
        self.assertEqual(console.badness(base, "[ 1.0] fine"), [])

    def test_judged(self):
        corruption = "[ 1.0] fine\n[ 1.1] list_del corruption. x\n"
        for text, known, said in (
                (KUNIT, None, "^$"),
                (KUNIT + "[ 1.6] page dumped because: y\n", None,
                 r"^x: the console is not clean \(out/log/driver-test\.console\): "
                 r"\[ 1\.6\] page dumped because: y$"),
                # Whatever a case provokes, this it does not
                (KUNIT.replace("page dumped", "BUG: KASAN"), None, "BUG: KASAN"),
                (corruption, None, "list_del"),
                (corruption, re.compile(".*list_del corruption.*\n"), "^$")):
            tally = tally_of(console.is_clean, "x", log(text), "./run y", known, src=self.src)
            self.assertEqual(tally.reruns, ["./run y"] * len(tally.failed))
            self.assertRegex("".join(tally.failed), said, text)


REPORT = """before
[    1.0] {line}
[    1.0] BUG: KCSAN: data-race in {first} / {second}
[    1.0]
[    1.0] write to 0xffff888001 of 8 bytes by task 1 on cpu 0:
[    1.0]  folio_isolate_lru+0x1/0x2
[    1.0] Reported by Kernel Concurrency Sanitizer on:
[    1.0] {line}
after
"""


def race(first, second):
    """A console with a report of a data race in two functions."""
    return REPORT.format(line="=" * 66, first=first, second=second)


class Told(Case):
    def test_kunit_is_told_from_the_rest(self):
        kunit, rest = console.kunit_lines(KUNIT)
        self.assertIn("page dumped", kunit)
        self.assertEqual(rest, "[ 1.0] booting\n[ 1.1] \n[ 1.5] later\n")
        kunit, rest = console.kunit_lines(KUNIT[:KUNIT.index("[ 1.4]")])        # it did not end
        self.assertIn("page dumped", kunit)
        self.assertEqual(rest, "[ 1.0] booting\n[ 1.1] ")
        self.assertEqual(console.kunit_lines("[ 1.0] booting\n"), ("", "[ 1.0] booting\n"))
        self.assertFail("does not run", console.splats, SimpleNamespace(src=paths.LOG), "fine")

    def test_told_from_others(self):
        """Reports about functions that the series touches are failures."""
        ours, others = race("tick", "folio_isolate_lru"), race("tick", "tock")
        rest, title = "before\nafter\n", "tick / tock"
        for said, text, titles in ((ours, ours, []), (others, rest, [title]),
                                   (others + ours, rest + ours, [title])):
            self.assertEqual(debugged.data_races(said, {"folio_isolate_lru"}), (text, titles))

    def test_touched(self):
        diff = """@@ -3,1 +3,2 @@ bool folio_isolate_lru(struct folio *folio)
-\treturn old(folio);
+\treturn new(folio);
@@ -9,0 +10,4 @@ struct thing {
+static int added(int one,
+\t\t int two)
+{
+}
"""
        self.assertEqual(debugged.touched(diff), {"folio_isolate_lru", "added"})

    def test_console(self):
        """Just KCSAN has something to say of the base."""
        for which, left in (("kcsan", "before\nafter\n"), ("kasan", race("tick", "tock"))):
            path = log(race("tick", "tock"))
            is_clean = self.patch(debugged.console, "is_clean")
            self.patch(debugged, our_functions=lambda context: {"x"})
            tally_of(debugged.console_is_clean, path, which, "./run")
            is_clean.assert_called_once()
            self.assertEqual(read(path), left)
            self.assertEqual("base's own: tick / tock (1 times)" in self.printed(),
                             which == "kcsan")

    def test_checkers(self):
        """With a guard removed, one must have something to say."""
        self.assertIn("kcsan", {each.where for each in mutant.known().values()})
        for name in debugged.CHECKERS:
            self.assertEqual(debugged.checker(name), name)
            self.assertTrue(read(build.fragment(f"debug-{name}")))
        guard = mock.Mock(where="kcsan", removes="the guard")
        guard.name = "m"
        self.patch(debugged, "kernel", "mutant",
                   our_functions=lambda context: {"folio_isolate_lru"})
        for text, good in ((race("tick", "folio_isolate_lru"), True), ("", False),
                           (race("tick", "tock"), False)):
            self.patch(debugged.qemu, boot=mock.Mock(return_value=(log(text), "")))
            tally = tally_of(debugged.control, "initrd", guard, "./run debugged kcsan")
            self.assertRegex("".join(tally.failed),
                             "^$" if good else "^kcsan has nothing to say .*: the guard$")
