// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * gRPC: its synchronous server and stubs; with more in flight, asynchronous stubs and
 * a completion queue.
 */
#include "peer.h"

#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "echo.grpc.pb.h"

namespace {

class Service final : public bench::Echo::Service {
	grpc::Status Call(grpc::ServerContext *, const bench::Blob *request,
			  bench::Blob *reply) override
	{
		reply->set_data(request->data());
		return grpc::Status::OK;
	}
};

struct Connection {
	std::unique_ptr<bench::Echo::Stub> stub;
	bench::Blob request;
	bench::Blob reply;
};

std::string target(const peer_address *address)
{
	if (address->local)
		return std::string("unix:") + address->path;
	return "127.0.0.1:" + std::to_string(address->port);
}

std::chrono::system_clock::time_point deadline()
{
	return std::chrono::system_clock::now() +
	       std::chrono::milliseconds(PEER_TIMEOUT_MS);
}

const char *version()
{
	static std::string text = grpc::Version();

	return text.c_str();
}

void serve(const peer_address *address, void (*ready)())
{
	Service service;
	grpc::ServerBuilder builder;

	builder.AddListeningPort(target(address),
				 grpc::InsecureServerCredentials());
	builder.RegisterService(&service);
	builder.SetMaxReceiveMessageSize(2 * PEER_MAX_SIZE);
	auto server = builder.BuildAndStart();
	if (!server)
		return;
	ready();
	server->Wait();
}

void *open_channel(const peer_address *address)
{
	grpc::ChannelArguments args;

	/* Or all channels to one place share a connection. */
	args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
	args.SetMaxReceiveMessageSize(2 * PEER_MAX_SIZE);
	auto channel = grpc::CreateCustomChannel(
		target(address), grpc::InsecureChannelCredentials(), args);
	if (!channel->WaitForConnected(deadline()))
		return nullptr;
	return new Connection{ bench::Echo::NewStub(channel), {}, {} };
}

void close_channel(void *connection)
{
	delete static_cast<Connection *>(connection);
}

bool echo(void *connection, void *data, size_t size)
{
	auto c = static_cast<Connection *>(connection);
	grpc::ClientContext context;

	context.set_deadline(deadline());
	c->request.set_data(data, size);
	if (!c->stub->Call(&context, c->request, &c->reply).ok() ||
	    c->reply.data().size() != size)
		return false;
	memcpy(data, c->reply.data().data(), size);
	return true;
}

struct AsyncCall {
	std::unique_ptr<grpc::ClientContext> context;
	std::unique_ptr<grpc::ClientAsyncResponseReader<bench::Blob>> reader;
	bench::Blob reply;
	grpc::Status status;

	void start(Connection *c, grpc::CompletionQueue *queue)
	{
		context = std::make_unique<grpc::ClientContext>();
		context->set_deadline(deadline());
		reader = c->stub->AsyncCall(context.get(), c->request, queue);
		reader->Finish(&reply, &status, this);
	}
};

int64_t pipeline(void *connection, const void *data, size_t size,
		 unsigned int window, const volatile bool *stop)
{
	auto c = static_cast<Connection *>(connection);
	grpc::CompletionQueue queue;
	std::vector<AsyncCall> calls(window);
	unsigned int in_flight = 0;
	int64_t count = 0;
	void *tag;
	bool ok;

	c->request.set_data(data, size);
	for (auto &call : calls) {
		call.start(c, &queue);
		in_flight++;
	}
	while (in_flight && queue.Next(&tag, &ok)) {
		auto call = static_cast<AsyncCall *>(tag);

		if (!ok || !call->status.ok() ||
		    call->reply.data().size() != size)
			return -1;
		count++;
		in_flight--;
		if (*stop)
			continue;
		call->start(c, &queue);
		in_flight++;
	}
	return count;
}

} // namespace

const struct peer peer = {
	version,       true, serve,    open_channel,
	close_channel, echo, pipeline,
};
