# SPDX-License-Identifier: GPL-2.0-only
"""The steps of a run: in order, in lanes, and one that can't be done keeps no other from it."""

import signal
import subprocess
import sys
import threading
import time
import unittest
from unittest import mock

from driver.commands import test as test_command
from driver.core import steps
from driver.core.paths import ROOT
from driver.core.stage import Fail
from driver.core.steps import Step
from driver.core.tally import Tally
from driver.kernel.context import Context
from driver.suites import guards
from driver.tests.helpers import environment, quiet

SOON = 10                   # seconds, in which the other lane gets there


def broken(context):
    raise Fail("it broke")


class Stands(unittest.TestCase):
    """Steps with stand-ins for what they do."""

    GUESTS = 1

    def setUp(self):
        self.did, self.tally = [], Tally("./run test")
        # Whoever runs this has children, too
        self.kill_all = self.patch("kill_all", mock.Mock())
        self.patch("GUESTS", self.GUESTS)

    def patch(self, name, value):
        patch = mock.patch.object(steps, name, value)
        patch.start()
        self.addCleanup(patch.stop)
        return value

    def step(self, name, work=None, **more):
        def usual(context):
            self.did.append(name)
            context.tally.check(True, "")
        return Step(name, "", 0, work or usual, **more)

    def preparing(self, name, **more):
        """One that notes what it does, and when."""
        return self.step(name, prepare=lambda context: self.did.append(f"prepare {name}"), **more)

    def run_steps(self, *all_of_them):
        context = Context(mock.Mock(), self.tally, {"stock": "0"})
        with environment(), quiet() as out:
            try:
                steps.run(context, list(all_of_them))
            finally:
                self.said = out.getvalue()

    def counts(self):
        return self.tally.passed, len(self.tally.failed), self.tally.skipped


class Lanes(Stands):
    def test_in_order(self):
        self.run_steps(*map(self.step, "abcd"))
        self.assertEqual((self.did, self.counts()), ([*"abcd"], (4, 0, 0)))

    def test_one_is_prepared_before_it_runs(self):
        self.run_steps(self.preparing("a"))
        self.assertEqual(self.did, ["prepare a", "a"])

    def test_one_is_prepared_while_another_runs(self):
        prepared = threading.Event()
        self.run_steps(
            self.step("a", lambda context: context.tally.check(prepared.wait(SOON), "not beside")),
            self.step("b", prepare=lambda context: prepared.set()))
        self.assertEqual((self.counts(), self.tally.failed), ((2, 0, 0), []))

    def test_the_tree_is_at_work_while_another_runs(self):
        built, booted = threading.Event(), threading.Event()

        def build(context):
            built.set()
            context.tally.check(booted.wait(SOON), "not beside")

        def boot(context):
            context.tally.check(built.wait(SOON), "not beside")
            booted.set()
        self.run_steps(self.step("a", boot), self.step("b", build, tree=True))
        self.assertEqual(self.counts(), (2, 0, 0))

    def test_one_lane_has_the_tree(self):
        """Nothing is prepared while a step has the tree to itself."""
        at_work = []

        def alone(context):
            at_work.append(1)
            time.sleep(0.05)
            context.tally.check(len(at_work) == 1, "two at once in the tree")
            at_work.pop()
        self.run_steps(self.step("a", alone, tree=True), self.step("b", prepare=alone),
                       self.step("c", alone, tree=True), self.step("d", prepare=alone))
        self.assertEqual((self.counts(), self.did), ((6, 0, 0), ["b", "d"]))

    def test_what_it_needs_is_waited_for(self):
        def slow(context):
            time.sleep(0.2)
            self.did.append("slow")
        for first, second in ((False, False), (False, True), (True, False), (True, True)):
            self.did.clear()
            self.run_steps(self.step("a", slow, tree=first),
                           self.step("b", tree=second, needs=("a",)))
            self.assertEqual(self.did, ["slow", "b"])

    def test_what_it_needs_is_not_in_this_run(self):
        self.run_steps(self.step("b", needs=("a",)))
        self.assertEqual(self.did, ["b"])


