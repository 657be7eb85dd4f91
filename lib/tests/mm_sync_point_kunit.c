// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the sync points themselves: schedules are followed, and those
 * that can't be end in a failure with a name, with nobody left behind.
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/debug_locks.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mm_sync_point.h>
#include <linux/rcupdate.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include "folio_race.h"

#define MAX_STEPS	8
#define STALL_MS	200

static bool oops;
module_param(oops, bool, 0444);
MODULE_PARM_DESC(oops, "have an actor oops, to see that the schedule is printed: ends the boot");

struct fixture;

struct thread {
	struct fixture *fixture;
	struct task_struct *task;
	int index;
	void (*fn)(struct fixture *fixture);
	bool no_join;
};

struct fixture {
	struct kunit *test;
	struct mm_sync_run run;
	struct mm_sync_step steps[MAX_STEPS];
	struct thread threads[MM_SYNC_MAX_ACTORS];
	struct completion never;
	struct completion away;
	spinlock_t lock;		/* what locks() takes */
	struct rw_semaphore sem;	/* and reads_sem() and writes_sem() */
	struct folio folios[2];
	unsigned long gp;
	bool gp_ended;
	bool again;		/* threads stay for other rounds */
	bool stuck;		/* threads may come back: leave them all this */
};

/* ---- actors ------------------------------------------------------------- */

static void two_points(struct fixture *fixture)
{
	mm_sync_point(TEST_1, NULL);
	mm_sync_point(TEST_2, NULL);
}

static void one_point(struct fixture *fixture)
{
	mm_sync_point(TEST_1, NULL);
}

static void many_points(struct fixture *fixture)
{
	for (int i = 0; i <= MM_SYNC_MAX_EVENTS; i++)
		mm_sync_point(TEST_1, NULL);
}

static void other_folio(struct fixture *fixture)
{
	mm_sync_point(TEST_1, &fixture->folios[1]);
	mm_sync_point(TEST_1, &fixture->folios[0]);
}

static void never_comes_back(struct fixture *fixture)
{
	wait_for_completion(&fixture->never);
}

static void comes_back_late(struct fixture *fixture)
{
	wait_for_completion_timeout(&fixture->never, msecs_to_jiffies(4 * STALL_MS));
}

static void dies(struct fixture *fixture)
{
	kthread_exit(0);
}

static void oopses(struct fixture *fixture)
{
	mm_sync_point(TEST_1, NULL);
	WRITE_ONCE(*(int *)NULL, 0);
}

static void locks(struct fixture *fixture)
{
	mm_sync_lock(PTL, &fixture->lock);
	spin_lock(&fixture->lock);
	mm_sync_point(TEST_1, NULL);
	spin_unlock(&fixture->lock);
	mm_sync_point(TEST_2, NULL);
}

static void locks_late(struct fixture *fixture)
{
	wait_for_completion(&fixture->never);
	locks(fixture);
}

/* What down_read() and down_write() do themselves, as the hook is in there */
static void reads_sem(struct fixture *fixture)
{
	down_read(&fixture->sem);
	mm_sync_point(TEST_1, NULL);
	up_read(&fixture->sem);
	mm_sync_point(TEST_2, NULL);
}

static void writes_sem(struct fixture *fixture)
{
	down_write(&fixture->sem);
	mm_sync_point(TEST_1, NULL);
	up_write(&fixture->sem);
	mm_sync_point(TEST_2, NULL);
}

/* As an actor does that has gone to user space */
static void stays_away(struct fixture *fixture)
{
	complete(&fixture->away);
	wait_for_completion(&fixture->never);
	mm_sync_point(TEST_1, NULL);
}

static void lock_folio(struct folio *folio)
{
	mm_sync_lock(FOLIO_LOCK, folio);
	__folio_set_locked(folio);
}

static void locks_0_1(struct fixture *fixture)
{
	lock_folio(&fixture->folios[0]);
	mm_sync_point(TEST_1, NULL);
	lock_folio(&fixture->folios[1]);
}

