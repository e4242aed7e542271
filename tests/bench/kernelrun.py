"""Boots the kernel with `bench=` and reads what its rows printed.

The exact mode counts instructions: two boots with the same words print the same bytes.  The single mode
runs all CPUs in one thread of the host, by its clock.
"""

import dataclasses
import json
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "console"))

import qemu  # noqa: E402
import runner  # noqa: E402
from verdict import Verdict  # noqa: E402

PREFIX = "BENCH "
# What the kernel could read of the host's clock.
EXACT_ARGS = ["-rtc", "base=2024-01-01T00:00:00,clock=vm"]
# The same for every number of CPUs, so that free memory can be compared.
MEMORY_MIB = 1024


class BenchError(Exception):
    """A boot did not do what was asked; says why."""


@dataclasses.dataclass
class Row:
    """One line of a boot."""

    name: str
    cpus: int
    data: dict

    @property
    def calls(self) -> int:
        """Operations of the row, those that warmed up included."""
        return self.data["calls"]

    @property
    def value(self) -> float:
        """What the row is judged by, in cycles: the median, or the mean of a crowd."""
        if "q" in self.data:
            return self.data["q"]["500"]
        return round(self.data["cycles"] / self.data["n"], 1)

    @property
    def interrupts(self) -> float:
        """Interrupts of calls, for each operation."""
        return round(self.data["interrupts"] / self.calls, 3)


@dataclasses.dataclass
class Boot:
    """What one boot measured."""

    mode: str
    cpus: int
    machine: dict
    rows: dict[str, Row]
    text: str
    seconds: float

    @property
    def floor(self) -> float:
        """Instructions of the raw round trip in the same boot; 0 when that was not measured."""
        row = self.rows.get("floor_busy")
        return row.value if row else 0.0


def parse(text: str) -> tuple[dict, dict[str, Row]]:
    """The machine's line and the rows."""
    machine, rows = {}, {}
    for line in text.splitlines():
        if not line.startswith(PREFIX):
            continue
        data = json.loads(line[len(PREFIX):])
        if "machine" in data:
            machine = data
        else:
            rows[data["row"]] = Row(data["row"], data["cpus"], data)
    return machine, rows


def boot(
    build: str, cpus: int, rows: str = "all", samples: int = 1000, mode: str = "exact", extra: tuple = ()
) -> Boot:
    """Boots once; BenchError when it does not pass."""
    config = qemu.Config(
        machine="q35",
        cpus=cpus,
        firmware="pvh",
        accel=mode,
        memory=MEMORY_MIB,
        append=f"bench={rows} samples={samples}",
        elf=os.path.join(build, "xcall.elf"),
        qemu_args=[*(EXACT_ARGS if mode == "exact" else []), *extra],
    )
    try:
        result = runner.run(config, runner.default_timeout(config), None)
    except qemu.ConfigError as e:
        raise BenchError(str(e)) from e
    if result.verdict != Verdict.PASS:
        raise BenchError(f"{cpus} CPUs, bench={rows}: {result.sentence()}\n{result.details()}")
    machine, found = parse(result.text)
    return Boot(mode, cpus, machine, found, result.text, result.seconds)