class TwoGuests(Stands):
    GUESTS = 2

    def test_two_at_once(self):
        here, there = threading.Event(), threading.Event()

        def meet(mine, other):
            def work(context):
                mine.set()
                context.tally.check(other.wait(SOON), "not beside")
            return work
        self.run_steps(self.step("a", meet(here, there)), self.step("b", meet(there, here)))
        self.assertEqual(self.counts(), (2, 0, 0))

    def test_never_three(self):
        at_work, most = [], []

        def work(context):
            at_work.append(1)
            most.append(len(at_work))
            time.sleep(0.05)
            at_work.pop()
        self.run_steps(*(self.step(name, work) for name in "abcde"))
        self.assertEqual((len(most), max(most)), (5, 2))

    def test_one_that_is_to_be_alone(self):
        at_work, built = [], threading.Event()

        def guest(context):
            at_work.append(1)
            time.sleep(0.05)
            at_work.pop()

        def alone(context):
            context.tally.check(not at_work and built.wait(SOON) and not at_work, "not alone")
        self.run_steps(self.step("a", guest), self.step("b", alone, alone=True),
                       self.step("c", guest), self.step("d", alone, alone=True),
                       self.step("e", guest),
                       self.step("f", lambda context: built.set(), tree=True))
        self.assertEqual((self.counts(), self.tally.failed), ((2, 0, 0), []))

    def test_what_it_needs_is_waited_for(self):
        def slow(context):
            time.sleep(0.2)
            self.did.append("slow")
        self.run_steps(self.step("a", slow), self.step("b", needs=("a",)))
        self.assertEqual(self.did, ["slow", "b"])


class Failures(Stands):
    def test_one_that_fails(self):
        for tree in (False, True):
            self.setUp()
            self.run_steps(self.step("a"), self.step("b", broken, tree=tree), self.step("c"))
            self.assertEqual((self.did, self.tally.failed, self.tally.reruns),
                             (["a", "c"], ["b: it broke"], ["./run test b"]))

    def test_one_that_can_t_be_prepared(self):
        self.run_steps(self.step("a"), self.step("b", prepare=broken), self.step("c"))
        self.assertEqual((self.did, self.tally.failed, self.tally.reruns, self.tally.skipped),
                         (["a", "c"], ["b: it broke"], ["./run test b"], 0))

    def test_the_system_s_failures_are_such(self):
        def no_disk(context):
            raise OSError("no space left")
        self.run_steps(self.step("a", no_disk), self.step("b"))
        self.assertEqual((self.did, self.tally.failed), (["b"], ["a: no space left"]))

    def test_what_was_counted_before_it_broke(self):
        def half(context):
            context.tally.check(True, "")
            context.tally.check(False, "half")
            raise Fail("it broke")
        self.run_steps(self.step("a", half))
        self.assertEqual((self.tally.passed, self.tally.failed, self.tally.reruns),
                         (1, ["half", "a: it broke"], ["./run test a"] * 2))

    def test_rerun(self):
        self.tally.before = "BASE=6.12 "
        self.run_steps(self.step("a", broken, rerun="./run mutants a"), self.step("b", broken),
                       self.step("c"))
        self.assertEqual(self.tally.reruns,
                         ["BASE=6.12 ./run mutants a", "BASE=6.12 ./run test b"])
        self.assertEqual(self.tally.passed, 1)

    def test_what_it_needs_did_not_get_through(self):
        for how in ({"work": broken}, {"prepare": broken}):
            self.setUp()
            self.run_steps(self.step("a", **how), self.step("b", needs=("a",)),
                           self.step("c", needs=("b",)), self.step("d", tree=True, needs=("a",)),
                           self.step("e"))
            self.assertEqual((self.did, self.counts()), (["e"], (1, 1, 3)))
            for line in ("not run: b: a did not get through\n",
                         "not run: d: a did not get through\n",
                         "not run: c: b did not get through\n"):
                self.assertIn(line, self.said)

    def test_one_that_is_not_for_this_base(self):
        def reason(context):
            return "UML has one CPU"
        self.run_steps(self.preparing("a", unfit=reason), self.step("b", unfit=lambda context: ""),
                       self.step("c", tree=True, unfit=reason), self.step("d", needs=("a",)))
        self.assertEqual((self.did, self.counts()), (["b"], (1, 0, 3)))
        for line in ("not run: a: UML has one CPU\n", "not run: c: UML has one CPU\n",
                     "not run: d: a did not get through\n"):
            self.assertIn(line, self.said)