static void locks_1_0(struct fixture *fixture)
{
	lock_folio(&fixture->folios[1]);
	mm_sync_point(TEST_1, NULL);
	lock_folio(&fixture->folios[0]);
}

static void interrupts_off(struct fixture *fixture)
{
	local_irq_disable();
	mm_sync_point(TEST_1, NULL);
	local_irq_enable();
	mm_sync_point(TEST_2, NULL);
}

static void hold_off_on(struct fixture *fixture)
{
	mm_sync_hold_off();
	mm_sync_point(TEST_1, NULL);
	mm_sync_hold_on();
	mm_sync_point(TEST_2, NULL);
}

static void rcu_reader(struct fixture *fixture)
{
	rcu_read_lock();
	mm_sync_point(TEST_1, NULL);
	rcu_read_unlock();
}

/* A grace period must not end while the reader is held */
static void rcu_writer(struct fixture *fixture)
{
	fixture->gp = start_poll_synchronize_rcu_expedited();
	wait_for_completion_timeout(&fixture->never, msecs_to_jiffies(STALL_MS / 2));
	fixture->gp_ended = poll_state_synchronize_rcu(fixture->gp);
}

/* ---- running them ------------------------------------------------------- */

static int thread_fn(void *data)
{
	struct thread *thread = data;
	struct mm_sync_run *run = &thread->fixture->run;

	if (thread->fixture->again) {
		if (mm_sync_join(run, thread->index)) {
			mm_sync_leave(run);
			return 0;
		}
		do {
			thread->fn(thread->fixture);
		} while (!mm_sync_again(run));
	} else if (!thread->no_join) {
		if (!mm_sync_join(run, thread->index))
			thread->fn(thread->fixture);
		mm_sync_leave(run);
	} else if (thread->fn) {
		thread->fn(thread->fixture);
	}
	return 0;
}

static void add_thread(struct fixture *fixture, void (*fn)(struct fixture *fixture))
{
	struct thread *thread = fixture->threads + fixture->run.nr_actors;

	thread->fixture = fixture;
	thread->index = fixture->run.nr_actors++;
	thread->fn = fn;
}

static void add_step(struct fixture *fixture, int actor, enum mm_sync_point until)
{
	struct mm_sync_step *step = fixture->steps + fixture->run.nr_steps++;

	step->actor = actor;
	step->until = until;
}

static void create_threads(struct fixture *fixture)
{
	KUNIT_ASSERT_EQ(fixture->test, mm_sync_begin(&fixture->run), 0);
	for (int i = 0; i < fixture->run.nr_actors; i++) {
		struct thread *thread = fixture->threads + i;

		thread->task = race_start_thread(thread_fn, thread, "mm_sync_point/%u");
	}
}

static void start(struct fixture *fixture)
{
	create_threads(fixture);
	mm_sync_start(&fixture->run);
}

static void stop_threads(struct fixture *fixture)
{
	for (int i = 0; i < fixture->run.nr_actors; i++) {
		struct thread *thread = fixture->threads + i;

		if (!thread->task)
			continue;
		kthread_stop_put(thread->task);
		thread->task = NULL;
	}
}

/* Wait for the end of the run */
static int finish(struct fixture *fixture)
{
	int ret = mm_sync_finish(&fixture->run);

	if (ret == -EBUSY) {
		fixture->stuck = true;
		KUNIT_FAIL_AND_ABORT(fixture->test, "actors are stuck");
	}
	stop_threads(fixture);
	KUNIT_EXPECT_TRUE_MSG(fixture->test, debug_locks, "lockdep has turned itself off");
	return ret;
}

static int run_all(struct fixture *fixture)
{
	start(fixture);
	return finish(fixture);
}

/* What there is after a failure: it is named, and the next run is a good one */
static void expect_error(struct fixture *fixture, int err, int actor, int step)
{
	struct kunit *test = fixture->test;

	KUNIT_EXPECT_EQ(test, fixture->run.err, err);
	KUNIT_EXPECT_EQ(test, fixture->run.err_actor, actor);
	KUNIT_EXPECT_EQ(test, fixture->run.err_step, step);

	memset(&fixture->run, 0, sizeof(fixture->run));
	memset(fixture->threads, 0, sizeof(fixture->threads));
	fixture->run.steps = fixture->steps;
	add_thread(fixture, one_point);
	add_step(fixture, 0, MM_SYNC_TEST_1);
	KUNIT_EXPECT_EQ(test, run_all(fixture), 0);
}

