#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
"""Compares the description for syzkaller with the header of the interface.

usage: compare.py DESCRIPTION HEADER

Each command must be described, with the direction of its argument, and each
structure with the same fields, in the same order and of the same size. Prints
what differs.
"""
import re
import sys

DIRECTIONS = {"_IOR": "out", "_IOW": "in", "_IOWR": "inout"}
BUILTIN = {"int8": 1, "int16": 2, "int32": 4, "int64": 8, "ptr64": 8, "pid": 4,
           "fd": 4}

complaints = []


def complain(text):
    complaints.append(text)


def split_args(text):
    """The arguments of a[b, c[d, e]]."""
    args, depth, last = [], 0, 0
    for i, c in enumerate(text):
        depth += (c == "[") - (c == "]")
        if c == "," and not depth:
            args.append(text[last:i].strip())
            last = i + 1
    return args + [text[last:].strip()]


class Header:
    """struct NAME { TYPE FIELD; } and the commands."""

    def __init__(self, text):
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        self.structs = {}
        for name, body in re.findall(r"struct (\w+) \{(.*?)\};", text, re.S):
            fields = re.findall(r"__[us](\d+)\s+(\w+)(?:\[(\d+)\])?;", body)
            self.structs[name] = [(field, int(bits) // 8 * int(count or 1))
                                  for bits, field, count in fields]
        self.commands = re.findall(
            r"#define (RPCCANCEL_IOC_\w+)\s+(_IO[WR]*)\("
            r"RPCCANCEL_IOC_MAGIC, 0x\w+(?:, struct (\w+))?\)", text)
        self.names = set(re.findall(r"#define (RPCCANCEL_\w+)", text))


class Description:
    """name { FIELD TYPE (ATTRIBUTE) }, resources, and the calls."""

    def __init__(self, text):
        text = re.sub(r"#.*", "", text)
        self.text = text
        self.sizes = dict(BUILTIN)
        for name, base in re.findall(r"^resource (\w+)\[(\w+)\]", text, re.M):
            self.sizes[name] = self.sizes[base]
        self.structs = {}
        for name, body in re.findall(r"^(\w+) \{\n(.*?)\n\}", text, re.M | re.S):
            self.structs[name] = [self.field(line)
                                  for line in body.splitlines()]
        self.calls = dict(re.findall(r"^ioctl\$(\w+)\((.*)\)", text, re.M))

    def field(self, line):
        name, rest = line.split(None, 1)
        return name, self.size(re.sub(r"\s*\((in|out|inout)\)$", "", rest))

    def size(self, kind):
        """How many bytes a type takes in a structure."""
        name, _, args = kind.strip().partition("[")
        args = split_args(args[:-1]) if args else []
        if name == "array":
            return self.size(args[0]) * int(args[1])
        if name in ("const", "flags", "len"):
            return self.sizes[args[1]]
        return self.sizes[name]


def compare(header, description):
    for name, macro, struct in header.commands:
        call = description.calls.get(name)
        if call is None:
            complain(f"{name} is not described")
            continue
        if f"cmd const[{name}]" not in call:
            complain(f"ioctl${name} gives another command")
        if struct and f"arg ptr[{DIRECTIONS[macro]}, {struct}]" not in call:
            complain(f"ioctl${name}: the argument is not "
                     f"ptr[{DIRECTIONS[macro]}, {struct}]")
    for name, fields in header.structs.items():
        # The slot is memory that all write to, and no argument.
        if name != "rpccancel_slot" and description.structs.get(name) != fields:
            complain(f"{name} is {fields}, and described as "
                     f"{description.structs.get(name)}")
    for name in set(re.findall(r"\bRPCCANCEL_\w+", description.text)):
        if name not in header.names:
            complain(f"{name} is not in the header")


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        description = Description(f.read())
    with open(sys.argv[2], encoding="utf-8") as f:
        header = Header(f.read())
    if not header.commands or not header.structs:
        complain("the header cannot be read")
    compare(header, description)
    for text in complaints:
        print(text)
    return bool(complaints)


sys.exit(main())
