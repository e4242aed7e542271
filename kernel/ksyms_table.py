#!/usr/bin/python3
"""Turns `nm -n` output (standard input) into the assembler source of the kernel's symbol table: addresses of
functions in ascending order, offsets of their names, the names.  See kernel/ksyms.c for the reader."""

import re
import sys

# What a compiler appends to the name of a part or a copy of a function.
COPY = re.compile(r"(\.(isra|part|constprop|cold|llvm)(\.\d+)?)+$")

functions = []
for line in sys.stdin:
    address, kind, name = line.split()
    name = COPY.sub("", name)
    if kind not in "tT" or "." in name or name.startswith("trap_stub_"):
        continue
    value = int(address, 16)
    if functions and functions[-1][0] == value:
        continue
    functions.append((value, name))

print('\t.section .ksyms,"a",@progbits\n\t.balign 16')
print(f"\t.globl ksyms_count\nksyms_count:\n\t.long {len(functions)}")
print("\t.globl ksyms_address\nksyms_address:")
for value, _ in functions:
    print(f"\t.long {value:#x}")
print("\t.globl ksyms_name\nksyms_name:")
offset = 0
for _, name in functions:
    print(f"\t.long {offset}")
    offset += len(name) + 1
print("\t.globl ksyms_names\nksyms_names:")
for _, name in functions:
    print(f'\t.asciz "{name}"')
print('\t.byte 0\n\t.section .note.GNU-stack,"",@progbits')
