# SPDX-License-Identifier: GPL-2.0-only
"""Each kind of bad run must be seen as one."""

import contextlib
import io
import json
import os
import sys
import tempfile
import tomllib
import unittest
from types import SimpleNamespace
from unittest import mock

import base as bases
import build
import debugged
import guest
import judge
import lab
import race
import replay
import replay_test
import results
import series
import stage
from stage import Fail, logfile, run

GOOD = """TAP version 13
# TAP version 13
# 1..2
# ok 1 lru.isolate
# ok 2 lru.orphan # SKIP tcp maps no orphan
# # Totals: pass:1 fail:0
ok 1 lru
1..1
"""


class Tap(unittest.TestCase):
    def test_skip_of_a_test_with_arguments(self):
        results, reasons = judge.tap("1..2\nok 1 sched a.sched b.sched # SKIP\nok 2 other c\n")
        self.assertEqual(results, {"sched": "skip", "other": "pass"})
        self.assertEqual(reasons, {"sched": ""})

    def test_skip_before_the_name(self):
        self.assertEqual(judge.tap("1..1\nok 1 # SKIP pageout # no file\n"),
                         ({"pageout": "skip"}, {"pageout": "no file"}))

    def test_good(self):
        results, reasons = judge.tap(GOOD)
        self.assertEqual(results, {"lru.isolate": "pass", "lru.orphan": "skip", "lru": "pass"})
        self.assertEqual(reasons, {"lru.orphan": "tcp maps no orphan"})

    def test_failure(self):
        self.assertEqual(judge.tap("1..1\nnot ok 1 lru\n")[0], {"lru": "fail"})

    def test_nothing_ran(self):
        with self.assertRaisesRegex(Fail, "no test ran"):
            judge.tap("TAP version 13\n1..0\n")

    def test_died_halfway(self):
        with self.assertRaisesRegex(Fail, "died halfway"):
            judge.tap(GOOD.replace("# ok 2 lru.orphan # SKIP tcp maps no orphan\n", ""))


class Configuration(unittest.TestCase):
    TREE = ("100644 blob 1\tmm/Kconfig\n100644 blob 2\tmm/vmscan.c\n"
            "100644 blob 3\tarch/x86/configs/tiny.config\n100644 blob 4\tscripts/Kconfig.include\n")

    def key(self, tree=TREE, text="CONFIG_SMP=y\n", *options):
        with tempfile.NamedTemporaryFile("w") as fragment:
            fragment.write(text)
            fragment.flush()
            return build.config_key(SimpleNamespace(git=lambda *args: tree), [fragment.name], options)

    def test_what_it_is_made_of(self):
        for blob in "134":
            with self.subTest(blob=blob):
                self.assertNotEqual(self.key(), self.key(self.TREE.replace(f"b {blob}", "b 9")))
        self.assertNotEqual(self.key(), self.key(self.TREE, "CONFIG_SMP=n\n"))
        self.assertNotEqual(self.key(), self.key(self.TREE, "CONFIG_SMP=y\n", "ARCH=arm64"))

    def test_code_is_not_of_it(self):
        self.assertEqual(self.key(), self.key(self.TREE.replace("b 2", "b 9")))


class Compiler(unittest.TestCase):
    """An object that ccache has is taken only if all that went into it is the same."""

    def test_what_is_taken_in(self):
        compiler = build.COMPILER[0].removeprefix("CC=")
        with tempfile.TemporaryDirectory() as folder:
            def compiled(text, name):
                with open(os.path.join(folder, "taken"), "w") as taken:
                    taken.write(text)
                stage.output([compiler, "-Wp,-MMD,o.d", "-D__KERNEL__", "-c", name, "-o", "o"],
                             cwd=folder, env={"CCACHE_DIR": folder + "/ccache"})
                with open(os.path.join(folder, "o"), "rb") as made:
                    return made.read()

            for name, line in (("piggy.S", '.incbin "taken"'), ("header.c", '#include "taken"')):
                with open(os.path.join(folder, name), "w") as source:
                    source.write(line + "\n")
                with self.subTest(name=name):
                    first = compiled("int a = 1;\n", name)
                    self.assertTrue(first == compiled("int a = 1;\n", name))
                    self.assertFalse(first == compiled("int a = 2;\n", name))


