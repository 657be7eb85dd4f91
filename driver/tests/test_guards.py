# SPDX-License-Identifier: GPL-2.0-only
"""A guard that is removed must be missed: by the checks that its mutant names, by the explorer."""

import os
from types import SimpleNamespace
from unittest import mock

from driver.commands import mutants as command
from driver.core import expected
from driver.core.paths import logfile, read
from driver.kernel import mutant
from driver.kernel.source import RELEASES
from driver.suites import guards, kunit, scenarios
from driver.tests.consoles import CAUGHT, DIES, HELD, PANIC, PROGRESS, REFUSED, SCHEDULE, found
from driver.tests.helpers import Case, counted, own_logs


class Mutants(Case):
    def guard(self, *lines, on="mm+lab", where="uml"):
        head = "\n".join(["Removes: x", f"On: {on}", f"Where: {where}", *lines])
        folder = self.folder({"m.diff": f"{head}\n\ndiff --git a/x b/x\nSets: FT\n"})
        return mutant.Mutant("m", folder)

    def test_all_of_a_header(self):
        one = self.guard("Fails: s.a, s.b", "Dies: s.b", "Append: a=1 b", "Sets: FT FTBR",
                         "Redundant: other: it tests that: too")
        self.assertEqual((one.fails, one.dies, one.append, one.sets, one.redundant, one.why),
                         (["s.a", "s.b"], "s.b", ["a=1", "b"], ["FT", "FTBR"], "other",
                          "it tests that: too"))
        one = self.guard()              # for the explorer alone
        self.assertEqual((one.fails, one.sets, one.redundant, one.explored), ([], [], "", True))
        for how in ({"on": "mm"}, {"where": "qemu"}, {"where": "kcsan"}):
            self.assertFalse(self.guard("Fails: a", **how).explored)

    def test_mistakes(self):
        for said, lines, how in (
                ("there is no 'On: mm-tcp', there are: ", ["Fails: y"], {"on": "mm-tcp"}),
                ("there is no 'On: lab', there are: ", ["Fails: y"], {"on": "lab"}),
                ("there is no 'Where: UML', there are: ", ["Fails: y"], {"where": "UML"}),
                ("has no line 'Fails", [], {"on": "mm"}),
                ("has no line 'Fails", [], {"on": "mm+tcp"}),
                ("Redundant: <other mutant>: <why>", ["Redundant: other"], {})):
            self.assertFail(said, self.guard, *lines, **how)
        folder = self.folder({"m.diff": "Removes: x\n"})
        self.assertFail("has no line 'On", mutant.Mutant, "m", folder)

    def test_what_it_names_is_there(self):
        guard = SimpleNamespace(name="m", sets=["FT", "FTBR"], redundant="other")
        self.assertIs(guards.check_guard(guard, {"m": guard, "other": guard}), guard)
        self.assertFail("no mutant 'other' of the lab for 'Redundant:'",
                        guards.check_guard, guard, {"m": guard})
        guard.sets.append("FTQ")
        self.assertFail("no set 'FTQ' .* there are: FT, ",
                        guards.check_guard, guard, {"other": guard})

    def test_files(self):
        """Whatever fails without a guard is a check that there is, and passes with it."""
        self.assertGreater(len(mutant.known()), 20)
        want = {**kunit.wanted(kunit.QEMU), **scenarios.wanted("patched", kunit.QEMU),
                **expected.load("selftests")["mm+tcp"], **expected.load("stress")["mm+tcp"],
                **expected.load("schedule_files")["patched"], **expected.load("alone")["patched"]}
        for name, guard in mutant.known().items():
            self.assertIn("\ndiff --git a/", guard.diff, name)
            for check in {*guard.fails, *filter(None, [guard.dies])}:
                self.assertIn(want.get(check), ("pass", "skip"), f"{name}: {check}")
        for name, guard in guards.all_of_them().items():
            suites, tests = guards.suites_of(guard)
            self.assertEqual(bool(suites or tests), bool(guard.fails), name)
            for check in guard.fails:       # a case of KUnit may have as many parts as a run
                self.assertEqual(check.split(".")[0] in suites,
                                 check.startswith("folio_") and "folio_orphan" not in check, check)
            self.assertFalse(guard.dies and guard.dies not in guard.fails, name)
        # Those of older kernels
        folders = {name for name in os.listdir(mutant.FOLDER) if not name.endswith(".diff")}
        folders.remove("fixes")
        self.assertLessEqual(folders, {f"on-{release}" for release in RELEASES[1:]})
        for folder in folders:
            for file in os.listdir(os.path.join(mutant.FOLDER, folder)):
                self.assertIn(file.removesuffix(".diff"), mutant.names())

    def test_fixes(self):
        for name in mutant.names(mutant.FIXES):
            fix = mutant.Fix(name)
            self.assertTrue(fix.adds and "\ndiff --git a/" in "\n" + fix.diff, name)
            for check in fix.runs:
                self.assertEqual(expected.load("alone")["patched"].get(check), "fail", name)
            for text in fix.sets:
                self.assertIn("violated", expected.load("sets")["patched"][text], name)
        folder = self.folder({"a.diff": "Adds: x\n\ndiff --git a/b b/b\n"})
        self.assertFail("a.diff has no line 'Passes", mutant.Fix, "a", folder)

    def test_plan(self):
        """In the order of the rows; what the explorer runs on comes after a run with all guards."""
        known = guards.all_of_them()
        first, *plan = command.plan()
        self.assertEqual([first.name, *(step.name for step in plan)], [command.WITH_ALL, *known])
        for step in plan:
            self.assertEqual(bool(step.needs), known[step.name].explored, step.name)
        *_, step = command.plan(["lab-split-stores-part"])
        self.assertEqual([bool(step.unfit(counted(release=release))) for release in
                          ("7.3", "6.12")], [False, True])
        [step] = command.plan(["orphan-ignores-rmap"])
        self.assertFalse(step.unfit(counted(release="6.12")))
        self.assertEqual((step.name, step.rerun),
                         ("orphan-ignores-rmap", "./run mutants orphan-ignores-rmap"))


