/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * The interfaces that the tests of the run time call.
 *
 *	echo	Samba's rpcecho, for tests that others wrote
 *	slow	calls that take their time, and heed a cancel or do not
 *	block	calls that block where they cannot look for cancels
 *
 * Each is described for clients in echo_call.c and for servers in echo_stub.c,
 * which take the place of what MIDL would make of an .idl file.
 */
#ifndef ECHO_H
#define ECHO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rpc.h>
#include <rpcasync.h>
#include <rpcdcep.h>

#include "ndr.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define __printf(f, a) \
	__attribute__((format(printf, \
			      f, a)))

#define ECHO_UUID                                                      \
	{                                                              \
		0x60a15ec5, 0x4de8, 0x11d7,                            \
		{                                                      \
			0xa6, 0x37, 0x00, 0x50, 0x56, 0xa2, 0x01, 0x82 \
		}                                                      \
	}
#define SLOW_UUID                                                      \
	{                                                              \
		0xd2a5c6b1, 0x7e34, 0x4f0b,                            \
		{                                                      \
			0x9c, 0x1d, 0x3b, 0x8e, 0x6a, 0x40, 0x52, 0xf7 \
		}                                                      \
	}
#define BLOCK_UUID                                                     \
	{                                                              \
		0x81f0e4a9, 0x25bd, 0x4c63,                            \
		{                                                      \
			0xb7, 0x58, 0x0d, 0x91, 0xe2, 0x7c, 0x36, 0x4a \
		}                                                      \
	}
/* Samba's tests of the protocol call this one; see samba_raw_test.py. */
#define NETLOGON_UUID                                                  \
	{                                                              \
		0x12345678, 0x1234, 0xabcd,                            \
		{                                                      \
			0xef, 0x00, 0x01, 0x23, 0x45, 0x67, 0xcf, 0xfb \
		}                                                      \
	}
/* The transfer syntax NDR 2.0. */
#define NDR_UUID                                                       \
	{                                                              \
		0x8a885d04, 0x1ceb, 0x11c9,                            \
		{                                                      \
			0x9f, 0xe8, 0x08, 0x00, 0x2b, 0x10, 0x48, 0x60 \
		}                                                      \
	}

enum echo_opnum {
	ECHO_ADD_ONE,
	ECHO_ECHO_DATA,
	ECHO_SINK_DATA,
	ECHO_SOURCE_DATA,
	ECHO_TEST_CALL,
	ECHO_TEST_CALL2,
	ECHO_TEST_SLEEP,
	ECHO_TEST_ENUM,
	ECHO_TEST_SURROUNDING,
	ECHO_TEST_DOUBLE_POINTER,
};

enum slow_opnum {
	SLOW_NULL, /* nothing in, nothing out */
	SLOW_STAY,
	SLOW_RAISE, /* u32 status: the stub raises it */
	SLOW_COUNT,
	SLOW_RELEASE, /* ends all SLOW_STAY with SLOW_UNTIL_RELEASED */
	SLOW_ATTRIBUTES,
};

enum block_opnum {
	BLOCK_RECV, /* u32 ms: reads from a silent socket for so long */
};

/* How SLOW_STAY behaves. */
#define SLOW_HEED	    0x1 /* returns when it is cancelled */
#define SLOW_RAISE_CANCEL   0x2 /* raises RPC_S_CALL_CANCELLED then */
#define SLOW_UNTIL_RELEASED 0x4 /* returns at SLOW_RELEASE */
#define SLOW_BY_DESCRIPTOR  0x8 /* waits for rpccancel_server_cancel_fd() */

struct slow_result {
	uint32_t cancelled; /* the stub saw that it was */
	uint32_t ms;	    /* how long it stayed */
};

/* Of one server, since it started. */
struct slow_counts {
	uint32_t entered;   /* SLOW_STAY and BLOCK_RECV: stubs entered */
	uint32_t left;	    /* and left again */
	uint32_t cancelled; /* that saw that they were cancelled */
	uint32_t nulls;	    /* SLOW_NULL */
};

struct slow_attributes {
	uint32_t status; /* of RpcServerInqCallAttributes() */
	uint32_t protseq, opnum, locality, pid;
	uint32_t test_cancel, server_test_cancel;
};

/*
 * For clients. slow_callback_client says of the same interface that its calls
 * may issue static callbacks; such calls cannot be cancelled.
 */
extern RPC_CLIENT_INTERFACE echo_client, slow_client, slow_callback_client,
	block_client;

/* A call in the making. On error no call is to be freed. */
struct call {
	RPC_MESSAGE message;
	struct ndr ndr;
};

RPC_STATUS call_begin(struct call *c, RPC_BINDING_HANDLE binding,
		      RPC_CLIENT_INTERFACE *interface, unsigned int opnum,
		      size_t size);
/* Sends what was written, and reads the answer; frees the call on error. */
RPC_STATUS call_send(struct call *c);
/* RPC_X_BAD_STUB_DATA if the answer was too short, else @status. */
RPC_STATUS call_end(struct call *c, RPC_STATUS status);

RPC_STATUS echo_add_one(RPC_BINDING_HANDLE binding, uint32_t in, uint32_t *out);
RPC_STATUS echo_data(RPC_BINDING_HANDLE binding, const uint8_t *in,
		     uint8_t *out, uint32_t length);
RPC_STATUS echo_sink(RPC_BINDING_HANDLE binding, const uint8_t *data,
		     uint32_t length);
RPC_STATUS echo_source(RPC_BINDING_HANDLE binding, uint8_t *data,
		       uint32_t length);
RPC_STATUS echo_sleep(RPC_BINDING_HANDLE binding, uint32_t seconds,
		      uint32_t *slept);

RPC_STATUS slow_null(RPC_BINDING_HANDLE binding);
RPC_STATUS slow_stay(RPC_BINDING_HANDLE binding, uint32_t ms, uint32_t flags,
		     struct slow_result *result);
/* The same call, but over slow_callback_client. */
RPC_STATUS slow_stay_callback(RPC_BINDING_HANDLE binding, uint32_t ms,
			      uint32_t flags, struct slow_result *result);
RPC_STATUS slow_raise(RPC_BINDING_HANDLE binding, RPC_STATUS status);
RPC_STATUS slow_count(RPC_BINDING_HANDLE binding, struct slow_counts *counts);
RPC_STATUS slow_release(RPC_BINDING_HANDLE binding);
RPC_STATUS slow_attributes(RPC_BINDING_HANDLE binding,
			   struct slow_attributes *attributes);
/* *@result is the errno that recv() gave, 0 for the time-out. */
RPC_STATUS block_recv(RPC_BINDING_HANDLE binding, uint32_t ms,
		      uint32_t *result);

/* For servers. */
extern RPC_SERVER_INTERFACE echo_server, slow_server, block_server,
	netlogon_server;

/* Whether SLOW_STAY calls that wait to be released may end; at exit. */
void slow_release_all(void);

#endif /* ECHO_H */
