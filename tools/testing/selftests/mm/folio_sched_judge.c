// SPDX-License-Identifier: GPL-2.0-only
/* What has come of a run, and what was to come of it. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "folio_sched.h"

#define MAX_EVENTS		256
#define MAX_WRONG		4096	/* letters, to say what is not as written */
#define LAST_POINTS		3	/* of a session, that are named */

#define TRACE " refs=%d mapcount=%d lru=%d locked=%d cached=%d order=%d index=%d dirty=%d " \
	      "writeback=%d size=%d listed=%d"

/* What the kernel tells in "trace" */
static struct event {
	int actor;
	char kind[8];
	char where[64];
	struct state state;
	int listed;
	int step;
} events[MAX_EVENTS];

static int nr_events;
static int last_events[MAX_TURNS];	/* that end a turn, or -1 */

void read_trace(void)
{
	FILE *file = fopen(MM_SYNC "trace", "r");
	char line[512], *step;

	memset(last_events, -1, sizeof(last_events));
	while (file && fgets(line, sizeof(line), file) && nr_events < MAX_EVENTS) {
		struct event *event = events + nr_events++;
		int *v = event->state.value, at = 0;

		if (sscanf(line, "%d %7s %63[^:]:%n", &event->actor, event->kind, event->where,
			   &at) != 3 ||
		    sscanf(line + at, TRACE, v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7,
			   v + 8, v + 9, &event->listed) != 11)
			verdict("error", "the trace is malformed: %s", line);
		step = strstr(line, " step ");
		event->step = step ? atoi(step + strlen(" step ")) : -1;
		if (event->step >= 0 && event->step < run.nr_turns)
			last_events[event->step] = nr_events - 1;
	}
	if (file)
		fclose(file);
}

static bool unlike(const struct state *want, const struct state *seen)
{
	for (int i = 0; i < ARRAY_SIZE(keys); i++)
		if (want->value[i] >= 0 && want->value[i] != seen->value[i])
			return true;
	return false;
}

/* The event that has ended a line of the order, if it is what was to come */
static const struct event *event_of_turn(int nr)
{
	const struct turn *turn = run.turns[nr];
	const struct event *event = last_events[nr] < 0 ? NULL : events + last_events[nr];

	/* With a '?', it may have ended in place of it */
	if (event && turn->or_end && strcmp(event->where, turn->until))
		return NULL;
	return event;
}

static bool turn_is_met(int nr)
{
	const struct turn *turn = run.turns[nr];
	const struct event *event = event_of_turn(nr);

	if (!event)
		return turn->or_end;
	return !unlike(&turn->want, &event->state) &&
	       (!turn->lock || !strcmp(turn->lock, event->where));
}

/* asked: a state that has what is to be printed but for what always is, or NULL */
static void print_state(const struct state *state, const struct state *asked)
{
	bool any = false;

	for (int i = 0; i < ARRAY_SIZE(keys); i++)
		if (state->value[i] >= 0 &&
		    (i < NR_SHOWN || !asked || asked->value[i] >= 0)) {
			printf("%s%s=%d", any ? " " : "", keys[i], state->value[i]);
			any = true;
		}
	if (!any)
		putchar('-');
}

void print_story(void)
{
	for (int i = 0; i < nr_events; i++) {
		const struct event *event = events + i;

		printf("# folio_race: event %d|%s|%s|%s|", i, run.sessions[event->actor]->name,
		       event->kind, event->where);
		print_state(&event->state, NULL);
		printf(" listed=%d|", event->listed);
		if (event->step >= 0)
			printf("%d\n", event->step + 1);
		else
			puts("-");
	}
	for (int i = 0; i < run.nr_turns; i++) {
		const struct turn *turn = run.turns[i];
		const struct state *asked = &turn->want;

		for (int key = 0; key < ARRAY_SIZE(keys); key++)
			if (turn->claimed.value[key] >= 0)
				asked = &turn->claimed;
		printf("# folio_race: step %d|%s|%s%s|", i + 1, turn->session->name,
		       turn->lock ?: turn->until, turn->or_end ? "?" : "");
		print_state(asked, NULL);
		putchar('|');
		if (event_of_turn(i))
			print_state(&event_of_turn(i)->state, asked);
		else
			putchar('-');
		printf("|%s|%s\n", !event_of_turn(i) && !turn->or_end ? "missing" :
		       turn_is_met(i) ? "ok" : "differs", turn->text);
	}
	for (int i = 0; i < run.nr_sessions; i++)
		for (int j = 0; j < run.sessions[i]->nr_steps; j++) {
			const struct command *cmd = run.sessions[i]->steps + j;

			printf("# folio_race: call %s.%s|%s|%s|%s\n", run.sessions[i]->name,
			       cmd->name, cmd->text, cmd->want ?: cmd->verb->any ? "-" : "0",
			       *cmd->got ? cmd->got : "-");
		}
}

static const char *why(int err)
{
	switch (err) {
	case ESRCH:
		return "ended, and did not come there";
	case EINVAL:
		return "has ended before";
	case EWOULDBLOCK:
		return "can't be held: interrupts are off (is it alone?), or it has a per-CPU lock";
	case ETIMEDOUT:
		return "gets nowhere: it waits for something else than the locks that are known";
	default:
		return strerror(err);
	}
}

