// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * String bindings (Microsoft's page "String Binding"):
 *
 *	[object@]protseq:[address][[endpoint=]endpoint[,option=value...]]
 *
 * where only the outermost brackets around the endpoint are literal. What the
 * parts mean is for the transports to say.
 *
 * A backslash takes from a character of the grammar its meaning; one before any
 * other character stands for itself. So a named pipe may be written as the
 * grammar has it (\\pipe\\name, which is what is composed) or as people write
 * it (\pipe\name); a name that begins with a character of the grammar, or ends
 * with a backslash, must be written in the first way. Of an address, colons and
 * at signs are part, for IPv6 and for users of proxies: none of either comes
 * before the colon that ends the protocol sequence.
 *
 * Options are not interpreted, so they keep their backslashes, both ways.
 *
 * All strings that are handed out are from malloc(), for RpcStringFree().
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "rpc/binding.h"

#include <rpc.h>

#define GRAMMAR "\\@:[],="
#define KEYWORD "endpoint"

struct span {
	const char *start, *end;
};

struct spans {
	struct span object, protseq, address, endpoint, options;
};

/* How many characters the next one is written with. */
static unsigned int step(const char *p, const char *end)
{
	return *p == '\\' && p + 1 < end && strchr(GRAMMAR, p[1]) ? 2 : 1;
}

/* The first of @characters that has its meaning, or @end. */
static const char *find(const char *p, const char *end, const char *characters)
{
	while (p < end && !(step(p, end) == 1 && strchr(characters, *p)))
		p += step(p, end);
	return p;
}

static bool is_keyword(const char *start, const char *end)
{
	return (size_t)(end - start) == strlen(KEYWORD) &&
	       !memcmp(start, KEYWORD, strlen(KEYWORD));
}

/* Each must have a value, and none be a second endpoint. */
static bool check_options(struct span options)
{
	const char *p = options.start, *item, *equals;

	do {
		item = find(p, options.end, ",");
		equals = find(p, item, "=");
		if (equals == item || is_keyword(p, equals))
			return false;
		p = item + 1;
	} while (item < options.end);
	return true;
}

/*
 * What is between the brackets. The first item is the endpoint, unless it has
 * an equals sign and another keyword.
 */
static bool scan_endpoint(const char *p, const char *end, struct spans *s)
{
	const char *item = find(p, end, ",");
	const char *equals = find(p, item, "=");

	if (equals == item || is_keyword(p, equals)) {
		s->endpoint.start = equals == item ? p : equals + 1;
		s->endpoint.end = item;
		if (item == end)
			return true;
		p = item + 1;
	}
	s->options.start = p;
	s->options.end = end;
	return check_options(s->options);
}

/* Parts that are missing are left empty. */
static bool scan(const char *text, struct spans *s)
{
	const char *end = text + strlen(text), *p;
	const struct span none = { end, end };

	*s = (struct spans){ none, none, none, none, none };
	p = find(text, end, "@:[");
	if (*p == '@') {
		s->object = (struct span){ text, p };
		text = p + 1;
		p = find(text, end, "@:[");
	}
	if (*p != ':' || p == text)
		return false;
	s->protseq = (struct span){ text, p };
	text = p + 1;

	p = find(text, end, "[]");
	s->address = (struct span){ text, p };
	if (p == end)
		return true;
	text = p + 1;
	p = find(text, end, "[]");
	return *s->address.end == '[' && *p == ']' && p + 1 == end &&
	       scan_endpoint(text, p, s);
}

static char *copy_verbatim(struct span s)
{
	return strndup(s.start, (size_t)(s.end - s.start));
}

static char *copy_unescaped(struct span s)
{
	char *copy = malloc((size_t)(s.end - s.start) + 1), *to = copy;
	const char *p;
	unsigned int n;

	if (!copy)
		return NULL;
	for (p = s.start; p < s.end; p += n) {
		n = step(p, s.end);
		*to++ = p[n - 1];
	}
	*to = 0;
	return copy;
}

static bool valid_object(const char *object)
{
	UUID uuid;

	return !*object || UuidFromString((RPC_CSTR)object, &uuid) == RPC_S_OK;
}

void rpcc_string_binding_free(struct rpcc_string_binding *parts)
{
	free(parts->object);
	free(parts->protseq);
	free(parts->address);
	free(parts->endpoint);
	free(parts->options);
	memset(parts, 0, sizeof(*parts));
}

