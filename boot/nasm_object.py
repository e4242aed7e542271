#!/usr/bin/python3
"""Takes the folder of the build out of an object that NASM made, so that builds in two folders are the same.

NASM writes the absolute folder of the source (DW_AT_comp_dir) into .debug_info and has no option to leave it out.
It becomes ".", as the C compiler has it by -ffile-prefix-map.  What stands behind it moves up: the section gets
shorter, the relocations behind it move with their places.
"""
import struct
import sys

# ELF-64 (System V gABI, 4): e_shoff, e_shentsize, e_shnum, e_shstrndx; of a section header: offset, size.
SHOFF, SHENTSIZE = 0x28, 0x3A
SECTION_OFFSET, SECTION_SIZE = 0x18, 0x20
RELA_BYTES = 24
# The compile unit of NASM 2.16: header of 11 bytes, abbreviation 1, low and high pc, line table, then texts.
NAME = 11 + 1 + 8 + 8 + 4
DWARF_3_ADDRESS_8 = struct.pack("<HIB", 3, 0, 8)


def fail(path: str, why: str):
    sys.exit(f"nasm_object.py: {path}: {why}")


def sections(image: bytearray) -> dict[str, int]:
    """Where each section's header stands, by its name."""
    (first,) = struct.unpack_from("<Q", image, SHOFF)
    each, count, names = struct.unpack_from("<HHH", image, SHENTSIZE)
    headers = [first + each * i for i in range(count)]
    (texts,) = struct.unpack_from("<Q", image, headers[names] + SECTION_OFFSET)
    found = {}
    for header in headers:
        start = texts + struct.unpack_from("<I", image, header)[0]
        found[image[start : image.index(0, start)].decode()] = header
    return found


def shorten(path: str, image: bytearray) -> None:
    found = sections(image)
    header = found.get(".debug_info")
    start, size = struct.unpack_from("<QQ", image, header + SECTION_OFFSET) if header else (0, 0)
    if size == 0:
        return  # no instructions
    info = image[start : start + size]
    (length,) = struct.unpack_from("<I", info)
    if length + 4 != size or info[4:11] != DWARF_3_ADDRESS_8:
        fail(path, "its debug information is not laid out as that of NASM 2.16")
    folder = info.index(0, NAME) + 1
    end = info.index(0, folder)
    if info[folder : folder + 1] != b"/" or not info[end + 1 :].startswith(b"NASM "):
        fail(path, "the folder does not stand where NASM 2.16 has it")
    info[folder:end] = b"."
    cut = size - len(info)
    struct.pack_into("<I", info, 0, length - cut)
    image[start : start + size] = info + bytes(cut)
    struct.pack_into("<Q", image, header + SECTION_SIZE, size - cut)
    relocate(image, found[".rela.debug_info"], folder, cut)


def relocate(image: bytearray, header: int, behind: int, cut: int) -> None:
    start, size = struct.unpack_from("<QQ", image, header + SECTION_OFFSET)
    for at in range(start, start + size, RELA_BYTES):
        (place,) = struct.unpack_from("<Q", image, at)
        if place > behind:
            struct.pack_into("<Q", image, at, place - cut)


if __name__ == "__main__":
    with open(sys.argv[1], "r+b") as file:
        content = bytearray(file.read())
        shorten(sys.argv[1], content)
        file.seek(0)
        file.write(content)
