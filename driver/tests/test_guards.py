# SPDX-License-Identifier: GPL-2.0-only
"""A guard that is removed must be missed: by the checks that its mutant names, by the explorer."""

import tempfile
import unittest
from types import SimpleNamespace
from unittest import mock

from driver.commands import mutants as command
from driver.core import expected, steps
from driver.core.stage import Fail
from driver.kernel import mutant
from driver.suites import explorer, guards, kunit
from driver.tests.consoles import CAUGHT, DIES, HELD, PANIC, PROGRESS, REFUSED, SCHEDULE, found
from driver.tests.helpers import counted, environment, quiet


class Headers(unittest.TestCase):
    """What a mutant names is there."""

    HEAD = "Removes: x\nOn: mm+lab\nWhere: uml\n"

    def guard(self, head):
        with tempfile.TemporaryDirectory() as folder:
            with open(folder + "/m.diff", "w") as diff:
                diff.write(head + "\ndiff --git a/x b/x\nSets: FT\n")
            return mutant.Mutant("m", folder)

    def test_sets(self):
        guard = self.guard(self.HEAD + "Fails: a, b\nSets: FT FTBR\n")
        self.assertEqual((guard.fails, guard.sets), (["a", "b"], ["FT", "FTBR"]))
        self.assertIs(guards.check_guard(guard, {"m": guard}), guard)
        guard.sets.append("FTQ")
        with self.assertRaisesRegex(Fail, "no set 'FTQ' .* there are: FT, "):
            guards.check_guard(guard, {"m": guard})

    def test_redundant(self):
        guard = self.guard(self.HEAD + "Redundant: other: it tests that: too\n")
        guards.check_guard(guard, {"m": guard, "other": guard})
        with self.assertRaisesRegex(Fail, "no mutant 'other' of the lab for 'Redundant:'"):
            guards.check_guard(guard, {"m": guard})

    def test_checks_that_are_named_are_there(self):
        """And they pass as long as the guard is there."""
        want = {**kunit.wanted(kunit.QEMU), **expected.load("scenarios")["patched"],
                **expected.load("selftests")["mm+tcp"], **expected.load("stress")["mm+tcp"],
                **expected.load("schedule_files")["patched"]}
        for name, guard in mutant.known().items():
            for check in {*guard.fails, *filter(None, [guard.dies])}:
                self.assertIn(want.get(check), ("pass", "skip"), f"{name}: {check}")

    def test_where_they_run(self):
        for name, guard in guards.all_of_them().items():
            suites, tests = guards.suites_of(guard)
            self.assertEqual(bool(suites or tests), bool(guard.fails), name)
            self.assertFalse(guard.dies and guard.dies not in guard.fails, name)


