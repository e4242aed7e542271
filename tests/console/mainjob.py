"""Judges the console of a main-job boot: what must stand there, in which order, with which numbers."""

import json
import re

import console

# The marks that every main job shows, in this order.
ORDER = (
    ("banner", r"^xcall \S+, build [0-9a-f]{8,}"),
    ("memory", r"^memory: \d+ KiB usable"),
    ("CPU table", r"^cpus: \d+ found in "),
    ("clock table", r"^clocks, measured in "),
    ("main job", r"^main job: "),
    ("first rate", r"^1\. .*: \d+ of \d+ timers right"),
    ("broadcast", r"^2\. .*: \d+ of \d+ timers right"),
    ("unicasts", r"^3\. .*: \d+ of \d+ timers right"),
    ("TIMER lines", r"^TIMER \{"),
    ("BRINGUP line", r"^BRINGUP \{"),
    ("END line", r"^END "),
)
# Tables that are always printed in full: what stands above their heading, a row, a good row.
TABLES = (
    ("CPU table", r"cpus: ", r"\s+(\d+|-)\s+\d+\s+\S", r"\b(boot|online)\b"),
    ("table of the unicasts", r"3\. ", r"\s+\d+\s+\d+\s+\d+\s+\d+", r"\sok$"),
)
TIMER = {
    "cpu": int,
    "apic_id": int,
    "hz": int,
    "divide": int,
    "count": int,
    "interval_ns": int,
    "error_ppm": int,
    "missed": int,
    "ok": bool,
}
BRINGUP = {
    "cpus_found": int,
    "cpus_online": int,
    "cpus_failed": int,
    "timers_ok": int,
    "broadcast_ns": int,
    "pass": bool,
}
# What kernel/main/judge.h allows.
TOLERANCE_PPM = 1000


def check(text: str, cpus: int) -> list[str]:
    """Everything that is wrong with a main job on `cpus` CPUs; an empty list when it is right."""
    found = console.lines(text)
    timers, problems = _records(found, "TIMER", TIMER)
    bringups, more = _records(found, "BRINGUP", BRINGUP)
    problems += more
    problems += _check_order(found)
    problems += _check_tables(found, cpus)
    problems += _check_timers(timers, cpus)
    problems += _check_bringup(bringups, cpus)
    return problems


def _records(found: list[str], word: str, fields: dict) -> tuple[list[dict], list[str]]:
    """The JSON behind `word` of all lines that begin with it, and what is wrong with their form."""
    records, problems = [], []
    for line in found:
        if not line.startswith(word + " "):
            continue
        try:
            record = json.loads(line[len(word) :])
        except (ValueError, RecursionError) as e:
            problems.append(f"{word} line is not JSON ({e}): {line}")
            continue
        if not isinstance(record, dict):
            problems.append(f"{word} line is no JSON object: {line}")
            continue
        # bool is an int to Python, not to us.
        wrong = [name for name, kind in fields.items() if type(record.get(name)) is not kind]
        if wrong:
            problems.append(f"{word} line: {', '.join(wrong)} missing or of the wrong type: {line}")
        else:
            records.append(record)
    return records, problems


def _check_order(found: list[str]) -> list[str]:
    at, problems = 0, []
    for name, pattern in ORDER:
        mark = re.compile(pattern)
        next_at = next((i for i in range(at, len(found)) if mark.search(found[i])), None)
        if next_at is None:
            problems.append(f"{name} is missing or stands in the wrong place")
        else:
            at = next_at
    return problems


def _check_tables(found: list[str], cpus: int) -> list[str]:
    """The tables for people have a row a CPU: all online, all timers right."""
    problems = []
    for name, head, row, good in TABLES:
        start = next((i for i, line in enumerate(found) if re.match(head, line)), None)
        rows = []
        for line in found[start + 2 :] if start is not None else []:
            if not re.match(row, line):
                break
            rows.append(line)
        bad = [line for line in rows if not re.search(good, line)]
        if len(rows) != cpus or bad:
            problems.append(f"{name}: {len(rows)} rows for {cpus} CPUs, not good: {bad or 'none'}")
    return problems


def _check_timers(timers: list[dict], cpus: int) -> list[str]:
    problems = []
    if [t["cpu"] for t in timers] != list(range(cpus)):
        problems.append(f"TIMER lines are not those of CPUs 0 to {cpus - 1} in order: {len(timers)} lines")
    if len({t["apic_id"] for t in timers}) != len(timers):
        problems.append("two TIMER lines have the same APIC id")
    if len({t["hz"] for t in timers}) != len(timers):
        problems.append("two CPUs have the same rate at the end")
    for t in timers:
        who = f"CPU {t['cpu']}"
        if not t["ok"]:
            problems.append(f"{who}: its timer is not ok: {t}")
        if t["divide"] not in (1, 2, 4, 8, 16, 32, 64, 128) or t["count"] < 1 or t["hz"] < 1:
            problems.append(f"{who}: impossible programming: {t}")
        elif t["ok"] and abs(t["interval_ns"] * t["hz"] - 10**9) > 10**3 * (TOLERANCE_PPM + 1):
            problems.append(f"{who}: ok, but {t['interval_ns']} ns is not 1/{t['hz']} s")
        if abs(t["error_ppm"]) > TOLERANCE_PPM and t["ok"]:
            problems.append(f"{who}: ok with an error of {t['error_ppm']} ppm")
    return problems


def _check_bringup(bringups: list[dict], cpus: int) -> list[str]:
    if len(bringups) != 1:
        return [f"{len(bringups)} BRINGUP lines"]
    b, problems = bringups[0], []
    for name, want in (("cpus_found", cpus), ("cpus_online", cpus), ("cpus_failed", 0), ("timers_ok", cpus)):
        if b[name] != want:
            problems.append(f"BRINGUP {name} is {b[name]}, expected {want}")
    if not b["pass"]:
        problems.append("BRINGUP pass is false")
    if b["broadcast_ns"] <= 0:
        problems.append(f"BRINGUP broadcast_ns is {b['broadcast_ns']}")
    return problems
