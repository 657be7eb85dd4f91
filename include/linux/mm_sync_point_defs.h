/* SPDX-License-Identifier: GPL-2.0-only */

/*
 * The sync points, see mm_sync_point.h:
 *
 *	MM_SYNC_POINT(<NAME>, <what the thread does next, or has just done>)
 *
 * The name is the place and the position in it.  There is a point before a
 * guard.  The next one a thread comes to is that before the next guard or, if
 * the guard has refused the folio, one that tells so: the two together name the
 * guard, or the few of them between these two points.
 */

#ifdef MM_SYNC_POINT
/* next_uptodate_folio() */
MM_SYNC_POINT(NEXT_UPTODATE_FOLIO_LOADED, "entry loaded; next: folio_try_get()")
MM_SYNC_POINT(NEXT_UPTODATE_FOLIO_NO_REF, "folio_try_get() failed")
MM_SYNC_POINT(NEXT_UPTODATE_FOLIO_BEFORE_LOCKED, "pinned; next: is it locked?")
MM_SYNC_POINT(NEXT_UPTODATE_FOLIO_BEFORE_RELOAD, "next: xas_reload()")
MM_SYNC_POINT(NEXT_UPTODATE_FOLIO_BEFORE_UPTODATE, "next: PG_uptodate, PG_readahead")
MM_SYNC_POINT(NEXT_UPTODATE_FOLIO_BEFORE_TRYLOCK, "next: folio_trylock()")
MM_SYNC_POINT(NEXT_UPTODATE_FOLIO_BEFORE_MAPPING, "locked; next: is the mapping ours?")
MM_SYNC_POINT(NEXT_UPTODATE_FOLIO_BEFORE_UPTODATE_AGAIN, "next: PG_uptodate, now locked")
MM_SYNC_POINT(NEXT_UPTODATE_FOLIO_BEFORE_SIZE, "next: is it within i_size?")
MM_SYNC_POINT(NEXT_UPTODATE_FOLIO_FOUND, "all guards passed: locked and pinned")
MM_SYNC_POINT(NEXT_UPTODATE_FOLIO_UNLOCK, "refused; next: unlock, put")
MM_SYNC_POINT(NEXT_UPTODATE_FOLIO_SKIP, "refused; next: put")

/* filemap_map_pages() and what it calls */
MM_SYNC_POINT(FILEMAP_MAP_PAGES_NO_TABLE, "no page table; next: unlock, put")
MM_SYNC_POINT(FILEMAP_MAP_PAGES_BEFORE_MAP, "PTL taken; next: map the folio")
MM_SYNC_POINT(FILEMAP_MAP_ORDER0_BEFORE_NONE, "next: is the PTE none?")
MM_SYNC_POINT(FILEMAP_MAP_ORDER0_PRESENT, "it is not; next: drop the reference")
MM_SYNC_POINT(FILEMAP_MAP_RANGE_BEFORE_NONE, "next: are the PTEs none?")
MM_SYNC_POINT(FILEMAP_MAP_BEFORE_SET_PTE, "next: set_pte_range()")
MM_SYNC_POINT(FILEMAP_MAP_SET_PTE, "PTE set")
MM_SYNC_POINT(FILEMAP_MAP_PAGES_BEFORE_UNLOCK, "mapped or not; next: folio_unlock()")

/* find_get_entry(), find_lock_entries() */
MM_SYNC_POINT(FIND_GET_ENTRY_LOADED, "entry loaded; next: folio_try_get()")
MM_SYNC_POINT(FIND_GET_ENTRY_NO_REF, "folio_try_get() failed; next: retry")
MM_SYNC_POINT(FIND_GET_ENTRY_BEFORE_RELOAD, "pinned; next: xas_reload()")
MM_SYNC_POINT(FIND_GET_ENTRY_STALE, "the entry has changed; next: put, retry")
MM_SYNC_POINT(FIND_GET_ENTRY_FOUND, "entry and reference are good")
MM_SYNC_POINT(FIND_LOCK_ENTRIES_BEFORE_TRYLOCK, "next: folio_trylock()")
MM_SYNC_POINT(FIND_LOCK_ENTRIES_BEFORE_MAPPING, "locked; next: is the mapping ours?")
MM_SYNC_POINT(FIND_LOCK_ENTRIES_LOCKED, "locked; next: into the batch")
MM_SYNC_POINT(FIND_LOCK_ENTRIES_UNLOCK, "refused; next: unlock, put")
MM_SYNC_POINT(FIND_LOCK_ENTRIES_PUT, "refused; next: put")