static void expect_event(struct fixture *fixture, int n, int actor,
			 enum mm_sync_kind kind, enum mm_sync_point point)
{
	const struct mm_sync_event *event = fixture->run.events + n;

	KUNIT_ASSERT_GT(fixture->test, fixture->run.nr_events, n);
	KUNIT_EXPECT_EQ_MSG(fixture->test, event->actor, actor, "event %d", n);
	KUNIT_EXPECT_EQ_MSG(fixture->test, event->kind, kind, "event %d", n);
	KUNIT_EXPECT_EQ_MSG(fixture->test, event->point, point, "event %d", n);
}

/* ---- schedules that are followed ---------------------------------------- */

static void follows_schedule(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	add_thread(fixture, two_points);
	add_thread(fixture, two_points);
	add_step(fixture, 1, MM_SYNC_TEST_1);
	add_step(fixture, 0, MM_SYNC_TEST_2);
	add_step(fixture, 1, MM_SYNC_TEST_2);
	add_step(fixture, 0, MM_SYNC_END);

	KUNIT_EXPECT_EQ(test, run_all(fixture), 0);
	KUNIT_EXPECT_EQ(test, fixture->run.nr_events, 6);
	expect_event(fixture, 0, 1, MM_SYNC_KIND_STOP, MM_SYNC_TEST_1);
	expect_event(fixture, 1, 0, MM_SYNC_KIND_PASS, MM_SYNC_TEST_1);
	expect_event(fixture, 2, 0, MM_SYNC_KIND_STOP, MM_SYNC_TEST_2);
	expect_event(fixture, 3, 1, MM_SYNC_KIND_STOP, MM_SYNC_TEST_2);
	expect_event(fixture, 4, 0, MM_SYNC_KIND_END, MM_SYNC_END);
	expect_event(fixture, 5, 1, MM_SYNC_KIND_END, MM_SYNC_END);
}

static void follows_one_folio(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	fixture->run.folio = &fixture->folios[0];
	add_thread(fixture, other_folio);
	add_step(fixture, 0, MM_SYNC_TEST_1);
	KUNIT_EXPECT_EQ(test, run_all(fixture), 0);
	KUNIT_EXPECT_EQ(test, fixture->run.nr_events, 2);
}

/* Whoever needs a lock waits for it, exactly as long as it is taken */
static void waits_for_lock(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	add_thread(fixture, locks);
	add_thread(fixture, locks);
	add_step(fixture, 0, MM_SYNC_TEST_1);
	add_step(fixture, 1, MM_SYNC_WAIT);
	add_step(fixture, 0, MM_SYNC_TEST_2);
	add_step(fixture, 1, MM_SYNC_TEST_1);
	KUNIT_EXPECT_EQ(test, run_all(fixture), 0);
	expect_event(fixture, 1, 1, MM_SYNC_KIND_WAIT, MM_SYNC_WAIT);
	KUNIT_EXPECT_EQ(test, fixture->run.events[1].lock, MM_SYNC_PTL);
	expect_event(fixture, 2, 0, MM_SYNC_KIND_STOP, MM_SYNC_TEST_2);
	expect_event(fixture, 3, 1, MM_SYNC_KIND_STOP, MM_SYNC_TEST_1);
}

