// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The C library's getaddrinfo() with name servers that never answer. */
#include "demo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <netdb.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define SERVERS 3
#define HEADER 12

/* A question for query-N.example. gets the address 192.0.2.N. */
static size_t reply(const __u8 *buf, size_t len, __u8 *out,
		    size_t *out_len, bool *at_once)
{
	size_t end = HEADER;
	int type;

	*at_once = false;
	while (end < len && buf[end])
		end += 1 + buf[end];
	end += 5;
	if (end > len || end + 16 > REPLY_MAX)
		return 0;
	type = buf[end - 3];
	memcpy(out, buf, end);
	out[2] = 0x81; /* a response to a recursive question */
	out[3] = 0x80;
	memset(out + 6, 0, 6); /* no records yet */
	*out_len = end;
	if (type == 1) { /* A; there are no others */
		static const __u8 record[] = {
			0xc0, HEADER, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2
		};

		out[7] = 1;
		memcpy(out + end, record, sizeof(record));
		out[end + sizeof(record)] = buf[HEADER + 7] - '0';
		*out_len = end + sizeof(record) + 1;
	}
	return len;
}

static const struct protocol protocol = {
	.type = SOCK_DGRAM,
	.reply = reply,
};

static const char *version(void)
{
	static char text[32];

	snprintf(text, sizeof(text), "glibc %s", gnu_get_libc_version());
	return text;
}

static int open_client(struct trial *t)
{
	t->fd = -1; /* the resolver opens its sockets by itself */
	return 0;
}

/* As three "nameserver" lines in resolv.conf, for this thread only. */
static void use_silent_servers(const struct sockaddr_in *addr)
{
	if (!(_res.options & RES_INIT))
		res_init();
	_res.nscount = SERVERS;
	for (int i = 0; i < SERVERS; i++)
		_res.nsaddr_list[i] = *addr;
	_res.retrans = 5;
	_res.retry = 2;
}

static const char *error_name(int code)
{
	switch (code) {
	case EAI_AGAIN:
		return "EAI_AGAIN";
	case EAI_NONAME:
		return "EAI_NONAME";
	case EAI_FAIL:
		return "EAI_FAIL";
	case EAI_SYSTEM:
		return "EAI_SYSTEM";
	default:
		return gai_strerror(code);
	}
}

static void call(struct trial *t, struct answer *a)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	const struct sockaddr_in *addr;
	char name[32];

	use_silent_servers(&t->peer.addr);
	snprintf(name, sizeof(name), "query-%d.example.", t->call);
	a->code = getaddrinfo(name, "80", &hints, &list);
	if (a->code) {
		a->error = a->code == EAI_SYSTEM ? errno : 0;
		snprintf(a->text, sizeof(a->text), "%s%s%s", error_name(a->code),
			 a->error ? ", " : "",
			 a->error ? strerrorname_np(a->error) : "");
		return;
	}
	addr = (const struct sockaddr_in *)list->ai_addr;
	a->ok = (ntohl(addr->sin_addr.s_addr) & 0xff) == (unsigned int)t->call;
	a->stale = !a->ok;
	snprintf(a->text, sizeof(a->text), "%s", inet_ntoa(addr->sin_addr));
	freeaddrinfo(list);
}

const struct library resolver = {
	.name = "getaddrinfo",
	.title = "getaddrinfo() with three name servers that never answer",
	.object = "process",
	.protocol = &protocol,
	.version = version,
	.open = open_client,
	.call = call,
	.expect_code = EAI_AGAIN,
};
