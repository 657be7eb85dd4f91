// SPDX-License-Identifier: GPL-2.0-only
/*
 * Run system calls in the order that a file says, down to the sync points that
 * the kernel has (CONFIG_MM_SYNC_POINTS_DEBUGFS): is an interleaving possible,
 * and what comes of it?
 *
 *	./folio_sched schedules/report.sched	run what is in a file
 *	./folio_sched -c my.sched		just look for mistakes in it
 *	./folio_sched -p			name the points
 *
 * A schedule file consists of lines; a '#' starts a comment.
 *
 *	title ...			what it is about
 *	files tmpfs ext4 ramfs		where the files are: one run each
 *	folios small large		of how many pages: one run each
 *	needs swap			it skips where no swap is on
 *
 *	setup
 *		file f 8		a file of 8 pages, written and clean
 *		sparse f 8		one of which nothing is written yet
 *		map m f			a mapping of it, for reading
 *		tcp t 8			a connection to ourselves, and a mapping of
 *					8 pages of its receiving end
 *		COMMAND ...		see commands[]; each has to succeed
 *		test f 4 [absent]	the page whose folio is watched (absent: out of
 *					the page cache when the run begins)
 *
 *	session NAME [alone]		a thread, and what it does, in this order (alone:
 *					on a CPU of its own, so that it can be held
 *					where interrupts are off, for a second):
 *		STEP: COMMAND ... [= RESULT]
 *
 *	permutation NAME		an order to try.  Each line lets one session go
 *					on, until
 *		SESSION@POINT ...	it is at a sync point ('?': or has ended, and
 *					what follows is not looked at then)
 *		SESSION@WAIT ... for LOCK	it has to wait for a lock: PTL, folio
 *					lock, i_rwsem, invalidate_lock, i_mmap_rwsem,
 *					mmap_lock or some rw_semaphore
 *		SESSION.STEP ...	that step is done
 *		SESSION ...		it has ended
 *		never SESSION@POINT	and this must not happen, in any of it
 *
 * After a line of an order may stand what is known of the folio then: see keys[].
 * It is the one that the point is about, the whole of it or, of a folio that has
 * been split, a part of it; and at the end of a step, in user space, that which
 * has the page now.  After "claimed", what somebody says it is;
 * that is only shown.  A comment there is shown as well.  RESULT is 0 (what most
 * commands must give if nothing is said), an error like EBUSY, or, of a read,
 * data, zero, other or SIGBUS, of a pread EOF as well, and of a receive some or none.
 *
 * "[ext4]" or "[tmpfs large]" before a line: it is only meant for these.
 *
 * For each permutation, kind of file and folio there is one test result, and the
 * story of the run in lines that start with "folio_race:".
 */
#define _GNU_SOURCE
#include <asm-generic/mman.h> /* Force the import of the tools version. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <linux/tcp.h>

#include "folio_util.h"
#include "kselftest.h"
#include "vm_util.h"

#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE		0x80
#endif

#define BIT(nr)			(1u << (nr))

#define MM_SYNC			"/sys/kernel/debug/mm_sync/"
#define SPLIT			"/sys/kernel/debug/split_huge_pages"
#define NEEDED \
	"CONFIG_MM_SYNC_POINTS_DEBUGFS=y (with DEBUG_KERNEL, SMP, PREEMPT, DEBUG_FS), and debugfs mounted"

#define MAX_SESSIONS		8
#define MAX_STEPS		8	/* of a session: as many as there are points USER_n */
#define MAX_PERMUTATIONS	16
#define MAX_TURNS		64	/* of a permutation */
#define MAX_NEVER		4
#define MAX_OBJECTS		8
#define MAX_SETUP		16
#define MAX_ARGS		4
#define MAX_TOKENS		16
#define MAX_TEXT		256
#define MAX_EVENTS		256
#define MAX_WRONG		4096	/* letters, to say what is not as written */
#define LAST_POINTS		3	/* of a session, that are named */
#define RUN_TIMEOUT_SEC		30
#define ALIGNMENT		(2ul << 20)

/* ---- what a schedule file says ------------------------------------------ */

