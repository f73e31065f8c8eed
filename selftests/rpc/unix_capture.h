/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* What ld puts between the library and these functions (--wrap), and these. */
#ifndef UNIX_CAPTURE_H
#define UNIX_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "io/engine.h"

ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
int __real_close(int fd);
int __wrap_close(int fd);
bool __real_rpcc_io_sent_all(struct rpcc_io_req *req, size_t sent);
bool __wrap_rpcc_io_sent_all(struct rpcc_io_req *req, size_t sent);
void __real_rpcc_io_event(struct rpcc_io *io, struct rpcc_io_req *req, int res,
			  void *data);
void __wrap_rpcc_io_event(struct rpcc_io *io, struct rpcc_io_req *req, int res,
			  void *data);

#endif /* UNIX_CAPTURE_H */