/* filemap_get_entry(), filemap_get_read_batch(), filemap_get_folios_contig() */
MM_SYNC_POINT(FILEMAP_GET_ENTRY_LOADED, "entry loaded; next: folio_try_get()")
MM_SYNC_POINT(FILEMAP_GET_ENTRY_NO_REF, "folio_try_get() failed; next: retry")
MM_SYNC_POINT(FILEMAP_GET_ENTRY_BEFORE_RELOAD, "pinned; next: xas_reload()")
MM_SYNC_POINT(FILEMAP_GET_ENTRY_STALE, "the entry has changed; next: put, retry")
MM_SYNC_POINT(FILEMAP_GET_ENTRY_FOUND, "entry and reference are good")
MM_SYNC_POINT(READ_BATCH_LOADED, "entry loaded; next: folio_try_get()")
MM_SYNC_POINT(READ_BATCH_BEFORE_RELOAD, "pinned; next: xas_reload()")
MM_SYNC_POINT(READ_BATCH_FOUND, "entry and reference are good")
MM_SYNC_POINT(READ_BATCH_RETRY, "no reference, or the entry has changed; next: retry")
MM_SYNC_POINT(GET_FOLIOS_CONTIG_LOADED, "entry loaded; next: folio_try_get()")
MM_SYNC_POINT(GET_FOLIOS_CONTIG_BEFORE_RELOAD, "pinned; next: xas_reload()")
MM_SYNC_POINT(GET_FOLIOS_CONTIG_FOUND, "entry and reference are good")
MM_SYNC_POINT(GET_FOLIOS_CONTIG_RETRY, "no reference, or the entry has changed; next: retry")

/* folio_wait_bit_common() */
MM_SYNC_POINT(FOLIO_WAIT_SIGNAL, "it waits, and sees a signal; next: leave the queue")

/* migrate_pages() */
MM_SYNC_POINT(MIGRATE_UNMAPPED, "locked, unmapped if it was mapped; next: is it mapped? move")
MM_SYNC_POINT(MIGRATE_BEFORE_FREEZE, "count as expected; next: freeze it, under xa_lock")
MM_SYNC_POINT(MIGRATE_BEFORE_RESTORE, "moved or not; next: map again what was mapped")

/* What a lookup is for: filemap_update_page(), filemap_fault() */
MM_SYNC_POINT(UPDATE_PAGE_BEFORE_TRYLOCK, "not uptodate; next: folio_trylock()")
MM_SYNC_POINT(UPDATE_PAGE_BEFORE_MAPPING, "locked; next: is there a mapping?")
MM_SYNC_POINT(UPDATE_PAGE_BEFORE_UPTODATE, "next: PG_uptodate, now locked; else read it")
MM_SYNC_POINT(UPDATE_PAGE_UNLOCK, "no mapping, or nothing to read; next: unlock")
MM_SYNC_POINT(FILEMAP_FAULT_NOT_LOCKED, "killed or may not wait; next: put, unlock invalidate_lock")
MM_SYNC_POINT(FILEMAP_FAULT_BEFORE_MAPPING, "locked; next: is the mapping ours?")
MM_SYNC_POINT(FILEMAP_FAULT_GONE, "it is not; next: unlock, put, retry")
MM_SYNC_POINT(FILEMAP_FAULT_LOCKED, "it is; next: has it the index? PG_uptodate")
MM_SYNC_POINT(FILEMAP_FAULT_BEFORE_SIZE, "uptodate; next: is it within i_size?")
MM_SYNC_POINT(FILEMAP_FAULT_BEYOND, "it is not; next: unlock, put, SIGBUS")
MM_SYNC_POINT(FILEMAP_FAULT_FOUND, "all guards passed: locked and pinned")

/* Into the page cache: __filemap_add_folio() */
MM_SYNC_POINT(FILEMAP_ADD_FOLIO_BEFORE_LOCK, "its mapping is set; next: insert, under xa_lock")
MM_SYNC_POINT(FILEMAP_ADD_FOLIO_ADDED, "in the page cache")
MM_SYNC_POINT(FILEMAP_ADD_FOLIO_REFUSED, "not inserted; next: mapping cleared")

