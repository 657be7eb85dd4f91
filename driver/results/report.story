# SPDX-License-Identifier: GPL-2.0-only
# Linux 7.3.4; ./run results report renews it
folio_race: begin F|the report: filemap_map_pages() is preempted before folio_try_get()
folio_race: actor B|bad|truncates the whole file
folio_race: actor F|filemap|faults next to the folio: fault-around
folio_race: actor T|truncate|punches the folio out of the file
folio_race: actor M|madvise|MADV_PAGEOUT of the mapping
folio_race: actor U|lock|has the folio locked for a moment
folio_race: event 0|U|stop|TEST_1|refs=1 mapcount=0 lru=1 locked=1 cached=1 listed=1|a
folio_race: event 1|B|pass|FIND_GET_ENTRY_LOADED|refs=1 mapcount=0 lru=1 locked=1 cached=1 listed=1|-
folio_race: event 2|B|pass|FIND_GET_ENTRY_BEFORE_RELOAD|refs=2 mapcount=0 lru=1 locked=1 cached=1 listed=1|-
folio_race: event 3|B|pass|FIND_GET_ENTRY_FOUND|refs=2 mapcount=0 lru=1 locked=1 cached=1 listed=1|-
folio_race: event 4|B|pass|FIND_LOCK_ENTRIES_BEFORE_TRYLOCK|refs=2 mapcount=0 lru=1 locked=1 cached=1 listed=1|-
folio_race: event 5|B|stop|FIND_LOCK_ENTRIES_PUT|refs=2 mapcount=0 lru=1 locked=1 cached=1 listed=1|b
folio_race: event 6|U|end|END|refs=2 mapcount=0 lru=1 locked=0 cached=1 listed=1|c
folio_race: event 7|B|stop|FIND_GET_ENTRY_LOADED|refs=1 mapcount=0 lru=1 locked=0 cached=1 listed=1|0
folio_race: event 8|F|stop|NEXT_UPTODATE_FOLIO_LOADED|refs=1 mapcount=0 lru=1 locked=0 cached=1 listed=1|1
folio_race: event 9|T|pass|FIND_GET_ENTRY_LOADED|refs=1 mapcount=0 lru=1 locked=0 cached=1 listed=1|-
folio_race: event 10|T|pass|FIND_GET_ENTRY_BEFORE_RELOAD|refs=2 mapcount=0 lru=1 locked=0 cached=1 listed=1|-
folio_race: event 11|T|pass|FIND_GET_ENTRY_FOUND|refs=2 mapcount=0 lru=1 locked=0 cached=1 listed=1|-
folio_race: event 12|T|pass|FIND_LOCK_ENTRIES_BEFORE_TRYLOCK|refs=2 mapcount=0 lru=1 locked=0 cached=1 listed=1|-
folio_race: event 13|T|pass|FIND_LOCK_ENTRIES_BEFORE_MAPPING|refs=2 mapcount=0 lru=1 locked=1 cached=1 listed=1|-
folio_race: event 14|T|stop|FIND_LOCK_ENTRIES_LOCKED|refs=2 mapcount=0 lru=1 locked=1 cached=1 listed=1|2
folio_race: event 15|T|pass|TRUNCATE_BATCH_BEFORE_CLEANUP|refs=2 mapcount=0 lru=1 locked=1 cached=1 listed=1|-
folio_race: event 16|T|pass|TRUNCATE_CLEANUP_BEFORE_MAPPED|refs=2 mapcount=0 lru=1 locked=1 cached=1 listed=1|-
folio_race: event 17|T|pass|TRUNCATE_CLEANUP_UNMAPPED|refs=2 mapcount=0 lru=1 locked=1 cached=1 listed=1|-
folio_race: event 18|T|stop|TRUNCATE_BATCH_BEFORE_DELETE|refs=2 mapcount=0 lru=1 locked=1 cached=1 listed=1|3
folio_race: event 19|T|pass|DELETE_BATCH_BEFORE_LOCK|refs=2 mapcount=0 lru=1 locked=1 cached=1 listed=1|-
folio_race: event 20|T|pass|FILEMAP_FREE_FOLIO_BEFORE_PUT|refs=2 mapcount=0 lru=1 locked=1 cached=0 listed=1|-
folio_race: event 21|T|stop|TRUNCATE_BATCH_BEFORE_UNLOCK|refs=1 mapcount=0 lru=1 locked=1 cached=0 listed=1|4
folio_race: event 22|T|stop|TRUNCATE_BATCH_UNLOCKED|refs=1 mapcount=0 lru=1 locked=0 cached=0 listed=1|4.1
folio_race: event 23|F|pass|NEXT_UPTODATE_FOLIO_BEFORE_LOCKED|refs=2 mapcount=0 lru=1 locked=0 cached=0 listed=1|-
folio_race: event 24|F|pass|NEXT_UPTODATE_FOLIO_BEFORE_RELOAD|refs=2 mapcount=0 lru=1 locked=0 cached=0 listed=1|-
folio_race: event 25|F|pass|NEXT_UPTODATE_FOLIO_SKIP|refs=2 mapcount=0 lru=1 locked=0 cached=0 listed=1|-
folio_race: event 26|F|end|END|refs=1 mapcount=0 lru=1 locked=0 cached=0 listed=1|5
folio_race: event 27|M|end|END|refs=1 mapcount=0 lru=1 locked=0 cached=0 listed=1|6
folio_race: event 28|T|pass|FOLIOS_PUT_BEFORE|refs=1 mapcount=0 lru=1 locked=0 cached=0 listed=1|-
folio_race: event 29|T|stop|RELEASE_BEFORE_LRU|refs=0 mapcount=0 lru=1 locked=0 cached=0 listed=1|7
folio_race: event 30|T|stop|FOLIOS_PUT_FREE|refs=0 mapcount=0 lru=0 locked=0 cached=0 listed=0|7.1
folio_race: event 31|B|pass|FIND_GET_ENTRY_NO_REF|refs=0 mapcount=0 lru=0 locked=0 cached=0 listed=0|-
folio_race: event 32|B|end|END|refs=0 mapcount=0 lru=0 locked=0 cached=0 listed=0|8
folio_race: event 33|T|end|END|refs=0 mapcount=0 lru=0 locked=0 cached=0 listed=0|-
folio_race: step a|U|TEST_1|-|refs=1 mapcount=0 lru=1 locked=1 cached=1|ok|somebody has the folio locked for a moment
folio_race: step b|B|FIND_LOCK_ENTRIES_PUT|-|refs=2 mapcount=0 lru=1 locked=1 cached=1|ok|bad: so its first pass leaves the folio to the second
folio_race: step c|U|END|-|refs=2 mapcount=0 lru=1 locked=0 cached=1|ok|unlocked
folio_race: step 0|B|FIND_GET_ENTRY_LOADED|refs=1 lru=1 locked=0|refs=1 mapcount=0 lru=1 locked=0 cached=1|ok|bad: entry loaded, preempted before folio_try_get()
folio_race: step 1|F|NEXT_UPTODATE_FOLIO_LOADED|refs=1 lru=1 locked=0|refs=1 mapcount=0 lru=1 locked=0 cached=1|ok|filemap: entry loaded, preempted before folio_try_get()
folio_race: step 2|T|FIND_LOCK_ENTRIES_LOCKED|refs=2 lru=1 locked=1|refs=2 mapcount=0 lru=1 locked=1 cached=1|ok|truncate: find_lock_entries()
folio_race: step 3|T|TRUNCATE_BATCH_BEFORE_DELETE|refs=2 lru=1 locked=1|refs=2 mapcount=0 lru=1 locked=1 cached=1|ok|truncate: truncate_cleanup_folio()
folio_race: step 4|T|TRUNCATE_BATCH_BEFORE_UNLOCK|refs=1 lru=1 locked=1|refs=1 mapcount=0 lru=1 locked=1 cached=0|ok|truncate: delete_from_page_cache_batch()
folio_race: step 4.1|T|TRUNCATE_BATCH_UNLOCKED|refs=1 lru=1 locked=0|refs=1 mapcount=0 lru=1 locked=0 cached=0|ok|truncate: folio_unlock()
folio_race: step 5|F|FILEMAP_MAP_SET_PTE|refs=2 lru=1 locked=1|refs=1 mapcount=0 lru=1 locked=0 cached=0|ok|filemap: resumes, sets up a PTE
folio_race: step 6|M|ISOLATE_CLEARED|refs=2 lru=0 locked=0|refs=1 mapcount=0 lru=1 locked=0 cached=0|ok|madvise: folio_isolate_lru() clears PG_lru
folio_race: step 7|T|RELEASE_BEFORE_LRU|-|refs=0 mapcount=0 lru=1 locked=0 cached=0|ok|truncate: folio_batch_release()
folio_race: step 7.1|T|FOLIOS_PUT_FREE|refs=1 lru=0 locked=0|refs=0 mapcount=0 lru=0 locked=0 cached=0|ok|truncate: folio_batch_release() does not free
folio_race: step 8|B|TRUNCATE_LOCKED|refs=2 lru=0 locked=1|refs=0 mapcount=0 lru=0 locked=0 cached=0|ok|bad: resumes, collects the folio in its batch
folio_race: step 9|B|TRUNCATE_BEFORE_UNLOCK|refs=1 lru=0 locked=1|-|ok|bad: filemap_remove_folio() drops a reference that is not the page cache's
folio_race: step 10|B|RELEASE_BEFORE_LRU|refs=0 lru=0 locked=0|-|ok|bad: release_pages() frees the folio, still on the LRU list
folio_race: verdict refuted|xas_reload() in next_uptodate_folio()
folio_race: end F|3
