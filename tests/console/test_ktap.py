"""The KTAP parser: verdicts of whole reports, and that nothing that is cut off or out of order passes."""

import ktap
import pytest

GOOD = """\
SeaBIOS (version 1.16.2-debian-1.16.2-1)
xcall 0.1, build 0123456789abcdef
KTAP version 1
1..2
  KTAP version 1
  # Subtest: mutex
  1..3
  ok 1 excludes
some words of the kernel
  ok 2 hands_over # SKIP needs two CPUs
  ok 3 leaks_nothing
  # mutex: 12 ms
ok 1 mutex
  KTAP version 1
  # Subtest: xcall
  1..2
  ok 1 pairs
  ok 2 leaks_nothing
ok 2 xcall
END pass
"""


def outcomes(report: ktap.Report) -> dict[str, str]:
    return {case.id: case.outcome for case in report.cases}


def test_whole_report():
    report = ktap.parse(GOOD)
    assert report.problems == []
    assert report.passed
    assert outcomes(report) == {
        "mutex.excludes": "passed",
        "mutex.hands_over": "skipped",
        "mutex.leaks_nothing": "passed",
        "xcall.pairs": "passed",
        "xcall.leaks_nothing": "passed",
    }
    assert report.cases[1].reason == "needs two CPUs"


def noisy(text: str) -> str:
    """The same as a serial line brings it: colours, cursor moves for newlines, CR LF, NUL bytes."""
    noise = "\x1b[2J\x1b[01;01H\x1b[=3h\x1b]0;title\x07\x00BdsDxe: starting Boot0001\x1b[02;01H"
    text = text.replace("  ok 1 excludes", "\x1b[0m\x1b[32m  ok 1 excludes\x1b[0m")
    return noise + text.replace("\n", "\r\n")


def test_noise_changes_nothing():
    report = ktap.parse(noisy(GOOD))
    assert report.problems == []
    assert outcomes(report) == outcomes(ktap.parse(GOOD))


def test_first_line_behind_a_cursor_move():
    report = ktap.parse("firmware\x1b[5;1HKTAP version 1\n" + GOOD.partition("KTAP version 1\n")[2])
    assert report.passed


def test_failed_case_keeps_what_was_said_about_it():
    text = GOOD.replace("  ok 1 pairs", "  # xcall.c:7: failed: a == b: 1, 2 (CPU 0)\n  not ok 1 pairs")
    report = ktap.parse(text.replace("ok 2 xcall", "not ok 2 xcall"))
    assert report.problems == []
    assert not report.passed
    (failed,) = [case for case in report.cases if case.outcome == "failed"]
    assert failed.id == "xcall.pairs"
    assert failed.output == ["# xcall.c:7: failed: a == b: 1, 2 (CPU 0)"]


def test_failed_skip_is_a_failure():
    report = ktap.parse(GOOD.replace("ok 2 hands_over", "not ok 2 hands_over"))
    assert outcomes(report)["mutex.hands_over"] == "failed"


def test_suite_that_fails_after_its_cases():
    report = ktap.parse(GOOD.replace("\nok 1 mutex", "\nnot ok 1 mutex"))
    assert outcomes(report)["mutex.suite"] == "failed"


def test_suite_that_hides_a_failure():
    report = ktap.parse(GOOD.replace("  ok 1 pairs", "  not ok 1 pairs"))
    assert report.problems == ["suite xcall says ok with 1 failed cases"]


@pytest.mark.parametrize("end", range(GOOD.index("KTAP"), GOOD.index("ok 2 xcall") + len("ok 2 xcal")))
def test_no_prefix_passes(end):
    """Wherever the log is cut off, partial last lines included."""
    report = ktap.parse(GOOD[:end])
    assert not report.passed
    assert report.problems


@pytest.mark.parametrize("number", range(GOOD.count("\n")))
def test_no_lost_line_passes(number):
    lines = GOOD.splitlines(keepends=True)
    lost = lines.pop(number)
    words = ("SeaBIOS", "xcall 0", "some", "  # mutex:", "END")
    assert ktap.parse("".join(lines)).passed == lost.startswith(words)


@pytest.mark.parametrize(
    "old, new, problem",
    [
        ("1..2\n  KTAP", "1..3\n  KTAP", "the report planned 3 results and has 2"),
        ("  1..3\n", "  1..4\n", "suite mutex planned 4 results and has 3"),
        ("  1..3\n", "", "suite mutex has no plan"),
        ("  ok 3 leaks", "  ok 4 leaks", "leaks_nothing has number 4, expected 3"),
        ("ok 1 mutex", "ok 1 spinlock", "suite mutex ends as spinlock"),
        ("  ok 1 pairs", "Bail out! no memory\n  ok 1 pairs", "bailed out: no memory"),
        ("  ok 2 leaks_nothing\nok 2", "  ok 2 pairs\nok 2", "xcall.pairs has two results"),
        ("  # Subtest: xcall\n", "", "suite without a name ends as xcall"),
        ("  ok 1 pairs", "KTAP version 1\n  ok 1 pairs", "a second report begins: the kernel started over"),
        ("ok 1 mutex\n", "", "suite mutex has no result"),
    ],
)
def test_broken_structure(old, new, problem):
    assert old in GOOD
    report = ktap.parse(GOOD.replace(old, new, 1))
    assert not report.passed
    assert problem in report.problems


def test_no_ktap_at_all():
    assert ktap.parse("xcall 0.1\nEND pass\n").problems == ["no KTAP on the console"]


def test_empty_plan_is_no_pass():
    report = ktap.parse("KTAP version 1\n1..0\n# no suite is named\nEND fail\n")
    assert report.problems == []
    assert not report.passed
