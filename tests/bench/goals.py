"""The goals of goals.toml against what was measured.

A goal is met; or answered, by a section "### Limit: <id>" of README.md that shows the measured limit; or open.
"""

import os
import re
import statistics
import tomllib
from dataclasses import dataclass

HERE = os.path.dirname(os.path.abspath(__file__))


class Missing(Exception):
    """A figure was not measured."""


@dataclass
class Judged:
    """One goal."""

    id: str
    what: str
    measured: str
    limit: str
    linux: str
    verdict: str


def _value(row: dict) -> float:
    return row["q"]["500"] if "q" in row else round(row["cycles"] / row["n"], 1)


def _text(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"


class Judge:
    """Knows what was measured: `ours` of measure.py, `linux` of the same shape or empty."""

    def __init__(self, ours: dict, linux: dict) -> None:
        self.ours, self.linux = ours, linux

    def _row(self, of: dict, name: str, cpus: int) -> dict:
        try:
            return of["exact"][str(cpus)][name]
        except KeyError:
            raise Missing(f"{name} N={cpus}") from None

    def _each(self, goal: dict, value, most) -> tuple[str, str, bool]:
        """Value and bound at each N."""
        found = [(value(n), most(n)) for n in goal["cpus"]]
        measured = " / ".join(_text(v) for v, _ in found)
        bounds = [f"{_text(m)}" for _, m in found]
        limit = bounds[0] if len(set(bounds)) == 1 else " / ".join(bounds)
        return measured, f"<= {limit}", all(v <= m for v, m in found)

    def most(self, goal: dict) -> tuple[str, str, bool]:
        return self._each(
            goal, lambda n: _value(self._row(self.ours, goal["row"], n)), lambda n: goal["most"]
        )

    def against_linux(self, goal: dict) -> tuple[str, str, bool]:
        return self._each(
            goal,
            lambda n: _value(self._row(self.ours, goal["row"], n)),
            lambda n: goal["times"] * _value(self._row(self.linux, goal["row"], n)),
        )

    def against_row(self, goal: dict) -> tuple[str, str, bool]:
        return self._each(
            goal,
            lambda n: _value(self._row(self.ours, goal["row"], n)),
            lambda n: goal["times"] * _value(self._row(self.ours, goal["of"], n)),
        )

    def flat(self, goal: dict) -> tuple[str, str, bool]:
        values = [_value(self._row(self.ours, goal["row"], n)) for n in goal["cpus"]]
        middle = (max(values) + min(values)) / 2
        met = max(values) - middle <= goal["within"] * middle
        return " / ".join(map(_text, values)), f"+-{100 * goal['within']:.0f} %", met

    def interrupts(self, goal: dict) -> tuple[str, str, bool]:
        def value(n: int) -> float:
            row = self._row(self.ours, goal["row"], n)
            return round(row["interrupts"] / row["calls"], 3)

        return self._each(goal, value, lambda n: goal["most"])

    def mean(self, goal: dict) -> tuple[str, str, bool]:
        def value(n: int) -> float:
            row = self._row(self.ours, goal["row"], n)
            return row["mean"] / _value(row)

        return self._each(goal, value, lambda n: goal["times"])

    def wall(self, goal: dict) -> tuple[str, str, bool]:
        def value(n: int) -> float:
            boots = self.ours.get("single", {}).get(str(n), [])
            if not boots:
                raise Missing(f"single N={n}")
            return statistics.median(_value(b[goal["row"]]) / _value(b[goal["of"]]) for b in boots)

        return self._each(goal, value, lambda n: goal["times"])

    def start(self, goal: dict) -> tuple[str, str, bool]:
        def value(of: dict, n: int) -> float:
            times = of.get("start_ms", {}).get(str(n), [])
            if not times:
                raise Missing(f"start N={n}")
            return statistics.median(times)

        return self._each(
            goal, lambda n: value(self.ours, n), lambda n: goal["times"] * value(self.linux, n)
        )

    def figure(self, goal: dict) -> tuple[str, str, bool]:
        if goal["row"] not in self.ours.get("figures", {}):
            raise Missing(goal["row"])
        value = self.ours["figures"][goal["row"]]
        return _text(value), f"<= {_text(goal['most'])}", value <= goal["most"]

    def beside(self, goal: dict) -> str:
        """Linux's figures, where it has any."""
        if goal["kind"] == "start":
            times = [self.linux.get("start_ms", {}).get(str(n), []) for n in goal["cpus"]]
            return " / ".join(_text(statistics.median(t)) if t else "-" for t in times)
        if goal["kind"] in ("wall", "figure", "interrupts", "mean"):
            return ""
        rows = [self.linux.get("exact", {}).get(str(n), {}).get(goal["row"]) for n in goal["cpus"]]
        return " / ".join(_text(_value(row)) if row else "-" for row in rows) if any(rows) else ""


KINDS = {
    "most": Judge.most,
    "linux": Judge.against_linux,
    "row": Judge.against_row,
    "flat": Judge.flat,
    "interrupts": Judge.interrupts,
    "mean": Judge.mean,
    "wall": Judge.wall,
    "start": Judge.start,
    "figure": Judge.figure,
}


def answered() -> set[str]:
    """Goals whose limit README.md shows."""
    with open(os.path.join(HERE, "README.md"), encoding="utf-8") as f:
        return set(re.findall(r"^### Limit: (\S+)", f.read(), re.M))


def judge(ours: dict, linux: dict) -> list[Judged]:
    """All goals, in the order of the file."""
    with open(os.path.join(HERE, "goals.toml"), "rb") as f:
        goals = tomllib.load(f)["goal"]
    judge_of, limits, found = Judge(ours, linux), answered(), []
    for goal in goals:
        try:
            measured, limit, met = KINDS[goal["kind"]](judge_of, goal)
        except Missing as e:
            measured, limit, met = f"not measured: {e}", "", False
        verdict = "met" if met else "answered" if goal["id"] in limits else "open"
        found.append(Judged(goal["id"], goal["what"], measured, limit, judge_of.beside(goal), verdict))
    return found


def table(judged: list[Judged]) -> str:
    """The goals as a table of Markdown."""
    lines = ["| goal | ours | limit | Linux | |", "| --- | --- | --- | --- | --- |"]
    lines += [f"| {j.what} | {j.measured} | {j.limit} | {j.linux} | {j.verdict} |" for j in judged]
    return "\n".join(lines)


def show(judged: list[Judged]) -> int:
    """A row for each goal not met, then the line; exit code."""
    for j in judged:
        if j.verdict != "met":
            print(f"{j.verdict:9} {j.id:22} {j.measured:>34}  {j.limit:22} {j.what}")
    count = {verdict: sum(j.verdict == verdict for j in judged) for verdict in ("met", "answered", "open")}
    print(f"{count['met']} met, {count['answered']} answered, {count['open']} open")
    return 1 if count["open"] else 0
