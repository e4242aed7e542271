"""The gate: instruction counts and sizes against gate.json.

Exact mode only, so a count that differs is a change of the code.  Growth over 3 % fails, and so does a row
that is missing or has no entry yet; `make bench-gate UPDATE=1` writes what is measured now.
"""

import concurrent.futures
import json
import os

import kernelrun
import sizes

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "gate.json")
GROWTH = 0.03
# What one instruction more, or a hundredth of an interrupt a call, may be above it.
LEEWAY, LEEWAY_BELOW_ONE = 1.0, 0.01

# CPUs, rows, samples: what has a number of its own at that size.
MANY = (
    "empty,floor_self,floor_busy,floor_idle,unicast_busy,unicast_idle,broadcast_busy,broadcast_idle,"
    "broadcast_all,post_broadcast,timers,low_all,stop_machine,all_to_all,storm_8,storm_8_deep"
)
PLAN = ((64, MANY, 100), (8, "all", 1000), (2, "all", 1000))
# Compared by their interrupts too.
STORMS = ("storm_8", "storm_8_deep")


def measure(build: str) -> dict[str, float]:
    """Every gated figure by name."""
    found, machines = {}, {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        boots = list(pool.map(lambda p: kernelrun.boot(build, *p), PLAN))
    for boot in boots:
        cpus, machines[boot.cpus] = boot.cpus, boot.machine
        for row in boot.rows.values():
            found[f"{row.name} N={cpus}"] = row.value
            if row.name in STORMS:
                found[f"{row.name} N={cpus} interrupts"] = row.interrupts
    found.update(sizes.image_figures(build))
    found.update(sizes.memory_figures(machines[8], machines[64]))
    return found


def load() -> dict[str, float]:
    """What is allowed, without the growth."""
    if not os.path.exists(FILE):
        return {}
    with open(FILE, encoding="utf-8") as f:
        return json.load(f)


def allowed(value: float) -> float:
    """The most that passes."""
    return max(value * (1 + GROWTH), value + (LEEWAY if value >= 1 else LEEWAY_BELOW_ONE))


def compare(found: dict[str, float], gate: dict[str, float]) -> list[str]:
    """Prints a line a figure; returns the complaints."""
    complaints = []
    print(f"{'figure':34} {'gate':>10} {'now':>10} {'change':>8}")
    for name in sorted(found.keys() | gate.keys()):
        old, new = gate.get(name), found.get(name)
        if old is None or new is None:
            complaints.append(f"{name}: {'not in gate.json' if old is None else 'not measured'}")
            print(f"{name:34} {'-' if old is None else old:>10} {'-' if new is None else new:>10}")
            continue
        change = f"{100 * (new - old) / old:+.1f} %" if old else ""
        print(f"{name:34} {old:>10} {new:>10} {change:>8}")
        if new > allowed(old):
            complaints.append(f"{name}: {new}, was {old}")
    return complaints


def run(build: str, update: bool) -> int:
    """Exit code."""
    found = measure(build)
    if update:
        with open(FILE, "w", encoding="utf-8") as f:
            json.dump(found, f, indent=1, sort_keys=True)
            f.write("\n")
        print(f"gate: {len(found)} figures written")
        return 0
    complaints = compare(found, load())
    for line in complaints:
        print(f"gate: {line}")
    gate = load()
    shrunk = sum(allowed(new) < gate.get(name, new) for name, new in found.items())
    if shrunk:
        print(f"gate: {shrunk} figures shrank: make bench-gate UPDATE=1 holds them there")
    print(f"gate: {'failed' if complaints else 'passed'}, {len(found)} figures, {len(complaints)} complaints")
    return 1 if complaints else 0
