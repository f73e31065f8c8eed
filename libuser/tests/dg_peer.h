/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * The other end of a datagram conversation, for tests: raw packets, put together
 * byte by byte from the layout in C706, chapter 12, and not by the code that is
 * tested.
 */
#ifndef DG_PEER_H
#define DG_PEER_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

enum {
	REQUEST,
	PING,
	RESPONSE,
	FAULT,
	WORKING,
	NOCALL,
	REJECT,
	ACK,
	CANCEL,
	FACK,
	CANCEL_ACK,
};

#define LAST_FRAG      0x02
#define FRAG	       0x04
#define NO_FACK	       0x08
#define MAYBE	       0x10
#define IDEMPOTENT     0x20
#define HEADER	       80
#define BODY	       1384 /* the most that every peer must take, C706 app. K */
#define PATIENCE       20000 /* ms */
#define CANCEL_PENDING 0x02

struct pdu {
	uint8_t bytes[9000];
	size_t size;
	struct sockaddr_in from;
};

/* 12345678-1234-abcd-ef00-0123456789ab version 1.0, as a little-endian peer
 * sends it. */
static const uint8_t test_interface[16] = {
	0x78, 0x56, 0x34, 0x12, 0x34, 0x12, 0xcd, 0xab,
	0xef, 0x00, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab,
};
static const uint8_t conv_interface[16] = {
	0x76, 0x22, 0x3a, 0x33, 0, 0, 0, 0, 0x0d, 0, 0, 0x80, 0x9c, 0, 0, 0,
};

static inline void put16(uint8_t *p, unsigned int value)
{
	p[0] = (uint8_t)value;
	p[1] = (uint8_t)(value >> 8);
}

static inline void put32(uint8_t *p, uint32_t value)
{
	put16(p, value);
	put16(p + 2, value >> 16);
}

static inline unsigned int get16(const uint8_t *p)
{
	return p[0] | (unsigned int)p[1] << 8;
}

static inline uint32_t get32(const uint8_t *p)
{
	return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static inline int pdu_type(const struct pdu *p)
{
	return p->bytes[1];
}

static inline int pdu_flags(const struct pdu *p)
{
	return p->bytes[2];
}

static inline unsigned int pdu_serial(const struct pdu *p)
{
	return (unsigned int)p->bytes[7] << 8 | p->bytes[79];
}

static inline uint32_t pdu_boot(const struct pdu *p)
{
	return get32(p->bytes + 56);
}

static inline uint32_t pdu_seq(const struct pdu *p)
{
	return get32(p->bytes + 64);
}

static inline unsigned int pdu_opnum(const struct pdu *p)
{
	return get16(p->bytes + 68);
}

static inline unsigned int pdu_length(const struct pdu *p)
{
	return get16(p->bytes + 74);
}

static inline unsigned int pdu_frag(const struct pdu *p)
{
	return get16(p->bytes + 76);
}

static inline const uint8_t *pdu_activity(const struct pdu *p)
{
	return p->bytes + 40;
}

static inline void pdu_body(struct pdu *p, const void *body, size_t length)
{
	if (length)
		memcpy(p->bytes + HEADER, body, length);
	put16(p->bytes + 74, (unsigned int)length);
	p->size = HEADER + length;
}

/* A packet of @type for the call that @call is a packet of. */
static inline struct pdu pdu_for(const struct pdu *call, int type, int flags,
				 uint32_t boot)
{
	struct pdu p = { .from = call->from };

	memcpy(p.bytes, call->bytes, HEADER);
	p.bytes[0] = 4;
	p.bytes[1] = (uint8_t)type;
	p.bytes[2] = (uint8_t)flags;
	p.bytes[3] = 0;
	p.bytes[4] = 0x10;
	p.bytes[78] = 0;
	put32(p.bytes + 56, boot);
	put16(p.bytes + 76, 0);
	pdu_body(&p, NULL, 0);
	return p;
}

/* The first packet of a call. */
static inline struct pdu pdu_call(uint8_t activity, uint32_t seq,
				  unsigned int opnum, int flags)
{
	struct pdu p = { .size = HEADER };

	p.bytes[0] = 4;
	p.bytes[1] = REQUEST;
	p.bytes[2] = (uint8_t)flags;
	p.bytes[4] = 0x10;
	memcpy(p.bytes + 24, test_interface, 16);
	memset(p.bytes + 40, activity, 16);
	put32(p.bytes + 60, 1);
	put32(p.bytes + 64, seq);
	put16(p.bytes + 68, opnum);
	put16(p.bytes + 70, 0xffff);
	put16(p.bytes + 72, 0xffff);
	return p;
}

static inline void pdu_set_frag(struct pdu *p, unsigned int frag)
{
	put16(p->bytes + 76, frag);
}

static inline void pdu_set_serial(struct pdu *p, unsigned int serial)
{
	p->bytes[7] = (uint8_t)(serial >> 8);
	p->bytes[79] = (uint8_t)serial;
}

/* A fack: @frag is the last one of those in order, -1 none. */
static inline struct pdu pdu_fack(const struct pdu *call, uint32_t boot,
				  int frag, unsigned int kib,
				  unsigned int serial, uint32_t mask)
{
	struct pdu p = pdu_for(call, FACK, 0, boot);
	uint8_t body[20] = { 1 };

	put16(body + 2, kib);
	put32(body + 4, 1464);
	put32(body + 8, 1464);
	put16(body + 12, serial);
	put16(body + 14, 1);
	put32(body + 16, mask);
	pdu_body(&p, body, sizeof(body));
	pdu_set_frag(&p, (unsigned int)frag & 0xffff);
	return p;
}

static inline struct pdu pdu_status(const struct pdu *call, int type,
				    uint32_t boot, uint32_t status)
{
	struct pdu p = pdu_for(call, type, 0, boot);
	uint8_t body[4];

	put32(body, status);
	pdu_body(&p, body, sizeof(body));
	return p;
}

static inline int udp_socket(uint16_t *port)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	socklen_t len = sizeof(any);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) ||
	    getsockname(fd, (struct sockaddr *)&any, &len)) {
		perror("udp_socket");
		exit(2);
	}
	if (port)
		*port = ntohs(any.sin_port);
	return fd;
}