/* truncate_inode_pages_range() and what it calls */
MM_SYNC_POINT(TRUNCATE_BATCH_BEFORE_CLEANUP, "locked, in the batch; next: unmap")
MM_SYNC_POINT(TRUNCATE_BATCH_BEFORE_DELETE, "unmapped; next: delete the batch")
MM_SYNC_POINT(TRUNCATE_BATCH_BEFORE_UNLOCK, "deleted; next: folio_unlock()")
MM_SYNC_POINT(TRUNCATE_BATCH_UNLOCKED, "unlocked; next: release the batch")
MM_SYNC_POINT(TRUNCATE_BEFORE_LOCK, "second pass, in the batch; next: folio_lock()")
MM_SYNC_POINT(TRUNCATE_LOCKED, "second pass, locked; next: truncate_inode_folio()")
MM_SYNC_POINT(TRUNCATE_BEFORE_UNLOCK, "second pass; next: folio_unlock()")
MM_SYNC_POINT(TRUNCATE_CLEANUP_BEFORE_MAPPED, "next: is it mapped?")
MM_SYNC_POINT(TRUNCATE_CLEANUP_UNMAPPED, "not mapped any more")
MM_SYNC_POINT(TRUNCATE_INODE_FOLIO_BEFORE_MAPPING, "next: is the mapping ours?")
MM_SYNC_POINT(TRUNCATE_INODE_FOLIO_GONE, "it is not: -EIO")
MM_SYNC_POINT(TRUNCATE_INODE_FOLIO_BEFORE_REMOVE, "unmapped; next: filemap_remove_folio()")

/* truncate_inode_partial_folio() */
MM_SYNC_POINT(TRUNCATE_PARTIAL_BEFORE_WRITEBACK, "locked; next: wait for writeback")
MM_SYNC_POINT(TRUNCATE_PARTIAL_BEFORE_SPLIT, "zeroed; next: split at the start, or unmap")
MM_SYNC_POINT(TRUNCATE_PARTIAL_BEFORE_STRADDLER, "split; next: look the folio at the end up")
MM_SYNC_POINT(TRUNCATE_PARTIAL_BEFORE_SPLIT_END, "locked, in the cache; next: split at the end")
MM_SYNC_POINT(TRUNCATE_PARTIAL_NOT_SPLIT, "not split; next: is it dirty?")

/*
 * __folio_split(): SPLIT_TAIL_UNFROZEN to SPLIT_HEAD_UNFROZEN are under the lock
 * of i_pages, with interrupts off.  These are about a folio split off, if they
 * say tail, and about the one at the head else.
 */
MM_SYNC_POINT(MEMORY_FAILURE_BEFORE_SPLIT, "memory-failure.c: next: lock, split")
MM_SYNC_POINT(SPLIT_BEFORE_CHECK, "locked; next: is there a mapping? writeback?")
MM_SYNC_POINT(SPLIT_CHECKED, "may be split; next: read the mapping")
MM_SYNC_POINT(SPLIT_BEFORE_COUNT, "i_mmap_rwsem, i_size read; next: is the count as expected?")
MM_SYNC_POINT(SPLIT_BEFORE_UNMAP, "it is; next: unmap")
MM_SYNC_POINT(SPLIT_BEFORE_FREEZE, "unmapped; next: interrupts off, still cached? freeze, split")
MM_SYNC_POINT(SPLIT_TAIL_UNFROZEN, "tail unfrozen; next: LRU, page cache")
MM_SYNC_POINT(SPLIT_TAIL_BEFORE_STORE, "tail; next: __xa_store()")
MM_SYNC_POINT(SPLIT_TAIL_DROPPED, "tail beyond i_size is out of the page cache; next: put")
MM_SYNC_POINT(SPLIT_HEAD_UNFROZEN, "head unfrozen; next: interrupts on")
MM_SYNC_POINT(SPLIT_UNLOCKED, "split or not; next: map again")
MM_SYNC_POINT(SPLIT_BEFORE_RELEASE, "i_mmap_rwsem dropped; next: unlock and put all but one")
MM_SYNC_POINT(SPLIT_RELEASED, "about the one that stays locked: the others are unlocked and put")

/* Out of the page cache: under i_lock and xa_lock_irq() nobody can be held */
MM_SYNC_POINT(FILEMAP_REMOVE_FOLIO_BEFORE_LOCK, "next: remove, under i_lock and xa_lock")
MM_SYNC_POINT(DELETE_BATCH_BEFORE_LOCK, "next: delete the batch, under i_lock and xa_lock")
MM_SYNC_POINT(FILEMAP_FREE_FOLIO_BEFORE_PUT, "removed; next: put the page cache's reference")

