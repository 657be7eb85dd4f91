// SPDX-License-Identifier: GPL-2.0-only
/* Reading a schedule file: see the head of folio_sched.c. */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "folio_sched.h"

#define MAX_TOKENS		16

const char * const variants[NR_VARIANTS] = { "tmpfs", "ext4", "ramfs", "small", "large" };

static const struct point {
	const char *name;
	const char *meaning;
} points[] = {
#define MM_SYNC_POINT(NAME, MEANING)	{ #NAME, MEANING },
#include "../../../../include/linux/mm_sync_point_defs.h"
#undef MM_SYNC_POINT
	{ "END", "the session has ended" },
	{ "WAIT", "it has to wait for a lock" },
};

static const struct {
	const char *name;
	const char *words;
} locks[] = {
#define MM_SYNC_LOCK(NAME, WORDS)	{ #NAME, WORDS },
#include "../../../../include/linux/mm_sync_point_defs.h"
#undef MM_SYNC_LOCK
};

const char * const keys[NR_KEYS] = {
	"refs", "mapcount", "lru", "locked", "cached",	/* NR_SHOWN */
	"order", "index", "dirty", "writeback",
	"size",				/* of the file, in pages */
};

struct sched sched;

static __noreturn __printf(1, 2) void bad(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "%s:%d: ", sched.path, sched.line);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(KSFT_FAIL);
}

