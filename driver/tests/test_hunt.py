# SPDX-License-Identifier: GPL-2.0-only
"""The hunt."""

import os
from dataclasses import replace

from driver.suites import explorer, hunt
from driver.suites.explorer import Found
from driver.tests.helpers import Case, counted, parsed

LINE = "TU:T@TEST_1,U@WAIT,T@END"


class Hunt(Case):
    def test_plan(self):
        """Each set that there is time for is one that the explorer can be told."""
        jobs = hunt.plan()
        self.assertEqual(len(jobs), len(set(jobs)))
        self.assertEqual(jobs[0][:2], (2, explorer.NO_BOUND))
        for name in hunt.sets_of(2):
            self.assertEqual(explorer.spec(name), name)
        self.assertIn("TUYQ", hunt.sets_of(3))
        self.assertFail("--minutes 0", parsed, "hunt", "--minutes", "0")

    def test_hunts(self):
        """It goes on where it was, says what there is, and each violation once."""
        folder = self.folder({})
        self.patch(hunt, OUT=folder, sets_of=lambda number: {2: ["FT", "TU"]}.get(number, ["FTU"]),
                   in_parallel=lambda function, items: [function(item) for item in items])
        self.patch(hunt.explorer, image_of=lambda *words: "/images/um-1/linux")
        ran, good = [], Found("", done=True, counts={"schedules": 1000, "states": 5})
        bad = replace(good, check="lost", text="x", line=LINE)

        def explored(image, log, name, limit, bound):
            ran.append((name, bound))
            return {"FT": good, "TU": bad}.get(name, replace(good, done=False, error="no"))
        self.patch(hunt.explorer, explored=explored)
        context = counted()
        hunt.hunt(context, "stock", 1)
        said = self.printed()
        self.assertEqual(len(ran), 6)
        self.assertEqual(said.count(f"./run replay {LINE}"), 1)
        self.assertRegex(said, r"\n *2 +none +2 +1 +0 +0 +0 +2,000 +10 +1\n")
        self.assertRegex(said, r"\n *3 +0 +1 +0 +1 ")
        self.assertIn("lost, after WAIT (TU)", said)
        self.assertTrue(os.path.exists(os.path.join(folder, "hunt/um-1.json")))
        hunt.hunt(context, "stock", 1)
        self.assertEqual(len(ran), 6)
        self.assertEqual(context.tally.failed, [])

    def test_error(self):
        """An error of the explorer is neither a refusal nor complete: it fails the hunt."""
        self.patch(hunt, OUT=self.folder({}), plan=lambda: [(2, explorer.NO_BOUND, "FT")],
                   in_parallel=lambda function, items: [function(item) for item in items])
        self.patch(hunt.explorer, image_of=lambda *words: "/images/um-1/linux",
                   explored=lambda *words, **named: Found("FT", done=True, error="too many states"))
        context = counted()
        hunt.hunt(context, "stock", 1)
        [failed] = context.tally.failed
        self.assertIn("FT -1: too many states", failed)
        self.printed()
