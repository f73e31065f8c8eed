// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * String bindings: taken apart and put together.
 */
#include <string.h>

#include <rpc.h>

#include "rpc/binding.h"
#include "tap.h"

#define OBJECT "6b29fc40-ca47-1067-b31d-00dd010662da"

static bool same(const char *part, RPC_CSTR got, const char *want)
{
	if (!strcmp((char *)got, want))
		return true;
	printf("# %s: got \"%s\", expected \"%s\"\n", part, got, want);
	return false;
}

static void parses(const char *text, const char *object, const char *protseq,
		   const char *address, const char *endpoint,
		   const char *options)
{
	RPC_CSTR o, p, a, e, n;
	bool good;

	if (!ok(RpcStringBindingParse((RPC_CSTR)text, &o, &p, &a, &e, &n) ==
			RPC_S_OK,
		"%s", text))
		return;
	good = same("object", o, object) && same("protseq", p, protseq) &&
	       same("address", a, address) && same("endpoint", e, endpoint) &&
	       same("options", n, options);
	ok(good, "has the parts that it should");
	RpcStringFree(&o);
	RpcStringFree(&p);
	RpcStringFree(&a);
	RpcStringFree(&e);
	RpcStringFree(&n);
}

static void good_ones(void)
{
	parses("ncacn_ip_tcp:", "", "ncacn_ip_tcp", "", "", "");
	parses("ncacn_ip_tcp:127.0.0.1[135]", "", "ncacn_ip_tcp", "127.0.0.1",
	       "135", "");
	parses(OBJECT "@ncacn_ip_tcp:host.example[135]", OBJECT, "ncacn_ip_tcp",
	       "host.example", "135", "");
	parses("ncacn_ip_tcp:host[endpoint=135]", "", "ncacn_ip_tcp", "host",
	       "135", "");
	parses("ncacn_ip_tcp:host[endpoint=]", "", "ncacn_ip_tcp", "host", "",
	       "");
	parses("ncacn_ip_tcp:host[]", "", "ncacn_ip_tcp", "host", "", "");
	parses("ncacn_ip_tcp:host[135,a=b,c=d e]", "", "ncacn_ip_tcp", "host",
	       "135", "a=b,c=d e");
	parses("ncacn_ip_tcp:host[endpoint=135,a=b]", "", "ncacn_ip_tcp",
	       "host", "135", "a=b");
	parses("ncacn_ip_tcp:host[,a=b]", "", "ncacn_ip_tcp", "host", "",
	       "a=b");
	parses("ncacn_ip_tcp:host[a=b]", "", "ncacn_ip_tcp", "host", "", "a=b");
	parses("ncalrpc:[name]", "", "ncalrpc", "", "name", "");
}

static void addresses(void)
{
	parses("ncacn_ip_tcp:::1[135]", "", "ncacn_ip_tcp", "::1", "135", "");
	parses("ncacn_ip_tcp:fe80::1%eth0", "", "ncacn_ip_tcp", "fe80::1%eth0",
	       "", "");
	parses(OBJECT "@ncadg_ip_udp:::ffff:1.2.3.4[9]", OBJECT, "ncadg_ip_udp",
	       "::ffff:1.2.3.4", "9", "");
	parses("ncacn_http:user@host.example[593]", "", "ncacn_http",
	       "user@host.example", "593", "");
	parses("ncacn_np:\\\\\\\\server[\\\\pipe\\\\x]", "", "ncacn_np",
	       "\\\\server", "\\pipe\\x", "");
}

static void escapes(void)
{
	parses("ncacn_np:server[\\pipe\\name]", "", "ncacn_np", "server",
	       "\\pipe\\name", "");
	parses("ncacn_np:server[\\\\pipe\\\\name]", "", "ncacn_np", "server",
	       "\\pipe\\name", "");
	parses("ncalrpc:[a\\]b\\[c\\,d\\=e\\\\f]", "", "ncalrpc", "",
	       "a]b[c,d=e\\f", "");
	parses("ncalrpc:[x,opt=a\\]\\,b]", "", "ncalrpc", "", "x",
	       "opt=a\\]\\,b");
	parses("ncacn_ip_tcp:a\\[b[1]", "", "ncacn_ip_tcp", "a[b", "1", "");
	parses("ncacn_ip_tcp:host\\", "", "ncacn_ip_tcp", "host\\", "", "");
}

static void refused(const char *text, RPC_STATUS status)
{
	struct rpcc_string_binding parts;

	ok(rpcc_string_binding_parse(text, &parts) == status && !parts.object &&
		   !parts.options,
	   "refused: %s", text ? text : "nothing");
}

