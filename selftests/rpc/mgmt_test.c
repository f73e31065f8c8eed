// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The management of a server from outside, over each protocol sequence: what it
 * serves and whether it does can be asked by anybody; nobody can stop it.
 */
#include <stdio.h>
#include <string.h>

#include "tap.h"
#include "testing.h"

static const UUID mgmt = {
	0xafa8bd80,
	0x7d8a,
	0x11c9,
	{ 0xbe, 0xf4, 0x08, 0x00, 0x2b, 0x10, 0x29, 0x89 },
};

static struct server server;

static bool lists(const RPC_IF_ID_VECTOR *ids, const UUID *uuid)
{
	for (uint32_t i = 0; i < ids->Count; i++)
		if (!memcmp(&ids->IfId[i]->Uuid, uuid, sizeof(*uuid)) &&
		    ids->IfId[i]->VersMajor == 1 &&
		    ids->IfId[i]->VersMinor == 0)
			return true;
	return false;
}

static void test_interfaces(RPC_BINDING_HANDLE binding)
{
	RPC_IF_ID_VECTOR *ids;

	is(RpcMgmtInqIfIds(binding, &ids), RPC_S_OK, "RpcMgmtInqIfIds");
	if (!ok(ids, "has a list"))
		return;
	is(ids->Count, 4, "of four interfaces");
	ok(lists(ids, &echo_client.InterfaceId.SyntaxGUID), "echo");
	ok(lists(ids, &slow_client.InterfaceId.SyntaxGUID), "slow");
	ok(lists(ids, &block_client.InterfaceId.SyntaxGUID), "block");
	ok(lists(ids, &mgmt), "and the management itself");
	is(RpcIfIdVectorFree(&ids), RPC_S_OK, "RpcIfIdVectorFree");
}

static void test_listening(RPC_BINDING_HANDLE binding)
{
	is(RpcMgmtIsServerListening(binding), RPC_S_OK,
	   "RpcMgmtIsServerListening");
	is(RpcMgmtStopServerListening(binding), RPC_S_ACCESS_DENIED,
	   "RpcMgmtStopServerListening is denied");
	is(RpcMgmtIsServerListening(binding), RPC_S_OK, "it goes on listening");
	is(slow_null(binding), RPC_S_OK, "and serves others with the binding");
}

static void test_ended(RPC_BINDING_HANDLE binding)
{
	RPC_IF_ID_VECTOR *ids = (RPC_IF_ID_VECTOR *)&ids;

	is(RpcMgmtIsServerListening(binding), RPC_S_SERVER_UNAVAILABLE,
	   "RpcMgmtIsServerListening of one that has ended");
	is(RpcMgmtStopServerListening(binding), RPC_S_SERVER_UNAVAILABLE,
	   "RpcMgmtStopServerListening");
	is(RpcMgmtInqIfIds(binding, &ids), RPC_S_SERVER_UNAVAILABLE,
	   "RpcMgmtInqIfIds");
	ok(!ids, "has no list");
}

int main(void)
{
	RPC_BINDING_HANDLE binding, later[PROTSEQS];

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("# engine %s, back end %s\n", rpccancel_engine_name(),
	       rpccancel_backend_name());
	server_start(&server, NULL);
	for (int i = 0; i < PROTSEQS; i++) {
		printf("# %s\n", protseq_names[i]);
		binding = server_bind(&server, i);
		test_interfaces(binding);
		test_listening(binding);
		RpcBindingFree(&binding);
		/* Without a connection from before the end. */
		later[i] = server_bind(&server, i);
	}
	ok(server_stop(&server), "the server ends well");
	for (int i = 0; i < PROTSEQS; i++) {
		printf("# %s\n", protseq_names[i]);
		test_ended(later[i]);
		RpcBindingFree(&later[i]);
	}
	return tap_end();
}
