// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* libcurl: curl_easy_perform() from a web server that never answers. */
#include "demo.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* "GET /N" gets a body of one byte, N. */
static size_t reply(const __u8 *buf, size_t len, __u8 *out,
		    size_t *out_len, bool *at_once)
{
	const __u8 *end = memmem(buf, len, "\r\n\r\n", 4);

	*at_once = false;
	if (!end)
		return 0;
	*out_len = sprintf((char *)out,
			   "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%c",
			   buf[5]);
	return end + 4 - buf;
}

static const struct protocol protocol = {
	.type = SOCK_STREAM,
	.reply = reply,
};

static const char *version(void)
{
	static char text[32];

	snprintf(text, sizeof(text), "libcurl %s",
		 curl_version_info(CURLVERSION_NOW)->version);
	return text;
}

static int remember_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	struct trial *t = arg;

	(void)purpose;
	t->fd = fd;
	return CURL_SOCKOPT_OK;
}

static size_t take_body(char *data, size_t size, size_t count, void *arg)
{
	char *body = arg;

	if (size * count > 0)
		*body = data[0];
	return size * count;
}

static int open_client(struct trial *t)
{
	t->fd = -1;
	t->client = curl_easy_init();
	if (!t->client)
		return -ENOMEM;
	curl_easy_setopt(t->client, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(t->client, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(t->client, CURLOPT_TIMEOUT, (long)CALL_TIMEOUT_S);
	curl_easy_setopt(t->client, CURLOPT_SOCKOPTFUNCTION, remember_socket);
	curl_easy_setopt(t->client, CURLOPT_SOCKOPTDATA, t);
	curl_easy_setopt(t->client, CURLOPT_WRITEFUNCTION, take_body);
	return 0;
}

static void call(struct trial *t, struct answer *a)
{
	char url[40], body = '?';

	snprintf(url, sizeof(url), "http://127.0.0.1:%d/%d",
		 ntohs(t->peer.addr.sin_port), t->call);
	curl_easy_setopt(t->client, CURLOPT_URL, url);
	curl_easy_setopt(t->client, CURLOPT_WRITEDATA, &body);
	a->code = curl_easy_perform(t->client);
	if (a->code == CURLE_OK) {
		a->ok = body - '0' == t->call;
		a->stale = body == '1';
		snprintf(a->text, sizeof(a->text), "body %c", body);
	} else {
		snprintf(a->text, sizeof(a->text), "code %d, \"%s\"", a->code,
			 curl_easy_strerror(a->code));
	}
}

const struct library curl = {
	.name = "libcurl",
	.title = "curl_easy_perform() from a web server that never answers",
	.object = "CURL",
	.protocol = &protocol,
	.version = version,
	.open = open_client,
	.call = call,
	.expect_code = CURLE_BAD_FUNCTION_ARGUMENT,
};
