// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The table of conversations, bounded in number and time, and the question by
 * which a client proves that it is there.
 *
 * A client that is not known is asked who_are_you (see dg_conv.h) before a call
 * is executed that must not be executed twice, before more is kept of a request
 * than one window, and before more is sent than one packet: the sender's address
 * of a datagram is easily forged.
 */
#include <stdlib.h>
#include <string.h>

#include "dg/dg_conv.h"
#include "dg/dg_server.h"
#include "dg/dg_timers.h"
#include "internal.h"
#include "wire/nca.h"

#define MAX_QUESTIONS  2  /* to a client that says nothing more */
#define EVICT_ATTEMPTS 16 /* of the oldest, when the table is full */
#define SWEEP_INTERVAL (DG_TIMEOUT_IDLE / 10)
#define NO_HINT	       0xffff

static struct dg_conversation *of_activity(struct dg_node *node)
{
	return (struct dg_conversation *)((char *)node -
					  offsetof(struct dg_conversation,
						   activity));
}

static struct dg_conversation *of_question(struct dg_node *node)
{
	return (struct dg_conversation *)((char *)node -
					  offsetof(struct dg_conversation,
						   question));
}

/* Keyed, since clients choose their UUIDs. */
static struct dg_node **bucket(struct dg_table *table, const UUID *id)
{
	uint64_t half[2], hash;

	memcpy(half, id, sizeof(half));
	hash = (half[0] ^ table->keys[0]) * 0x9e3779b97f4a7c15u;
	hash ^= hash >> 32;
	hash = (hash ^ half[1] ^ table->keys[1]) * 0xc2b2ae3d27d4eb4fu;
	hash ^= hash >> 29;
	hash *= table->keys[0] | 1;
	return &table->buckets[hash >> 32 & (DG_BUCKETS - 1)];
}

static struct dg_node *find_node(struct dg_table *table, const UUID *id)
{
	struct dg_node *node;

	for (node = *bucket(table, id); node; node = node->next)
		if (!memcmp(&node->id, id, sizeof(*id)))
			return node;
	return NULL;
}

static void add_node(struct dg_table *table, struct dg_node *node)
{
	struct dg_node **head = bucket(table, &node->id);

	node->next = *head;
	if (node->next)
		node->next->link = &node->next;
	*head = node;
	node->link = head;
}

static void remove_node(struct dg_node *node)
{
	if (!node->link)
		return;
	*node->link = node->next;
	if (node->next)
		node->next->link = node->link;
	node->link = NULL;
}

struct dg_conversation *dg_find(struct dg_server *server, const UUID *activity)
{
	struct dg_node *node = find_node(&server->activities, activity);

	return node ? of_activity(node) : NULL;
}

struct dg_conversation *dg_find_asked(struct dg_server *server,
				      const UUID *question)
{
	struct dg_node *node = find_node(&server->questions, question);

	return node ? of_question(node) : NULL;
}

/*
 * The list by when a client was heard.
 */

static void unlink_heard(struct dg_conversation *c)
{
	struct dg_server *server = c->server;

	if (c->older)
		c->older->newer = c->newer;
	else
		server->oldest = c->newer;
	if (c->newer)
		c->newer->older = c->older;
	else
		server->newest = c->older;
}

static void link_heard(struct dg_conversation *c)
{
	struct dg_server *server = c->server;

	c->heard = rpcc_now_coarse();
	c->older = server->newest;
	c->newer = NULL;
	if (c->older)
		c->older->newer = c;
	else
		server->oldest = c;
	server->newest = c;
}

void dg_heard(struct dg_conversation *c)
{
	unlink_heard(c);
	link_heard(c);
}

/* What can be done without: nobody waits for it, or nobody may be there. */
static bool expendable(const struct dg_conversation *c)
{
	switch (c->state) {
	case DG_QUIET:
	case DG_REFUSED:
		return true;
	case DG_RECEIVING:
		return !c->known;
	default:
		return false;
	}
}

static bool evict(struct dg_server *server)
{
	struct dg_conversation *c = server->oldest;
	unsigned int i;

	for (i = 0; c && i < EVICT_ATTEMPTS; i++, c = c->newer) {
		if (expendable(c)) {
			dg_destroy(c);
			return true;
		}
	}
	return false;
}

/*
 * The question.
 */