class Table(Case):
    ALL = {"none": {"FT": HELD, "FTM": HELD}}

    def guard(self, name, redundant=""):
        return SimpleNamespace(name=name, redundant=redundant, removes=f"the guard {name}",
                               why="it looks again", explored=True, fails=[], sets=[])

    def judged(self, rows, guard):
        """The failures of a guard that comes to these rows."""
        rows, context = {**self.ALL, **rows}, counted()

        def explored(context, removed):
            name = " + ".join(guard.name for guard in removed) or "none"
            return name, rows[name]
        self.patch(guards, explored_without=explored)
        guards.with_all(context)
        guards.explored_guard(context, guard, {"b": self.guard("b")})
        self.assertLessEqual(set(context.tally.reruns), {
            "./run mutants a", "./run explore --actors FTM --on patched --bound none"})
        return "; ".join(context.tally.failed)

    def test_judged(self):
        alone, caught = {"a": {"FTM": HELD}}, {"FT": HELD, "FTM": CAUGHT}
        no_result, refused = (found("FT", text) for text in (PROGRESS, REFUSED))
        for said, redundant, rows in (
                ("^$", "", {"a": caught}), ("^$", "", {"a": {"FT": HELD, "FTM": DIES}}),
                ("^a: no set catches it: add one .* mutants/a.diff 'Redundant: ", "", alone),
                ("^$", "b", {**alone, "a + b": caught}),
                ("^a: no set catches it together with b either", "b",
                 {**alone, "a + b": {"FTM": HELD}}),
                ("^a: mutants/a.diff says Redundant, but FTM catches it alone", "b",
                 {"a": {"FTM": DIES}}),
                ("^FT without a: .*no result", "", {"a": {"FTM": CAUGHT, "FT": no_result}}),
                ("^FT without a: .*error: .*R can't", "", {"a": {"FTM": CAUGHT, "FT": refused}}),
                (r"^FT without a \+ b: .*no result", "b",
                 {**alone, "a + b": {"FTM": CAUGHT, "FT": no_result}}),
                *(("^FTM with no guard removed: .*; a: no set catches it", "",
                   {"none": {"FT": HELD, "FTM": one}, "a": caught})
                  for one in (CAUGHT, DIES, found("FTM", "")))):
            self.assertRegex(self.judged(rows, self.guard("a", redundant)), said, rows)

    def test_table(self):
        text = guards.table({"none": dict.fromkeys(guards.sets_of([]), HELD),
                             "a": {"FT": CAUGHT, "FTM": DIES, "FTR": HELD,
                                   "TI": found("TI", ""), "DTW": HELD}})
        head, none, row, *_ = text.splitlines()
        starts = [head.index(name) for name in ("FT ", "FTM", "TB", "FTR", "TI", "DTW")]
        self.assertEqual([row[start:].split("  ")[0] for start in starts],
                         ["29 pte", "dies", "", "-", "error", "-"])
        self.assertEqual(none.split(), ["none"] + ["-"] * len(guards.sets_of([])))
        self.assertIn("at most: 2 in FTBR, 2 in FTK; any number in the others", text)

    def test_explanations(self):
        a, b = self.guard("a", "b"), self.guard("b")
        text = guards.explanations({**self.ALL, "a": {"FT": HELD}, "b": {"FT": found("FT", PANIC)},
                                    "a + b": {"FT": DIES, "FTM": CAUGHT}}, {"a": a, "b": b})
        self.assertIn(f"that is gone: ./run replay --mutant a+b {SCHEDULE}\n", text)
        for words in ("\nredundant with b: it looks again; FT catches the pair\n",
                      "\nb: without the guard b\nneeded, FT shows it\nFT: BUG!: its console\n"):
            self.assertIn(words, text)
        self.assertNotIn("--mutant a FTM", text)
        rows = {"none": {"FTM": CAUGHT}, "a": {"FTM": CAUGHT}}
        self.assertEqual(guards.how_to_look(rows, "a"), "")

    def test_in_a_cell(self):
        a, b, one = self.guard("a", "b"), self.guard("b"), {**self.ALL, "a": {"FT": HELD}}
        for pair, alone, said in (
                ({"FT": DIES}, {"FT": DIES, "FTM": CAUGHT},
                 ["redundant with `b`, the pair: FT", "FT dies, FTM 29 pte"]),
                ({"FT": HELD}, {"FT": HELD},
                 ["redundant with `b`, the pair is not caught", "not caught"])):
            rows = {**one, "b": alone, "a + b": pair}
            self.assertEqual([guards.shown_by(guard, rows) for guard in (a, b)], said)

    def test_summary(self):
        self.patch(guards, logfile=own_logs,
                   explored_ones=lambda: {"a": self.guard("a"), "b": self.guard("b")})

        def summary(rows):
            return guards.summary(SimpleNamespace(shared={guards.ROWS: rows}))
        text = summary({**self.ALL, "a": {"FTM": CAUGHT}})
        for words in ("guard removed", "\na: without the guard a\nneeded, FTM shows it\n"):
            self.assertIn(words, text)
        self.assertNotIn("b: without", text)
        self.assertEqual(read(logfile("driver-test.txt")), text)
        for rows in ({}, self.ALL):
            self.assertEqual(summary(rows), "")