/* Readers do not wait for readers, but for a writer, and a writer for all */
static void waits_for_rwsem(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	add_thread(fixture, reads_sem);
	add_thread(fixture, reads_sem);
	add_thread(fixture, writes_sem);
	add_step(fixture, 0, MM_SYNC_TEST_1);
	add_step(fixture, 1, MM_SYNC_TEST_1);
	add_step(fixture, 2, MM_SYNC_WAIT);
	add_step(fixture, 0, MM_SYNC_END);
	add_step(fixture, 1, MM_SYNC_TEST_2);
	add_step(fixture, 2, MM_SYNC_TEST_1);
	add_step(fixture, 1, MM_SYNC_END);
	KUNIT_EXPECT_EQ(test, run_all(fixture), 0);
	expect_event(fixture, 2, 2, MM_SYNC_KIND_WAIT, MM_SYNC_WAIT);
	KUNIT_EXPECT_EQ(test, fixture->run.events[2].lock, MM_SYNC_RWSEM);

	memset(&fixture->run, 0, sizeof(fixture->run));
	fixture->run.steps = fixture->steps;
	add_thread(fixture, writes_sem);
	add_thread(fixture, reads_sem);
	add_step(fixture, 0, MM_SYNC_TEST_1);
	add_step(fixture, 1, MM_SYNC_WAIT);
	add_step(fixture, 0, MM_SYNC_TEST_2);
	add_step(fixture, 1, MM_SYNC_TEST_1);
	KUNIT_EXPECT_EQ(test, run_all(fixture), 0);
	expect_event(fixture, 1, 1, MM_SYNC_KIND_WAIT, MM_SYNC_WAIT);
	expect_event(fixture, 3, 1, MM_SYNC_KIND_STOP, MM_SYNC_TEST_1);
}

static void starts_itself(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	fixture->run.starts_itself = true;
	add_thread(fixture, two_points);
	add_thread(fixture, one_point);
	add_step(fixture, 1, MM_SYNC_TEST_1);
	add_step(fixture, 0, MM_SYNC_END);
	create_threads(fixture);
	KUNIT_EXPECT_EQ(test, mm_sync_wait(&fixture->run), 0);
	KUNIT_EXPECT_EQ(test, mm_sync_abandon(&fixture->run), 0);
	stop_threads(fixture);
	expect_event(fixture, 0, 1, MM_SYNC_KIND_STOP, MM_SYNC_TEST_1);
	expect_event(fixture, 3, 0, MM_SYNC_KIND_END, MM_SYNC_END);
}

static void holds_rcu_reader(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	add_thread(fixture, rcu_reader);
	add_thread(fixture, rcu_writer);
	add_step(fixture, 0, MM_SYNC_TEST_1);
	add_step(fixture, 1, MM_SYNC_END);
	fixture->run.stall_ms = 10 * STALL_MS;

	/* Nobody reads yet: the time is enough for a grace period */
	rcu_writer(fixture);
	KUNIT_EXPECT_TRUE(test, fixture->gp_ended);
	KUNIT_EXPECT_EQ(test, run_all(fixture), 0);
	KUNIT_EXPECT_FALSE(test, fixture->gp_ended);
	cond_synchronize_rcu_expedited(fixture->gp);
	KUNIT_EXPECT_TRUE(test, poll_state_synchronize_rcu(fixture->gp));
}

/* This thread takes no part, and gets by while the actors are held */
static void bystander_passes(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	unsigned long before;

	add_thread(fixture, one_point);
	add_thread(fixture, comes_back_late);
	add_step(fixture, 0, MM_SYNC_TEST_1);
	fixture->run.stall_ms = 50 * STALL_MS;
	start(fixture);

	before = mm_sync_bystanders();
	mm_sync_point(TEST_1, NULL);
	KUNIT_EXPECT_GT(test, mm_sync_bystanders(), before);
	complete(&fixture->never);

	KUNIT_EXPECT_EQ(test, finish(fixture), 0);
	KUNIT_EXPECT_EQ(test, fixture->run.nr_events, 3);
}

/* This one has a lock for a while.  No actor has, so that it is no part of the story. */
static void bystander_locks(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	unsigned int cpu = cpumask_any_but(cpu_online_mask, raw_smp_processor_id());

	if (cpu >= nr_cpu_ids)
		kunit_skip(test, "takes two CPUs");
	add_thread(fixture, locks_late);
	add_thread(fixture, locks);
	add_step(fixture, 0, MM_SYNC_TEST_2);
	start(fixture);
	set_cpus_allowed_ptr(current, cpumask_of(cpu));

	spin_lock(&fixture->lock);
	complete(&fixture->never);
	mdelay(20);
	spin_unlock(&fixture->lock);

	KUNIT_EXPECT_EQ(test, finish(fixture), 0);
	expect_event(fixture, 0, 0, MM_SYNC_KIND_PASS, MM_SYNC_TEST_1);
}

