// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Associations: the pool of channels that a binding and its copies share. See
 * cn_client.h for who owns what.
 *
 * A channel that was idle for some time is looked at before it is used, since
 * its server may have closed it: a request that goes to a closed connection fails in
 * a way that does not tell whether it was executed. A call right after another
 * does without that system call.
 *
 * In a forked child the sockets are the parent's. The child closes its copies,
 * all of them and at once, so that a connection ends when the parent wants it
 * to; nothing is sent on them.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cn/cn_client.h"
#include "internal.h"

#define LOOK_AFTER 100000000 /* ns */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct cn_channel *all;

static void fork_prepare(void)
{
	pthread_mutex_lock(&lock);
}

static void fork_parent(void)
{
	pthread_mutex_unlock(&lock);
}

static void fork_child(void)
{
	struct cn_channel *c;

	for (c = all; c; c = c->all) {
		if (c->fd >= 0)
			close(c->fd);
		c->fd = -1;
		c->bound = false;
		c->offered = false;
		c->association->channels = 0;
		c->association->group = 0;
		c->association->offered = NULL;
	}
	pthread_mutex_unlock(&lock);
}

RPCC_AT_FORK(RPCC_FORK_CLIENT, fork_prepare, fork_parent, fork_child);

/*
 * Associations.
 */

/* The binding's, made when first needed, with a reference; or NULL. */
static struct cn_association *association_get(struct rpcc_binding *binding)
{
	struct cn_association *a;

	pthread_mutex_lock(&lock);
	a = binding->cn;
	if (!a) {
		a = calloc(1, sizeof(*a));
		binding->cn = a;
		if (a)
			a->refs++;
	}
	if (a)
		a->refs++;
	pthread_mutex_unlock(&lock);
	return a;
}

static void channel_free(struct cn_channel *c)
{
	cn_close(c);
	free(c->addresses);
	free(c);
}

/* Out of the list of all. Locked. */
static void unlist(struct cn_channel *c)
{
	*c->link = c->all;
	if (c->all)
		c->all->link = c->link;
}

static void association_put(struct cn_association *a)
{
	struct cn_channel *c, *pool = NULL;
	bool last;

	pthread_mutex_lock(&lock);
	last = !--a->refs;
	if (last) {
		pool = a->pool;
		for (c = pool; c; c = c->next)
			unlist(c);
	}
	pthread_mutex_unlock(&lock);
	if (!last)
		return;
	while (pool) {
		c = pool;
		pool = c->next;
		channel_free(c);
	}
	free(a);
}

void cn_association_release(struct rpcc_binding *binding)
{
	struct cn_association *a;

	pthread_mutex_lock(&lock);
	a = binding->cn;
	binding->cn = NULL;
	pthread_mutex_unlock(&lock);
	if (a)
		association_put(a);
}

/* Without memory the copy has an association of its own, later. */
void cn_association_share(struct rpcc_binding *from, struct rpcc_binding *to)
{
	to->cn = association_get(from);
}

/*
 * A group lives as long as it has connections: after the last one its name means
 * nothing to the server.
 */
uint32_t cn_channel_group(const struct cn_channel *c)
{
	uint32_t group;

	pthread_mutex_lock(&lock);
	group = c->association->group;
	pthread_mutex_unlock(&lock);
	return group;
}

void cn_channel_bound(struct cn_channel *c, uint32_t group)
{
	pthread_mutex_lock(&lock);
	c->bound = true;
	c->association->channels++;
	c->association->group = group;
	c->association->refused = !c->mpx;
	pthread_mutex_unlock(&lock);
}

static void unbound(struct cn_channel *c)
{
	if (c->bound && !--c->association->channels)
		c->association->group = 0;
	c->bound = false;
}

void cn_channel_unbound(struct cn_channel *c)
{
	pthread_mutex_lock(&lock);
	unbound(c);
	pthread_mutex_unlock(&lock);
}

/*
 * Channels.
 */

