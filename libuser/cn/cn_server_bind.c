// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * bind and alter_context: what a connection may be used for.
 *
 * A presentation context is a number for an interface in a transfer syntax,
 * which is always NDR 2.0. The connections of one client form an association
 * group, which lives as long as one of them does.
 *
 * Where C706 leaves a choice, the answers are those of Windows, as Samba's raw
 * protocol tests describe them: a malformed bind is answered by a bind_nak, a
 * malformed alter_context by a fault, and both end the connection; of several
 * contexts for one interface in one PDU only the first is accepted.
 */
#include <stdlib.h>
#include <string.h>

#include "cn/cn_server.h"
#include "internal.h"
#include "wire/nca.h"

#define GROUP_BUCKETS	 256
#define WINDOWS_MIN_FRAG 2048 /* for who offers less than all must take */
#define SIGN_HEADERS	 CN_PENDING_CANCEL /* the same bit, in these PDUs */
#define TRAILER_SIZE	 8

#define LEVEL_CONNECT 2 /* of authentication */
#define LEVEL_PRIVACY 6

struct cn_group {
	struct cn_group *next;
	const struct rpcc_protseq *protseq;
	uint32_t id;
	unsigned int refs;
};

static pthread_mutex_t groups_lock = PTHREAD_MUTEX_INITIALIZER;
static struct cn_group *groups[GROUP_BUCKETS];
static uint32_t last_group;

static struct cn_group **find_group(uint32_t id)
{
	struct cn_group **i = &groups[id % GROUP_BUCKETS];

	while (*i && (*i)->id != id)
		i = &(*i)->next;
	return i;
}

static struct cn_group *new_group(const struct rpcc_protseq *protseq)
{
	struct cn_group *group = calloc(1, sizeof(*group));
	struct cn_group **at;

	if (!group)
		return NULL;
	do {
		at = find_group(++last_group);
	} while (!last_group || *at);
	group->id = last_group;
	group->protseq = protseq;
	*at = group;
	return group;
}

/* @id 0 is a new one. NULL: there is none like that, or no memory. */
static struct cn_group *get_group(uint32_t id,
				  const struct rpcc_protseq *protseq)
{
	struct cn_group *group;

	pthread_mutex_lock(&groups_lock);
	group = id ? *find_group(id) : new_group(protseq);
	if (group && group->protseq != protseq)
		group = NULL;
	if (group)
		group->refs++;
	pthread_mutex_unlock(&groups_lock);
	return group;
}

static void put_group(struct cn_group *group)
{
	bool last;

	pthread_mutex_lock(&groups_lock);
	last = !--group->refs;
	if (last)
		*find_group(group->id) = group->next;
	pthread_mutex_unlock(&groups_lock);
	if (last)
		free(group);
}

/* In a forked child, whose connections they are not. */
void cn_server_forget_groups(void)
{
	pthread_mutex_init(&groups_lock, NULL);
	memset(groups, 0, sizeof(groups));
}

/*
 * Contexts.
 */

static struct cn_server_context *find_context(const struct cn_conn *conn,
					      uint16_t id)
{
	unsigned int i;

	for (i = 0; i < conn->context_count; i++)
		if (conn->context[i].id == id)
			return &conn->context[i];
	return NULL;
}

struct rpcc_interface *cn_server_context(const struct cn_conn *conn,
					 uint16_t id)
{
	const struct cn_server_context *context = find_context(conn, id);

	return context ? context->interface : NULL;
}

/* Takes over the reference to the interface if it succeeds. */
static bool add_context(struct cn_conn *conn, const struct cn_context *asked,
			struct rpcc_interface *interface)
{
	struct cn_server_context *list;

	if (conn->context_count == CN_SERVER_CONTEXTS)
		return false;
	list = reallocarray(conn->context, conn->context_count + 1,
			    sizeof(*list));
	if (!list)
		return false;
	conn->context = list;
	list[conn->context_count++] = (struct cn_server_context){
		.id = asked->id,
		.abstract = asked->abstract,
		.interface = interface,
	};
	return true;
}

void cn_server_unbind(struct cn_conn *conn)
{
	while (conn->context_count)
		rpcc_interface_put(
			conn->context[--conn->context_count].interface);
	free(conn->context);
	conn->context = NULL;
	if (conn->group)
		put_group(conn->group);
	conn->group = NULL;
}