/* ---- and those that can't be -------------------------------------------- */

static void point_not_on_the_way(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	add_thread(fixture, one_point);
	add_thread(fixture, two_points);
	add_step(fixture, 1, MM_SYNC_TEST_1);
	add_step(fixture, 0, MM_SYNC_TEST_2);
	KUNIT_EXPECT_EQ(test, run_all(fixture), -ESRCH);
	expect_error(fixture, -ESRCH, 0, 1);
}

static void actor_has_ended(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	add_thread(fixture, one_point);
	add_step(fixture, 0, MM_SYNC_END);
	add_step(fixture, 0, MM_SYNC_TEST_1);
	KUNIT_EXPECT_EQ(test, run_all(fixture), -EINVAL);
	expect_error(fixture, -EINVAL, 0, 1);
}

static void lock_is_taken(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	add_thread(fixture, locks);
	add_thread(fixture, locks);
	add_step(fixture, 0, MM_SYNC_TEST_1);
	add_step(fixture, 1, MM_SYNC_TEST_1);
	KUNIT_EXPECT_EQ(test, run_all(fixture), -EDEADLK);
	expect_error(fixture, -EDEADLK, 1, 1);
}

/* Nobody can go: this is no schedule's fault.  One of the locks goes by itself. */
static void deadlock(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	add_thread(fixture, locks_0_1);
	add_thread(fixture, locks_1_0);
	add_step(fixture, 0, MM_SYNC_TEST_1);
	add_step(fixture, 1, MM_SYNC_WAIT);
	add_step(fixture, 0, MM_SYNC_WAIT);
	fixture->run.stall_ms = STALL_MS;

	start(fixture);
	for (int ms = 0; ms < 50 * STALL_MS && !READ_ONCE(fixture->run.open); ms += 20)
		msleep(20);
	__folio_clear_locked(&fixture->folios[0]);
	__folio_clear_locked(&fixture->folios[1]);
	KUNIT_EXPECT_EQ(test, finish(fixture), -EDEADLK);
	expect_error(fixture, -EDEADLK, 0, 3);
}

static void interrupts_off_alone(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	add_thread(fixture, interrupts_off);
	add_step(fixture, 0, MM_SYNC_TEST_1);
	KUNIT_EXPECT_EQ(test, run_all(fixture), 0);
	expect_event(fixture, 0, 0, MM_SYNC_KIND_STOP, MM_SYNC_TEST_1);
}

/* The other actor may need the CPU on which this one would spin */
static void interrupts_are_off(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	add_thread(fixture, interrupts_off);
	add_thread(fixture, one_point);
	add_step(fixture, 0, MM_SYNC_TEST_1);
	KUNIT_EXPECT_EQ(test, run_all(fixture), -EWOULDBLOCK);
	expect_event(fixture, 0, 0, MM_SYNC_KIND_PASS, MM_SYNC_TEST_1);
	expect_error(fixture, -EWOULDBLOCK, 0, 0);
}

static void hold_is_off(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	add_thread(fixture, hold_off_on);
	add_step(fixture, 0, MM_SYNC_TEST_1);
	KUNIT_EXPECT_EQ(test, run_all(fixture), -EWOULDBLOCK);
	expect_error(fixture, -EWOULDBLOCK, 0, 0);
}

static void point_never_comes(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	add_thread(fixture, comes_back_late);
	add_thread(fixture, two_points);
	add_step(fixture, 1, MM_SYNC_TEST_1);
	add_step(fixture, 0, MM_SYNC_TEST_1);
	fixture->run.stall_ms = STALL_MS;
	KUNIT_EXPECT_EQ(test, run_all(fixture), -ETIMEDOUT);
	expect_error(fixture, -ETIMEDOUT, 0, 1);
}

