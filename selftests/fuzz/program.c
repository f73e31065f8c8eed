// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Programs: made at random, changed at random, and as text. All is decided by
 * the seed.
 *
 * The text is "ordered" or "collide" and then the calls, each after a semicolon:
 * the number of its thread, its name, and its arguments in hexadecimal.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static const struct {
	const struct op *ops;
	const unsigned int *count;
} tables[] = {
	{ device_ops, &device_ops_count },
	{ handle_ops, &handle_ops_count },
	{ slot_ops, &slot_ops_count },
	{ block_ops, &block_ops_count },
	{ process_ops, &process_ops_count },
};

unsigned int op_count(void)
{
	unsigned int n = 0;

	for (size_t i = 0; i < COUNT(tables); i++)
		n += *tables[i].count;
	return n;
}

const struct op *op_get(unsigned int number)
{
	for (size_t i = 0; i < COUNT(tables); i++) {
		if (number < *tables[i].count)
			return &tables[i].ops[number];
		number -= *tables[i].count;
	}
	abort();
}

uint64_t random64(uint32_t *seed)
{
	uint64_t hi = rc_random(seed, UINT32_MAX);

	return hi << 32 ^ (uint64_t)rc_random(seed, UINT32_MAX) << 1;
}

static unsigned int random_op(uint32_t *seed)
{
	unsigned int sum = 0, n = op_count(), pick;

	for (unsigned int i = 0; i < n; i++)
		sum += op_get(i)->weight;
	pick = rc_random(seed, sum);
	for (unsigned int i = 0;; i++) {
		if (pick < op_get(i)->weight)
			return i;
		pick -= op_get(i)->weight;
	}
}

static uint64_t random_number(uint32_t *seed)
{
	static const uint64_t edges[] = {
		0, 1, 2, 3, 7, 0x10, 0x40, 0x50, 64, 4096, 65535, 65536, 65537,
		0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x100000001,
		INT64_MAX, 1ull << 63, RPCCANCEL_GRACE_TARGET,
		RPCCANCEL_INFINITE,
	};

	switch (rc_random(seed, 3)) {
	case 0:
		return edges[rc_random(seed, COUNT(edges))];
	case 1:
		return rc_random(seed, 200);
	default:
		return random64(seed) >> rc_random(seed, 64);
	}
}

static uint64_t random_size(uint32_t *seed)
{
	static const uint8_t sizes[] = { 0, 8, 16, 24, 32, 64, 96 };

	if (rc_random(seed, 4))
		return sizes[rc_random(seed, COUNT(sizes))];
	return rc_random(seed, 4) ? rc_random(seed, 256) : random_number(seed);
}

/* From 1 us to 16 ms, all magnitudes alike. */
static uint64_t random_period(uint32_t *seed)
{
	if (!rc_random(seed, 8))
		return random_number(seed);
	return 1000ull + rc_random(seed, 1000u << rc_random(seed, 15));
}

static uint64_t random_argument(enum kind kind, uint32_t *seed)
{
	switch (kind) {
	case DEVICE:	/* rather the same one */
		return rc_random(seed, 3) ? 0 : rc_random(seed, DEVICES);
	case HANDLE:
		return rc_random(seed, HANDLES);
	case THREAD:
		return rc_random(seed, THREADS);
	case PEER:
		return rc_random(seed, PROCESSES * THREADS + 4);
	case SMALL:
		return rc_random(seed, 32);
	case SIZE:
		return random_size(seed);
	case MEMORY:
		return rc_random(seed, 4) ? 0 : rc_random(seed, 32);
	case GENERATION:
		return rc_random(seed, 8);
	case NANOSECONDS:
		return random_period(seed);
	case FLAGS:
		return rc_random(seed, 8) ? rc_random(seed, 2) :
					    rc_random(seed, 16);
	case CLASSES:
		if (rc_random(seed, 2))
			return 0;
		return rc_random(seed, 3) ? RPCCANCEL_CLASS_ALL :
					    random_number(seed);
	case ERROR:
		return rc_random(seed, 2) ? 0 : random_number(seed);
	case ACCESS:
		return rc_random(seed, 4) ? RPCCANCEL_ACCESS_ALL :
					    random_number(seed);
	default:
		return random_number(seed);
	}
}