static bool offers(const struct cn_context *asked,
		   const RPC_SYNTAX_IDENTIFIER *syntax)
{
	unsigned int i;

	for (i = 0; i < asked->transfer_count; i++)
		if (rpcc_syntax_equal(&asked->transfer[i], syntax))
			return true;
	return false;
}

static void accept_context(struct cn_result *result)
{
	result->result = CN_ACCEPTANCE;
	result->reason = CN_REASON_UNSPECIFIED;
	result->transfer = rpcc_ndr_syntax;
}

static void reject_context(struct cn_result *result, uint16_t reason)
{
	memset(result, 0, sizeof(*result));
	result->result = CN_PROVIDER_REJECTION;
	result->reason = reason;
}

/* A negotiation: contexts up to @i have their results. */
struct offer {
	const struct cn_bind *bind;
	struct cn_bind_ack *ack;
	unsigned int i;
	bool alter;
	bool features; /* some were asked for already */
};

static bool accepted_before(const struct offer *offer)
{
	const struct cn_context *list = offer->bind->context;
	unsigned int i;

	for (i = 0; i < offer->i; i++)
		if (offer->ack->result[i].result == CN_ACCEPTANCE &&
		    rpcc_syntax_equal(&list[i].abstract,
				      &list[offer->i].abstract))
			return true;
	return false;
}

/* One that there is already: it cannot become another. */
static bool answer_again(const struct offer *offer,
			 const struct cn_server_context *context)
{
	const struct cn_context *asked = &offer->bind->context[offer->i];
	struct cn_result *result = &offer->ack->result[offer->i];

	if (!rpcc_syntax_equal(&context->abstract, &asked->abstract))
		return false;
	if (offers(asked, &rpcc_ndr_syntax)) {
		if (accepted_before(offer))
			reject_context(result, CN_REASON_TRANSFER);
		else
			accept_context(result);
		return true;
	}
	if (offers(asked, &rpcc_ndr64_syntax))
		return false;
	reject_context(result, CN_REASON_TRANSFER);
	return true;
}

static void answer_new(struct cn_conn *conn, const struct offer *offer)
{
	const struct cn_context *asked = &offer->bind->context[offer->i];
	struct cn_result *result = &offer->ack->result[offer->i];
	struct rpcc_interface *interface =
		rpcc_interface_find(&asked->abstract);

	if (!interface) {
		reject_context(result, CN_REASON_ABSTRACT);
		return;
	}
	if (!offers(asked, &rpcc_ndr_syntax) || accepted_before(offer)) {
		reject_context(result, CN_REASON_TRANSFER);
	} else if (add_context(conn, asked, interface)) {
		accept_context(result);
		return;
	} else {
		reject_context(result, CN_REASON_LIMIT);
	}
	rpcc_interface_put(interface);
}

/* [MS-RPCE] 3.3.1.5.3: once in a bind. Nothing else is known here. */
static bool answer_features(struct offer *offer, uint8_t bits)
{
	struct cn_result *result = &offer->ack->result[offer->i];

	if (offer->features)
		return false;
	offer->features = true;
	memset(result, 0, sizeof(*result));
	result->result = CN_NEGOTIATE_ACK;
	result->reason = bits & CN_FEATURE_KEEP_ON_ORPHAN;
	return true;
}

static bool answer_context(struct cn_conn *conn, struct offer *offer)
{
	const struct cn_context *asked = &offer->bind->context[offer->i];
	const struct cn_server_context *context;
	uint8_t bits;

	if (!asked->transfer_count)
		return false;
	if (!offer->alter && rpcc_syntax_features(&asked->transfer[0], &bits))
		return answer_features(offer, bits);
	context = find_context(conn, asked->id);
	if (context)
		return answer_again(offer, context);
	answer_new(conn, offer);
	return true;
}

static bool negotiate(struct cn_conn *conn, const struct cn_bind *bind,
		      bool alter, struct cn_bind_ack *ack)
{
	struct offer offer = { .bind = bind, .ack = ack, .alter = alter };

	for (; offer.i < bind->context_count; offer.i++)
		if (!answer_context(conn, &offer))
			return false;
	ack->max_xmit = conn->max_frag;
	ack->max_recv = conn->max_frag;
	ack->assoc_group = conn->group->id;
	ack->result_count = bind->context_count;
	return bind->context_count;
}