/* Nothing can be done about such a thread, but it is told, and nobody hangs */
static void actor_is_stuck(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	add_thread(fixture, never_comes_back);
	add_step(fixture, 0, MM_SYNC_TEST_1);
	fixture->run.stall_ms = STALL_MS;
	start(fixture);
	KUNIT_EXPECT_EQ(test, mm_sync_finish(&fixture->run), -EBUSY);

	complete(&fixture->never);
	KUNIT_EXPECT_EQ(test, finish(fixture), -ETIMEDOUT);
	expect_error(fixture, -ETIMEDOUT, 0, 0);
}

static void actor_dies(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	add_thread(fixture, dies);
	add_thread(fixture, two_points);
	add_step(fixture, 1, MM_SYNC_TEST_1);
	add_step(fixture, 0, MM_SYNC_TEST_1);
	KUNIT_EXPECT_EQ(test, run_all(fixture), -EOWNERDEAD);
	expect_error(fixture, -EOWNERDEAD, 0, 1);
}

static void actor_does_not_join(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	add_thread(fixture, two_points);
	add_thread(fixture, NULL);
	fixture->threads[1].no_join = true;
	add_step(fixture, 0, MM_SYNC_TEST_1);
	fixture->run.stall_ms = STALL_MS;
	KUNIT_EXPECT_EQ(test, run_all(fixture), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, fixture->run.nr_events, 0);
	expect_error(fixture, -ETIMEDOUT, 1, 0);
}

static void too_many_events(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	add_thread(fixture, many_points);
	KUNIT_EXPECT_EQ(test, run_all(fixture), -E2BIG);
	KUNIT_EXPECT_EQ(test, fixture->run.nr_events, MM_SYNC_MAX_EVENTS);
	expect_error(fixture, -E2BIG, 0, 0);
}

static void never_started(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	add_thread(fixture, one_point);
	add_thread(fixture, one_point);
	add_step(fixture, 0, MM_SYNC_TEST_1);
	create_threads(fixture);
	KUNIT_EXPECT_EQ(test, finish(fixture), -ECANCELED);
	expect_error(fixture, -ECANCELED, 0, 0);
}

/* The same threads for one round after the other, then a failure in one */
static void several_rounds(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	fixture->again = true;
	add_thread(fixture, two_points);
	add_thread(fixture, two_points);
	add_step(fixture, 0, MM_SYNC_TEST_1);
	add_step(fixture, 1, MM_SYNC_END);
	create_threads(fixture);
	for (int i = 0; i < 3; i++) {
		KUNIT_EXPECT_EQ(test, mm_sync_start(&fixture->run), 0);
		KUNIT_EXPECT_EQ(test, mm_sync_wait(&fixture->run), 0);
		KUNIT_EXPECT_EQ(test, fixture->run.nr_events, 6);
		expect_event(fixture, 0, 0, MM_SYNC_KIND_STOP, MM_SYNC_TEST_1);
		expect_event(fixture, 3, 1, MM_SYNC_KIND_END, MM_SYNC_END);
		expect_event(fixture, 5, 0, MM_SYNC_KIND_END, MM_SYNC_END);
	}
	add_step(fixture, 1, MM_SYNC_TEST_1);
	KUNIT_EXPECT_EQ(test, mm_sync_start(&fixture->run), 0);
	KUNIT_EXPECT_EQ(test, mm_sync_wait(&fixture->run), -EINVAL);
	KUNIT_EXPECT_EQ(test, finish(fixture), -EINVAL);
	fixture->again = false;
	expect_error(fixture, -EINVAL, 1, 2);
}

