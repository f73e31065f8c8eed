// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The wire: a thread that passes on what client and server send to each other,
 * PDU by PDU, and notes it down. What it noted is put into words by tshark, if
 * that is installed, out of a capture file that is made up here; that needs no
 * rights, and has nothing else in it. Without tshark our own few words do.
 */
#include "calls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PACKETS_MAX 64
#define PDU_MAX	    6000

struct note {
	uint64_t ns;
	bool to_server;
	uint16_t length;
	uint8_t data[PDU_MAX];
};

static struct {
	int listen_fd;
	uint16_t port, server_port;
	pthread_mutex_t lock; /* protects what follows */
	uint64_t cleared;
	struct note note[PACKETS_MAX];
	size_t count;
} wire = { .lock = PTHREAD_MUTEX_INITIALIZER };

static const char *decoder = "the demo";

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void note_pdu(bool to_server, const uint8_t *data, size_t length)
{
	struct note *n;

	pthread_mutex_lock(&wire.lock);
	if (wire.count < PACKETS_MAX && length <= PDU_MAX) {
		n = &wire.note[wire.count++];
		n->ns = now_ns();
		n->to_server = to_server;
		n->length = length;
		memcpy(n->data, data, length);
	}
	pthread_mutex_unlock(&wire.lock);
}

static bool read_all(int fd, uint8_t *p, size_t size)
{
	while (size) {
		ssize_t n = recv(fd, p, size, 0);

		if (n <= 0)
			return false;
		p += n;
		size -= n;
	}
	return true;
}

/* One PDU from one side to the other. */
static bool pass_on(int from, int to, bool to_server)
{
	static uint8_t buffer[0x10000];
	size_t length;

	if (!read_all(from, buffer, 16))
		return false;
	length = buffer[8] | buffer[9] << 8;
	if (length < 16 || !read_all(from, buffer + 16, length - 16))
		return false;
	note_pdu(to_server, buffer, length);
	return send(to, buffer, length, MSG_NOSIGNAL) == (ssize_t)length;
}

static void pass_all(int client, int server)
{
	struct pollfd pfd[] = {
		{ .fd = client, .events = POLLIN },
		{ .fd = server, .events = POLLIN },
	};

	for (;;) {
		if (poll(pfd, 2, -1) < 0 && errno != EINTR)
			return;
		if (pfd[0].revents && !pass_on(client, server, true))
			return;
		if (pfd[1].revents && !pass_on(server, client, false))
			return;
	}
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	addr.sin_port = htons(port);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		abort();
	return fd;
}

static void *run(void *arg)
{
	int client, server;

	(void)arg;
	while ((client = accept(wire.listen_fd, NULL, NULL)) >= 0) {
		server = connect_to(wire.server_port);
		pass_all(client, server);
		close(client);
		close(server);
	}
	return NULL;
}

void wire_start(uint16_t server_port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	pthread_t thread;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	wire.server_port = server_port;
	wire.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(wire.listen_fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(wire.listen_fd, 4) ||
	    getsockname(wire.listen_fd, (struct sockaddr *)&addr, &len))
		abort();
	wire.port = ntohs(addr.sin_port);
	wire_clear();
	if (pthread_create(&thread, NULL, run, NULL))
		abort();
	pthread_detach(thread);
}

uint16_t wire_port(void)
{
	return wire.port;
}

void wire_clear(void)
{
	pthread_mutex_lock(&wire.lock);
	wire.count = 0;
	wire.cleared = now_ns();
	pthread_mutex_unlock(&wire.lock);
}

static uint32_t get32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static void describe(const struct note *n, char *text, size_t size)
{
	static const char *const names[] = {
		[0] = "request",     [2] = "response",	     [3] = "fault",
		[11] = "bind",	     [12] = "bind_ack",	     [13] = "bind_nak",
		[14] = "alter_context", [15] = "alter_context_resp",
		[18] = "co_cancel",  [19] = "orphaned",
	};
	uint8_t type = n->data[2];
	const char *name = type < 20 && names[type] ? names[type] : "?";
	uint32_t id = get32(n->data + 12);

	if (type == 3 && n->length >= 28)
		snprintf(text, size, "%s, call %u, status %#x", name, id,
			 get32(n->data + 24));
	else if ((type == 2 || type == 3) && n->length >= 24)
		snprintf(text, size, "%s, call %u, cancel_count %u", name, id,
			 n->data[22]);
	else
		snprintf(text, size, "%s, call %u", name, id);
}

