// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * UUIDs: made, compared, written and read.
 */
#include <errno.h>
#include <string.h>

#include <rpc.h>

#include "tap.h"

#define TEXT "6b29fc40-ca47-1067-b31d-00dd010662da"

static UUID example = {
	0x6b29fc40,
	0xca47,
	0x1067,
	{ 0xb3, 0x1d, 0x00, 0xdd, 0x01, 0x06, 0x62, 0xda },
};

static void created(void)
{
	bool good = true;
	UUID a, b;
	int i;

	for (i = 0; i < 1000; i++) {
		good = good && UuidCreate(&a) == RPC_S_OK &&
		       UuidCreate(&b) == RPC_S_OK &&
		       memcmp(&a, &b, sizeof(a)) && a.Data3 >> 12 == 4 &&
		       a.Data4[0] >> 6 == 2;
	}
	ok(good, "random UUIDs differ and are of version 4");
	is(UuidCreate(NULL), RPC_S_INVALID_ARG, "there must be room for one");
	is(UuidCreateNil(&a), RPC_S_OK, "a nil UUID");
	ok(UuidIsNil(&a, NULL), "is one");
	ok(!UuidIsNil(&b, NULL), "a random one is not");
	is(UuidCreateNil(NULL), RPC_S_INVALID_ARG, "there must be room for it");
}

static bool written_as(const UUID *uuid, const char *text)
{
	RPC_CSTR string = NULL;
	bool good;

	good = UuidToString(uuid, &string) == RPC_S_OK &&
	       !strcmp((char *)string, text);
	RpcStringFree(&string);
	return good && !string;
}

static void written(void)
{
	ok(written_as(&example, TEXT), "a UUID as text");
	ok(written_as(NULL, "00000000-0000-0000-0000-000000000000"),
	   "no UUID is the nil one");
	is(UuidToString(&example, NULL), RPC_S_INVALID_ARG,
	   "the text must have a place to go");
}

static RPC_STATUS from(const char *text, UUID *uuid)
{
	return UuidFromString((RPC_CSTR)text, uuid);
}

static void read_back(void)
{
	UUID uuid;

	is(from(TEXT, &uuid), RPC_S_OK, "a text as UUID");
	ok(!memcmp(&uuid, &example, sizeof(uuid)), "is the one it was");
	memset(&uuid, 0, sizeof(uuid));
	is(from("6B29FC40-CA47-1067-B31D-00DD010662DA", &uuid), RPC_S_OK,
	   "in capitals");
	ok(!memcmp(&uuid, &example, sizeof(uuid)), "as well");
	is(from(NULL, &uuid), RPC_S_OK, "no text");
	ok(UuidIsNil(&uuid, NULL), "is the nil UUID");
	is(from(TEXT, NULL), RPC_S_INVALID_ARG, "there must be room for it");
}

static void malformed(void)
{
	char text[] = TEXT "0";
	bool good = true;
	UUID uuid = example;
	size_t i;

	is(from(text, &uuid), RPC_S_INVALID_STRING_UUID, "one digit too many");
	for (i = 0; i < strlen(TEXT); i++) {
		strcpy(text, TEXT);
		text[i] = 0;
		good = good && from(text, &uuid) == RPC_S_INVALID_STRING_UUID;
		text[i] = 'g';
		text[i + 1] = TEXT[i + 1];
		good = good && from(text, &uuid) == RPC_S_INVALID_STRING_UUID;
	}
	ok(good, "too short, or with a wrong character anywhere");
	is(from("", &uuid), RPC_S_INVALID_STRING_UUID, "an empty text");
	is(from("{6b29fc40-ca47-1067-b31d-00dd010662d}", &uuid),
	   RPC_S_INVALID_STRING_UUID, "braces");
	is(from("6b29fc40ca-47-1067-b31d-00dd010662da", &uuid),
	   RPC_S_INVALID_STRING_UUID, "hyphens elsewhere");
	ok(!memcmp(&uuid, &example, sizeof(uuid)), "none changes the UUID");
}

static void compared(void)
{
	RPC_STATUS status = -1;
	UUID other = example;

	is(UuidCompare(&example, &other, &status), 0, "equal ones");
	is(status, RPC_S_OK, "and the status says so");
	ok(UuidEqual(&example, &other, &status), "equal ones are equal");
	is(UuidHash(&example, &status), UuidHash(&other, &status),
	   "and have one hash");
	other.Data4[7]++;
	is(UuidCompare(&example, &other, NULL), -1, "the last byte counts");
	is(UuidCompare(&other, &example, NULL), 1, "both ways");
	ok(!UuidEqual(&example, &other, NULL), "they are not equal");
	other.Data1 = 0x01ffffff;
	is(UuidCompare(&other, &example, NULL), -1,
	   "the first field counts more, as an integer");
	other = example;
	other.Data3--;
	is(UuidCompare(&other, &example, NULL), -1, "the third one counts");
	is(UuidCompare(NULL, &example, NULL), -1, "none is the nil one");
	is(UuidCompare(&example, NULL, NULL), 1, "on either side");
	ok(UuidEqual(NULL, NULL, NULL), "and equals itself");
	ok(UuidIsNil(NULL, &status), "and is nil");
	is(UuidHash(NULL, NULL), UuidHash(NULL, &status), "and has a hash");
}

static void errno_is_left_alone(void)
{
	RPC_CSTR text;
	UUID uuid;

	errno = ERANGE;
	UuidCreate(&uuid);
	UuidToString(&uuid, &text);
	RpcStringFree(&text);
	is(errno, ERANGE, "errno is left alone");
}

int main(void)
{
	created();
	written();
	read_back();
	malformed();
	compared();
	errno_is_left_alone();
	return tap_end();
}