static void one_run_at_a_time(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	struct mm_sync_run *other;

	other = kunit_kzalloc(test, sizeof(*other), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, other);
	KUNIT_EXPECT_EQ(test, mm_sync_begin(other), -EINVAL);
	other->nr_actors = MM_SYNC_MAX_ACTORS + 1;
	KUNIT_EXPECT_EQ(test, mm_sync_begin(other), -EINVAL);
	other->nr_actors = 1;
	other->steps = fixture->steps;
	other->nr_steps = 1;
	fixture->steps[0].actor = 1;
	KUNIT_EXPECT_EQ(test, mm_sync_begin(other), -EINVAL);
	fixture->steps[0].actor = 0;
	fixture->steps[0].until = MM_SYNC_WAIT + 1;
	KUNIT_EXPECT_EQ(test, mm_sync_begin(other), -EINVAL);

	add_thread(fixture, one_point);
	fixture->run.nr_steps = 0;
	add_step(fixture, 0, MM_SYNC_TEST_1);
	start(fixture);
	KUNIT_EXPECT_EQ(test, mm_sync_begin(other), -EBUSY);
	KUNIT_EXPECT_EQ(test, finish(fixture), 0);
}

/* Nobody waits for the actor that is away, and it is none any more when it comes back */
static void abandoned(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	fixture->run.starts_itself = true;
	fixture->run.stall_ms = 10 * MSEC_PER_SEC;
	add_thread(fixture, two_points);
	add_thread(fixture, stays_away);
	add_step(fixture, 0, MM_SYNC_TEST_1);
	add_step(fixture, 1, MM_SYNC_TEST_1);
	create_threads(fixture);
	wait_for_completion(&fixture->away);
	KUNIT_EXPECT_EQ(test, mm_sync_abandon(&fixture->run), -ECANCELED);
	complete(&fixture->never);
	stop_threads(fixture);
	KUNIT_EXPECT_EQ(test, fixture->run.nr_events, 1);
	expect_error(fixture, -ECANCELED, 0, 1);
}

/* The kernel dies of it, having printed the schedule */
static void actor_oopses(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	if (!oops)
		kunit_skip(test, "ends the boot: ask for it by mm_sync_point_kunit.oops=1");
	add_thread(fixture, oopses);
	add_thread(fixture, two_points);
	add_step(fixture, 1, MM_SYNC_TEST_1);
	add_step(fixture, 0, MM_SYNC_END);
	KUNIT_EXPECT_EQ(test, run_all(fixture), -EOWNERDEAD);
}

/* ---- suite -------------------------------------------------------------- */

static int fixture_init(struct kunit *test)
{
	struct fixture *fixture = kzalloc_obj(*fixture);

	if (!fixture)
		return -ENOMEM;
	test->priv = fixture;
	fixture->test = test;
	fixture->run.steps = fixture->steps;
	/* The actors are to be on one CPU */
	set_cpus_allowed_ptr(current, cpumask_of(raw_smp_processor_id()));
	init_completion(&fixture->never);
	init_completion(&fixture->away);
	init_rwsem(&fixture->sem);
	spin_lock_init(&fixture->lock);
	return 0;
}

static void fixture_exit(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	if (fixture && !fixture->stuck)
		kfree(fixture);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(follows_schedule),
	KUNIT_CASE(follows_one_folio),
	KUNIT_CASE(waits_for_lock),
	KUNIT_CASE(waits_for_rwsem),
	KUNIT_CASE(starts_itself),
	KUNIT_CASE(holds_rcu_reader),
	KUNIT_CASE(bystander_passes),
	KUNIT_CASE(bystander_locks),
	KUNIT_CASE(point_not_on_the_way),
	KUNIT_CASE(actor_has_ended),
	KUNIT_CASE(lock_is_taken),
	KUNIT_CASE(deadlock),
	KUNIT_CASE(interrupts_off_alone),
	KUNIT_CASE(interrupts_are_off),
	KUNIT_CASE(hold_is_off),
	KUNIT_CASE(point_never_comes),
	KUNIT_CASE_SLOW(actor_is_stuck),
	KUNIT_CASE(actor_dies),
	KUNIT_CASE(actor_does_not_join),
	KUNIT_CASE(too_many_events),
	KUNIT_CASE(never_started),
	KUNIT_CASE(several_rounds),
	KUNIT_CASE(one_run_at_a_time),
	KUNIT_CASE(abandoned),
	KUNIT_CASE(actor_oopses),
	{}
};

static struct kunit_suite suite = {
	.name = "mm_sync_point",
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suites(&suite);
