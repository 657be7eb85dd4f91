// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sync points: hold threads at named places, and let them go on in the order
 * that a schedule says.  See include/linux/mm_sync_point.h.
 *
 * There is no controller: the actor whose turn it is gets to a point, records
 * it, decides whose turn is next, wakes that one and blocks.
 * It blocks with whatever it holds, also within RCU and under a PTL: nobody
 * spins, and one CPU will do.  So an actor that needs a lock must not try to
 * take it while another one holds it: mm_sync_lock() is where it waits then.
 * Where interrupts are off, an actor is only held if all others are bound to
 * other CPUs: it spins there, for a second at most.
 *
 * A watchdog gives a run up in which nothing happens any more: the run is open
 * then, everybody passes all points, and it has failed.  One thing it can't help
 * is an actor that spins for a lock without mm_sync_lock(), if a held actor has
 * that lock: that CPU is lost, and the schedule on the console is all there is.
 * Of the page table locks, those of pte_offset_map_lock() and of the rmap walk
 * have it, and of those who take the lock of i_pages, who remove or insert a
 * folio of a file, but not in shmem.  pmd_lock() does not, nor do a fault on a
 * PTE that is present, fork() and mremap(): no actor may do these to a page
 * table that another one may be held in.  Nor may a bystander on the actors'
 * CPU.
 */
#include <linux/cleanup.h>
#include <linux/delay.h>
#include <linux/folio_batch.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/mm_sync_point.h>
#include <linux/panic_notifier.h>
#include <linux/preempt.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include "internal.h"
#include "page_alloc.h"

#define WATCHDOG_PERIOD_MS	50
#define DEFAULT_STALL_MS	2000
/* How long others than actors may hold a lock */
#define BYSTANDER_US		20
/* How long an actor may be held with interrupts off */
#define MAX_SPIN_MS		1000
/* For actors of an open run that do not leave */
#define LEAVE_TIMEOUT_MS	5000

DEFINE_STATIC_KEY_FALSE(mm_sync_key);

/* One run at a time */
static struct {
	raw_spinlock_t lock;	/* for all of this, and for the run */
	struct mm_sync_run *run;
	struct task_struct *turn;	/* the one actor that runs, or NULL */
	struct page *page;	/* that the run keeps when it is freed, or NULL */
	unsigned long nr_pages;	/* so many of them, from that on */
	unsigned int spinning;	/* actors that are held with interrupts off */
} sync = {
	.lock = __RAW_SPIN_LOCK_UNLOCKED(sync.lock),
};

static atomic_long_t bystanders;

static const struct {
	const char *name;
	const char *meaning;
} points[] = {
#define MM_SYNC_POINT(NAME, MEANING) { #NAME, MEANING },
#include <linux/mm_sync_point_defs.h>
#undef MM_SYNC_POINT
	[MM_SYNC_END] = { "END", "done" },
	[MM_SYNC_WAIT] = { "WAIT", "has to wait for a lock" },
};