static inline void pdu_send(int fd, const struct pdu *p)
{
	sendto(fd, p->bytes, p->size, MSG_NOSIGNAL,
	       (const struct sockaddr *)&p->from, sizeof(p->from));
}

/* False if none has come within @ms. */
static inline bool pdu_receive(int fd, struct pdu *p, int ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	socklen_t len = sizeof(p->from);
	ssize_t n;

	if (poll(&poll_fd, 1, ms) != 1)
		return false;
	n = recvfrom(fd, p->bytes, sizeof(p->bytes), 0,
		     (struct sockaddr *)&p->from, &len);
	p->size = n < 0 ? 0 : (size_t)n;
	return n >= HEADER;
}

/* The next one of @type; others are ignored. */
static inline bool pdu_await(int fd, struct pdu *p, int type, int ms)
{
	while (pdu_receive(fd, p, ms))
		if (pdu_type(p) == type)
			return true;
	return false;
}

static inline uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static inline void fill(uint8_t *p, size_t size, unsigned int seed)
{
	size_t i;

	for (i = 0; i < size; i++)
		p[i] = (uint8_t)(i * 31 + (i >> 8) * 17 + seed);
}

static inline bool is_filled(const uint8_t *p, size_t size, unsigned int seed)
{
	size_t i;

	for (i = 0; i < size; i++)
		if (p[i] != (uint8_t)(i * 31 + (i >> 8) * 17 + seed))
			return false;
	return true;
}

/*
 * A network that loses, doubles and reorders packets, each with the same
 * probability: a socket that clients talk to, and one to the server for each
 * client. What it does depends on nothing but the seed and what comes.
 */
#define PROXY_CLIENTS 256

struct proxy {
	int front;
	uint16_t port;
	struct sockaddr_in server;
	int stop[2]; /* a pipe: closed to end it */
	unsigned int percent;
	uint64_t random;
	unsigned int count;
	struct {
		struct sockaddr_in address;
		int fd;
	} clients[PROXY_CLIENTS];
	struct {
		int fd;
		struct pdu pdu;
		bool full;
	} held; /* until the next one has overtaken it */
	unsigned int packets, lost, doubled, reordered;
};

static inline bool proxy_chance(struct proxy *proxy)
{
	proxy->random ^= proxy->random << 13;
	proxy->random ^= proxy->random >> 7;
	proxy->random ^= proxy->random << 17;
	return proxy->random % 100 < proxy->percent;
}

static inline void proxy_forward(struct proxy *proxy, int fd,
				 const struct pdu *pdu)
{
	proxy->packets++;
	if (proxy_chance(proxy)) {
		proxy->lost++;
		return;
	}
	if (!proxy->held.full && proxy_chance(proxy)) {
		proxy->reordered++;
		proxy->held.fd = fd;
		proxy->held.pdu = *pdu;
		proxy->held.full = true;
		return;
	}
	pdu_send(fd, pdu);
	if (proxy_chance(proxy)) {
		proxy->doubled++;
		pdu_send(fd, pdu);
	}
	if (proxy->held.full)
		pdu_send(proxy->held.fd, &proxy->held.pdu);
	proxy->held.full = false;
}