class Table(unittest.TestCase):
    """What the explorer found, without a kernel."""

    ALL = {"none": {"FT": HELD, "FTM": HELD}}

    def guard(self, name, redundant=""):
        return SimpleNamespace(name=name, redundant=redundant, removes=f"the guard {name}",
                               why="it looks again", explored=True, fails=[], sets=[],
                               where="uml")

    def judged(self, rows, *chosen):
        """The failures of guards, one after the other, that come to these rows."""
        rows, context = {**self.ALL, **rows}, counted()

        def explored(context, removed):
            name = " + ".join(guard.name for guard in removed) or "none"
            return name, rows[name]
        known = {guard.redundant: self.guard(guard.redundant) for guard in chosen}
        with mock.patch.object(guards, "explored_without", explored):
            guards.with_all(context)
            for guard in chosen:
                guards.explored_guard(context, guard, known)
        self.reruns, self.rows = context.tally.reruns, context.shared[guards.ROWS]
        return "; ".join(context.tally.failed)

    def test_table(self):
        text = guards.table({"none": {name: HELD for name, _ in guards.SETS},
                             "a": {"FT": CAUGHT, "FTM": DIES, "FTR": HELD,
                                   "TI": found("TI", ""), "DTW": HELD}})
        lines = text.splitlines()
        starts = [lines[0].index(name) for name in ("FT ", "FTM", "TB", "FTR", "TI", "DTW")]
        self.assertEqual([lines[2][start:].split("  ")[0] for start in starts],
                         ["29 pte", "dies", "", "-", "error", "-"])
        self.assertEqual(lines[1].split(), ["none"] + ["-"] * len(guards.SETS))
        self.assertIn("at most: 2 in FTBR, 2 in FTK; any number in the others", text)

    def test_needed(self):
        for one in (CAUGHT, DIES):
            rows = {**self.ALL, "a": {"FT": HELD, "FTM": one}}
            self.assertEqual(self.judged(rows, self.guard("a")), "")
            self.assertEqual(guards.explanation(self.guard("a"), rows),
                             (True, "needed, FTM shows it"))

    def test_not_caught(self):
        self.assertRegex(self.judged({"a": {"FTM": HELD}}, self.guard("a")),
                         "^a: no set catches it: add one .* mutants/a.diff 'Redundant: ")
        self.assertEqual(self.reruns, ["./run mutants a"])

    def test_redundant(self):
        guard, alone = self.guard("a", "b"), {**self.ALL, "a": {"FTM": HELD}}
        rows = {**alone, "a + b": {"FT": HELD, "FTM": CAUGHT}}
        self.assertEqual(self.judged(rows, guard), "")
        self.assertEqual(guards.explanation(guard, rows),
                         (True, "redundant with b: it looks again; FTM catches the pair"))
        self.assertRegex(self.judged({**alone, "a + b": {"FTM": HELD}}, guard),
                         "^a: no set catches it together with b either")
        self.assertRegex(self.judged({"a": {"FTM": DIES}}, guard),
                         "^a: mutants/a.diff says Redundant, but FTM catches it alone")

    def test_no_result(self):
        for text, words in ((PROGRESS, "no result"), (REFUSED, "error: .*R can't")):
            rows = {"a": {"FTM": CAUGHT, "FT": found("FT", text)}}
            self.assertRegex(self.judged(rows, self.guard("a")), f"^FT without a: .*{words}")

    def test_no_result_of_a_pair(self):
        rows = {"a": {"FTM": HELD}, "a + b": {"FTM": CAUGHT, "FT": found("FT", PROGRESS)}}
        self.assertRegex(self.judged(rows, self.guard("a", "b")),
                         r"^FT without a \+ b: .*no result")

    def test_unmutated(self):
        for one in (CAUGHT, DIES, found("FTM", "")):
            rows = {"none": {"FT": HELD, "FTM": one}, "a": {"FT": HELD, "FTM": CAUGHT}}
            self.assertRegex(self.judged(rows, self.guard("a")),
                             "^FTM with no guard removed: .*; a: no set catches it")
            self.assertEqual(self.reruns[0],
                             "./run explore --actors FTM --on patched --bound none")
            self.assertEqual(guards.how_to_look(rows, "a"), "")

    def test_explanations(self):
        a, b = self.guard("a", "b"), self.guard("b")
        died = found("FT", PANIC)
        text = guards.explanations({**self.ALL, "a": {"FT": HELD}, "b": {"FT": died},
                                    "a + b": {"FT": DIES, "FTM": CAUGHT}}, {"a": a, "b": b})
        self.assertIn(f"that is gone: ./run replay --mutant a+b {SCHEDULE}\n", text)
        self.assertIn("\nb: without the guard b\nneeded, FT shows it\nFT: BUG!: its console\n",
                      text)
        self.assertNotIn("--mutant a FTM", text)

    def test_in_a_cell(self):
        a, b = self.guard("a", "b"), self.guard("b")
        rows = {**self.ALL, "a": {"FT": HELD}, "b": {"FT": DIES, "FTM": CAUGHT},
                "a + b": {"FT": DIES}}
        self.assertEqual(guards.shown_by(a, rows), "redundant with `b`, the pair: FT")
        self.assertEqual(guards.shown_by(b, rows), "FT dies, FTM 29 pte")
        rows["a + b"] = rows["b"] = {"FT": HELD}
        self.assertEqual(guards.shown_by(a, rows), "redundant with `b`, the pair is not caught")
        self.assertEqual(guards.shown_by(b, rows), "not caught")

    def run_plan(self, *names, **redundant):
        """./run mutants, with stand-ins for the kernels: only pairs are caught."""
        def explored(context, removes):
            name = " + ".join(guard.name for guard in removes) or "none"
            return name, {"FTM": CAUGHT if len(removes) > 1 else HELD}
        known = {name: self.guard(name, redundant.get(name, "")) for name in "abc"}
        context = counted()
        context.counted_by = lambda tally: SimpleNamespace(**{**vars(context), "tally": tally})
        with mock.patch.multiple(guards, explored_ones=lambda: known, all_of_them=lambda: known,
                                 explored_without=explored, prepare=mock.DEFAULT), \
                mock.patch.object(explorer, "image_of"), \
                mock.patch.object(steps, "kill_all"), environment(), quiet():
            steps.run(context, command.plan(names))
        return context.shared[guards.ROWS].keys()

    def test_rows(self):
        self.assertEqual(self.run_plan(), {"none", "a", "b", "c"})
        self.assertEqual(self.run_plan(b="a"), {"none", "a", "b", "b + a", "c"})
        self.assertEqual(self.run_plan("c", b="a"), {"none", "c"})

    def summary(self, rows):
        context = counted()
        context.shared[guards.ROWS] = rows
        with tempfile.NamedTemporaryFile("r") as kept, mock.patch.multiple(
                guards, explored_ones=lambda: {"a": self.guard("a"), "b": self.guard("b")},
                logfile=lambda name: kept.name):
            text = guards.summary(context)
            self.assertEqual(kept.read(), text)
        return text

    def test_summary(self):
        text = self.summary({**self.ALL, "a": {"FTM": CAUGHT}})
        for words in ("guard removed", "\na: without the guard a\nneeded, FTM shows it\n"):
            self.assertIn(words, text)
        self.assertNotIn("b: without", text)
        self.assertEqual(self.summary({}), "")
        self.assertEqual(self.summary(self.ALL), "")