static RPC_STATUS copy_parts(const struct spans *s,
			     struct rpcc_string_binding *parts)
{
	parts->object = copy_unescaped(s->object);
	parts->protseq = copy_unescaped(s->protseq);
	parts->address = copy_unescaped(s->address);
	parts->endpoint = copy_unescaped(s->endpoint);
	parts->options = copy_verbatim(s->options);
	if (!parts->object || !parts->protseq || !parts->address ||
	    !parts->endpoint || !parts->options)
		return RPC_S_OUT_OF_MEMORY;
	return valid_object(parts->object) ? RPC_S_OK
					   : RPC_S_INVALID_STRING_UUID;
}

/* If it fails, @parts is all zero. */
RPC_STATUS rpcc_string_binding_parse(const char *text,
				     struct rpcc_string_binding *parts)
{
	KEEP_ERRNO();
	RPC_STATUS status;
	struct spans spans;

	memset(parts, 0, sizeof(*parts));
	if (!text || !scan(text, &spans))
		return RPC_S_INVALID_STRING_BINDING;
	status = copy_parts(&spans, parts);
	if (status != RPC_S_OK)
		rpcc_string_binding_free(parts);
	return status;
}

/* To the caller, if it wants it; what it does not take is left to be freed. */
static void give(char **part, RPC_CSTR *to)
{
	if (!to)
		return;
	*to = (RPC_CSTR)*part;
	*part = NULL;
}

EXPORT RPC_STATUS RpcStringBindingParse(RPC_CSTR StringBinding,
					RPC_CSTR *ObjUuid, RPC_CSTR *Protseq,
					RPC_CSTR *NetworkAddr,
					RPC_CSTR *Endpoint,
					RPC_CSTR *NetworkOptions)
{
	struct rpcc_string_binding parts;
	RPC_STATUS status;

	status = rpcc_string_binding_parse((char *)StringBinding, &parts);
	if (status != RPC_S_OK)
		return status;
	give(&parts.object, ObjUuid);
	give(&parts.protseq, Protseq);
	give(&parts.address, NetworkAddr);
	give(&parts.endpoint, Endpoint);
	give(&parts.options, NetworkOptions);
	rpcc_string_binding_free(&parts);
	return RPC_S_OK;
}

static char *put(char *p, const char *text)
{
	return stpcpy(p, text);
}

/* @characters: those that would end the part, or be taken for an escape. */
static char *put_escaped(char *p, const char *text, const char *characters)
{
	for (; *text; text++) {
		if (strchr(characters, *text))
			*p++ = '\\';
		*p++ = *text;
	}
	*p = 0;
	return p;
}

static const char *or_empty(RPC_CSTR text)
{
	return text ? (const char *)text : "";
}

static void compose(char *p, const struct rpcc_string_binding *parts)
{
	if (*parts->object)
		p = put(put(p, parts->object), "@");
	if (*parts->protseq)
		p = put(put_escaped(p, parts->protseq, "\\@:["), ":");
	p = put_escaped(p, parts->address, "\\[]");
	if (!*parts->endpoint && !*parts->options)
		return;
	p = put_escaped(put(p, "["), parts->endpoint, "\\[],=");
	if (*parts->options)
		p = put(put(p, ","), parts->options);
	put(p, "]");
}

/* Without a protocol sequence it is no binding, but Windows composes it too. */
EXPORT RPC_STATUS RpcStringBindingCompose(RPC_CSTR ObjUuid, RPC_CSTR ProtSeq,
					  RPC_CSTR NetworkAddr,
					  RPC_CSTR Endpoint, RPC_CSTR Options,
					  RPC_CSTR *StringBinding)
{
	KEEP_ERRNO();
	const struct rpcc_string_binding parts = {
		.object = (char *)or_empty(ObjUuid),
		.protseq = (char *)or_empty(ProtSeq),
		.address = (char *)or_empty(NetworkAddr),
		.endpoint = (char *)or_empty(Endpoint),
		.options = (char *)or_empty(Options),
	};
	char *text;

	if (!valid_object(parts.object))
		return RPC_S_INVALID_STRING_UUID;
	if (!StringBinding)
		return RPC_S_OK;

	/* Each character may need an escape, and there are 5 between parts. */
	text = malloc(2 * (strlen(parts.object) + strlen(parts.protseq) +
			   strlen(parts.address) + strlen(parts.endpoint) +
			   strlen(parts.options)) +
		      sizeof("@:[,]"));
	if (!text)
		return RPC_S_OUT_OF_MEMORY;
	*text = 0;
	compose(text, &parts);
	*StringBinding = (RPC_CSTR)text;
	return RPC_S_OK;
}

EXPORT RPC_STATUS RpcStringFree(RPC_CSTR *String)
{
	KEEP_ERRNO();

	if (!String)
		return RPC_S_INVALID_ARG;
	free(*String);
	*String = NULL;
	return RPC_S_OK;
}