class Expectations(unittest.TestCase):
    def verdict(self, results, expected):
        tally = judge.Tally()
        tally.add("x", results, expected, "./run")
        with contextlib.redirect_stdout(io.StringIO()) as out:
            return tally.verdict(), out.getvalue()

    def test_as_expected(self):
        status, text = self.verdict({"a": "pass", "b": "fail"}, {"a": "pass", "b": "fail"})
        self.assertEqual(status, 0)
        self.assertIn("verdict: 2 passed, 0 failed, 0 skipped", text)

    def test_rerun_names_the_base(self):
        tally = judge.Tally()
        tally.base = "BASE=6.12 "
        tally.check(False, "x", "./run replay")
        tally.add("x", {"a": "fail"}, {"a": "pass"}, "./run selftest")
        self.assertEqual(tally.rerun, ["BASE=6.12 ./run replay", "BASE=6.12 ./run selftest"])

    def test_going_on(self):
        tally = judge.Tally()
        with tally.on("BASE=6.12 "), tally.going_on("./run mutant x"):
            raise Fail("the guest died")
        tally.check(True, "", "")
        self.assertEqual((tally.failed, tally.passed, tally.rerun, tally.base),
                         (["the guest died"], 1, ["BASE=6.12 ./run mutant x"], ""))

    def test_end_halfway(self):
        def command(base, tally, args):
            tally.check(False, "what was seen", "./run kunit")
            raise Fail("no more disk")
        with mock.patch.object(sys, "argv", ["run", "mutant", "a b"]), \
             mock.patch.object(lab, "cmd_mutant", command), mock.patch("fcntl.flock"), \
             mock.patch("signal.signal"), mock.patch.object(bases, "get"), \
             mock.patch.dict(os.environ, {"BASE": "", "KDIR": "/k"}), \
             mock.patch.object(judge.Tally, "base", ""), \
             contextlib.redirect_stdout(io.StringIO()) as out:
            self.assertEqual(lab.main(), 1)
        for line in ("NOT AS EXPECTED: what was seen", "NOT AS EXPECTED: no more disk",
                     "rerun just this: KDIR=/k ./run mutant 'a b'", "0 passed, 2 failed"):
            self.assertIn(line, out.getvalue())

    def test_what_a_glob_selects(self):
        names = ["s.a", "s.a_b", "t.a"]
        with mock.patch.object(judge, "load", lambda *rest: {"qemu": dict.fromkeys(names)}):
            for glob, want in (("", names), ("s", names[:2]), ("s.a", ["s.a"]),
                               ("?.a*", names), ("t*", ["t.a"]), ("*.a_*", ["s.a_b"])):
                self.assertEqual(list(lab.kunit_wanted("qemu", glob)), want, glob)

    def test_everything_else_fails(self):
        for results, expected in (({"a": "fail"}, {"a": "pass"}),
                                  ({"a": "pass"}, {"a": "fail"}),
                                  ({"a": "skip"}, {"a": "pass"}),
                                  ({}, {"a": "pass"}),
                                  ({"a": "pass", "b": "pass"}, {"a": "pass"}),
                                  ({}, {})):
            with self.subTest(results=results, expected=expected):
                self.assertEqual(self.verdict(results, expected)[0], 1)


