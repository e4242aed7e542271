"""The monitor's prompt, driven as a person would: typing, mistakes, pasting, and the ends of a session."""

import os
import re
import sys
import tempfile
import termios
import time

import console
import pexpect
import pytest
import qemu
import runner

BOOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "boot.py")
PROMPT = "xcall> "
CPUS = 4
# A hang detector: an answer takes milliseconds, on a host with nothing else to do.
LIMIT_S = 60
# A fast typist's pace.
KEY_S = 0.03


class Session:
    """A terminal with the machine's serial line on it."""

    def __init__(self, argv: list[str], log: str) -> None:
        os.makedirs(os.path.dirname(log), exist_ok=True)
        self._log = open(log, "w", encoding="utf-8", newline="")
        self.child = pexpect.spawn(
            argv[0], argv[1:], timeout=LIMIT_S, encoding="utf-8", codec_errors="replace", dimensions=(50, 200)
        )
        self.child.logfile_read = self._log
        self.child.delaybeforesend = None

    def close(self) -> None:
        """Ends whatever still runs."""
        self.child.close(force=True)
        self._log.close()

    def keys(self, text: str, pace: float = KEY_S) -> None:
        """Presses keys one by one."""
        for key in text:
            self.child.send(key)
            time.sleep(pace)

    def prompt(self) -> str:
        """Waits for the prompt; what was printed before it, as plain lines."""
        self.child.expect_exact(PROMPT)
        return console.plain(self.child.before)

    def run(self, line: str, end: str = "\r") -> str:
        """Types a line; what the machine answered, without the echo."""
        self.keys(line + end)
        echo, _, answer = self.prompt().partition("\n")
        assert echo.strip() == line
        return answer

    def finish(self) -> int | None:
        """Waits until the program on the terminal has ended; its exit status."""
        self.child.expect(pexpect.EOF)
        self.child.close()
        return self.child.exitstatus


@pytest.fixture
def session(build, request):
    """At the prompt of a machine that was just booted."""
    name = re.sub(r"\W+", "-", request.node.name)
    # QEMU bare, so that nothing stands between the test and the line.
    with tempfile.TemporaryDirectory(prefix="xcall-") as scratch:
        config = qemu.Config(cpus=CPUS, firmware="pvh", append="monitor", elf=f"{build}/xcall.elf", reboot=True)
        s = Session(["setpriv", "--pdeathsig", "KILL", *qemu.argv(config, scratch)], f"{build}/logs/{name}.log")
        try:
            assert "clocks, measured in" in s.prompt()
            yield s
        finally:
            s.close()


def rows(answer: str) -> list[list[str]]:
    """The rows of a table that begin with a number, split into words."""
    return [line.split() for line in answer.splitlines() if re.match(r"\s*\d+\s", line)]


COMMANDS = "calls cpu cpus evcnt help lockdebug locks poweroff reboot threads timer timers torture".split()


def test_help_names_every_command(session):
    words = {line.split()[0] for line in session.run("help").splitlines() if line.strip()}
    assert words >= set(COMMANDS)


@pytest.mark.parametrize("line", ["frobnicate", "helpp", "hel", "HELP", "timers2 all 3", "?", "#", "\\", "ä"])
def test_nonsense_is_answered_with_help(session, line):
    session.keys(line + "\r")
    answer = session.prompt()
    if line.isascii():
        assert f"unknown command: {line.split()[0]}" in answer
    for command in COMMANDS if line.isascii() else []:
        assert re.search(rf"^\s+{command}\s", answer, re.MULTILINE)
    assert len(rows(session.run("timers"))) == CPUS


def test_cpus(session):
    answer = session.run("cpus")
    assert [row[0] for row in rows(answer)] == [str(cpu) for cpu in range(CPUS)]
    assert len({row[1] for row in rows(answer)}) == CPUS
    assert answer.count("online") >= CPUS - 1


def rates(session: Session) -> list[int]:
    """The rate of each CPU's timer, as `timers` shows it."""
    answer = session.run("timers")
    heading = next(line for line in answer.splitlines() if "Hz" in line).split()
    column = heading.index("Hz")
    return [int(row[column]) for row in rows(answer)]


