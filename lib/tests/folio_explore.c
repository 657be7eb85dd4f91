// SPDX-License-Identifier: GPL-2.0-only
/*
 * The search of the explorer, see folio_explore.h.
 *
 * It runs the actors again and again, each time by another schedule: at each
 * sync point it decides who goes on, and when all are done it takes the last
 * decision back that has an alternative, depth first, until there is none.
 */
#define pr_fmt(fmt) "folio_explore: " fmt

#include <kunit/test.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/math64.h>
#include <linux/sched/signal.h>
#include <linux/vmalloc.h>
#include "folio_explore.h"
#include "folio_race.h"

#define MAX_LINE	900	/* of a record of the kernel's log */
/* How deep the choice tree is cut into shards */
#define SHARD_DEPTH	12
#define PROGRESS_SECONDS 5

/* A state, told from others by a hash of all that is known of it */
struct state {
	u64 hash;
	u64 paths;		/* schedules from here to the end */
	u8 cost;		/* preemptions that it took to get here */
};

static const struct explore_check *failed_check(const struct explorer *ex)
{
	return ex->model->checks + __ffs(ex->failed);	/* the first, if several have */
}

static const char *failed_text(const struct explorer *ex)
{
	return ex->wrong[0] && hweight_long(ex->failed) == 1 ? ex->wrong : failed_check(ex)->text;
}

/* Make an explorer of what the caller has filled in, the rest being 0 */
bool explore_open(struct explorer *ex, unsigned int log2)
{
	ex->nr_slots = BIT(clamp(log2, 4, 30));
	ex->states = vcalloc(ex->nr_slots, sizeof(*ex->states));
	ex->bound = -1;
	ex->prune = true;
	ex->shards = 1;
	return ex->states;
}

/* ---- states ------------------------------------------------------------- */

/* An actor has gone on from one point to another, waiting or not: so a guard came out */
static void note_next(struct explorer *ex, const struct mm_sync_event *event)
{
	int *last = ex->point + event->actor;

	if (event->point == MM_SYNC_WAIT)
		return;
	if (*last >= 0)
		__set_bit(event->point, ex->next[*last]);
	*last = event->point < MM_SYNC_NR_POINTS ? event->point : -1;
}

/* What an actor has seen so far: the points, and the little that it may have read there */
static void add_history(struct explorer *ex)
{
	for (; ex->seen_events < ex->run.nr_events; ex->seen_events++) {
		const struct mm_sync_event *event = ex->run.events + ex->seen_events;
		u64 *history = ex->history + event->actor;

		note_next(ex, event);
		*history = mix(*history, event->point | event->lock << 16 |
			       (u64)ex->epoch << 32 | ex->model->seen(ex, event));
	}
}

/* Between two steps of an actor, nobody else running */
static u64 state_now(struct explorer *ex)
{
	u64 hash = ex->epoch;

	for (int i = 0; i < ex->run.nr_actors; i++)
		hash = mix(hash, ex->history[i]);
	return ex->model->hash(ex, hash) ?: 1;
}

static struct state *find_state(struct explorer *ex, u64 hash)
{
	unsigned long slot = hash & (ex->nr_slots - 1);

	while (ex->states[slot].hash && ex->states[slot].hash != hash)
		slot = (slot + 1) & (ex->nr_slots - 1);
	return ex->states + slot;
}

/* Is this state new, or seen before, but at the cost of more preemptions? */
static bool add_state(struct explorer *ex, struct state *state, u64 hash)
{
	if (state->hash && (ex->bound < 0 || state->cost <= ex->preemptions))
		return false;
	state->cost = ex->preemptions;
	if (state->hash)
		return true;
	if (ex->nr_states > ex->nr_slots / 4 * 3) {
		ex->error = "too many states: raise folio_explore_kunit.states_log2";
		return false;
	}
	state->hash = hash;
	state->paths = 0;
	ex->nr_states++;
	ex->states_digest += mix(hash, 1);
	return true;
}

