// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * omniORB. It keeps a pool of connections to a server and takes a free one for each
 * call, so there are as many as threads that call, and one call at a time on each.
 */
#include "peer.h"

#include <cstring>
#include <fstream>
#include <string>

#include <omniORB4/CORBA.h>

#include "echo.hh"

namespace {

class Servant : public POA_bench::Echo {
	bench::Blob *call(const bench::Blob &data) override
	{
		return new bench::Blob(data);
	}
};

/* Where the server leaves its reference for the clients. */
std::string reference_file(const peer_address *address)
{
	return std::string(address->path) + ".ior";
}

CORBA::ORB_ptr make_orb(const char *options[][2])
{
	int argc = 0;

	return CORBA::ORB_init(argc, nullptr, "omniORB4", options);
}

const char *version()
{
	return OMNIORB_VERSION;
}

void serve(const peer_address *address, void (*ready)())
{
	std::string endpoint =
		address->local ? std::string("giop:unix:") + address->path :
				 "giop:tcp:127.0.0.1:" +
					 std::to_string(address->port);
	const char *options[][2] = {
		{ "endPoint", endpoint.c_str() },
		{ "giopMaxMsgSize", "4194304" },
		{ "maxServerThreadPerConnection", "8" },
		{ nullptr, nullptr },
	};
	CORBA::ORB_var orb = make_orb(options);
	CORBA::Object_var object = orb->resolve_initial_references("RootPOA");
	PortableServer::POA_var poa = PortableServer::POA::_narrow(object);
	Servant servant;

	PortableServer::ObjectId_var id = poa->activate_object(&servant);
	CORBA::Object_var self = servant._this();
	CORBA::String_var ior = orb->object_to_string(self);
	std::ofstream(reference_file(address)) << ior.in();
	PortableServer::POAManager_var manager = poa->the_POAManager();
	manager->activate();
	ready();
	orb->run();
}

/* One for the client's process. */
CORBA::ORB_ptr client_orb()
{
	static std::string timeout = std::to_string(PEER_TIMEOUT_MS);
	static const char *options[][2] = {
		{ "clientTransportRule", "* unix,tcp" },
		{ "maxGIOPConnectionPerServer", "4096" },
		{ "giopMaxMsgSize", "4194304" },
		{ "clientCallTimeOutPeriod", timeout.c_str() },
		{ nullptr, nullptr },
	};
	static CORBA::ORB_ptr orb = make_orb(options);

	return orb;
}

void *open_reference(const peer_address *address)
{
	std::string ior;

	std::ifstream(reference_file(address)) >> ior;
	CORBA::Object_var object = client_orb()->string_to_object(ior.c_str());
	return bench::Echo::_narrow(object);
}

void close_reference(void *connection)
{
	CORBA::release(static_cast<bench::Echo_ptr>(connection));
}

bool echo(void *connection, void *data, size_t size)
{
	auto proxy = static_cast<bench::Echo_ptr>(connection);
	/* It refers to the bytes, and does not copy them. */
	bench::Blob request(static_cast<CORBA::ULong>(size),
			    static_cast<CORBA::ULong>(size),
			    static_cast<CORBA::Octet *>(data), false);

	try {
		bench::Blob_var reply = proxy->call(request);

		if (reply->length() != size)
			return false;
		memcpy(data, reply->get_buffer(), size);
	} catch (const CORBA::Exception &) {
		return false;
	}
	return true;
}

} // namespace

const struct peer peer = {
	version, true, serve, open_reference, close_reference, echo, nullptr,
};
