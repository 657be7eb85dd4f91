# SPDX-License-Identifier: GPL-2.0-only
"""A run as a list of steps, in lanes.

A lane that has a kernel tree builds, step by step, what the steps run; there is one for x86_64
and one for UML.  Others run that.  So the next kernels are built while guests are up, and all
CPUs are at work.
"""

import contextlib
import difflib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from driver.core.process import Over, kill_all
from driver.core.stage import Fail
from driver.core.tally import Tally

CI_MINUTES = 86             # of CI's 90; the others are for packages, and for what takes longer
BEGUN = time.monotonic()
GUESTS = 2                  # at once: most of the time a guest keeps one CPU busy


class Ended(Exception):
    """The run is over: somebody interrupted it, or another lane crashed."""


@dataclass
class Step:
    """A part of a run.

    minutes: what it usually takes, from nothing on 2 cores, with what it prepares.
    prepare: builds what it runs.  tree: all of it needs the kernel tree.
    lane: whose tree that is: steps of two lanes are prepared at the same time.
    alone: no other step may run beside it, though something may be built.
    needs: the steps that leave something for it.
    unfit: says of a context why it can't be done there, if so.
    """
    name: str
    about: str
    minutes: float
    work: Callable
    prepare: Callable | None = None
    tree: bool = False
    lane: str = "x86_64"
    alone: bool = False
    needs: tuple = ()
    unfit: Callable | None = None
    rerun: str = ""         # if it is not ./run test NAME


def late(minutes):
    """Has CI fewer minutes left than this takes?"""
    return bool(os.environ.get("CI")) and \
        time.monotonic() - BEGUN > (CI_MINUTES - minutes) * 60


def chosen(steps, names):
    """The steps with these names, and those that they need, in order; all if there are none."""
    known = {step.name: step for step in steps}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, cutoff=0)
            raise Fail(f"there is no step '{name}'; the nearest are {', '.join(near)} (./run test "
                       "--list names all)")
    wanted, more = set(), list(names or known)
    while more:
        name = more.pop()
        if name not in wanted:
            wanted.add(name)
            more += known[name].needs
    return [step for step in steps if step.name in wanted]


class Room:
    """Who may be at work: any number of steps, or one alone."""

    def __init__(self):
        self.changed, self.inside, self.alone = threading.Condition(), 0, 0

    @contextlib.contextmanager
    def enter(self, alone):
        with self.changed:
            if alone:               # from now on nobody else comes in
                self.changed.wait_for(lambda: not self.alone)
                self.alone += 1
                self.changed.wait_for(lambda: not self.inside)
            else:
                self.changed.wait_for(lambda: not self.alone)
            self.inside += 1
        try:
            yield
        finally:
            with self.changed:
                self.inside -= 1
                self.alone -= alone
                self.changed.notify_all()


class Runner:
    """Runs steps on a context, whose tally counts all of them."""

    def __init__(self, context, steps):
        self.context, self.steps, self.ended = context, steps, threading.Event()
        names = [step.name for step in steps]
        assert len(names) == len(set(names)), f"two steps have one name: {sorted(names)}"
        self.tallies = {step.name: Tally(step.rerun or f"./run test {step.name}",
                                         context.tally.before) for step in steps}
        self.guests = [step for step in steps if not step.tree]
        self.next, self.room, self.crash = threading.Lock(), Room(), None
        self.prepared = {step.name: threading.Event() for step in steps}
        self.done = {step.name: threading.Event() for step in steps}
        self.trouble = {}       # what kept a step from being prepared, or done

    def wait(self, event):
        while not event.wait(0.2):
            if self.ended.is_set():
                raise Ended

    def attempt(self, step, function):
        """A step that can't be run is one failure, and the rest goes on."""
        try:
            function(self.context.counted_by(self.tallies[step.name]))
        except BrokenPipeError:     # nobody reads what is printed
            raise
        except (Fail, OSError) as failure:
            if self.ended.is_set():
                raise Ended from None
            self.trouble[step.name] = str(failure)
            self.tallies[step.name].fail(f"{step.name}: {failure}")

    def begin(self, step):
        """Is a step to be done?"""
        for name in step.needs:
            if name in self.done:
                self.wait(self.done[name])
                if name in self.trouble:
                    self.trouble[step.name] = f"{name} did not get through"
        reason = self.trouble.get(step.name) or self.reason(step)
        if reason:
            self.trouble[step.name] = reason
            self.tallies[step.name].leave_out(f"{step.name}: {reason}")
        return not reason

    def reason(self, step):
        """Why a step is not to be done, if so."""
        return (step.unfit and step.unfit(self.context)) or (
            "it is late for CI" if late(step.minutes) else "")

    def tree_lane(self, lane):
        for step in [step for step in self.steps if step.lane == lane]:
            if step.tree:
                if self.begin(step):
                    self.attempt(step, step.work)
                self.done[step.name].set()
            elif step.prepare and not self.reason(step):
                self.attempt(step, step.prepare)
            self.prepared[step.name].set()

    def next_guest(self):
        """The first step that can be run now."""
        with self.next:
            for step in self.guests:
                if self.prepared[step.name].is_set() and all(
                        self.done[name].is_set() for name in step.needs if name in self.done):
                    self.guests.remove(step)
                    return step
        return None

    def guest_lane(self):
        while self.guests:
            step = self.next_guest()
            if not step:
                if self.ended.wait(0.1):
                    raise Ended
                continue
            # What could not be prepared has failed already
            if step.name not in self.trouble and self.begin(step):
                with self.room.enter(step.alone):
                    self.attempt(step, step.work)
            self.done[step.name].set()

    def lane(self, function, *args):
        try:
            function(*args)
        except (Ended, Over):
            pass
        except BaseException as crash:      # to be raised where it is seen
            self.crash = self.crash or crash
            self.ended.set()
            kill_all()

    def run(self):
        trees = dict.fromkeys(step.lane for step in self.steps)
        lanes = [threading.Thread(target=self.lane, args=work, daemon=True)
                 for work in [*((self.tree_lane, lane) for lane in trees),
                              *[(self.guest_lane,)] * GUESTS]]
        try:
            for lane in lanes:
                lane.start()
            while not self.crash and any(lane.is_alive() for lane in lanes):
                time.sleep(0.2)
            if self.crash:
                raise self.crash
        except KeyboardInterrupt:
            self.ended.set()
            kill_all()
            raise
        finally:
            for step in self.steps:
                self.context.tally.merge(self.tallies[step.name])


def run(context, steps):
    Runner(context, steps).run()
