/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Protocol sequences: what is different between transports, in one table. A
 * transport makes sockets and knows what addresses and endpoints look like;
 * what travels on them is the protocol's business (cn/, dg/).
 *
 *	ncacn_ip_tcp	TCP; endpoint: a port
 *	ncadg_ip_udp	UDP; endpoint: a port
 *	ncacn_np	a Unix stream socket; endpoint: \pipe\NAME
 *	ncalrpc		a Unix stream socket; endpoint: a name
 *
 * Unix sockets are at DIR/np/NAME and DIR/ncalrpc/NAME, where DIR is the
 * environment's RPCCANCEL_DIR, or else /run/rpccancel for root and
 * $XDG_RUNTIME_DIR/rpccancel for others, who find root's servers as well.
 */
#ifndef RPCC_PROTSEQ_H
#define RPCC_PROTSEQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <netinet/in.h>

#include <rpcdce.h>

enum rpcc_protocol {
	RPCC_CN, /* connection-oriented */
	RPCC_DG, /* datagrams */
};

struct rpcc_address {
	socklen_t len;
	union {
		struct sockaddr any;
		struct sockaddr_in ip4;
		struct sockaddr_in6 ip6;
		struct sockaddr_un local;
	};
};

#define RPCC_MAX_ADDRESSES 16 /* of one host */
#define RPCC_MAX_LISTENERS 2  /* sockets of one endpoint: IPv6 and IPv4 */
#define RPCC_MAX_ENDPOINT  108

/* One endpoint that a server listens at. */
struct rpcc_listener {
	const struct rpcc_protseq *protseq;
	char endpoint[RPCC_MAX_ENDPOINT]; /* as clients name it */
	int fd[RPCC_MAX_LISTENERS];	  /* in blocking mode, see io/io.h */
	unsigned int fd_count;
	struct sockaddr_un local; /* to be unlinked; sun_path[0] 0: nothing */
	dev_t device;		  /* of that file, */
	ino_t inode;		  /* if it is still ours */
};

struct rpcc_protseq {
	const char *name;
	enum rpcc_protocol protocol;
	uint32_t number;     /* RPC_PROTSEQ_* */
	uint32_t call_flags; /* RPCCANCEL_SLOT_* of calls over it */
	uint16_t max_frag;   /* that we offer */
	bool local;	     /* the peer is on this machine */

	/*
	 * Texts as they are in a string binding; NULL or "" is none. The status
	 * is RPC_S_INVALID_NET_ADDR or RPC_S_INVALID_ENDPOINT_FORMAT.
	 */
	RPC_STATUS (*check)(const char *address, const char *endpoint);

	/*
	 * @list: RPCC_MAX_ADDRESSES elements. May block (names are looked up, in
	 * a cancel scope if the calling thread has one to give).
	 * RPC_S_SERVER_UNAVAILABLE if there is no such host,
	 * RPC_S_CALL_CANCELLED if it was cancelled, RPC_S_TIMEOUT if a scope
	 * that the thread was in already came to its deadline.
	 */
	RPC_STATUS(*resolve)
	(const char *address, const char *endpoint, struct rpcc_address *list,
	 size_t *count);

	/* A socket to connect with, in blocking mode; or a negative errno. */
	int (*open)(const struct rpcc_address *to);

	/*
	 * @endpoint: NULL for any. RPC_S_DUPLICATE_ENDPOINT,
	 * RPC_S_CANT_CREATE_ENDPOINT, RPC_S_INVALID_ENDPOINT_FORMAT. Undone by
	 * rpcc_listener_close().
	 */
	RPC_STATUS(*listen)
	(const char *endpoint, unsigned int backlog,
	 struct rpcc_listener *listener);
};

/*
 * NULL with RPC_S_INVALID_RPC_PROTSEQ for what is none, and with
 * RPC_S_PROTSEQ_NOT_SUPPORTED for one that exists but not here.
 */
const struct rpcc_protseq *rpcc_protseq_find(const char *name,
					     RPC_STATUS *status);
void rpcc_listener_close(struct rpcc_listener *listener);

/* The address as text, without the endpoint: "127.0.0.1", "::1", "". */
void rpcc_address_text(const struct rpcc_address *address, char *text,
		       size_t size);
/* The peer's process, by SO_PEERCRED; 0 if that is not known. */
pid_t rpcc_peer_pid(int fd);

#endif /* RPCC_PROTSEQ_H */
