// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A string binding. One that is taken apart, put together and taken apart again
 * must have the same parts.
 */
#include <rpc.h>

#include "fuzz.h"
#include "rpc/binding.h"

static void put_together(const struct rpcc_string_binding *b)
{
	struct rpcc_string_binding other;
	RPC_CSTR text;

	MUST(RpcStringBindingCompose((RPC_CSTR)b->object, (RPC_CSTR)b->protseq,
				     (RPC_CSTR)b->address,
				     (RPC_CSTR)b->endpoint,
				     (RPC_CSTR)b->options, &text) == RPC_S_OK);
	MUST(rpcc_string_binding_parse((char *)text, &other) == RPC_S_OK);
	MUST(!strcmp(other.object, b->object));
	MUST(!strcmp(other.protseq, b->protseq));
	MUST(!strcmp(other.address, b->address));
	MUST(!strcmp(other.endpoint, b->endpoint));
	MUST(!strcmp(other.options, b->options));
	rpcc_string_binding_free(&other);
	RpcStringFree(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rpcc_string_binding b;
	char *text = malloc(size + 1);
	UUID uuid;

	MUST(text);
	memcpy(text, data, size);
	text[size] = 0;
	UuidFromString((RPC_CSTR)text, &uuid);
	if (rpcc_string_binding_parse(text, &b) == RPC_S_OK) {
		put_together(&b);
		rpcc_string_binding_free(&b);
	}
	free(text);
	return 0;
}