enum { TMPFS, EXT4, RAMFS, NR_FS };
enum { SMALL = NR_FS, LARGE, NR_VARIANTS };	/* follow, in one bit mask */

static const char * const variants[] = { "tmpfs", "ext4", "ramfs", "small", "large" };

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

static const char * const keys[] = {
	"refs", "mapcount", "lru", "locked", "cached",
#define NR_SHOWN		5	/* always */
	"order", "index", "dirty", "writeback",
	"size",				/* of the file, in pages */
};

/* -1: not said */
struct state {
	int value[ARRAY_SIZE(keys)];
};

struct object {
	char *name;
	bool is_tcp, is_file, is_sparse;
	int nr_pages;
	struct object *file;	/* of a mapping */
	/* when it is there */
	int fd, tx;
	char *addr;
};

struct command {
	const struct verb *verb;
	struct object *object;
	int numbers[MAX_ARGS];
	char *name;		/* of the step */
	char *text;		/* as it was written */
	char *want;		/* result */
	unsigned int only;	/* variants, 0 for all */
	char got[32];		/* result */
};

struct session {
	char *name;
	struct command steps[MAX_STEPS];
	int nr_steps;
	bool alone;
	pthread_t thread;
};

/* One line of a permutation */
struct turn {
	struct session *session;
	const char *until;	/* the point */
	bool or_end;
	char *lock;		/* to wait for */
	struct state want, claimed;
	char *text;
	int line;
	unsigned int only;
};

struct permutation {
	char *name;
	unsigned int only;
	struct turn turns[MAX_TURNS];
	int nr_turns;
	struct {
		struct session *session;
		const char *point;
		int line;
	} never[MAX_NEVER];
	int nr_never;
};

static struct {
	const char *path;
	char name[64];
	char *title;
	unsigned int variants;
	bool needs_swap;
	struct object objects[MAX_OBJECTS];
	int nr_objects;
	struct command setup[MAX_SETUP];
	int nr_setup;
	struct object *test;
	int test_page;
	bool absent;
	struct session sessions[MAX_SESSIONS];
	int nr_sessions;
	struct permutation permutations[MAX_PERMUTATIONS];
	int nr_permutations;
	int line;
} sched;

/* ---- what sessions can do ----------------------------------------------- */

/* What is written to a page of a file: never 0, and no two pages the same */
static uint64_t pattern(int page)
{
	return 0x0101010101010101ull * (page % 255 + 1);
}

static const char *what_it_is(uint64_t word, int page)
{
	return !word ? "zero" : word == pattern(page) ? "data" : "other";
}

static const char *errno_name(int err)
{
	return strerrorname_np(err) ?: "an error without a name";
}

static const char *do_read(struct command *cmd)
{
	uint64_t word;

	if (!read_mapping(&word, cmd->object->addr + cmd->numbers[0] * psize(), sizeof(word)))
		return "SIGBUS";
	return what_it_is(word, cmd->numbers[0]);
}

static const char *read_page(struct command *cmd, int flags)
{
	uint64_t word;
	ssize_t len;

	len = preadv2(cmd->object->fd, &(struct iovec){ &word, sizeof(word) }, 1,
		      cmd->numbers[0] * psize(), flags);
	if (len < 0)
		return errno_name(errno);
	return len < sizeof(word) ? "EOF" : what_it_is(word, cmd->numbers[0]);
}

static const char *do_pread(struct command *cmd)
{
	return read_page(cmd, 0);
}

static const char *do_pread_dontcache(struct command *cmd)
{
	return read_page(cmd, RWF_DONTCACHE);
}

static const char *result(long ret)
{
	return ret < 0 ? errno_name(errno) : "0";
}

static const char *do_write(struct command *cmd)
{
	int len = cmd->numbers[1] * psize();
	char *buf = malloc(len);
	ssize_t ret;

	/* In one go, so that it can be one folio */
	for (int i = 0; i < len; i += sizeof(uint64_t))
		*(uint64_t *)(buf + i) = pattern(cmd->numbers[0] + i / psize());
	ret = pwrite(cmd->object->fd, buf, len, cmd->numbers[0] * psize());
	free(buf);
	return ret < 0 ? errno_name(errno) : ret < len ? "a short write" : "0";
}

