"""Reads the sets of test cases out of the kernel's ELF file (tests/kernel/test.h): what a boot must report.

Only what that needs: 64-bit little-endian ELF, its symbol table, and memory contents by address.
"""

import struct

SHT_SYMTAB = 2
PT_LOAD = 1


class Elf:
    """A statically linked kernel."""

    def __init__(self, path: str) -> None:
        with open(path, "rb") as f:
            self._data = f.read()
        if self._data[:6] != b"\x7fELF\x02\x01":
            raise ValueError(f"{path} is not a 64-bit little-endian ELF file")
        header = struct.unpack_from("<QQQIHHHHHH", self._data, 24)
        _, phoff, shoff, _, _, phentsize, phnum, shentsize, shnum, _ = header
        self._segments = [
            struct.unpack_from("<IIQQQQ", self._data, phoff + i * phentsize) for i in range(phnum)
        ]
        self._sections = [
            struct.unpack_from("<IIQQQQIIQQ", self._data, shoff + i * shentsize) for i in range(shnum)
        ]

    def symbol(self, name: str) -> int:
        """The address of a symbol; KeyError when there is none."""
        for _, kind, _, _, offset, size, link, _, _, entsize in self._sections:
            if kind != SHT_SYMTAB:
                continue
            strings = self._sections[link][4]
            for at in range(offset, offset + size, entsize):
                name_at, _, _, _, value, _ = struct.unpack_from("<IBBHQQ", self._data, at)
                if self._string_at(strings + name_at) == name:
                    return value
        raise KeyError(name)

    def read(self, address: int, size: int) -> bytes:
        """Initialised memory."""
        offset = self._offset(address)
        return self._data[offset : offset + size]

    def string(self, address: int) -> str:
        """A C string."""
        return self._string_at(self._offset(address))

    def _offset(self, address: int) -> int:
        for kind, _, offset, vaddr, _, filesz in self._segments:
            if kind == PT_LOAD and vaddr <= address < vaddr + filesz:
                return offset + address - vaddr
        raise ValueError(f"nothing is loaded at {address:#x}")

    def _string_at(self, offset: int) -> str:
        return self._data[offset : self._data.index(b"\0", offset)].decode()


def _entries(elf: Elf, name: str, words: int) -> list[tuple[int, ...]]:
    start, end = elf.symbol(f"{name}_start"), elf.symbol(f"{name}_end")
    if start == end:
        return []
    return list(struct.iter_unpack(f"<{words}Q", elf.read(start, end - start)))


def cases(path: str) -> list[tuple[str, str]]:
    """(suite, case) of every struct test_case in the kernel, in the order in which they run."""
    elf = Elf(path)
    return [(elf.string(suite), elf.string(case)) for suite, case, _ in _entries(elf, "set_tests", 3)]


def misuses(path: str) -> list[str]:
    """The name of every struct test_misuse in the kernel."""
    elf = Elf(path)
    return [elf.string(name) for name, _ in _entries(elf, "set_misuses", 2)]
