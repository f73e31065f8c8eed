// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A cancel that comes at a random point around the arrival of data.  A writer
 * sends a stream of numbered bytes, a reader takes it in scopes of one call
 * each, and one of the two is cancelled all the time.  Every byte must come
 * exactly once and in order, whether the cancel or the data was first.
 *
 * usage: race_data_test [KILOBYTES [STREAM]]
 *	per stream: 128 by default, 4096 with RPCCANCEL_NIGHTLY=1; STREAM, from
 *	1 on, runs only that one
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kselftest.h"
#include "rpccancel_util.h"

#define CHUNK	64

enum channel { SOCKETPAIR, PIPE, TCP };

struct stream {
	const char *name;
	enum channel channel;
	ssize_t (*read)(int fd, unsigned char *buf, size_t len);
	ssize_t (*write)(int fd, unsigned char *buf, size_t len);
	bool cancel_writer;
};

static struct {
	const struct stream *stream;
	int in, out;
	uint32_t seed;
	size_t total;
	size_t written, got;
	atomic_bool over;
	/* What must stay 0. */
	size_t lost, duplicated;
	long hidden;	/* refused calls that gave no ECANCELED, or the reverse */
	long unexpected;
	/* What is good to know. */
	long refused, partial, requests;
	long answer[RPCCANCEL_RESULT_ENDED + 1];
} race;

static ssize_t plain_read(int fd, unsigned char *buf, size_t len)
{
	return read(fd, buf, len);
}

static ssize_t split_readv(int fd, unsigned char *buf, size_t len)
{
	struct iovec iov[2] = { { buf, len / 3 }, { buf + len / 3,
						    len - len / 3 } };

	return readv(fd, iov, 2);
}

