// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * PDUs of the connectionless protocol, tested like the others.
 */
#include "pdu.h"
#include "wire/dg_pdu.h"

static const UUID an_interface = {
	0x60a15ec5,
	0x4de8,
	0x11d7,
	{ 0xa6, 0x37, 0x00, 0x50, 0x56, 0xa2, 0x01, 0x82 },
};
static const UUID an_activity = {
	0xa1a2a3a4,
	0xb1b2,
	0xc1c2,
	{ 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8 },
};

static struct dg_header a_header(uint8_t type)
{
	struct dg_header h = {
		.type = type,
		.flags1 = DG_LAST_FRAG | DG_IDEMPOTENT,
		.flags2 = DG2_CANCEL_PENDING,
		.serial = 0x1234,
		.object = test_uuid,
		.interface = an_interface,
		.activity = an_activity,
		.server_boot = 0x01020304,
		.interface_vers = 0x00020001,
		.seqnum = 0x05060708,
		.opnum = 0x090a,
		.interface_hint = 0xffff,
		.activity_hint = 0xfffe,
		.fragnum = 0x0b0c,
	};

	return h;
}

/* The same header, in either byte order. */
static void write_header(struct writer *w, uint8_t type, uint16_t length)
{
	static const uint8_t drep[2] = { 0x00, 0x10 };

	w->length = 0;
	add(w, 4, 1);
	add(w, type, 1);
	add(w, DG_LAST_FRAG | DG_IDEMPOTENT, 1);
	add(w, DG2_CANCEL_PENDING, 1);
	add(w, drep[w->little], 1);
	add(w, 0, 2);
	add(w, 0x12, 1);
	add_uuid(w, &test_uuid);
	add_uuid(w, &an_interface);
	add_uuid(w, &an_activity);
	add(w, 0x01020304, 4);
	add(w, 0x00020001, 4);
	add(w, 0x05060708, 4);
	add(w, 0x090a, 2);
	add(w, 0xffff, 2);
	add(w, 0xfffe, 2);
	add(w, length, 2);
	add(w, 0x0b0c, 2);
	add(w, 0, 1);
	add(w, 0x34, 1);
}

static void headers(bool little)
{
	struct writer w = { .little = little };
	struct dg_header h;

	write_header(&w, DG_WORKING, 0);
	is(w.length, DG_HEADER_SIZE, "a header has 80 bytes");
	ok(dg_get_header(w.bytes, w.length, &h), "it is understood, %s",
	   little ? "little" : "big");
	is(h.vers, 4, "version");
	is(h.type, DG_WORKING, "type");
	is(h.flags1, DG_LAST_FRAG | DG_IDEMPOTENT, "flags");
	is(h.flags2, DG2_CANCEL_PENDING, "more flags");
	is(h.serial, 0x1234, "serial number");
	ok(!memcmp(&h.object, &test_uuid, 16), "object");
	ok(!memcmp(&h.interface, &an_interface, 16), "interface");
	ok(!memcmp(&h.activity, &an_activity, 16), "activity");
	is(h.server_boot, 0x01020304, "boot time");
	is(h.interface_vers, 0x00020001, "interface version");
	is(h.seqnum, 0x05060708, "sequence number");
	is(h.opnum, 0x090a, "operation");
	is(h.interface_hint, 0xffff, "interface hint");
	is(h.activity_hint, 0xfffe, "activity hint");
	is(h.length, 0, "length");
	is(h.fragnum, 0x0b0c, "fragment number");
	is(h.auth_proto, 0, "authentication");
}

static void header_bytes(void)
{
	struct writer w = { .little = true };
	struct dg_header h = a_header(DG_PING);
	uint8_t pdu[DG_HEADER_SIZE];

	write_header(&w, DG_PING, 0);
	dg_put_header(pdu, &h);
	is_bytes(pdu, w.bytes, DG_HEADER_SIZE, "what is put is what is got");
}

static bool header_with(unsigned int offset, uint8_t value)
{
	struct writer w = { .little = true };
	struct dg_header h;

	write_header(&w, DG_PING, 0);
	w.bytes[offset] = value;
	return dg_get_header(w.bytes, w.length, &h);
}

