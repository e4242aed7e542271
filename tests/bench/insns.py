"""Where the instructions of a row go: by function, or instruction by instruction beside the source.

QEMU's plugin (plugin.c) counts how often each instruction runs between the marks around a sample.
"""

import bisect
import collections
import os
import subprocess

import kernelrun

HERE = os.path.dirname(os.path.abspath(__file__))


def plugin(build: str) -> str:
    """Builds the plugin when it is older than its source."""
    source, out = os.path.join(HERE, "plugin.c"), os.path.join(build, "bench", "plugin.so")
    if not os.path.exists(out) or os.path.getmtime(out) < os.path.getmtime(source):
        os.makedirs(os.path.dirname(out), exist_ok=True)
        subprocess.run(["cc", "-O2", "-Wall", "-shared", "-fPIC", "-o", out, source], check=True)
    return out


def symbols(elf: str) -> tuple[list[int], list[str]]:
    """Functions by address."""
    out = subprocess.run(["nm", "--defined-only", "-n", elf], check=True, stdout=subprocess.PIPE, text=True)
    found = [line.split() for line in out.stdout.splitlines()]
    found = [(int(at, 16), name) for at, kind, name in found if kind in "tT"]
    return [at for at, _ in found], [name for _, name in found]


def count(build: str, row: str, cpus: int, samples: int) -> tuple[int, dict[int, list[int]]]:
    """How many samples, and how often each address ran: on CPU 0, on the others."""
    out = os.path.join(build, "bench", "insns.txt")
    kernelrun.boot(build, cpus, row, samples, extra=("-plugin", f"{plugin(build)},out={out}"))
    with open(out, encoding="ascii") as f:
        taken = int(f.readline())
        counts: dict[int, list[int]] = collections.defaultdict(lambda: [0, 0])
        for line in f:
            pc, sender, others = line.split()
            counts[int(pc, 16)][0] += int(sender)
            counts[int(pc, 16)][1] += int(others)
    return taken, counts


def show(build: str, row: str, cpus: int, samples: int, lines: bool) -> None:
    """Prints the row's functions, and with `lines` their instructions."""
    elf = os.path.join(build, "xcall.elf")
    taken, counts = count(build, row, cpus, samples)
    addresses, names = symbols(elf)
    functions: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
    for pc, (sender, others) in counts.items():
        name = names[bisect.bisect_right(addresses, pc) - 1]
        functions[name][0] += sender
        functions[name][1] += others
    total = [sum(f[i] for f in functions.values()) / taken for i in (0, 1)]
    print(f"{row}, {cpus} CPUs: instructions a sample, mean of {taken}")
    print(f"{'CPU 0':>10} {'others':>10}  function")
    print(f"{total[0]:10.2f} {total[1]:10.2f}  all")
    for name, (sender, others) in sorted(functions.items(), key=lambda item: -sum(item[1])):
        print(f"{sender / taken:10.2f} {others / taken:10.2f}  {name}")
    if lines:
        for name in sorted(functions, key=lambda name: -sum(functions[name])):
            _show_lines(elf, name, counts, taken)


def _show_lines(elf: str, name: str, counts: dict[int, list[int]], taken: int) -> None:
    out = subprocess.run(
        ["objdump", "-d", "-S", "--no-show-raw-insn", f"--disassemble={name}", elf],
        check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,  # of NASM's debug information
    ).stdout  # fmt: skip
    print()
    for line in out.splitlines()[3:]:
        address = line.split(":", 1)[0].strip()
        try:
            sender, others = counts.get(int(address, 16), (0, 0))
        except ValueError:
            print(f"{'':22}{line}")
            continue
        print(f"{sender / taken:10.2f} {others / taken:10.2f} {line}")
