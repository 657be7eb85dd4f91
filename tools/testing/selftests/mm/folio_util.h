/* SPDX-License-Identifier: GPL-2.0-only */
/* What several tests of folios need. */
#ifndef __FOLIO_UTIL_H__
#define __FOLIO_UTIL_H__

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

double now(void);
int wait_child(pid_t pid, int seconds);
bool stay_on_this_cpu(void);
int tcp_loopback(int *tx, int bufsize, int timeout_sec);
int catch_sigbus(void);
bool read_mapping(void *buf, char *addr, size_t len);

#endif