/* A capture file with one segment for each PDU; IP without a link layer. */
static void write_capture(FILE *f)
{
	struct {
		uint32_t magic;
		uint16_t major, minor;
		uint32_t zone, figures, snap, link;
	} file = { 0xa1b23c4d, 2, 4, 0, 0, 65535, 101 };
	uint32_t seq[2] = { 1, 1 };

	fwrite(&file, sizeof(file), 1, f);
	for (size_t i = 0; i < wire.count; i++) {
		const struct note *n = &wire.note[i];
		uint64_t ns = n->ns - wire.cleared;
		uint32_t total = sizeof(struct iphdr) + sizeof(struct tcphdr) +
				 n->length;
		uint32_t record[] = { ns / 1000000000, ns % 1000000000, total,
				      total };
		struct iphdr ip = {
			.version = 4, .ihl = 5, .ttl = 64,
			.protocol = IPPROTO_TCP,
			.tot_len = htons(total),
			.saddr = htonl(INADDR_LOOPBACK),
			.daddr = htonl(INADDR_LOOPBACK),
		};
		struct tcphdr tcp = {
			.source = htons(n->to_server ? 1024 : 135),
			.dest = htons(n->to_server ? 135 : 1024),
			.seq = htonl(seq[n->to_server]),
			.ack_seq = htonl(seq[!n->to_server]),
			.doff = 5, .ack = 1, .psh = 1,
			.window = htons(65535),
		};

		seq[n->to_server] += n->length;
		fwrite(record, sizeof(record), 1, f);
		fwrite(&ip, sizeof(ip), 1, f);
		fwrite(&tcp, sizeof(tcp), 1, f);
		fwrite(n->data, n->length, 1, f);
	}
}

/* A line of tshark's, as much as fits on one of ours. */
static void take_line(char *text, size_t size, char *line)
{
	size_t length = strcspn(line, "\n");

	line[length] = '\0';
	snprintf(text, size, "%.*s%s", (int)(size - 4), line,
		 length > size - 4 ? "..." : "");
}

/* Each of the packets in tshark's words. False: there is no tshark. */
static bool ask_tshark(struct packet *packets, size_t count)
{
	char path[] = "/tmp/rpccancel-demo.XXXXXX", command[200], line[1000];
	int fd = mkstemp(path);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	size_t i = 0;

	if (!f)
		return false;
	write_capture(f);
	fclose(f);
	snprintf(command, sizeof(command),
		 "tshark -r %s -d tcp.port==135,dcerpc %s 2>/dev/null", path,
		 "-T fields -e _ws.col.Info");
	f = popen(command, "r");
	while (f && i < count && fgets(line, sizeof(line), f)) {
		take_line(packets[i].text, sizeof(packets[i].text), line);
		i++;
	}
	if (f)
		pclose(f);
	unlink(path);
	return i == count;
}

size_t wire_packets(struct packet *packets, size_t max)
{
	size_t count;

	pthread_mutex_lock(&wire.lock);
	count = wire.count < max ? wire.count : max;
	memset(packets, 0, count * sizeof(*packets));
	if (ask_tshark(packets, count))
		decoder = "tshark";
	for (size_t i = 0; i < count; i++) {
		const struct note *n = &wire.note[i];

		packets[i].ms = (n->ns - wire.cleared) / 1e6;
		packets[i].to_server = n->to_server;
		memcpy(packets[i].header, n->data, 16);
		if (n->data[2] == 2 || n->data[2] == 3)
			packets[i].cancel_count = n->data[22];
		if (n->data[2] == 3)
			packets[i].status = get32(n->data + 24);
		if (strcmp(decoder, "tshark"))
			describe(n, packets[i].text, sizeof(packets[i].text));
	}
	pthread_mutex_unlock(&wire.lock);
	return count;
}

const char *wire_decoder(void)
{
	return decoder;
}