/* How many letters must be put in, left out or changed? */
static int distance(const char *a, const char *b)
{
	int row[128], nr = strlen(b);

	if (nr >= ARRAY_SIZE(row))
		return nr;
	for (int j = 0; j <= nr; j++)
		row[j] = j;
	for (int i = 1; *a; a++, i++) {
		int diagonal = row[0];

		row[0] = i;
		for (int j = 1; j <= nr; j++) {
			int best = diagonal + (toupper(*a) != toupper(b[j - 1]));

			diagonal = row[j];
			if (best > row[j] + 1)
				best = row[j] + 1;
			if (best > row[j - 1] + 1)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[nr];
}

static __noreturn void no_point(const char *name)
{
	const char *nearest[3] = {};

	for (int k = 0; k < 3; k++)
		for (int i = 0; i < ARRAY_SIZE(points); i++) {
			const char *each = points[i].name;

			if (each == nearest[0] || each == nearest[1])
				continue;
			if (!nearest[k] || distance(name, each) < distance(name, nearest[k]))
				nearest[k] = each;
		}
	bad("there is no sync point '%s'; the nearest are %s, %s, %s (-p names all)",
	    name, nearest[0], nearest[1], nearest[2]);
}

static const char *find_point(const char *name)
{
	for (int i = 0; i < ARRAY_SIZE(points); i++)
		if (!strcmp(points[i].name, name))
			return points[i].name;
	no_point(name);
}

static struct session *find_session(const char *name)
{
	char known[MAX_TEXT] = "";

	for (int i = 0; i < sched.nr_sessions; i++)
		if (!strcmp(sched.sessions[i].name, name))
			return sched.sessions + i;
	for (int i = 0; i < sched.nr_sessions; i++)
		snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s",
			 i ? ", " : "", sched.sessions[i].name);
	bad("there is no session '%s'; there are: %s", name, *known ? known : "none yet");
}

static struct object *find_object(const char *name)
{
	for (int i = 0; i < sched.nr_objects; i++)
		if (!strcmp(sched.objects[i].name, name))
			return sched.objects + i;
	return NULL;
}

static int to_number(const char *word, int max, const char *what)
{
	char *end;
	long value;

	if (!word)
		bad("expected %s, found the end of the line", what);
	value = strtol(word, &end, 10);
	if (*end || end == word || value < 0 || value > max)
		bad("expected %s, not above %d, found '%s'", what, max, word);
	return value;
}

static int find_variant(const char *word)
{
	for (int i = 0; i < NR_VARIANTS; i++)
		if (!strcmp(variants[i], word))
			return i;
	return -1;
}

/* "tmpfs ext4", of those from first to last */
static unsigned int parse_variants(char **words, int first, int last)
{
	static const char fs[] = "tmpfs, ext4 or ramfs", sizes[] = "small or large";
	unsigned int mask = 0;

	for (; *words; words++) {
		int variant = find_variant(*words);

		if (variant < first || variant > last)
			bad("expected %s%s%s, found '%s'", first == TMPFS ? fs : "",
			    first == TMPFS && last == LARGE ? ", " : "",
			    last == LARGE ? sizes : "", *words);
		mask |= BIT(variant);
	}
	if (!mask)
		bad("expected %s, found the end of the line", first == SMALL ? sizes : fs);
	return mask;
}

static char *word_or_bad(char *word, const char *what)
{
	if (!word)
		bad("expected %s, found the end of the line", what);
	for (const char *c = word; *c; c++)
		if (!isalnum(*c) && *c != '_' && *c != '-')
			bad("expected %s (letters, digits, '-', '_'), found '%s'", what, word);
	return word;
}

static void no_more(char **words)
{
	if (*words)
		bad("expected the end of the line, found '%s'", *words);
}

static struct object *new_object(char *name, char *pages, enum kind kind)
{
	struct object *object = sched.objects + sched.nr_objects;

	word_or_bad(name, "a name");
	if (find_object(name))
		bad("there is a '%s' already", name);
	if (sched.nr_objects++ == MAX_OBJECTS)
		bad("expected at most %d files, mappings and connections", MAX_OBJECTS);
	object->name = name;
	object->kind = kind;
	object->nr_pages = pages ? to_number(pages, 1024, "how many pages") : 0;
	object->fd = -1;
	object->tx = -1;
	return object;
}

static struct object *last_file(void)
{
	for (int i = sched.nr_objects - 1; i >= 0; i--)
		if (sched.objects[i].kind == FILE_OBJECT)
			return sched.objects + i;
	bad("expected a file before this");
}

static bool is_errno(const char *word)
{
	for (int err = 1; err < 256; err++) {
		const char *name = strerrorname_np(err);

		if (name && !strcmp(name, word))
			return true;
	}
	return false;
}

/* What may stand after "=" */
static void check_result(const struct verb *verb, const char *word)
{
	for (int i = 0; verb->gives && verb->gives[i]; i++)
		if (!strcmp(verb->gives[i], word))
			return;
	if (is_errno(word) || !strcmp(word, "killed") || (!verb->any && !strcmp(word, "0")))
		return;
	if (!verb->any)
		bad("expected 0 or an error like EBUSY after '=', found '%s'", word);
	bad("expected data, zero, other, SIGBUS, EOF or an error like EIO after '=', found '%s'",
	    word);
}

/* What a command is about */
static void find_what(struct command *cmd, const char *name)
{
	const struct verb *verb = cmd->verb;

	if (verb->kind == SESSION_OBJECT) {
		cmd->session = find_session(name);
		cmd->session->mortal = true;
		return;
	}
	cmd->object = find_object(name);
	if (!cmd->object)
		bad("expected %s %s, and '%s' is not set up", verb->name, verb->usage, name);
	/* The receiving end of a connection is mapped */
	if (cmd->object->kind != verb->kind &&
	    !(cmd->object->kind == TCP_OBJECT && verb->kind == MAP_OBJECT))
		bad("expected %s %s, and '%s' is no such thing", verb->name, verb->usage, name);
}

static void parse_command(struct command *cmd, char **words, unsigned int only)
{
	char text[MAX_TEXT] = "";
	char known[MAX_TEXT] = "";

	for (int i = 0; words[i] && strcmp(words[i], "="); i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
			 i ? " " : "", words[i]);
	cmd->text = strdup(text);
	cmd->only = only;
	for (const struct verb *verb = verbs; verb->name; verb++) {
		snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s",
			 verb != verbs ? ", " : "", verb->name);
		if (*words && !strcmp(*words, verb->name))
			cmd->verb = verb;
	}
	if (!cmd->verb)
		bad("expected a command (%s), found '%s'", known, *words ?: "the end of the line");

	if (cmd->verb->kind != NO_OBJECT)
		find_what(cmd, *++words ?: "");
	for (int i = 0; i < cmd->verb->nr_numbers; i++)
		cmd->numbers[i] = to_number(*++words, 1024, cmd->verb->usage);
	words++;
	if (*words && !strcmp(*words, "=")) {
		cmd->want = words[1];
		if (!words[1])
			bad("expected a result after '=', found the end of the line");
		check_result(cmd->verb, words[1]);
		words += 2;
	}
	no_more(words);
}