class KUnit(unittest.TestCase):
    def load(self, report):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as out:
            json.dump(report, out)
            out.flush()
            return judge.kunit(out.name)

    def test_crash_is_a_failure(self):
        cases = [{"name": "a", "status": "PASS"}, {"name": "b", "status": "ERROR"},
                 {"name": "c", "status": "SKIP"}]
        self.assertEqual(self.load({"sub_groups": [{"name": "s", "test_cases": cases}]}),
                         {"s.a": "pass", "s.b": "fail", "s.c": "skip"})

    def test_nothing_ran(self):
        with self.assertRaisesRegex(Fail, "ran no test"):
            self.load({"sub_groups": []})


class Console(unittest.TestCase):
    base = None                 # gate.driver() sets it: the scan is in the kernel tree

    def test_patterns(self):
        for line in ("list_del corruption. next->prev should be", "Kernel panic - not syncing",
                     "page dumped because: VM_WARN_ON", "INFO: task x blocked for more than",
                     "WARNING: mm/folio.c:1 at __page_cache_release", "BUG: KASAN: use-after-free",
                     "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:"):
            self.assertTrue(judge.badness(self.base, "[ 1.0] fine\n[ 2.0] " + line), line)
        self.assertEqual(judge.badness(self.base, "[ 1.0] fine"), [])

    def test_no_scan(self):
        with self.assertRaisesRegex(Fail, "does not run"):
            judge.splats(SimpleNamespace(src=stage.LOG), "fine")

    def test_kunit_is_told_from_the_rest(self):
        kunit, rest = judge.kunit_lines("[ 1.0] booting\n[ 1.1] KTAP version 1\n[ 1.2] 1..1\n"
                                        "[ 1.3] page dumped because: x\n[ 1.4] ok 1 suite\n"
                                        "[ 1.5] later\n")
        self.assertIn("page dumped", kunit)
        self.assertIn("booting", rest)
        self.assertIn("later", rest)
        self.assertNotIn("page dumped", rest)


class Guest(unittest.TestCase):
    """Stand-ins for QEMU: a guest that hangs, one that panics, one that never starts."""

    def boot(self, script, limit=2):
        qemu, guest.QEMU = guest.QEMU, ["sh", "-c", script, "sh"]
        try:
            return guest.boot("i", "i", "driver-test", time_limit=limit)
        finally:
            guest.QEMU = qemu

    def test_hang(self):
        with self.assertRaisesRegex(Fail, "did not finish within 2 s"):
            self.boot("sleep 60")

    def test_death(self):
        with self.assertRaisesRegex(Fail, "died before its tests ended"):
            self.boot("true")

    def test_line_printed_twice(self):
        console, _ = self.boot('echo "ok 1 a\n[ 1.0] ok\r\n** replaying previous printk message **'
                               '\r\n[ 1.0] ok 2 b\r\nlab: tests ended" >%s' % logfile(
                                   "driver-test.console"))
        with open(console, newline="") as text:
            self.assertEqual(text.read(), "ok 1 a\n[ 1.0] ok 2 b\r\nlab: tests ended\n")

    def test_no_start(self):
        with self.assertRaisesRegex(Fail, "exited 3"):
            self.boot("exit 3")


