"""Runs one QEMU: starts it, copies its serial console, waits for its end, and never leaves it behind.

Whoever leaves run() in whatever way (return, exception, signal turned into one) has no QEMU any more.  For
the ways that no program can catch, QEMU asks the system to be killed when its parent dies (setpriv).
"""

import codecs
import dataclasses
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import console
import nmi
import qemu
import verdict

# How long a machine may go on after its END line: to flush, power off, leave QEMU.
GRACE_S = 10.0


@dataclasses.dataclass
class Result:
    """What a boot left."""

    text: str
    verdict: verdict.Verdict
    why: str
    status: int | None
    seconds: float
    stderr: str = ""
    argv: list[str] = dataclasses.field(default_factory=list)
    nmis: int = 0           # injected from outside

    def sentence(self) -> str:
        """One plain line for a person."""
        injected = f", {self.nmis} NMIs injected" if self.nmis else ""
        return f"{verdict.NAMES[self.verdict]}: {self.why} ({self.seconds:.1f} s{injected})"

    def details(self) -> str:
        """What helps with a boot that did not pass: QEMU's words, the last lines of the console."""
        parts = []
        if self.verdict == verdict.Verdict.QEMU_ERROR and self.stderr.strip():
            parts += ["QEMU said:", *("    " + line for line in self.stderr.strip().splitlines())]
        if self.verdict in (verdict.Verdict.HUNG, verdict.Verdict.NO_END):
            parts += ["the last lines of the console:", console.last_lines(self.text)]
        return "\n".join(parts)


def default_timeout(config: qemu.Config) -> float:
    """A hang detector, not a measure: many times what a quiet host needs.

    255 CPUs on two host cores were seen to need a minute; UEFI alone takes seconds a boot and more
    with many CPUs; one thread for all CPUs, or counted instructions, is slower by the number of cores.
    """
    seconds = 120.0 + 2.0 * config.cpus
    if config.resolved_firmware() == "uefi":
        seconds += 120.0
    return seconds * (1.0 if config.accel == "multi" else 2.0)


def start(argv: list[str], **kwargs) -> subprocess.Popen:
    """Starts QEMU so that it dies with this process."""
    setpriv = shutil.which("setpriv")
    guard = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
    return subprocess.Popen(guard + argv, **kwargs)


def stop(process: subprocess.Popen) -> None:
    """Ends QEMU if it still runs, and reaps it."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


class _Pump:
    """Copies a pipe's bytes to a text, a log and an echo, and notices END lines on the way."""

    def __init__(self, log, echo) -> None:
        self.text = ""
        self.ended: float | None = None     # when the first END line was complete
        self._log, self._echo = log, echo
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._line = ""

    def take(self, data: bytes) -> None:
        piece = self._decoder.decode(data)
        self.text += piece
        for sink in (self._log, self._echo):
            if sink is not None:
                sink.write(piece)
                sink.flush()
        *complete, self._line = (self._line + piece).split("\n")
        if self.ended is None and verdict.end_words("\n".join(complete)):
            self.ended = time.monotonic()


def run(config: qemu.Config, timeout: float | None = None, log: str | None = None, echo=None) -> Result:
    """Boots `config` and judges it.  `timeout` None: default_timeout(); 0: no limit.

    Never raises for anything the machine does; qemu.ConfigError for a configuration that cannot be.
    """
    if timeout is None:
        timeout = default_timeout(config)
    with tempfile.TemporaryDirectory(prefix="xcall-") as scratch:
        if config.serial == "terminal":
            log = log or os.path.join(scratch, "serial.log")
            config = dataclasses.replace(config, serial_log=log)
            return _run_terminal(config, qemu.argv(config, scratch), log)
        argv = qemu.argv(config, scratch)
        with _open_log(log) as sink:
            return _run_pipes(config, argv, timeout, sink, echo, qemu.qmp_socket(scratch))