static void parse_setup(char **words, unsigned int only)
{
	if (!strcmp(words[0], "file") || !strcmp(words[0], "sparse")) {
		struct object *object;

		to_number(words[1] ? words[2] : NULL, 1024, "file NAME PAGES");
		object = new_object(words[1], words[2], FILE_OBJECT);
		object->is_sparse = !strcmp(words[0], "sparse");
		no_more(words + 3);
	} else if (!strcmp(words[0], "map")) {
		struct object *object = new_object(words[1], NULL, MAP_OBJECT);

		object->file = words[2] ? find_object(words[2]) : NULL;
		if (!object->file || object->file->kind != FILE_OBJECT)
			bad("expected map NAME FILE, and '%s' is no file", words[2] ?: "");
		object->nr_pages = object->file->nr_pages;
		no_more(words + 3);
	} else if (!strcmp(words[0], "tcp")) {
		struct object *file = last_file();
		struct object *object;

		to_number(words[1] ? words[2] : NULL, 1024, "tcp NAME PAGES");
		object = new_object(words[1], words[2], TCP_OBJECT);
		object->file = file;
		no_more(words + 3);
	} else if (!strcmp(words[0], "test")) {
		sched.test = words[1] ? find_object(words[1]) : NULL;
		if (!sched.test || sched.test->kind != FILE_OBJECT)
			bad("expected test FILE PAGE, and '%s' is no file", words[1] ?: "");
		sched.test_page = to_number(words[2], sched.test->nr_pages - 1, "test FILE PAGE");
		sched.absent = words[3] && !strcmp(words[3], "absent");
		no_more(words + 3 + sched.absent);
	} else {
		if (sched.nr_setup == MAX_SETUP)
			bad("expected at most %d commands to set up", MAX_SETUP);
		parse_command(sched.setup + sched.nr_setup++, words, only);
	}
}

static void parse_step(struct session *session, char **words, unsigned int only)
{
	struct command *cmd = session->steps + session->nr_steps;
	size_t len = strlen(words[0]);

	if (session->nr_steps++ == MAX_STEPS)
		bad("expected at most %d steps in a session", MAX_STEPS);
	if (len < 2 || words[0][len - 1] != ':')
		bad("expected STEP: COMMAND, found '%s'", words[0]);
	if (only)
		bad("expected a step, which can't be for some only");
	words[0][len - 1] = '\0';
	cmd->name = word_or_bad(words[0], "the name of a step");
	for (int i = 0; i < session->nr_steps - 1; i++)
		if (!strcmp(session->steps[i].name, cmd->name))
			bad("the session '%s' has a step '%s' already", session->name, cmd->name);
	parse_command(cmd, words + 1, 0);
}

static void check_lock(const char *lock)
{
	char known[MAX_TEXT] = "";

	for (int i = 0; i < ARRAY_SIZE(locks); i++) {
		if (!strcmp(locks[i].words, lock))
			return;
		snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s",
			 i ? ", " : "", locks[i].words);
	}
	bad("expected a lock (%s) and the end of the line after 'for', found '%s'", known,
	    *lock ? lock : "the end of the line");
}

static __noreturn void no_key(const char *word)
{
	char known[MAX_TEXT] = "";

	for (int i = 0; i < ARRAY_SIZE(keys); i++)
		snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s=, ", keys[i]);
	bad("expected %sclaimed, found %s", known, word);
}

static void parse_state(struct turn *turn, char **words)
{
	struct state *state = &turn->want;

	memset(&turn->want, -1, sizeof(turn->want));
	memset(&turn->claimed, -1, sizeof(turn->claimed));
	for (; *words; words++) {
		char *value = strchr(*words, '=');
		int key;

		if (!strcmp(*words, "claimed")) {
			state = &turn->claimed;
			continue;
		}
		if (!strcmp(*words, "for") && !strcmp(turn->until, "WAIT")) {
			char lock[MAX_TEXT] = "";

			while (*++words)
				snprintf(lock + strlen(lock), sizeof(lock) - strlen(lock),
					 "%s%s", *lock ? " " : "", *words);
			turn->lock = strdup(lock);
			check_lock(lock);
			break;
		}
		if (value)
			*value++ = '\0';
		for (key = 0; key < ARRAY_SIZE(keys) && strcmp(keys[key], *words); key++)
			;
		if (!value || key == ARRAY_SIZE(keys))
			no_key(*words);
		state->value[key] = to_number(value, 100000, keys[key]);
	}
	if (!strcmp(turn->until, "WAIT") && (!turn->lock || !*turn->lock))
		bad("expected SESSION@WAIT for LOCK");
}