static void bad_headers(void)
{
	struct writer w = { .little = true };
	struct dg_header h;
	bool good = true;
	uint8_t *pdu;
	size_t i;

	ok(!header_with(0, 5), "version 5 is refused");
	ok(header_with(0, 0xf4), "the version's upper bits are not looked at");
	ok(header_with(1, 31), "an unknown type is the caller's business");
	ok(!header_with(4, 0x20), "an unknown order of integers is refused");
	ok(!header_with(4, 0x1f), "an unknown character set is refused");
	ok(!header_with(74, 1), "a body longer than the datagram is refused");

	write_header(&w, DG_REQUEST, 20);
	w.length += 20;
	for (i = 0; i <= w.length; i++) {
		pdu = copy_of(w.bytes, i);
		good = good && dg_get_header(pdu, i, &h) == (i == w.length);
		free(pdu);
	}
	ok(good, "a datagram is taken only when it is whole");
	ok(dg_get_header(w.bytes, w.length + 8, &h),
	   "what follows the body does no harm");
	is(h.length, 20, "and is no part of it");
}

typedef bool decode_fn(const uint8_t *pdu, const struct dg_header *h);

static bool decode_fack(const uint8_t *pdu, const struct dg_header *h)
{
	struct dg_fack fack;

	return dg_get_fack(pdu, h, &fack);
}

static bool decode_cancel(const uint8_t *pdu, const struct dg_header *h)
{
	struct dg_cancel cancel;

	return dg_get_cancel(pdu, h, &cancel);
}

static bool decode_cancel_ack(const uint8_t *pdu, const struct dg_header *h)
{
	struct dg_cancel ack;

	return dg_get_cancel_ack(pdu, h, &ack);
}

static bool decode_status(const uint8_t *pdu, const struct dg_header *h)
{
	uint32_t status;

	return dg_get_status(pdu, h, &status);
}

/* @size: of the datagram, of whose body @whole bytes are needed. */
static void truncated(const uint8_t *bytes, size_t size, size_t whole,
		      decode_fn *decode, const char *what)
{
	struct dg_header h;
	bool good = true;
	uint8_t *pdu;
	size_t i;

	dg_get_header(bytes, size, &h);
	for (i = DG_HEADER_SIZE; i <= size; i++) {
		pdu = copy_of(bytes, i);
		h.length = (uint16_t)(i - DG_HEADER_SIZE);
		good = good && decode(pdu, &h) == (h.length >= whole);
		free(pdu);
	}
	ok(good, "%s is taken only when it is whole", what);
}

static void facks(bool little)
{
	struct writer w = { .little = little };
	struct dg_header h;
	struct dg_fack f;

	write_header(&w, DG_FACK, 24);
	add(&w, 1, 1);
	add(&w, 0, 1);
	add(&w, 0x0102, 2);
	add(&w, 0x03040506, 4);
	add(&w, 0x0708090a, 4);
	add(&w, 0x0b0c, 2);
	add(&w, 2, 2);
	add(&w, 0x11121314, 4);
	add(&w, 0x15161718, 4);
	dg_get_header(w.bytes, w.length, &h);
	ok(dg_get_fack(w.bytes, &h, &f), "a fack, %s",
	   little ? "little" : "big");
	is(f.vers, 1, "version");
	is(f.window, 0x0102, "window");
	is(f.max_tsdu, 0x03040506, "max_tsdu");
	is(f.max_frag, 0x0708090a, "max_frag");
	is(f.serial, 0x0b0c, "serial number");
	is(f.selack_count, 2, "selective acknowledgements");
	is(f.selack[0], 0x11121314, "the first");
	is(f.selack[1], 0x15161718, "the second");
	truncated(w.bytes, w.length, 24, decode_fack, "a fack");
}

static void fack_limits(void)
{
	struct writer w = { .little = true };
	struct dg_header h;
	struct dg_fack f;
	unsigned int count = DG_MAX_SELACK + 3;

	write_header(&w, DG_FACK, (uint16_t)(16 + 4 * count));
	add(&w, 0, 8);
	add(&w, 0, 6);
	add(&w, count, 2);
	w.length += 4 * (size_t)count;
	dg_get_header(w.bytes, w.length, &h);
	ok(dg_get_fack(w.bytes, &h, &f), "more acknowledgements than are kept");
	is(f.selack_count, DG_MAX_SELACK, "the rest is skipped");
	w.bytes[DG_HEADER_SIZE + 14]++;
	ok(!dg_get_fack(w.bytes, &h, &f), "more than there are: refused");
	w.bytes[DG_HEADER_SIZE + 14] = 0xff;
	w.bytes[DG_HEADER_SIZE + 15] = 0xff;
	ok(!dg_get_fack(w.bytes, &h, &f), "so is the largest count");
}