/* Through a mapping that there is just for that */
static const char *do_store(struct command *cmd)
{
	char *addr = mmap(NULL, psize(), PROT_READ | PROT_WRITE, MAP_SHARED, cmd->object->fd,
			  cmd->numbers[0] * psize());

	if (addr == MAP_FAILED)
		return errno_name(errno);
	/* It is found by fault-around: a fault for writing would look it up for use */
	FORCE_READ(*addr);
	*(uint64_t *)addr = pattern(cmd->numbers[0]);
	return result(munmap(addr, psize()));
}

/* Each large folio there, to single pages */
static const char *do_split(struct command *cmd)
{
	char text[64];
	int fd = open(SPLIT, O_WRONLY | O_CLOEXEC), len;
	const char *ret;

	len = snprintf(text, sizeof(text), "/proc/self/fd/%d,0x%x,0x%x", cmd->object->fd,
		       cmd->numbers[0], cmd->numbers[0] + cmd->numbers[1]);
	ret = result(fd < 0 ? fd : write(fd, text, len));
	close(fd);
	return ret;
}

static const char *do_truncate(struct command *cmd)
{
	return result(ftruncate(cmd->object->fd, cmd->numbers[0] * psize()));
}

static const char *do_punch(struct command *cmd)
{
	return result(fallocate(cmd->object->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				cmd->numbers[0] * psize(), cmd->numbers[1] * psize()));
}

static const char *do_fadvise(struct command *cmd)
{
	int err = posix_fadvise(cmd->object->fd, cmd->numbers[0] * psize(),
				cmd->numbers[1] * psize(), POSIX_FADV_DONTNEED);

	return err ? errno_name(err) : "0";
}

static const char *do_fsync(struct command *cmd)
{
	return result(fsync(cmd->object->fd));
}

static const char *advise(struct command *cmd, int advice)
{
	return result(madvise(cmd->object->addr + cmd->numbers[0] * psize(),
			      cmd->numbers[1] * psize(), advice));
}

static const char *do_pageout(struct command *cmd)
{
	return advise(cmd, MADV_PAGEOUT);
}

static const char *do_cold(struct command *cmd)
{
	return advise(cmd, MADV_COLD);
}

static const char *do_zap(struct command *cmd)
{
	return advise(cmd, MADV_DONTNEED);
}

static const char *do_soft_offline(struct command *cmd)
{
	return result(madvise(cmd->object->addr + cmd->numbers[0] * psize(), psize(),
			      MADV_SOFT_OFFLINE));
}

static const char *do_munmap(struct command *cmd)
{
	return result(munmap(cmd->object->addr + cmd->numbers[0] * psize(),
			     cmd->numbers[1] * psize()));
}

static const char *do_send(struct command *cmd)
{
	struct object *file = cmd->object->file;
	off_t pos = cmd->numbers[0] * psize();
	size_t len = cmd->numbers[1] * psize();
	ssize_t ret = sendfile(cmd->object->tx, file->fd, &pos, len);

	return ret < 0 ? errno_name(errno) : ret < len ? "sent less" : "0";
}

static const char *do_receive(struct command *cmd)
{
	struct tcp_zerocopy_receive zc = {
		.address = (uintptr_t)cmd->object->addr,
		.length = cmd->numbers[0] * psize(),
	};
	socklen_t len = sizeof(zc);

	if (getsockopt(cmd->object->fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &zc, &len))
		return errno_name(errno);
	return zc.length == cmd->numbers[0] * psize() ? "0" : zc.length ? "some" : "none";
}

enum kind { FILE_OBJECT, MAP_OBJECT, TCP_OBJECT };

struct verb {
	const char *name;
	enum kind kind;
	int nr_numbers;
	const char *usage;
	const char *(*fn)(struct command *cmd);
	bool any;		/* what it gives is not judged unless it is said */
};