static const char * const locks[] = {
#define MM_SYNC_LOCK(NAME, WORDS) \
	[MM_SYNC_##NAME] = WORDS,
#include <linux/mm_sync_point_defs.h>
#undef MM_SYNC_LOCK
};

/**
 * mm_sync_point_name() - Name of a sync point.
 * @point: The point, or %MM_SYNC_END or %MM_SYNC_WAIT.
 *
 * Return: The name, without the MM_SYNC_.
 */
const char *mm_sync_point_name(enum mm_sync_point point)
{
	return point < ARRAY_SIZE(points) ? points[point].name : "?";
}

/**
 * mm_sync_point_meaning() - What a thread at a sync point is about to do.
 * @point: The point, or %MM_SYNC_END or %MM_SYNC_WAIT.
 *
 * Return: A few words.
 */
const char *mm_sync_point_meaning(enum mm_sync_point point)
{
	return point < ARRAY_SIZE(points) ? points[point].meaning : "?";
}

/**
 * mm_sync_lock_name() - Name of a kind of lock.
 * @type: The kind.
 *
 * Return: The name.
 */
const char *mm_sync_lock_name(enum mm_sync_lock type)
{
	return type < ARRAY_SIZE(locks) ? locks[type] : "?";
}

/**
 * mm_sync_bystanders() - How often threads passed a point that take no part.
 *
 * Return: Their number since the first run.
 */
unsigned long mm_sync_bystanders(void)
{
	return atomic_long_read(&bystanders);
}

static bool still_waits(const struct wait_queue_entry *entry, unsigned int state)
{
	/* Pairs with wake_page_function(), as that of folio_wait_bit_common() does */
	return !(smp_load_acquire(&entry->flags) & WQ_FLAG_WOKEN) &&
	       !signal_pending_state(state, entry->private);
}

/* Would whoever takes it have to wait? */
static bool lock_taken(const struct mm_sync_wait *wait)
{
	struct rw_semaphore *sem = wait->lock;

	switch (wait->type) {
	case MM_SYNC_PTL:
	case MM_SYNC_I_PAGES:
		return raw_spin_is_locked(&((spinlock_t *)wait->lock)->rlock);
	case MM_SYNC_FOLIO_LOCK:
		return folio_test_locked(wait->lock);
	case MM_SYNC_WAKEUP:
		return still_waits(wait->lock, wait->state);
	default:
		if (!wait->shared)
			return rwsem_is_locked(sem);
		return rwsem_is_contended(sem) ||
		       atomic_long_read(&sem->count) & RWSEM_WRITER_LOCKED;
	}
}

static bool can_go(const struct mm_sync_actor *actor)
{
	return !actor->done && !(actor->wait.lock && lock_taken(&actor->wait));
}

static struct mm_sync_actor *current_actor(struct mm_sync_run *run)
{
	for (int i = 0; i < run->nr_actors; i++)
		if (run->actors[i].task == current)
			return run->actors + i;
	return NULL;
}

static void fail(struct mm_sync_run *run, int err, unsigned int actor)
{
	if (run->err)
		return;
	run->err = err;
	run->err_step = run->step;
	run->err_actor = actor;
	run->err_lock = run->actors[actor].wait.type;
	/* The rest of the schedule is void: the actors end one by one */
	run->step = run->nr_steps;
}

/* Give the run up: nobody waits for anybody any more */
static void open_run(struct mm_sync_run *run)
{
	run->open = true;
	WRITE_ONCE(sync.turn, NULL);
	for (int i = 0; i < run->nr_actors; i++)
		if (run->actors[i].held)
			wake_up_process(run->actors[i].task);
}

/**
 * mm_sync_is_free() - Is this the point at which a folio is freed?
 * @point: The point.
 *
 * Return: true if the page allocator has the folio after it.
 */
bool mm_sync_is_free(enum mm_sync_point point)
{
	return point == MM_SYNC_FOLIO_PUT_FREE || point == MM_SYNC_FOLIOS_PUT_FREE ||
	       point == MM_SYNC_SHRINK_FREE || point == MM_SYNC_LRU_ADD_FREE;
}

/* Do the neighbours of an entry point back at it?  They may be anything. */
static bool is_listed(const struct list_head *entry)
{
	struct list_head *back;

	/* Nearly all that are not: no need to have it fault */
	if (entry->next == LIST_POISON1 || entry->next == entry)
		return false;
	/* Others may be about to link a neighbour: look again */
	for (int i = 0; i < 3; i++)
		if (!get_kernel_nofault(back, &entry->next->prev) && back == entry &&
		    !get_kernel_nofault(back, &entry->prev->next) && back == entry)
			return true;
	return false;
}

/* With sync.lock held: the pages of the folio under test, as it was when first seen */
static void know_pages(struct mm_sync_run *run)
{
	const struct folio *folio = run->folio;

	if (run->known == folio)
		return;
	run->known = folio;
	run->nr_pages = min_t(unsigned long, folio_nr_pages(folio), MM_SYNC_MAX_PAGES);
	run->page = 0;
	if (run->mapping && folio->mapping == run->mapping &&
	    run->index - folio->index < run->nr_pages)
		run->page = run->index - folio->index;
}

/* Which of these pages is the first of @folio?  If none is: MM_SYNC_MAX_PAGES. */
static unsigned long place_of(struct mm_sync_run *run, const struct folio *folio)
{
	unsigned long place;

	if (!run->folio || !folio)
		return MM_SYNC_MAX_PAGES;
	know_pages(run);
	place = &folio->page - &run->folio->page;
	return place < run->nr_pages ? place : MM_SYNC_MAX_PAGES;
}

/* With sync.lock held: what is there to read at a point about @folio? */
static const struct folio *folio_to_read(struct mm_sync_run *run, const struct folio *folio)
{
	if (!run->folio)
		return NULL;
	know_pages(run);
	if (run->freed && (!folio || run->nr_pages == 1))
		return NULL;
	return folio ?: page_folio(folio_page(run->folio, run->page));
}

static pgoff_t file_size(const struct address_space *mapping)
{
	return mapping ? DIV_ROUND_UP(i_size_read(mapping->host), PAGE_SIZE) : 0;
}

/* Without sync.lock, as it may fault.  No other actor runs meanwhile. */
static void read_folio(const struct folio *folio, const struct address_space *mapping,
		       struct mm_sync_state *state)
{
	memset(state, 0, sizeof(*state));
	state->size = file_size(mapping);
	if (!folio)
		return;
	state->listed = is_listed(&folio->lru);
	state->refs = folio_ref_count(folio);
	state->mapcount = folio_mapcount(folio);
	state->lru = folio_test_lru(folio);
	state->locked = folio_test_locked(folio);
	state->cached = READ_ONCE(folio->mapping);
	state->dirty = folio_test_dirty(folio);
	state->writeback = folio_test_writeback(folio);
	state->order = folio_order(folio);
	state->index = folio->index;
}

/* If it is this task's turn */
static void read_state(struct mm_sync_state *state)
{
	const struct address_space *mapping = NULL;
	const struct folio *folio = NULL;

	scoped_guard(raw_spinlock_irqsave, &sync.lock)
		if (sync.turn == current) {
			folio = folio_to_read(sync.run, NULL);
			mapping = sync.run->mapping;
		}
	read_folio(folio, mapping, state);
}

/* Record what @me has got to; it may be the end of the step, if it can be held */
static void record(struct mm_sync_run *run, struct mm_sync_actor *me,
		   const struct mm_sync_state *state, enum mm_sync_kind kind,
		   enum mm_sync_point point, bool hold)
{
	unsigned int index = me - run->actors;
	const struct mm_sync_step *step = NULL;
	struct mm_sync_event *event;

	if (run->step < run->nr_steps)
		step = run->steps + run->step;

	if (run->nr_events == MM_SYNC_MAX_EVENTS) {
		fail(run, -E2BIG, index);
		return;
	}
	event = run->events + run->nr_events++;
	*event = (struct mm_sync_event) {
		.actor = index,
		.kind = kind,
		.lock = kind == MM_SYNC_KIND_WAIT ? me->wait.type : 0,
		.point = point,
		.state = *state,
	};

	if (!step || step->actor != index)
		return;
	if (step->until == point && !hold) {
		fail(run, -EWOULDBLOCK, index);
	} else if (step->until == point || (step->or_end && kind == MM_SYNC_KIND_END)) {
		event->ends_step = true;
		event->step = run->step++;
		if (kind == MM_SYNC_KIND_PASS)
			event->kind = MM_SYNC_KIND_STOP;
	} else if (kind == MM_SYNC_KIND_END) {
		fail(run, -ESRCH, index);
	}
}

static struct mm_sync_actor *chosen_actor(struct mm_sync_run *run,
					  struct mm_sync_actor *me)
{
	unsigned long may_go = 0;

	for (int i = 0; i < run->nr_actors; i++)
		if (can_go(run->actors + i))
			may_go |= BIT(i);
	if (!may_go)
		return NULL;
	return run->actors + run->choose(run, me ? me - run->actors : -1, may_go);
}

/* Whose turn is it now?  @me has just got to a point. */
static struct mm_sync_actor *next_actor(struct mm_sync_run *run,
					struct mm_sync_actor *me)
{
	if (run->choose && !run->err)
		return chosen_actor(run, me);

	while (run->step < run->nr_steps) {
		const struct mm_sync_step *step = run->steps + run->step;
		struct mm_sync_actor *actor = run->actors + step->actor;

		if (can_go(actor))
			return actor;
		if (actor->done && step->or_end)
			run->step++;
		else
			fail(run, actor->done ? -EINVAL : -EDEADLK, step->actor);
	}

	if (me && can_go(me))
		return me;
	for (int i = 0; i < run->nr_actors; i++)
		if (can_go(run->actors + i))
			return run->actors + i;
	return NULL;
}

/*
 * Called and returns with sync.lock held.  Who is done with a round, also if
 * there is no other.
 */
static void wait_for_turn(struct mm_sync_run *run, struct mm_sync_actor *me,
			  unsigned long *flags)
{
	me->held = true;
	while (sync.turn != current && !run->open && !(me->done && run->over)) {
		__set_current_state(TASK_UNINTERRUPTIBLE);
		raw_spin_unlock_irqrestore(&sync.lock, *flags);
		mm_sync_schedule();
		raw_spin_lock_irqsave(&sync.lock, *flags);
	}
	__set_current_state(TASK_RUNNING);
	me->held = false;
}

/* May @me spin where it can't sleep?  With sync.lock held: if all others are elsewhere */
static bool may_spin(const struct mm_sync_run *run, const struct mm_sync_actor *me)
{
	for (int i = 0; i < run->nr_actors; i++) {
		const struct mm_sync_actor *actor = run->actors + i;

		if (actor != me && !actor->done &&
		    (!actor->task || actor->task->nr_cpus_allowed > 1 ||
		     task_cpu(actor->task) == raw_smp_processor_id()))
			return false;
	}
	return true;
}

/*
 * The same as wait_for_turn() with interrupts off, for a while: who is to go on
 * meanwhile may need a lock that we hold, or an answer to an IPI.
 */
static void spin_for_turn(struct mm_sync_run *run, struct mm_sync_actor *me)
{
	u64 end = ktime_get_mono_fast_ns() + MAX_SPIN_MS * NSEC_PER_MSEC;
	bool late = false;

	me->held = true;
	WRITE_ONCE(sync.spinning, sync.spinning + 1);
	while (sync.turn != current && !run->open) {
		for (int i = 0; late && i < run->nr_actors; i++)
			if (run->actors[i].task == sync.turn)
				fail(run, -ETIMEDOUT, i);
		if (late)
			open_run(run);
		raw_spin_unlock(&sync.lock);
		while (READ_ONCE(sync.turn) != current && !READ_ONCE(run->open) && !late) {
			cpu_relax();
			late = ktime_get_mono_fast_ns() > end;
		}
		raw_spin_lock(&sync.lock);
	}
	WRITE_ONCE(sync.spinning, sync.spinning - 1);
	me->held = false;
}

/* The end of @me's turn, if any; with sync.lock held */
static void pass_on(struct mm_sync_run *run, struct mm_sync_actor *me)
{
	struct mm_sync_actor *next = next_actor(run, me);

	if (!next) {
		/* All have left or wait for locks: the watchdog looks again */
		WRITE_ONCE(sync.turn, NULL);
		return;
	}
	WRITE_ONCE(sync.turn, next->task);
	if (next != me)
		wake_up_process(next->task);
}

static bool may_hold(void)
{
	return !irqs_disabled() && !softirq_count() && task_is_running(current);
}

/*
 * With sync.lock held: the folio under test is the first one at its place, and
 * what it is split into.
 */
static bool is_under_test(struct mm_sync_run *run, struct folio *folio)
{
	unsigned long place;

	if (!folio)
		return true;
	if (!run->folio && run->mapping && folio->mapping == run->mapping &&
	    run->index - folio->index < folio_nr_pages(folio))
		run->folio = folio;
	place = place_of(run, folio);
	return place < MM_SYNC_MAX_PAGES && !(run->once && test_bit(place, run->gone));
}

/* With sync.lock held: @folio goes to the allocator */
static void count_freed(struct mm_sync_run *run, const struct folio *folio)
{
	unsigned long first = place_of(run, folio);

	if (first == MM_SYNC_MAX_PAGES)
		return;
	bitmap_set(run->gone, first,
		   min_t(unsigned long, folio_nr_pages(folio), run->nr_pages - first));
	run->freed |= test_bit(run->page, run->gone);
}

/* Reclaim, a batch that is drained elsewhere: the page is nobody's to look at */
static void freed_by_bystander(const struct folio *folio)
{
	guard(raw_spinlock_irqsave)(&sync.lock);
	if (sync.run && sync.run->once)
		count_freed(sync.run, folio);
}

/*
 * All of the run is looked at under sync.lock, and only while it is this task's
 * turn, or it is held: whoever ends the run takes the turn away, and waits until
 * nobody is held.
 */
void __mm_sync_point(enum mm_sync_point point, struct folio *folio)
{
	const struct address_space *mapping;
	const struct folio *to_read;
	struct mm_sync_state state;
	struct mm_sync_actor *me;
	struct mm_sync_run *run;
	bool hold, spin = irqs_disabled();
	unsigned long flags;

	if (READ_ONCE(sync.turn) != current || !in_task()) {
		atomic_long_inc(&bystanders);
		if (mm_sync_is_free(point))
			freed_by_bystander(folio);
		return;
	}

	raw_spin_lock_irqsave(&sync.lock, flags);
	run = sync.run;
	if (sync.turn != current || run->passing || !is_under_test(run, folio)) {
		raw_spin_unlock_irqrestore(&sync.lock, flags);
		return;
	}
	to_read = folio_to_read(run, folio);
	mapping = run->mapping;
	me = current_actor(run);
	hold = !me->hold_off;
	spin = spin && hold && !run->passed && may_spin(run, me);
	raw_spin_unlock_irqrestore(&sync.lock, flags);

	hold = spin || (hold && may_hold());
	read_folio(to_read, mapping, &state);

	raw_spin_lock_irqsave(&sync.lock, flags);
	if (sync.turn != current)	/* opened meanwhile */
		goto out;
	record(run, me, &state, MM_SYNC_KIND_PASS, point, hold);
	if (hold) {
		pass_on(run, me);
		if (spin)
			spin_for_turn(run, me);
		else
			wait_for_turn(run, me, &flags);
	} else if (run->passed) {
		run->passing = true;
		raw_spin_unlock_irqrestore(&sync.lock, flags);
		run->passed(run);
		raw_spin_lock_irqsave(&sync.lock, flags);
		run->passing = false;
	}
	if (mm_sync_is_free(point))
		count_freed(run, folio);
out:
	raw_spin_unlock_irqrestore(&sync.lock, flags);
}

void __mm_sync_point_batch(enum mm_sync_point point, struct folio_batch *fbatch)
{
	for (int i = 0; i < folio_batch_count(fbatch); i++)
		__mm_sync_point(point, fbatch->folios[i]);
}

/* A run that was given up has nobody that says when the lock is free */
static void wait_politely(const struct mm_sync_wait *wait)
{
	while (lock_taken(wait)) {
		struct hrtimer_sleeper t;

		/* schedule_timeout() is not for those who hold a PTL */
		hrtimer_setup_sleeper_on_stack(&t, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
		hrtimer_set_expires(&t.timer, ms_to_ktime(1));
		set_current_state(TASK_UNINTERRUPTIBLE);
		hrtimer_sleeper_start_expires(&t, HRTIMER_MODE_REL_HARD);
		if (t.task)
			mm_sync_schedule();
		hrtimer_cancel(&t.timer);
		destroy_hrtimer_on_stack(&t.timer);
		__set_current_state(TASK_RUNNING);
	}
}

static enum mm_sync_lock rwsem_type(const struct mm_sync_run *run,
				    const struct rw_semaphore *sem)
{
	const struct address_space *mapping = run->mapping;

	if (current->mm && sem == &current->mm->mmap_lock)
		return MM_SYNC_MMAP_LOCK;
	if (mapping && sem == &mapping->host->i_rwsem)
		return MM_SYNC_I_RWSEM;
	if (mapping && sem == &mapping->invalidate_lock)
		return MM_SYNC_INVALIDATE_LOCK;
	if (mapping && sem == &mapping->i_mmap_rwsem)
		return MM_SYNC_I_MMAP_RWSEM;
	return MM_SYNC_RWSEM;
}

static bool is_queued(const struct mm_sync_run *run, const struct mm_sync_actor *actor)
{
	return (run->queued | run->mortal) & BIT(actor - run->actors);
}

/*
 * Can another actor have a spinlock?  Not one that has not begun, or has ended, or
 * is between two of the things that it does.  Who has it then takes no part.
 */
static bool others_are_inside(const struct mm_sync_run *run, const struct mm_sync_actor *me)
{
	unsigned long inside = 0;

	for (int i = 0; i < run->nr_events; i++) {
		const struct mm_sync_event *event = run->events + i;
		enum mm_sync_point point = event->point;

		__assign_bit(event->actor, &inside, point != MM_SYNC_END &&
			     (point < MM_SYNC_USER_1 || point > MM_SYNC_USER_8));
	}
	__clear_bit(me - run->actors, &inside);
	return inside;
}

/* An actor, also one of an open run? */
static bool has_to_wait(struct mm_sync_wait *wait)
{
	struct mm_sync_actor *me;

	guard(raw_spinlock_irqsave)(&sync.lock);
	me = sync.run ? current_actor(sync.run) : NULL;
	if (!me || me->done || me->hold_off)
		return false;
	if (wait->type == MM_SYNC_FOLIO_LOCK && is_queued(sync.run, me))
		return false;
	if (wait->type == MM_SYNC_PTL && !sync.run->open && !others_are_inside(sync.run, me))
		return false;
	if (wait->type == MM_SYNC_RWSEM)
		wait->type = rwsem_type(sync.run, wait->lock);
	return true;
}

/* With sync.lock held */
static void record_wait(struct mm_sync_run *run, struct mm_sync_actor *me,
			const struct mm_sync_wait *wait, const struct mm_sync_state *state,
			unsigned long *flags)
{
	me->wait = *wait;
	record(run, me, state, MM_SYNC_KIND_WAIT, MM_SYNC_WAIT, true);
	pass_on(run, me);
	wait_for_turn(run, me, flags);
	me->wait.lock = NULL;
}

static void wait_for_lock(struct mm_sync_wait *wait)
{
	struct mm_sync_state state;
	struct mm_sync_run *run;
	unsigned long flags;
	bool open;

	/* Only an actor that spins has this lock at a point; others let go of it */
	if (wait->type == MM_SYNC_I_PAGES && !READ_ONCE(sync.spinning))
		return;
	if (!lock_taken(wait) || !in_task() || !may_hold() || !has_to_wait(wait))
		return;

	/* Who takes no part lets go of it soon; no actor does */
	for (int us = 0; us < BYSTANDER_US && lock_taken(wait); us++)
		udelay(1);
	read_state(&state);

	raw_spin_lock_irqsave(&sync.lock, flags);
	run = sync.run;
	if (sync.turn == current && lock_taken(wait))
		record_wait(run, current_actor(run), wait, &state, &flags);
	open = !run || run->open;
	raw_spin_unlock_irqrestore(&sync.lock, flags);
	/* Those that take an rw_semaphore sleep by themselves, in a queue */
	if (open && (wait->type <= MM_SYNC_FOLIO_LOCK || wait->type == MM_SYNC_I_PAGES))
		wait_politely(wait);
}

void __mm_sync_lock(enum mm_sync_lock type, const void *lock)
{
	wait_for_lock(&(struct mm_sync_wait) { .type = type, .lock = (void *)lock });
}

void __mm_sync_rwsem(struct rw_semaphore *sem, bool shared)
{
	wait_for_lock(&(struct mm_sync_wait) {
		.type = MM_SYNC_RWSEM, .lock = sem, .shared = shared,
	});
}

/* Does a kernel thread wait in a queue, though the run was given up? */
static bool is_forgotten(void)
{
	const struct mm_sync_actor *me;

	if (!(current->flags & PF_KTHREAD))
		return false;
	guard(raw_spinlock_irqsave)(&sync.lock);
	if (!sync.run || !sync.run->open)
		return false;
	me = current_actor(sync.run);
	return me && !me->done && is_queued(sync.run, me);
}

/* See mm_sync_queued(). */
bool __mm_sync_queued(struct wait_queue_entry *entry, unsigned int task_state)
{
	struct folio *folio = container_of(entry, struct wait_page_queue, wait)->folio;
	const struct mm_sync_wait wait = {
		.type = MM_SYNC_WAKEUP, .lock = entry, .state = task_state,
	};
	struct mm_sync_state state;
	unsigned long flags;

	if (!in_task())
		return false;
	if (is_forgotten()) {
		/* Nobody may wake it up any more, but its test waits for it */
		__set_current_state(TASK_RUNNING);
		if (folio_trylock(folio))
			folio_unlock(folio);
		fsleep(1000);
		return true;
	}
	if (READ_ONCE(sync.turn) != current)
		return false;
	scoped_guard(raw_spinlock_irqsave, &sync.lock)
		if (sync.turn != current || !is_queued(sync.run, current_actor(sync.run)))
			return false;

	/* From here on a wakeup may be missed: it has to look again */
	__set_current_state(TASK_RUNNING);
	read_state(&state);
	raw_spin_lock_irqsave(&sync.lock, flags);
	if (sync.turn == current)
		record_wait(sync.run, current_actor(sync.run), &wait, &state, &flags);
	raw_spin_unlock_irqrestore(&sync.lock, flags);
	return true;
}

static unsigned long pages_of(unsigned int first, unsigned int order)
{
	return GENMASK(min(first + BIT(order), BITS_PER_LONG) - 1, first);
}

/*
 * The allocator is about to take a page that nobody has a reference to.  Does
 * the run want it?
 */
bool __mm_sync_keep(struct page *page, unsigned int order)
{
	const struct page *first = READ_ONCE(sync.page);
	struct mm_sync_run *run;
	unsigned int i;

	if (!first || page < first || page >= first + READ_ONCE(sync.nr_pages))
		return false;
	guard(raw_spinlock_irqsave)(&sync.lock);
	run = sync.run;
	if (!run || !run->keep || sync.page != first)
		return false;
	i = page - first;
	run->kept |= !i;
	run->kept_pages |= pages_of(i, order);
	run->kept_order[i] = order;
	return true;
}

void __mm_sync_hold_off(int by)
{
	if (READ_ONCE(sync.turn) != current || !in_task())
		return;
	guard(raw_spinlock_irqsave)(&sync.lock);
	if (sync.turn == current)
		current_actor(sync.run)->hold_off += by;
}

/* ---- giving up ---------------------------------------------------------- */

static void print_schedule(const struct mm_sync_run *run)
{
	pr_err("mm_sync: the schedule up to here, in %u events:\n", run->nr_events);
	for (int i = 0; i < run->nr_events; i++) {
		const struct mm_sync_event *event = run->events + i;

		/* Where it is the next actor's turn, and where each has got to */
		if (event->kind == MM_SYNC_KIND_PASS && i + 1 < run->nr_events &&
		    event[1].actor == event->actor)
			continue;
		pr_err("mm_sync:   %u:%s%s%s\n", event->actor,
		       mm_sync_point_name(event->point),
		       event->kind == MM_SYNC_KIND_WAIT ? " for the " : "",
		       event->kind == MM_SYNC_KIND_WAIT ? mm_sync_lock_name(event->lock) : "");
	}
}

static int print_schedule_at_panic(struct notifier_block *nb,
				   unsigned long event, void *data)
{
	struct mm_sync_run *run = READ_ONCE(sync.run);

	if (run)
		print_schedule(run);
	if (run && run->died)
		run->died(run);
	return NOTIFY_DONE;
}

static struct notifier_block panic_notifier = {
	.notifier_call	= print_schedule_at_panic,
	.priority	= INT_MAX,	/* UML has one that does not return */
};

static int __init mm_sync_init(void)
{
	return atomic_notifier_chain_register(&panic_notifier_list, &panic_notifier);
}
subsys_initcall(mm_sync_init);

/* Why can the run not go on, if so?  With sync.lock held */
static int run_is_stuck(struct mm_sync_run *run, struct mm_sync_actor *actor)
{
	bool stalled = run->idle_ticks * WATCHDOG_PERIOD_MS >= run->stall_ms;
	bool mortal = run->mortal & BIT(actor - run->actors);

	if (actor->done)
		return 0;
	if (!actor->task)
		return stalled && run->starts_itself && run->joined ? -ETIMEDOUT : 0;
	/* An oops, or it has just ended */
	if (READ_ONCE(actor->task->flags) & PF_EXITING && !mortal)
		return -EOWNERDEAD;
	if (fatal_signal_pending(actor->task) && !mortal)
		return -EINTR;
	if (!run->started)
		return 0;
	if (stalled && !sync.turn)
		return -EDEADLK;
	if (stalled && sync.turn == actor->task)
		return -ETIMEDOUT;
	return 0;
}

/* In hard interrupt context: also if an actor spins with preemption off */
static enum hrtimer_restart watchdog(struct hrtimer *timer)
{
	struct mm_sync_run *run = container_of(timer, struct mm_sync_run, watchdog);
	bool print = false;

	raw_spin_lock(&sync.lock);
	if (run->seen_events != run->nr_events) {
		run->seen_events = run->nr_events;
		run->idle_ticks = 0;
	} else {
		run->idle_ticks++;
	}

	if (!run->open && run->started && !sync.turn && run->ended < run->nr_actors)
		pass_on(run, NULL);
	for (int i = 0; !run->open && i < run->nr_actors; i++) {
		int err = run_is_stuck(run, run->actors + i);

		if (err) {
			fail(run, err, i);
			open_run(run);
			print = true;
		}
	}
	raw_spin_unlock(&sync.lock);

	if (print)
		print_schedule(run);
	hrtimer_forward_now(timer, ms_to_ktime(WATCHDOG_PERIOD_MS));
	return HRTIMER_RESTART;
}

/* ---- for those who run schedules ---------------------------------------- */

/**
 * mm_sync_begin() - Set a run up.
 * @run: The run: its folio, schedule and number of actors are set, the rest is 0.
 *
 * Then create the actors' threads, bound to one CPU: each calls mm_sync_join(),
 * does what it is there for and calls mm_sync_leave().  Then mm_sync_start()
 * lets the first go, and mm_sync_finish() waits for all.
 *
 * A run can have several rounds: actors that call mm_sync_again() in place of
 * mm_sync_leave() stay for the next one.  Each is started by mm_sync_start() and
 * waited for by mm_sync_wait(); in between, all of @run that is not private may
 * be changed, but for the number of actors.
 *
 * Context: May sleep.
 * Return: 0; %-EBUSY if there is another run; %-EINVAL if @run makes no sense.
 */
int mm_sync_begin(struct mm_sync_run *run)
{
	if (!run->nr_actors || run->nr_actors > MM_SYNC_MAX_ACTORS)
		return -EINVAL;
	for (int i = 0; i < run->nr_steps; i++)
		if (run->steps[i].actor >= run->nr_actors ||
		    run->steps[i].until > MM_SYNC_WAIT)
			return -EINVAL;

	scoped_guard(raw_spinlock_irqsave, &sync.lock) {
		if (sync.run)
			return -EBUSY;
		sync.run = run;
	}
	if (!run->stall_ms)
		run->stall_ms = DEFAULT_STALL_MS;
	init_completion(&run->all_joined);
	init_completion(&run->all_ended);
	init_completion(&run->all_left);
	hrtimer_setup(&run->watchdog, watchdog, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
	hrtimer_start(&run->watchdog, ms_to_ktime(WATCHDOG_PERIOD_MS), HRTIMER_MODE_REL_HARD);
	static_branch_enable(&mm_sync_key);
	return 0;
}

/* With sync.lock held */
static void start_round(struct mm_sync_run *run)
{
	run->err = 0;
	run->nr_events = 0;
	run->step = 0;
	run->freed = run->kept;
	run->known = NULL;
	bitmap_zero(run->gone, MM_SYNC_MAX_PAGES);
	run->idle_ticks = 0;
	run->seen_events = 0;
	run->ended = run->left;
	reinit_completion(&run->all_ended);
	for (int i = 0; i < run->nr_actors; i++)
		run->actors[i].done = run->actors[i].left;
	WRITE_ONCE(sync.nr_pages, run->keep && !run->kept_pages ?
		   min(folio_nr_pages(run->folio), BITS_PER_LONG) : 1);
	WRITE_ONCE(sync.page, run->keep ? folio_page(run->folio, 0) : NULL);
	pass_on(run, NULL);
}

/**
 * mm_sync_join() - Become an actor of a run, and wait for the first turn.
 * @run: The run.
 * @actor: Which one, from 0 to the number of actors - 1.
 *
 * Context: A thread that holds no locks.
 * Return: 0; %-EINVAL if there is no such actor, or one already, or it comes too
 * late; %-ECANCELED if the run was given up: do nothing, but call mm_sync_leave().
 */
int mm_sync_join(struct mm_sync_run *run, unsigned int actor)
{
	unsigned long flags;
	int ret;

	raw_spin_lock_irqsave(&sync.lock, flags);
	if (sync.run != run || actor >= run->nr_actors || run->actors[actor].task ||
	    run->actors[actor].done || current_actor(run)) {
		raw_spin_unlock_irqrestore(&sync.lock, flags);
		return -EINVAL;
	}
	run->actors[actor].task = get_task_struct(current);
	run->idle_ticks = 0;
	if (++run->joined == run->nr_actors) {
		complete(&run->all_joined);
		if (run->starts_itself && !run->open) {
			run->started = true;
			start_round(run);
		}
	}
	wait_for_turn(run, run->actors + actor, &flags);
	ret = run->open ? -ECANCELED : 0;
	raw_spin_unlock_irqrestore(&sync.lock, flags);
	return ret;
}

/* With sync.lock held */
static void count_ended(struct mm_sync_run *run, struct mm_sync_actor *actor)
{
	if (actor->done)
		return;
	actor->done = true;
	if (++run->ended == run->nr_actors)
		complete(&run->all_ended);
}

static void count_left(struct mm_sync_run *run, struct mm_sync_actor *actor)
{
	if (actor->left)
		return;
	actor->left = true;
	if (++run->left == run->nr_actors)
		complete(&run->all_left);
}

static void end_turn(struct mm_sync_run *run, struct mm_sync_actor *me,
		     const struct mm_sync_state *state)
{
	bool mine = sync.turn == current;

	if (me->done)
		return;
	if (mine)
		record(run, me, state, MM_SYNC_KIND_END, MM_SYNC_END, true);
	count_ended(run, me);
	if (mine)
		pass_on(run, me);
}

/**
 * mm_sync_again() - The actor is done for this round: wait for the next.
 * @run: The run that this thread has joined.
 *
 * Context: A thread that holds no locks.
 * Return: 0: it is this actor's first turn in the next round; %-ECANCELED: there
 * is none, and it has left the run, which may be gone.
 */
int mm_sync_again(struct mm_sync_run *run)
{
	struct mm_sync_state state;
	struct mm_sync_actor *me;
	unsigned long flags;
	int ret = -ECANCELED;

	read_state(&state);
	raw_spin_lock_irqsave(&sync.lock, flags);
	me = current_actor(run);
	if (me) {
		end_turn(run, me, &state);
		wait_for_turn(run, me, &flags);
		if (sync.turn == current)
			ret = 0;
		else
			count_left(run, me);
	}
	raw_spin_unlock_irqrestore(&sync.lock, flags);
	return ret;
}

/**
 * mm_sync_leave() - The actor is done: others go on.
 * @run: The run that this thread has joined.
 *
 * Context: A thread that holds no locks.
 */
void mm_sync_leave(struct mm_sync_run *run)
{
	struct mm_sync_state state;
	struct mm_sync_actor *me;
	unsigned long flags;

	read_state(&state);
	raw_spin_lock_irqsave(&sync.lock, flags);
	me = current_actor(run);
	if (me) {
		end_turn(run, me, &state);
		count_left(run, me);
	}
	raw_spin_unlock_irqrestore(&sync.lock, flags);
}

static int wait_for_joins(struct mm_sync_run *run)
{
	wait_for_completion_timeout(&run->all_joined, msecs_to_jiffies(run->stall_ms));

	guard(raw_spinlock_irqsave)(&sync.lock);
	run->started = true;
	if (run->joined == run->nr_actors)
		return 0;
	/* Who has not come has nothing to leave */
	for (int i = 0; i < run->nr_actors; i++)
		if (!run->actors[i].task) {
			fail(run, -ETIMEDOUT, i);
			count_ended(run, run->actors + i);
			count_left(run, run->actors + i);
		}
	open_run(run);
	return -ETIMEDOUT;
}

/**
 * mm_sync_start() - Let the first actor go.
 * @run: The run.
 *
 * Context: All threads have been created; waits until they have joined.  Or all
 * have ended a round, that is, mm_sync_wait() has returned 0.
 * Return: 0, or %-ETIMEDOUT if not all of them join: the run is given up.
 */
int mm_sync_start(struct mm_sync_run *run)
{
	int ret = 0;

	if (!run->started)
		ret = wait_for_joins(run);
	if (!ret) {
		guard(raw_spinlock_irqsave)(&sync.lock);
		start_round(run);
	}
	return ret;
}

/* Those that are dead will not come.  Return: whether to give up all hope. */
static bool bury_dead(struct mm_sync_run *run)
{
	guard(raw_spinlock_irqsave)(&sync.lock);
	for (int i = 0; run->open && i < run->nr_actors; i++) {
		struct mm_sync_actor *actor = run->actors + i;

		if (!actor->task || !READ_ONCE(actor->task->exit_state))
			continue;
		count_ended(run, actor);
		count_left(run, actor);
	}
	return run->open && run->idle_ticks * WATCHDOG_PERIOD_MS >=
			    run->stall_ms + LEAVE_TIMEOUT_MS;
}

static int wait_for_actors(struct mm_sync_run *run, struct completion *all)
{
	while (!wait_for_completion_timeout(all, msecs_to_jiffies(100)))
		if (bury_dead(run))
			return -EBUSY;
	return run->err;
}

/**
 * mm_sync_wait() - Wait until all actors have ended this round.
 * @run: The run.
 *
 * Context: May sleep.
 * Return: As mm_sync_finish(), which has to follow if it is not 0.
 */
int mm_sync_wait(struct mm_sync_run *run)
{
	return wait_for_actors(run, &run->all_ended);
}

/**
 * mm_sync_finish() - Wait until all actors have left, and end the run.
 * @run: The run.
 *
 * If it has never been started, it is given up.  For a run that starts itself,
 * there is mm_sync_abandon().
 *
 * Context: May sleep.
 * Return: @run->err, or %-EBUSY if actors do not leave, even though the run was
 * given up: @run must not be freed then, and there can be no other run.
 */
int mm_sync_finish(struct mm_sync_run *run)
{
	if (!run->started && !wait_for_joins(run)) {
		guard(raw_spinlock_irqsave)(&sync.lock);
		fail(run, -ECANCELED, 0);
		open_run(run);
	}
	scoped_guard(raw_spinlock_irqsave, &sync.lock) {
		run->idle_ticks = 0;
		run->over = true;
		for (int i = 0; i < run->nr_actors; i++)
			if (run->actors[i].done && !run->actors[i].left)
				wake_up_process(run->actors[i].task);
	}
	if (wait_for_actors(run, &run->all_left) == -EBUSY)
		return -EBUSY;

	hrtimer_cancel(&run->watchdog);
	static_branch_disable(&mm_sync_key);
	scoped_guard(raw_spinlock_irqsave, &sync.lock) {
		WRITE_ONCE(sync.turn, NULL);
		WRITE_ONCE(sync.page, NULL);
		sync.run = NULL;
	}
	for (int i = 0; i < run->nr_actors; i++)
		if (run->actors[i].task)
			put_task_struct(run->actors[i].task);
	return run->err;
}

static bool anybody_held(const struct mm_sync_run *run)
{
	guard(raw_spinlock_irqsave)(&sync.lock);
	for (int i = 0; i < run->nr_actors; i++)
		if (run->actors[i].held)
			return true;
	return false;
}

/**
 * mm_sync_abandon() - End a run, whatever its actors are doing.
 * @run: The run.
 *
 * Those that have not left yet go on as if there had been no run: nobody waits
 * for them, as they may be in user space.  They may still call mm_sync_leave();
 * @run must not be freed before nobody does any more.
 *
 * Context: May sleep.  No actor.
 * Return: @run->err; if there was none before, and there were such actors,
 * %-ECANCELED.
 */
int mm_sync_abandon(struct mm_sync_run *run)
{
	scoped_guard(raw_spinlock_irqsave, &sync.lock) {
		run->started = true;
		if (run->left < run->nr_actors) {
			fail(run, -ECANCELED, 0);
			open_run(run);
		}
	}
	while (anybody_held(run))
		fsleep(1000);
	scoped_guard(raw_spinlock_irqsave, &sync.lock)
		for (int i = 0; i < run->nr_actors; i++) {
			count_ended(run, run->actors + i);
			count_left(run, run->actors + i);
		}
	return mm_sync_finish(run);
}

/**
 * mm_sync_peek() - Copy a run that may be going on.
 * @run: The run.
 * @copy: The copy, in which to look at what is not private.
 */
void mm_sync_peek(const struct mm_sync_run *run, struct mm_sync_run *copy)
{
	guard(raw_spinlock_irqsave)(&sync.lock);
	*copy = *run;
}

static struct page *take_kept(struct mm_sync_run *run, unsigned int i)
{
	struct page *page = folio_page(run->folio, 0) + i;
	unsigned int order = run->kept_order[i];

	post_alloc_hook(page, order, GFP_KERNEL, ALLOC_DEFAULT);
	set_page_refcounted(page);
	run->kept_pages &= ~pages_of(i, order);
	if (i)
		return page;
	run->kept = false;
	run->freed = false;
	bitmap_zero(run->gone, MM_SYNC_MAX_PAGES);
	return page;
}

/**
 * mm_sync_reuse() - Allocate the page of the folio under test once more.
 * @run: The run, which has @keep set.
 *
 * Context: An actor, or between two rounds.
 * Return: @run->folio with one reference, or NULL if it is not free, or not of
 * order 0.
 */
struct folio *mm_sync_reuse(struct mm_sync_run *run)
{
	if (!run->kept || run->kept_order[0])
		return NULL;
	take_kept(run, 0);
	return run->folio;
}

/**
 * mm_sync_release() - Let the page allocator have the pages after all.
 * @run: The run, whose @keep is false afterwards.
 *
 * Context: Between two rounds, or after the last.
 */
void mm_sync_release(struct mm_sync_run *run)
{
	if (run->kept_pages)
		run->keep = false;
	while (run->kept_pages) {
		unsigned int i = __ffs(run->kept_pages);

		__free_pages(take_kept(run, i), run->kept_order[i]);
	}
}