/* ---- decisions ---------------------------------------------------------- */

static bool can_go_on(int me, unsigned long may_go)
{
	return me >= 0 && may_go & BIT(me);
}

/* Who is it, the @choice-th of those in @may_go? */
static int nth_choice(int me, unsigned long may_go, unsigned int choice)
{
	if (can_go_on(me, may_go)) {
		if (!choice)
			return me;
		choice--;
		may_go &= ~BIT(me);
	}
	while (choice--)
		may_go &= may_go - 1;
	return __ffs(may_go);
}

static int chosen_by(const struct decision *node, unsigned int choice)
{
	return nth_choice(node->me, node->may_go, choice);
}

static bool is_preemption(const struct decision *node)
{
	return can_go_on(node->me, node->may_go) && node->chosen != node->me;
}

static u64 digest_of(const struct explorer *ex, unsigned int depth)
{
	u64 digest = 1;

	for (int i = 0; i < depth; i++)
		digest = mix(digest, ex->nodes[i].chosen);
	return digest;
}

/* How many of the choices at this decision are to be explored? */
static unsigned int choices(struct explorer *ex, struct decision *node, unsigned int depth)
{
	bool is_new;

	/* All shards get to this depth in the same way */
	if (ex->shards > 1 && depth == SHARD_DEPTH)
		ex->not_mine = node->hash % ex->shards != ex->shard;
	if (ex->not_mine)
		return 1;
	is_new = add_state(ex, node->state, node->hash);
	if (ex->prune && !is_new) {
		ex->pruned++;
		node->pruned = true;
		return 1;
	}
	/* At the bound, only those go on that can, or some other if it can't */
	if (ex->bound >= 0 && ex->preemptions >= ex->bound && can_go_on(node->me, node->may_go))
		return 1;
	return hweight8(node->may_go);
}

static unsigned int random_choice(struct explorer *ex, struct decision *node, unsigned int depth)
{
	unsigned int best = 0;

	for (int i = 0; i < ARRAY_SIZE(ex->change); i++)
		if (depth == ex->change[i] && node->me >= 0)
			ex->priority[node->me] = i;	/* lower than all others' */
	for (int choice = 1; choice < hweight8(node->may_go); choice++)
		if (ex->priority[chosen_by(node, choice)] > ex->priority[chosen_by(node, best)])
			best = choice;
	return best;
}

static int choose(struct mm_sync_run *run, int me, unsigned long may_go)
{
	struct explorer *ex = container_of(run, struct explorer, run);
	unsigned int depth = ex->depth;
	struct decision *node = ex->nodes + depth;
	u64 hash;

	add_history(ex);
	ex->model->check(ex, false);
	if (ex->mode == FOLLOW) {
		if (run->step == run->nr_steps)
			return nth_choice(me, may_go, 0);
		if (!(may_go & BIT(run->steps[run->step].actor)))
			ex->error = "the actor of a step can't go on";
		return ex->error ? __ffs(may_go) : run->steps[run->step].actor;
	}
	may_go = ex->model->choices(ex, may_go) ?: may_go;
	if (ex->coarse && can_go_on(me, may_go) &&
	    ex->model->coarse(run->events[run->nr_events - 1].point))
		return me;
	if (depth == ARRAY_SIZE(ex->nodes)) {
		ex->error = "too many decisions in a schedule";
		return nth_choice(me, may_go, 0);
	}

	ex->depth++;
	hash = state_now(ex);
	/* Whose turn it was makes a difference to what the next switch costs */
	if (ex->bound >= 0)
		hash = mix(hash, me) ?: 1;
	if (ex->mode == DEPTH_FIRST && depth < ex->prefix &&
	    (node->hash != hash || node->may_go != may_go)) {
		ex->error = "the same choices have led to another state";
		node->choice = 0;
	}
	node->me = me;
	node->may_go = may_go;
	node->event = run->nr_events;
	node->hash = hash;
	if (ex->mode == RANDOM) {
		add_state(ex, find_state(ex, hash), hash);
		node->choice = random_choice(ex, node, depth);
	} else if (depth >= ex->prefix) {
		node->state = find_state(ex, hash);
		node->choice = 0;
		node->paths = 0;
		node->pruned = false;
		node->limit = choices(ex, node, depth);
	}
	node->chosen = chosen_by(node, node->choice);
	ex->preemptions += is_preemption(node);
	return node->chosen;
}

