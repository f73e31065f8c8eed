// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The bodies of the conversation manager's calls; see dg_conv.h.
 */
#include "dg/dg_conv.h"
#include "wire/bytes.h"

#define REQUEST_SIZE	   20
#define WHO_ARE_YOU_SIZE   8
#define DREP_LITTLE_ENDIAN 0x10

const UUID dg_conv_interface = {
	0x333a2276, 0x0000, 0x0000, { 0x0d, 0, 0, 0x80, 0x9c, 0, 0, 0 }
};

bool dg_conv_get_request(const uint8_t *body, size_t length, uint32_t drep,
			 struct dg_conv_request *request)
{
	bool little = drep & DREP_LITTLE_ENDIAN;

	if (length < REQUEST_SIZE)
		return false;
	get_uuid(body, little, &request->activity);
	request->server_boot = get_u32(body + 16, little);
	return true;
}

bool dg_conv_get_response(const uint8_t *body, size_t length, uint32_t drep,
			  struct dg_conv_response *response)
{
	bool little = drep & DREP_LITTLE_ENDIAN;

	if (length < WHO_ARE_YOU_SIZE)
		return false;
	memset(response, 0, sizeof(*response));
	response->seqnum = get_u32(body, little);
	response->status = get_u32(body + 4, little);
	return true;
}

size_t dg_conv_put_request(uint8_t *body, const struct dg_conv_request *request)
{
	put_uuid(body, &request->activity);
	put_u32(body + 16, request->server_boot);
	return REQUEST_SIZE;
}

size_t dg_conv_put_response(uint8_t *body, enum dg_conv_operation operation,
			    const struct dg_conv_response *response)
{
	uint8_t *p = body;

	if (operation != DG_CONV_ARE_YOU_THERE) {
		put_u32(p, response->seqnum);
		p += 4;
	}
	if (operation == DG_CONV_WHO_ARE_YOU2) {
		put_uuid(p, &response->client);
		p += 16;
	}
	put_u32(p, response->status);
	return (size_t)(p + 4 - body);
}
