"""How a boot ended: console text and QEMU's exit status judged together.

The kernel says it twice: its last line is `END pass`, `END fail` or `END panic`, and it writes a value to
QEMU's isa-debug-exit device, which turns v into exit status 2v+1 (boot/boot.h).  Only when both say the
same is the word believed; a log that was cut off can therefore never pass.
"""

import enum
import re
from dataclasses import dataclass

import console

# QEMU's words on stderr when it obeys a signal; its exit status is then 0.
_TERMINATED = re.compile(r"terminating on signal (\d+)")
_END = re.compile(r"END (pass|fail|panic)\Z")


class Verdict(enum.IntEnum):
    """The value is the runner's exit code."""

    PASS = 0
    FAIL = 1
    PANIC = 2
    HUNG = 3
    QEMU_ERROR = 4
    NO_END = 5


WORDS = {"pass": Verdict.PASS, "fail": Verdict.FAIL, "panic": Verdict.PANIC}
STATUS = {0x10 * 2 + 1: "pass", 0x11 * 2 + 1: "fail", 0x12 * 2 + 1: "panic"}


@dataclass
class Ending:
    """What is known about the end of a run."""

    text: str               # all of the serial console
    status: int | None      # QEMU's exit status; negative: died by that signal; None: we ended it
    timed_out: bool = False
    stderr: str = ""        # QEMU's
    debug_exit: bool = True  # the machine had the device
    seconds: float = 0.0


def end_words(text: str) -> list[str]:
    """The words of all END lines, in order."""
    found = (_END.match(line) for line in console.lines(text))
    return [m.group(1) for m in found if m]


def judge(end: Ending) -> tuple[Verdict, str]:
    """The verdict, and one sentence that says why."""
    words = end_words(end.text)
    last = words[-1] if words else None
    if end.timed_out:
        return _timed_out(end, last)
    if end.status is None:
        # Ended by us after END (a machine that halts there, or `hold`).
        return _agreed(end, words) if last else (Verdict.NO_END, "stopped before an END line")
    if m := _TERMINATED.search(end.stderr):
        return Verdict.QEMU_ERROR, f"QEMU was told to end by signal {m.group(1)}"
    if end.status < 0:
        return Verdict.QEMU_ERROR, f"QEMU died by signal {-end.status}"
    if end.debug_exit and end.status in STATUS:
        if last is None:
            return Verdict.NO_END, f"exit status says {STATUS[end.status]}, but there is no END line"
        if last != STATUS[end.status]:
            return Verdict.NO_END, f"END {last}, but the exit status says {STATUS[end.status]}"
        return _agreed(end, words)
    if end.status != 0:
        return Verdict.QEMU_ERROR, f"QEMU ended with status {end.status}"
    if last is None:
        return Verdict.NO_END, "the machine reset or powered off without an END line"
    if end.debug_exit:
        return Verdict.NO_END, f"END {last}, but the machine ended without that exit status"
    return _agreed(end, words)


def _timed_out(end: Ending, last: str | None) -> tuple[Verdict, str]:
    if last is None:
        return Verdict.HUNG, f"no END line within {end.seconds:.0f} s"
    if end.debug_exit:
        return Verdict.HUNG, f"END {last}, but the machine ran on"
    return _agreed(end, end_words(end.text))


def _agreed(end: Ending, words: list[str]) -> tuple[Verdict, str]:
    """The END lines agree with the exit status, as far as there is one; are they in order?"""
    word = words[-1]
    written = [line for line in console.lines(end.text) if line]
    if not _END.match(written[-1]):
        return Verdict.NO_END, f"END {word} is not the last line: {written[-1]!r} follows"
    if len(words) > 1 and word != "panic":
        return Verdict.NO_END, f"{len(words)} END lines: {', '.join(words)}"
    return WORDS[word], f"END {word}"


NAMES = {
    Verdict.PASS: "passed",
    Verdict.FAIL: "failed",
    Verdict.PANIC: "panicked",
    Verdict.HUNG: "hung",
    Verdict.QEMU_ERROR: "QEMU error",
    Verdict.NO_END: "ended without a verdict",
}
