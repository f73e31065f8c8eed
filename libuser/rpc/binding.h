/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Binding handles. A client's is a struct rpcc_binding; what a server's stub
 * finds in its message is a struct rpcc_server_call (server.h). Both begin with
 * a magic number, by which rpcc_binding_get() and rpcc_server_call_get() tell
 * them apart and refuse anything else.
 *
 * Ownership: a handle belongs to the application, which frees it when no call
 * on it is in progress. Copies share the association (the connections), which
 * is counted. Locking: rpcc_bindings_lock() protects what the application may
 * set while other threads make calls; a call copies what it needs at its start.
 */
#ifndef RPCC_BINDING_H
#define RPCC_BINDING_H

#include <stdbool.h>
#include <stdint.h>

#include <rpcdce.h>

#include "transport/protseq.h"

#define RPCC_BINDING_MAGIC     0x62637072u
#define RPCC_SERVER_CALL_MAGIC 0x73637072u

struct cn_association; /* cn/cn_client.c: shared connections */
struct dg_association; /* dg/dg_client.c: socket and activities */

struct rpcc_binding {
	uint32_t magic;
	const struct rpcc_protseq *protseq;
	UUID object;		  /* nil: none */
	char *address;		  /* "" for this machine */
	char *endpoint;		  /* "" while only partially bound */
	char *options;		  /* as in the string binding */
	unsigned int com_timeout; /* RPC_C_BINDING_*_TIMEOUT, 0 to 10 */
	uint32_t call_timeout;	  /* ms, 0 none */
	bool unique;		  /* RPC_C_OPT_UNIQUE_BINDING */
	bool dont_linger;	  /* RPC_C_OPT_DONT_LINGER */
	union {
		struct cn_association *cn;
		struct dg_association *dg;
	}; /* by protseq->protocol; NULL before the first call */
};

/* The handle as what it is, or NULL. */
struct rpcc_binding *rpcc_binding_get(RPC_BINDING_HANDLE handle);
/* What to say of one that rpcc_binding_get() refuses. */
RPC_STATUS rpcc_not_a_binding(RPC_BINDING_HANDLE handle);

/* One lock for all of them, see binding.c. Not to be held for long. */
void rpcc_bindings_lock(void);
void rpcc_bindings_unlock(void);

/* How long RpcMgmtSetComTimeout() lets a server be unreachable; ns. */
uint64_t rpcc_com_timeout(unsigned int timeout);

/* string_binding.c: the parts, each from malloc(); "" for what is missing. */
struct rpcc_string_binding {
	char *object, *protseq, *address, *endpoint, *options;
};

RPC_STATUS rpcc_string_binding_parse(const char *text,
				     struct rpcc_string_binding *parts);
void rpcc_string_binding_free(struct rpcc_string_binding *parts);

#endif /* RPCC_BINDING_H */
