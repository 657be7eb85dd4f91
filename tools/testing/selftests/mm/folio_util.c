// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/tcp.h>

#include "folio_util.h"
#include "vm_util.h"

#define KILL_TIMEOUT_SEC	5

/* Return: seconds, of a clock that nobody sets. */
double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/*
 * Wait for a child, kill it if it takes too long.
 *
 * Return: its exit code, minus the signal that ended it, or -ETIME (which is
 * no signal) if it had to be killed.
 */
int wait_child(pid_t pid, int seconds)
{
	double deadline = now() + seconds;
	bool killed = false;
	int status;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		if (now() > deadline) {
			if (killed)	/* not even SIGKILL helps */
				return -ETIME;
			killed = true;
			kill(pid, SIGKILL);
			deadline = now() + KILL_TIMEOUT_SEC;
		}
		usleep(1000);
	}
	if (killed)
		return -ETIME;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* PG_lru is set late, from a batch of the CPU: that is to be the same CPU. */
bool stay_on_this_cpu(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	return !sched_setaffinity(0, sizeof(cpus), &cpus);
}

/*
 * Connect to ourselves. @bufsize and @timeout_sec may be 0, for the default.
 *
 * Return: the receiving end, or -1 with errno set.
 */
int tcp_loopback(int *tx, int bufsize, int timeout_sec)
{
	struct timeval tv = { .tv_sec = timeout_sec };
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	int listener, err, one = 1, rx = -1;

	/* What is set for the listener is so for what it accepts, too. */
	listener = socket(AF_INET, SOCK_STREAM, 0);
	*tx = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(*tx, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (bufsize) {
		setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &bufsize, sizeof(bufsize));
		setsockopt(*tx, SOL_SOCKET, SO_SNDBUF, &bufsize, sizeof(bufsize));
	}
	if (timeout_sec) {
		setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
		setsockopt(*tx, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	}

	if (!bind(listener, (struct sockaddr *)&addr, sizeof(addr)) &&
	    !listen(listener, 1) &&
	    !getsockname(listener, (struct sockaddr *)&addr, &len) &&
	    !connect(*tx, (struct sockaddr *)&addr, sizeof(addr)))
		rx = accept(listener, NULL, NULL);
	err = errno;
	close(listener);
	if (rx < 0)
		close(*tx);
	errno = err;
	return rx;
}

static __thread sigjmp_buf sigbus_env;
static __thread bool sigbus_expected;

static void sigbus_handler(int sig)
{
	if (!__atomic_load_n(&sigbus_expected, __ATOMIC_SEQ_CST)) {
		/* Not ours: die of it when we return. */
		signal(SIGBUS, SIG_DFL);
		return;
	}
	siglongjmp(sigbus_env, 1);
}

/* Needed before read_mapping(). Return: as sigaction(). */
int catch_sigbus(void)
{
	/* The handler jumps out: SIGBUS must not stay blocked. */
	struct sigaction sa = {
		.sa_handler = sigbus_handler,
		.sa_flags = SA_NODEFER,
	};

	return sigaction(SIGBUS, &sa, NULL);
}

/*
 * Copy some words out of the mapping of a file.
 *
 * Return: false if that was SIGBUS.
 */
bool read_mapping(void *buf, char *addr, size_t len)
{
	if (sigsetjmp(sigbus_env, 0)) {
		__atomic_store_n(&sigbus_expected, false, __ATOMIC_SEQ_CST);
		return false;
	}
	__atomic_store_n(&sigbus_expected, true, __ATOMIC_SEQ_CST);
	for (size_t i = 0; i < len; i += sizeof(long))
		*(long *)(buf + i) = FORCE_READ(*(long *)(addr + i));
	__atomic_store_n(&sigbus_expected, false, __ATOMIC_SEQ_CST);
	return true;
}