class Checks(Case):
    def failures(self, seen, dies=None, fails=("s.a", "s.b")):
        context = counted()
        guard = SimpleNamespace(name="m", fails=fails, dies=dies, removes="the guard")
        self.patch(guards, "image", run_checks=lambda context, guard, kernel: seen)
        self.assertEqual(guards.checks(context, guard), seen)
        self.assertEqual(context.tally.passed + len(context.tally.failed), len(fails))
        self.assertEqual(context.tally.reruns, ["./run mutants m"] * len(context.tally.failed))
        return context.tally.failed

    def test_all_are_to_fail(self):
        self.assertEqual(self.failures({"s.a": "fail", "s.b": "fail", "s.c": "pass"}), [])
        for seen, words in (({"s.a": "fail", "s.b": "pass"}, "s.b is pass, not fail"),
                            ({"s.a": "fail", "s.b": "skip"}, "s.b is skip, not fail"),
                            ({"s.a": "fail"}, "s.b is missing, not fail")):
            self.assertEqual(self.failures(seen), [f"{words}, with this removed: the guard"])
        # The kernel dies in it; or lived, died in another check, was not to die
        for seen, dies, count in (
                ({"s.a": "fail", "s.": "fail"}, "s.b", 0), ({"s.a": "fail"}, "s.b", 1),
                ({"s.b": "pass", "s.a": "fail"}, "s.b", 1),
                ({"s.": "fail", "s.a": "fail", "s.b": "pass"}, "s.b", 1),
                ({"s.": "fail", "s.a": "fail"}, None, 1)):
            self.assertEqual(len(self.failures(seen, dies=dies)), count, seen)
        # Of a schedule file, in just that run
        run = "hole.one.ext4.large"
        for seen, count in (({f"{run}.": "fail"}, 0), ({"hole.two.ext4.large.": "fail"}, 1),
                            ({"s.": "fail"}, 1), ({}, 1), ({run: "pass"}, 1)):
            self.assertEqual(len(self.failures(seen, run, [run])), count, seen)

    def test_just_what_is_named_runs(self):
        uml, qemu, boot = (mock.Mock(return_value=seen) for seen in ({}, {}, ({}, {})))
        self.patch(kunit, exec_uml=uml, exec_qemu=qemu)
        self.patch(guards.selftests, "initramfs", boot=boot)
        self.patch(guards.schedule_files, died_in=lambda log: {})
        for name, smp, run, suite in (
                ("orphan-ignores-rmap", True, uml, "folio_isolate_lru"),
                ("orphan-ignores-rmap", False, qemu, "folio_isolate_lru"),
                ("tcp-hides-shared-frags", True, boot, "tcp_zerocopy_splice"),
                ("lab-map-reads-size-late", True, boot, "folio_sched")):
            guards.run_checks(counted(uml_smp=smp), mutant.Mutant(name), "kernel")
            self.assertIn(f"without-{name}-{suite}", run.call_args.args)
        self.assertEqual([run.call_count for run in (uml, qemu, boot)], [1, 1, 2])
        self.assertEqual(boot.call_args.args[4:],
                         ("kunit.enable=0 guest.test=folio_sched "
                          "guest.args=schedules/shrink.sched panic_on_warn=1", True))