/* The same by folio_unmap_invalidate(), and by folio_end_dropbehind() */
MM_SYNC_POINT(UNMAP_INVALIDATE_BEFORE_MAPPED, "locked; next: is it mapped?")
MM_SYNC_POINT(UNMAP_INVALIDATE_BEFORE_MAPPING, "laundered; next: is the mapping ours? release")
MM_SYNC_POINT(UNMAP_INVALIDATE_BEFORE_DIRTY, "next: is it dirty? remove, under i_lock and xa_lock")
MM_SYNC_POINT(UNMAP_INVALIDATE_BUSY, "it is: not removed")
MM_SYNC_POINT(UNMAP_INVALIDATE_REMOVED, "removed; next: put the page cache's references")
MM_SYNC_POINT(END_DROPBEHIND_BEFORE_TRYLOCK, "written back or read; next: folio_trylock()")
MM_SYNC_POINT(END_DROPBEHIND_BEFORE_DIRTY, "locked; next: writeback? dirty? still dropbehind?")
MM_SYNC_POINT(END_DROPBEHIND_BEFORE_MAPPING, "next: is there a mapping? is it mapped?")
MM_SYNC_POINT(END_DROPBEHIND_BEFORE_UNLOCK, "dropped or not; next: unlock")

/* shmem_free_swap() */
MM_SYNC_POINT(SHMEM_FREE_SWAP_BEFORE_ENTRY, "an entry is found; next: is it still there? its order")

/* madvise_cold_or_pageout_pte_range() */
MM_SYNC_POINT(MADVISE_PTE_BEFORE_LRU, "in a PTE, PTL held; next: PG_lru, mapcount")
MM_SYNC_POINT(MADVISE_PTE_SKIP, "refused")
MM_SYNC_POINT(MADVISE_PTE_BEFORE_ISOLATE, "next: folio_isolate_lru()")
MM_SYNC_POINT(MADVISE_PTE_AFTER_ISOLATE, "isolated or refused, PTL held")
MM_SYNC_POINT(MADVISE_PTE_BEFORE_DEACTIVATE, "next: folio_deactivate()")

/* folio_isolate_lru() */
MM_SYNC_POINT(ISOLATE_BEFORE_LRU, "next: PG_lru")
MM_SYNC_POINT(ISOLATE_BEFORE_PIN, "next: folio_try_get()")
MM_SYNC_POINT(ISOLATE_BEFORE_COUNT, "pinned; next: is the caller's reference real?")
MM_SYNC_POINT(ISOLATE_STALE, "it is not: warn")
MM_SYNC_POINT(ISOLATE_BEFORE_ORPHAN, "next: is it an orphan? clear PG_lru")
MM_SYNC_POINT(ISOLATE_REFUSED, "refused")
MM_SYNC_POINT(ISOLATE_CLEARED, "PG_lru cleared; next: off the list, under lru_lock")
MM_SYNC_POINT(ISOLATE_DONE, "off the list")

/* The release path: folios_put_refs(), __folio_put(), __page_cache_release() */
MM_SYNC_POINT(FOLIOS_PUT_BEFORE, "next: put, one of a batch")
MM_SYNC_POINT(FOLIOS_PUT_IN_USE, "not the last reference")
MM_SYNC_POINT(FOLIOS_PUT_FREE, "released; next: to the page allocator")
MM_SYNC_POINT(FOLIO_PUT_ZERO, "the last reference is gone")
MM_SYNC_POINT(FOLIO_PUT_FREE, "released; next: to the page allocator")
MM_SYNC_POINT(RELEASE_BEFORE_LRU, "the last reference is gone; next: PG_lru")
MM_SYNC_POINT(RELEASE_KEPT, "reported and kept")

/* shrink_folio_list(), evict_folios(), __remove_mapping() */
MM_SYNC_POINT(SHRINK_BEFORE_TRYLOCK, "isolated; next: folio_trylock()")
MM_SYNC_POINT(SHRINK_BEFORE_UNMAP, "locked; next: unmap")
MM_SYNC_POINT(SHRINK_BEFORE_MAPPING, "not mapped; next: read the mapping")
MM_SYNC_POINT(SHRINK_BEFORE_REMOVE, "next: is there a mapping? __remove_mapping()")
MM_SYNC_POINT(SHRINK_REMOVED, "out of the page cache, count frozen at 0")
MM_SYNC_POINT(SHRINK_FREE, "next: to the page allocator")
MM_SYNC_POINT(SHRINK_KEEP, "kept")
MM_SYNC_POINT(EVICT_BEFORE_MAPPING, "MGLRU: kept, not locked; next: read the mapping, its flags")
MM_SYNC_POINT(REMOVE_MAPPING_BEFORE_FREEZE, "next: freeze the count, under i_lock and xa_lock")
MM_SYNC_POINT(REMOVE_MAPPING_BUSY, "in use: not removed")

