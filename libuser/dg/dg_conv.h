/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * The conversation manager (C706, appendix P): the interface that a client
 * serves for its server, in the middle of a call. A server that gets a call of
 * an activity that it does not know cannot tell a new call from a duplicate of
 * one that it has executed and forgotten, perhaps before a restart. So it asks
 * the client which call that activity is making now.
 *
 * Here are the bodies, in NDR. They fit into one packet.
 */
#ifndef RPCC_DG_CONV_H
#define RPCC_DG_CONV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rpcdce.h>

#define DG_CONV_VERSION	  3
#define DG_CONV_BODY_SIZE 24 /* of the longest */

enum dg_conv_operation {
	DG_CONV_WHO_ARE_YOU = 0,
	DG_CONV_WHO_ARE_YOU2 = 1,
	DG_CONV_ARE_YOU_THERE = 2,
};

/* What the server knows; the same for all operations. */
struct dg_conv_request {
	UUID activity;
	uint32_t server_boot;
};

struct dg_conv_response {
	uint32_t seqnum; /* not of are_you_there */
	UUID client;	 /* the process; only of who_are_you2 */
	uint32_t status; /* 0 or NCA_S_* */
};

extern const UUID dg_conv_interface;

/* @drep: as in struct dg_header. False if it is not of the right length. */
bool dg_conv_get_request(const uint8_t *body, size_t length, uint32_t drep,
			 struct dg_conv_request *request);
/* Of DG_CONV_WHO_ARE_YOU. */
bool dg_conv_get_response(const uint8_t *body, size_t length, uint32_t drep,
			  struct dg_conv_response *response);

/* Little-endian. Return the length, at most DG_CONV_BODY_SIZE. */
size_t dg_conv_put_request(uint8_t *body,
			   const struct dg_conv_request *request);
size_t dg_conv_put_response(uint8_t *body, enum dg_conv_operation operation,
			    const struct dg_conv_response *response);

#endif /* RPCC_DG_CONV_H */