class Ends(Stands):
    """What ends a run, in whichever lane it is."""

    def test_a_mistake_in_the_driver(self):
        def crash(context):
            raise KeyError("a mistake in the driver")
        for how in ({"work": crash, "tree": True}, {"prepare": crash}, {"work": crash}):
            self.setUp()
            with self.assertRaisesRegex(KeyError, "a mistake in the driver"):
                self.run_steps(self.step("a"), self.step("b", **how), self.step("c"))
            self.assertEqual(self.tally.passed, len(self.did))
            self.assertNotIn("b", self.did)
            self.kill_all.assert_called()

    def test_what_was_seen_before(self):
        def interrupted(context):
            context.tally.check(False, "what was seen")
            raise KeyboardInterrupt
        with self.assertRaises(KeyboardInterrupt):
            self.run_steps(self.step("a"), self.step("b", interrupted), self.step("c"))
        self.assertEqual((self.did, self.tally.failed), (["a"], ["what was seen"]))
        self.kill_all.assert_called()

    def test_nobody_reads_it(self):
        def say(context):
            raise BrokenPipeError
        with self.assertRaises(BrokenPipeError):
            self.run_steps(self.step("a", say), self.step("b", lambda context: time.sleep(0.5)),
                           self.step("c"))
        self.assertNotIn("c", self.did)

    def test_what_is_killed_then_is_no_failure(self):
        killed, going = threading.Event(), threading.Event()
        self.kill_all.side_effect = killed.set

        def build(context):
            going.set()
            killed.wait(SOON)
            raise Fail("make exited -9")

        def crash(context):
            going.wait(SOON)
            raise KeyError("a mistake in the driver")
        with self.assertRaises(KeyError):
            self.run_steps(self.step("a", crash), self.step("b", build, tree=True),
                           self.step("c", tree=True))
        self.assertEqual((self.did, self.tally.failed), ([], []))


class Interrupt(unittest.TestCase):
    """Ctrl-C, in a process of its own: nothing that was started outlives it."""

    SCRIPT = """
import signal
import threading
import time
from types import SimpleNamespace
from driver.core import process, steps
from driver.core.tally import Tally

def sleep(*names, check=True):
    def work(context):
        for name in names:
            process.run(["sleep", "9"], f"driver-test-{name}.log", check=check)
    return work

def watch():
    while len(process.running) < 3:
        time.sleep(0.01)
    print("at work", flush=True)

signal.signal(signal.SIGINT, signal.default_int_handler)    # ignored in the background
threading.Thread(target=watch, daemon=True).start()
context = SimpleNamespace(tally=Tally(), counted_by=lambda tally: SimpleNamespace(tally=tally))
try:
    steps.run(context, [
        steps.Step("b", "", 0, sleep("b")), steps.Step("c", "", 0, sleep("c")),
        steps.Step("d", "", 0, sleep("d")), steps.Step("a", "", 0, sleep(A), tree=True)])
except KeyboardInterrupt:
    time.sleep(0.5)             # as long as it takes to print the verdict
    print(len([child for child in process.running if child.poll() is None]), "left;",
          context.tally.failed)
"""

    def left(self, script):
        """What is said after Ctrl-C."""
        with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              start_new_session=True) as child:
            timer = threading.Timer(SOON, child.kill)
            timer.start()
            self.assertEqual(child.stdout.readline(), "at work\n")
            child.send_signal(signal.SIGINT)
            said = child.stdout.read()
            timer.cancel()
            return said

    def test_nothing_is_left(self):
        self.assertEqual(self.left(self.SCRIPT.replace("sleep(A)", 'sleep("a")')), "0 left; []\n")

    def test_nothing_is_begun_after_it(self):
        """Some commands are followed by others even if they fail."""
        self.assertEqual(self.left(self.SCRIPT.replace("sleep(A)", 'sleep("a", "e", check=False)')),
                         "0 left; []\n")


