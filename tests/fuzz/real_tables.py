"""Runs inside gdb, stopped at the kernel's first instruction in C: writes down what the loader and the firmware left.

gdb is started by make_corpus.  The first page tables map the first 4 GiB one to one, so addresses are physical.
"""
import os
import struct

import gdb

OUT = os.environ["CORPUS_OUT"]


def memory(address: int, size: int) -> bytes:
    return bytes(gdb.selected_inferior().read_memory(address, size))


def number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


def save(name: str, data: bytes) -> None:
    with open(os.path.join(OUT, name), "wb") as file:
        file.write(data)


def acpi(rsdp: bytes) -> None:
    """The RSDP, the lists and the tables behind them."""
    save("RSDP", rsdp)
    xsdt = number(rsdp, 24, 8) if rsdp[15] >= 2 else 0
    for name, address, width in (("RSDT", number(rsdp, 16, 4), 4), ("XSDT", xsdt, 8)):
        if address == 0:
            continue
        table = memory(address, number(memory(address, 36), 4, 4))
        save(name, table)
        for at in range(36, len(table), width):
            entry = number(table, at, width)
            header = memory(entry, 36)
            body = memory(entry, number(header, 4, 4))
            save(header[:4].decode(), body)
            if header[:4] == b"FACP":
                dsdt = number(body, 40, 4)
                save("DSDT", memory(dsdt, number(memory(dsdt, 36), 4, 4)))


def bios(area: bytes) -> None:
    """The MP table of the BIOS, and the RSDP for loaders that do not hand it over."""
    at = area.find(b"RSD PTR ")
    if at >= 0:
        acpi(area[at : at + 36])
    for at in range(0, len(area), 16):
        pointer = area[at : at + 16]
        if pointer.startswith(b"_MP_") and sum(pointer) % 256 == 0:
            table = number(pointer, 4, 4)
            save("MP", pointer + memory(table, number(memory(table, 44), 4, 2)))


def pvh(info: int) -> None:
    """The start information with what it points to, moved to address 0x1000."""
    start = bytearray(memory(info, 56))
    cmdline, entries = number(start, 24, 8), number(start, 48, 4)
    table = memory(number(start, 40, 8), 24 * entries)
    text = memory(cmdline, 64).split(b"\0")[0] + b"\0" if cmdline else b""
    struct.pack_into("<Q", start, 40, 0x1000 + 56)
    struct.pack_into("<Q", start, 24, 0x1000 + 56 + len(table) if text else 0)
    save("PVH", bytes(start) + table + text)
    rsdp = number(start, 32, 8)
    if rsdp:
        acpi(memory(rsdp, 36))


def main() -> None:
    magic = int(gdb.parse_and_eval("(unsigned)$rdi"))
    info = int(gdb.parse_and_eval("(unsigned)$rsi"))
    if magic == 0x36D76289:
        data = memory(info, number(memory(info, 8), 0, 4))
        save("MBI", data)
        at = 8
        while number(data, at, 4) != 0:
            if number(data, at, 4) == 15:
                acpi(data[at + 8 : at + 44])
            at += (number(data, at + 4, 4) + 7) & ~7
    else:
        pvh(info)
    bios(memory(0xE0000, 0x20000))


main()
