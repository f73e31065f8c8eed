// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The management of servers, from outside: the interface mgmt that each server
 * has (C706, appendix Q), as a client calls it. A binding of NULL means the server
 * in this process, which needs no call.
 *
 * The stubs are written out here: nothing goes in, and three kinds of answers
 * come out, in NDR of either byte order.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "rpc/binding.h"
#include "rpc/server.h"
#include "wire/cn_pdu.h"

enum mgmt_operation {
	MGMT_INQ_IF_IDS = 0,
	MGMT_IS_SERVER_LISTENING = 2,
	MGMT_STOP_SERVER_LISTENING = 3,
};

#define IF_ID_SIZE 20 /* on the wire */

static const UUID mgmt_uuid = { 0xafa8bd80,
				0x7d8a,
				0x11c9,
				{ 0xbe, 0xf4, 0x08, 0x00, 0x2b, 0x10, 0x29,
				  0x89 } };

/* What is left of an answer. */
struct reader {
	const uint8_t *at, *end;
	bool little_endian;
	bool good; /* nothing was missing so far */
};

static uint32_t read_uint(struct reader *r, size_t size)
{
	uint32_t value = 0;
	size_t i;

	if ((size_t)(r->end - r->at) < size) {
		r->good = false;
		r->at = r->end;
		return 0;
	}
	for (i = 0; i < size; i++)
		value |= (uint32_t)r->at[i]
			 << 8 * (r->little_endian ? i : size - 1 - i);
	r->at += size;
	return value;
}

static uint32_t read_u32(struct reader *r)
{
	return read_uint(r, 4);
}

static uint16_t read_u16(struct reader *r)
{
	return (uint16_t)read_uint(r, 2);
}

static void read_if_id(struct reader *r, RPC_IF_ID *id)
{
	size_t i;

	id->Uuid.Data1 = read_u32(r);
	id->Uuid.Data2 = read_u16(r);
	id->Uuid.Data3 = read_u16(r);
	for (i = 0; i < sizeof(id->Uuid.Data4); i++)
		id->Uuid.Data4[i] = (uint8_t)read_uint(r, 1);
	id->VersMajor = read_u16(r);
	id->VersMinor = read_u16(r);
}

static RPC_STATUS call(RPC_BINDING_HANDLE binding, enum mgmt_operation opnum,
		       RPC_MESSAGE *message, struct reader *r)
{
	RPC_CLIENT_INTERFACE interface = {
		.Length = sizeof(interface),
		.InterfaceId = { mgmt_uuid, { 1, 0 } },
		.TransferSyntax = rpcc_ndr_syntax,
	};
	RPC_STATUS status;

	/* That of a call being served has a buffer too, which is its stub's. */
	if (!rpcc_binding_get(binding))
		return rpcc_not_a_binding(binding);
	*message = (RPC_MESSAGE){
		.Handle = binding,
		.ProcNum = opnum,
		.RpcInterfaceInformation = &interface,
	};
	status = I_RpcGetBuffer(message);
	if (status != RPC_S_OK)
		return status;
	status = I_RpcSendReceive(message);
	if (status != RPC_S_OK)
		return status;
	message->RpcInterfaceInformation = NULL;
	*r = (struct reader){
		.at = message->Buffer,
		.end = (uint8_t *)message->Buffer + message->BufferLength,
		.little_endian = cn_little_endian(message->DataRepresentation),
		.good = true,
	};
	return RPC_S_OK;
}

EXPORT RPC_STATUS RpcMgmtIsServerListening(RPC_BINDING_HANDLE Binding)
{
	KEEP_ERRNO();
	uint32_t status_there, listening;
	RPC_MESSAGE message;
	struct reader r;
	RPC_STATUS status;

	if (!Binding)
		return rpcc_server_is_listening();
	status = call(Binding, MGMT_IS_SERVER_LISTENING, &message, &r);
	if (status != RPC_S_OK)
		return status;
	status_there = read_u32(&r);
	listening = read_u32(&r);
	I_RpcFreeBuffer(&message);
	if (!r.good)
		return RPC_X_BAD_STUB_DATA;
	if (status_there)
		return (RPC_STATUS)status_there;
	return listening ? RPC_S_OK : RPC_S_NOT_LISTENING;
}

