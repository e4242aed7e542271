"""Console text and exit status to a verdict: every way to end, and every disagreement."""

import console
import pytest
import verdict
from verdict import Ending, Verdict, judge


def ending(text: str, status: int | None, **more) -> Verdict:
    return judge(Ending(text, status, **more))[0]


@pytest.mark.parametrize("word, status, want", [("pass", 33, 0), ("fail", 35, 1), ("panic", 37, 2)])
def test_both_say_the_same(word, status, want):
    assert ending(f"banner\nEND {word}\n", status) == want
    assert ending(f"banner\r\n\x1b[0mEND {word}\r\n\r\n", status) == want


@pytest.mark.parametrize("word", ["pass", "fail", "panic"])
@pytest.mark.parametrize("status", [0, 1, 33, 35, 37, -9, -11, 39])
def test_a_status_of_its_own_never_agrees(word, status):
    if verdict.STATUS.get(status) != word:
        assert ending(f"END {word}\n", status) in (Verdict.NO_END, Verdict.QEMU_ERROR)


@pytest.mark.parametrize(
    "text", ["", "ok 1 mutex\n", "END", "END pas", "END passed\n", "the END pass\n", " END pass of it\n"]
)
def test_no_end_line(text):
    for status in (0, 33, 35, 37):
        assert ending(text, status) == Verdict.NO_END


def test_end_is_the_last_line():
    assert ending("END pass\nmore\n", 33) == Verdict.NO_END
    assert ending("END pass\n\n  \n", 33) == Verdict.PASS


def test_two_ends():
    assert ending("END pass\nEND pass\n", 33) == Verdict.NO_END
    assert ending("END pass\npanic: late\nEND panic\n", 37) == Verdict.PANIC


def test_hung():
    assert ending("xcall\n", None, timed_out=True) == Verdict.HUNG
    assert ending("END pass\n", None, timed_out=True) == Verdict.HUNG


def test_machine_without_debug_exit():
    assert ending("END pass\n", 0, debug_exit=False) == Verdict.PASS
    assert ending("END fail\n", 0, debug_exit=False) == Verdict.FAIL
    assert ending("END pass\n", None, timed_out=True, debug_exit=False) == Verdict.PASS
    assert ending("xcall\n", 0, debug_exit=False) == Verdict.NO_END
    assert ending("xcall\n", None, timed_out=True, debug_exit=False) == Verdict.HUNG


def test_stopped_by_a_person():
    assert ending("END pass\n", None) == Verdict.PASS
    assert ending("xcall\n", None) == Verdict.NO_END


def test_qemu_died():
    word, why = judge(Ending("xcall\n", -11))
    assert (word, why) == (Verdict.QEMU_ERROR, "QEMU died by signal 11")
    assert ending("", 1, stderr="invalid option") == Verdict.QEMU_ERROR
    # Told to end by a signal it catches, QEMU exits with 0.
    assert ending("xcall\n", 0, stderr="terminating on signal 15 from pid 1") == Verdict.QEMU_ERROR


def test_last_lines():
    text = "".join(f"line {i}\r\n\r\n" for i in range(100)) + "par"
    shown = console.last_lines(text, 3).split("\n")
    assert shown == ["    line 98", "    line 99", "    par"]
    assert console.last_lines("\r\n") == "    (nothing on the console)"


@pytest.mark.parametrize(
    "raw, plain",
    [
        ("a\r\nb\rc\n\rd", "a\nb\nc\nd"),
        ("a\x1b[1;31mb\x1b[0mc", "abc"),
        ("a\x1b[12;40Hb", "a\nb"),
        ("a\x1b]0;t\x07b\x1b]0;t\x1b\\c", "abc"),
        ("a\x00b\x07c\x7f", "abc"),
        ("cut \x1b[3", "cut [3"),
    ],
)
def test_plain(raw, plain):
    assert console.plain(raw) == plain
