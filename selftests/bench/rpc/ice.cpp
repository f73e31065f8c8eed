// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* ZeroC Ice, which has no Unix sockets. */
#include "peer.h"

#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>

#include <Ice/Ice.h>

#include "echo.h"

namespace {

class Servant final : public bench::Echo {
	bench::Blob call(bench::Blob data, const Ice::Current &) override
	{
		return data;
	}
};

struct Connection {
	std::shared_ptr<bench::EchoPrx> proxy;
	bench::Blob request;
};

std::shared_ptr<Ice::Communicator> communicator()
{
	Ice::InitializationData init;

	init.properties = Ice::createProperties();
	init.properties->setProperty("Ice.MessageSizeMax", "4096");
	return Ice::initialize(init);
}

/* One for the client's process: a connection is one of its proxies. */
std::shared_ptr<Ice::Communicator> client_communicator()
{
	/* It must be destroyed, and before main() is left for good. */
	static Ice::CommunicatorHolder one(communicator());

	return one.communicator();
}

std::string endpoint(const peer_address *address)
{
	return "tcp -h 127.0.0.1 -p " + std::to_string(address->port);
}

const char *version()
{
	return ICE_STRING_VERSION;
}

void serve(const peer_address *address, void (*ready)())
{
	auto ice = communicator();
	auto adapter = ice->createObjectAdapterWithEndpoints("echo",
							     endpoint(address));

	adapter->add(std::make_shared<Servant>(), Ice::stringToIdentity("echo"));
	adapter->activate();
	ready();
	ice->waitForShutdown();
}

void *open_proxy(const peer_address *address)
{
	static std::mutex lock;
	static unsigned int count;
	std::lock_guard<std::mutex> guard(lock);
	auto base = client_communicator()->stringToProxy("echo:" +
							 endpoint(address));
	auto own = base->ice_connectionId(std::to_string(count++))
			   ->ice_invocationTimeout(PEER_TIMEOUT_MS);

	return new Connection{ Ice::uncheckedCast<bench::EchoPrx>(own), {} };
}

void close_proxy(void *connection)
{
	delete static_cast<Connection *>(connection);
}

bool echo(void *connection, void *data, size_t size)
{
	auto c = static_cast<Connection *>(connection);
	auto bytes = static_cast<const Ice::Byte *>(data);

	c->request.assign(bytes, bytes + size);
	auto reply = c->proxy->call(c->request);
	if (reply.size() != size)
		return false;
	memcpy(data, reply.data(), size);
	return true;
}

struct Window {
	std::mutex lock;
	std::condition_variable some;
	unsigned int done = 0, failed = 0;
};

int64_t pipeline(void *connection, const void *data, size_t size,
		 unsigned int window, const volatile bool *stop)
{
	auto c = static_cast<Connection *>(connection);
	auto bytes = static_cast<const Ice::Byte *>(data);
	unsigned int in_flight = 0, done;
	int64_t calls = 0;
	Window w;

	c->request.assign(bytes, bytes + size);
	for (;;) {
		for (; !*stop && in_flight < window; in_flight++) {
			c->proxy->callAsync(
				c->request,
				[&w](bench::Blob) {
					std::lock_guard<std::mutex> g(w.lock);
					w.done++;
					w.some.notify_one();
				},
				[&w](std::exception_ptr) {
					std::lock_guard<std::mutex> g(w.lock);
					w.failed++;
					w.some.notify_one();
				});
		}
		if (!in_flight)
			return calls;
		std::unique_lock<std::mutex> guard(w.lock);
		w.some.wait(guard, [&w] { return w.done || w.failed; });
		if (w.failed)
			return -1;
		done = w.done;
		w.done = 0;
		guard.unlock();
		in_flight -= done;
		calls += done;
	}
}

} // namespace

const struct peer peer = {
	version, false, serve, open_proxy, close_proxy, echo, pipeline,
};