static void send_ack(struct cn_conn *conn, const struct cn_header *header,
		     uint8_t echoed, const struct cn_bind_ack *ack)
{
	uint8_t flags = CN_FIRST_FRAG | CN_LAST_FRAG | (header->flags & echoed);
	bool alter = header->type == CN_ALTER_CONTEXT;
	uint8_t pdu[CN_MUST_RECV_FRAG];
	size_t size;

	size = cn_put_bind_ack(pdu, sizeof(pdu), alter, flags, header->call_id,
			       ack);
	cn_conn_say(conn, pdu, size);
}

void cn_server_bind_refused(struct cn_conn *conn,
			    const struct cn_header *header, uint16_t reason,
			    const char *why)
{
	uint8_t pdu[CN_FAULT_SIZE];
	size_t size;

	size = cn_put_bind_nak(pdu, sizeof(pdu), header->call_id, reason);
	cn_conn_say(conn, pdu, size);
	cn_conn_end(conn, why);
}

/* cn_get_header() has seen that the trailer is there. */
static uint16_t refuse_auth(const uint8_t *pdu, const struct cn_header *header)
{
	uint8_t level = pdu[header->frag_length - header->auth_length -
			    TRAILER_SIZE + 1];

	return level >= LEVEL_CONNECT && level <= LEVEL_PRIVACY
		       ? CN_NAK_AUTH_TYPE
		       : CN_NAK_UNSPECIFIED;
}

/* One size for both directions, a multiple of what NDR aligns to. */
static uint16_t agree_on_frag(const struct cn_conn *conn,
			      const struct cn_bind *bind)
{
	uint16_t size = bind->max_xmit < bind->max_recv ? bind->max_xmit
							: bind->max_recv;

	if (size < CN_MUST_RECV_FRAG)
		size = WINDOWS_MIN_FRAG;
	if (size > conn->protseq->max_frag)
		size = conn->protseq->max_frag;
	return size & ~7;
}

static void bound(struct cn_conn *conn, const struct cn_header *header)
{
	conn->bound = true;
	conn->mpx = header->flags & CN_CONC_MPX;
	cn_conn_limit(conn, CN_LIMIT_BIND, RPCCANCEL_INFINITE);
	conn->last_call = rpcc_now();
	if (conn->limits.idle_timeout)
		cn_conn_limit(conn, CN_LIMIT_IDLE,
			      rpcc_deadline(conn->limits.idle_timeout));
}

void cn_server_bind(struct cn_conn *conn, const uint8_t *pdu,
		    const struct cn_header *header)
{
	uint16_t reason = CN_NAK_UNSPECIFIED;
	struct cn_bind_ack ack = { 0 };
	struct cn_bind bind;

	if (conn->bound || !cn_get_bind(pdu, header, &bind))
		goto refuse;
	if (header->auth_length) {
		reason = refuse_auth(pdu, header);
		goto refuse;
	}
	conn->group = get_group(bind.assoc_group, conn->protseq);
	if (!conn->group)
		goto refuse;
	conn->max_frag = agree_on_frag(conn, &bind);
	if (!negotiate(conn, &bind, false, &ack))
		goto refuse;
	memcpy(ack.sec_addr, conn->endpoint, sizeof(ack.sec_addr) - 1);
	send_ack(conn, header, SIGN_HEADERS | CN_CONC_MPX, &ack);
	bound(conn, header);
	return;
refuse:
	cn_server_bind_refused(conn, header, reason, "a bind was refused");
}

/* What is negotiated of sizes and groups was settled by the bind. */
void cn_server_alter(struct cn_conn *conn, const uint8_t *pdu,
		     const struct cn_header *header)
{
	uint32_t status = NCA_S_PROTO_ERROR;
	struct cn_bind_ack ack = { 0 };
	struct cn_bind bind;

	if (!conn->bound || !cn_get_bind(pdu, header, &bind))
		goto refuse;
	if (header->auth_length) {
		status = rpcc_status_to_nca(RPC_S_ACCESS_DENIED);
		goto refuse;
	}
	if (!negotiate(conn, &bind, true, &ack))
		goto refuse;
	send_ack(conn, header, SIGN_HEADERS, &ack);
	return;
refuse:
	cn_server_fault(conn, CN_DID_NOT_EXECUTE, header->call_id, 0, status);
	cn_conn_end(conn, "an alter_context was refused");
}
