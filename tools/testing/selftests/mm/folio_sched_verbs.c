// SPDX-License-Identifier: GPL-2.0-only
/* What the sessions of a schedule file can do. */
#define _GNU_SOURCE
#include <asm-generic/mman.h> /* Force the import of the tools version. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <linux/falloc.h>
#include <linux/tcp.h>

#include "../../../../mm/gup_test.h"
#include "folio_sched.h"

#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE		0x80
#endif

#define SPLIT			"/sys/kernel/debug/split_huge_pages"
#define LRU_GEN			"/sys/kernel/debug/lru_gen"
#define GUP_TEST		"/sys/kernel/debug/gup_test"

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

const char *write_pages(struct object *object, int first, int nr)
{
	int len = nr * psize();
	char *buf = malloc(len);
	ssize_t ret;

	/* In one go, so that it can be one folio */
	for (int i = 0; i < len; i += sizeof(uint64_t))
		*(uint64_t *)(buf + i) = pattern(first + i / psize());
	ret = pwrite(object->fd, buf, len, first * psize());
	free(buf);
	return ret < 0 ? errno_name(errno) : ret < len ? "a short write" : "0";
}

static const char *do_write(struct command *cmd)
{
	return write_pages(cmd->object, cmd->numbers[0], cmd->numbers[1]);
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
	const char *got = advise(cmd, MADV_PAGEOUT);

	/* How long a disk takes is not the schedule's, and /proc/meminfo is behind */
	if (sched.needs_swap)
		sleep(1);
	return got;
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

static const char *do_mlock(struct command *cmd)
{
	return result(mlock2(cmd->object->addr + cmd->numbers[0] * psize(),
			     cmd->numbers[1] * psize(), MLOCK_ONFAULT));
}

/* The pages are pinned until the process ends */
static const char *do_pin(struct command *cmd)
{
	struct pin_longterm_test args = {
		.addr = (uintptr_t)cmd->object->addr + cmd->numbers[0] * psize(),
		.size = cmd->numbers[1] * psize(),
	};
	int fd = open(GUP_TEST, O_RDWR | O_CLOEXEC);

	return result(fd < 0 ? fd : ioctl(fd, PIN_LONGTERM_TEST_START, &args));
}

/* Return: in kB, of all that is being written back */
static int under_writeback(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	char line[128];
	int kb = 0;

	while (file && fgets(line, sizeof(line), file) && sscanf(line, "Writeback: %d", &kb) != 1)
		;
	if (file)
		fclose(file);
	return kb;
}

/* All that is there and not in use leaves the page cache, and the swap cache: by MGLRU */
static const char *do_evict(struct command *cmd)
{
	unsigned long memcg = 0, seq = 0;
	char text[256];
	FILE *file;
	int len, fd;

	while (under_writeback())
		usleep(1000);
	/* The last line is about the youngest generation */
	file = fopen(LRU_GEN, "r");
	while (file && fgets(text, sizeof(text), file))
		if (sscanf(text, "memcg %lu", &memcg) != 1)
			sscanf(text, "%lu", &seq);
	if (file)
		fclose(file);
	len = snprintf(text, sizeof(text), "+ %lu 0 %lu, + %lu 0 %lu, - %lu 0 %lu",
		       memcg, seq, memcg, seq + 1, memcg, seq);
	fd = open(LRU_GEN, O_WRONLY | O_CLOEXEC);
	len = fd < 0 ? fd : write(fd, text, len);
	close(fd);
	return result(len);
}

/* For a disk to be done with what is being read */
static const char *do_rest(struct command *cmd)
{
	return result(usleep(cmd->numbers[0] * 1000));
}

static const char *do_kill(struct command *cmd)
{
	return result(kill(cmd->session->pid, SIGKILL));
}

static const char * const reads[] = { "data", "zero", "other", "SIGBUS", "EOF", NULL };
static const char * const receives[] = { "some", "none", NULL };

const struct verb verbs[] = {
	{ "read", MAP_OBJECT, 1, "MAPPING PAGE", do_read, reads, true },
	{ "pageout", MAP_OBJECT, 2, "MAPPING FIRST PAGES", do_pageout },
	{ "cold", MAP_OBJECT, 2, "MAPPING FIRST PAGES", do_cold },
	{ "zap", MAP_OBJECT, 2, "MAPPING FIRST PAGES (MADV_DONTNEED)", do_zap },
	{ "mlock", MAP_OBJECT, 2, "MAPPING FIRST PAGES (as they are faulted in)", do_mlock },
	{ "pin", MAP_OBJECT, 2, "MAPPING FIRST PAGES (for long)", do_pin },
	{ "munmap", MAP_OBJECT, 2, "MAPPING FIRST PAGES", do_munmap },
	{ "soft_offline", MAP_OBJECT, 1, "MAPPING PAGE", do_soft_offline },
	{ "pread", FILE_OBJECT, 1, "FILE PAGE", do_pread, reads, true },
	{ "pread_dontcache", FILE_OBJECT, 1, "FILE PAGE", do_pread_dontcache, reads,
	  true },
	{ "write", FILE_OBJECT, 2, "FILE FIRST PAGES", do_write },
	{ "store", FILE_OBJECT, 1, "FILE PAGE (through a mapping)", do_store },
	{ "split", FILE_OBJECT, 2, "FILE FIRST PAGES (large folios to single pages)", do_split },
	{ "truncate", FILE_OBJECT, 1, "FILE PAGES", do_truncate },
	{ "punch", FILE_OBJECT, 2, "FILE FIRST PAGES", do_punch },
	{ "fadvise", FILE_OBJECT, 2, "FILE FIRST PAGES (DONTNEED)", do_fadvise },
	{ "fsync", FILE_OBJECT, 0, "FILE", do_fsync },
	{ "send", TCP_OBJECT, 2, "TCP FIRST PAGES (sendfile() of the file before it)", do_send },
	{ "receive", TCP_OBJECT, 1, "TCP PAGES (zerocopy)", do_receive, receives },
	{ "evict", NO_OBJECT, 0, "", do_evict },
	{ "rest", NO_OBJECT, 1, "MILLISECONDS", do_rest },
	{ "kill", SESSION_OBJECT, 0, "SESSION", do_kill },
	{}
};

void exec_command(struct command *cmd)
{
	snprintf(cmd->got, sizeof(cmd->got), "%s", cmd->verb->fn(cmd));
}

bool as_wanted(const struct command *cmd)
{
	if (!cmd->want)
		return cmd->verb->any || !strcmp(cmd->got, "0");
	return !strcmp(cmd->got, cmd->want);
}

/* Return: false, with errno set, if this kernel or file system has not got it. */
bool can_do(const struct command *cmd)
{
	char byte;

	if (cmd->verb->fn == do_pin)
		return !access(GUP_TEST, W_OK);
	if (cmd->verb->fn == do_evict)
		return !access(LRU_GEN, W_OK);
	return cmd->verb->fn != do_pread_dontcache ||
	       preadv2(cmd->object->fd, &(struct iovec){ &byte, 1 }, 1, 0, RWF_DONTCACHE) >= 0;
}
