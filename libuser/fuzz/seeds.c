// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * usage: seeds DIR
 *
 * Writes what the fuzzers start from to DIR/NAME_fuzz/: PDUs as the library
 * encodes them, and string bindings. Folders that are not there are made.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "wire/cn_pdu.h"
#include "wire/dg_pdu.h"

#define BOTH	    (CN_FIRST_FRAG | CN_LAST_FRAG)
#define STUB_LENGTH 8

static const char *root;

static void write_seed(const char *fuzzer, const char *name, const void *bytes,
		       size_t length)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s_fuzz", root, fuzzer);
	if (mkdir(path, 0777) && errno != EEXIST)
		err(1, "%s", path);
	snprintf(path, sizeof(path), "%s/%s_fuzz/%s", root, fuzzer, name);
	file = fopen(path, "w");
	if (!file || fwrite(bytes, 1, length, file) != length || fclose(file))
		err(1, "%s", path);
}

static void binds(void)
{
	static struct cn_bind bind = {
		.max_xmit = CN_DEFAULT_FRAG,
		.max_recv = CN_DEFAULT_FRAG,
		.context_count = 2,
	};
	static struct cn_bind_ack ack = {
		.max_xmit = CN_DEFAULT_FRAG,
		.max_recv = CN_DEFAULT_FRAG,
		.assoc_group = 1,
		.sec_addr = "135",
		.result_count = 2,
	};
	uint8_t pdu[512];

	bind.context[0].transfer_count = 2;
	bind.context[0].abstract = rpcc_ndr64_syntax;
	bind.context[0].transfer[0] = rpcc_ndr_syntax;
	bind.context[0].transfer[1] = rpcc_ndr64_syntax;
	bind.context[1].id = 1;
	bind.context[1].transfer_count = 1;
	bind.context[1].abstract = rpcc_ndr64_syntax;
	rpcc_syntax_set_features(&bind.context[1].transfer[0],
				 CN_FEATURE_KEEP_ON_ORPHAN);
	write_seed("cn_pdu", "bind", pdu,
		   cn_put_bind(pdu, sizeof(pdu), false, BOTH | CN_CONC_MPX, 1,
			       &bind));
	write_seed("cn_pdu", "alter_context", pdu,
		   cn_put_bind(pdu, sizeof(pdu), true, BOTH, 2, &bind));

	ack.result[0].transfer = rpcc_ndr_syntax;
	ack.result[1].result = CN_NEGOTIATE_ACK;
	ack.result[1].reason = CN_FEATURE_KEEP_ON_ORPHAN;
	write_seed("cn_pdu", "bind_ack", pdu,
		   cn_put_bind_ack(pdu, sizeof(pdu), false, BOTH, 1, &ack));
	write_seed("cn_pdu", "bind_nak", pdu,
		   cn_put_bind_nak(pdu, sizeof(pdu), 1, CN_NAK_VERSION));
}

static void calls(void)
{
	static const UUID object = { 1, 2, 3, { 4 } };
	uint8_t pdu[128] = { 0 };
	size_t size = sizeof(pdu) - STUB_LENGTH;

	write_seed("cn_pdu", "request", pdu,
		   cn_put_request(pdu, size, BOTH, 2, STUB_LENGTH, 0, 1, NULL,
				  STUB_LENGTH) +
			   STUB_LENGTH);
	write_seed("cn_pdu", "request_object", pdu,
		   cn_put_request(pdu, size, BOTH, 2, STUB_LENGTH, 0, 1,
				  &object, STUB_LENGTH) +
			   STUB_LENGTH);
	write_seed("cn_pdu", "response", pdu,
		   cn_put_response(pdu, size, BOTH | CN_PENDING_CANCEL, 2,
				   STUB_LENGTH, 0, 1, STUB_LENGTH) +
			   STUB_LENGTH);
	write_seed("cn_pdu", "fault", pdu,
		   cn_put_fault(pdu, size, BOTH, 2, 0, 1, 0x1c00000d));
	write_seed("cn_pdu", "co_cancel", pdu,
		   cn_put_bare(pdu, size, CN_CO_CANCEL,
			       CN_LAST_FRAG | CN_PENDING_CANCEL, 2));
	write_seed("cn_pdu", "orphaned", pdu,
		   cn_put_bare(pdu, size, CN_ORPHANED, BOTH, 2));
}

/* Three calls that share a connection, the last in parts between the others. */
static void shared_answers(const struct cn_bind_ack *ack)
{
	uint8_t b[512] = { 0x40 };
	size_t length;

	length = 1 +
		 cn_put_bind_ack(b + 1, 256, false, BOTH | CN_CONC_MPX, 1, ack);
	write_seed("cn_client", "mpx_bind_ack", b, length);
	length += cn_put_response(b + length, 64, CN_FIRST_FRAG, 4, 0, 0, 0, 0);
	length += cn_put_response(b + length, 64, BOTH, 2, 0, 0, 0, 0);
	length += cn_put_fault(b + length, 64, BOTH, 3, 0, 1, 0x1c00000d);
	length += cn_put_response(b + length, 64, CN_LAST_FRAG, 4, 0, 0, 0, 0);
	write_seed("cn_client", "mpx_parts", b, length);
	b[0] = 0x4b;
	write_seed("cn_client", "mpx_abandon", b, length - CN_RESPONSE_SIZE);
}

