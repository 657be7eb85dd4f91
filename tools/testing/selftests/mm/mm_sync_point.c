// SPDX-License-Identifier: GPL-2.0-only
/*
 * The debugfs files of sync points (mm/sync_point_debugfs.c): a schedule is
 * followed, nothing that is written to them does any harm, and whoever dies in
 * the middle of a run leaves nobody behind.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "folio_sched.h"
#include "kselftest_harness.h"

#define NR_PAGES		8
#define TEST_PAGE		5
#define NOBODY			65534
#define CANT_EXEC		127
#define END_TIMEOUT_SEC		5	/* within which those that are killed are gone */
#define NR_FUZZ			20000
#define MAX_LEN		20000

/*
 * A fault on page 3 finds page 5, which is the only one, and truncation removes
 * it.  The steps are those that a test can be killed at.
 */
static const char * const steps[] = {
	"0 NEXT_UPTODATE_FOLIO_LOADED",
	"0 NEXT_UPTODATE_FOLIO_BEFORE_RELOAD",
	"1 FIND_LOCK_ENTRIES_LOCKED",
	"1 TRUNCATE_INODE_FOLIO_BEFORE_REMOVE",
	"1 FILEMAP_FREE_FOLIO_BEFORE_PUT",
	"0 NEXT_UPTODATE_FOLIO_SKIP",
	"1 FOLIOS_PUT_BEFORE",
	"1 USER_1",
	"0 END",
};

struct lab {
	int file;
	char *map;
	char *text;	/* that was read last */
	pid_t *pids;	/* of actors that are processes */
	int taint;
};

FIXTURE(mm_sync)
{
	struct lab lab;
};

static int read_taint(void)
{
	FILE *file = fopen("/proc/sys/kernel/tainted", "r");
	int taint = -1;

	if (file && fscanf(file, "%d", &taint) != 1)
		taint = -1;
	if (file)
		fclose(file);
	return taint;
}

/* The file is as the actors of a run expect it. */
static bool restore(struct lab *lab)
{
	return !ftruncate(lab->file, 0) && !ftruncate(lab->file, NR_PAGES * psize()) &&
	       pwrite(lab->file, "1", 1, TEST_PAGE * psize()) == 1;
}