class Races(unittest.TestCase):
    F = {"folio_race.replay.F": "pass"}

    def failures(self, results, console, idents=("F",)):
        tally = judge.Tally()
        race.judged(tally, "qemu", "patched", results, console, idents)
        return "; ".join(tally.failed)

    def test_good(self):
        self.assertEqual(self.failures(self.F, replay_test.CONSOLE), "")

    def test_not_on_the_console(self):
        for end in ("begin F", "event 2", "verdict", "end F"):
            with self.subTest(end=end):
                console = replay_test.CONSOLE[:replay_test.CONSOLE.index(end) - 12]
                self.assertIn("not on the console as a whole", self.failures(self.F, console))

    def test_did_not_run(self):
        self.assertIn("F is missing", self.failures({}, replay_test.CONSOLE))
        self.assertIn("F is missing", self.failures({}, "", idents=()))

    def test_not_expected(self):
        self.assertIn("is fail, expected pass",
                      self.failures({"folio_race.replay.F": "fail"}, replay_test.CONSOLE))
        self.assertIn("Q is new", self.failures({"folio_race.replay.Q": "pass"}, "", ("Q",)))

    def test_timelines(self):
        here = replay.parse(replay_test.CONSOLE)
        for console, words in ((replay_test.PATCHED, "differ from event 3 on"), ("", "differ"),
                               (replay_test.CONSOLE, "")):
            tally = judge.Tally()
            race.same_timelines(tally, {"stock": here}, {"stock": replay.parse(console)}, "")
            self.assertEqual(bool(tally.failed), bool(words))
            self.assertIn(words, "; ".join(tally.failed))

    def test_list_corruption(self):
        warning = ("[ 1.0] ------------[ cut here ]------------\n[ 1.0] %s\n[ 1.0] WARNING: x\n"
                   "[ 1.0] Call Trace:\n[ 1.0] ---[ end trace 0 ]---\n")
        known, other = warning % "list_del corruption. next->prev is", warning % "something else"
        self.assertEqual(race.CORRUPTION.sub("", known + "[ 1.1] fine\n" + other + known),
                         "[ 1.1] fine\n" + other)
        uml = known.replace("[ 1.0] ", "", 2).replace("list_del", "WARNING: x\nlist_del")
        self.assertEqual(race.CORRUPTION.sub("", uml), "")
        for console, found in ((known, True), (uml, True), (other, False)):
            self.assertEqual("no_list_del_corruption is fail"
                             in self.failures({}, console, idents=()), found)

    def test_no_such_scenario(self):
        with self.assertRaisesRegex(Fail, "the nearest are F.6, "):
            race.ident("f6")

    def test_every_scenario_has_an_expectation(self):
        expected = judge.load("race", race.KERNELS)["stock"]
        self.assertEqual([race.SUITE + each for each in race.titles()],
                         [name for name in expected if name.startswith(race.SUITE)])

    def test_what_differs_on_one_kernel_is_there_on_all(self):
        with open(judge.EXPECTED, "rb") as expected:
            sections = tomllib.load(expected)
        for name, checks in sections.items():
            section, _, series = name.partition(" on ")
            if series:
                self.assertEqual(section, "sched", "judge.load() is not asked for others by series")
                self.assertIn(series, bases.VERSIONS)
                self.assertLess(set(checks), set(sections[section]))
                self.assertEqual(judge.section(section, series), {**sections[section], **checks})
                self.assertNotEqual(judge.section(section, series), judge.section(section))


class Time(unittest.TestCase):
    def test_late(self):
        with mock.patch("builtins.print"), mock.patch.dict(os.environ, {"CI": "true"}):
            tally = judge.Tally()
            self.assertFalse(tally.late("x", judge.CI_MINUTES - 5))
            with mock.patch.object(judge, "BEGUN", judge.BEGUN - 10 * 60):
                self.assertTrue(tally.late("x", judge.CI_MINUTES - 5))
                self.assertFalse(tally.late("y", 5))
                self.assertEqual(tally.skipped, 1)
                del os.environ["CI"]
                self.assertFalse(tally.late("x", judge.CI_MINUTES - 5))


class Results(unittest.TestCase):
    def test_tables(self):
        kept = [{"selftests": {"on": version, "columns": {
            "stock": {"same": "pass", "orphan": "fail"}, "mm": {"same": "pass", "orphan": "pass"}}}}
            for version in ("7.3.4", "6.12.1")] + [{}]
        text = results.table("selftests", kept)
        self.assertIn("| selftest | 7.3.4 stock | 7.3.4 mm | 6.12.1 stock | 6.12.1 mm |\n", text)
        self.assertIn("| orphan | fail | pass | fail | pass |\n", text)
        self.assertNotIn("same", text)
        kept[1]["selftests"]["columns"]["mm"] = {"orphan": "pass"}
        self.assertIn("| same | pass | pass | pass | did not run |\n",
                      results.table("selftests", kept))
        self.assertEqual(results.table("guards", kept), "")

    def test_no_place_for_them(self):
        with mock.patch.object(results, "BEGIN", "nowhere"), self.assertRaisesRegex(
                Fail, "README.md has no lines"):
            results.write()

    def test_unknown_part(self):
        with self.assertRaisesRegex(Fail, "there is no part 'x' .* there are: replays, "):
            results.part("x")


