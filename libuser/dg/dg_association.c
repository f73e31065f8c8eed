// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Associations and activities of clients; see dg_association.h.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dg/dg_association.h"
#include "internal.h"
#include "rpc/driver.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void fork_prepare(void)
{
	pthread_mutex_lock(&lock);
}

static void fork_done(void)
{
	pthread_mutex_unlock(&lock);
}

RPCC_AT_FORK(RPCC_FORK_CLIENT, fork_prepare, fork_done, fork_done);

struct dg_association *dg_association_get(struct rpcc_binding *binding)
{
	struct dg_association *association;

	pthread_mutex_lock(&lock);
	if (!binding->dg) {
		binding->dg = calloc(1, sizeof(*binding->dg));
		if (binding->dg)
			binding->dg->refs++;
	}
	association = binding->dg;
	if (association)
		association->refs++;
	pthread_mutex_unlock(&lock);
	return association;
}

static void activity_free(struct dg_activity *activity)
{
	if (activity->fd >= 0)
		close(activity->fd);
	dg_receiver_free(&activity->in);
	free(activity->others);
	free(activity);
}

static void free_idle(struct dg_activity *idle)
{
	struct dg_activity *next;

	for (; idle; idle = next) {
		next = idle->next;
		activity_free(idle);
	}
}

void dg_association_put(struct dg_association *association)
{
	bool last;

	pthread_mutex_lock(&lock);
	last = !--association->refs;
	pthread_mutex_unlock(&lock);
	if (!last)
		return;
	free_idle(association->idle);
	free(association);
}

void dg_association_release(struct rpcc_binding *binding)
{
	struct dg_association *association;

	pthread_mutex_lock(&lock);
	association = binding->dg;
	binding->dg = NULL;
	pthread_mutex_unlock(&lock);
	if (association)
		dg_association_put(association);
}

void dg_client_uuid(UUID *uuid)
{
	static unsigned int forks;
	static bool made;
	static UUID mine;

	pthread_mutex_lock(&lock);
	if (!made || forks != rpcc_client_forks())
		made = UuidCreate(&mine) == RPC_S_OK;
	forks = rpcc_client_forks();
	*uuid = mine;
	pthread_mutex_unlock(&lock);
}

void dg_association_found(struct dg_association *association,
			  const struct rpcc_address *address)
{
	pthread_mutex_lock(&lock);
	association->found = true;
	association->server = *address;
	pthread_mutex_unlock(&lock);
}

/* Those that wait are connected to where nobody is. */
void dg_association_lost(struct dg_association *association)
{
	struct dg_activity *idle;

	pthread_mutex_lock(&lock);
	association->found = false;
	idle = association->idle;
	association->idle = NULL;
	association->idle_count = 0;
	pthread_mutex_unlock(&lock);
	free_idle(idle);
}

static struct dg_activity *take_idle(struct dg_association *association)
{
	struct dg_activity *activity, *stale = NULL;
	unsigned int forks = rpcc_client_forks();

	pthread_mutex_lock(&lock);
	while ((activity = association->idle)) {
		association->idle = activity->next;
		association->idle_count--;
		if (activity->forks == forks)
			break;
		activity->next = stale;
		stale = activity;
	}
	pthread_mutex_unlock(&lock);
	free_idle(stale);
	return activity;
}

static struct dg_activity *activity_create(void)
{
	struct dg_activity *activity = calloc(1, sizeof(*activity));

	if (!activity)
		return NULL;
	activity->fd = -1;
	activity->forks = rpcc_client_forks();
	activity->in.limit = DG_MAX_BODY;
	if (UuidCreate(&activity->id) != RPC_S_OK) {
		free(activity);
		return NULL;
	}
	return activity;
}

/* Where the server was the last time, or where it may be. */
static RPC_STATUS find_server(struct dg_association *association,
			      struct rpcc_client_call *call,
			      struct dg_activity *activity)
{
	bool found;

	activity->others =
		calloc(RPCC_MAX_ADDRESSES, sizeof(*activity->others));
	if (!activity->others)
		return RPC_S_OUT_OF_MEMORY;

	pthread_mutex_lock(&lock);
	found = association->found;
	activity->others[0] = association->server;
	activity->other_count = 1;
	pthread_mutex_unlock(&lock);
	if (found)
		return RPC_S_OK;
	return rpcc_client_resolve(call->binding, call->interface,
				   activity->others, &activity->other_count);
}

bool dg_activity_connect(struct dg_activity *activity,
			 const struct rpcc_protseq *protseq)
{
	if (activity->fd >= 0)
		close(activity->fd);
	activity->fd = -1;
	while (activity->other_next < activity->other_count) {
		const struct rpcc_address *to =
			&activity->others[activity->other_next++];
		int fd = protseq->open(to);

		if (fd < 0)
			continue;
		if (!connect(fd, &to->any, to->len)) {
			activity->fd = fd;
			activity->server = *to;
			return true;
		}
		close(fd);
	}
	return false;
}

RPC_STATUS dg_activity_take(struct dg_association *association,
			    struct rpcc_client_call *call,
			    struct dg_activity **result)
{
	struct dg_activity *activity = take_idle(association);
	RPC_STATUS status;

	if (!activity) {
		activity = activity_create();
		if (!activity) {
			dg_association_put(association);
			return RPC_S_OUT_OF_MEMORY;
		}
		status = find_server(association, call, activity);
		if (status == RPC_S_OK &&
		    !dg_activity_connect(activity, call->binding->protseq))
			status = RPC_S_SERVER_UNAVAILABLE;
		if (status != RPC_S_OK) {
			activity_free(activity);
			dg_association_put(association);
			return status;
		}
	}
	activity->association = association;
	*result = activity;
	return RPC_S_OK;
}

void dg_activity_give(struct dg_activity *activity, bool again)
{
	struct dg_association *association = activity->association;

	activity->association = NULL;
	free(activity->others);
	activity->others = NULL;
	activity->other_count = activity->other_next = 0;

	pthread_mutex_lock(&lock);
	if (again && association->idle_count < DG_MAX_IDLE) {
		activity->next = association->idle;
		association->idle = activity;
		association->idle_count++;
		activity = NULL;
	}
	pthread_mutex_unlock(&lock);
	if (activity)
		activity_free(activity);
	dg_association_put(association);
}