/*
 * Take back the last decision that has an alternative.  Those that have none
 * left are done with: so many schedules go on from there.
 */
static bool backtrack(struct explorer *ex)
{
	u64 paths = 1;

	for (int i = ex->depth - 1; i >= 0; i--) {
		struct decision *node = ex->nodes + i;

		if (check_add_overflow(node->paths, paths, &node->paths))
			node->paths = U64_MAX;
		if (node->choice + 1 < node->limit) {
			node->choice++;
			ex->prefix = i + 1;
			return true;
		}
		if (!node->pruned)
			node->state->paths = node->paths;
		paths = node->state->paths;
	}
	if (ex->bound < 0 && ex->shards == 1)
		ex->paths = paths;
	return false;
}

/* ---- one schedule ------------------------------------------------------- */

static void begin_schedule(struct explorer *ex)
{
	ex->epoch = 1;
	ex->depth = 0;
	ex->seen_events = 0;
	ex->preemptions = 0;
	ex->not_mine = false;
	for (int i = 0; i < ex->run.nr_actors; i++) {
		ex->history[i] = i;
		ex->point[i] = -1;
	}
}

/* Run one schedule, and check.  Return: whether to go on. */
bool explore_one(struct explorer *ex)
{
	struct mm_sync_run *run = &ex->run;
	struct state *state;
	u64 hash;

	ex->model->set_up(ex);
	begin_schedule(ex);
	mm_sync_start(run);
	if (mm_sync_wait(run)) {
		/* Actors may be stuck after the last step: that is what it is about */
		if (ex->mode == FOLLOW && run->err_step < run->nr_steps)
			ex->error = "a step can't be done as it is said";
		else
			ex->failed |= BIT(ex->model->stuck(ex));
		return false;
	}
	if (kthread_should_stop())
		ex->error = "KUnit's time is over: see kunit.timeout";
	add_history(ex);
	ex->nr_events += run->nr_events;
	ex->longest = max(ex->longest, ex->depth);

	ex->model->check(ex, true);
	hash = state_now(ex);
	state = find_state(ex, hash);
	ex->nr_outcomes += !state->hash;
	add_state(ex, state, hash);
	/* If something is wrong, nothing can be trusted any more */
	if (!ex->failed)
		ex->model->tear_down(ex);
	return !ex->failed && !ex->error;
}

/* ---- a line for it ------------------------------------------------------ */

static char line[MAX_LINE];

/*
 * The last schedule as steps, an actor and the point until which it runs:
 * FTM/before:F@NEXT_UPTODATE_FOLIO_LOADED,T@END,...
 * A point that it goes by more than once in a step gets a step each time.
 */
