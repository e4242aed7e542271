"""Fuzzing of what judges the kernel: the KTAP parser, the verdict of a boot, the main job's tables.

Reports are made up, spoiled and parsed.  Whatever stands on the console, the harness must come to a judgement, and a
report that says "not ok" anywhere, or has not as many results as it planned, must never count as passed.  The seed is
fixed; FUZZ_SEED and FUZZ_RUNS in the environment change it and the number of inputs.
"""
import os
import random
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "console"))
import console  # noqa: E402
import ktap  # noqa: E402
import mainjob  # noqa: E402
import verdict  # noqa: E402

SEED = int(os.environ.get("FUZZ_SEED", "1"))
RUNS = int(os.environ.get("FUZZ_RUNS", "100000"))

# Pieces that mean something to a parser; they are put anywhere.
PIECES = [
    "not ok 1 a", "  not ok 1 a", "ok 1 a", "  ok 1 a", "1..1", "  1..1", "1..0", "KTAP version 1", "  KTAP version 1",
    "  # Subtest: a", "Bail out!", " # SKIP", " # TO" "DO", "\n", "\r\n", "\r", "\0", "\x1b[2J", "\x1b[1;1H", "\x1b]0;", "\x07",
    "END pass", "END fail", "END panic", "9" * 5000, "1.." + "9" * 5000, "\u0663", "\ufffd", "ok", "not", " ", "# ",
    "TIMER 1", "TIMER [1]", "BRINGUP null", "TIMER {}", "TIMER " + "[" * 2000, "BRINGUP {\"cpus_found\": 1e999}",
    "cpus: 1 found in ", "3. : 1 of 1 timers right", "NaN", "-", "0",
]
NOISE = ["some words", "  # took 3 ms", "stall: CPU 1", "", "  "]
MAINJOB = """\
xcall 0.1, build 0123456789abcdef
memory: 130000 KiB usable in 3 regions
cpus: 1 found in the ACPI MADT, 1 online
  cpu  apic id  package/core/thread  state
    0        0        0/   0/     0  boot
clocks, measured in 1 round
main job: reprogram
1. 100 Hz: 1 of 1 timers right
2. 200 Hz: 1 of 1 timers right
3. 201 Hz: 1 of 1 timers right
  cpu  asked  divide  count  interval us
    0    201       1    100      4975.109  ok
TIMER {"cpu": 0, "apic_id": 0, "hz": 201, "divide": 1, "count": 4975124, "interval_ns": 4975124, "error_ppm": 0, \
"missed": 1, "ok": true}
BRINGUP {"cpus_found": 1, "cpus_online": 1, "cpus_failed": 0, "timers_ok": 1, "broadcast_ns": 1, "pass": true}
END pass
"""


def report(r: random.Random, failures: bool) -> tuple[list[str], dict[str, str]]:
    """The lines of a sound report, and the outcome of each case."""
    suites, outcomes = r.randint(1, 3), {}
    lines = ["banner", "KTAP version 1", f"1..{suites}"]
    for number in range(1, suites + 1):
        cases, name, failed = r.randint(1, 4), f"suite{number}", False
        lines += ["  KTAP version 1", f"  # Subtest: {name}", f"  1..{cases}"]
        for case in range(1, cases + 1):
            outcome = r.choice(["passed", "passed", "skipped", "failed" if failures else "passed"])
            failed |= outcome == "failed"
            words = {"passed": "ok", "skipped": "ok", "failed": "not ok"}[outcome]
            # A failure that calls itself skipped is a failure.
            skip = outcome == "skipped" or (outcome == "failed" and r.random() < 0.2)
            lines.append(f"  {words} {case} case{case}" + (" # SKIP a reason" if skip else ""))
            outcomes[f"{name}.case{case}"] = outcome
            if r.random() < 0.2:
                lines.append(r.choice(NOISE))
        lines.append(f"{'not ok' if failed else 'ok'} {number} {name}")
    return lines + ["END pass"], outcomes


