# SPDX-License-Identifier: GPL-2.0-only
"""The steps of a run: in order, in lanes, and one that can't be done keeps no other from it."""

import threading
import time
from unittest import mock

from driver.commands import test as test_command
from driver.core import steps
from driver.core.stage import Fail
from driver.core.steps import Step
from driver.core.tally import Tally
from driver.kernel.context import Context
from driver.suites import guards
from driver.tests.helpers import SOON, Case, after_interrupt, parsed


def broken(context):
    raise Fail("it broke")


def meet(mine, other):
    """Work that says that it is going on, and waits for the other to be."""
    def work(context):
        mine.set()
        context.tally.check(other.wait(SOON), "not beside")
    return work


class Crowd:
    """Work that takes a moment, and notes how many are at it."""

    def __init__(self):
        self.inside, self.seen = [], []

    def __call__(self, context):
        self.inside.append(1)
        self.seen.append(len(self.inside))
        time.sleep(0.02)
        self.inside.pop()


class Steps(Case):
    def setUp(self):
        super().setUp()
        self.kill_all = self.quick_steps()

    def step(self, name, work=None, **more):
        def usual(context):
            self.did.append(name)
            context.tally.check(True, "")
        return Step(name, "", 0, work or usual, **more)

    def preparing(self, name, **more):
        """One that notes what it does, and when."""
        return self.step(name, prepare=lambda context: self.did.append(f"prepare {name}"), **more)

    def run_steps(self, *all_of_them, guests=1, before=""):
        self.did, self.tally = [], Tally("./run test", before)
        self.patch(steps, GUESTS=guests)
        steps.run(Context(mock.Mock(), self.tally, {"stock": "0"}), list(all_of_them))

    def counts(self):
        return self.tally.passed, len(self.tally.failed), self.tally.skipped

    def test_in_order(self):
        self.run_steps(*map(self.step, "abcd"))
        self.assertEqual((self.did, self.counts()), ([*"abcd"], (4, 0, 0)))
        self.run_steps(self.preparing("a"))
        self.assertEqual(self.did, ["prepare a", "a"])
        with self.assertRaisesRegex(AssertionError, "two steps have one name"):
            self.run_steps(*map(self.step, "aba"))

    def test_beside_each_other(self):
        """Two guests; a guest, and what has the tree or prepares a step."""
        for guests, name, more in ((2, "work", {}), (1, "work", {"tree": True}),
                                   (1, "prepare", {})):
            with self.subTest(guests=guests, name=name):
                here, there = threading.Event(), threading.Event()
                self.run_steps(self.step("a", meet(here, there)),
                               self.step("b", **{name: meet(there, here)}, **more), guests=guests)
                self.assertEqual(self.tally.failed, [])
                self.assertGreaterEqual(self.tally.passed, 2)

    def test_how_many_at_once(self):
        """Nothing is prepared while a step has the tree to itself; there are two guests."""
        crowd = Crowd()
        self.run_steps(self.step("a", crowd, tree=True), self.step("b", prepare=crowd),
                       self.step("c", crowd, tree=True), self.step("d", prepare=crowd))
        self.assertEqual((crowd.seen, self.did), ([1] * 4, ["b", "d"]))
        crowd = Crowd()
        self.run_steps(*(self.step(name, crowd) for name in "abcde"), guests=2)
        self.assertEqual((len(crowd.seen), max(crowd.seen)), (5, 2))

    def test_one_that_is_to_be_alone(self):
        crowd, built = Crowd(), threading.Event()

        def alone(context):
            context.tally.check(not crowd.inside and built.wait(SOON) and not crowd.inside,
                                "not alone")
        self.run_steps(self.step("a", crowd), self.step("b", alone, alone=True),
                       self.step("c", crowd), self.step("d", alone, alone=True),
                       self.step("e", crowd),
                       self.step("f", lambda context: built.set(), tree=True), guests=2)
        self.assertEqual((self.counts(), self.tally.failed), ((2, 0, 0), []))

    def test_what_it_needs_is_waited_for(self):
        def slow(context):
            time.sleep(0.05)
            self.did.append("slow")
        for guests, first, second in ((1, False, False), (1, False, True), (1, True, False),
                                      (1, True, True), (2, False, False)):
            self.run_steps(self.step("a", slow, tree=first),
                           self.step("b", tree=second, needs=("a",)), guests=guests)
            self.assertEqual(self.did, ["slow", "b"])
        self.run_steps(self.step("b", needs=("a",)))        # which is not in this run
        self.assertEqual(self.did, ["b"])

    def test_one_that_fails(self):
        def no_disk(context):
            raise OSError("no space left")
        for said, how in (("it broke", {"work": broken}),
                          ("it broke", {"work": broken, "tree": True}),
                          ("it broke", {"prepare": broken}), ("no space left", {"work": no_disk})):
            with self.subTest(how=how):
                self.run_steps(self.step("a"), self.step("b", **how), self.step("c"))
                self.assertEqual((self.did, self.counts()), (["a", "c"], (2, 1, 0)))
                self.assertEqual((self.tally.failed, self.tally.reruns),
                                 ([f"b: {said}"], ["./run test b"]))

        def half(context):
            context.tally.check(True, "")
            context.tally.check(False, "half")
            raise Fail("it broke")
        self.run_steps(self.step("a", half))
        self.assertEqual((self.tally.passed, self.tally.failed, self.tally.reruns),
                         (1, ["half", "a: it broke"], ["./run test a"] * 2))
        self.run_steps(self.step("a", broken, rerun="./run mutants a"), self.step("b", broken),
                       self.step("c"), before="BASE=6.12 ")
        self.assertEqual(self.tally.reruns, ["BASE=6.12 ./run mutants a", "BASE=6.12 ./run test b"])

    def test_what_is_left_out(self):
        """What needs one that did not get through, and what is not for this base."""
        def reason(context):
            return "UML has one CPU"
        for how in ({"work": broken}, {"prepare": broken}):
            self.run_steps(self.step("a", **how), self.step("b", needs=("a",)),
                           self.step("c", needs=("b",)), self.step("d", tree=True, needs=("a",)),
                           self.step("e"))
            self.assertEqual((self.did, self.counts()), (["e"], (1, 1, 3)))
            self.left_out("b: a did not get through", "d: a did not get through",
                          "c: b did not get through")
        self.run_steps(self.preparing("a", unfit=reason), self.step("b", unfit=lambda context: ""),
                       self.step("c", tree=True, unfit=reason), self.step("d", needs=("a",)))
        self.assertEqual((self.did, self.counts()), (["b"], (1, 0, 3)))
        self.left_out("a: UML has one CPU", "c: UML has one CPU", "d: a did not get through")

    def left_out(self, *lines):
        self.assertEqual(sorted(self.printed().splitlines()),
                         sorted(f"not run: {line}" for line in lines))

    def test_what_ends_a_run(self):
        """A mistake in the driver, Ctrl-C, and that nobody reads it; in whichever lane it is."""
        for end in (KeyError, KeyboardInterrupt, BrokenPipeError):
            def work(context, end=end):
                context.tally.check(False, "what was seen")
                raise end
            for how in ({"work": work, "tree": True}, {"prepare": work}, {"work": work}):
                self.kill_all.reset_mock()
                with self.subTest(end=end, how=how), self.assertRaises(end):
                    self.run_steps(self.step("a"), self.step("b", **how), self.step("c"))
                self.assertEqual(self.tally.failed, ["what was seen"])
                self.assertLessEqual({*self.did}, {"a"} if len(how) == 1 else {"a", "c"})
                self.kill_all.assert_called()

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

    def test_interrupt(self):
        """Ctrl-C, in a process of its own: nothing outlives it, and nothing is begun after it."""
        self.assertEqual(after_interrupt("""
def sleep(*names, check=True):
    def work(context):
        for name in names:
            process.run(["sleep", "9"], f"driver-test-{name}.log", check=check)
    return work

context = SimpleNamespace(tally=Tally(), counted_by=lambda tally: SimpleNamespace(tally=tally))
try:
    steps.run(context, [        # some commands, as of a, are followed by others even if they fail
        *(steps.Step(name, "", 0, sleep(name)) for name in "bcd"),
        steps.Step("a", "", 0, sleep("a", "e", check=False), tree=True)])
except KeyboardInterrupt:
    time.sleep(0.3)             # as long as it takes to print the verdict
    print(len([child for child in process.running if child.poll() is None]), "left;",
          context.tally.failed)
""", children=3), "0 left; []\n")

    def test_late(self):
        for ci, minutes, takes, late in (("", 1000, 5, False),
                                         ("true", 4, steps.CI_MINUTES - 5, False),
                                         ("true", 10, steps.CI_MINUTES - 5, True),
                                         ("true", 10, 5, False)):
            self.settings(CI=ci)
            self.patch(steps, BEGUN=time.monotonic() - minutes * 60)
            self.assertEqual(steps.late(takes), late)
        long = [self.preparing("long"), self.step("tree", tree=True)]
        for step in long:
            step.minutes = steps.CI_MINUTES - 5
        self.run_steps(*long, self.preparing("short"))
        self.assertEqual((self.did, self.counts()), (["prepare short", "short"], (1, 0, 2)))
        self.left_out("long: it is late for CI", "tree: it is late for CI")