static void print_schedule(const struct explorer *ex, bool died)
{
	const struct mm_sync_run *run = &ex->run;
	size_t len = scnprintf(line, MAX_LINE, "%s:", ex->name);

	for (int i = 0; i < ex->depth; i++) {
		unsigned int actor = ex->nodes[i].chosen;
		unsigned int first = ex->nodes[i].event, last;

		while (i + 1 < ex->depth && ex->nodes[i + 1].chosen == actor)
			i++;
		last = i + 1 < ex->depth ? ex->nodes[i + 1].event : run->nr_events;
		for (int j = first; j < last; j++) {
			enum mm_sync_point point = run->events[j].point;

			if (point != run->events[last - 1].point ||
			    run->events[j].actor != actor)
				continue;
			if (len > MAX_LINE - 64) {
				pr_info("schedule %s\n", line);
				len = 0;
			}
			len += scnprintf(line + len, MAX_LINE - len, "%c@%s,",
					 ex->lanes[actor], mm_sync_point_name(point));
		}
	}
	/* It did not get to a point any more */
	if (died && ex->depth)
		scnprintf(line + len, MAX_LINE - len, "%c@END",
			  ex->lanes[ex->nodes[ex->depth - 1].chosen]);
	else
		line[max(len, 1) - 1] = '\0';
	pr_info("schedule %s\n", line);
}

static void print_failed(const struct explorer *ex, const char *check, const char *text)
{
	pr_info("failed %s|%lu|%s|%s\n", ex->name, ex->nr_random + ex->schedules, check,
		text);
}

/* The schedule that the kernel has died in: it counts as a check that failed */
static void died(struct mm_sync_run *run)
{
	struct explorer *ex = container_of(run, struct explorer, run);

	if (ex->mode == FOLLOW) {
		ex->model->tell(ex, "violated", "the kernel dies");
		return;
	}
	ex->schedules += ex->mode == DEPTH_FIRST;
	print_failed(ex, "dies", "the kernel dies");
	print_schedule(ex, true);
}

/* ---- exploring ---------------------------------------------------------- */

static int explore_thread(void *data)
{
	struct explore_thread *me = data;
	struct explorer *ex = me->ex;
	struct kunit_suppressed_warning *warnings = NULL;

	kthread_use_mm(ex->mm);
	/* What they do is reported by a kernel that looks */
	if (ex->suppress)
		warnings = kunit_start_suppress_warning(ex->test);
	if (ex->killable)
		allow_kernel_signal(SIGKILL);
	if (mm_sync_join(&ex->run, me->index)) {
		mm_sync_leave(&ex->run);
	} else {
		do {
			ex->model->act(ex, me->index);
		} while (!mm_sync_again(&ex->run));
	}
	kunit_end_suppress_warning(ex->test, warnings);
	kthread_unuse_mm(ex->mm);
	return 0;
}

/* End what explore_start() has started, if it has not ended */
void explore_stop(struct explorer *ex)
{
	if (!ex->running)
		return;
	ex->running = false;
	if (mm_sync_finish(&ex->run) == -EBUSY) {
		/* Actors may come back: leave them all this */
		ex->stuck = true;
		get_file(ex->file);
		KUNIT_FAIL(ex->test, "actors are stuck: %s", ex->name);
		return;
	}
	for (int i = 0; i < ex->run.nr_actors; i++)
		if (ex->threads[i].task)
			kthread_stop_put(ex->threads[i].task);
	mm_sync_release(&ex->run);
	mmput(ex->mm);
}

/* Also if the test was aborted in between */
static void stop_threads(void *data)
{
	explore_stop(data);
}

/* Create the actors, for explore_one() */
void explore_start(struct explorer *ex)
{
	struct kunit *test = ex->test;

	ex->run.nr_actors = ex->nr_actors;
	ex->run.choose = choose;
	ex->run.passed = ex->model->passed;
	ex->run.died = died;
	KUNIT_ASSERT_EQ_MSG(test, mm_sync_begin(&ex->run), 0, "another run");
	ex->running = true;
	mmget(ex->mm);
	for (int i = 0; i < ex->run.nr_actors; i++) {
		struct explore_thread *thread = ex->threads + i;

		thread->ex = ex;
		thread->index = i;
		thread->task = race_start_thread(explore_thread, thread, "folio_explore/%u");
	}
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, stop_threads, ex));
}

static s64 ms_since(ktime_t start)
{
	return max(ktime_ms_delta(ktime_get(), start), 1);
}

