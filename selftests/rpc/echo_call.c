// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The client's side of the interfaces of the tests: what MIDL's client stubs
 * would be. A function returns the status that a MIDL stub would raise.
 */
#include "echo.h"

#include <string.h>

#define CLIENT(uuid, flags)                                                 \
	{                                                                   \
		.Length = sizeof(RPC_CLIENT_INTERFACE),                     \
		.InterfaceId = { uuid, { 1, 0 } },                          \
		.TransferSyntax = { NDR_UUID, { 2, 0 } }, .Flags = (flags), \
	}

RPC_CLIENT_INTERFACE echo_client = CLIENT(ECHO_UUID, 0);
RPC_CLIENT_INTERFACE slow_client = CLIENT(SLOW_UUID, 0);
RPC_CLIENT_INTERFACE slow_callback_client =
	CLIENT(SLOW_UUID, RPCFLG_HAS_CALLBACK);
RPC_CLIENT_INTERFACE block_client = CLIENT(BLOCK_UUID, 0);

RPC_STATUS call_begin(struct call *c, RPC_BINDING_HANDLE binding,
		      RPC_CLIENT_INTERFACE *interface, unsigned int opnum,
		      size_t size)
{
	RPC_STATUS status;

	memset(c, 0, sizeof(*c));
	c->message.Handle = binding;
	c->message.RpcInterfaceInformation = interface;
	c->message.ProcNum = opnum;
	c->message.BufferLength = size;
	c->message.DataRepresentation = NDR_LITTLE_ENDIAN;
	status = I_RpcGetBuffer(&c->message);
	if (status == RPC_S_OK)
		ndr_init(&c->ndr, c->message.Buffer, size, NDR_LITTLE_ENDIAN);
	return status;
}

RPC_STATUS call_send(struct call *c)
{
	RPC_STATUS status;

	c->message.BufferLength = c->ndr.offset;
	status = I_RpcSendReceive(&c->message);
	if (status == RPC_S_OK)
		ndr_init(&c->ndr, c->message.Buffer, c->message.BufferLength,
			 c->message.DataRepresentation);
	else
		I_RpcFreeBuffer(&c->message);
	return status;
}

RPC_STATUS call_end(struct call *c, RPC_STATUS status)
{
	I_RpcFreeBuffer(&c->message);
	return c->ndr.bad ? RPC_X_BAD_STUB_DATA : status;
}

/* A call with @count numbers, which are all that it has to say. */
static RPC_STATUS send_numbers(struct call *c, RPC_BINDING_HANDLE binding,
			       RPC_CLIENT_INTERFACE *interface,
			       unsigned int opnum, const uint32_t *numbers,
			       size_t count)
{
	RPC_STATUS status;

	status = call_begin(c, binding, interface, opnum, 4 * count);
	if (status != RPC_S_OK)
		return status;
	for (size_t i = 0; i < count; i++)
		ndr_put_u32(&c->ndr, numbers[i]);
	return call_send(c);
}

/* The same, with an answer that consists of numbers too. */
static RPC_STATUS exchange(RPC_BINDING_HANDLE binding,
			   RPC_CLIENT_INTERFACE *interface, unsigned int opnum,
			   const uint32_t *in, size_t in_count, uint32_t *out,
			   size_t out_count)
{
	RPC_STATUS status;
	struct call c;

	status = send_numbers(&c, binding, interface, opnum, in, in_count);
	if (status != RPC_S_OK)
		return status;
	for (size_t i = 0; i < out_count; i++)
		out[i] = ndr_get_u32(&c.ndr);
	return call_end(&c, RPC_S_OK);
}

RPC_STATUS echo_add_one(RPC_BINDING_HANDLE binding, uint32_t in, uint32_t *out)
{
	return exchange(binding, &echo_client, ECHO_ADD_ONE, &in, 1, out, 1);
}

/* A conformant array: its size in front. */
static RPC_STATUS send_bytes(struct call *c, RPC_BINDING_HANDLE binding,
			     unsigned int opnum, const uint8_t *data,
			     uint32_t length)
{
	RPC_STATUS status;
	uint8_t *p;

	status = call_begin(c, binding, &echo_client, opnum, 8 + length);
	if (status != RPC_S_OK)
		return status;
	ndr_put_u32(&c->ndr, length);
	ndr_put_u32(&c->ndr, length);
	p = ndr_put_array(&c->ndr, length, 1);
	if (p)
		memcpy(p, data, length);
	return call_send(c);
}

