/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * The second part of the demonstration: calls of our own run time, cancelled,
 * and what that looks like on the wire.
 */
#ifndef CALLS_H
#define CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* One PDU that went by. */
struct packet {
	double ms; /* since the wire was last cleared */
	bool to_server;
	uint8_t header[16];
	uint8_t cancel_count;	/* of a response or a fault */
	uint32_t status;	/* of a fault */
	char text[74];		/* in words */
};

/*
 * A wire that can be looked at: whoever connects to wire_port() talks to the
 * server's port, and each PDU is noted.
 */
void wire_start(uint16_t server_port);
uint16_t wire_port(void);
void wire_clear(void);
/* What has gone by since then; returns how many. */
size_t wire_packets(struct packet *packets, size_t max);
/* "tshark" or "the demo": who has put them into words. */
const char *wire_decoder(void);

#endif /* CALLS_H */
