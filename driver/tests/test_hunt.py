# SPDX-License-Identifier: GPL-2.0-only
"""The hunt."""

import json
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

from driver.commands import hunt as command
from driver.core.paths import read
from driver.suites import explorer, hunt
from driver.suites.explorer import NO_BOUND, Found
from driver.tests.helpers import Case, counted, parsed

LINE = "TU:T@TEST_1,U@WAIT,T@END"
GOOD = Found("", done=True, counts={"schedules": 1000, "interleavings": 7, "states": 5},
             passed={("TEST_1", "TEST_2")})
BAD = replace(GOOD, check="lost", text="x", line=LINE, schedule=3)
KNOWN = {"fixes": ["lab-folio-wait-takes-lock"],
         "violations": {"lost in *U* after TEST_1": "it is known"}}


class Plan(Case):
    def test_plan(self):
        """Each set that there is time for is one that the explorer can be told."""
        jobs = hunt.plan()
        self.assertEqual(len(jobs), len(set(jobs)))
        self.assertEqual(jobs[0], (1, NO_BOUND, "F"))
        for name in hunt.sets_of(2):
            self.assertEqual(explorer.spec(name), name)
        self.assertIn("TUYQ", hunt.sets_of(3))
        self.assertEqual([name for name in hunt.sets_of(1) if "cold" in name], ["M/cold/mapped"])
        self.assertFail("--minutes 0", parsed, "hunt", "--minutes", "0")

    def test_shards(self):
        """They are the whole, and no two of them have a set in common."""
        parts = [job for number in range(3) for job in hunt.plan(f"{number}/3")]
        self.assertEqual(sorted(parts), sorted(hunt.plan()))
        for said, *words in (("say which part", "--shard", "{}/8"), ("say I/N", "--shard", "8/8"),
                             ("--sum", "x.json"),
                             ("one guard", "--mutant",
                              "lab-map-ignores-lock+lab-map-skips-locked")):
            self.assertFail(said, lambda words=words: command.at_once(parsed("hunt", *words)))

    def test_fewer(self):
        self.assertEqual(hunt.fewer("TUYQ/shmem", 2), ["TU/shmem", "TYQ/shmem", "UYQ/shmem"])
        self.assertEqual([hunt.actors_in(name) for name in ("F", "YQ", "TYQ/large")], [1, 1, 2])

    def test_shortened(self):
        """Only where no other actor has its turn in between."""
        for line, short in (("FT:T@A,F@B,F@B,F@B,F@END", "FT:T@A,F@B,F@END"),
                            ("FT:F@B,F@B,T@END", "FT:F@B,F@B,T@END"),
                            ("FT:T@B,F@B,F@END", "FT:T@B,F@B,F@END")):
            self.assertEqual(hunt.shortened(line), short)