static void random_call(struct call *c, uint32_t *seed)
{
	const struct op *op;

	memset(c, 0, sizeof(*c));
	c->op = random_op(seed);
	c->thread = rc_random(seed, THREADS);
	op = op_get(c->op);
	for (int i = 0; i < MAX_ARGS && op->args[i]; i++)
		c->args[i] = random_argument(op->args[i], seed);
}

void program_make(struct program *p, uint32_t *seed)
{
	memset(p, 0, sizeof(*p));
	p->calls = 1 + rc_random(seed, MAX_CALLS);
	p->collide = !rc_random(seed, 3);
	for (unsigned int i = 0; i < p->calls; i++)
		random_call(&p->call[i], seed);
}

static void insert(struct program *p, unsigned int at, const struct call *c)
{
	if (p->calls == MAX_CALLS)
		p->calls--;
	memmove(&p->call[at + 1], &p->call[at],
		(p->calls - at) * sizeof(p->call[0]));
	p->call[at] = *c;
	p->calls++;
}

static void change_argument(struct call *c, uint32_t *seed)
{
	const struct op *op = op_get(c->op);
	int n = 0;

	while (n < MAX_ARGS && op->args[n])
		n++;
	if (!n)
		return;
	n = rc_random(seed, n);
	if (rc_random(seed, 3))
		c->args[n] = random_argument(op->args[n], seed);
	else
		c->args[n] ^= 1ull << rc_random(seed, 64);
}

/* @other is where calls may come from. */
static void change_once(struct program *p, const struct program *other,
			uint32_t *seed)
{
	unsigned int at = rc_random(seed, p->calls);
	struct call c;

	switch (rc_random(seed, 8)) {
	case 0:
	case 1:
		random_call(&c, seed);
		insert(p, at < MAX_CALLS - 1 ? at : 0, &c);
		break;
	case 2:
		if (p->calls == 1)
			break;
		p->calls--;
		memmove(&p->call[at], &p->call[at + 1],
			(p->calls - at) * sizeof(c));
		break;
	case 3:
		p->call[at].thread = rc_random(seed, THREADS);
		break;
	case 4:
		c = other->call[rc_random(seed, other->calls)];
		insert(p, at < MAX_CALLS - 1 ? at : 0, &c);
		break;
	case 5:
		p->collide = !p->collide;
		break;
	default:
		change_argument(&p->call[at], seed);
	}
}

void program_change(struct program *p, const struct program *other,
		    uint32_t *seed)
{
	for (unsigned int n = 1 + rc_random(seed, 4); n; n--)
		change_once(p, other, seed);
}

void program_write(const struct program *p, char *text, size_t size)
{
	FILE *f = fmemopen(text, size, "w");

	fputs(p->collide ? "collide" : "ordered", f);
	for (unsigned int i = 0; i < p->calls; i++) {
		const struct call *c = &p->call[i];
		const struct op *op = op_get(c->op);

		fprintf(f, ";%d %s", c->thread, op->name);
		for (int n = 0; n < MAX_ARGS && op->args[n]; n++)
			fprintf(f, " %llx", (unsigned long long)c->args[n]);
	}
	fclose(f);
}

static int read_call(struct call *c, const char *text)
{
	char name[32];
	int used, thread;

	memset(c, 0, sizeof(*c));
	if (sscanf(text, "%d %31[a-z_0-9]%n", &thread, name, &used) != 2 ||
	    thread < 0 || thread >= THREADS)
		return -EINVAL;
	c->thread = thread;
	while (strcmp(op_get(c->op)->name, name)) {
		if (++c->op >= op_count())
			return -EINVAL;
	}
	text += used;
	for (int n = 0; n < MAX_ARGS && op_get(c->op)->args[n]; n++) {
		unsigned long long value;

		if (sscanf(text, "%llx%n", &value, &used) != 1)
			return -EINVAL;
		c->args[n] = value;
		text += used;
	}
	return 0;
}

/* What comes before the first word, as in a log, is skipped. */
int program_read(struct program *p, const char *text)
{
	const char *collide = strstr(text, "collide");
	const char *ordered = strstr(text, "ordered");

	memset(p, 0, sizeof(*p));
	p->collide = collide;
	text = collide ? collide : ordered;
	if (!text)
		return -EINVAL;
	while ((text = strchr(text, ';'))) {
		if (p->calls == MAX_CALLS ||
		    read_call(&p->call[p->calls++], ++text))
			return -EINVAL;
	}
	return p->calls ? 0 : -EINVAL;
}