/* read_pages(): folios that ->readahead() left alone */
MM_SYNC_POINT(READ_PAGES_BEFORE_GET, "readahead's reference put; next: folio_get()")
MM_SYNC_POINT(READ_PAGES_BEFORE_REMOVE, "next: filemap_remove_folio()")
MM_SYNC_POINT(READ_PAGES_BEFORE_UNLOCK, "removed; next: folio_unlock()")
MM_SYNC_POINT(READ_PAGES_BEFORE_PUT, "unlocked; next: folio_put()")

/* The LRU batches: under their local_lock nobody can be held */
MM_SYNC_POINT(FOLIO_ADD_LRU_BEFORE, "next: into this CPU's batch")
MM_SYNC_POINT(FOLIO_ADD_LRU_ADDED, "in the batch or, if that was full, on the LRU")
MM_SYNC_POINT(LRU_ADD_FREE, "the batch has the last reference; next: to the page allocator")

/* Not in mm/: what an actor of a test does by itself */
MM_SYNC_POINT(TEST_1, "first point of a test's own actor")
MM_SYNC_POINT(TEST_2, "second point of a test's own actor")

/* In user space, see mm/sync_point_debugfs.c: how far a thread of a test is */
MM_SYNC_POINT(USER_1, "the first thing that the thread is to do is done")
MM_SYNC_POINT(USER_2, "the second")
MM_SYNC_POINT(USER_3, "the third")
MM_SYNC_POINT(USER_4, "the fourth")
MM_SYNC_POINT(USER_5, "the fifth")
MM_SYNC_POINT(USER_6, "the sixth")
MM_SYNC_POINT(USER_7, "the seventh")
MM_SYNC_POINT(USER_8, "the eighth")

/*
 * Swap: shmem_writeout(), shrink_folio_list() after it, shmem_swapin_folio(),
 * shmem_free_swap().  A swap-in is about an entry, and about a folio that may be
 * new: its points are about no folio.
 */
MM_SYNC_POINT(SHMEM_WRITEOUT_BEFORE_ENTRY, "in the swap cache; next: an entry in its place")
MM_SYNC_POINT(SHMEM_WRITEOUT_BEFORE_WRITE, "next: write it, unlock")
MM_SYNC_POINT(SHRINK_WRITTEN, "written, unlocked; next: folio_trylock()")
MM_SYNC_POINT(SHMEM_SWAPIN_BEFORE_CACHE, "an entry; next: the swap cache, or a new folio, read")
MM_SYNC_POINT(SHMEM_SWAPIN_BEFORE_LOCK, "next: lock the folio; is it still that of the entry?")
MM_SYNC_POINT(SHMEM_SWAPIN_BEFORE_ADD, "it is; next: in place of the entry, if that is there")
MM_SYNC_POINT(SHMEM_SWAPIN_BEFORE_SLOT, "in its place; next: free the slot, leave the swap cache")
MM_SYNC_POINT(SHMEM_FREE_SWAP_BEFORE_SLOTS, "removed, or not; next: free its slots")
#endif /* MM_SYNC_POINT */

/*
 * The locks that a thread may have to wait for:
 *
 *	MM_SYNC_LOCK(<NAME>, <what it is called>)
 */
#ifdef MM_SYNC_LOCK
MM_SYNC_LOCK(PTL, "PTL")
MM_SYNC_LOCK(FOLIO_LOCK, "folio lock")
MM_SYNC_LOCK(I_RWSEM, "i_rwsem")
MM_SYNC_LOCK(INVALIDATE_LOCK, "invalidate_lock")
MM_SYNC_LOCK(I_MMAP_RWSEM, "i_mmap_rwsem")
MM_SYNC_LOCK(MMAP_LOCK, "mmap_lock")
MM_SYNC_LOCK(RWSEM, "some rw_semaphore")
MM_SYNC_LOCK(I_PAGES, "i_pages")
MM_SYNC_LOCK(WAKEUP, "wakeup")	/* in the queue for a folio lock: see struct mm_sync_run */
#endif /* MM_SYNC_LOCK */