class Hunts(Case):
    """hunt.hunt(), the explorer being self.finds: {set: Found, or a function of the bound}."""

    def setUp(self):
        super().setUp()
        self.ran, self.boots, self.finds = [], [], {}
        self.patch(hunt, FOLDER=self.folder(), in_parallel=lambda function, items:
                   [function(item) for item in items][0],
                   sets_of=lambda number: {1: ["T"], 2: ["FT", "TU"], 3: ["FTU"]}[number])
        self.patch(hunt.explorer, explored_in_turn=self.explored, image_of=self.image_of,
                   mutated_image=self.image_of, followed_on=lambda *words: None)
        self.patch(hunt.story_text, step_table=lambda columns: f"drawn: {[*columns]}")
        self.patch(hunt.expected, load_file=lambda name: ("x", KNOWN))

    def image_of(self, context, column, name=""):
        return f"/images/{'um-1' if column in ('stock', 'patched') else 'um-2'}/linux"

    def explored(self, image, log, names, limit, bound, **how):
        self.boots.append(names)
        self.random = how.get("random")
        results = []
        for name in names:
            self.ran.append((name, bound))
            found = self.finds.get(name, GOOD)
            results.append(replace(found(image, bound) if callable(found) else found, spec=name))
            if results[-1].caught or not results[-1].ended:
                break
        return results

    def hunt(self, *words):
        context = counted()
        hunt.hunt(context, "stock", 1, *words)
        return self.printed(), context.tally.failed

    def test_goes_on(self):
        """It goes on where it was, and says what there is, and each violation once."""
        self.finds = {"TU": BAD, "FT": replace(GOOD, done=False, error="no", refused=True)}
        said, failed = self.hunt()
        self.assertEqual(said.count(f"./run replay {LINE}"), 1)
        self.assertRegex(said, r"\n *1 +none +1 +1 +0 +0 +0 +0 +1,000 +7 +5 +0.0\n")
        self.assertRegex(said, r"\n *2 +none +2 +0 +1 +0 +0 +1 +2,000 ")
        # What two were refused for is refused with a third one
        self.assertRegex(said, r"\n *3 +0 +1 +0 +1 ")
        self.assertIn("refused: 2 sets, FT for one: no\nviolated: lost: 1 set, TU for one\n", said)
        self.assertIn("lost after TEST_1 (TU): it is known", said)
        self.assertNotIn(("FTU", 0), self.ran)
        self.assertEqual(failed, [])
        ran = len(self.ran)
        self.hunt()
        self.assertEqual(len(self.ran), ran)
        # Of another kernel nothing is known
        self.patch(hunt.explorer, image_of=lambda *words: "/images/um-3/linux")
        self.hunt()
        self.assertGreater(len(self.ran), ran)

    def test_failures(self):
        """A violation that nobody has judged, and what the explorer could not do."""
        for found, said in ((replace(BAD, check="pte"), "violated: pte .* say in .*hunt.toml"),
                            (replace(BAD, line="TU:U@TEST_2,U@END"), "violated: lost .* say in"),
                            (replace(GOOD, error="too many states"), "FTU 0: too many states"),
                            (Found("", done=False), "FTU 0: it has printed no result")):
            self.patch(hunt, FOLDER=self.folder())
            self.finds = {"FTU": found}
            self.assertRegex("\n".join(self.hunt()[1]), said)
        # What could not be done is tried again
        self.finds, self.ran = {}, []
        self.assertEqual((self.hunt()[1], self.ran), ([], [("FTU", bound) for bound in (
            0, 1, 2, NO_BOUND)]))

    def test_interrupted(self):
        """What was being explored is not kept."""
        self.patch(hunt.process, over=SimpleNamespace(is_set=lambda: True))
        self.assertIn("no set was explored", self.hunt()[1][0])

    def test_time(self):
        """A set that there was no time for is not left; one that has had its time is."""
        slow = Found("", counts={"schedules": 7})
        clock = iter(range(0, 10 ** 6, 600))
        self.patch(hunt, time=SimpleNamespace(monotonic=lambda: next(clock)))
        this = hunt.Hunt(counted(), "stock")
        self.finds = {"FT": slow}
        self.assertEqual(this.explore(NO_BOUND, ["FT"], 100), [])
        self.assertEqual(hunt.kind(this.result(NO_BOUND, "FT")), "left")
        # After another one it gets a boot of its own
        self.assertEqual([name for name, _, _ in this.explore(NO_BOUND, ["TU", "FT"])], ["TU"])
        self.assertEqual(hunt.kind(hunt.summed_up(replace(GOOD, done=False, left=True), 1)), "left")

    def test_boots(self):
        """As many sets a boot as are of one round; after one that dies the rest in another."""
        self.finds = {"FT": replace(GOOD, done=False, died="BUG!")}
        self.hunt()
        self.assertEqual(self.boots[:4], [["T"], ["FT", "TU"], ["TU"], ["FTU"]])
        self.patch(hunt, FOLDER=self.folder(), A_BOOT=1, process=SimpleNamespace(
            JOBS="1", over=SimpleNamespace(is_set=lambda: False)))
        self.finds, self.boots = {}, []
        self.hunt()
        self.assertEqual(self.boots[:3], [["T"], ["FT"], ["TU"]])

    def test_rounds(self):
        """One is done in all places before the next begins; random schedules come in the first."""
        this = hunt.Hunt(counted(), "stock")
        uml, qemu = deque([(2, NO_BOUND, "FT"), (3, 0, "FTU")]), deque([(2, NO_BOUND, "TU/large")])
        taken = [this.take([uml, qemu]) for _ in range(4)]
        self.assertEqual(taken, [(NO_BOUND, ["FT"]), (NO_BOUND, ["TU/large"]), (0, ["FTU"]),
                                 (None, [])])
        self.assertEqual(hunt.turned([uml, qemu], 3), [qemu, uml])
        for bound, random in ((NO_BOUND, None), (0, None), (1, 0), (2, 0)):
            this.explore(bound, ["FTU"])
            self.assertEqual(self.random, random)
        this.keep(0, [("FTU", hunt.summed_up(GOOD, 1), ())])
        self.assertEqual([this.so_far(0, "FTU"), this.so_far(1, "FTU"), this.so_far(NO_BOUND, "T")],
                         ["3 actors, 0 preemptions: 1 of 1 sets",
                          "3 actors, 1 preemption: 0 of 1 sets", "1 actor: 0 of 1 sets"])

    def test_known(self):
        """What is violated is so with more preemptions, too; with fewer that is not known."""
        sets = {"FTU 1": hunt.summed_up(BAD, 3)}
        self.assertIsNone(hunt.known(sets, 0, "FTU"))
        for bound in (2, NO_BOUND):
            one = hunt.known(sets, bound, "FTU")
            self.assertEqual((hunt.kind(one), one["schedules"], one["seconds"]), ("violated", 0, 0))

    def test_two_at_once(self):
        """Both write the same file."""
        self.patch(hunt, SAVED=0)
        this, result = hunt.Hunt(counted(), "stock"), hunt.summed_up(GOOD, 1)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: this.keep(number, [("FT", result, ())]), range(100)))
        this.save()
        self.assertEqual(len(hunt.load(this.path)["sets"]), 100)

    def test_shrinks(self):
        """Fewest actors, then fewest preemptions."""
        self.finds = {"FTU": lambda image, bound: BAD, "TU": lambda image, bound: replace(
            BAD, line=f"TU:{bound}") if bound >= 2 else replace(GOOD, done=False)}
        self.patch(hunt, ROUNDS=((1, NO_BOUND), (2, NO_BOUND), (3, 0)))
        said, _ = self.hunt()
        self.assertIn("./run replay TU:2", said)
        self.assertIn("\nTU:2\ndrawn: ['stock']", said)
        self.assertNotIn(("T", 0), self.ran)        # it holds whatever the bound

    def test_mutant(self):
        """What the kernel with the guard has as well is no sign of its removal."""
        guard = SimpleNamespace(name="lab-x", removes="a test")
        self.finds = {"FT": BAD, "TU": lambda image, bound: BAD if "um-2" in image else GOOD}
        said, failed = self.hunt("0/1", guard)
        self.assertEqual(failed, [])
        self.assertNotIn(("FTU", 0), self.ran)
        self.assertIn("--mutant lab-x", said)
        self.assertEqual([name for name, one in json.loads(read(os.path.join(
            hunt.FOLDER, "lab-x.json")))["sets"].items() if one.get("new")], ["TU -1"])
        ran = len(self.ran)
        self.assertEqual(self.hunt("0/1", guard)[1], [])
        self.assertEqual(len(self.ran), ran)
        self.patch(hunt, FOLDER=self.folder())
        self.finds = {"FT": BAD}
        self.assertIn("no set was violated without a test", self.hunt("0/1", guard)[1][0])

    def test_fixed(self):
        """What was violated, once more: then nothing is known any more."""
        self.patch(hunt.explorer, fixed_image=lambda context, fixes, name: "/images/um-" + "+".join(
            fix.name for fix in fixes) + "/linux")
        self.finds = {"TU": lambda image, bound: GOOD if "takes-lock" in image else BAD}
        context = counted()
        hunt.hunt(context, hunt.FIXED, 1)
        self.assertIn("hunt there first", context.tally.failed[0])
        self.hunt()
        self.ran = []
        for failed in ([], ["TU"]):
            context = counted()
            hunt.hunt(context, hunt.FIXED, 1)
            self.assertEqual(self.ran[:1], [("TU", NO_BOUND)])
            self.assertEqual([each for each in failed if each not in str(context.tally.failed)], [])
            self.assertEqual(len(context.tally.failed), len(failed))
            self.finds, self.ran = {"TU": BAD}, []
            os.remove(os.path.join(hunt.FOLDER, "fixed.json"))

    def test_sum(self):
        """Shards add up, and what differs between the kernels is told."""
        self.finds = {"TU": lambda image, bound: BAD}
        for shard in ("0/2", "1/2"):
            self.hunt(shard)
        self.assertEqual(len(hunt.files()), 2)
        self.finds = {}
        hunt.hunt(counted(), "patched", 1)
        self.printed()
        hunt.print_sum([])
        said = self.printed()
        self.assertRegex(said, r"\n *2 +none +2 +1 +0 +0 +0 +1 +2,000 ")
        self.assertIn("lost on stock, no violation on patched: 1 set, TU for one\n", said)
        for path in hunt.files()[1:]:
            os.remove(path)
        hunt.print_sum([])
        self.assertNotIn("on patched", self.printed())
        self.assertFail("can't be read", hunt.print_sum, ["nothing.json"])
        self.assertFail("no results of a hunt", hunt.print_sum, ["driver/results/7.3.json"])
        self.patch(hunt, FOLDER="/nowhere")
        self.assertFail("there is no result", hunt.print_sum, [])


class Told(Case):
    def test_table(self):
        """Rounds that have begun; a number that is too large is not added up."""
        one = hunt.summed_up(GOOD, 7200)
        sets = {"F -1": one, "T -1": {**one, "interleavings": explorer.SATURATED}}
        [_, row, _] = hunt.table(sets).splitlines()
        self.assertRegex(row, r"^ *1 +none +\d+ +2 +0 +0 +\d+ +0 +2,000 +2\^64 or more +10 "
                         r"+120\.0$")


class Coverage(Case):
    def test_coverage(self):
        self.patch(hunt.explorer, meanings=lambda: {"A": "next: is it?", "B": "retry?",
                                                    "C": "next: folio_trylock()",
                                                    "D": "x", "USER_1": ""})
        said = hunt.coverage(["A>B", "A>C", "B>A", "C>A"])
        self.assertIn("points reached: 3 of 4; never: D\n", said)
        self.assertIn("more than one outcome was seen: 1 of 2; one alone:\n"
                      "    C (next: folio_trylock()), on to A\n", said)