class Late(unittest.TestCase):
    def began(self, minutes):
        """This run began so many minutes ago."""
        return mock.patch.object(steps, "BEGUN", time.monotonic() - minutes * 60)

    def test_late(self):
        with environment(CI="true"):
            with self.began(4):
                self.assertFalse(steps.late(steps.CI_MINUTES - 5))
            with self.began(10):
                self.assertTrue(steps.late(steps.CI_MINUTES - 5))
                self.assertFalse(steps.late(5))
        with environment(), self.began(1000):
            self.assertFalse(steps.late(5))

    def test_what_is_late_is_left_out(self):
        did, tally = [], Tally()

        def step(name, minutes, **more):
            return Step(name, "", minutes, lambda context: did.append(name),
                        lambda context: did.append(f"prepare {name}"), **more)
        with environment(CI="true"), self.began(10), quiet() as out:
            steps.run(Context(mock.Mock(), tally, {"stock": "0"}), [
                step("long", steps.CI_MINUTES - 5), step("short", 1),
                step("tree", steps.CI_MINUTES - 5, tree=True)])
        self.assertEqual((did, tally.skipped, tally.failed),
                         (["prepare short", "short"], 2, []))
        for name in ("long", "tree"):
            self.assertIn(f"not run: {name}: it is late for CI\n", out.getvalue())


class Chosen(unittest.TestCase):
    ALL = [Step(name, "", 0, None, needs=needs) for name, needs in
           (("a", ()), ("b", ("a",)), ("c", ("b",)), ("d", ()))]

    def names(self, *names):
        return [step.name for step in steps.chosen(self.ALL, names)]

    def test_what_is_needed_comes_along_in_order(self):
        for names, want in (((), "abcd"), (("d",), "d"), (("c",), "abc"), (("d", "b"), "abd"),
                            (("a", "a"), "a")):
            self.assertEqual(self.names(*names), [*want])

    def test_no_such_step(self):
        with self.assertRaisesRegex(Fail, "there is no step 'bb'; the nearest are b, .*--list"):
            self.names("a", "bb")


class Plan(unittest.TestCase):
    """The steps of ./run test."""

    def test_steps(self):
        seen = set()
        for step in test_command.plan() + test_command.of_all():
            with self.subTest(step=step.name):
                self.assertNotIn(step.name, seen)
                self.assertLessEqual(set(step.needs), seen)
                self.assertGreaterEqual(step.minutes, 0)
                self.assertTrue(step.about)
                self.assertRegex(step.name, r"^[\w.+-]+$")
                seen.add(step.name)

    def test_each_mutant_is_in_it(self):
        names = [step.name for step in test_command.plan()]
        self.assertLessEqual(set(guards.all_of_them()), set(names))

    def test_one_that_has_the_tree_prepares_nothing_before(self):
        for step in test_command.plan() + test_command.of_all():
            self.assertFalse(step.tree and step.prepare, step.name)

    def test_list(self):
        with quiet() as out:
            test_command.at_once(mock.Mock(list=True, all=False, steps=[]))
        lines = out.getvalue().strip().splitlines()
        self.assertEqual(lines[0].split(), ["step", "minutes", "needs", "what", "it", "tests"])
        self.assertEqual([line.split()[0] for line in lines[1:]],
                         [step.name for step in test_command.plan() + test_command.of_all()])
        self.assertIn("(--all)", lines[-1])
        self.assertNotIn("(--all)", lines[1])

    def test_all_goes_without_steps(self):
        with self.assertRaisesRegex(Fail, "--all goes without steps"):
            test_command.at_once(mock.Mock(list=False, all=True, steps=["mails"]))