class ObjectCode(unittest.TestCase):
    CODE = ("x.o: file format\n0 <a>:\n 0: ret\n\n5 <b>:\n 5: call\n   6: R_X86_64_PLT32 c-0x4\n"
            "\nDisassembly of section .init.text:\n\n0 <c>:\n 0: ret\n")

    def test_same(self):
        self.assertIsNone(judge.code_difference(self.CODE, self.CODE.replace("x.o", "y.o")))
        self.assertEqual(list(judge.functions(self.CODE)), ["a", "b", "c"])
        one, other = (f"0 <a>:\n 0: jmp 54 <__UNIQUE_ID_addressable_{name}+0x4>\n"
                      for name in ("b_668", "b_669"))
        self.assertIsNone(judge.code_difference(one, other))
        self.assertEqual(judge.code_difference(one, other.replace("b_", "c_")), "a")

    def test_different(self):
        for old, new, name in (("PLT32 c", "PLT32 d", "b"), ("ret\n\n5", "nop\n\n5", "a"),
                               ("0 <c>:\n 0: ret\n", "", "c"), ("<b>", "<bb>", "b")):
            with self.subTest(name=name):
                other = self.CODE.replace(old, new)
                self.assertEqual(judge.code_difference(self.CODE, other), name)


class Inputs(unittest.TestCase):
    def test_base_without_a_series(self):
        with mock.patch.dict(os.environ, {"BASE": "5.10"}), self.assertRaisesRegex(
                Fail, "BASE=5.10: the kernels that there is a series for are 7.3, "):
            bases.wanted()

    def test_base_is_the_next_that_can_be_had(self):
        with mock.patch.object(bases, "debian_versions", lambda apt, package: [("7.2.1", "sid")]
                               if package == "linux-source-7.2" else []), \
             mock.patch("builtins.print") as said:
            self.assertEqual(bases.newest_package({}, 0, os.devnull, ("7.3", "7.2")),
                             ("7.2", "7.2.1", "sid"))
        self.assertIn("no Debian suite ships linux-source-7.3 any more", str(said.call_args))

    def test_an_older_base_is_not_taken_for_the_newest(self):
        def base(version):
            made = bases.Base(f"v{version}.1", f"{version}.1", "Debian", version)
            os.makedirs(made.src, exist_ok=True)
            return made
        asked = []

        def newest(apt, status, log, versions):
            asked.append(versions)
            return versions[0] if "7.3" not in versions else "7.2", "1", "sid"
        all_of_them = ("7.3", "7.2", "6.12")
        with tempfile.TemporaryDirectory() as out, mock.patch.multiple(
                bases, OUT=out, NEEDED_GIB=0, newest_package=newest,
                apt_environment=mock.DEFAULT, run=lambda *args, **how: (0, os.devnull),
                unpacked=lambda apt, series, version, suite: base(series)), \
                mock.patch("builtins.print"):
            self.assertEqual(bases.from_debian(("6.12",)).version, "6.12.1")
            for _ in range(2):          # there is no 7.3; found once, and remembered
                self.assertEqual(bases.from_debian(all_of_them).version, "7.2.1")
            self.assertEqual(asked, [("6.12",), all_of_them])
            with mock.patch.dict(os.environ, {"BASE": "7.3"}):
                self.assertEqual(bases.from_debian(("6.12",)).series, "6.12")
            bases.remember(base("7.3"), ("7.3",))
            self.assertEqual(bases.from_debian(all_of_them).version, "7.3.1")

    def test_an_older_base_is_not_remembered_without_all_suites(self):
        with tempfile.TemporaryDirectory() as out, mock.patch.multiple(
                bases, OUT=out, NEEDED_GIB=0, apt_environment=mock.DEFAULT,
                newest_package=lambda *args: ("7.2", "1", "sid"),
                run=lambda *args, **how: (100, os.devnull), unpacked=lambda *args: bases.Base(
                    "v7.2.1", "7.2.1", "Debian", "7.2")), mock.patch("builtins.print"):
            bases.from_debian(("7.3", "7.2"))
            self.assertEqual(os.listdir(out), ["base-7.2.json"])

    def test_plain_tree_that_was_edited(self):
        with tempfile.TemporaryDirectory() as tree:
            os.makedirs(tree + "/mm")
            os.makedirs(tree + "/include/config")
            prints = []
            for path, text in (("mm/vmscan.c", "int a;\n"), ("mm/vmscan.c", "int ab;\n"),
                               ("mm/vmscan.o", "built"), ("include/config/auto.conf", "built")):
                with open(f"{tree}/{path}", "w") as source:
                    source.write(text)
                prints.append(bases.fingerprint(tree))
            self.assertEqual(len(set(prints)), 2)
            self.assertEqual(len(set(prints[1:])), 1)

    def test_mails_of_another_point_release(self):
        one = "index 6a53762d5544..b8fa37604603 100644\n@@ -17,2 +17,3 @@ int f(void)\n a\n+b\n"
        other = "index 1a53762d5544..c8fa37604603 100644\n@@ -19,2 +19,3 @@ int g(void)\n a\n+b\n"
        self.assertEqual(series.without_lines(one), series.without_lines(other))
        self.assertNotEqual(series.without_lines(one), series.without_lines(other + "+c\n"))

    def test_message_for_an_older_kernel(self):
        text = series.carried("6.12", "mm: x\n\nTested-on: y, and\n\nAssisted-by: LLM\n")
        self.assertRegex(text, r"and\n\n\[ For 6\.12\.y\. [^]]* \]\nAssisted-by: LLM\n$")

    def test_mutants_of_older_kernels(self):
        for version in bases.VERSIONS[1:]:
            folder = os.path.join(series.MUTANTS, f"v{version}")
            for file in os.listdir(folder) if os.path.isdir(folder) else ():
                self.assertIn(file.removesuffix(".diff"), series.mutants())

    def test_files_that_moved(self):
        self.assertEqual(series.moved("7.2", "mm/folio: a/mm/folio.c mm/folio_bench.c folio:"),
                         "mm/swap: a/mm/swap.c mm/folio_bench.c folio:")

    def test_kdir_without_a_kernel(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaisesRegex(Fail, "no kernel tree there"):
                bases.from_kdir(folder)

    @mock.patch.dict(os.environ)
    def test_kdir_of_another_version(self):
        os.environ.pop("BASE", None)
        for version, series_of_it in (("7.3.9", "7.3"), ("7.9", "7.3"), ("7.1", "7.2"),
                                      ("6.12.1", "6.12"), ("6.15", "6.12"), ("5.10.1", "6.12")):
            self.assertEqual(bases.nearest(version), series_of_it, version)
        with mock.patch.dict(os.environ, {"BASE": "7.2"}):
            self.assertEqual(bases.nearest("7.3.9"), "7.2")

    def test_too_little_disk(self):
        with tempfile.TemporaryDirectory() as out, mock.patch.multiple(
                bases, OUT=out, NEEDED_GIB=1 << 30, FURTHER_GIB=0):
            with self.assertRaisesRegex(Fail, "GiB free"):
                bases.check_disk()
            os.makedirs(out + "/v7.3.4/linux")      # this one is there, and one more will do
            bases.check_disk()
            bases.FURTHER_GIB = 1 << 30
            with self.assertRaisesRegex(Fail, "GiB free"):
                bases.check_disk()

    def test_mutant_without_a_claim(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(folder + "/m.diff", "w") as diff:
                diff.write("Removes: x\n\ndiff --git a/x b/x\n")
            with self.assertRaisesRegex(Fail, "has no line 'On"):
                series.Mutant("m", folder)

    def test_mutant_for_nothing_that_there_is(self):
        for on, where, said in (("mm-tcp", "uml", "On: mm-tcp"), ("lab", "UML", "Where: UML")):
            with tempfile.TemporaryDirectory() as folder:
                with open(folder + "/m.diff", "w") as diff:
                    diff.write(f"Removes: x\nOn: {on}\nWhere: {where}\nFails: y\n\ndiff --git a b\n")
                with self.assertRaisesRegex(Fail, f"there is no '{said}', there are: "):
                    series.Mutant("m", folder)

    def test_mistake_in_what_is_expected(self):
        for text, said in (('[x]\n"a" = ["pass",\n', "expected.toml: Invalid value"),
                           ('[x]\n"a" = ["pass"]\n', "a has 1 verdicts in .x., which has the "
                                                     "columns stock, mm")):
            with tempfile.NamedTemporaryFile("w") as expected, \
                    mock.patch.object(judge, "EXPECTED", expected.name):
                expected.write(text)
                expected.flush()
                with self.assertRaisesRegex(Fail, said):
                    judge.load("x", ["stock", "mm"])

    def test_kernel_that_is_not_shipped_any_more(self):
        with mock.patch.object(bases, "from_debian", side_effect=bases.NotShipped("gone")), \
                mock.patch("builtins.print"):
            tally = judge.Tally()
            self.assertIsNone(lab.further(tally, "7.2"))
        self.assertEqual((tally.skipped, tally.failed), (1, []))
        with mock.patch.object(bases, "from_debian", side_effect=Fail("no network")):
            with self.assertRaisesRegex(Fail, "no network"):
                lab.further(tally, "7.2")

    def test_results_of_a_selftest(self):
        names = [name for test in ("folio_orphan", "folio_truncate_race")
                 for name in build.fixtures(test)]
        self.assertEqual({check.split(".")[0] for check in judge.section("selftests")},
                         set(names))

    def test_every_mail_tags_itself(self):
        for name in series.ALL:
            for patch in series.patches(name):
                self.assertRegex(patch.message, r"(?m)^Assisted-by: LLM( \w+)*$", patch.slug)
                self.assertNotIn("Signed-off-by", patch.message)

    def test_failing_command(self):
        with self.assertRaisesRegex(Fail, "exited 1"):
            run(["false"], "driver-test.log")


class DataRaces(unittest.TestCase):
    """Of KCSAN's reports, those about functions that the series touches are failures."""

    REPORT = """[    1.0] {line}
[    1.0] BUG: KCSAN: data-race in {first} / {second}
[    1.0]
[    1.0] write to 0xffff888001 of 8 bytes by task 1 on cpu 0:
[    1.0]  folio_isolate_lru+0x1/0x2
[    1.0] Reported by Kernel Concurrency Sanitizer on:
[    1.0] {line}
"""

    def console(self, first, second):
        report = self.REPORT.format(line="=" * 66, first=first, second=second)
        return f"before\n{report}after\n"

    def test_ours(self):
        text, others = debugged.data_races(self.console("tick", "folio_isolate_lru"),
                                           {"folio_isolate_lru"})
        self.assertIn("BUG: KCSAN", text)
        self.assertEqual(others, [])

    def test_others(self):
        text, others = debugged.data_races(self.console("tick", "tock"), {"folio_isolate_lru"})
        self.assertEqual((text, others), ("before\nafter\n", ["tick / tock"]))

    def test_two(self):
        text, others = debugged.data_races(self.console("tick", "tock") + self.console("a", "b"),
                                           {"b"})
        self.assertIn("in a / b", text)
        self.assertEqual(others, ["tick / tock"])

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
