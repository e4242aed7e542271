"""The judge of the main job: a good console passes, each thing that can be wrong with it does not."""

import json

import mainjob
import pytest

CPUS = 3


def timer(cpu: int) -> dict:
    hz = 201 + cpu
    return {
        "cpu": cpu,
        "apic_id": 2 * cpu,
        "hz": hz,
        "divide": 1,
        "count": 10**9 // hz,
        "interval_ns": 10**9 // hz,
        "error_ppm": 0,
        "missed": 0,
        "ok": True,
    }


BRINGUP = {
    "cpus_found": CPUS,
    "cpus_online": CPUS,
    "cpus_failed": 0,
    "timers_ok": CPUS,
    "broadcast_ns": 1392212,
    "pass": True,
}


def text(timers: list[dict] | None = None, bringup: dict | None = None) -> str:
    """A main job on CPUS CPUs as the kernel prints it."""
    timers = [timer(cpu) for cpu in range(CPUS)] if timers is None else timers
    lines = ["SeaBIOS", "", "xcall 0.1, build ea360515a13c889d", "memory: 138751 KiB usable in 9 regions"]
    lines += ["cpus: 3 found in the ACPI MADT, 3 online, 0 disabled by firmware", "  cpu  apic id  ...  state"]
    lines += [f"  {c:3}  {2 * c:7}  0/ {c}/ 0  {'boot' if c == 0 else 'online'}  -  1" for c in range(CPUS)]
    lines += ["clocks, measured in 1 round of 5 windows:", "  HPET  100.000000"]
    lines += ["main job: reprogram the local timer of every CPU by cross call"]
    lines += ["1. 100 Hz, each CPU for itself: 3 of 3 timers right", "2. 200 Hz: 3 of 3 timers right"]
    lines += ["3. 201 to 203 Hz by one unicast a CPU: 3 of 3 timers right", "  cpu  asked  divide"]
    lines += [f"  {c:3}  {201 + c}  1  4975126  4975.124  +0  0  294860  ok" for c in range(CPUS)]
    lines += [f"TIMER {json.dumps(t)}" for t in timers]
    lines += [f"BRINGUP {json.dumps(BRINGUP if bringup is None else bringup)}", "END pass", ""]
    return "\r\n".join(lines)


def test_good():
    assert mainjob.check(text(), CPUS) == []


@pytest.mark.parametrize("mark", [pattern.lstrip("^")[:4].replace("\\", "") for _, pattern in mainjob.ORDER])
def test_each_mark_is_needed(mark):
    lines = [line for line in text().split("\r\n") if not line.startswith(mark)]
    assert mainjob.check("\n".join(lines), CPUS)


def test_marks_are_in_order():
    lines = text().split("\r\n")
    memory = next(i for i, line in enumerate(lines) if line.startswith("memory:"))
    lines.append(lines.pop(memory))
    assert "CPU table is missing or stands in the wrong place" not in mainjob.check(text(), CPUS)
    assert any("wrong place" in problem for problem in mainjob.check("\n".join(lines), CPUS))


@pytest.mark.parametrize("field", list(mainjob.BRINGUP))
def test_each_field_of_bringup(field):
    kept = {name: value for name, value in BRINGUP.items() if name != field}
    assert mainjob.check(text(bringup=kept), CPUS)
    assert mainjob.check(text(bringup={**BRINGUP, field: str(BRINGUP[field])}), CPUS)
    wrong = {"cpus_failed": 1, "pass": False, "broadcast_ns": 0}.get(field, CPUS - 1)
    assert mainjob.check(text(bringup={**BRINGUP, field: wrong}), CPUS)


@pytest.mark.parametrize("field", list(mainjob.TIMER))
def test_each_field_of_timer(field):
    values = [None, "1", 1.5, 1 if mainjob.TIMER[field] is bool else True]
    for value in values:
        timers = [timer(cpu) for cpu in range(CPUS)]
        timers[1][field] = value
        assert mainjob.check(text(timers), CPUS), value


@pytest.mark.parametrize(
    "change",
    [
        {"ok": False},
        {"cpu": 0},
        {"apic_id": 0},
        {"hz": 201},
        {"divide": 3},
        {"count": 0},
        {"interval_ns": 5000000},
        {"error_ppm": 1500},
        {"error_ppm": -1500},
    ],
)
def test_wrong_timers(change):
    timers = [timer(cpu) for cpu in range(CPUS)]
    timers[1].update(change)
    assert mainjob.check(text(timers), CPUS)


def test_dropped_ticks_are_not_wrong():
    timers = [timer(cpu) for cpu in range(CPUS)]
    timers[1]["missed"] = 40
    assert mainjob.check(text(timers), CPUS) == []


def test_number_of_lines():
    timers = [timer(cpu) for cpu in range(CPUS)]
    assert mainjob.check(text(timers[:-1]), CPUS)
    assert mainjob.check(text(timers + [timer(CPUS)]), CPUS)
    assert mainjob.check(text() + text(), CPUS)
    assert mainjob.check(text(), CPUS + 1)
    assert mainjob.check(text().replace('BRINGUP {"', "BRINGUP {", 1), CPUS)


def test_tables_for_people():
    good = text()
    assert mainjob.check(good.replace("online  -", "offline  -", 1), CPUS)
    assert mainjob.check(good.replace("294860  ok", "294860  WRONG RATE", 1), CPUS)
