/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What load.c wants of a peer: an RPC system with one operation, which sends
 * bytes there and gets them back. No bytes are a null call.
 *
 * All but serve() is called in the client's process. A connection is used by
 * the thread that has opened it and by no other.
 */
#ifndef PEER_H
#define PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The time-out of each call, in all that have one. */
#define PEER_TIMEOUT_MS 10000

/* The largest number of bytes that is echoed. */
#define PEER_MAX_SIZE 1048576

struct peer_address {
	bool local;	/* a Unix socket: @path; else TCP, on 127.0.0.1 */
	const char *path;
	uint16_t port;
};

struct peer {
	/* Of the library, for the report. */
	const char *(*version)(void);
	bool has_local;

	/* Serves until the process is killed; calls @ready when it does. */
	void (*serve)(const struct peer_address *address, void (*ready)(void));

	/* A connection of its own, or NULL. */
	void *(*open)(const struct peer_address *address);
	void (*close)(void *connection);

	/* One call: sends @size bytes of @data and overwrites them. */
	bool (*echo)(void *connection, void *data, size_t size);

	/*
	 * Keeps @window calls in flight until @stop, waits for the last, and
	 * returns how many there were; -1 if one has failed. NULL if the system
	 * makes one call at a time on a connection.
	 */
	int64_t (*pipeline)(void *connection, const void *data, size_t size,
			    unsigned int window, const volatile bool *stop);
};

/* Each program has one. */
extern const struct peer peer;

#ifdef __cplusplus
}
#endif

#endif /* PEER_H */