static struct cn_channel *channel_alloc(const struct rpcc_protseq *protseq,
					const struct rpcc_address *addresses,
					size_t count)
{
	size_t input = CN_INPUT_MIN;
	struct cn_channel *c;

	if (input < protseq->max_frag)
		input = protseq->max_frag;
	c = calloc(1, sizeof(*c) + input);
	if (!c)
		return NULL;
	c->addresses = malloc(count * sizeof(*addresses));
	if (!c->addresses) {
		free(c);
		return NULL;
	}
	memcpy(c->addresses, addresses, count * sizeof(*addresses));
	c->address_count = count;
	c->protseq = protseq;
	c->input_size = input;
	c->fd = -1;
	cn_channel_init(c);
	return c;
}

static struct cn_channel *channel_resolve(const struct rpcc_client_call *call,
					  RPC_STATUS *status)
{
	struct rpcc_address list[RPCC_MAX_ADDRESSES];
	size_t count = 0;

	*status = rpcc_client_resolve(call->binding, call->interface, list,
				      &count);
	if (*status != RPC_S_OK)
		return NULL;
	return channel_alloc(call->binding->protseq, list, count);
}

static RPC_STATUS channel_new(const struct rpcc_client_call *call,
			      struct cn_association *a,
			      const struct cn_channel *from,
			      struct cn_channel **channel)
{
	RPC_STATUS status = RPC_S_OK;
	struct cn_channel *c;

	if (from)
		c = channel_alloc(from->protseq, from->addresses,
				  from->address_count);
	else
		c = channel_resolve(call, &status);
	if (!c)
		return status != RPC_S_OK ? status : RPC_S_OUT_OF_MEMORY;
	c->association = a;
	pthread_mutex_lock(&lock);
	c->all = all;
	c->link = &all;
	if (all)
		all->link = &c->all;
	all = c;
	pthread_mutex_unlock(&lock);
	*channel = c;
	return RPC_S_OK;
}

unsigned int cn_channel_context(const struct cn_channel *c,
				const RPC_SYNTAX_IDENTIFIER *interface)
{
	unsigned int i;

	for (i = 0; i < c->context_count; i++)
		if (rpcc_syntax_equal(&c->contexts[i], interface))
			break;
	return i;
}

/* How good @c is for a call: 0 not at all. */
static int suits(const struct cn_channel *c, const RPC_CLIENT_INTERFACE *i)
{
	if (c->due)
		return 1;
	if (cn_channel_context(c, &i->InterfaceId) < c->context_count)
		return 3;
	return c->context_count < CN_CONTEXTS ? 2 : 0;
}

/* The best, and among those the one used last; with a reference to @a. */
static struct cn_channel *pool_pick(struct cn_association *a,
				    const RPC_CLIENT_INTERFACE *interface)
{
	struct cn_channel **link, **best = NULL, *c = NULL;
	int good, most = 0;

	pthread_mutex_lock(&lock);
	for (link = &a->pool; *link && most < 3; link = &(*link)->next) {
		good = suits(*link, interface);
		if (good > most) {
			most = good;
			best = link;
		}
	}
	if (best) {
		c = *best;
		*best = c->next;
		a->pooled--;
		a->refs++;
	}
	pthread_mutex_unlock(&lock);
	return c;
}

static bool usable(struct cn_channel *c)
{
	if (c->fd < 0)
		return false;
	if (!c->due && rpcc_now_coarse() - c->since < LOOK_AFTER)
		return true;
	return cn_channel_look(c);
}

static void channel_drop(struct cn_channel *c)
{
	struct cn_association *a = c->association;

	pthread_mutex_lock(&lock);
	unbound(c);
	unlist(c);
	pthread_mutex_unlock(&lock);
	channel_free(c);
	association_put(a);
}

/* One whose answer is still due makes room for one that can be used. Locked. */
static struct cn_channel *evict(struct cn_association *a)
{
	struct cn_channel **link = &a->pool, *c;

	while (*link && !(*link)->due)
		link = &(*link)->next;
	c = *link;
	if (c) {
		*link = c->next;
		a->pooled--;
		a->refs++;
	}
	return c;
}

static void channel_give(struct cn_channel *c)
{
	struct cn_association *a = c->association;
	struct cn_channel *evicted = NULL;
	bool keep;

	c->since = rpcc_now_coarse();
	pthread_mutex_lock(&lock);
	if (unlikely(a->pooled == CN_POOL_MAX))
		evicted = evict(a);
	/* Of others: bindings, most likely. */
	keep = a->refs > 1 && a->pooled < CN_POOL_MAX;
	if (keep) {
		c->next = a->pool;
		a->pool = c;
		a->pooled++;
		a->refs--;
	}
	pthread_mutex_unlock(&lock);
	if (!keep)
		channel_drop(c);
	if (unlikely(evicted))
		channel_drop(evicted);
}

