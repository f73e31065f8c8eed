// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The remote management interface (C706, appendix Q), which every server has.
 * The marshalling is by hand: the arguments are a few integers.
 *
 * A remote client may look, and not touch: C706 lets a server stop on request
 * only if it has said who may, and without authentication nobody can be told
 * from anybody else.
 */
#include <rpcexcept.h>

#include "internal.h"
#include "rpc/server_impl.h"
#include "wire/bytes.h"
#include "wire/cn_pdu.h"

#define MAX_STATS 4

static const RPC_SYNTAX_IDENTIFIER mgmt_id = {
	{ 0xafa8bd80,
	  0x7d8a,
	  0x11c9,
	  { 0xbe, 0xf4, 0x08, 0x00, 0x2b, 0x10, 0x29, 0x89 } },
	{ 1, 0 },
};

/* A reply being written; little-endian. */
struct out {
	uint8_t *at;
};

static void put32(struct out *out, uint32_t v)
{
	put_u32(out->at, v);
	out->at += sizeof(v);
}

static void begin_reply(RPC_MESSAGE *message, struct out *out, size_t size)
{
	RPC_STATUS status;

	message->BufferLength = size;
	status = rpcc_server_get_buffer(message);
	if (status != RPC_S_OK)
		RpcRaiseException(status);
	out->at = message->Buffer;
}

/* An integer of the request; a missing one is 0. */
static uint32_t get32(const RPC_MESSAGE *message, size_t offset)
{
	if (message->BufferLength < offset + sizeof(uint32_t))
		return 0;
	return get_u32((const uint8_t *)message->Buffer + offset,
		       cn_little_endian(message->DataRepresentation));
}

static void put_id(struct out *out, const RPC_IF_ID *id)
{
	put_uuid(out->at, &id->Uuid);
	put_u16(out->at + 16, id->VersMajor);
	put_u16(out->at + 18, id->VersMinor);
	out->at += 20;
}

/* A unique pointer to a conformant structure with an array of pointers. */
static void put_ids(RPC_MESSAGE *message, const RPC_IF_ID_VECTOR *ids)
{
	const size_t fixed = 4 * sizeof(uint32_t);
	struct out out;
	uint32_t i;

	begin_reply(message, &out, fixed + ids->Count * (4 + 20));
	put32(&out, 1);
	put32(&out, ids->Count);
	put32(&out, ids->Count);
	for (i = 0; i < ids->Count; i++)
		put32(&out, 2 + i);
	for (i = 0; i < ids->Count; i++)
		put_id(&out, ids->IfId[i]);
	put32(&out, RPC_S_OK);
}

static void inq_if_ids(RPC_MESSAGE *message)
{
	RPC_IF_ID_VECTOR *ids;
	RPC_STATUS status = rpcc_server_inq_if_ids(&ids);

	if (status != RPC_S_OK)
		RpcRaiseException(status);
	RpcTryFinally
	{
		put_ids(message, ids);
	}
	RpcFinally
	{
		RpcIfIdVectorFree(&ids);
	}
	RpcEndFinally
}

/* Calls and packets are not counted. */
static void inq_stats(RPC_MESSAGE *message)
{
	uint32_t count = get32(message, 0), i;
	struct out out;

	if (count > MAX_STATS)
		count = MAX_STATS;
	begin_reply(message, &out, (3 + count) * sizeof(uint32_t));
	put32(&out, count);
	put32(&out, count);
	for (i = 0; i < count; i++)
		put32(&out, 0);
	put32(&out, RPC_S_OK);
}

static void is_server_listening(RPC_MESSAGE *message)
{
	RPC_STATUS status = rpcc_server_is_listening();
	struct out out;

	begin_reply(message, &out, 2 * sizeof(uint32_t));
	put32(&out, status);
	put32(&out, status == RPC_S_OK);
}

static void stop_server_listening(RPC_MESSAGE *message)
{
	struct out out;

	begin_reply(message, &out, sizeof(uint32_t));
	put32(&out, RPC_S_ACCESS_DENIED);
}

/* An empty string: there are no principals. */
static void inq_princ_name(RPC_MESSAGE *message)
{
	uint32_t size = get32(message, 4);
	struct out out;

	begin_reply(message, &out, 5 * sizeof(uint32_t));
	put32(&out, size ? size : 1);
	put32(&out, 0);
	put32(&out, 1);
	put32(&out, 0);
	put32(&out, RPC_S_CANNOT_SUPPORT);
}

static RPC_DISPATCH_FUNCTION functions[] = {
	inq_if_ids,	inq_stats, is_server_listening, stop_server_listening,
	inq_princ_name,
};

static RPC_DISPATCH_TABLE table = {
	.DispatchTableCount = sizeof(functions) / sizeof(functions[0]),
	.DispatchTable = functions,
};

static RPC_SERVER_INTERFACE spec = { .Length = sizeof(spec) };

static void fill_spec(void)
{
	spec.InterfaceId = mgmt_id;
	spec.TransferSyntax = rpcc_ndr_syntax;
	spec.DispatchTable = &table;
}

RPC_STATUS rpcc_mgmt_register(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const struct rpcc_interface how = {
		.max_size = UINT32_MAX,
		.builtin = true,
	};
	RPC_STATUS status;

	pthread_once(&once, fill_spec);
	status = rpcc_interface_register(&spec, &how);
	return status == RPC_S_ALREADY_REGISTERED ? RPC_S_OK : status;
}