static RPC_STATUS receive_bytes(struct call *c, uint8_t *data, uint32_t length)
{
	const uint8_t *p;

	if (ndr_get_u32(&c->ndr) != length)
		return call_end(c, RPC_X_BAD_STUB_DATA);
	p = ndr_get_array(&c->ndr, length, 1);
	if (p)
		memcpy(data, p, length);
	return call_end(c, RPC_S_OK);
}

RPC_STATUS echo_data(RPC_BINDING_HANDLE binding, const uint8_t *in,
		     uint8_t *out, uint32_t length)
{
	RPC_STATUS status;
	struct call c;

	status = send_bytes(&c, binding, ECHO_ECHO_DATA, in, length);
	return status == RPC_S_OK ? receive_bytes(&c, out, length) : status;
}

RPC_STATUS echo_sink(RPC_BINDING_HANDLE binding, const uint8_t *data,
		     uint32_t length)
{
	RPC_STATUS status;
	struct call c;

	status = send_bytes(&c, binding, ECHO_SINK_DATA, data, length);
	return status == RPC_S_OK ? call_end(&c, RPC_S_OK) : status;
}

RPC_STATUS echo_source(RPC_BINDING_HANDLE binding, uint8_t *data,
		       uint32_t length)
{
	RPC_STATUS status;
	struct call c;

	status = send_numbers(&c, binding, &echo_client, ECHO_SOURCE_DATA,
			      &length, 1);
	return status == RPC_S_OK ? receive_bytes(&c, data, length) : status;
}

RPC_STATUS echo_sleep(RPC_BINDING_HANDLE binding, uint32_t seconds,
		      uint32_t *slept)
{
	return exchange(binding, &echo_client, ECHO_TEST_SLEEP, &seconds, 1,
			slept, 1);
}

RPC_STATUS slow_null(RPC_BINDING_HANDLE binding)
{
	return exchange(binding, &slow_client, SLOW_NULL, NULL, 0, NULL, 0);
}

static RPC_STATUS stay(RPC_BINDING_HANDLE binding,
		       RPC_CLIENT_INTERFACE *interface, uint32_t ms,
		       uint32_t flags, struct slow_result *result)
{
	uint32_t in[] = { ms, flags }, out[2] = { 0 };
	RPC_STATUS status;

	status = exchange(binding, interface, SLOW_STAY, in, 2, out, 2);
	result->cancelled = out[0];
	result->ms = out[1];
	return status;
}

RPC_STATUS slow_stay(RPC_BINDING_HANDLE binding, uint32_t ms, uint32_t flags,
		     struct slow_result *result)
{
	return stay(binding, &slow_client, ms, flags, result);
}

RPC_STATUS slow_stay_callback(RPC_BINDING_HANDLE binding, uint32_t ms,
			      uint32_t flags, struct slow_result *result)
{
	return stay(binding, &slow_callback_client, ms, flags, result);
}

RPC_STATUS slow_raise(RPC_BINDING_HANDLE binding, RPC_STATUS status)
{
	uint32_t in = status;

	return exchange(binding, &slow_client, SLOW_RAISE, &in, 1, NULL, 0);
}

RPC_STATUS slow_count(RPC_BINDING_HANDLE binding, struct slow_counts *counts)
{
	uint32_t out[4] = { 0 };
	RPC_STATUS status;

	status = exchange(binding, &slow_client, SLOW_COUNT, NULL, 0, out, 4);
	*counts = (struct slow_counts){ out[0], out[1], out[2], out[3] };
	return status;
}

RPC_STATUS slow_release(RPC_BINDING_HANDLE binding)
{
	return exchange(binding, &slow_client, SLOW_RELEASE, NULL, 0, NULL, 0);
}

RPC_STATUS slow_attributes(RPC_BINDING_HANDLE binding,
			   struct slow_attributes *attributes)
{
	uint32_t out[7] = { 0 };
	RPC_STATUS status;

	status = exchange(binding, &slow_client, SLOW_ATTRIBUTES, NULL, 0, out,
			  7);
	*attributes = (struct slow_attributes){ out[0], out[1], out[2], out[3],
						out[4], out[5], out[6] };
	return status;
}

RPC_STATUS block_recv(RPC_BINDING_HANDLE binding, uint32_t ms, uint32_t *result)
{
	return exchange(binding, &block_client, BLOCK_RECV, &ms, 1, result, 1);
}