def test_timers_of_all_and_of_one(session):
    before = rates(session)
    assert len(before) == CPUS
    assert len(rows(session.run("timer all 250"))) == CPUS
    assert rates(session) == [250] * CPUS
    assert len(rows(session.run("timer 1 500"))) == 1
    assert rates(session) == [250, 500, 250, 250]
    # 4000000 and 2000000 counts of a timer at 1 GHz, give or take the calibration.
    answer = session.run("timer all 1000")
    assert all(abs(int(row[3]) - 10**6) < 10**4 for row in rows(answer))
    # QEMU's emulator has no deadlines; where there are some, every CPU takes them.
    answer = session.run("timer all 300 deadline")
    if "no deadlines here" in answer:
        assert rates(session) == [1000] * CPUS
    else:
        assert timer_modes(session) == ["deadline"] * CPUS
        assert rates(session) == [300] * CPUS


@pytest.mark.parametrize(
    "line", ["timer", "timer all", "timer 1", "timer all 0", "timer all 1000000", "timer x 5", "timer 1 2 3", "timer 99 5", "timer all 9 oneshot", "timer 1 2 deadline 3"]
)
def test_wrong_arguments_change_nothing(session, line):
    before = rates(session)
    assert "usage: timer" in (answer := session.run(line)) or "there is no CPU" in answer
    assert rates(session) == before


def test_calls_and_counters_count(session):
    def counters() -> dict[str, int]:
        found = re.findall(r"^\s*(\d+)\s+crosscall (\w+)$", session.run("evcnt"), re.MULTILINE)
        return {name: int(count) for count, name in found}

    before = counters()
    session.run("timer all 300")
    session.run("timer 2 400")
    session.run("timer 0 400")
    after = counters()
    assert after["broadcast"] == before["broadcast"] + 1
    assert after["unicast"] == before["unicast"] + 2
    assert len(rows(session.run("calls"))) == CPUS


def test_calls_by_context(session):
    """A broadcast: posted by the monitor's CPU, run by all, in one context."""

    def table() -> list[list[int]]:
        return [[int(word) for word in row[:10]] for row in rows(session.run("calls"))]

    before = table()
    assert [row[0] for row in before] == list(range(CPUS))
    session.run("timer all 300")
    added = [[b - a for a, b in zip(old, new)] for old, new in zip(before, table())]
    # posted: low, soft, hard, NMI; run: the same; in flight.
    one = added[0][1:5]
    assert sorted(one) == [0, 0, 0, 1]
    assert added == [[0, *(one if cpu == 0 else [0] * 4), *one, 0] for cpu in range(CPUS)]


def test_times_of_calls(session):
    assert "0 stalls, 0 announcements repeated" in session.run("calls stats")
    # One call in 64 is sampled, and the last of these is.
    for _ in range(16):
        session.child.send("timer all 100\rtimer all 200\rtimer all 100\rtimer all 200\r")
        for _ in range(4):
            session.prompt()
    times = r"^(?:low|hard) +(post to begin|begin to end|post to complete) +(\d+)(?: +\d+ (?:ns|us|ms|s) ?){3}$"
    found = re.findall(times, session.run("calls stats"), re.MULTILINE)
    assert found == [("post to begin", str(CPUS)), ("begin to end", str(CPUS)), ("post to complete", "1")]


def test_dump_of_calls(session):
    assert "CPU 2: 0 calls in flight; marks: 0 notified, 0 lazy, 0 NMI" in session.run("calls dump 2")
    assert "there is no CPU 99" in session.run("calls dump 99")


def test_when_waits_report(session):
    asked = "announces again: yes; asks by NMI: yes"
    assert f"after 5000 ms, panics after 0 ms (0: never); {asked}" in session.run("calls stall")
    assert f"after 250 ms, panics after 60000 ms (0: never); {asked}" in session.run("calls stall 250 60000")
    assert "after 250 ms, panics after 60000 ms" in session.run("calls stall")
    assert len(rows(session.run("timer all 250"))) == CPUS


