// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Cap'n Proto, its two-party protocol with an event loop in each thread. It has no
 * time-outs: a call is joined with a timer.
 */
#include "peer.h"

#include <cstring>
#include <string>

#include <capnp/ez-rpc.h>
#include <kj/async-io.h>

#include "echo.capnp.h"

namespace {

class Service final : public Echo::Server {
	kj::Promise<void> call(CallContext context) override
	{
		context.getResults().setData(context.getParams().getData());
		return kj::READY_NOW;
	}
};

/* Messages of more than 64 MiB in all would be refused as an attack. */
capnp::ReaderOptions options()
{
	capnp::ReaderOptions o;

	o.traversalLimitInWords = UINT64_MAX;
	return o;
}

struct Connection {
	capnp::EzRpcClient client;
	Echo::Client stub;

	explicit Connection(const std::string &target)
		: client(target.c_str(), 0, options())
		, stub(client.getMain<Echo>())
	{
	}

	auto start(const void *data, size_t size)
	{
		auto request = stub.callRequest();

		request.setData(kj::arrayPtr(
			static_cast<const kj::byte *>(data), size));
		auto &timer = client.getIoProvider().getTimer();
		return timer.timeoutAfter(PEER_TIMEOUT_MS * kj::MILLISECONDS,
					  request.send());
	}
};

std::string target(const peer_address *address)
{
	if (address->local)
		return std::string("unix:") + address->path;
	return "127.0.0.1:" + std::to_string(address->port);
}

const char *version()
{
	static std::string text = std::to_string(CAPNP_VERSION / 1000000) + "." +
				  std::to_string(CAPNP_VERSION / 1000 % 1000) +
				  "." + std::to_string(CAPNP_VERSION % 1000);

	return text.c_str();
}

void serve(const peer_address *address, void (*ready)())
{
	capnp::EzRpcServer server(kj::heap<Service>(), target(address), 0,
				  options());
	auto &wait = server.getWaitScope();

	server.getPort().wait(wait);
	ready();
	kj::NEVER_DONE.wait(wait);
}

void *open_client(const peer_address *address)
{
	return new Connection(target(address));
}

void close_client(void *connection)
{
	delete static_cast<Connection *>(connection);
}

bool echo(void *connection, void *data, size_t size)
{
	auto c = static_cast<Connection *>(connection);
	auto reply = c->start(data, size).wait(c->client.getWaitScope());
	auto got = reply.getData();

	if (got.size() != size)
		return false;
	memcpy(data, got.begin(), size);
	return true;
}

struct Window {
	Connection *connection;
	const void *data;
	size_t size;
	const volatile bool *stop;
	int64_t count;

	/* One of those in flight: a call after the other, until it is told. */
	kj::Promise<void> run()
	{
		return connection->start(data, size).then(
			[this](auto &&reply) -> kj::Promise<void> {
				KJ_REQUIRE(reply.getData().size() == size);
				count++;
				if (*stop)
					return kj::READY_NOW;
				return run();
			});
	}
};

int64_t pipeline(void *connection, const void *data, size_t size,
		 unsigned int window, const volatile bool *stop)
{
	auto c = static_cast<Connection *>(connection);
	Window w{ c, data, size, stop, 0 };
	auto all = kj::heapArrayBuilder<kj::Promise<void>>(window);

	for (unsigned int i = 0; i < window; i++)
		all.add(w.run());
	kj::joinPromises(all.finish()).wait(c->client.getWaitScope());
	return w.count;
}

} // namespace

const struct peer peer = {
	version, true, serve, open_client, close_client, echo, pipeline,
};