static const struct verb commands[] = {
	{ "read", MAP_OBJECT, 1, "MAPPING PAGE", do_read, true },
	{ "pageout", MAP_OBJECT, 2, "MAPPING FIRST PAGES", do_pageout },
	{ "cold", MAP_OBJECT, 2, "MAPPING FIRST PAGES", do_cold },
	{ "zap", MAP_OBJECT, 2, "MAPPING FIRST PAGES (MADV_DONTNEED)", do_zap },
	{ "munmap", MAP_OBJECT, 2, "MAPPING FIRST PAGES", do_munmap },
	{ "soft_offline", MAP_OBJECT, 1, "MAPPING PAGE", do_soft_offline },
	{ "pread", FILE_OBJECT, 1, "FILE PAGE", do_pread, true },
	{ "pread_dontcache", FILE_OBJECT, 1, "FILE PAGE", do_pread_dontcache, true },
	{ "write", FILE_OBJECT, 2, "FILE FIRST PAGES", do_write },
	{ "store", FILE_OBJECT, 1, "FILE PAGE (through a mapping)", do_store },
	{ "split", FILE_OBJECT, 2, "FILE FIRST PAGES (large folios to single pages)", do_split },
	{ "truncate", FILE_OBJECT, 1, "FILE PAGES", do_truncate },
	{ "punch", FILE_OBJECT, 2, "FILE FIRST PAGES", do_punch },
	{ "fadvise", FILE_OBJECT, 2, "FILE FIRST PAGES (DONTNEED)", do_fadvise },
	{ "fsync", FILE_OBJECT, 0, "FILE", do_fsync },
	{ "send", TCP_OBJECT, 2, "TCP FIRST PAGES (sendfile() of the file before it)", do_send },
	{ "receive", TCP_OBJECT, 1, "TCP PAGES (zerocopy)", do_receive },
};

/* ---- reading it --------------------------------------------------------- */

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

static struct object *new_object(char *name, char *pages)
{
	struct object *object = sched.objects + sched.nr_objects;

	word_or_bad(name, "a name");
	if (find_object(name))
		bad("there is a '%s' already", name);
	if (sched.nr_objects++ == MAX_OBJECTS)
		bad("expected at most %d files, mappings and connections", MAX_OBJECTS);
	object->name = name;
	object->nr_pages = pages ? to_number(pages, 1024, "how many pages") : 0;
	object->fd = -1;
	object->tx = -1;
	return object;
}

static struct object *last_file(void)
{
	for (int i = sched.nr_objects - 1; i >= 0; i--)
		if (sched.objects[i].is_file)
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
	static const char * const read_gives[] = { "data", "zero", "other", "SIGBUS", "EOF" };

	if (is_errno(word) ||
	    (verb->fn == do_receive && (!strcmp(word, "some") || !strcmp(word, "none"))))
		return;
	if (!verb->any && strcmp(word, "0"))
		bad("expected 0 or an error like EBUSY after '=', found '%s'", word);
	if (!verb->any)
		return;
	for (int i = 0; i < ARRAY_SIZE(read_gives); i++)
		if (!strcmp(read_gives[i], word))
			return;
	bad("expected data, zero, other, SIGBUS, EOF or an error like EIO after '=', found '%s'",
	    word);
}