static void cancels(bool little)
{
	struct writer w = { .little = little };
	struct dg_header h;
	struct dg_cancel c;

	write_header(&w, DG_CANCEL_ACK, 9);
	add(&w, 0, 4);
	add(&w, 0x01020304, 4);
	add(&w, 1, 1);
	dg_get_header(w.bytes, w.length, &h);
	ok(dg_get_cancel(w.bytes, &h, &c), "a cl_cancel, %s",
	   little ? "little" : "big");
	is(c.vers, 0, "version");
	is(c.id, 0x01020304, "number");
	is(c.accepting, false, "it accepts nothing");
	ok(dg_get_cancel_ack(w.bytes, &h, &c), "a cancel_ack");
	is(c.id, 0x01020304, "number");
	is(c.accepting, true, "it accepts more");
	truncated(w.bytes, w.length, 8, decode_cancel, "a cl_cancel");
	truncated(w.bytes, w.length, 9, decode_cancel_ack, "a cancel_ack");
	h.length = 12;
	memset(w.bytes + w.length, 0, 3);
	ok(dg_get_cancel_ack(w.bytes, &h, &c), "one of 12 bytes is taken");
}

static void statuses(bool little)
{
	struct writer w = { .little = little };
	struct dg_header h;
	uint32_t status;

	write_header(&w, DG_FAULT, 4);
	add(&w, 0x1c00000d, 4);
	dg_get_header(w.bytes, w.length, &h);
	ok(dg_get_status(w.bytes, &h, &status), "a fault, %s",
	   little ? "little" : "big");
	is(status, 0x1c00000d, "its status");
	truncated(w.bytes, w.length, 4, decode_status, "a fault");
}

static void put_bodies(void)
{
	static const uint8_t cancel[] = { 0, 0, 0, 0, 2, 0, 0, 0 };
	static const uint8_t ack[] = { 0, 0, 0, 0, 2, 0, 0, 0, 1 };
	static const uint8_t status[] = { 0x0d, 0, 0, 0x1c };
	struct dg_cancel c = { .id = 2, .accepting = true };
	struct dg_header h = a_header(DG_CANCEL);
	uint8_t pdu[DG_MUST_RECV_FRAG];

	is(dg_put_cancel(pdu, &h, &c), 88, "a cl_cancel has 88 bytes");
	is(h.length, 8, "the header is told so");
	is(pdu[74], 8, "and sent so");
	is_bytes(pdu + 80, cancel, 8, "its body is what is expected");
	is(dg_put_cancel_ack(pdu, &h, &c), 89, "a cancel_ack has 89 bytes");
	is(pdu[74], 9, "and says so");
	is_bytes(pdu + 80, ack, 9, "its body is what is expected");
	is(dg_put_status(pdu, &h, 0x1c00000d), 84, "a fault has 84 bytes");
	is(pdu[74], 4, "and says so");
	is_bytes(pdu + 80, status, 4, "its body is what is expected");
}

static void put_fack(void)
{
	static const uint8_t want[] = { 1, 0,	 32,   0, 0x00, 0x10, 0,
					0, 0xb8, 0x05, 0, 0,	9,    0,
					1, 0,	 0x0f, 0, 0x01, 0 };
	struct dg_header h = a_header(DG_FACK);
	struct dg_fack f = {
		.vers = 1,
		.window = 32,
		.max_tsdu = 4096,
		.max_frag = DG_MUST_RECV_FRAG,
		.serial = 9,
		.selack_count = 1,
		.selack = { 0x0001000f },
	};
	uint8_t pdu[DG_MUST_RECV_FRAG];

	is(dg_put_fack(pdu, &h, &f), 80 + 20, "a fack has 96 bytes and more");
	is_bytes(pdu + 80, want, 20, "its body is what is expected");
	ok(dg_get_header(pdu, 100, &h) && h.length == 20, "it says its length");
}

int main(void)
{
	headers(true);
	headers(false);
	header_bytes();
	bad_headers();
	facks(true);
	facks(false);
	fack_limits();
	cancels(true);
	cancels(false);
	statuses(true);
	statuses(false);
	put_bodies();
	put_fack();
	return tap_end();
}
