/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What a program written for Windows RPC includes. Thread handles come from
 * rpccancel.h, or, under the names that Windows has for them, from
 * rpcwinthread.h; what stubs use from rpcdcep.h.
 */
#ifndef RPC_H
#define RPC_H

#include "rpcasync.h"
#include "rpcdce.h"
#include "rpcexcept.h"
#include "rpcnterr.h"

#endif /* RPC_H */