def _open_log(log: str | None):
    if log is None:
        return open(os.devnull, "w", encoding="utf-8")
    os.makedirs(os.path.dirname(os.path.abspath(log)), exist_ok=True)
    return open(log, "w", encoding="utf-8", newline="")


def _run_pipes(config: qemu.Config, argv: list[str], timeout: float, log, echo, qmp: str) -> Result:
    pump, errors = _Pump(log, echo), []
    began = time.monotonic()
    interrupted = timed_out = False
    # A session of its own: Ctrl-C reaches us alone, and we decide what becomes of QEMU.
    process = start(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    storm = nmi.Storm(qmp, config.nmi, lambda: pump.text) if config.nmi else None
    try:
        timed_out = _pump_until_end(process, pump, errors, began, timeout, "hold" in config.words())
    except KeyboardInterrupt:
        if pump.ended is None:
            raise
        interrupted = True
    finally:
        running = process.poll() is None
        stop(process)
        if storm is not None:
            storm.stop()
        process.stdout.close()
        process.stderr.close()
    seconds = time.monotonic() - began
    stopped_by_us = timed_out or (interrupted and running)
    ending = verdict.Ending(
        text=pump.text,
        status=None if stopped_by_us else process.returncode,
        timed_out=timed_out,
        stderr=b"".join(errors).decode(errors="replace"),
        debug_exit=config.debug_exit,
        seconds=seconds,
    )
    word, why = verdict.judge(ending)
    if storm is not None and storm.problem:
        word, why = verdict.Verdict.QEMU_ERROR, storm.problem
    injected = storm.injected if storm is not None else 0
    return Result(pump.text, word, why, ending.status, seconds, ending.stderr, argv, injected)


def _pump_until_end(process, pump: _Pump, errors: list, began: float, timeout: float, hold: bool) -> bool:
    """Copies until QEMU ends (False) or its time is up (True)."""
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ, pump.take)
        ready.register(process.stderr, selectors.EVENT_READ, errors.append)
        while ready.get_map():
            deadline = began + timeout if timeout else None
            if pump.ended is not None:
                deadline = None if hold else pump.ended + GRACE_S
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return True
            for key, _ in ready.select(left):
                data = os.read(key.fd, 65536)
                if data:
                    key.data(data)
                else:
                    ready.unregister(key.fileobj)
    try:
        process.wait(timeout=GRACE_S)
    except subprocess.TimeoutExpired:
        return True
    return False


def _run_terminal(config: qemu.Config, argv: list[str], serial_log: str) -> Result:
    """A person's terminal is the serial line; QEMU itself copies the line to the log."""
    began = time.monotonic()
    process = None
    with _kept_terminal():
        try:
            process = start(argv)
            process.wait()
        finally:
            if process is not None:
                stop(process)
    seconds = time.monotonic() - began
    text = ""
    if os.path.exists(serial_log):
        with open(serial_log, encoding="utf-8", errors="replace", newline="") as f:
            text = f.read()
    words = verdict.end_words(text)
    if process.returncode == 0 and not words:
        # Ctrl-a x: the person has left, which is no verdict on the kernel.
        return Result(text, verdict.Verdict.PASS, "left without an END line", 0, seconds, "", argv)
    ending = verdict.Ending(text, process.returncode, debug_exit=config.debug_exit, seconds=seconds)
    word, why = verdict.judge(ending)
    return Result(text, word, why, process.returncode, seconds, "", argv)


class _kept_terminal:
    """The terminal's settings are afterwards what they were."""

    def __enter__(self) -> None:
        self._saved = None
        if sys.stdin.isatty():
            import termios

            self._saved = termios.tcgetattr(sys.stdin)

    def __exit__(self, *exc) -> None:
        if self._saved is not None:
            import termios

            # A background process may not set the terminal without being stopped for it.
            old = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._saved)
            signal.signal(signal.SIGTTOU, old)
