#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
"""Measures remote procedure calls, ours and others', see bench.sh.

usage: rpc.py measure BUILD RESULTS [smoke]
       rpc.py report RESULTS

All systems take turns within a round, so that what changes on the machine
changes for all. There are BENCH_ROUNDS (5) of BENCH_SECONDS (2) for each
figure. "measure" writes RESULTS, a table of tab-separated values, and prints a
TAP line for each system and kind of measurement; "report" prints RESULTS as
tables: medians, and half of what lies between the rounds' extremes.
"""

import csv
import os
import statistics
import subprocess
import sys

# The name of a row, and the environment of its program.
PEERS = {
    "raw": {},
    "rpccancel-io_uring": {"RPCCANCEL_ENGINE": "io_uring"},
    "rpccancel-poll": {"RPCCANCEL_ENGINE": "poll"},
    "libtirpc": {},
    "grpc": {},
    "capnproto": {},
    "thrift": {},
    "ice": {},
    "omniorb": {},
    "zeromq": {},
}
# Those that make one call at a time on a connection.
NO_WINDOW = {"libtirpc", "thrift", "omniorb"}
# It has as many connections as threads.
POOLED = {"omniorb"}

FIELDS = ["round", "transport", "size", "connections", "window", "peer",
          "calls", "seconds", "p50", "p99", "max", "processor"]

LATENCY_SIZES = [0, 64, 1024, 16384, 262144, 1048576]
CONNECTIONS = [1, 16, 256, 4096]


def scenarios(smoke):
    """What is measured: transport, size, connections, window."""
    for transport in "tcp", "unix":
        for size in [0, 1048576] if smoke else LATENCY_SIZES:
            yield transport, size, 1, 1
        for connections in [3] if smoke else CONNECTIONS[1:]:
            yield transport, 0, connections, 1
        for connections in [1] if smoke else [1, 16]:
            yield transport, 0, connections, 64


def applies(build, peer, transport, connections, window):
    if window > 1 and peer in NO_WINDOW:
        return False
    if connections > 64 and peer in POOLED:
        return False
    if transport == "unix":
        return not subprocess.run([program(build, peer), "local"],
                                  check=False).returncode
    return True


def program(build, peer):
    return os.path.join(build, peer.split("-")[0] + "_peer")


def environment(peer):
    return {**os.environ, "RPCCANCEL_BACKEND": "user", **PEERS[peer]}


def call(build, peer, *arguments):
    """What the program prints, or None with its error on the screen."""
    done = subprocess.run([program(build, peer), *map(str, arguments)],
                          env=environment(peer), capture_output=True,
                          text=True, timeout=120, check=False)
    if done.returncode:
        print("# " + done.stderr.strip().replace("\n", "\n# "))
        return None
    return done.stdout.split()


def measure(build, results, smoke=None):
    rounds = 1 if smoke else int(os.environ.get("BENCH_ROUNDS", 5))
    seconds = 0.05 if smoke else float(os.environ.get("BENCH_SECONDS", 2))
    good = {}

    with open(results, "w", encoding="ascii") as f:
        table = csv.writer(f, dialect="excel-tab")
        table.writerow(FIELDS)
        for number in range(rounds):
            for what in scenarios(smoke):
                transport, _, connections, window = what
                for peer in PEERS:
                    if not applies(build, peer, transport, connections,
                                   window):
                        continue
                    figures = call(build, peer, *what, seconds)
                    name = f"{peer}, {transport}, {window} in flight"
                    good[name] = good.get(name, True) and bool(figures)
                    if figures:
                        table.writerow([number, *what, peer, *figures])
                    f.flush()

    for number, name in enumerate(good, 1):
        print(f"{'ok' if good[name] else 'not ok'} {number} - {name}")
    print(f"1..{len(good)}")
    return not all(good.values())


# What is shown of a measurement: the larger the better, or the reverse.
def calls_per_second(row):
    return float(row["calls"]) / float(row["seconds"])


def processor_per_call(row):
    return float(row["processor"]) * 1e6 / float(row["calls"])


def p50(row):
    return float(row["p50"]) / 1e3


def p99(row):
    return float(row["p99"]) / 1e3


class Results:
    def __init__(self, path):
        with open(path, encoding="ascii") as f:
            self.rows = list(csv.DictReader(f, dialect="excel-tab"))

    def values(self, figure, peer, transport, size, connections, window):
        what = [str(x) for x in (transport, size, connections, window, peer)]
        keys = ["transport", "size", "connections", "window", "peer"]
        return [figure(row) for row in self.rows
                if [row[k] for k in keys] == what]

    def cell(self, figure, peer, what, digits=1):
        """The median, and how far the rounds lie apart."""
        values = self.values(figure, peer, *what)
        if not values:
            return "—"
        median = statistics.median(values)
        spread = (max(values) - min(values)) / median if median else 0
        return f"{median:,.{digits}f} ±{50 * spread:.0f}%"

    def median(self, figure, peer, what):
        values = self.values(figure, peer, *what)
        return statistics.median(values) if values else None


def table(title, head, rows):
    """Columns as wide as what is in them."""
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    print(f"\n{title}\n")
    for row in [head, *rows]:
        print("  ".join([row[0].ljust(widths[0])] +
                        [cell.rjust(width)
                         for cell, width in zip(row[1:], widths[1:])]))


def report(results):
    r = Results(results)
    for transport, name in ("tcp", "TCP"), ("unix", "Unix sockets"):
        latency(r, transport, name)
        throughput(r, transport, name)
    return 0


def latency(r, transport, name):
    what = {size: (transport, size, 1, 1) for size in LATENCY_SIZES}
    raw = r.median(p50, "raw", what[0]) or float("nan")
    rows = []
    for peer in PEERS:
        null = r.median(p50, peer, what[0])
        if null is None:
            continue
        rows.append([peer, f"{null / raw:.2f}",
                     r.cell(p99, peer, what[0])] +
                    [r.cell(p50, peer, what[size]) for size in LATENCY_SIZES])
    table(f"{name}: µs of a call, one client",
          ["", "null / raw", "null, p99"] +
          [f"{size} B" if size else "null, p50" for size in LATENCY_SIZES], rows)


def throughput(r, transport, name):
    loads = [(c, 1) for c in CONNECTIONS] + [(1, 64), (16, 64)]
    for figure, title in ((calls_per_second, "null calls in a second"),
                          (processor_per_call,
                           "seconds of processor for a million null calls")):
        rows = []
        for peer in PEERS:
            cells = [r.cell(figure, peer, (transport, 0, c, w), 0
                            if figure is calls_per_second else 1)
                     for c, w in loads]
            if any(cell != "—" for cell in cells):
                rows.append([peer, *cells])
        table(f"{name}: {title}",
              ["connections × in flight"] + [f"{c} × {w}" for c, w in loads],
              rows)


def main():
    commands = {"measure": measure, "report": report}
    if len(sys.argv) < 3 or sys.argv[1] not in commands:
        print(__doc__, file=sys.stderr)
        return 2
    return commands[sys.argv[1]](*sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