class Order(unittest.TestCase):
    """As they are run: one for which a rule leaves an order."""

    def test_rows_are_in_the_order_of_the_plan(self):
        names = [step.name for step in command.plan()]
        self.assertEqual(names[0], command.WITH_ALL)
        self.assertEqual(names[1:], list(guards.all_of_them()))

    def test_what_the_explorer_runs_on_needs_all_guards(self):
        known = guards.all_of_them()
        for step in command.plan()[1:]:
            self.assertEqual(bool(step.needs), known[step.name].explored, step.name)
        [step] = command.plan(["orphan-ignores-rmap"])
        self.assertEqual((step.name, step.rerun),
                         ("orphan-ignores-rmap", "./run mutants orphan-ignores-rmap"))


class Checks(unittest.TestCase):
    """The checks that a mutant names, with a stand-in for what ran."""

    def failures(self, seen, fails=("s.a", "s.b"), dies=None):
        context = counted()
        guard = SimpleNamespace(name="m", fails=list(fails), dies=dies, removes="the guard")
        with mock.patch.multiple(guards, image=mock.DEFAULT,
                                 run_checks=lambda context, guard, kernel: seen):
            self.assertEqual(guards.checks(context, guard), seen)
        self.assertEqual(context.tally.passed + len(context.tally.failed), len(fails))
        self.assertEqual(context.tally.reruns, ["./run mutants m"] * len(context.tally.failed))
        return context.tally.failed

    def test_all_fail(self):
        self.assertEqual(self.failures({"s.a": "fail", "s.b": "fail", "s.c": "pass"}), [])

    def test_one_does_not(self):
        for seen, words in (({"s.a": "fail", "s.b": "pass"}, "s.b is pass, not fail"),
                            ({"s.a": "fail", "s.b": "skip"}, "s.b is skip, not fail"),
                            ({"s.a": "fail"}, "s.b is missing, not fail")):
            self.assertEqual(self.failures(seen), [f"{words}, with this removed: the guard"])

    def test_dies(self):
        self.assertEqual(self.failures({"s.a": "fail", "s.": "fail"}, dies="s.b"), [])
        # It lived, died in another check, or was not to die
        for seen, dies in (({"s.a": "fail"}, "s.b"), ({"s.b": "pass", "s.a": "fail"}, "s.b"),
                           ({"s.": "fail", "s.a": "fail", "s.b": "pass"}, "s.b"),
                           ({"s.": "fail", "s.a": "fail"}, None)):
            self.assertEqual(len(self.failures(seen, dies=dies)), 1, seen)

    def ran(self, name, smp):
        """[(where, log)] of what runs for a mutant."""
        found, context = [], counted(uml_smp=smp)
        context.counted_by = lambda tally: context

        def in_uml(context, kernel, log, *rest, **how):
            found.append(("uml", log))
            return {}

        def in_qemu(context, kernel, log, *rest, **how):
            found.append(("qemu", log))
            return {}

        def selftest(context, kernel, initrd, log, *rest, **how):
            found.append(("selftest", log))
            return {}, {}
        with mock.patch.multiple(kunit, exec_uml=in_uml, exec_qemu=in_qemu), mock.patch.multiple(
                guards.selftests, initramfs=mock.DEFAULT, boot=selftest), quiet():
            guards.run_checks(context, mutant.Mutant(name), "kernel")
        return found

    def test_just_what_is_named_runs(self):
        for name, smp, want in (
                ("orphan-ignores-rmap", True, ("uml", "folio_isolate_lru")),
                ("orphan-ignores-rmap", False, ("qemu", "folio_isolate_lru")),
                ("tcp-hides-shared-frags", True, ("selftest", "folio_orphan"))):
            self.assertEqual(self.ran(name, smp), [(want[0], f"without-{name}-{want[1]}")])
