// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Which calls are on a channel, of a client: how they come, end, and leave.
 *
 * What happens to a call within an event, be it a completion or a wish of its
 * driver's, is only noted in it. cn_settle(), the last step of each event, draws
 * the conclusions, since after the last call has left, the channel is another's.
 *
 * A call that has ended may leave a ghost behind, while there are others on the
 * channel: to send the rest of the request, without which the next one could not
 * be told from it, or an orphaned PDU. With the last call the ghosts go, too:
 * nobody would run the engine for them.
 *
 * A call of which nothing has been sent is moved to another channel if this one
 * takes no more: the server does not multiplex, or is about to close. It is
 * moved from a closing one only once, so that no server can keep it going round.
 */
#include <stdlib.h>
#include <string.h>

#include "cn/cn_client.h"
#include "internal.h"

struct cn_call *cn_call_alloc(const struct rpcc_client_call *call)
{
	struct cn_call *k = malloc(sizeof(*k) + call->request_length);

	if (k && call->request_length)
		memcpy(k + 1, call->request, call->request_length);
	return k;
}

void cn_call_init(struct cn_call *k, struct rpcc_client_call *call,
		  struct cn_channel *c)
{
	bool shared = k != &c->own;

	*k = (struct cn_call){
		.call = call,
		.channel = c,
		.shared = shared,
		.request = shared ? (const uint8_t *)(k + 1) : call->request,
	};
	call->protocol = k;
}

static void call_free(struct cn_call *k)
{
	if (k->shared)
		free(k);
}

/* Outside of all lists. */
static void complete(struct cn_call *k, RPC_STATUS status)
{
	struct rpcc_client_call *call = k->call;

	k->call = NULL;
	call->protocol = NULL;
	rpcc_client_call_complete(call, status);
}

void cn_call_dismiss(struct cn_call *k, RPC_STATUS status)
{
	struct rpcc_client_call *call = k->call;
	struct cn_channel *c = k->channel;

	call_free(k);
	call->protocol = NULL;
	cn_channel_leave(c, 1);
	rpcc_client_call_complete(call, status);
}

struct cn_call *cn_call_find(const struct cn_channel *c, uint32_t id)
{
	struct cn_call *k;

	for (k = c->calls; k; k = k->next)
		if (k->id == id && k->state >= CN_CALL_SENDING && !k->over)
			break;
	return k;
}

static void append(struct cn_call **list, struct cn_call *k)
{
	while (*list)
		list = &(*list)->next;
	k->next = NULL;
	*list = k;
}

void cn_set_timers(struct cn_channel *c, uint64_t timer)
{
	struct cn_call *k;

	c->deadline = timer;
	for (k = c->calls; k; k = k->next)
		k->call->timer = timer;
}

/*
 * Ghosts.
 */

static void forget(struct cn_channel *c, struct cn_call *k)
{
	if (c->sending == k)
		c->sending = NULL;
	if (c->control_call == k)
		c->control_call = NULL;
}

void cn_ghost_end(struct cn_channel *c, struct cn_call *ghost)
{
	struct cn_call **link = &c->ghosts;

	while (*link != ghost)
		link = &(*link)->next;
	*link = ghost->next;
	forget(c, ghost);
	free(ghost);
}

static bool is_being_sent(const struct cn_channel *c)
{
	return c->sending && c->sending->state == CN_CALL_SENDING;
}

/* A call that has been completed. */
static void bury(struct cn_channel *c, struct cn_call *k)
{
	if (c->calls &&
	    (k->orphaned || (c->sending == k && is_being_sent(c)))) {
		append(&c->ghosts, k);
		return;
	}
	forget(c, k);
	call_free(k);
}

/*
 * The end.
 */

void cn_end(struct cn_call *k, RPC_STATUS status)
{
	if (k->over)
		return;
	k->over = true;
	k->status = status;
	k->channel->live--;
	k->channel->unsettled = true;
}

void cn_break(struct cn_channel *c, RPC_STATUS status)
{
	struct cn_call *k;

	c->broken = true;
	for (k = c->calls; k; k = k->next)
		cn_end(k, status);
}

static bool is_abandoned(const struct cn_call *list)
{
	while (list && !list->abandoned)
		list = list->next;
	return list;
}

static bool send_orphaned(struct cn_channel *c, struct cn_call *list)
{
	for (; list; list = list->next)
		if (list->orphaned && !cn_send_orphaned(c, list))
			return false;
	return true;
}

/*
 * Whether the next use may begin where this one ends. Half a PDU, stuck in the
 * socket, spoils the connection; that a control was answered needs no waiting.
 */
static bool is_clean(struct cn_channel *c, struct cn_call *over)
{
	if (c->broken || c->peer_gone || c->state != CN_CHANNEL_OPEN ||
	    is_being_sent(c))
		return false;
	if (!cn_stop_control(c) && (c->ghosts || is_abandoned(over)))
		return false;
	return send_orphaned(c, c->ghosts) && send_orphaned(c, over);
}

/* There are no calls on it any more: nothing is left under way. */
static void end_use(struct cn_channel *c, struct cn_call *over)
{
	if (unlikely(!is_clean(c, over)))
		c->broken = true;
	cn_quiesce(c);
	while (c->ghosts)
		cn_ghost_end(c, c->ghosts);
	if (unlikely(c->broken)) {
		cn_channel_withdraw(c);
		cn_disconnect(c);
	}
	c->state = CN_CHANNEL_IDLE;
	c->used = true;
}