static void send_question(struct dg_conversation *c)
{
	struct dg_conv_request request = {
		.activity = c->activity.id,
		.server_boot = dg_server_boot(),
	};
	struct dg_header header = {
		.type = DG_REQUEST,
		.flags1 = DG_IDEMPOTENT,
		.interface = dg_conv_interface,
		.interface_vers = DG_CONV_VERSION,
		.activity = c->question.id,
		.opnum = DG_CONV_WHO_ARE_YOU,
		.interface_hint = NO_HINT,
		.activity_hint = NO_HINT,
		.serial = (uint16_t)c->questions,
	};
	uint8_t body[DG_CONV_BODY_SIZE];

	header.length = (uint16_t)dg_conv_put_request(body, &request);
	dg_server_send(c->server, &c->peer, &header, body);
	rpcc_timer_arm(c->server->loop, &c->timer,
		       rpcc_now() + DG_TIMEOUT_RESEND);
}

bool dg_ask(struct dg_conversation *c)
{
	if (!c->questions) {
		if (UuidCreate(&c->question.id) != RPC_S_OK) {
			dg_destroy(c);
			return false;
		}
		add_node(&c->server->questions, &c->question);
	}
	c->questions = 1;
	send_question(c);
	return true;
}

/*
 * A client that exists will send its request again, and be asked again. One that
 * does not is forgotten.
 */
static void not_answered(struct dg_conversation *c)
{
	if (c->questions++ == MAX_QUESTIONS)
		dg_destroy(c);
	else
		send_question(c);
}

/*
 * From the first packet to the last.
 */

static void timer_expired(struct rpcc_timer *timer, uint64_t now)
{
	struct dg_conversation *c =
		(struct dg_conversation *)((char *)timer -
					   offsetof(struct dg_conversation,
						    timer));

	(void)now;
	if (c->questions)
		not_answered(c);
	else
		dg_call_expired(c);
}

struct dg_conversation *dg_create(struct dg_server *server,
				  const UUID *activity)
{
	uint32_t limit = rpcc_server_limits().connections;
	struct dg_conversation *c;

	while (server->count >= limit)
		if (!evict(server))
			return NULL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->server = server;
	c->activity.id = *activity;
	c->timer.expired = timer_expired;
	add_node(&server->activities, &c->activity);
	link_heard(c);
	server->count++;
	return c;
}

void dg_destroy(struct dg_conversation *c)
{
	dg_call_end(c);
	rpcc_timer_disarm(&c->timer);
	remove_node(&c->activity);
	remove_node(&c->question);
	unlink_heard(c);
	c->server->count--;
	free(c);
}

/*
 * Clients ping for as long as they wait. One that has not for so long has gone,
 * unless it never waited.
 */
static void sweep(struct rpcc_timer *timer, uint64_t now)
{
	struct dg_server *server =
		(struct dg_server *)((char *)timer -
				     offsetof(struct dg_server, sweep));
	struct dg_conversation *c, *newer;

	for (c = server->oldest; c && c->heard + DG_TIMEOUT_IDLE <= now;
	     c = newer) {
		newer = c->newer;
		if (c->state == DG_RUNNING && c->request.flags1 & DG_MAYBE)
			continue;
		dg_destroy(c);
	}
	rpcc_timer_arm(server->loop, timer, now + SWEEP_INTERVAL);
}

static bool init_keys(struct dg_table *table)
{
	UUID random;

	if (UuidCreate(&random) != RPC_S_OK)
		return false;
	memcpy(table->keys, &random, sizeof(table->keys));
	return true;
}

bool dg_tables_init(struct dg_server *server)
{
	if (!init_keys(&server->activities) || !init_keys(&server->questions))
		return false;
	server->sweep.expired = sweep;
	rpcc_timer_arm(server->loop, &server->sweep,
		       rpcc_now() + SWEEP_INTERVAL);
	return true;
}

void dg_tables_clear(struct dg_server *server)
{
	rpcc_timer_disarm(&server->sweep);
	while (server->oldest)
		dg_destroy(server->oldest);
}

/*
 * The client makes another call than the one that we have: that came in an old
 * packet, and so may all calls before the present one.
 */
static void correct(struct dg_conversation *c, uint32_t seqnum)
{
	dg_call_end(c);
	c->request.seqnum = seqnum - 1;
	c->request.flags1 = 0;
}

void dg_got_reply(struct dg_conversation *c, const struct dg_packet *packet)
{
	const struct dg_header *header = &packet->header;
	struct dg_conv_response response;

	if (header->type != DG_RESPONSE ||
	    !dg_conv_get_response(packet->pdu + DG_HEADER_SIZE, header->length,
				  header->drep, &response) ||
	    response.status) {
		dg_server_reject(c->server, &c->peer, &c->request,
				 NCA_S_WHO_ARE_YOU_FAILED);
		dg_destroy(c);
		return;
	}
	remove_node(&c->question);
	c->questions = 0;
	rpcc_timer_disarm(&c->timer);
	c->known = true;
	dg_heard(c);
	if (response.seqnum == c->request.seqnum)
		dg_call_go_on(c);
	else
		correct(c, response.seqnum);
}
