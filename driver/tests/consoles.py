# SPDX-License-Identifier: GPL-2.0-only
"""What kernels print of replays and of the explorer, and what becomes of it."""

from driver.suites import explorer

# A replay, one that was skipped, and one more
CONSOLE = """\
[    0.912345] KTAP version 1
[    1.000001] folio_race: begin F|filemap_map_pages() <preempted> & held (the report)
[    1.000002] folio_race: actor B|bad|truncates the whole file
[    1.000003][   T12] folio_race: actor F|filemap|faults next to the folio: fault-around
folio_race: event 0|B|stop|ENTRY_LOADED|refs=1 mapcount=0 lru=1 locked=0 cached=1 listed=1|0
[    1.000004] systemd[1]: something else
  folio_race: event 1|F|wait|PTL|refs=2 mapcount=0 lru=1 locked=1 cached=1 listed=1|4.1
folio_race: event 2|B|pass|UNLOCKED|refs=2 mapcount=0 lru=1 locked=0 cached=0 listed=1|-
folio_race: event 3|F|end|END|refs=0 mapcount=0 lru=1 locked=0 cached=0 listed=1|5
folio_race: step 0|B|ENTRY_LOADED|-|refs=1 mapcount=0 lru=1 locked=0 cached=1|ok|loads it
folio_race: step 4.1|F|wait|locked=1|refs=2 mapcount=0 lru=1 locked=1 cached=1|ok|locks | it
folio_race: step 5|F|END|refs=2 mapcount=1 lru=1|refs=0 mapcount=0 lru=1 locked=0 cached=0|differs|\
sets up a <PTE>
folio_race: step 6|B|END|refs=1|-|missing|frees it
folio_race: verdict refuted|the entry is gone: xas_reload()
folio_race: end F|100
ok 1 folio_race
"""
SKIP = "folio_race: skip K|kswapd isn't there\n"
NEXT = """\
folio_race: begin P|the second mail
folio_race: actor Z|zap|zaps the PTEs
folio_race: event 0|Z|wait|PTL|refs=1 mapcount=1 lru=1 locked=0 cached=1 listed=1|1
folio_race: verdict blocked|PTL: the order needs it twice
folio_race: end P|1
"""


STATE = "refs=1 mapcount=0 lru=1 locked=0 cached=1"


def told(ident, verdict, injected="", end=True):
    """What is printed of a replay with two steps that comes to some verdict."""
    return "".join(f"[    1.0] folio_race: {line}\n" for line in (
        f"begin {ident}|A title", *[f"injected {injected}"] * bool(injected),
        "actor T|truncate|punches", "actor I|isolate|isolates",
        f"event 0|I|stop|ISOLATE_CLEARED|{STATE} listed=1|0",
        f"event 1|T|end|END|{STATE} listed=1|1",
        f"step 0|I|ISOLATE_CLEARED|-|{STATE}|ok|", f"step 1|T|END|-|{STATE}|ok|",
        f"verdict {verdict}", *[f"end {ident}|3"] * end))


STALE = "a caller of folio_isolate_lru() without a reference"
REPRODUCED = "reproduced|isolate came to ISOLATE_CLEARED"
REFUTED = "refuted|xas_reload() in next_uptodate_folio()"
BLOCKED = "blocked|PTL: the caller holds it"


def without(console, *words):
    """A console less the lines that have one of the words."""
    return "".join(line for line in console.splitlines(keepends=True)
                   if not any(word in line for word in words))


PATCHED = without(CONSOLE, "step 6|").replace("refs=0 mapcount=0", "refs=2 mapcount=1")

# The explorer
DONE = ("folio_explore: done FTM|bound=-1 prune=1 coarse=0 shard=0/1|random=64 schedules=3968 "
        "interleavings=294747608083 states=4356 outcomes=525 pruned=32456 others=0 longest=56 "
        "events=166724 ms=298 rate=13530 states_digest=7b105d9f8e63821a "
        "schedules_digest=23782459ebf59c87\n")
PROGRESS = "folio_explore: progress FTM|schedules=1000 rate=200 states=600 estimate=25000\n"
FAILED = """\
[    1.500000] folio_explore: failed FTM|29|pte|a PTE maps a folio | that is gone
[    1.500001] folio_explore: schedule FTM:F@NEXT_LOADED,
[    1.500002][   T12] folio_explore: schedule T@END,
[    1.500003] folio_explore: schedule F@END
"""
ERROR = "folio_explore: error FTM|too many states\n"
SCHEDULE = "FTM:F@NEXT_LOADED,T@END,F@END"
PANIC = ("    # Subtest: folio_explore\nKernel panic - not syncing: BUG!\n"
         "mm_sync: the schedule up to here, in 1 events:\n")
REFUSED = """\
    # explore_param: ASSERTION FAILED at lib/tests/folio_explore_kunit.c:1144
    FTR/shmem: R can't reuse a page of shmem
"""
NOT_THERE = """\
[    1.500000] folio_explore: refused FTR/shmem|no page of shmem
    # explore_param: EXPECTATION FAILED at lib/tests/folio_explore_kunit.c:1546
"""
LEFT = DONE.replace("done", "left")
SKIPPED = "[    1.500000]     ok 1 explore_param # SKIP no swap: needs SWAP\n"


def found(name, text):
    """What comes of a console that would be of FTM, for another set."""
    return explorer.outcome(name, text.replace("FTM", name))


HELD, CAUGHT, DIES = found("FTM", DONE), found("FTM", FAILED + DONE), found("FTM", PANIC)