/*
 * Moving.
 */

static bool takes_more(const struct cn_channel *c)
{
	return !c->broken && !c->closing &&
	       (c->mpx || (c->state != CN_CHANNEL_OPEN && !c->due));
}

/* With the status of what went wrong. */
static RPC_STATUS move(struct cn_call *k)
{
	struct cn_channel *from = k->channel, *to;
	bool share = from->broken || from->closing || from->mpx;
	RPC_STATUS status;

	status = cn_channel_take(k->call, share, from, &to);
	if (status != RPC_S_OK)
		return status;
	k->channel = to;
	k->state = CN_CALL_NEW;
	k->moved = true;
	return RPC_S_OK;
}

/* Those that have to go; but where the server does not multiplex, one may stay. */
static struct cn_call *take_queued(struct cn_channel *c)
{
	bool stay = !c->closing;
	struct cn_call **link = &c->calls, *k, *list = NULL;

	while ((k = *link)) {
		if (stay || k->over || !k->shared ||
		    k->state != CN_CALL_QUEUED || (c->closing && k->moved)) {
			stay = stay && k->over;
			link = &k->next;
			continue;
		}
		*link = k->next;
		c->live--;
		append(&list, k);
	}
	return list;
}

static struct cn_call *take_over(struct cn_channel *c)
{
	struct cn_call **link = &c->calls, *k, *list = NULL;

	while ((k = *link)) {
		if (k->over) {
			*link = k->next;
			append(&list, k);
		} else {
			link = &k->next;
		}
	}
	return list;
}

/* Those that cannot are completed. Returns the others; @count: how many all. */
static struct cn_call *move_all(struct cn_call *list, unsigned int *count)
{
	struct cn_call *moved = NULL, *k;
	RPC_STATUS status;

	while ((k = list)) {
		list = k->next;
		++*count;
		status = move(k);
		if (status == RPC_S_OK) {
			append(&moved, k);
		} else {
			complete(k, status);
			call_free(k);
		}
	}
	return moved;
}

static void start_all(struct cn_call *list)
{
	struct cn_call *k;

	while ((k = list)) {
		list = k->next;
		cn_call_start(k);
	}
}

static unsigned int complete_all(struct cn_channel *c, struct cn_call *list)
{
	unsigned int count = 0;
	struct cn_call *k;

	while ((k = list)) {
		list = k->next;
		count++;
		complete(k, k->status);
		bury(c, k);
	}
	return count;
}

static void settle(struct cn_channel *c)
{
	struct cn_call *moved = NULL, *over;
	unsigned int count = 0;

	c->unsettled = false;
	if (!takes_more(c)) {
		cn_channel_withdraw(c);
		moved = move_all(take_queued(c), &count);
	}
	over = take_over(c);
	if (!c->calls && (over || count))
		end_use(c, over);
	count += complete_all(c, over);
	if (c->calls)
		cn_continue(c);
	if (count)
		cn_channel_leave(c, count);
	start_all(moved);
}

void cn_settle(struct cn_channel *c)
{
	if (unlikely(c->unsettled))
		settle(c);
}

/*
 * The begin.
 */

/* The first call of a use. */
static void open_channel(struct cn_channel *c,
			 const struct rpcc_client_call *call)
{
	c->io = call->io;
	c->com_timeout = rpcc_com_timeout(call->com_timeout);
	c->context = cn_channel_context(c, &c->interface);
	if (unlikely(c->fd < 0)) {
		cn_connect(c);
	} else if (likely(c->context < c->context_count)) {
		c->state = CN_CHANNEL_OPEN;
		cn_continue(c);
	} else {
		cn_alter(c);
	}
}

/* Much may have happened since it was taken, if there were other calls. */
static bool has_place(const struct cn_call *k)
{
	const struct cn_channel *c = k->channel;

	if (!k->shared || takes_more(c))
		return true;
	if (c->broken || c->due)
		return false;
	return c->closing ? k->moved : !c->calls;
}

static void start_elsewhere(struct cn_call *k)
{
	struct cn_channel *from = k->channel;
	RPC_STATUS status = move(k);

	if (status != RPC_S_OK) {
		cn_call_dismiss(k, status);
		return;
	}
	cn_channel_leave(from, 1);
	cn_call_start(k);
}

void cn_call_start(struct cn_call *k)
{
	struct cn_channel *c = k->channel;

	if (!has_place(k)) {
		start_elsewhere(k);
		return;
	}
	append(&c->calls, k);
	c->live++;
	k->state = CN_CALL_QUEUED;
	k->call->timer = RPCCANCEL_INFINITE;
	if (c->state == CN_CHANNEL_IDLE)
		open_channel(c, k->call);
	else if (c->state == CN_CHANNEL_OPEN)
		cn_continue(c);
	else
		k->call->timer = c->deadline;
	if (likely(c->state >= CN_CHANNEL_BINDING))
		cn_receive(c);
	cn_settle(c);
}

/* Until here none of them has reached a server, or that does not matter. */
void cn_retry(struct cn_channel *c)
{
	struct cn_call *k;

	c->retried = true;
	cn_disconnect(c);
	while (c->ghosts)
		cn_ghost_end(c, c->ghosts);
	c->sending = NULL;
	c->control_call = NULL;
	for (k = c->calls; k; k = k->next) {
		k->state = CN_CALL_QUEUED;
		k->unsent = false;
		k->cancels_sent = 0;
	}
	cn_connect(c);
}
