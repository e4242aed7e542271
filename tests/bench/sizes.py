"""Sizes: of the image, without what is no part of the kernel proper (tests, benchmarks, font, symbol table);
of a CPU; of a call."""

import os
import subprocess

# Objects that do not count (performance goals, memory).
LEFT_OUT = ("tests/", "kernel/x86/font", "ksyms-")
# Rows that have a number of their own at each N.
SCALING = "empty,floor_busy,unicast_busy,broadcast_busy,broadcast_idle,post_broadcast,skew,timers,low_all,stop_machine"
PAGE_BYTES = 4096


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


def image_figures(build: str) -> dict[str, float]:
    """Bytes of text (constants included) and data; of zeroed data."""
    out = subprocess.run(["size", *objects(build)], check=True, stdout=subprocess.PIPE, text=True).stdout
    total = [0, 0, 0]
    for line in out.splitlines()[1:]:
        for i, part in enumerate(line.split()[:3]):
            total[i] += int(part)
    return {"image text+data bytes": total[0] + total[1], "image bss bytes": total[2]}


def memory_figures(few: dict, many: dict) -> dict[str, float]:
    """From the machine's lines of two boots with different N: what one CPU more takes, of the memory that there
    is after the image; what xc_init_cpu() takes of it, without the stack of xcall/N; a call's descriptor."""
    used = [machine["pages_total"] - machine["pages_free"] for machine in (few, many)]
    calls = many["xcall_pages"] * PAGE_BYTES / many["cpus"] - many["stack_bytes"]
    return {
        "bytes a CPU": round((used[1] - used[0]) * PAGE_BYTES / (many["cpus"] - few["cpus"])),
        "bytes a CPU of calls": round(calls),
        "bytes a call": many["call_bytes"],
    }
