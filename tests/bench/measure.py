"""Everything of one `make bench`, and of one `make bench-peers`, as files under build/bench/.

ours.json and linux.json:
	exact		rows by N: instructions
	single		rows of each of several boots by N: cycles of the host
	start_ms	until all CPUs were online, of each of several boots by N; one host thread a CPU
	figures		single numbers by name (ours only)
"""

import concurrent.futures
import json
import os
import re
import statistics
import subprocess

import insns
import kernelrun
import linux
import sizes

# CPUs, rows, samples.
EXACT = (
    (2, "all", 1000),
    (8, "all", 1000),
    (64, "all", 200),
    *((n, sizes.SCALING, 100) for n in (1, 4, 16, 32, 128)),
    (255, sizes.SCALING, 10),
)
SINGLE_CPUS, SINGLE_ROWS, BOOTS = 2, "empty,floor_busy,floor_idle,unicast_busy,unicast_idle", 5
START_CPUS = (4, 16, 64)
# QEMU has 255 CPUs, and the exact mode needs one more than Linux uses.
LINUX_EXACT = ((2, 1000), (8, 1000), (64, 200), (254, 4))
# Boots that do not watch the host's clock run side by side.
JOBS = os.cpu_count() or 1


def path(build: str, name: str) -> str:
    """A file of results."""
    return os.path.join(build, "bench", name)


def load(build: str, name: str) -> dict:
    """What was measured; empty when nothing was."""
    try:
        with open(path(build, name), encoding="utf-8") as f:
            return json.load(f)
    except FileNotFoundError:
        return {}


def store(build: str, name: str, results: dict) -> None:
    """Writes a file of results."""
    os.makedirs(os.path.dirname(path(build, name)), exist_ok=True)
    with open(path(build, name), "w", encoding="utf-8") as f:
        json.dump(results, f, indent=1)
        f.write("\n")


def _rows(boot: kernelrun.Boot) -> dict:
    return {row.name: row.data for row in boot.rows.values()}


def qemu_version() -> str:
    """Of the QEMU that measures."""
    out = subprocess.run(["qemu-system-x86_64", "--version"], check=True, stdout=subprocess.PIPE, text=True)
    return out.stdout.splitlines()[0]


def ours(build: str, say) -> dict:
    """Boots this kernel in all ways."""
    found = {"qemu": qemu_version(), "exact": {}, "single": {}, "start_ms": {}, "figures": {}}
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        boots = list(pool.map(lambda p: kernelrun.boot(build, *p), sorted(EXACT, reverse=True)))
    for boot in sorted(boots, key=lambda boot: boot.cpus):
        found["exact"][str(boot.cpus)] = _rows(boot)
        say(boot)
    singles = [kernelrun.boot(build, SINGLE_CPUS, SINGLE_ROWS, mode="single") for _ in range(BOOTS)]
    found["single"][str(SINGLE_CPUS)] = [_rows(boot) for boot in singles]
    for boot in singles:
        say(boot)
    for cpus in START_CPUS:
        starts = [kernelrun.boot(build, cpus, "empty", 1, mode="multi") for _ in range(BOOTS)]
        found["start_ms"][str(cpus)] = [boot.machine["start_ns"] / 1e6 for boot in starts]
    machines = {boot.cpus: boot.machine for boot in boots}
    found["figures"] = {**sizes.image_figures(build), **sizes.memory_figures(machines[8], machines[64])}
    longest, begin, end = insns.masked(build)
    found["figures"]["masked instructions"] = longest
    found["masked"] = f"{begin} to {end}"
    return found


def lines(simulator: str) -> dict:
    """Cache lines that a unicast moves, from the simulator (tests/host/sim/)."""
    out = subprocess.run(
        [simulator, "seed=1", "cpus=2", "scenario=lines"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    found = re.findall(r"^(\w+) +unicast and wait: +([\d.]+) lines of xcall/ move, +([\d.]+) of", out, re.M)
    # One line for each schedule that the simulator tried.
    by_name = {name: [float(a) + float(b) for n, a, b in found if n == name] for name, _, _ in found}
    return {f"lines of a {name.lower()} unicast": statistics.median(moved) for name, moved in by_name.items()}


def peers(build: str, say) -> dict:
    """Boots Linux in the ways that are compared."""
    linux.prepare(build)
    found = {"exact": {}, "single": {}, "start_ms": {}}
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        boots = list(pool.map(lambda p: linux.boot(build, p[0], samples=p[1]), LINUX_EXACT[::-1]))[::-1]
    for (cpus, _), boot in zip(LINUX_EXACT, boots):
        found["exact"][str(cpus)] = boot["rows"]
        found["release"] = boot["boot"]["release"]
        say(f"Linux {found['release']}, {cpus} CPUs, exact: {len(boot['rows'])} rows")
    for cpus in START_CPUS:
        starts = [linux.boot(build, cpus, "multi", calls=False)["boot"] for _ in range(BOOTS)]
        found["start_ms"][str(cpus)] = [1e3 * (s["brought_up"] - s["bringing_up"]) for s in starts]
    return found
