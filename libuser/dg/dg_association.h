/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What the calls on one binding and its copies share: where the server is, and
 * the activities.
 *
 * An activity is a UUID and a sequence number, and makes one call at a time. It
 * has a socket of its own, connected, so that nothing but the server's packets
 * and the news that nobody listens there come in. A call takes an idle activity
 * or makes one, and gives it back, unless something of the call may still be
 * under way, which a next call of the same activity could meet: then the
 * activity is retired, and its UUID never used again.
 *
 * Lifetime: an association is counted, by bindings and activities in use.
 * Locking: one lock, for all associations, protects them and which binding has
 * which; a forking thread holds it, so that a child finds it free. An activity
 * in use is its call's.
 */
#ifndef RPCC_DG_ASSOCIATION_H
#define RPCC_DG_ASSOCIATION_H

#include <stdbool.h>
#include <stdint.h>

#include "dg/dg_fragments.h"
#include "rpc/client.h"

#define DG_MAX_IDLE 32 /* activities that wait for a call, of an association */

struct dg_activity;

struct dg_association {
	unsigned int refs;
	struct dg_activity *idle;
	unsigned int idle_count;
	bool found; /* @server has answered */
	struct rpcc_address server;
};

struct dg_activity {
	struct dg_activity *next; /* in the idle list */
	struct dg_association *association;
	unsigned int forks; /* a child's copies may only be closed by it */
	UUID id;
	uint32_t seqnum; /* of the call in progress, or the last one */
	uint32_t server_boot;
	int fd;
	struct rpcc_address server; /* that @fd is connected to */

	/* Where to try next if there is no answer; NULL: nowhere. */
	struct rpcc_address *others;
	size_t other_count, other_next;

	/* The call in progress: dg_client.c's. */
	struct rpcc_client_call *call;
	struct rpcc_io_req receive, send;
	struct msghdr message; /* of @send */
	struct iovec parts[2];
	struct dg_sender out;
	struct dg_receiver in;
	uint16_t serial;
	bool used;	  /* by an earlier call too */
	bool started;	  /* something was sent */
	bool resent;	  /* some of the request more than once */
	bool unreachable; /* the last thing that was sent */
	unsigned int refusals, reboots;
	uint64_t began;
	uint64_t heard; /* when the server last was, in this call; 0 never */
	uint64_t next_send; /* of the request again, a ping or a fack */
	uint64_t interval;  /* to the one after that */
	uint64_t next_cancel;
	uint32_t cancels;	/* asked for so far */
	uint32_t cancels_known; /* those that the server has told to know of */
	bool deaf;		/* it does not take any more */

	uint8_t header[DG_HEADER_SIZE]; /* of the packet in @send */
	uint8_t buffer[DG_RECEIVE_SIZE];
};

/* The binding's, made when first needed, with a reference; NULL: no memory. */
struct dg_association *dg_association_get(struct rpcc_binding *binding);
void dg_association_put(struct dg_association *association);
/* The binding has none any more. */
void dg_association_release(struct rpcc_binding *binding);
/* The server has answered at @address, or no longer does. */
void dg_association_found(struct dg_association *association,
			  const struct rpcc_address *address);
void dg_association_lost(struct dg_association *association);

/*
 * An activity for one call, connected. Takes over the caller's reference to
 * @association, which goes with the activity.
 */
RPC_STATUS dg_activity_take(struct dg_association *association,
			    struct rpcc_client_call *call,
			    struct dg_activity **activity);
/* Connects to the next address; false if there is none left. */
bool dg_activity_connect(struct dg_activity *activity,
			 const struct rpcc_protseq *protseq);
/* @again: it may make another call. */
void dg_activity_give(struct dg_activity *activity, bool again);

/* Which process this is, for servers that watch over their clients. */
void dg_client_uuid(UUID *uuid);

#endif /* RPCC_DG_ASSOCIATION_H */