static void bad_ones(void)
{
	refused(NULL, RPC_S_INVALID_STRING_BINDING);
	refused("", RPC_S_INVALID_STRING_BINDING);
	refused("ncacn_ip_tcp", RPC_S_INVALID_STRING_BINDING);
	refused(":host", RPC_S_INVALID_STRING_BINDING);
	refused("[135]", RPC_S_INVALID_STRING_BINDING);
	refused("ncacn_ip_tcp[135]:host", RPC_S_INVALID_STRING_BINDING);
	refused("ncacn_ip_tcp\\:host", RPC_S_INVALID_STRING_BINDING);
	refused("ncacn_ip_tcp:host[", RPC_S_INVALID_STRING_BINDING);
	refused("ncacn_ip_tcp:host]", RPC_S_INVALID_STRING_BINDING);
	refused("ncacn_ip_tcp:host[135", RPC_S_INVALID_STRING_BINDING);
	refused("ncacn_ip_tcp:host[135]x", RPC_S_INVALID_STRING_BINDING);
	refused("ncacn_ip_tcp:host[135][136]", RPC_S_INVALID_STRING_BINDING);
	refused("ncacn_ip_tcp:host[[135]]", RPC_S_INVALID_STRING_BINDING);
	refused("ncacn_ip_tcp:host[135\\]", RPC_S_INVALID_STRING_BINDING);
	refused("ncacn_ip_tcp:host[135,]", RPC_S_INVALID_STRING_BINDING);
	refused("ncacn_ip_tcp:host[135,136]", RPC_S_INVALID_STRING_BINDING);
	refused("ncacn_ip_tcp:host[135,a=b,]", RPC_S_INVALID_STRING_BINDING);
	refused("ncacn_ip_tcp:host[135,endpoint=136]",
		RPC_S_INVALID_STRING_BINDING);
	refused("a@b@ncacn_ip_tcp:host", RPC_S_INVALID_STRING_BINDING);
	refused("nothing@ncacn_ip_tcp:host", RPC_S_INVALID_STRING_UUID);
	refused(OBJECT "0@ncacn_ip_tcp:host", RPC_S_INVALID_STRING_UUID);
}

static void no_object_is_none(void)
{
	parses("@ncacn_ip_tcp:host", "", "ncacn_ip_tcp", "host", "", "");
}

static void composes(const char *object, const char *protseq,
		     const char *address, const char *endpoint,
		     const char *options, const char *want)
{
	RPC_CSTR text = NULL;

	ok(RpcStringBindingCompose((RPC_CSTR)object, (RPC_CSTR)protseq,
				   (RPC_CSTR)address, (RPC_CSTR)endpoint,
				   (RPC_CSTR)options, &text) == RPC_S_OK &&
		   same("composed", text, want),
	   "composed: %s", want);
	RpcStringFree(&text);
}

static void composed(void)
{
	RPC_CSTR text = NULL;

	composes(NULL, "ncacn_ip_tcp", NULL, NULL, NULL, "ncacn_ip_tcp:");
	composes("", "ncacn_ip_tcp", "", "", "", "ncacn_ip_tcp:");
	composes(OBJECT, "ncacn_ip_tcp", "::1", "135", "a=b",
		 OBJECT "@ncacn_ip_tcp:::1[135,a=b]");
	composes(NULL, "ncalrpc", NULL, NULL, "a=b", "ncalrpc:[,a=b]");
	composes(NULL, "ncacn_np", "\\\\server", "\\pipe\\x", NULL,
		 "ncacn_np:\\\\\\\\server[\\\\pipe\\\\x]");
	composes(NULL, "ncalrpc", NULL, "a]b[c,d=e\\f", NULL,
		 "ncalrpc:[a\\]b\\[c\\,d\\=e\\\\f]");
	composes(NULL, NULL, "host", "1", NULL, "host[1]");
	composes(NULL, NULL, NULL, NULL, NULL, "");

	is(RpcStringBindingCompose((RPC_CSTR) "nothing", NULL, NULL, NULL, NULL,
				   &text),
	   RPC_S_INVALID_STRING_UUID, "a malformed object is refused");
	ok(!text, "and nothing composed");
	is(RpcStringBindingCompose((RPC_CSTR)OBJECT, NULL, NULL, NULL, NULL,
				   NULL),
	   RPC_S_OK, "the text need not be wanted");
}

/* Whatever characters the parts have, they come back. */
static void round_trip(void)
{
	static const char *const odd[] = { "\\", "\\\\", "a\\",	  "[",	 "]",
					   "[]", "@:",	 "a,b=c", "\\]", "=" };
	struct rpcc_string_binding b;
	RPC_CSTR text;
	size_t i, j;
	bool good = true;

	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		for (j = 0; j < sizeof(odd) / sizeof(odd[0]); j++) {
			RpcStringBindingCompose((RPC_CSTR)OBJECT,
						(RPC_CSTR)odd[j],
						(RPC_CSTR)odd[i],
						(RPC_CSTR)odd[j],
						(RPC_CSTR) "k=v", &text);
			good = good &&
			       !rpcc_string_binding_parse((char *)text, &b) &&
			       !strcmp(b.object, OBJECT) &&
			       !strcmp(b.protseq, odd[j]) &&
			       !strcmp(b.address, odd[i]) &&
			       !strcmp(b.endpoint, odd[j]) &&
			       !strcmp(b.options, "k=v");
			rpcc_string_binding_free(&b);
			RpcStringFree(&text);
		}
	}
	ok(good, "what was composed has its parts");
}

static void parts_that_nobody_wants(void)
{
	RPC_CSTR endpoint;

	is(RpcStringBindingParse((RPC_CSTR) "ncalrpc:[x]", NULL, NULL, NULL,
				 &endpoint, NULL),
	   RPC_S_OK, "one part only");
	ok(same("endpoint", endpoint, "x"), "is handed out");
	RpcStringFree(&endpoint);
	ok(!endpoint, "a freed string is gone");
	is(RpcStringFree(&endpoint), RPC_S_OK, "freeing none is no error");
	is(RpcStringFree(NULL), RPC_S_INVALID_ARG, "but there must be a place");
	is(RpcStringBindingParse(NULL, NULL, NULL, NULL, NULL, NULL),
	   RPC_S_INVALID_STRING_BINDING, "no text is refused");
}

int main(void)
{
	good_ones();
	addresses();
	escapes();
	bad_ones();
	no_object_is_none();
	composed();
	round_trip();
	parts_that_nobody_wants();
	return tap_end();
}
