"""The runner as `make run` calls it, with a stub for a kernel: exit codes, refusals, nothing left running."""

import os
import signal
import subprocess
import sys
import time

import pytest
import qemu
import runner

BOOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "boot.py")
# The stub needs a fraction of a second; a loaded host may take its time.
LIMIT_S = 60


def boot(*args: str, **kwargs) -> subprocess.CompletedProcess:
    command = [sys.executable, BOOT, *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False, **kwargs)


def boot_stub(stub: str, script: str, *args: str) -> subprocess.CompletedProcess:
    return boot("--firmware", "pvh", "--elf", stub, "--append", script, "--timeout", "20", *args)


@pytest.mark.parametrize(
    "script, code, words",
    [
        ("hi~END pass~@0", 0, "passed: END pass"),
        ("END fail~@1", 1, "failed: END fail"),
        ("END panic~@2", 2, "panicked: END panic"),
        ("xcall~@T", 5, "ended without a verdict: the machine reset or powered off"),
        ("xcall~@0", 5, "ended without a verdict: exit status says pass"),
        ("END fail~@0", 5, "END fail, but the exit status says pass"),
        ("END pass~late~@0", 5, "'late' follows"),
        ("END pass~@H", 3, "hung: END pass, but the machine ran on"),
    ],
)
def test_exit_codes(stub, script, code, words):
    ran = boot_stub(stub, script)
    assert (ran.returncode, words in ran.stderr) == (code, True), ran
    # The console and nothing else on stdout; the verdict in the last line of stderr.
    assert ran.stdout == script.partition("@")[0].replace("~", "\n")
    assert ran.stderr.splitlines()[-1].startswith("boot: ")


def test_hang_shows_the_last_lines(stub):
    ran = boot_stub(stub, "first~last~cut@H", "--timeout", "3")
    assert ran.returncode == 3
    assert "    last\n    cut\n" in ran.stderr
    assert "hung: no END line within 3 s" in ran.stderr


@pytest.mark.parametrize("machine", ["pc", "q35", "microvm"])
@pytest.mark.parametrize("accel", ["multi", "single", "exact"])
def test_machines(stub, machine, accel):
    ran = boot_stub(stub, "END pass~@0", "--machine", machine, "--accel", accel, "--cpus", "3")
    assert ran.returncode == 0, ran


def test_commas_and_blanks_reach_the_kernel(stub):
    assert boot_stub(stub, "a=1,2  b,,c~END pass~@0").stdout.startswith("a=1,2  b,,c\n")


@pytest.mark.parametrize(
    "args, words",
    [
        (["--cpus", "0"], "0 CPUs: this machine has 1 to 255"),
        (["--cpus", "256"], "256 CPUs: this machine has 1 to 255"),
        (["--cpus", "-1"], "1 to 255"),
        (["--cpus", "four"], "invalid int value"),
        (["--memory", "1"], "give at least 16"),
        (["--machine", "microvm", "--firmware", "bios"], "firmware must be pvh"),
        (["--machine", "toaster"], "invalid choice"),
        (["--elf", "/nowhere/xcall.elf"], "/nowhere/xcall.elf is missing"),
        (["--append", "x" * 1024], "longer than 1023 bytes"),
        (["--qemu", "qemu-of-nobody"], "qemu-of-nobody is missing"),
        (["--qemu-arg=-no-such-option"], "-no-such-option: invalid option"),
        (["--qemu-arg=-device", "--qemu-arg=no-such-device"], "no-such-device"),
    ],
)
def test_refusals_are_qemu_errors(stub, args, words):
    ran = boot("--firmware", "pvh", "--elf", stub, *args)
    assert ran.returncode == 4, ran
    assert words in ran.stderr
    assert "boot: QEMU error" in ran.stderr.splitlines()[-1]
    assert "Traceback" not in ran.stderr


def test_log_is_the_console(stub, tmp_path):
    log = tmp_path / "new" / "boot.log"
    ran = boot_stub(stub, "one~END pass~@0", "--log", str(log))
    assert log.read_text() == ran.stdout == "one\nEND pass\n"


class Running:
    """A boot.py whose QEMU is up: the stub has printed its first line."""

    def __init__(self, stub: str, script: str) -> None:
        command = [sys.executable, BOOT, "--firmware", "pvh", "--elf", stub, "--append", script]
        # A shell that starts this run in the background has it ignore SIGINT, and so all its children.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        signal.signal(signal.SIGINT, before)
        self.first = self.process.stdout.readline()
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as f:
            self.qemu = int(f.read())

    def finish(self) -> tuple[int, str]:
        _, errors = self.process.communicate(timeout=LIMIT_S)
        return self.process.returncode, errors

    def qemu_runs(self) -> bool:
        """Whether it does after a while: signals take their time."""
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                with open(f"/proc/{self.qemu}/stat", encoding="ascii") as f:
                    if f.read().rpartition(")")[2].split()[0] == "Z":
                        return False
            except FileNotFoundError:
                return False
            time.sleep(0.05)
        return True


@pytest.mark.parametrize(
    "number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)]
)
def test_no_qemu_outlives_the_runner(stub, number, code):
    running = Running(stub, "up~@H")
    running.process.send_signal(number)
    assert running.finish()[0] == code
    assert not running.qemu_runs()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_killed_qemu_is_a_qemu_error(stub, number):
    running = Running(stub, "up~@H")
    os.kill(running.qemu, number)
    code, errors = running.finish()
    assert code == 4
    assert f"by signal {number.value}" in errors


@pytest.mark.parametrize("script", ["up~@H", "END pass~@0"])
def test_run_leaves_no_qemu_to_its_caller(stub, monkeypatch, script):
    """A caller that lives on, as pytest does, must not gather them."""
    started = []

    def start(*args, **kwargs):
        started.append(real(*args, **kwargs))
        return started[-1]

    real = runner.start
    monkeypatch.setattr(runner, "start", start)
    runner.run(qemu.Config(firmware="pvh", elf=stub, append=script), timeout=2)
    assert [process.returncode is not None for process in started] == [True]


def test_hold_ends_with_the_person(stub):
    """With `hold` the machine runs on after END; who ends it gets the verdict that was printed."""
    running = Running(stub, "up~END pass~@H hold")
    assert running.process.stdout.readline() == "END pass\n"
    time.sleep(0.5)
    running.process.send_signal(signal.SIGINT)
    code, errors = running.finish()
    assert (code, "passed: END pass" in errors) == (0, True)
    assert not running.qemu_runs()