static void parse_command(struct command *cmd, char **words, unsigned int only)
{
	char text[MAX_TEXT] = "";
	char known[MAX_TEXT] = "";
	enum kind kind;

	for (int i = 0; words[i] && strcmp(words[i], "="); i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
			 i ? " " : "", words[i]);
	cmd->text = strdup(text);
	cmd->only = only;
	for (int i = 0; i < ARRAY_SIZE(commands); i++) {
		snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s",
			 i ? ", " : "", commands[i].name);
		if (*words && !strcmp(*words, commands[i].name))
			cmd->verb = commands + i;
	}
	if (!cmd->verb)
		bad("expected a command (%s), found '%s'", known, *words ?: "the end of the line");

	cmd->object = *++words ? find_object(*words) : NULL;
	if (!cmd->object)
		bad("expected %s %s, and '%s' is not set up", cmd->verb->name, cmd->verb->usage,
		    *words ?: "");
	kind = cmd->object->is_file ? FILE_OBJECT : cmd->object->is_tcp ? TCP_OBJECT : MAP_OBJECT;
	/* The receiving end of a connection is mapped */
	if (kind != cmd->verb->kind && !(kind == TCP_OBJECT && cmd->verb->kind == MAP_OBJECT))
		bad("expected %s %s, and '%s' is no such thing", cmd->verb->name,
		    cmd->verb->usage, *words);
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
		object = new_object(words[1], words[2]);
		object->is_file = true;
		object->is_sparse = !strcmp(words[0], "sparse");
		no_more(words + 3);
	} else if (!strcmp(words[0], "map")) {
		struct object *object = new_object(words[1], NULL);

		object->file = words[2] ? find_object(words[2]) : NULL;
		if (!object->file || !object->file->is_file)
			bad("expected map NAME FILE, and '%s' is no file", words[2] ?: "");
		object->nr_pages = object->file->nr_pages;
		no_more(words + 3);
	} else if (!strcmp(words[0], "tcp")) {
		struct object *file = last_file();
		struct object *object;

		to_number(words[1] ? words[2] : NULL, 1024, "tcp NAME PAGES");
		object = new_object(words[1], words[2]);
		object->is_tcp = true;
		object->file = file;
		no_more(words + 3);
	} else if (!strcmp(words[0], "test")) {
		sched.test = words[1] ? find_object(words[1]) : NULL;
		if (!sched.test || !sched.test->is_file)
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
		session->alone = words[2] && !strcmp(words[2], "alone");
		no_more(words + 2 + session->alone);
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

static void parse_file(const char *path)
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

/* ---- one run, in a process of its own ----------------------------------- */

static struct {
	const struct permutation *perm;
	unsigned int variant;		/* two bits */
	char id[160];
	const char *folder;
	char *why_skipped;		/* the parent reads it */
	/* Of perm, those of this variant: a step of the kernel's schedule each */
	const struct turn *turns[MAX_TURNS];
	int nr_turns;
	/* Those that it has something to do for: the actors */
	struct session *sessions[MAX_SESSIONS];
	int nr_sessions;
	int events[MAX_TURNS];		/* that end it, or -1 */
} run;

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

static __noreturn __printf(1, 2) void skip(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(run.why_skipped, MAX_TEXT, fmt, args);
	va_end(args);
	printf("# folio_race: skip %s|%s\n", run.id, run.why_skipped);
	fflush(stdout);
	_exit(KSFT_SKIP);
}

static __noreturn __printf(2, 3) void verdict(const char *word, const char *fmt, ...)
{
	va_list args;

	printf("# folio_race: verdict %s|", word);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n# folio_race: end %s|1\n", run.id);
	fflush(stdout);
	_exit(strcmp(word, "as written") ? KSFT_FAIL : KSFT_PASS);
}

static bool meant(unsigned int only)
{
	unsigned int fs = only & (BIT(NR_FS) - 1), size = only & (BIT(SMALL) | BIT(LARGE));

	return (!fs || (fs & run.variant)) && (!size || (size & run.variant));
}

/* The folder for the files: a mount of ours, or where there is an ext4 */
static void find_folder(void)
{
	const char *dirs[3] = { getenv("FOLIO_EXT4_DIR"), ".", "/var/tmp" };
	bool large = run.variant & BIT(LARGE);
	struct statfs fs;

	if (run.variant & BIT(EXT4)) {
		for (int i = 0; i < ARRAY_SIZE(dirs); i++) {
			if (!dirs[i] || statfs(dirs[i], &fs) ||
			    fs.f_type != EXT4_SUPER_MAGIC || access(dirs[i], W_OK))
				continue;
			run.folder = dirs[i];
			return;
		}
		skip("no writable ext4 in $FOLIO_EXT4_DIR, . or /var/tmp");
	}
	if (large && (run.variant & BIT(RAMFS)))
		skip("ramfs has no large folios");
	run.folder = "/tmp";
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		skip("no mount namespace: %s", strerror(errno));
	if (mount("folio_sched", run.folder, run.variant & BIT(TMPFS) ? "tmpfs" : "ramfs", 0,
		  run.variant & BIT(RAMFS) ? "" : large ? "huge=within_size" : "") < 0)
		skip("no mount of tmpfs or ramfs (huge=within_size: %d): %s", large,
		     strerror(errno));
}

static bool page_is_large(char *addr)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	int kpageflags = open("/proc/kpageflags", O_RDONLY);
	uint64_t flags = 0;

	FORCE_READ(*addr);
	if (pageflags_get(pagemap_get_pfn(pagemap, addr), kpageflags, &flags))
		skip("/proc/kpageflags can't be read");
	close(pagemap);
	close(kpageflags);
	return flags & (KPF_COMPOUND_HEAD | KPF_COMPOUND_TAIL);
}