static __printf(2, 3) void add(char *text, const char *fmt, ...)
{
	size_t len = strlen(text);
	va_list args;

	va_start(args, fmt);
	vsnprintf(text + len, MAX_WRONG - len, fmt, args);
	va_end(args);
}

/* How many events there were when a session had to wait: then all go on */
static int events_before_wait(int who)
{
	for (int i = nr_events - 1; i >= 0; i--)
		if (events[i].actor == who && !strcmp(events[i].kind, "wait"))
			return i;
	return nr_events;
}

/* The last points that a session has passed, in the first @nr_seen events */
static void add_points(char *text, int who, int nr_seen)
{
	const char *last[LAST_POINTS] = {};
	int nr = 0;

	for (int i = nr_seen - 1; i >= 0 && nr < LAST_POINTS; i--)
		if (events[i].actor == who && strcmp(events[i].kind, "wait") &&
		    strcmp(events[i].where, "END"))
			last[nr++] = events[i].where;
	if (!nr)
		add(text, "it passed no point at all");
	else
		add(text, "its last points: ");
	while (nr--)
		add(text, "%s%s", last[nr], nr ? ", " : "");
}

/* Where the other sessions were: one of them held the lock */
static void add_others(char *text, int who, int nr_seen)
{
	for (int i = 0; i < run.nr_sessions; i++) {
		const struct event *last = NULL;

		for (int j = 0; j < nr_seen; j++)
			if (events[j].actor == i)
				last = events + j;
		if (i != who && (!last || strcmp(last->kind, "end")))
			add(text, "; %s, which may hold it, %s %s", run.sessions[i]->name,
			    last ? "is at" : "has", last ? last->where : "passed no point");
	}
}

/* Did the kernel give up? */
static void judge_error(void)
{
	static char text[MAX_WRONG];
	FILE *file = fopen(MM_SYNC "state", "r");
	int err = 0, step = 0, who = 0, nr_seen = nr_events;
	const struct turn *turn;
	char line[128], lock[64] = "";

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "step %d", &step) == 1)
			continue;
		if (sscanf(line, "error %d actor %d lock %63[^\n]", &err, &who, lock) >= 2)
			break;
	}
	if (file)
		fclose(file);
	if (!err)
		return;
	turn = step < run.nr_turns ? run.turns[step] : run.turns[run.nr_turns - 1];
	add(text, "line %d, until %s: %s ", turn->line, turn->until, run.sessions[who]->name);
	if (err == -EDEADLK) {
		nr_seen = events_before_wait(who);
		add(text, "has to wait for the %s", lock);
		add_others(text, who, nr_seen);
	} else {
		add(text, "%s", why(-err));
	}
	add(text, "; ");
	add_points(text, who, nr_seen);
	verdict("error", "%s", text);
}

/* What of a line of the order was not as written */
static void add_turn(char *text, int nr)
{
	const struct turn *turn = run.turns[nr];
	const struct event *event = event_of_turn(nr);
	const char *between = "";

	add(text, "%sline %d: ", *text ? "; " : "", turn->line);
	if (!event) {
		add(text, "%s did not come to %s", turn->session->name, turn->until);
		return;
	}
	if (turn->lock && strcmp(turn->lock, event->where)) {
		add(text, "%s waits for the %s, wanted: the %s", turn->session->name,
		    event->where, turn->lock);
		between = ", ";
	}
	for (int key = 0; key < ARRAY_SIZE(keys); key++) {
		int want = turn->want.value[key], seen = event->state.value[key];

		if (want >= 0 && want != seen) {
			add(text, "%s%s=%d, wanted: %d", between, keys[key], seen, want);
			between = ", ";
		}
	}
}

void __noreturn judge(void)
{
	const struct permutation *perm = run.perm;
	static char wrong[MAX_WRONG];

	judge_error();
	for (int i = 0; i < perm->nr_never; i++)
		for (int j = 0; j < nr_events; j++)
			if (events[j].actor == actor(perm->never[i].session) &&
			    !strcmp(events[j].where, perm->never[i].point)) {
				add(wrong, "%sline %d: %s came to %s", *wrong ? "; " : "",
				    perm->never[i].line, perm->never[i].session->name,
				    perm->never[i].point);
				break;
			}
	for (int i = 0; i < run.nr_turns; i++)
		if (!turn_is_met(i))
			add_turn(wrong, i);
	for (int i = 0; i < run.nr_sessions; i++)
		for (int j = 0; j < run.sessions[i]->nr_steps; j++) {
			const struct command *cmd = run.sessions[i]->steps + j;

			if (!as_wanted(cmd))
				add(wrong, "%s%s.%s gives %s, wanted: %s", *wrong ? "; " : "",
				    run.sessions[i]->name, cmd->name,
				    *cmd->got ? cmd->got : "nothing", cmd->want ?: "0");
		}
	if (*wrong)
		verdict("differs", "%s", wrong);
	verdict("as written", "each line of the order, and each result");
}
