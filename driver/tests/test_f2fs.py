# SPDX-License-Identifier: GPL-2.0-only
"""The runs on a real f2fs: what a kernel says is told apart, and a run that tests nothing fails."""

import os
import re

from driver.kernel import build
from driver.suites import f2fs
from driver.tests.helpers import Case, failures_of
from driver.tests.test_guests import race

BOOT = "[    1.2] Run /init as init process\n"
TRACE = "".join(f"[    7.6]  {call}\n" for call in (
    "__page_cache_release.part.0+0x192/0x310", "? folio_unmap_invalidate+0x13b/0x1e0",
    "__folio_put+0x8e/0xb0", "drop_folio+0x72/0x130", "move_data_block+0x216/0xbf0"))
SPLAT = ("[    7.6] list_del corruption. next->prev should be a, but was b\n"
         "[    7.6] WARNING: lib/list_debug.c:65 at __list_del_entry_valid_or_report\n" + TRACE)
ADD = ("[    2.5] list_add corruption. next->prev should be prev (a), but was b. (next=c).\n"
       "[    2.5] WARNING: lib/list_debug.c:29 at __list_add_valid_or_report+0x6e/0xd0\n"
       "[    2.5]  lru_add+0x1b7/0x2d0\n[    2.5]  ? lru_gen_del_folio+0x280/0x280\n"
       "[    2.5]  folio_batch_move_lru+0xa2/0x240\n[    2.5]  move_data_block+0x558/0xbf0\n")
REPORT = ("[    7.6] page dumped because: released while in use\n"
          "[    7.6] WARNING: mm/folio.c:195 at __folio_put+0xcd/0xf0\n" + TRACE)
TWICE = ("[    7.6] page dumped because: VM_BUG_ON_FOLIO(folio_test_lru(folio))\n"
         "[    7.6] kernel BUG at mm/folio.c:123!\n"
         "[    7.6]  folio_batch_move_lru+0x1fe/0x240\n")
OTHER = "[    5.0] BUG: KASAN: use-after-free in f2fs_gc\n"
RACE = race("lru_add", "drop_folio").replace("Reported by", " lru_add_drain_cpu+0x1\nReported by")
COUNTS = {"moved": 900, "open": 12, "lost": 0}


class F2fs(Case):
    def setUp(self):
        super().setUp()
        # Without the scan of rcutorture, which is in the kernel tree
        self.patch(f2fs.console, badness=lambda base, text: [
            line for line in text.splitlines()
            if f2fs.console.BADNESS.search(line) or re.search("BUG|WARNING:", line)])

    def test_said(self):
        for text, want in ((BOOT, "nothing"), (BOOT + SPLAT, "list_del"),
                           (BOOT + ADD, "list_add"), (BOOT + ADD + SPLAT, "list_add"),
                           (BOOT + ADD.replace("lru_add", "lru_del"), ADD.splitlines()[0]),
                           (BOOT + REPORT, "in use"), (BOOT + TWICE, "PG_lru twice"),
                           (BOOT + race("tick", "tock"), "nothing"),
                           (BOOT + race("tick", "tock") + RACE, "race with drain"),
                           (BOOT + RACE.replace("_drain", "").replace(
                               "lru_add_cpu", "folio_putback_lru"), "race with putback"),
                           (BOOT + OTHER + SPLAT, OTHER.strip()),       # it was not the first
                           (BOOT + SPLAT.replace("move_data_block", "evict"),
                            SPLAT.splitlines()[0]),                     # without a trace
                           (BOOT + SPLAT.replace("[    7.6]  __page", "Call Trace:\n __page")
                            .replace("move_data_block", "evict"), "list_del elsewhere")):
            self.assertEqual(f2fs.said(None, text)[0], want)
        self.assertEqual([f2fs.said(None, text)[1] for text in (BOOT, BOOT + SPLAT, BOOT + OTHER)],
                         [0, 7, 5])

    def judged(self, says, got, counts, **one):
        return failures_of(f2fs.judge, "run", {"says": says, **one}, got, counts, "log")

    def test_judged(self):
        self.assertEqual(self.judged(["list_del"], "list_del", {}), [])
        self.assertEqual(self.judged(["nothing"], "nothing", COUNTS, open=12), [])
        for failed, pattern in (
                (self.judged(["list_del"], "nothing", COUNTS), "says 'nothing', expected 'list_"),
                (self.judged(["nothing"], "list_del", {}), "says 'list_del', expected 'nothing'"),
                (self.judged(["nothing"], "nothing", COUNTS, open=13), "12 folios, at least 13"),
                (self.judged(["nothing"], "nothing", {}), "no block was moved")):
            self.assertEqual(len(failed), 1)
            self.assertRegex(failed[0], pattern)

    def test_runs(self):
        """Each way to set the flag is run, each kernel, and each thing that can be said."""
        runs = f2fs.runs().values()
        self.assertEqual({one["lines"] for one in runs}, set(f2fs.LINES))
        self.assertEqual({one["kernel"] for one in runs}, set(f2fs.KERNELS))
        for one in f2fs.KERNELS.values():
            for name in one.diffs:
                self.assertTrue(os.path.exists(os.path.join(f2fs.FOLDER, name)), name)
            for name in one.more:
                self.assertTrue(os.path.exists(build.fragment(name)), name)
        self.assertEqual(f2fs.named("widened"), ["widened"])
        self.assertIn("kcsan-drain", f2fs.named("kcsan"))
        self.assertNotIn("kcsan-drain", f2fs.usual())
        self.assertFail("there is no run 'x', there are: kcsan,.* stock", f2fs.named, "x")
        self.assertEqual({word for one in runs for word in one["says"]},
                         {f2fs.NOTHING, *f2fs.PATTERNS})
        self.patch(f2fs.expected, load_file=lambda name: ("f2fs.toml", {"runs": {"x": {
            "kernel": "stock", "lines": "literally", "says": ["nothing"]}}}))
        self.assertFail("f2fs.toml: x: there is no lines 'literally', there are: stock, lit",
                        f2fs.runs)

    def test_blocks(self):
        path = os.path.join(self.folder({"image": "\0" * 8192 + "x" + "\0" * 4095 + "\0" * 100}),
                            "image")
        self.assertEqual(list(f2fs.blocks(path)),
                         [(8192).to_bytes(8, "little") + b"x" + b"\0" * 4095])