static void set_up_file(struct object *object)
{
	struct command cmd = { .object = object, .numbers = { 0, object->nr_pages } };
	int pages_at_once = run.variant & BIT(LARGE) ? object->nr_pages : 1;
	char path[4096];
	const char *ret = "0";

	snprintf(path, sizeof(path), "%s/folio_sched.XXXXXX", run.folder);
	object->fd = mkstemp(path);
	if (object->fd < 0)
		skip("no file in %s: %s", run.folder, strerror(errno));
	unlink(path);
	if (ftruncate(object->fd, object->nr_pages * psize()))
		skip("truncate: %s", strerror(errno));
	cmd.numbers[1] = pages_at_once;
	for (int i = 0; i < object->nr_pages && !object->is_sparse && !strcmp(ret, "0");
	     i += pages_at_once) {
		cmd.numbers[0] = i;
		ret = do_write(&cmd);
	}
	if (strcmp(ret, "0"))
		skip("write: %s", ret);
	fsync(object->fd);
}

/* How far fault-around gets depends on the address: let it be the same each time. */
static char *map_aligned(int fd, size_t len)
{
	size_t room = ((len - 1) / ALIGNMENT + 2) * ALIGNMENT;
	char *addr = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (addr != MAP_FAILED) {
		addr += -(uintptr_t)addr % ALIGNMENT;
		addr = mmap(addr, len, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
	}
	if (addr == MAP_FAILED)
		skip("mmap: %s", strerror(errno));
	return addr;
}

static void check_size(struct object *object, int page)
{
	int len = object->nr_pages * psize();
	char *addr = map_aligned(object->fd, len);
	bool large = page_is_large(addr + page * psize());

	munmap(addr, len);
	if (large != !!(run.variant & BIT(LARGE)))
		skip("page %d is %sin a large folio", page, large ? "" : "not ");
}

static void connect_tcp(struct object *object)
{
	object->fd = tcp_loopback(&object->tx, 0, 0);
	if (object->fd < 0)
		skip("no TCP over loopback: %s", strerror(errno));
	object->addr = map_aligned(object->fd, object->nr_pages * psize());
}

static void exec_command(struct command *cmd)
{
	snprintf(cmd->got, sizeof(cmd->got), "%s", cmd->verb->fn(cmd));
}

static bool as_wanted(const struct command *cmd)
{
	if (!cmd->want)
		return cmd->verb->any || !strcmp(cmd->got, "0");
	return !strcmp(cmd->got, cmd->want);
}

/* /proc/swaps has a line for each, below its head */
static bool has_swap(void)
{
	FILE *file = fopen("/proc/swaps", "r");
	char line[256];
	int nr = 0;

	while (file && fgets(line, sizeof(line), file))
		nr++;
	if (file)
		fclose(file);
	return nr > 1;
}

static void check_dontcache(struct command *cmd)
{
	char byte;

	if (strstr(cmd->verb->name, "_dontcache") &&
	    preadv2(cmd->object->fd, &(struct iovec){ &byte, 1 }, 1, 0, RWF_DONTCACHE) < 0)
		skip("RWF_DONTCACHE: %s", strerror(errno));
}

static void set_up(void)
{
	if (sched.needs_swap && !has_swap())
		skip("needs swap, and none is on");
	find_folder();
	for (int i = 0; i < sched.nr_objects; i++)
		if (sched.objects[i].is_file)
			set_up_file(sched.objects + i);
	for (int i = 0; i < sched.nr_objects; i++) {
		struct object *object = sched.objects + i;

		if (object->is_tcp) {
			connect_tcp(object);
		} else if (!object->is_file) {
			object->addr = map_aligned(object->file->fd,
						   object->nr_pages * psize());
		}
	}
	for (int i = 0; i < sched.nr_setup; i++) {
		struct command *cmd = sched.setup + i;

		if (!meant(cmd->only))
			continue;
		exec_command(cmd);
		if (!as_wanted(cmd))
			skip("to set up, %s: %s", cmd->text, cmd->got);
	}
	check_size(sched.test, sched.test_page);
	for (int i = 0; i < sched.nr_sessions; i++)
		for (int j = 0; j < sched.sessions[i].nr_steps; j++)
			check_dontcache(sched.sessions[i].steps + j);
	if (sched.absent)
		posix_fadvise(sched.test->fd, 0, 0, POSIX_FADV_DONTNEED);
}

/* Return: its number in this run, which it takes part in from now on. */
static int actor(struct session *session)
{
	int i;

	for (i = 0; i < run.nr_sessions && run.sessions[i] != session; i++)
		;
	if (i == run.nr_sessions)
		run.sessions[run.nr_sessions++] = session;
	return i;
}

static void choose_turns(void)
{
	for (int i = 0; i < run.perm->nr_turns; i++) {
		const struct turn *turn = run.perm->turns + i;

		if (!meant(turn->only))
			continue;
		run.turns[run.nr_turns++] = turn;
		actor(turn->session);
	}
	for (int i = 0; i < run.perm->nr_never; i++)
		actor(run.perm->never[i].session);
}

static int arm(void)
{
	static char text[8192];
	int fd, len;

	len = snprintf(text, sizeof(text), "actors %d\nfolio %d %d\n", run.nr_sessions,
		       sched.test->fd, sched.test_page);
	for (int i = 0; i < run.nr_turns; i++)
		len += snprintf(text + len, sizeof(text) - len, "step %d %s%s\n",
				actor(run.turns[i]->session), run.turns[i]->until,
				run.turns[i]->or_end ? "?" : "");
	fd = open(MM_SYNC "schedule", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		verdict("error", "can't open %sschedule: %s", MM_SYNC, strerror(errno));
	if (write(fd, text, len) == len)
		return fd;
	if (errno == EBUSY)
		verdict("error", "another run is going on");
	verdict("error", "the kernel does not take it (%s): has it other points? See %spoints",
		strerror(errno), MM_SYNC);
}

/* From here on, on another CPU than all others */
static void go_elsewhere(void)
{
	int here = sched_getcpu();
	cpu_set_t cpus;

	for (int cpu = 0; cpu < get_nprocs_conf(); cpu++) {
		CPU_ZERO(&cpus);
		CPU_SET(cpu, &cpus);
		if (cpu != here && !sched_setaffinity(0, sizeof(cpus), &cpus))
			return;
	}
}

static void *session_thread(void *data)
{
	struct session *session = data;
	char text[16];
	int fd;

	if (session->alone)
		go_elsewhere();
	fd = open(MM_SYNC "join", O_WRONLY | O_CLOEXEC);
	snprintf(text, sizeof(text), "%d", actor(session));
	if (fd < 0 || write(fd, text, strlen(text)) < 0) {
		snprintf(session->steps[0].got, sizeof(session->steps[0].got), "did not start");
		close(fd);
		return NULL;
	}
	for (int i = 0; i < session->nr_steps; i++) {
		exec_command(session->steps + i);
		snprintf(text, sizeof(text), "done %d", i + 1);
		if (i < session->nr_steps - 1 && write(fd, text, strlen(text)) < 0)
			perror("folio_sched: done");
	}
	close(fd);
	return NULL;
}

static void read_trace(void)
{
	FILE *file = fopen(MM_SYNC "trace", "r");
	char line[512], *step;

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
			run.events[event->step] = nr_events - 1;
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
	const struct event *event = run.events[nr] < 0 ? NULL : events + run.events[nr];

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

static void print_story(void)
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

static __noreturn void judge(void)
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

/* In a child: what it leaves behind goes with it */
static __noreturn void run_it(void)
{
	catch_sigbus();
	/* Nor is anybody to run beside the schedule */
	stay_on_this_cpu();
	memset(run.events, -1, sizeof(run.events));
	set_up();

	printf("# folio_race: begin %s|%s\n", run.id, sched.title);
	choose_turns();
	for (int i = 0; i < run.nr_sessions; i++) {
		const struct session *session = run.sessions[i];

		printf("# folio_race: actor %s|%s|", session->name, session->name);
		for (int j = 0; j < session->nr_steps; j++)
			printf("%s%s", j ? "; " : "", session->steps[j].text);
		putchar('\n');
	}
	fflush(stdout);
	arm();
	for (int i = 0; i < run.nr_sessions; i++)
		if (pthread_create(&run.sessions[i]->thread, NULL, session_thread,
				   run.sessions[i]))
			verdict("error", "no thread: %s", strerror(errno));
	for (int i = 0; i < run.nr_sessions; i++)
		pthread_join(run.sessions[i]->thread, NULL);
	read_trace();
	print_story();
	judge();
}

/* ---- all runs ----------------------------------------------------------- */

static int wait_for(pid_t pid)
{
	int ret = wait_child(pid, RUN_TIMEOUT_SEC);

	if (ret >= 0)
		return ret;
	if (ret == -ETIME) {
		ksft_print_msg("%s was killed after %d s\n", run.id, RUN_TIMEOUT_SEC);
		/* A system call that does not end is there after SIGKILL, too */
		printf("# folio_race: verdict %s\n# folio_race: end %s|1\n",
		       kill(pid, 0) ? "error|it was killed" : "does not end|", run.id);
	} else {
		ksft_print_msg("%s died of signal %d\n", run.id, -ret);
	}
	return KSFT_FAIL;
}

static void run_variant(const struct permutation *perm, int fs, int size)
{
	int status;
	pid_t pid;

	run.perm = perm;
	snprintf(run.id, sizeof(run.id), "%s.%s.%s.%s", sched.name, perm->name, variants[fs],
		 variants[size]);
	fflush(stdout);
	pid = fork();
	if (!pid)
		run_it();
	status = pid < 0 ? KSFT_FAIL : wait_for(pid);
	if (*run.why_skipped)
		ksft_test_result_code(status, run.id, "%s", run.why_skipped);
	else
		ksft_test_result_code(status, run.id, NULL);
	*run.why_skipped = '\0';
}

static const char *why_unable(void)
{
	if (geteuid())
		return "needs root";
	if (access(MM_SYNC "schedule", W_OK))
		return "this kernel has no sync points: it takes " NEEDED;
	return NULL;
}

/* Of the file, or just count them. Return: their number. */
static int run_all(bool count)
{
	int nr = 0;

	for (int i = 0; i < sched.nr_permutations; i++)
		for (int fs = 0; fs < NR_FS; fs++)
			for (int size = SMALL; size <= LARGE; size++) {
				run.variant = BIT(fs) | BIT(size);
				if ((sched.variants & run.variant) != run.variant ||
				    !meant(sched.permutations[i].only))
					continue;
				nr++;
				if (!count)
					run_variant(sched.permutations + i, fs, size);
			}
	return nr;
}

int main(int argc, char **argv)
{
	bool check = false;
	int plan = 0, opt;

	while ((opt = getopt(argc, argv, "cph")) != -1) {
		switch (opt) {
		case 'c':
			check = true;
			break;
		case 'p':
			for (int i = 0; i < ARRAY_SIZE(points); i++)
				printf("%-42s %s\n", points[i].name, points[i].meaning);
			return 0;
		default:
			fprintf(opt == 'h' ? stdout : stderr,
				"usage: %s [-c] FILE.sched ...   run them (-c: just check them)\n"
				"       %s -p                    name the sync points\n",
				argv[0], argv[0]);
			return opt == 'h' ? 0 : KSFT_FAIL;
		}
	}
	if (optind == argc)
		ksft_exit_fail_msg("expected a schedule file\n");
	for (int i = optind; i < argc; i++) {
		parse_file(argv[i]);
		plan += run_all(true);
	}
	if (check)
		return 0;

	ksft_print_header();
	if (why_unable())
		ksft_exit_skip("%s\n", why_unable());
	ksft_set_plan(plan);
	run.why_skipped = mmap(NULL, MAX_TEXT, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = optind; i < argc; i++) {
		parse_file(argv[i]);
		run_all(false);
	}
	ksft_finished();
}