/*
 * Those that still wait for an old answer go back when the search is over, and
 * so do those that have got it, but have no room for the interface.
 */
static struct cn_channel *pool_take(struct cn_association *a,
				    const RPC_CLIENT_INTERFACE *interface)
{
	struct cn_channel *waiting = NULL, *c;

	while ((c = pool_pick(a, interface))) {
		if (!usable(c)) {
			channel_drop(c);
		} else if (!c->due && suits(c, interface)) {
			break;
		} else {
			c->next = waiting;
			waiting = c;
		}
	}
	while (waiting) {
		struct cn_channel *w = waiting;

		waiting = w->next;
		channel_give(w);
	}
	return c;
}

/*
 * Offers.
 */

/* One that has room for another call, which is then counted. */
static struct cn_channel *join(struct cn_association *a,
			       const RPC_SYNTAX_IDENTIFIER *interface)
{
	struct cn_channel *c;

	pthread_mutex_lock(&lock);
	for (c = a->offered; c; c = c->next)
		if (c->users < CN_CALLS_MAX &&
		    rpcc_syntax_equal(&c->interface, interface))
			break;
	if (c)
		c->users++;
	pthread_mutex_unlock(&lock);
	return c;
}

/* For one call so far. Not if the server has said that it does not multiplex. */
static void offer(struct cn_association *a, struct cn_channel *c)
{
	pthread_mutex_lock(&lock);
	c->shared = c->fd >= 0 ? c->mpx : !a->refused;
	c->offered = c->shared;
	c->users = 1;
	if (c->offered) {
		c->next = a->offered;
		a->offered = c;
	}
	pthread_mutex_unlock(&lock);
}

/* Locked. */
static void unoffer(struct cn_channel *c)
{
	struct cn_channel **link = &c->association->offered;

	if (!c->offered)
		return;
	while (*link != c)
		link = &(*link)->next;
	*link = c->next;
	c->offered = false;
}

void cn_channel_withdraw(struct cn_channel *c)
{
	if (!c->shared)
		return;
	pthread_mutex_lock(&lock);
	unoffer(c);
	pthread_mutex_unlock(&lock);
}

static bool is_last(struct cn_channel *c, unsigned int count)
{
	bool last;

	if (!c->shared)
		return true;
	pthread_mutex_lock(&lock);
	c->users -= count;
	last = !c->users;
	if (last)
		unoffer(c);
	pthread_mutex_unlock(&lock);
	return last;
}

void cn_channel_leave(struct cn_channel *c, unsigned int count)
{
	if (!is_last(c, count))
		return;
	c->shared = false;
	c->retried = false;
	c->regroup = false;
	c->answered = false;
	if (c->broken || c->closing || c->fd < 0)
		channel_drop(c);
	else
		channel_give(c);
}

/* With a reference, as of association_get(). */
static struct cn_association *
association_of(const struct rpcc_client_call *call,
	       const struct cn_channel *from)
{
	if (!from)
		return association_get(call->binding);
	pthread_mutex_lock(&lock);
	from->association->refs++;
	pthread_mutex_unlock(&lock);
	return from->association;
}

RPC_STATUS cn_channel_take(struct rpcc_client_call *call, bool share,
			   const struct cn_channel *from,
			   struct cn_channel **channel)
{
	const RPC_SYNTAX_IDENTIFIER *interface = &call->interface->InterfaceId;
	struct cn_association *a = association_of(call, from);
	RPC_STATUS status = RPC_S_OK;
	struct cn_channel *c = NULL;
	bool joined;

	if (!a)
		return RPC_S_OUT_OF_MEMORY;
	if (share)
		c = join(a, interface);
	joined = c;
	if (!c)
		c = pool_take(a, call->interface);
	if (c)
		association_put(a);
	else
		status = channel_new(call, a, from, &c);
	if (status != RPC_S_OK) {
		association_put(a);
		return status;
	}
	*channel = c;
	if (joined)
		return RPC_S_OK;
	c->interface = *interface;
	if (share)
		offer(c->association, c);
	return RPC_S_OK;
}