def spoil(r: random.Random, text: str) -> str:
    """One to three changes: of a character, of a line, of the end."""
    for _ in range(r.randint(1, 3)):
        at = r.randrange(len(text) + 1)
        kind = r.randrange(7)
        if kind == 0:
            text = text[:at] + text[at + 1 :]
        elif kind == 1:
            text = text[:at] + chr(r.choice((0, 10, 13, 27, 32, 48, 57, 64, 111, 0x663, 0xE9))) + text[at + 1 :]
        elif kind == 2:
            end = r.choice(("", "\n"))
            text = text[:at] + end + r.choice(PIECES) + end + text[at:]
        elif kind == 3:
            text = text[:at]
        else:
            lines = text.splitlines(keepends=True) or [""]
            line, other = r.randrange(len(lines)), r.randrange(len(lines))
            if kind == 4:
                del lines[line]
            elif kind == 5:
                lines.insert(other, lines[line])
            else:
                lines[line], lines[other] = lines[other], lines[line]
            text = "".join(lines)
    return text


def may_pass(text: str) -> bool:
    """The plainest reading of a report: nothing says "not ok", and the plans add up."""
    lines = console.lines(text)
    starts = [at for at, line in enumerate(lines) if re.fullmatch(r"KTAP version \d+", line)]
    if not starts:
        return False
    lines = lines[starts[0] :]
    if any(re.match(r"\s*(not ok \d+( |$)|Bail out!)", line) for line in lines):
        return False
    plans = [int(m.group(1)) for line in lines if (m := re.fullmatch(r"\s*1\.\.(\d{1,9})\d*(\s*# skip\b.*)?", line, re.I))]
    suites = [line for line in lines if re.fullmatch(r"\s+KTAP version \d+", line)]
    results = counted(lines)
    return results is not None and sum(plans) == results and len(plans) == 1 + len(suites)


def counted(lines: list[str]) -> int | None:
    """How many results there are; None when they are not numbered from 1 on, in each suite and at the top."""
    last, results = {False: 0, True: 0}, 0
    for line in lines:
        if re.fullmatch(r"\s+KTAP version \d+", line):
            last[True] = 0
        if m := re.match(r"(\s*)ok (\d{1,9})( |$)", line):
            last[bool(m.group(1))] += 1
            results += 1
            if int(m.group(2)) != last[bool(m.group(1))]:
                return None
    return results


def test_sound_reports():
    r = random.Random(SEED)
    for _ in range(RUNS // 20):
        lines, outcomes = report(r, r.random() < 0.5)
        found = ktap.parse("\n".join(lines))
        assert found.problems == []
        assert {case.id: case.outcome for case in found.cases} == outcomes
        assert found.passed == ("failed" not in outcomes.values())


def test_spoiled_reports():
    r = random.Random(SEED + 1)
    passed = 0
    for _ in range(RUNS):
        lines, _ = report(r, r.random() < 0.3)
        text = spoil(r, "\n".join(lines))
        found = ktap.parse(text)
        if found.passed:
            passed += 1
            assert may_pass(text), text
    # The spoiling must leave some reports whole, or nothing was asked.
    assert passed > RUNS // 50


def test_one_wrong_character_hides_no_failure():
    r = random.Random(SEED + 2)
    for _ in range(RUNS // 20):
        lines, outcomes = report(r, True)
        text = "\n".join(lines)
        at = r.randrange(len(text))
        text = text[:at] + chr(r.randrange(128)) + text[at + 1 :]
        if "failed" in outcomes.values():
            assert not ktap.parse(text).passed, text


def test_spoiled_boots():
    """The verdict and the main job's judge, on the same console."""
    r = random.Random(SEED + 3)
    for _ in range(RUNS // 10):
        text = spoil(r, MAINJOB)
        assert isinstance(mainjob.check(text, 1), list)
        status = r.choice((None, 0, 1, 33, 35, 37, -9))
        ending = verdict.Ending(text, status, timed_out=r.random() < 0.1, debug_exit=r.random() < 0.8)
        word, _ = verdict.judge(ending)
        if word == verdict.Verdict.PASS:
            written = [line for line in console.lines(text) if line]
            assert written[-1] == "END pass"
            assert sum(line.startswith("END ") for line in written) >= 1
            assert status in (None, 33) or not ending.debug_exit


def test_main_job_is_right_before_it_is_spoiled():
    assert mainjob.check(MAINJOB, 1) == []