@pytest.mark.parametrize("line", ["calls foo", "calls dump", "calls dump x", "calls stall 1", "calls stall 1 x", "calls stats 1"])
def test_wrong_words_about_calls(session, line):
    assert "usage: calls [stats | dump N | stall [WARN_MS PANIC_MS]]" in session.run(line)


def states(session: Session) -> list[str]:
    """online or offline, of each CPU."""
    return [row[2] for row in rows(session.run("cpu"))]


def timer_modes(session: Session) -> list[str]:
    return [row[1] for row in rows(session.run("timers"))]


def test_a_cpu_goes_and_comes_back(session):
    session.run("timer 1 250")
    assert states(session) == ["online"] * CPUS
    assert f"CPU 1 is offline; {CPUS - 1} of {CPUS} CPUs are online" in session.run("cpu 1 offline")
    assert states(session) == ["online", "offline"] + ["online"] * (CPUS - 2)
    assert "CPU 1 is offline already" in session.run("cpu 1 offline")
    # Every other command goes on without it.
    assert timer_modes(session) == ["periodic", "offline"] + ["periodic"] * (CPUS - 2)
    assert [row[0] for row in rows(session.run("timer all 500"))] == ["0"] + [str(n) for n in range(2, CPUS)]
    assert "CPU 1 is offline" in session.run("timer 1 300")
    assert len(rows(session.run("calls"))) == CPUS
    assert " offline " in session.run("cpus")
    assert re.search(r"xcall/1\s+1\s", session.run("threads"))
    assert session.run("evcnt").strip() and session.run("locks").strip()
    # Its timer comes back as it was.
    assert f"CPU 1 is online; {CPUS} of {CPUS} CPUs are online" in session.run("cpu 1 online")
    assert "CPU 1 is online already" in session.run("cpu 1 online")
    assert rates(session) == [500, 250] + [500] * (CPUS - 2)
    session.run("timer all 100")
    assert rates(session) == [100] * CPUS


def test_all_cpus_but_one_go_and_come_back(session):
    for _ in range(3):
        for cpu in range(1, CPUS):
            assert f"CPU {cpu} is offline" in session.run(f"cpu {cpu} offline")
        assert [row[0] for row in rows(session.run("timer all 200"))] == ["0"]
        for cpu in range(1, CPUS):
            assert f"CPU {cpu} is online" in session.run(f"cpu {cpu} online")
    assert len(rows(session.run("timer all 100"))) == CPUS
    session.keys("poweroff\r")
    assert session.finish() == 33


def test_the_boot_cpu_stays(session):
    assert "CPU 0 stays online: it is the boot CPU" in session.run("cpu 0 offline")
    assert states(session) == ["online"] * CPUS


@pytest.mark.parametrize("line", ["cpu 1", "cpu 1 off", "cpu offline", "cpu 1 offline now", "cpu 99 offline", "cpu x online"])
def test_wrong_words_move_no_cpu(session, line):
    answer = session.run(line)
    assert "usage: cpu" in answer or "there is no CPU" in answer
    assert states(session) == ["online"] * CPUS


def test_threads(session):
    names = [row[1] for row in rows(session.run("threads"))]
    for cpu in range(CPUS):
        assert f"xcall/{cpu}" in names
        assert f"idle/{cpu}" in names


def test_locks(session):
    assert session.run("locks").strip()


def test_lockdebug(session):
    assert "lock checking is off; 0 of " in session.run("lockdebug")
    assert "lock checking is on: reports; " in session.run("lockdebug on")
    session.run("threads")
    answer = session.run("lockdebug")
    assert re.search(r"on: reports; [1-9]\d* of \d+ classes, [1-9]\d* of \d+ facts, 0 reports", answer), answer
    # A timed sleep takes the run queue's lock inside its own.
    assert re.search(r"spinlock run queue wanted while .* was held, taken at \w+\+.*; first seen at .*:\n    0x\S+  \w+\+",
                     session.run("lockdebug facts"))
    assert "lock checking is off; " in session.run("lockdebug off")
    assert "usage: lockdebug" in session.run("lockdebug maybe")


