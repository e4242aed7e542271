"""Where the instructions of a row go: by function, or instruction by instruction beside the source.

QEMU's plugin (plugin.c) counts how often each instruction runs between the marks around a sample.
"""

import bisect
import collections
import os
import subprocess

import kernelrun

HERE = os.path.dirname(os.path.abspath(__file__))


def plugin(build: str, name: str) -> str:
    """Builds a plugin when it is older than its sources."""
    source, out = os.path.join(HERE, f"{name}.c"), os.path.join(build, "bench", f"{name}.so")
    newest = max(os.path.getmtime(file) for file in (source, os.path.join(HERE, "qemu_plugin.h")))
    if not os.path.exists(out) or os.path.getmtime(out) < newest:
        os.makedirs(os.path.dirname(out), exist_ok=True)
        command = ["cc", "-O2", "-Wall", "-shared", "-fPIC", f"-I{kernelrun.ROOT}", "-o", out, source]
        subprocess.run(command, check=True)
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
    kernelrun.boot(build, cpus, row, samples, extra=("-plugin", f"{plugin(build, 'plugin')},out={out}"))
    with open(out, encoding="ascii") as f:
        taken = int(f.readline())
        counts: dict[int, list[int]] = collections.defaultdict(lambda: [0, 0])
        for line in f:
            pc, sender, others = line.split()
            counts[int(pc, 16)][0] += int(sender)
            counts[int(pc, 16)][1] += int(others)
    return taken, counts


# One call at a time: a crowd's interrupt runs the calls of many.
MASKED_ROWS = (
    "unicast_busy,unicast_idle,unicast_timed,descriptor_busy,vector_busy,message_busy,self,highpri_busy,"
    "post_empty,broadcast_busy,broadcast_idle,low_idle,low_all"
)


def masked(build: str, cpus: int = 8, rows: str = MASKED_ROWS, samples: int = 100) -> tuple[int, str, str]:
    """The longest stretch with interrupts off that touches xcall/: instructions, where from, where to."""
    elf, out = os.path.join(build, "xcall.elf"), os.path.join(build, "bench", "masked.txt")
    addresses, names = symbols(elf)
    ours = _functions(os.path.join(build, "obj", "xcall"))
    inside = [i for i, name in enumerate(names) if name in ours]
    entries = [f"entry={at:x}" for at, name in zip(addresses, names) if "_stub" in name]
    words = [f"out={out}", f"low={addresses[inside[0]]:x}", f"high={addresses[inside[-1] + 1]:x}", *entries]
    kernelrun.boot(build, cpus, rows, samples, extra=("-plugin", ",".join([plugin(build, "masked"), *words])))
    with open(out, encoding="ascii") as f:
        longest, *ends = f.read().split()
    where = [names[bisect.bisect_right(addresses, int(end, 16)) - 1] for end in ends]
    return int(longest), where[0], where[1]


def _functions(folder: str) -> set[str]:
    """Global functions of a folder's objects: their names are of no other."""
    files = [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".o")]
    out = subprocess.run(["nm", "--defined-only", *files], check=True, stdout=subprocess.PIPE, text=True).stdout
    return {words[2] for words in map(str.split, out.splitlines()) if len(words) == 3 and words[1] == "T"}


def text(build: str, row: str, cpus: int, samples: int, lines: bool) -> str:
    """The row's functions, and with `lines` their instructions."""
    taken, counts = count(build, row, cpus, samples)
    addresses, names = symbols(os.path.join(build, "xcall.elf"))
    functions: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
    for pc, (sender, others) in counts.items():
        name = names[bisect.bisect_right(addresses, pc) - 1]
        functions[name][0] += sender
        functions[name][1] += others
    functions = dict(sorted(functions.items(), key=lambda item: -sum(item[1])))
    total = [sum(f[i] for f in functions.values()) / taken for i in (0, 1)]
    out = [
        f"{row}, {cpus} CPUs: instructions a sample, mean of {taken}",
        f"{'CPU 0':>10} {'others':>10}  function",
        f"{total[0]:10.2f} {total[1]:10.2f}  all",
    ]
    out += [f"{mine / taken:10.2f} {others / taken:10.2f}  {name}" for name, (mine, others) in functions.items()]
    if lines:
        for name in functions:
            out += ["", *_lines(os.path.join(build, "xcall.elf"), name, counts, taken)]
    return "\n".join(out)


def _lines(elf: str, name: str, counts: dict[int, list[int]], taken: int) -> list[str]:
    done = subprocess.run(
        ["objdump", "-d", "-S", "--no-show-raw-insn", f"--disassemble={name}", elf],
        check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,  # of NASM's debug information
    )  # fmt: skip
    out = []
    for line in done.stdout.splitlines()[3:]:
        try:
            mine, others = counts.get(int(line.split(":", 1)[0], 16), (0, 0))
        except ValueError:
            out.append(f"{'':22}{line}")
        else:
            out.append(f"{mine / taken:10.2f} {others / taken:10.2f} {line}")
    return out
