"""Hands QEMU ACPI tables of our own making, broken ones above all.

QEMU's own tables are switched off (-no-acpi) and three fw_cfg files put in their place: the RSDP, the tables, and
a script of 128-byte records (QEMU, hw/acpi/bios-linker-loader.c) that SeaBIOS follows: allocate the files, patch
the pointers, fix the checksums.  The MP table that SeaBIOS makes stays, as on a board with a corrupt MADT.
"""

import os
import struct

RSDP = "etc/acpi/rsdp"
TABLES = "etc/acpi/tables"
LOADER = "etc/table-loader"

# Zones of the loader's allocate command.
ZONE_HIGH, ZONE_FSEG = 1, 2


def table(signature: bytes, revision: int, body: bytes, good: bool = True) -> bytes:
    """A table with its header (ACPI 6.4, 5.2.6); with a wrong checksum unless `good`."""
    header = struct.pack("<4sIBB6s8sI4sI", signature, 36 + len(body), revision, 0, b"XCALL ", b"TESTTEST",
                         1, b"TEST", 1)
    data = bytearray(header + body)
    data[9] = (-sum(data)) & 0xff if good else (1 - sum(data)) & 0xff
    return bytes(data)


def local_apic(apic_id: int, flags: int = 1) -> bytes:
    """MADT entry 0: a processor and its local APIC."""
    return struct.pack("<BBBBI", 0, 8, apic_id, apic_id, flags)


def local_x2apic(apic_id: int, flags: int = 1) -> bytes:
    """MADT entry 9: a processor and its local x2APIC."""
    return struct.pack("<BBHIII", 9, 16, 0, apic_id, flags, apic_id)


def madt(entries: bytes, good: bool = True) -> bytes:
    """A MADT that names the LAPICs' usual address."""
    return table(b"APIC", 3, struct.pack("<II", 0xfee00000, 1) + entries, good)


def _name(name: str) -> bytes:
    return name.encode().ljust(56, b"\0")


def qemu_args(scratch: str, madt_table: bytes) -> list[str]:
    """Words for QEMU's command line that replace all its ACPI tables by an RSDT with this MADT alone."""
    rsdt_offset = 0
    madt_offset = 40
    rsdt = bytearray(table(b"RSDT", 1, struct.pack("<I", madt_offset)))
    rsdt[9] = 0
    rsdp = bytearray(struct.pack("<8sB6sBI", b"RSD PTR ", 0, b"XCALL ", 0, rsdt_offset))
    script = [
        struct.pack("<I56sIB", 1, _name(RSDP), 16, ZONE_FSEG),
        struct.pack("<I56sIB", 1, _name(TABLES), 64, ZONE_HIGH),
        struct.pack("<I56s56sIB", 2, _name(TABLES), _name(TABLES), 36, 4),
        struct.pack("<I56sIII", 3, _name(TABLES), 9, 0, 40),
        struct.pack("<I56s56sIB", 2, _name(RSDP), _name(TABLES), 16, 4),
        struct.pack("<I56sIII", 3, _name(RSDP), 8, 0, 20),
    ]
    files = {
        RSDP: bytes(rsdp),
        TABLES: bytes(rsdt) + madt_table,
        LOADER: b"".join(command.ljust(128, b"\0") for command in script),
    }
    args = ["-no-acpi"]
    for name, content in files.items():
        path = os.path.join(scratch, name.replace("/", "-"))
        with open(path, "wb") as file:
            file.write(content)
        args += ["-fw_cfg", f"name={name},file={path}"]
    return args