EXPORT RPC_STATUS RpcMgmtStopServerListening(RPC_BINDING_HANDLE Binding)
{
	KEEP_ERRNO();
	RPC_MESSAGE message;
	struct reader r;
	RPC_STATUS status;

	if (!Binding)
		return rpcc_server_stop_listening();
	status = call(Binding, MGMT_STOP_SERVER_LISTENING, &message, &r);
	if (status != RPC_S_OK)
		return status;
	status = (RPC_STATUS)read_u32(&r);
	I_RpcFreeBuffer(&message);
	return r.good ? status : RPC_X_BAD_STUB_DATA;
}

/*
 * Interfaces of a server.
 */

EXPORT RPC_STATUS RpcIfIdVectorFree(RPC_IF_ID_VECTOR **IfIdVector)
{
	RPC_IF_ID_VECTOR *vector;
	uint32_t i;

	if (!IfIdVector || !*IfIdVector)
		return RPC_S_INVALID_ARG;
	vector = *IfIdVector;
	for (i = 0; i < vector->Count; i++)
		free(vector->IfId[i]);
	free(vector);
	*IfIdVector = NULL;
	return RPC_S_OK;
}

static RPC_IF_ID_VECTOR *vector_alloc(uint32_t count)
{
	RPC_IF_ID_VECTOR *vector =
		calloc(1, sizeof(*vector) + count * sizeof(vector->IfId[0]));

	if (vector)
		vector->Count = count;
	return vector;
}

/* A pointer, for each identifier, comes before all of the identifiers. */
static RPC_STATUS read_if_ids(struct reader *r, RPC_IF_ID_VECTOR *vector)
{
	const uint8_t *pointers = r->at;
	struct reader pointer;
	uint32_t i;

	for (i = 0; i < vector->Count; i++)
		read_u32(r);
	for (i = 0; i < vector->Count; i++) {
		pointer = *r;
		pointer.at = pointers + i * sizeof(uint32_t);
		if (!read_u32(&pointer))
			return RPC_X_BAD_STUB_DATA;
		vector->IfId[i] = calloc(1, sizeof(*vector->IfId[i]));
		if (!vector->IfId[i])
			return RPC_S_OUT_OF_MEMORY;
		read_if_id(r, vector->IfId[i]);
	}
	return RPC_S_OK;
}

/* A server that has no list has a reason: who gets RPC_S_OK looks at it. */
static RPC_STATUS read_reason(struct reader *r)
{
	uint32_t status = read_u32(r);

	return r->good && status ? (RPC_STATUS)status : RPC_X_BAD_STUB_DATA;
}

static RPC_STATUS read_vector(struct reader *r, RPC_IF_ID_VECTOR **result)
{
	uint32_t most, count;
	RPC_STATUS status;

	*result = NULL;
	if (!read_u32(r))
		return read_reason(r);
	most = read_u32(r);
	count = read_u32(r);
	if (!r->good || count > most ||
	    count > (size_t)(r->end - r->at) / (IF_ID_SIZE + sizeof(uint32_t)))
		return RPC_X_BAD_STUB_DATA;
	*result = vector_alloc(count);
	if (!*result)
		return RPC_S_OUT_OF_MEMORY;
	status = read_if_ids(r, *result);
	if (status != RPC_S_OK)
		return status;
	status = (RPC_STATUS)read_u32(r);
	return r->good ? status : RPC_X_BAD_STUB_DATA;
}

EXPORT RPC_STATUS RpcMgmtInqIfIds(RPC_BINDING_HANDLE Binding,
				  RPC_IF_ID_VECTOR **IfIdVector)
{
	KEEP_ERRNO();
	RPC_IF_ID_VECTOR *vector;
	RPC_MESSAGE message;
	struct reader r;
	RPC_STATUS status;

	if (!IfIdVector)
		return RPC_S_INVALID_ARG;
	*IfIdVector = NULL;
	if (!Binding)
		return rpcc_server_inq_if_ids(IfIdVector);
	status = call(Binding, MGMT_INQ_IF_IDS, &message, &r);
	if (status != RPC_S_OK)
		return status;
	status = read_vector(&r, &vector);
	I_RpcFreeBuffer(&message);
	if (status != RPC_S_OK && vector)
		RpcIfIdVectorFree(&vector);
	else
		*IfIdVector = vector;
	return status;
}