/* How the call goes, the bind_ack, and an answer: see cn_client_fuzz.c. */
static void answers(void)
{
	static struct cn_bind_ack ack = {
		.max_xmit = CN_DEFAULT_FRAG,
		.max_recv = CN_MUST_RECV_FRAG,
		.assoc_group = 1,
		.sec_addr = "135",
		.result_count = 2,
	};
	uint8_t b[512] = { 0 };
	size_t bound, length;

	ack.result[0].transfer = rpcc_ndr_syntax;
	ack.result[1].result = CN_NEGOTIATE_ACK;
	ack.result[1].reason = CN_FEATURE_KEEP_ON_ORPHAN;
	bound = 1 + cn_put_bind_ack(b + 1, 256, false, BOTH, 1, &ack);
	write_seed("cn_client", "bind_ack", b, bound);

	length = bound + STUB_LENGTH +
		 cn_put_response(b + bound, 64, BOTH, 2, STUB_LENGTH, 0, 0,
				 STUB_LENGTH);
	write_seed("cn_client", "response", b, length);
	b[0] = 0x2f;
	write_seed("cn_client", "response_long", b, length);

	length = bound +
		 cn_put_response(b + bound, 64, CN_FIRST_FRAG, 2, 0, 0, 0, 0);
	length += cn_put_response(b + length, 64, CN_LAST_FRAG, 2, 0, 0, 0, 0);
	length += cn_put_bare(b + length, 64, CN_SHUTDOWN, BOTH, 0);
	write_seed("cn_client", "parts_shutdown", b, length);
	b[0] = 0x27;
	length = bound + cn_put_fault(b + bound, 64, BOTH, 2, 0, 1, 0x1c00000d);
	write_seed("cn_client", "fault", b, length);
	b[0] = 0x03;
	write_seed("cn_client", "abandon", b, bound);
	shared_answers(&ack);
}

/* 16 bytes of credentials after a pad of 4, and a big-endian label. */
static void oddities(void)
{
	uint8_t pdu[128] = { 0 };
	size_t length;

	length = cn_put_request(pdu, sizeof(pdu), BOTH, 2, 4, 0, 1, NULL,
				8 + 8 + 16);
	pdu[10] = 16;
	pdu[length + 8 + 2] = 4;
	write_seed("cn_pdu", "request_auth", pdu, length + 8 + 8 + 16);

	length = cn_put_bind_nak(pdu, sizeof(pdu), 1, 0);
	pdu[4] = 0;
	pdu[8] = 0;
	pdu[9] = (uint8_t)length;
	write_seed("cn_pdu", "bind_nak_big_endian", pdu, length);
}

static void datagrams(void)
{
	struct dg_header h = {
		.activity = { 1, 2, 3, { 4 } },
		.interface_hint = 0xffff,
		.activity_hint = 0xffff,
		.length = STUB_LENGTH,
	};
	struct dg_cancel cancel = { .id = 1, .accepting = true };
	struct dg_fack fack = {
		.vers = 1,
		.window = 32,
		.max_tsdu = 4096,
		.max_frag = DG_MUST_RECV_FRAG,
		.selack_count = 2,
		.selack = { 1, 5 },
	};
	uint8_t pdu[DG_MUST_RECV_FRAG] = { 0 };

	dg_put_header(pdu, &h);
	write_seed("dg_pdu", "request", pdu, DG_HEADER_SIZE + STUB_LENGTH);
	h.type = DG_FACK;
	write_seed("dg_pdu", "fack", pdu, dg_put_fack(pdu, &h, &fack));
	h.type = DG_CANCEL;
	write_seed("dg_pdu", "cl_cancel", pdu, dg_put_cancel(pdu, &h, &cancel));
	h.type = DG_CANCEL_ACK;
	write_seed("dg_pdu", "cancel_ack", pdu,
		   dg_put_cancel_ack(pdu, &h, &cancel));
	h.type = DG_FAULT;
	write_seed("dg_pdu", "fault", pdu, dg_put_status(pdu, &h, 0x1c00000d));
	h.type = DG_CANCEL;
	h.length = 0;
	dg_put_header(pdu, &h);
	write_seed("dg_pdu", "orphan", pdu, DG_HEADER_SIZE);
	pdu[4] = 0;
	write_seed("dg_pdu", "orphan_big_endian", pdu, DG_HEADER_SIZE);
}

static void string_bindings(void)
{
	static const char *const texts[] = {
		"ncacn_ip_tcp:127.0.0.1[135]",
		"6b29fc40-ca47-1067-b31d-00dd010662da@ncadg_ip_udp:::1[9,a=b]",
		"ncacn_np:\\\\\\\\server[\\\\pipe\\\\x]",
		"ncacn_np:server[\\pipe\\x]",
		"ncalrpc:[endpoint=a\\]b\\,c,opt=val,more=x y]",
		"6b29fc40-ca47-1067-b31d-00dd010662da",
	};
	char name[16];
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		snprintf(name, sizeof(name), "%zu", i);
		write_seed("string_binding", name, texts[i], strlen(texts[i]));
	}
}

int main(int argc, char **argv)
{
	if (argc != 2)
		errx(2, "usage: seeds DIR");
	root = argv[1];
	binds();
	calls();
	answers();
	oddities();
	datagrams();
	string_bindings();
	return 0;
}