/*
 * Estimate the number of all schedules: as if each choice's subtree were as
 * large as its siblings'.  0 is more than can be counted.
 */
unsigned long explore_estimate(const struct explorer *ex)
{
	u64 one = 1ULL << 62, weight = one, done = 0;

	for (int i = 0; i < ex->depth && weight; i++) {
		weight = div_u64(weight, ex->nodes[i].limit);
		done += ex->nodes[i].choice * weight;
	}
	/* It needs 64 bits: x86 has an exception for a quotient that has more */
	return done > ex->schedules / 4 ? mul_u64_u64_div_u64(ex->schedules, one, done) : 0;
}

/* The points that were reached, by number, and which came next */
static void print_points(const struct explorer *ex)
{
	size_t len = 0;

	for (int i = 0; i < MM_SYNC_NR_POINTS; i++) {
		if (!bitmap_empty(ex->next[i], MM_SYNC_WAIT))
			len += scnprintf(line + len, MAX_LINE - len, "%d:%*pbl ", i, MM_SYNC_WAIT,
					 ex->next[i]);
		if (len > MAX_LINE - 128 || (len && i == MM_SYNC_NR_POINTS - 1)) {
			pr_info("points %s|%s\n", ex->name, line);
			len = 0;
		}
	}
}

static void report_progress(struct explorer *ex)
{
	s64 ms = ms_since(ex->start);

	if (ktime_ms_delta(ktime_get(), ex->reported) < PROGRESS_SECONDS * MSEC_PER_SEC)
		return;
	ex->reported = ktime_get();
	pr_info("progress %s|schedules=%lu rate=%llu states=%lu estimate=%lu\n", ex->name,
		ex->schedules, div64_u64(ex->schedules * MSEC_PER_SEC, ms), ex->nr_states,
		explore_estimate(ex));
	print_points(ex);
	cond_resched();
}

static bool run_random(struct explorer *ex, unsigned int nr)
{
	ex->mode = RANDOM;
	prandom_seed_state(&ex->rnd, ex->seed);
	for (unsigned int n = 0; n < nr; n++) {
		for (int i = 0; i < ex->run.nr_actors; i++)
			ex->priority[i] = ARRAY_SIZE(ex->change) +
					  prandom_u32_state(&ex->rnd) % 128;
		for (int i = 0; i < ARRAY_SIZE(ex->change); i++)
			ex->change[i] = prandom_u32_state(&ex->rnd) % max(ex->longest, 1);
		ex->nr_random++;
		if (!explore_one(ex))
			return false;
	}
	return true;
}

static void forget_states(struct explorer *ex)
{
	memset(ex->states, 0, ex->nr_slots * sizeof(*ex->states));
	ex->nr_states = 0;
	ex->nr_outcomes = 0;
	ex->states_digest = 0;
}

static void run_depth_first(struct explorer *ex)
{
	bool more;

	ex->mode = DEPTH_FIRST;
	ex->prefix = 0;
	do {
		bool go_on = explore_one(ex);

		if (ex->shards > 1 && ex->depth <= SHARD_DEPTH)
			ex->not_mine = digest_of(ex, ex->depth) % ex->shards != ex->shard;
		if (ex->not_mine) {
			ex->others++;
		} else {
			ex->schedules++;
			ex->schedules_digest += mix(digest_of(ex, ex->depth), 1);
		}
		if (!go_on)
			return;
		report_progress(ex);
		more = backtrack(ex);
		ex->left = more && ex->most && ex->schedules == ex->most;
	} while (more && !ex->left);
}