static inline void proxy_from_client(struct proxy *proxy, struct pdu *pdu)
{
	unsigned int i;

	for (i = 0; i < proxy->count; i++)
		if (proxy->clients[i].address.sin_port == pdu->from.sin_port)
			break;
	if (i == PROXY_CLIENTS)
		return;
	if (i == proxy->count) {
		proxy->clients[i].address = pdu->from;
		proxy->clients[i].fd = udp_socket(NULL);
		proxy->count++;
	}
	pdu->from = proxy->server;
	proxy_forward(proxy, proxy->clients[i].fd, pdu);
}

static inline void *proxy_run(void *arg)
{
	struct proxy *proxy = arg;
	struct pollfd fds[PROXY_CLIENTS + 2];
	struct pdu pdu;
	unsigned int i, count;

	for (;;) {
		count = proxy->count;
		fds[0] = (struct pollfd){ proxy->stop[0], POLLIN, 0 };
		fds[1] = (struct pollfd){ proxy->front, POLLIN, 0 };
		for (i = 0; i < count; i++)
			fds[i + 2] = (struct pollfd){ proxy->clients[i].fd,
						      POLLIN, 0 };
		poll(fds, count + 2, -1);
		if (fds[0].revents)
			break;
		if (fds[1].revents && pdu_receive(proxy->front, &pdu, 0))
			proxy_from_client(proxy, &pdu);
		for (i = 0; i < count; i++) {
			if (!fds[i + 2].revents ||
			    !pdu_receive(proxy->clients[i].fd, &pdu, 0))
				continue;
			pdu.from = proxy->clients[i].address;
			proxy_forward(proxy, proxy->front, &pdu);
		}
	}
	for (i = 0; i < proxy->count; i++)
		close(proxy->clients[i].fd);
	close(proxy->front);
	return NULL;
}

static inline void proxy_init(struct proxy *proxy, uint16_t server,
			      unsigned int percent)
{
	memset(proxy, 0, sizeof(*proxy));
	proxy->server.sin_family = AF_INET;
	proxy->server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	proxy->server.sin_port = htons(server);
	proxy->percent = percent;
	proxy->random = 88172645463325252ull;
	proxy->front = udp_socket(&proxy->port);
	if (pipe(proxy->stop)) {
		perror("pipe");
		exit(2);
	}
}

/*
 * An engine is picked once in a process, so each has its own, side by side. The
 * results come in a row, with one plan.
 */
static inline FILE *engine_start(const char *engine, void (*run)(void),
				 pid_t *pid)
{
	FILE *output = tmpfile();

	fflush(stdout);
	*pid = fork();
	if (!*pid) {
		dup2(fileno(output), STDOUT_FILENO);
		setenv("RPCCANCEL_ENGINE", engine, 1);
		run();
		fflush(stdout);
		_exit(tap_failed ? 1 : 0);
	}
	return output;
}

static inline void engine_report(const char *engine, FILE *output, pid_t pid)
{
	char line[1024];
	int status;
	bool good;

	waitpid(pid, &status, 0);
	rewind(output);
	while (fgets(line, sizeof(line), output)) {
		good = !strncmp(line, "ok ", 3);
		line[strcspn(line, "\n")] = '\0';
		if (good || !strncmp(line, "not ok ", 7))
			ok(good, "%s: %s", engine, strstr(line, "- ") + 2);
		else
			printf("%s\n", line);
	}
	fclose(output);
	if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
		ok(false, "%s: ended with status %x", engine, status);
}

/* Parts of a test that need nothing of each other, also side by side. */
#define MAX_PARTS 4

static inline int both_engines(void (*const parts[])(void), size_t count)
{
	static const char *const engines[] = { "io_uring", "poll" };
	FILE *output[2][MAX_PARTS];
	pid_t pid[2][MAX_PARTS];
	size_t i, j;

	for (i = 0; i < 2; i++)
		for (j = 0; j < count; j++)
			output[i][j] =
				engine_start(engines[i], parts[j], &pid[i][j]);
	for (i = 0; i < 2; i++)
		for (j = 0; j < count; j++)
			engine_report(engines[i], output[i][j], pid[i][j]);
	return tap_end();
}

#endif /* DG_PEER_H */