class Plan(Case):
    ALL = test_command.plan() + test_command.of_all()

    def test_chosen(self):
        some = [Step(name, "", 0, None, needs=needs) for name, needs in
                (("a", ()), ("b", ("a",)), ("c", ("b",)), ("d", ()))]
        for names, want in (((), "abcd"), (("d",), "d"), (("c",), "abc"), (("d", "b"), "abd"),
                            (("a", "a"), "a")):
            self.assertEqual([step.name for step in steps.chosen(some, names)], [*want])
        self.assertFail("there is no step 'bb'; the nearest are b, .*--list",
                        steps.chosen, some, ("a", "bb"))

    def test_steps(self):
        seen = set()
        for step in self.ALL:
            self.assertNotIn(step.name, seen)
            self.assertLessEqual(set(step.needs), seen, step.name)
            self.assertTrue(step.about and step.minutes >= 0, step.name)
            self.assertRegex(step.name, r"^[\w.+-]+$")
            # One that has the tree prepares nothing before
            self.assertFalse(step.tree and step.prepare, step.name)
            seen.add(step.name)
        self.assertLessEqual(set(guards.all_of_them()), {step.name for step in test_command.plan()})

    def test_list(self):
        test_command.at_once(parsed("test", "--list"))
        head, *lines = self.printed().strip().splitlines()
        self.assertEqual(head.split(), ["step", "minutes", "needs", "what", "it", "tests"])
        self.assertEqual([line.split()[0] for line in lines], [step.name for step in self.ALL])
        self.assertIn("(--all)", lines[-1])
        self.assertNotIn("(--all)", lines[0])
