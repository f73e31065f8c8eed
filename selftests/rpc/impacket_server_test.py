#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
"""Our client, echo_client, against impacket's server (python3-impacket).

usage: impacket_server_test.py [BUILD]

Plain calls only: impacket's server serves one connection at a time, takes a
request in several fragments for its last one, and ends a connection at a cancel.
"""

import os
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = sys.argv[1] if len(sys.argv) > 1 else HERE

try:
    from impacket.dcerpc.v5.rpcrt import DCERPCServer
except ImportError:
    print("1..0 # SKIP python3-impacket is not installed")
    print("ok # SKIP python3-impacket is not installed")
    sys.exit(0)

ECHO = ("60A15EC5-4DE8-11D7-A637-005056A20182", "1.0")


def add_one(data):
    return struct.pack("<I", (struct.unpack("<I", data[:4])[0] + 1) & 0xFFFFFFFF)


def echo_data(data):
    return data[4:]


def source_data(data):
    length = struct.unpack("<I", data[:4])[0]
    return struct.pack("<I", length) + bytes(i & 255 for i in range(length))


server = DCERPCServer()
server.daemon = True
server.addCallbacks(ECHO, "", {0: add_one, 1: echo_data, 3: source_data})
server.setListenPort(0)
server.start()
binding = "ncacn_ip_tcp:127.0.0.1[%d]" % server.getListenPort()

failed = 0
CASES = [
    (["addone", "41"], "0 42"),
    (["addone", "4294967295"], "0 0"),
    (["--repeat", "50", "addone", "1"], "\n".join(["0 2"] * 50)),
    (["echodata", "0"], "0 same"),
    (["echodata", "1000"], "0 same"),
    (["sourcedata", "1000"], "0 same"),
    (["sourcedata", "100000"], "0 same"),
]
for number, (call, wanted) in enumerate(CASES, 1):
    options = call[:-2]
    got = subprocess.run(
        [os.path.join(BUILD, "echo_client")] + options + [binding] + call[-2:],
        capture_output=True, text=True, timeout=60)
    good = got.stdout.strip() == wanted
    failed += not good
    print("%sok %d - %s" % ("" if good else "not ", number, " ".join(call)))
    if not good:
        print("# got %r %r, expected %r" % (got.stdout, got.stderr, wanted))
print("1..%d" % len(CASES))
sys.stdout.flush()
os._exit(failed != 0)  # the server's thread is in accept()
