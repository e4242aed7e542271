"""Sizes of the image, without what is no part of the kernel proper: tests, benchmarks, font, symbol table."""

import os
import subprocess

# Objects that do not count (performance goals, memory).
LEFT_OUT = ("tests/", "kernel/x86/font", "ksyms-")


def objects(build: str) -> list[str]:
    """The kernel's objects that count."""
    top = os.path.join(build, "obj")
    found = []
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith(".o") and not os.path.relpath(path, top).startswith(LEFT_OUT):
                found.append(path)
    return sorted(found)


def image(build: str) -> dict[str, int]:
    """Bytes of text (constants included), data and zeroed data."""
    out = subprocess.run(["size", *objects(build)], check=True, stdout=subprocess.PIPE, text=True).stdout
    total = {"text": 0, "data": 0, "bss": 0}
    for line in out.splitlines()[1:]:
        text, data, bss, *_ = line.split()
        total["text"] += int(text)
        total["data"] += int(data)
        total["bss"] += int(bss)
    return total


def gated(build: str) -> dict[str, float]:
    """What the gate holds."""
    total = image(build)
    return {"image text+data bytes": total["text"] + total["data"], "image bss bytes": total["bss"]}