static ssize_t recvmsg_waitall(int fd, unsigned char *buf, size_t len)
{
	struct iovec iov = { buf, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return recvmsg(fd, &msg, MSG_WAITALL);
}

static ssize_t plain_write(int fd, unsigned char *buf, size_t len)
{
	return write(fd, buf, len);
}

static ssize_t split_sendmsg(int fd, unsigned char *buf, size_t len)
{
	struct iovec iov[2] = { { buf, len / 3 }, { buf + len / 3,
						    len - len / 3 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static const struct stream streams[] = {
	{ "read() from a socketpair", SOCKETPAIR, plain_read, plain_write,
	  false },
	{ "read() from a pipe", PIPE, plain_read, plain_write, false },
	{ "read() from a TCP connection", TCP, plain_read, plain_write, false },
	{ "readv() from a pipe", PIPE, split_readv, plain_write, false },
	{ "recvmsg(MSG_WAITALL) from a socketpair", SOCKETPAIR, recvmsg_waitall,
	  plain_write, false },
	{ "recvmsg(MSG_WAITALL) from a TCP connection", TCP, recvmsg_waitall,
	  plain_write, false },
	{ "write() to a pipe", PIPE, plain_read, plain_write, true },
	{ "write() to a socketpair", SOCKETPAIR, plain_read, plain_write,
	  true },
	{ "sendmsg() to a TCP connection", TCP, plain_read, split_sendmsg,
	  true },
};

/* Byte number @at of the stream: no short period, so that no gap can hide. */
static unsigned char byte_at(size_t at)
{
	return at ^ at >> 8 ^ at >> 16 ^ (at * 0x9e3779b1u) >> 24;
}

static void pause_a_little(uint32_t *seed)
{
	uint32_t turns = rc_random(seed, 1u << rc_random(seed, 13));

	for (volatile uint32_t i = 0; i < turns; i++)
		;
	if (!rc_random(seed, 16))
		sched_yield();
}

/* One call, in a scope of its own if the thread is the one to be cancelled. */
static ssize_t one_call(struct rc_thread *t, bool cancelled,
			ssize_t (*call)(int, unsigned char *, size_t), int fd,
			unsigned char *buf, size_t len)
{
	uint64_t refused;
	ssize_t ret;

	if (!cancelled) {
		ret = call(fd, buf, len);
		return ret < 0 ? -errno : ret;
	}
	refused = t->slot->refused;
	rc_begin_scope(t->dev, t->slot);
	ret = call(fd, buf, len);
	if (ret < 0)
		ret = -errno;
	refused = t->slot->refused - refused;
	rc_end(t->dev, t->slot);
	if (refused != (ret == -ECANCELED))
		race.hidden++;
	if (ret == -ECANCELED)
		race.refused++;
	else if (ret > 0 && (size_t)ret < len)
		race.partial++;
	return ret;
}

/* The reader compares what comes with what must come. */
static void compare(const unsigned char *buf, size_t len)
{
	for (size_t i = 0; i < len; i++, race.got++) {
		size_t ahead;

		if (buf[i] == byte_at(race.got))
			continue;
		/* Find the place again: bytes are missing, or came before. */
		for (ahead = 1; ahead < 4 * CHUNK; ahead++) {
			if (i + 2 < len &&
			    buf[i + 1] == byte_at(race.got + ahead + 1) &&
			    buf[i + 2] == byte_at(race.got + ahead + 2) &&
			    buf[i] == byte_at(race.got + ahead)) {
				race.lost += ahead;
				race.got += ahead;
				break;
			}
		}
		if (ahead == 4 * CHUNK)
			race.duplicated++;
	}
}

static long reader(struct rc_thread *t)
{
	bool cancelled = !race.stream->cancel_writer;
	uint32_t seed = race.seed ^ 0x2545f491;
	unsigned char buf[CHUNK];
	ssize_t ret;

	rc_pin(cancelled ? 1 : 0);
	for (;;) {
		pause_a_little(&seed);
		ret = one_call(t, cancelled, race.stream->read, race.in, buf,
			       1 + rc_random(&seed, CHUNK));
		if (!ret)
			break;
		if (ret > 0)
			compare(buf, ret);
		else if (!cancelled || ret != -ECANCELED)
			race.unexpected++;
		if (race.unexpected > 100)
			break;
	}
	race.over = true;
	return 0;
}

static long writer(struct rc_thread *t)
{
	bool cancelled = race.stream->cancel_writer;
	uint32_t seed = race.seed ^ 0x6c078965;
	unsigned char buf[64 * CHUNK];
	size_t len, most;
	ssize_t ret;

	rc_pin(cancelled ? 1 : 0);
	/* It is full that a writer waits for, and empty that a reader does. */
	most = cancelled ? sizeof(buf) : CHUNK;
	while (race.written < race.total) {
		len = 1 + rc_random(&seed, most);
		if (len > race.total - race.written)
			len = race.total - race.written;
		for (size_t i = 0; i < len; i++)
			buf[i] = byte_at(race.written + i);
		pause_a_little(&seed);
		ret = one_call(t, cancelled, race.stream->write, race.out, buf,
			       len);
		if (ret > 0)
			race.written += ret;
		else if (!cancelled || ret != -ECANCELED)
			race.unexpected++;
		if (race.unexpected > 100)
			break;
	}
	if (race.stream->channel == PIPE)
		close(race.out);
	else
		shutdown(race.out, SHUT_WR);
	return 0;
}

static int make_tcp(int fd[2])
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	int ls = socket(AF_INET, SOCK_STREAM, 0);

	if (ls < 0 || bind(ls, (struct sockaddr *)&addr, len) ||
	    listen(ls, 1) || getsockname(ls, (struct sockaddr *)&addr, &len))
		return -1;
	fd[1] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd[1], (struct sockaddr *)&addr, len))
		return -1;
	fd[0] = accept(ls, NULL, NULL);
	close(ls);
	return fd[0] < 0 ? -1 : 0;
}

static int make_channel(enum channel channel)
{
	int fd[2], size = 4096;

	switch (channel) {
	case PIPE:
		if (pipe(fd) || fcntl(fd[1], F_SETPIPE_SZ, size) < 0)
			return -1;
		break;
	case SOCKETPAIR:
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd))
			return -1;
		break;
	case TCP:
		if (make_tcp(fd))
			return -1;
		break;
	}
	race.in = fd[0];
	race.out = fd[1];
	/* Little room: a writer is to wait. */
	if (channel != PIPE) {
		setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		setsockopt(fd[0], SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	}
	return 0;
}

