# SPDX-License-Identifier: GPL-2.0-only
"""The tables of README."""

import os

from driver.core.paths import read
from driver.kernel.source import RELEASES
from driver.suites import results
from driver.tests.helpers import Case, counted


class Results(Case):
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

    def test_kept_part_by_part(self):
        for release in RELEASES:
            self.assertLessEqual(results.load(release).keys(), results.PARTS.keys())
        self.patch(results, FOLDER=self.folder())
        base = counted(release="6.12", version="6.12.9").base
        self.assertEqual(results.load("6.12"), {})
        results.keep(base, "replays", {"stock": {"`A` x": "y"}})
        results.keep(base, "guards", {"": {"g": "needed"}})
        results.keep(base, "replays", {"stock": {"`A` x": "z"}})
        self.assertEqual(results.load("6.12"), {
            "replays": {"on": "6.12.9", "columns": {"stock": {"`A` x": "z"}}},
            "guards": {"on": "6.12.9", "columns": {"": {"g": "needed"}}}})
        self.assertEqual(results.load("7.3"), {})

    def test_written_in_their_place(self):
        folder = self.folder({"README.md": f"before\n{results.BEGIN}old\n{results.END}after\n"})
        self.patch(results, FOLDER=folder, README=os.path.join(folder, "README.md"))
        results.keep(counted().base, "guards", {"": {"g": "needed"}})
        results.write_tables()
        self.assertEqual(read(results.README), (
            f"before\n{results.BEGIN}\n{results.claims()}\n{results.sets()}\n"
            "| guard removed | 7.3.4 |\n| --- | --- |\n"
            f"| g | needed |\n\n{results.END}after\n"))
        self.patch(results, BEGIN="nowhere")
        self.assertFail("README.md has no lines", results.write_tables)