def test_backspace(session):
    for rub in ("\b", "\x7f"):
        session.keys(f"cpxx{rub}{rub}us\r")
        assert len(rows(session.prompt())) == CPUS
    # More of them than there are characters take nothing from the prompt.
    session.keys("ab\b\b\b\b\b\btimers\r")
    assert len(rows(session.prompt())) == CPUS


def test_ctrl_c_clears_the_line(session):
    session.keys("reboot\x03")
    assert "^C" in session.prompt()
    assert len(rows(session.run("timers"))) == CPUS


def test_arrow_keys_are_harmless(session):
    session.keys("ti\x1b[A\x1b[D\x1bOPmers\x1b[3~\r")
    assert len(rows(session.prompt())) == CPUS


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"], ids=["CR", "LF", "CRLF"])
def test_line_ends(session, end):
    for _ in range(3):
        session.keys("timers")
        session.child.send(end)
        assert len(rows(session.prompt())) == CPUS
    # One prompt a line: the next thing is the echo of what is typed now, not another prompt.
    session.keys("cpus\r")
    assert session.prompt().startswith("cpus")


def test_empty_lines_and_blanks(session):
    for line in ("", "   "):
        session.keys(line + "\r")
        assert session.prompt().strip() == ""
    session.keys("   timer    all   250   \r")
    assert len(rows(session.prompt())) == CPUS


def test_long_pasted_line(session):
    """At once and far beyond any line's length: refused or cut, but the prompt lives on."""
    session.child.send("x" * 4000 + "\r")
    session.prompt()
    session.child.send("\x03")
    session.prompt()
    assert len(rows(session.run("timers"))) == CPUS


def test_pasted_script(session):
    """Several lines in one go, as from a clipboard."""
    session.child.send("timer all 250\rtimer 1 500\r")
    assert "timer all 250" in session.prompt()
    session.prompt()
    session.keys("\x03")
    session.prompt()
    assert rates(session)[1] == 500


def test_reboot_comes_back(session):
    session.run("timer all 250")
    session.keys("reboot\r")
    again = session.prompt()
    assert re.search(r"^xcall \S+, build ", again, re.MULTILINE)
    assert "END" not in again
    assert 250 not in rates(session)


def test_poweroff_ends_the_run(session):
    session.keys("poweroff\r")
    assert session.finish() == 33
    assert console.plain(session.child.before).rstrip().endswith("END pass")


def interactive(build: str, name: str, *args: str) -> Session:
    """What `make console` starts."""
    argv = [sys.executable, BOOT, "--interactive", "--append", "monitor", "--elf", f"{build}/xcall.elf"]
    argv += ["--iso", f"{build}/xcall.iso", "--log", f"{build}/logs/{name}-serial.log", *args]
    return Session(argv, f"{build}/logs/{name}.log")


@pytest.mark.parametrize("firmware", ["pvh", "bios"])
def test_make_console(build, firmware):
    s = interactive(build, f"console-{firmware}", "--firmware", firmware)
    before = termios.tcgetattr(s.child.child_fd)
    try:
        s.prompt()
        assert len(rows(s.run("timers"))) == CPUS
        s.keys("nonsense\x03")
        s.prompt()
        s.keys("poweroff\r")
        s.child.expect_exact("boot: passed: END pass")
        # QEMU had made the terminal raw.
        after = termios.tcgetattr(s.child.child_fd)
        assert s.finish() == 0
        assert after == before
    finally:
        s.close()


def test_leaving_the_console(build):
    """Ctrl-a x is QEMU's own way out."""
    s = interactive(build, "console-left", "--firmware", "pvh")
    try:
        s.prompt()
        s.keys("\x01x")
        assert s.finish() == 0
    finally:
        s.close()


def test_console_of_a_panic(build):
    """Also on a person's terminal the exit code tells."""
    s = interactive(build, "console-panic", "--firmware", "pvh", "--append", "misuse=divide_by_zero")
    try:
        assert s.finish() == runner.verdict.Verdict.PANIC
    finally:
        s.close()