static bool run(const struct stream *stream, size_t total)
{
	uint64_t start = rc_now(), last = start;
	struct rc_thread r, w, *target;
	size_t seen = 0;
	uint32_t seed;
	int dev, ret;
	bool stuck = false;

	memset(&race, 0, sizeof(race));
	race.stream = stream;
	race.total = total;
	race.seed = rc_env("RPCCANCEL_SEED", start >> 10 | 1);
	seed = race.seed;
	dev = rc_open_device();
	if (dev < 0 || make_channel(stream->channel))
		ksft_exit_fail_msg("no device or no channel\n");
	ret = rc_start(&r, dev, reader, NULL) ?: rc_start(&w, dev, writer, NULL);
	if (ret)
		ksft_exit_fail_msg("attach: %s\n", strerror(-ret));
	target = stream->cancel_writer ? &w : &r;
	rc_pin(0);
	while (!race.over && !target->done) {
		ret = rc_cancel_result(target->handle, RPCCANCEL_GEN_ANY);
		if (ret >= 0 && ret <= RPCCANCEL_RESULT_ENDED)
			race.answer[ret]++;
		else if (ret != -ESRCH)
			race.unexpected++;
		race.requests++;
		/* Without a pause every call would be refused: nothing moves. */
		for (uint32_t n = rc_random(&seed, 4); n; n--)
			sched_yield();
		pause_a_little(&seed);
		if (race.got != seen) {
			seen = race.got;
			last = rc_now();
		} else if (rc_now() - last > RC_PATIENCE * RC_NSEC_PER_MSEC) {
			stuck = true;
			break;
		}
	}
	if (!stuck)
		stuck = rc_join(&r, RC_PATIENCE) || rc_join(&w, RC_PATIENCE);
	if (stuck)
		ksft_print_msg("stuck after %zu bytes\n", race.got);
	if (race.got < race.written)
		race.lost += race.written - race.got;

	ksft_print_msg("%zu bytes written, %zu read in %llu ms, seed %u\n",
		       race.written, race.got,
		       (rc_now() - start) / RC_NSEC_PER_MSEC, race.seed);
	ksft_print_msg("lost %zu, duplicated %zu, hidden %ld, unexpected %ld\n",
		       race.lost, race.duplicated, race.hidden, race.unexpected);
	ksft_print_msg("%ld requests, %ld calls refused, %ld partial\n",
		       race.requests, race.refused, race.partial);
	for (int r = 0; r <= RPCCANCEL_RESULT_ENDED; r++)
		if (race.answer[r])
			ksft_print_msg("answered \"%s\": %ld\n",
				       rc_result_name(r), race.answer[r]);
	close(race.in);
	if (stream->channel != PIPE)
		close(race.out);
	close(dev);
	return !stuck && !race.lost && !race.duplicated && !race.hidden &&
	       !race.unexpected && race.written == total && race.got == total;
}

int main(int argc, char **argv)
{
	size_t total = rc_env("RPCCANCEL_NIGHTLY", 0) ? 4096 : 128;
	size_t only = argc > 2 ? atoi(argv[2]) : 0;
	uint64_t end;
	bool ok;

	if (argc > 1)
		total = atol(argv[1]);
	rc_need_device();
	setvbuf(stdout, NULL, _IOLBF, 0);
	ksft_print_header();
	ksft_set_plan(only ? 1 : ARRAY_SIZE(streams));
	for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
		if (only && only != i + 1)
			continue;
		/* A run in which nothing was refused says nothing. */
		end = rc_now() + RC_PATIENCE * RC_NSEC_PER_MSEC;
		do {
			ok = run(&streams[i], total << 10);
		} while (ok && !race.refused && rc_now() < end);
		ok = ok && race.refused;
		ksft_test_result(ok, "%s\n", streams[i].name);
	}
	ksft_finished();
}