static void print_result(struct explorer *ex)
{
	u64 ms = ms_since(ex->start);
	unsigned long all = ex->nr_random + ex->schedules + ex->others;

	if (ex->error)
		pr_info("error %s|%s\n", ex->name, ex->error);
	if (ex->failed) {
		print_failed(ex, failed_check(ex)->name, failed_text(ex));
		print_schedule(ex, false);
	}
	print_points(ex);
	pr_info("%s %s|bound=%d prune=%d coarse=%d shard=%u/%u|random=%u schedules=%lu interleavings=%llu states=%lu outcomes=%lu pruned=%lu others=%lu longest=%u events=%lu ms=%llu rate=%llu states_digest=%016llx schedules_digest=%016llx\n",
		ex->left ? "left" : "done", ex->name, ex->bound, ex->prune, ex->coarse, ex->shard,
		ex->shards, ex->nr_random, ex->schedules, ex->paths, ex->nr_states, ex->nr_outcomes,
		ex->pruned, ex->others, ex->longest,
		ex->nr_events, ms, div64_u64(all * MSEC_PER_SEC, ms), ex->states_digest,
		ex->schedules_digest);
}

/* Explore all there is, after so many random schedules */
void explore_all(struct explorer *ex, unsigned int nr_random)
{
	ex->start = ktime_get();
	ex->reported = ex->start;
	explore_start(ex);
	if (run_random(ex, nr_random)) {
		/* States that were come by at random are not done with */
		if (nr_random)
			forget_states(ex);
		run_depth_first(ex);
	}
	kunit_release_action(ex->test, stop_threads, ex);
	print_result(ex);
}

/* Fail the test if anything has failed */
void explore_expect_good(struct explorer *ex)
{
	if (ex->error)
		KUNIT_FAIL(ex->test, "%s: %s", ex->name, ex->error);
	if (ex->left)
		KUNIT_FAIL(ex->test, "%s: more than %lu schedules", ex->name, ex->most);
	if (ex->failed)
		KUNIT_FAIL(ex->test, "%s: schedule %lu: %s: %s", ex->name,
			   ex->nr_random + ex->schedules, failed_check(ex)->name,
			   failed_text(ex));
}

/* ---- one schedule, given ------------------------------------------------- */

static int point_by_name(const char *name, size_t len)
{
	for (int point = 0; point <= MM_SYNC_WAIT; point++)
		if (strlen(mm_sync_point_name(point)) == len &&
		    !strncmp(mm_sync_point_name(point), name, len))
			return point;
	return -1;
}

/* X@POINT,X@POINT,...; return NULL or what is wrong with it */
static const char *parse_steps(struct explorer *ex, struct mm_sync_step *steps, const char *text)
{
	unsigned int nr = 0;

	while (*text) {
		size_t len = strcspn(text, ",");
		int point = len > 2 && text[1] == '@' ? point_by_name(text + 2, len - 2) : -1;
		int actor;

		for (actor = 0; actor < ex->nr_actors; actor++)
			if (ex->lanes[actor] == *text)
				break;
		if (actor == ex->nr_actors || point < 0 || nr == RACE_MAX_STEPS)
			return text;
		steps[nr++] = (struct mm_sync_step){ .actor = actor, .until = point };
		text += len;
		text += *text == ',';
	}
	ex->run.steps = steps;
	ex->run.nr_steps = nr;
	return NULL;
}

/* Run one schedule, as it is printed for one that failed, without the set */
void explore_follow(struct explorer *ex, const char *text)
{
	struct mm_sync_step *steps = kunit_kcalloc(ex->test, RACE_MAX_STEPS, sizeof(*steps),
						   GFP_KERNEL);
	const char *wrong;

	KUNIT_ASSERT_NOT_NULL(ex->test, steps);
	wrong = parse_steps(ex, steps, text);
	if (wrong)
		KUNIT_FAIL_AND_ABORT(ex->test, "not an actor of %s, @ and a point: %s", ex->name,
				     wrong);
	ex->mode = FOLLOW;
	explore_start(ex);
	explore_one(ex);
	explore_stop(ex);
	ex->model->tell(ex, ex->error ? "error" : ex->failed ? "violated" : "no violation",
			ex->error ?: ex->failed ? failed_text(ex) : "");
}