/* SESSION@POINT, SESSION.STEP or SESSION */
static struct session *parse_until(char *word, const char **until, bool *or_end)
{
	char *point = strchr(word, '@');
	char *step = strchr(word, '.');
	struct session *session;

	if (point)
		*point++ = '\0';
	else if (step)
		*step++ = '\0';
	session = find_session(word);
	*until = "END";
	if (point) {
		size_t len = strlen(point);

		if (len && point[len - 1] == '?' && or_end) {
			*or_end = true;
			point[len - 1] = '\0';
		}
		*until = find_point(point);
	} else if (step) {
		int i;

		for (i = 0; i < session->nr_steps; i++)
			if (!strcmp(session->steps[i].name, step))
				break;
		if (i == session->nr_steps)
			bad("expected a step of the session '%s', found '%s'", word, step);
		if (i < session->nr_steps - 1) {
			char name[16];

			snprintf(name, sizeof(name), "USER_%d", i + 1);
			*until = find_point(name);
		}
	}
	return session;
}

static void parse_turn(struct permutation *perm, char **words, char *text, unsigned int only)
{
	struct turn *turn = perm->turns + perm->nr_turns;

	if (!strcmp(words[0], "never")) {
		if (perm->nr_never == MAX_NEVER)
			bad("expected at most %d times 'never'", MAX_NEVER);
		if (!words[1] || !strchr(words[1], '@'))
			bad("expected never SESSION@POINT, found '%s'", words[1] ?: "");
		perm->never[perm->nr_never].session =
			parse_until(words[1], &perm->never[perm->nr_never].point, NULL);
		perm->never[perm->nr_never].line = sched.line;
		perm->nr_never++;
		no_more(words + 2);
		return;
	}
	if (perm->nr_turns++ == MAX_TURNS)
		bad("expected at most %d lines in a permutation", MAX_TURNS);
	turn->session = parse_until(words[0], &turn->until, &turn->or_end);
	turn->text = strdup(text);
	turn->line = sched.line;
	turn->only = only;
	parse_state(turn, words + 1);
}

/* Everything but sections, which start at a line of their own */
static bool parse_heading(char **words, unsigned int only, const char **section)
{
	if (!strcmp(words[0], "files")) {
		sched.variants &= ~(BIT(NR_FS) - 1);
		sched.variants |= parse_variants(words + 1, TMPFS, RAMFS);
	} else if (!strcmp(words[0], "folios")) {
		sched.variants &= ~(BIT(SMALL) | BIT(LARGE));
		sched.variants |= parse_variants(words + 1, SMALL, LARGE);
	} else if (!strcmp(words[0], "needs")) {
		if (!words[1] || strcmp(words[1], "swap"))
			bad("expected needs swap, found '%s'", words[1] ?: "the end of the line");
		sched.needs_swap = true;
		no_more(words + 2);
	} else if (!strcmp(words[0], "setup")) {
		*section = "setup";
		no_more(words + 1);
	} else if (!strcmp(words[0], "session")) {
		struct session *session = sched.sessions + sched.nr_sessions;

		word_or_bad(words[1], "session NAME");
		for (int i = 0; i < sched.nr_sessions; i++)
			if (!strcmp(sched.sessions[i].name, words[1]))
				bad("there is a session '%s' already", words[1]);
		if (sched.nr_sessions == MAX_SESSIONS)
			bad("expected at most %d sessions", MAX_SESSIONS);
		session->name = words[1];
		sched.nr_sessions++;
		*section = "session";
		for (words += 2; *words; words++) {
			if (!strcmp(*words, "alone"))
				session->alone = true;
			else if (!strcmp(*words, "queued"))
				session->queued = true;
			else
				no_more(words);
		}
	} else if (!strcmp(words[0], "permutation")) {
		if (sched.nr_permutations == MAX_PERMUTATIONS)
			bad("expected at most %d permutations", MAX_PERMUTATIONS);
		sched.permutations[sched.nr_permutations].only = only;
		sched.permutations[sched.nr_permutations++].name =
			word_or_bad(words[1], "permutation NAME");
		*section = "permutation";
		no_more(words + 2);
	} else {
		return false;
	}
	return true;
}

