// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* PostgreSQL's libpq: PQexec() on a connection whose server falls silent. */
#include "demo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define SSL_REQUEST 80877103
#define GSS_REQUEST 80877104

/* Just enough to get connected: password not needed, ready for a query. */
static size_t greeting(const __u8 *buf, __u8 *out, size_t *out_len)
{
	static const __u8 hello[] = {
		'R', 0, 0, 0, 8, 0, 0, 0, 0,
		'Z', 0, 0, 0, 5, 'I',
	};
	__u32 version = get32(buf + 4);

	if (version == SSL_REQUEST || version == GSS_REQUEST) {
		out[0] = 'N';
		*out_len = 1;
	} else {
		memcpy(out, hello, sizeof(hello));
		*out_len = sizeof(hello);
	}
	return get32(buf);
}

/* "SELECT N" gets one row with the text N. */
static size_t reply(const __u8 *buf, size_t len, __u8 *out,
		    size_t *out_len, bool *at_once)
{
	static const __u8 row[] = {
		'T', 0, 0, 0, 26, 0, 1, 'n', 0,		/* one column */
		0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 255, 255, 255, 255, 255, 255,
		0, 0,
		'D', 0, 0, 0, 11, 0, 1, 0, 0, 0, 1, '?',
		'C', 0, 0, 0, 13, 'S', 'E', 'L', 'E', 'C', 'T', ' ', '1', 0,
		'Z', 0, 0, 0, 5, 'I',
	};
	size_t size;

	if (len < 8)
		return 0;
	if (!buf[0]) {
		*at_once = true;
		return get32(buf) <= len ? greeting(buf, out, out_len) : 0;
	}
	*at_once = false;
	size = 1 + get32(buf + 1);
	if (len < size)
		return 0;
	if (buf[0] == 'Q') {
		memcpy(out, row, sizeof(row));
		out[27 + 11] = buf[size - 2];
		*out_len = sizeof(row);
	}
	return size;
}

static const struct protocol protocol = {
	.type = SOCK_STREAM,
	.reply = reply,
};

static const char *version(void)
{
	static char text[32];
	int v = PQlibVersion();

	snprintf(text, sizeof(text), "libpq %d.%d", v / 10000, v % 10000);
	return text;
}

/* libpq's notices would go to standard error. */
static void ignore_notice(void *arg, const char *message)
{
	(void)arg;
	(void)message;
}

static int open_client(struct trial *t)
{
	char info[128];

	snprintf(info, sizeof(info),
		 "host=127.0.0.1 port=%d user=demo dbname=demo sslmode=disable gssencmode=disable",
		 ntohs(t->peer.addr.sin_port));
	t->client = PQconnectdb(info);
	if (PQstatus(t->client) != CONNECTION_OK)
		return -ECONNREFUSED;
	PQsetNoticeProcessor(t->client, ignore_notice, NULL);
	t->fd = PQsocket(t->client);
	return 0;
}

/* The first line of libpq's message: the rest is guesses. */
static void explain(struct trial *t, struct answer *a)
{
	const char *message = PQerrorMessage(t->client);

	snprintf(a->text, sizeof(a->text), "\"%.*s\", connection %s",
		 (int)strcspn(message, "\n"), message,
		 PQstatus(t->client) == CONNECTION_OK ? "OK" : "BAD");
}

static void call(struct trial *t, struct answer *a)
{
	PGresult *result;
	char query[16];

	snprintf(query, sizeof(query), "SELECT %d", t->call);
	result = PQexec(t->client, query);
	a->code = PQresultStatus(result);
	if (a->code == PGRES_TUPLES_OK) {
		int got = PQgetvalue(result, 0, 0)[0] - '0';

		a->ok = got == t->call;
		a->stale = got == 1;
		snprintf(a->text, sizeof(a->text), "row %d", got);
	} else {
		explain(t, a);
	}
	PQclear(result);
}

static void repair(struct trial *t)
{
	PQreset(t->client);
}

const struct library pq = {
	.name = "libpq",
	.title = "PQexec() on a connection whose server falls silent",
	.object = "PGconn",
	.repair_name = "PQreset()",
	.protocol = &protocol,
	.version = version,
	.open = open_client,
	.call = call,
	.repair = repair,
	.expect_code = PGRES_FATAL_ERROR,
};
