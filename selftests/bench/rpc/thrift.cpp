// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Thrift: the server with a thread for each connection, the binary protocol. */
#include "peer.h"

#include <cstring>
#include <memory>
#include <string>

#include <thrift/config.h>
#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/server/TThreadedServer.h>
#include <thrift/transport/TBufferTransports.h>
#include <thrift/transport/TServerSocket.h>
#include <thrift/transport/TSocket.h>

#include "Echo.h"

namespace {

using namespace apache::thrift;

class Handler final : public bench::EchoIf {
	void call(std::string &reply, const std::string &data) override
	{
		reply = data;
	}
};

/* Tells that the server listens. */
class Events final : public server::TServerEventHandler {
	void (*ready)();

    public:
	explicit Events(void (*ready)())
		: ready(ready)
	{
	}
	void preServe() override
	{
		ready();
	}
};

struct Connection {
	std::shared_ptr<transport::TTransport> transport;
	std::unique_ptr<bench::EchoClient> client;
	std::string request, reply;
};

const char *version()
{
	return PACKAGE_VERSION;
}

void serve(const peer_address *address, void (*ready)())
{
	std::shared_ptr<transport::TServerSocket> socket;

	if (address->local)
		socket = std::make_shared<transport::TServerSocket>(
			address->path);
	else
		socket = std::make_shared<transport::TServerSocket>(
			"127.0.0.1", address->port);
	socket->setAcceptBacklog(4096);
	server::TThreadedServer server(
		std::make_shared<bench::EchoProcessor>(
			std::make_shared<Handler>()),
		socket,
		std::make_shared<transport::TBufferedTransportFactory>(),
		std::make_shared<protocol::TBinaryProtocolFactory>());
	server.setServerEventHandler(std::make_shared<Events>(ready));
	server.serve();
}

void *open_client(const peer_address *address)
{
	std::shared_ptr<transport::TSocket> socket;

	if (address->local)
		socket = std::make_shared<transport::TSocket>(address->path);
	else
		socket = std::make_shared<transport::TSocket>("127.0.0.1",
							      address->port);
	socket->setRecvTimeout(PEER_TIMEOUT_MS);
	socket->setSendTimeout(PEER_TIMEOUT_MS);
	auto buffered = std::make_shared<transport::TBufferedTransport>(socket);
	auto protocol = std::make_shared<protocol::TBinaryProtocol>(buffered);
	buffered->open();
	return new Connection{
		buffered, std::make_unique<bench::EchoClient>(protocol), {}, {}
	};
}

void close_client(void *connection)
{
	delete static_cast<Connection *>(connection);
}

bool echo(void *connection, void *data, size_t size)
{
	auto c = static_cast<Connection *>(connection);

	c->request.assign(static_cast<const char *>(data), size);
	c->client->call(c->reply, c->request);
	if (c->reply.size() != size)
		return false;
	memcpy(data, c->reply.data(), size);
	return true;
}

} // namespace

const struct peer peer = {
	version, true, serve, open_client, close_client, echo, nullptr,
};