FIXTURE_SETUP(mm_sync)
{
	struct lab *lab = &self->lab;

	if (geteuid())
		SKIP(return, "needs root");
	if (access(MM_SYNC "schedule", W_OK))
		SKIP(return, NO_MM_SYNC);

	stay_on_this_cpu();
	lab->text = malloc(MAX_LEN);
	lab->pids = mmap(NULL, psize(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			 -1, 0);
	ASSERT_NE(lab->pids, MAP_FAILED);
	lab->taint = read_taint();
	lab->file = memfd_create("mm_sync_point", 0);
	ASSERT_GE(lab->file, 0);
	ASSERT_TRUE(restore(lab));
	lab->map = mmap(NULL, NR_PAGES * psize(), PROT_READ, MAP_SHARED, lab->file, 0);
	ASSERT_NE(lab->map, MAP_FAILED);
}

FIXTURE_TEARDOWN(mm_sync)
{
	struct lab *lab = &self->lab;

	EXPECT_EQ(read_taint(), lab->taint);
	munmap(lab->pids, psize());
	munmap(lab->map, NR_PAGES * psize());
	close(lab->file);
	free(lab->text);
}

static const char *look_at(struct lab *lab, const char *name)
{
	int fd = open(name, O_RDONLY), len = 0;
	ssize_t ret;

	while ((ret = read(fd, lab->text + len, MAX_LEN - 1 - len)) > 0)
		len += ret;
	lab->text[len] = '\0';
	close(fd);
	return lab->text;
}

static bool state_has(struct lab *lab, const char *text)
{
	return strstr(look_at(lab, MM_SYNC "state"), text);
}

static int open_schedule(void)
{
	return open(MM_SYNC "schedule", O_WRONLY);
}

/* What is wrong about it is wanted: the compiler need not look. Return: 0 or the errno. */
static int write_to(int fd, const void *text, size_t len)
{
	ssize_t ret = syscall(__NR_write, fd, text, len);

	return ret == len ? 0 : ret < 0 ? errno : EIO;
}

static int write_text(int fd, const char *text)
{
	return write_to(fd, text, strlen(text));
}

/* Arm a run of the first @nr_steps steps. Return: the file, or -1. */
static int arm(struct lab *lab, int nr_actors, int nr_steps, const char *more)
{
	char text[2048];
	int fd = open_schedule(), len;

	len = snprintf(text, sizeof(text), "actors %d\nfolio %d %d\n", nr_actors, lab->file,
		       TEST_PAGE);
	for (int i = 0; i < nr_steps; i++)
		len += snprintf(text + len, sizeof(text) - len, "step %s\n", steps[i]);
	snprintf(text + len, sizeof(text) - len, "%s", more);
	if (fd >= 0 && write_text(fd, text)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* ---- actors ------------------------------------------------------------- */

struct actor {
	struct lab *lab;
	int index;
	int err;		/* of joining */
};

static void *actor_thread(void *data)
{
	struct actor *actor = data;
	char text[8];
	int fd = open(MM_SYNC "join", O_WRONLY);

	snprintf(text, sizeof(text), "%d", actor->index);
	actor->err = write_text(fd, text);
	if (!actor->err) {
		switch (actor->index) {
		case 0:		/* faults, and truncation is about to take it away */
			FORCE_READ(actor->lab->map[3 * psize()]);
			break;
		case 1:
			actor->err = ftruncate(actor->lab->file, 4 * psize()) ? errno : 0;
			actor->err = actor->err ?: write_text(fd, "done 1");
			break;
		default:	/* stays where it is, should the test fail not for ever */
			alarm(60);
			pause();
		}
	}
	close(fd);
	return NULL;
}

static int run_actors(struct lab *lab, int nr)
{
	pthread_t threads[3];
	struct actor actors[3];
	int err = 0;

	for (int i = 0; i < nr; i++) {
		actors[i] = (struct actor) { .lab = lab, .index = i };
		pthread_create(&threads[i], NULL, actor_thread, &actors[i]);
	}
	for (int i = 0; i < nr; i++) {
		pthread_join(threads[i], NULL);
		err = err ?: actors[i].err;
	}
	return err;
}

/* The same, each in a process of its own. */
static void fork_actors(struct lab *lab, int nr)
{
	for (int i = 0; i < nr; i++) {
		struct actor actor = { .lab = lab, .index = i };

		if (fork())
			continue;
		lab->pids[i] = getpid();
		actor_thread(&actor);
		_exit(0);
	}
}

static bool ends(pid_t pid)
{
	for (double end = now() + END_TIMEOUT_SEC; now() < end;) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return true;
		usleep(1000);
	}
	return false;
}

static bool comes_to(struct lab *lab, const char *text)
{
	for (double end = now() + END_TIMEOUT_SEC; now() < end;) {
		if (state_has(lab, text))
			return true;
		usleep(1000);
	}
	return false;
}

/* Does all still work? */
static bool good_run(struct lab *lab)
{
	int fd;
	bool ret;

	if (!restore(lab))
		return false;
	fd = arm(lab, 2, ARRAY_SIZE(steps), "");
	if (fd < 0)
		return false;
	ret = !run_actors(lab, 2) && state_has(lab, "over\n") && !state_has(lab, "error");
	close(fd);
	return ret && state_has(lab, "no run");
}

/* ---- tests -------------------------------------------------------------- */

TEST_F(mm_sync, follows_the_schedule)
{
	struct lab *lab = &self->lab;
	char *line, *at;
	int fd, step = 0;

	fd = arm(lab, 2, ARRAY_SIZE(steps), "");
	ASSERT_GE(fd, 0);
	EXPECT_TRUE(state_has(lab, "armed\n"));
	ASSERT_EQ(run_actors(lab, 2), 0);
	EXPECT_TRUE(state_has(lab, "over\n"));
	EXPECT_FALSE(state_has(lab, "error"));

	/* Each step ends at its point, in this order. */
	look_at(lab, MM_SYNC "trace");
	for (line = strtok(lab->text, "\n"); line; line = strtok(NULL, "\n")) {
		int actor, which;
		char point[64], want[80];

		at = strstr(line, " step ");
		if (!at)
			continue;
		if (sscanf(line, "%d %*s %63[^:]", &actor, point) != 2 ||
		    sscanf(at, " step %d", &which) != 1)
			which = -1;
		snprintf(want, sizeof(want), "%d %s", actor, point);
		ASSERT_EQ(which, step) TH_LOG("%s", line);
		EXPECT_STREQ(want, steps[step]);
		step++;
	}
	EXPECT_EQ(step, ARRAY_SIZE(steps));
	close(fd);
	EXPECT_TRUE(state_has(lab, "no run"));
}

TEST_F(mm_sync, only_for_root)
{
	static const struct {
		const char *name;
		int mode;
	} files[] = {
		{ MM_SYNC "points", 0400 },
		{ MM_SYNC "schedule", 0600 },
		{ MM_SYNC "join", 0600 },
		{ MM_SYNC "state", 0400 },
		{ MM_SYNC "trace", 0400 },
	};
	struct stat st;
	pid_t pid;
	int status;

	for (int i = 0; i < ARRAY_SIZE(files); i++) {
		ASSERT_EQ(stat(files[i].name, &st), 0);
		EXPECT_EQ(st.st_mode & 07777, files[i].mode);
	}
	pid = fork();
	if (!pid) {
		bool opened = false;

		if (setuid(NOBODY))
			_exit(2);
		for (int i = 0; i < ARRAY_SIZE(files); i++)
			opened |= open(files[i].name, O_RDONLY) >= 0 ||
				  open(files[i].name, O_WRONLY) >= 0;
		_exit(opened);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
}

/* Run a test as nobody, into lab->text. Return: its exit code, or -1. */
static int run_as_nobody(struct lab *lab, const char *path, const char *arg)
{
	int fds[2], len = 0, status;
	ssize_t ret;
	pid_t pid;

	if (pipe(fds))
		return -1;
	pid = fork();
	if (!pid) {
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		if (!setuid(NOBODY))
			execl(path, path, arg, NULL);
		_exit(CANT_EXEC);
	}
	close(fds[1]);
	while ((ret = read(fds[0], lab->text + len, MAX_LEN - 1 - len)) > 0)
		len += ret;
	lab->text[len] = '\0';
	close(fds[0]);
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(mm_sync, unprivileged_skips)
{
	struct lab *lab = &self->lab;

	if (run_as_nobody(lab, "/proc/self/exe", "-l") == CANT_EXEC ||
	    run_as_nobody(lab, "./folio_sched", "-p") == CANT_EXEC)
		SKIP(return, "not everybody can run the tests where they are");
	EXPECT_EQ(run_as_nobody(lab, "./folio_sched", "schedules/report.sched"), KSFT_SKIP);
	EXPECT_TRUE(!!strstr(lab->text, "# SKIP needs root")) TH_LOG("%s", lab->text);
	run_as_nobody(lab, "/proc/self/exe", NULL);
	EXPECT_TRUE(!!strstr(lab->text, "# SKIP needs root")) TH_LOG("%s", lab->text);
	EXPECT_FALSE(!!strstr(lab->text, "not ok"));
}

TEST_F(mm_sync, one_at_a_time)
{
	struct lab *lab = &self->lab;
	int fd = arm(lab, 2, 1, "");

	ASSERT_GE(fd, 0);
	EXPECT_EQ(open_schedule(), -1);
	EXPECT_EQ(errno, EBUSY);
	EXPECT_EQ(write_text(fd, "actors 1\n"), EBUSY);
	close(fd);
	EXPECT_TRUE(good_run(lab));
}

/* An actor that does not come: the others do not wait for ever. */
TEST_F(mm_sync, not_all_join)
{
	struct lab *lab = &self->lab;
	int fd = arm(lab, 3, ARRAY_SIZE(steps), "stall 200\n");

	ASSERT_GE(fd, 0);
	EXPECT_EQ(run_actors(lab, 2), ECANCELED);
	EXPECT_TRUE(state_has(lab, "given up\n"));
	EXPECT_TRUE(state_has(lab, "error -110 actor 2\n"));
	close(fd);
	EXPECT_TRUE(good_run(lab));
}

/* An actor that is gone for long: the run is, the others are not. */
TEST_F(mm_sync, actor_stalls)
{
	struct lab *lab = &self->lab;
	int fd = arm(lab, 3, 1, "step 2 USER_1\nstall 200\n");

	ASSERT_GE(fd, 0);
	fork_actors(lab, 3);
	EXPECT_TRUE(comes_to(lab, "given up"));
	EXPECT_TRUE(ends(lab->pids[0]));
	EXPECT_TRUE(ends(lab->pids[1]));
	EXPECT_TRUE(state_has(lab, "error -110 actor 2\n"));
	kill(lab->pids[2], SIGKILL);
	EXPECT_TRUE(ends(lab->pids[2]));
	close(fd);
	EXPECT_TRUE(good_run(lab));
}

/* ---- killed ------------------------------------------------------------- */

/* Not even a zombie: nobody has to wait for it, see kill_at_every_step(). */
static bool is_gone(pid_t pid)
{
	for (double end = now() + END_TIMEOUT_SEC; now() < end;) {
		if (kill(pid, 0) && errno == ESRCH)
			return true;
		usleep(1000);
	}
	return false;
}

#define THREADS		-2	/* the actors are threads of who arms the run: kill them all */
#define OWNER		-1	/* they are processes: kill who arms the run, or one of them */

/* Arms a run that comes to step @nr and stays there, as its last actor does. */
static void own_run(struct lab *lab, int nr, int victim)
{
	int fd;

	/* Should the test fail */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* END_TIMEOUT_SEC is less: what gives the run up is the kill */
	fd = arm(lab, 3, nr, "step 2 USER_1\nstall 10000\n");
	if (fd < 0)
		_exit(KSFT_FAIL);
	if (victim == THREADS)
		run_actors(lab, 3);
	fork_actors(lab, 3);
	for (;;)
		pause();
}

static void kill_at_step(struct __test_metadata *_metadata, struct lab *lab,
			 int nr, int victim)
{
	char text[32];
	bool ended;
	pid_t pid;

	ASSERT_TRUE(restore(lab));
	pid = fork();
	if (!pid)
		own_run(lab, nr, victim);

	/* The last actor has the turn, and does nothing with it. */
	snprintf(text, sizeof(text), "step %d of", nr);
	ASSERT_TRUE(comes_to(lab, text) && comes_to(lab, "actor 2 runs"))
		TH_LOG("%s", lab->text);
	snprintf(text, sizeof(text), "actor %d is done", victim);
	ended = state_has(lab, text);

	kill(victim < 0 ? pid : lab->pids[victim], SIGKILL);
	ASSERT_TRUE(ended || comes_to(lab, victim < 0 ? "no run" : "given up"))
		TH_LOG("killed at step %d: %s", nr, lab->text);
	if (victim != THREADS) {
		/* Those that are held go on by themselves. */
		ASSERT_TRUE(ended || (is_gone(lab->pids[0]) && is_gone(lab->pids[1])))
			TH_LOG("killed at step %d: an actor is still there", nr);
		kill(lab->pids[2], SIGKILL);
		ASSERT_TRUE(is_gone(lab->pids[2]));
		kill(pid, SIGKILL);
		ASSERT_TRUE(is_gone(lab->pids[0]) && is_gone(lab->pids[1]));
	}
	ASSERT_TRUE(is_gone(pid)) TH_LOG("killed at step %d: it is still there", nr);
	ASSERT_TRUE(good_run(lab)) TH_LOG("killed at step %d: no run works any more", nr);
}

static void kill_at_every_step(struct __test_metadata *_metadata,
			       struct lab *lab, int victim)
{
	signal(SIGCHLD, SIG_IGN);
	for (int nr = 0; nr <= ARRAY_SIZE(steps); nr++)
		kill_at_step(_metadata, lab, nr, victim);
	TH_LOG("killed at %zu steps", ARRAY_SIZE(steps) + 1);
}

TEST_F_TIMEOUT(mm_sync, killed_with_its_threads, 120)
{
	kill_at_every_step(_metadata, &self->lab, THREADS);
}

TEST_F_TIMEOUT(mm_sync, killed_owner, 120)
{
	kill_at_every_step(_metadata, &self->lab, OWNER);
}

TEST_F_TIMEOUT(mm_sync, killed_faulter, 120)
{
	kill_at_every_step(_metadata, &self->lab, 0);
}

TEST_F_TIMEOUT(mm_sync, killed_truncator, 120)
{
	kill_at_every_step(_metadata, &self->lab, 1);
}

/* ---- malformed input ---------------------------------------------------- */

#define FILE_FD		100	/* lab->file in what follows */
#define PIPE_FD		101
#define STATE_FD	102
#define HEAD		"actors 2\nfolio 100 5\n"

static const char * const bad_schedules[] = {
	"", "\n", " ", "\n\n\n", "x", "?", "%s%s%n", "-1", "schedule",
	"actors", "actors ", "actors\n", "actors x", "actors -1", "actors 2x", "actors 2 ",
	"actors  2", " actors 2", "actors 2 2", "Actors 2", "actors\t2",
	"actors 2\n", "actors 99999999999999999999\nfolio 100 5\n",
	"actors 0\nfolio 100 5\n", "actors 9\nfolio 100 5\n", "actors 2\r\nfolio 100 5\r\n",
	"actors 2\nactors 2\nfolio 100 5\n",
	"folio", "folio ", "folio 100", "folio 100 ", "folio 100 5", "folio 100 5\n",
	"actors 2\nfolio 100 x\n", "actors 2\nfolio 100 -1\n", "actors 2\nfolio 100 5 5\n",
	"actors 2\nfolio 100 4294967296\n", "actors 2\nfolio x 5\n", "actors 2\nfolio -1 5\n",
	"actors 2\nfolio 4294967295 5\n", "actors 2\nfolio 99 5\n", "actors 2\nfolio 101 5\n",
	"actors 2\nfolio 102 5\n",
	HEAD "folio 100 5\n", HEAD "folio 100 6\n",
	HEAD "stall", HEAD "stall ", HEAD "stall x\n", HEAD "stall -1\n", HEAD "stall 60001\n",
	HEAD "stall 100 100\n", HEAD "stall 100\nstall 100\n",
	HEAD "queued", HEAD "queued ", HEAD "queued x\n", HEAD "queued 8\n", HEAD "queued 0 0\n",
	HEAD "mortal", HEAD "mortal -1\n", HEAD "mortal 0 END\n",
	HEAD "step", HEAD "step ", HEAD "step 0", HEAD "step 0 ", HEAD "step 0\n",
	HEAD "step END", HEAD "step END 0", HEAD "step 0 END END", HEAD "step 0 0",
	HEAD "step 2 END\n", HEAD "step 8 END\n", HEAD "step -1 END\n",
	HEAD "step 4294967296 END\n", HEAD "step 0 END ", HEAD "step 0  END",
	HEAD "step 0 ?", HEAD "step 0 END??", HEAD "step 0 end", HEAD "step 0 EN",
	HEAD "step 0 ENDS", HEAD "step 0 MM_SYNC_END", HEAD "step 0 NO_SUCH_POINT",
	HEAD "step 0 next_uptodate_folio_loaded", HEAD "step 0 SOME_POINT,OTHER",
	HEAD "step\t0\tEND", HEAD "steps 0 END", HEAD "STEP 0 END", HEAD "step 0 \xff\xfe",
	HEAD "step 0 END\x1b[2J", HEAD "step 0 \xc3\x9c", "\177ELF",
};

static const char * const bad_joins[] = {
	"", "\n", " ", "x", "-1", "8", "9", "255", "256", "65536", "4294967295", "99999999999999",
	"0 ", " 0", "0 0", "0x", "0\n\n", "0\r\n", "\xff", "%d", "0.0", "1e0", "zero",
	"done", "done ", "done\n", "done 0", "done 1", "done 8", "done 9", "done -1", "done x",
	"done 1 1", "done  1", "DONE 1", "done1", "done 4294967297", "join 0", "leave",
	"0000000000000000000000000000000", "done 00000000000000000000000001",
};

static bool refuses(int err)
{
	return err == EINVAL || err == E2BIG || err == EBADF || err == EBUSY ||
	       err == ENOENT || err == EFAULT;
}

/* Return: was it refused, and nothing changed by it? */
static bool is_refused(struct lab *lab, const void *text, size_t len)
{
	int fd = open_schedule();
	int err = write_to(fd, text, len);
	bool ret = refuses(err) && state_has(lab, "no run");

	close(fd);
	return ret;
}

static void open_some_files(struct __test_metadata *_metadata, struct lab *lab)
{
	int fds[2];

	ASSERT_EQ(dup2(lab->file, FILE_FD), FILE_FD);
	ASSERT_EQ(pipe(fds), 0);
	ASSERT_EQ(dup2(fds[0], PIPE_FD), PIPE_FD);
	ASSERT_EQ(dup2(open(MM_SYNC "state", O_RDONLY), STATE_FD), STATE_FD);
	close(99);
}

TEST_F(mm_sync, malformed_schedule)
{
	struct lab *lab = &self->lab;
	char *text = calloc(1, MAX_LEN);
	int nr = 0, len;

	open_some_files(_metadata, lab);
	for (; nr < ARRAY_SIZE(bad_schedules); nr++) {
		EXPECT_TRUE(is_refused(lab, bad_schedules[nr], strlen(bad_schedules[nr])))
			TH_LOG("taken: '%s'", bad_schedules[nr]);
	}

	/* A good one is cut, has a byte too many, or is too long. */
	len = sprintf(text, HEAD "step 0 END\n");
	EXPECT_TRUE(is_refused(lab, text, len + 1));
	EXPECT_TRUE(is_refused(lab, text, MAX_LEN));
	nr += 2;
	for (int at = 0; at < strlen(HEAD) - 1; at++, nr++)
		EXPECT_TRUE(is_refused(lab, text, at));
	for (int steps = 129; steps <= 2500; steps *= 2, nr++) {
		len = sprintf(text, HEAD);
		for (int i = 0; i < steps && len < MAX_LEN - 16; i++)
			len += sprintf(text + len, "step 0 END\n");
		EXPECT_TRUE(is_refused(lab, text, len));
	}
	for (int byte = 0; byte < 256; byte++, nr++) {
		memset(text, byte, MAX_LEN);
		EXPECT_TRUE(is_refused(lab, text, byte % 2 ? 4096 : MAX_LEN) || byte == '\n');
	}
	for (int i = 0; i < MAX_LEN; i++)
		text[i] = i;
	EXPECT_TRUE(is_refused(lab, text, 256));
	EXPECT_TRUE(is_refused(lab, NULL, 16));
	EXPECT_TRUE(is_refused(lab, text, 1 << 30));
	nr += 3;
	TH_LOG("%d bad schedules", nr);
	free(text);
	EXPECT_TRUE(good_run(lab));
}

TEST_F(mm_sync, malformed_join)
{
	struct lab *lab = &self->lab;
	char text[4096] = {};
	int nr = 0;

	for (int armed = 0; armed < 2; armed++) {
		int schedule = armed ? arm(lab, 3, 1, "stall 10000\n") : -1;
		int fd = open(MM_SYNC "join", O_WRONLY);

		ASSERT_GE(fd, 0);
		for (int i = 0; i < ARRAY_SIZE(bad_joins); i++, nr++) {
			EXPECT_TRUE(refuses(write_text(fd, bad_joins[i])))
				TH_LOG("taken: '%s'", bad_joins[i]);
		}
		EXPECT_EQ(write_text(fd, "7"), armed ? EINVAL : ENOENT);
		for (int byte = 0; byte < 256; byte++, nr++) {
			memset(text, byte, sizeof(text));
			EXPECT_TRUE(refuses(write_to(fd, text, 2 + byte * 16)));
			EXPECT_TRUE(byte - '0' < 3u || refuses(write_to(fd, text, 1)));
		}
		EXPECT_EQ(write_to(fd, NULL, 2), EFAULT);
		EXPECT_EQ(write_to(fd, text, 1 << 30), EINVAL);
		nr += 3;
		close(fd);
		if (armed) {
			EXPECT_TRUE(state_has(lab, "actor 0 has not joined"));
			close(schedule);
		}
	}
	TH_LOG("%d bad joins", nr);
	EXPECT_TRUE(good_run(lab));
}

/* What can be read can't be written, and at no offset is there more than there is. */
TEST_F(mm_sync, malformed_rest)
{
	struct lab *lab = &self->lab;
	static const char * const names[] = {
		MM_SYNC "points", MM_SYNC "state", MM_SYNC "trace", MM_SYNC "schedule",
		MM_SYNC "join",
	};
	char buf[512] = {};

	for (int run = 0; run < 2; run++) {
		int schedule = run ? arm(lab, 2, 1, "") : -1;

		for (int i = 0; i < ARRAY_SIZE(names); i++) {
			int fd = open(names[i], i < 3 ? O_RDWR : O_RDONLY);

			ASSERT_GE(fd, 0) TH_LOG("%s: %s", names[i], strerror(errno));
			EXPECT_NE(write_to(fd, buf, sizeof(buf)), 0);
			EXPECT_NE(write_to(fd, "0", 1), 0);
			EXPECT_LE(pread(fd, buf, sizeof(buf), 1 << 30), 0);
			EXPECT_LE(pread(fd, buf, sizeof(buf), -1), 0);
			EXPECT_EQ(mmap(NULL, psize(), PROT_READ, MAP_SHARED, fd, 0), MAP_FAILED);
			EXPECT_EQ(lseek(fd, -1, SEEK_SET), -1);
			while (read(fd, buf, 7) > 0)
				;
			close(fd);
		}
		if (run)
			close(schedule);
	}
	EXPECT_TRUE(good_run(lab));
}

/* A good schedule, changed at random in some places: whatever it is, no harm is done. */
TEST_F_TIMEOUT(mm_sync, fuzz, 120)
{
	struct lab *lab = &self->lab;
	static const char * const words[] = {
		"actors ", "folio ", "stall ", "step ", "queued ", "mortal ", "100 ", "5", "0 ",
		"1 ", "7 ", "END", "WAIT", "USER_1", "?", "\n", " ", "99999", "-1", "\xff",
	};
	const char good[] = HEAD "stall 100\nstep 0 NEXT_UPTODATE_FOLIO_LOADED\nstep 1 END?\n";
	unsigned int seed = time(NULL), nr_taken = 0;
	char text[512];

	open_some_files(_metadata, lab);
	TH_LOG("seed %u", seed);
	for (int nr = 0; nr < NR_FUZZ; nr++) {
		int fd = nr % 2 ? open_schedule() : open(MM_SYNC "join", O_WRONLY);
		size_t len = nr % 2 ? strlen(good) : rand_r(&seed) % 12;
		int err;

		memcpy(text, nr % 2 ? good : "done 1 0 1 2", len);
		for (int changes = rand_r(&seed) % 4; changes >= 0; changes--) {
			const char *word = words[rand_r(&seed) % ARRAY_SIZE(words)];
			size_t at = rand_r(&seed) % (len + 1);

			switch (rand_r(&seed) % 4) {
			case 0:
				text[at] = rand_r(&seed);
				break;
			case 1:
				memmove(text + at + strlen(word), text + at, len - at);
				memcpy(text + at, word, strlen(word));
				len += strlen(word);
				break;
			case 2:
				len = at;
				break;
			default:
				memmove(text + at / 2, text + at, len - at);
				len -= at - at / 2;
			}
		}
		ASSERT_GE(fd, 0);
		err = write_to(fd, text, len);
		EXPECT_TRUE(!err || refuses(err)) TH_LOG("errno %d", err);
		nr_taken += !err;
		close(fd);
	}
	TH_LOG("%d inputs, %u of them well-formed", NR_FUZZ, nr_taken);
	EXPECT_TRUE(state_has(lab, "no run"));
	EXPECT_TRUE(good_run(lab));
}

TEST_HARNESS_MAIN
