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
 *		COMMAND ...		see verbs[]; each has to succeed
 *		test f 4 [absent]	the page whose folio is watched (absent: out of
 *					the page cache when the run begins)
 *
 *	session NAME [alone] [queued]	a thread, and what it does, in this order (alone:
 *					on a CPU of its own, so that it can be held
 *					where interrupts are off, for a second; queued:
 *					who waits for a folio lock is in its queue, and
 *					has to be woken up):
 *		STEP: COMMAND ... [= RESULT]
 *
 *	permutation NAME		an order to try.  Each line lets one session go
 *					on, until
 *		SESSION@POINT ...	it is at a sync point ('?': or has ended, and
 *					what follows is not looked at then)
 *		SESSION@WAIT ... for LOCK	it has to wait for a lock: PTL, folio
 *					lock, i_rwsem, invalidate_lock, i_mmap_rwsem,
 *					mmap_lock or some rw_semaphore; or, if it is
 *					queued, for a wakeup
 *		SESSION.STEP ...	that step is done
 *		SESSION ...		it has ended
 *		never SESSION@POINT	and this must not happen, in any of it
 *
 * After a line of an order may stand what is known of the folio then: see keys[].
 * It is the one that the point is about, the whole of it or, of a folio that has
 * been split, a part of it; and at the end of a step, in user space, that which
 * has the page now.  After "claimed", what somebody says it is;
 * that is only shown.  A comment there is shown as well.  RESULT is 0 (what most
 * commands must give if nothing is said), an error like EBUSY, "killed", or, of a
 * read, data, zero, other or SIGBUS, of a pread EOF as well, and of a receive some or
 * none.
 *
 * "[ext4]" or "[tmpfs large]" before a line: it is only meant for these.
 *
 * For each permutation, kind of file and folio there is one test result, and the
 * story of the run in lines that start with "folio_race:".
 */
#define _GNU_SOURCE
#include <asm-generic/mman.h> /* Force the import of the tools version. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sysinfo.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/magic.h>

#include "folio_sched.h"

#define RUN_TIMEOUT_SEC		30
#define ALIGNMENT		(2ul << 20)

struct run run;

/* ---- one run, in a process of its own ----------------------------------- */

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

void __noreturn __printf(2, 3) verdict(const char *word, const char *fmt, ...)
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
	for (int i = 0; i < object->nr_pages && !object->is_sparse && !strcmp(ret, "0");
	     i += pages_at_once)
		ret = write_pages(object, i, pages_at_once);
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
	munlock(addr, len);		/* of what set_up() locks */
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

static void set_up(void)
{
	if (sched.needs_swap && !has_swap())
		skip("needs swap, and none is on");
	/* No session is to wait for a page of its own, for a stack that was swapped out */
	if (sched.needs_swap)
		mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	find_folder();
	for (int i = 0; i < sched.nr_objects; i++)
		if (sched.objects[i].kind == FILE_OBJECT)
			set_up_file(sched.objects + i);
	for (int i = 0; i < sched.nr_objects; i++) {
		struct object *object = sched.objects + i;

		if (object->kind == TCP_OBJECT) {
			connect_tcp(object);
		} else if (object->kind == MAP_OBJECT) {
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
	/* folio_end_writeback() has a reference still when it has woken fsync() */
	usleep(10 * 1000);
	check_size(sched.test, sched.test_page);
	for (int i = 0; i < sched.nr_sessions; i++)
		for (int j = 0; j < sched.sessions[i].nr_steps; j++)
			if (!can_do(sched.sessions[i].steps + j))
				skip("%s: %s", sched.sessions[i].steps[j].verb->name,
				     strerror(errno));
	if (sched.absent)
		posix_fadvise(sched.test->fd, 0, 0, POSIX_FADV_DONTNEED);
}

/* Return: its number in this run, which it takes part in from now on. */
int actor(struct session *session)
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
	for (int i = 0; i < run.nr_sessions; i++)
		if (run.sessions[i]->queued || run.sessions[i]->mortal)
			len += snprintf(text + len, sizeof(text) - len, "%s %d\n",
					run.sessions[i]->mortal ? "mortal" : "queued", i);
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

/* That of one that is killed: it leaves when it ends, and then it has no results */
static void start_process(struct session *session)
{
	int fds[2];

	if (pipe(fds))
		verdict("error", "no pipe: %s", strerror(errno));
	session->results = fds[0];
	session->pid = fork();
	if (session->pid < 0)
		verdict("error", "no process: %s", strerror(errno));
	if (!session->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		session_thread(session);
		for (int i = 0; i < session->nr_steps; i++)
			write(fds[1], session->steps[i].got, sizeof(session->steps[i].got));
		_exit(0);
	}
	close(fds[1]);
}

static void end_process(struct session *session)
{
	int status;

	for (int i = 0; i < session->nr_steps; i++)
		if (read(session->results, session->steps[i].got,
			 sizeof(session->steps[i].got)) <= 0)
			strcpy(session->steps[i].got, "killed");
	waitpid(session->pid, &status, 0);
}

/* In a child: what it leaves behind goes with it */
static __noreturn void run_it(void)
{
	catch_sigbus();
	/* Nor is anybody to run beside the schedule */
	stay_on_this_cpu();
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
		if (run.sessions[i]->mortal)
			start_process(run.sessions[i]);
	for (int i = 0; i < run.nr_sessions; i++)
		if (!run.sessions[i]->mortal &&
		    pthread_create(&run.sessions[i]->thread, NULL, session_thread,
				   run.sessions[i]))
			verdict("error", "no thread: %s", strerror(errno));
	for (int i = 0; i < run.nr_sessions; i++) {
		if (run.sessions[i]->mortal)
			end_process(run.sessions[i]);
		else
			pthread_join(run.sessions[i]->thread, NULL);
	}
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
		return NO_MM_SYNC;
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
			list_points();
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
