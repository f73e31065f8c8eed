#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
"""impacket's client (python3-impacket) against echo_server.

usage: impacket_client_test.py [BUILD]

impacket has no call for cancels: they are built here, of its header class.
"""

import os
import signal
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = sys.argv[1] if len(sys.argv) > 1 else HERE

try:
    from impacket.dcerpc.v5 import transport
    from impacket.dcerpc.v5.rpcrt import (
        DCERPCException,
        MSRPC_CO_CANCEL,
        MSRPC_ORPHANED,
        MSRPCHeader,
    )
    from impacket.uuid import uuidtup_to_bin
except ImportError:
    print("1..0 # SKIP python3-impacket is not installed")
    print("ok # SKIP python3-impacket is not installed")
    sys.exit(0)

ECHO = ("60a15ec5-4de8-11d7-a637-005056a20182", "1.0")
SLOW = ("d2a5c6b1-7e34-4f0b-9c1d-3b8e6a4052f7", "1.0")
ADD_ONE, ECHO_DATA, SOURCE_DATA, TEST_SLEEP = 0, 1, 3, 6
STAY, RAISE, COUNT, RELEASE = 1, 2, 3, 4
HEED, RAISE_CANCEL, UNTIL_RELEASED = 1, 2, 4
LONG = 600000  # ms
FIRST_FRAG, LAST_FRAG, PENDING_CANCEL = 1, 2, 4

number = failed = 0


def ok(good, name):
    global number, failed
    number += 1
    failed += not good
    print("%sok %d - %s" % ("" if good else "not ", number, name), flush=True)


def same(got, wanted, name):
    ok(got == wanted, name)
    if got != wanted:
        print("# got %r, expected %r" % (got, wanted))


class Client:
    """A connection, bound to one interface."""

    def __init__(self, interface, fragment=0):
        self.transport = transport.DCERPCTransportFactory(BINDING)
        self.rpc = self.transport.get_dce_rpc()
        if fragment:
            self.rpc.set_max_fragment_size(fragment)
        self.rpc.connect()
        self.rpc.bind(uuidtup_to_bin(interface))
        self.call_id = 0

    def send(self, opnum, stub):
        """impacket counts from 1, and the bind shares the first call's."""
        self.call_id += 1
        self.rpc.call(opnum, stub)

    def receive(self):
        return self.rpc.recv()

    def call(self, opnum, stub):
        self.send(opnum, stub)
        return self.receive()

    def send_header(self, kind, flags, call_id):
        header = MSRPCHeader()
        header["type"] = kind
        header["flags"] = flags
        header["call_id"] = call_id
        self.transport.send(header.get_packet())

    def cancel(self, call_id=None):
        self.send_header(MSRPC_CO_CANCEL, LAST_FRAG | PENDING_CANCEL,
                         call_id or self.call_id)

    def orphan(self):
        self.send_header(MSRPC_ORPHANED, FIRST_FRAG | LAST_FRAG, self.call_id)

    def close(self):
        self.rpc.disconnect()


def counts():
    client = Client(SLOW)
    entered, left, cancelled, _ = struct.unpack("<4I", client.call(COUNT, b""))
    client.close()
    return entered, left, cancelled


def wait_for(index, value):
    """Until this one of the server's counts has come so far."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if counts()[index] >= value:
            return True
        time.sleep(0.002)
    return False


def stay(client, flags):
    """Returns when the stub has been entered."""
    entered = counts()[0]
    client.send(STAY, struct.pack("<II", LONG, flags))
    ok(wait_for(0, entered + 1), "a call has arrived at its stub")


def plain_calls():
    client = Client(ECHO)
    same(client.call(ADD_ONE, struct.pack("<I", 41)), struct.pack("<I", 42),
         "AddOne")
    data = bytes(range(256)) * 4
    same(client.call(ECHO_DATA, struct.pack("<II", len(data), len(data)) + data),
         struct.pack("<I", len(data)) + data, "EchoData")
    reply = client.call(SOURCE_DATA, struct.pack("<I", 200000))
    same(reply[4:], bytes(range(256)) * 781 + bytes(range(64)),
         "SourceData, in many fragments")
    client.close()

    client = Client(ECHO, fragment=64)
    same(client.call(ECHO_DATA, struct.pack("<II", len(data), len(data)) + data),
         struct.pack("<I", len(data)) + data, "a request in small fragments")
    client.close()


def fault(client, opnum, stub):
    try:
        client.call(opnum, stub)
    except DCERPCException as e:
        return str(e)
    return "no fault"


def faults():
    client = Client(SLOW)
    for status, name in ((1818, "nca_s_fault_cancel"), (5, "rpc_s_access_denied"),
                         (1767, "nca_s_fault_int_div_by_zero"),
                         (1745, "nca_s_op_rng_error")):
        text = fault(client, RAISE, struct.pack("<I", status))
        ok(name in text, "a stub raises %d: %s" % (status, name))
        if name not in text:
            print("# got " + text)
    text = fault(client, 99, b"")
    ok("nca_s_op_rng_error" in text, "an operation that there is not")
    client.close()


def cancelled():
    client = Client(SLOW)
    stay(client, HEED)
    client.cancel()
    seen, ms = struct.unpack("<II", client.receive())
    same(seen, 1, "co_cancel: the stub has noticed")
    ok(ms < LONG, "and has returned early")

    stay(client, HEED | RAISE_CANCEL)
    client.cancel()
    try:
        text = str(client.receive())
    except DCERPCException as e:
        text = str(e)
    ok("nca_s_fault_cancel" in text, "a stub that raises RPC_S_CALL_CANCELLED")

    stay(client, UNTIL_RELEASED)
    client.cancel(call_id=77)
    client.cancel(call_id=client.call_id - 1)
    other = Client(SLOW)
    other.call(RELEASE, b"")
    other.close()
    seen, _ = struct.unpack("<II", client.receive())
    same(seen, 0, "cancels of other calls do not hit this one")
    client.close()

    client = Client(ECHO)
    start = time.monotonic()
    client.send(TEST_SLEEP, struct.pack("<I", 600))
    client.cancel()
    client.receive()
    ok(time.monotonic() - start < 60, "TestSleep returns early")
    client.cancel()
    same(client.call(ADD_ONE, struct.pack("<I", 1)), struct.pack("<I", 2),
         "a cancel that is too late does not hit the next call")
    client.close()


def orphaned():
    client = Client(SLOW)
    _, left, before = counts()
    stay(client, HEED)
    client.orphan()
    ok(wait_for(1, left + 1), "orphaned: the stub ends")
    same(counts()[2], before + 1, "as it was cancelled by this")
    entered, _, _ = struct.unpack("<4I", client.call(COUNT, b""))[:3]
    ok(entered > 0, "no answer comes, and the connection lives")
    client.close()

    client = Client(SLOW)
    stay(client, HEED)
    before = counts()[2]
    client.close()
    ok(wait_for(2, before + 1), "a client that goes away cancels its calls")


server = subprocess.Popen(
    [os.path.join(BUILD, "echo_server"), "ncacn_ip_tcp"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
BINDING = None
for line in server.stdout:
    if line.startswith("ncacn_ip_tcp:"):
        BINDING = "ncacn_ip_tcp:127.0.0.1" + line[line.index("["):].strip()
    if line == "ready\n":
        break
signal.alarm(200)  # an answer may never come
try:
    plain_calls()
    faults()
    cancelled()
    orphaned()
    server.stdin.close()
    same(server.wait(60), 0, "the server ends well")
    print("1..%d" % number)
finally:
    server.kill()
sys.exit(failed != 0)