static void parse_line(char *line, const char **section)
{
	char *words[MAX_TOKENS + 1] = {}, *text = strchr(line, '#');
	char *rest = line + strspn(line, " \t");
	unsigned int only = 0;
	int nr = 0;

	if (!strncmp(rest, "title ", 6)) {
		if (strchr(rest, '\r'))
			bad("expected lines that end with a line feed, found Windows line ends");
		sched.title = strdup(rest + 6);
		return;
	}
	if (text)
		*text++ = '\0';
	if (strchr(line, '\r') || (text && strchr(text, '\r')))
		bad("expected lines that end with a line feed, found Windows line ends");
	for (const char *c = line; *c; c++)
		if (!isprint(*c) && !isspace(*c))
			bad("expected text, found a character with the code %d", (unsigned char)*c);
	if (*rest == '[') {
		char *end = strchr(rest, ']'), *names[NR_VARIANTS + 1] = {};
		int i = 0;

		if (!end)
			bad("expected a ']'");
		*end = '\0';
		for (char *word = strtok(rest + 1, " \t"); word; word = strtok(NULL, " \t"))
			if (i < NR_VARIANTS)
				names[i++] = word;
		only = parse_variants(names, TMPFS, LARGE);
		rest = end + 1;
	}
	for (char *word = strtok(rest, " \t"); word; word = strtok(NULL, " \t")) {
		if (nr == MAX_TOKENS)
			bad("expected at most %d words in a line", MAX_TOKENS);
		words[nr++] = strdup(word);
	}
	if (!nr)
		return;
	while (text && isspace(*text))
		text++;
	if (parse_heading(words, only, section))
		return;
	if (!*section)
		bad("expected title, files, folios, needs, setup, session, permutation, found '%s'",
		    words[0]);
	if (!strcmp(*section, "setup"))
		parse_setup(words, only);
	else if (!strcmp(*section, "session"))
		parse_step(sched.sessions + sched.nr_sessions - 1, words, only);
	else
		parse_turn(sched.permutations + sched.nr_permutations - 1, words,
			   text ?: "", only);
}

void parse_file(const char *path)
{
	const char *section = NULL;
	char *line = NULL, *base;
	size_t size = 0;
	ssize_t len;
	FILE *file;

	memset(&sched, 0, sizeof(sched));
	sched.path = path;
	sched.variants = BIT(TMPFS) | BIT(EXT4) | BIT(RAMFS) | BIT(SMALL);
	base = strrchr(path, '/') ? strrchr(path, '/') + 1 : (char *)path;
	snprintf(sched.name, sizeof(sched.name), "%.*s", (int)strcspn(base, "."), base);
	for (char *c = sched.name; *c; c++)
		if (!isalnum(*c) && *c != '-')
			*c = '_';

	file = fopen(path, "r");
	if (!file)
		ksft_exit_fail_msg("%s: %s\n", path, strerror(errno));
	while ((len = getline(&line, &size, file)) >= 0) {
		sched.line++;
		if (strlen(line) != len)
			bad("expected text, found a character with the code 0");
		line[strcspn(line, "\n")] = '\0';
		parse_line(line, &section);
	}
	free(line);
	fclose(file);
	if (!sched.title)
		bad("expected a title before the end of the file");
	if (!sched.test)
		bad("expected test FILE PAGE under 'setup' before the end of the file");
	for (int i = 0; i < sched.nr_sessions; i++)
		if (!sched.sessions[i].nr_steps)
			bad("expected a step in the session '%s' before the end of the file",
			    sched.sessions[i].name);
	if (!sched.nr_sessions || !sched.nr_permutations)
		bad("expected a session and a permutation before the end of the file");
	for (int i = 0; i < sched.nr_permutations; i++)
		if (!sched.permutations[i].nr_turns)
			bad("expected a line in the permutation '%s' before the end of the file",
			    sched.permutations[i].name);
}

void list_points(void)
{
	for (int i = 0; i < ARRAY_SIZE(points); i++)
		printf("%-42s %s\n", points[i].name, points[i].meaning);
}
