#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
"""Samba's tests of the DCE/RPC protocol (python3-samba) against echo_server.

usage: samba_raw_test.py [BUILD]

Samba checks these tests against Windows. They talk to the management interface
of an endpoint mapper at port 135, and some to netlogon: so our server runs at
this port, in a network namespace of its own, and has a stand-in for netlogon at
the same port. Each case's verdict is a line of TAP. A case that is in no list
below is an error: the lists are to be complete.
"""

import concurrent.futures
import fnmatch
import io
import itertools
import os
import subprocess
import sys
import tempfile
import unittest
from contextlib import redirect_stderr

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = sys.argv[1] if len(sys.argv) > 1 else HERE

# What a server without authentication can answer.
APPLIES = [
    "test_alloc_hint",
    "test_alter_no_auth_no_ctx",
    "test_assoc_group_diff1",
    "test_assoc_group_fail1",
    "test_assoc_group_fail2",
    "test_assoc_group_ok1",
    "test_auth_none_*",
    "test_co_cancel_*",
    "test_first_*",
    "test_2nd_cancel_requests",
    "test_last_*",
    "test_none_only_requests",
    "test_mix_requests",
    "test_fragmented_requests*",
    "test_invalid_auth_noctx",
    "test_neg_xmit_*",
    "test_no_auth_*",
    "test_orphaned_*",
]

# Of those, what does not like other connections: these run first, in turn.
ALONE = ["test_assoc_group_*"]

# What does not apply, and why.
SECURITY = "needs a security provider: there is none here"
PIPES = "needs named pipes over SMB: ours are local"
DOES_NOT_APPLY = {
    "test_ntlm_*": SECURITY,
    "test_ntlmssp_*": SECURITY,
    "test_spnego_*": SECURITY,
    "test_krb5_*": SECURITY,
    "test_multiple_auth_limit": SECURITY,
    "test_lsa_*": PIPES,
    # Wants several of them on a connection to be supported.
    "test_no_auth_bind_time_sec_ctx_ignore_additional": SECURITY,
    "test_assoc_group_fail3": PIPES,
    "test_assoc_group_ok2": PIPES,
}


def in_namespace():
    """Starts again in a network namespace, where port 135 is free."""
    if os.environ.get("RPC_NAMESPACE"):
        return
    os.environ["RPC_NAMESPACE"] = "1"
    for unshare in (["unshare", "-n"], ["unshare", "-rn"]):
        if subprocess.run(unshare + ["true"], stderr=subprocess.DEVNULL).returncode:
            continue
        os.execvp(unshare[0], unshare + [sys.executable, __file__] + sys.argv[1:])
    print("1..0 # SKIP no network namespace can be made here")
    print("ok # SKIP no network namespace can be made here")
    sys.exit(0)


def start_server():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    server = subprocess.Popen(
        [os.path.join(BUILD, "echo_server"), "--netlogon", "ncacn_ip_tcp:135"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in server.stdout:
        if line == "ready\n":
            return server
    print("Bail out! echo_server does not start")
    sys.exit(1)


def load_cases():
    """The class with the cases, told where everything is."""
    settings = tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False)
    settings.write("[global]\n")
    settings.close()
    os.environ.update(SERVER="127.0.0.1", SMB_CONF_PATH=settings.name)
    from samba.tests.dcerpc import raw_protocol

    raw_protocol.global_ndr_print = False
    raw_protocol.global_hexdump = False
    cases = raw_protocol.TestDCERPC_BIND

    def epmap_reconnect(self, abstract, transfer=None, object=None):
        """All is at one port: nobody need be asked."""

    cases.epmap_reconnect = epmap_reconnect
    return cases, settings.name


def matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, p) for p in patterns)


def run(case):
    """In a process of its own: most cases wait for nothing to happen."""
    noise = io.StringIO()
    result = unittest.TestResult()
    with redirect_stderr(noise):
        CASES(case).run(result)
    problems = result.errors + result.failures
    if result.skipped:
        return case, None, result.skipped[0][1]
    return case, not problems, "".join(text for _, text in problems)


def main():
    server = start_server()
    names = unittest.TestLoader().getTestCaseNames(CASES)
    others = [n for n in names if matches(n, DOES_NOT_APPLY)]
    apply = [n for n in names if n not in others and matches(n, APPLIES)]
    alone = [n for n in apply if matches(n, ALONE)]
    rest = [n for n in apply if n not in alone]
    unknown = [n for n in names if n not in apply and n not in others]
    counts = {True: 0, False: 0, None: 0}
    number = 0

    with concurrent.futures.ProcessPoolExecutor(6) as pool:
        results = [pool.submit(run, n).result() for n in alone]
        for name, good, text in itertools.chain(results, pool.map(run, rest)):
            number += 1
            counts[good] += 1
            skip = " # SKIP " + text if good is None else ""
            print("%sok %d - %s%s" % ("not " if good is False else "", number,
                                      name, skip))
            if good is False:
                print("# " + text.strip().replace("\n", "\n# "))
    for name in unknown:
        number += 1
        print("not ok %d - %s is in no list" % (number, name))

    number += 1
    server.stdin.close()
    status = server.wait(60)
    print("%sok %d - the server ends well" % ("" if status == 0 else "not ",
                                              number))
    print("# %d cases pass, %d fail, %d do not apply"
          % (counts[True], counts[False], len(others)))
    print("1..%d" % number)
    return counts[False] or unknown or status


if __name__ == "__main__":
    in_namespace()
    CASES, SETTINGS = load_cases()
    try:
        bad = main()
    finally:
        os.unlink(SETTINGS)
    sys.exit(1 if bad else 0)
