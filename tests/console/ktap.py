"""KTAP on a console: the kernel's test results, and whether the report is whole.

The form (https://docs.kernel.org/dev-tools/ktap.html, one level of nesting):

    KTAP version 1
    1..2
      KTAP version 1
      # Subtest: mutex
      1..2
      ok 1 excludes
      # tests/kernel/mutex.c:40: a == b: 1, 2
      not ok 2 hands_over
    not ok 1 mutex
      ...
    ok 2 xcall

Anything else between these lines is the kernel talking and is kept with the case it stands before.
A report that is cut off, out of order or does not keep its plan has `problems` and must not count as passed.
"""

import re
from dataclasses import dataclass, field

import console

_VERSION = re.compile(r"KTAP version \d+\Z")
_PLAN = re.compile(r"1\.\.(\d+)(?:\s*# SKIP\b\s*(.*))?\Z", re.IGNORECASE)
_SUBTEST = re.compile(r"# Subtest: (\S+)\Z")
_RESULT = re.compile(r"(not ok|ok) (\d+)(?: (?:- )?(.*))?\Z")
_DIRECTIVE = re.compile(r"(?:^|\s+)# (SKIP|TODO|XFAIL|TIMEOUT|ERROR)\b[:\s]*(.*)\Z", re.IGNORECASE)
_BAIL = re.compile(r"Bail out!\s*(.*)\Z")


def _number(digits: str) -> int:
    """A longer number is cut and so fits no report; Python refuses to convert thousands of digits."""
    return int(digits[:9])


@dataclass
class Case:
    """One verdict."""

    suite: str
    name: str
    outcome: str                # "passed", "failed", "skipped"
    reason: str = ""            # of a skip
    output: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        """suite.name"""
        return f"{self.suite}.{self.name}"


@dataclass
class Report:
    """All verdicts of a boot, in order."""

    cases: list[Case] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def count(self, outcome: str) -> int:
        """How many cases have this outcome."""
        return sum(1 for case in self.cases if case.outcome == outcome)

    @property
    def passed(self) -> bool:
        """The report is whole, says something, and nothing failed."""
        return not self.problems and bool(self.cases) and not self.count("failed")


@dataclass
class _Level:
    """A KTAP header with its plan, as far as it has been seen."""

    name: str
    plan: int | None = None
    seen: int = 0
    failed: int = 0

    def finish(self, problem) -> None:
        where = f"suite {self.name}" if self.name else "the report"
        if self.plan is None:
            problem(f"{where} has no plan")
        elif self.plan != self.seen:
            problem(f"{where} planned {self.plan} results and has {self.seen}")


class _Parser:
    """A state machine fed with lines; `suite` is the open one."""

    def __init__(self) -> None:
        self.report = Report()
        self.top: _Level | None = None
        self.suite: _Level | None = None
        self.output: list[str] = []
        self.done = False

    def problem(self, sentence: str) -> None:
        self.report.problems.append(sentence)

    def feed(self, line: str) -> None:
        body = line.strip()
        nested = line.startswith(" ")
        if self.top is None:
            if not nested and _VERSION.match(body):
                self.top = _Level("")
            return
        if m := _BAIL.match(body):
            self.problem(f"bailed out: {m.group(1) or 'no reason given'}")
        elif _VERSION.match(body):
            self.version(nested)
        elif m := _SUBTEST.match(body):
            if self.suite:
                self.suite.name = m.group(1)
        elif m := _PLAN.match(body):
            self.plan(nested, _number(m.group(1)))
        elif m := _RESULT.match(body):
            self.result(nested, m)
        elif body and not self.done:
            self.output.append(body)

    def version(self, nested: bool) -> None:
        if not nested:
            self.problem("a second report begins: the kernel started over")
        elif self.suite:
            self.problem(f"suite {self.suite.name} has no result")
        self.suite = _Level("")
        self.output = []

    def plan(self, nested: bool, count: int) -> None:
        level = self.suite if nested else self.top
        if level is None or level.plan is not None:
            self.problem(f"a plan of {count} where none belongs")
        else:
            level.plan = count
            self.done = level is self.top and count == 0

    def result(self, nested: bool, m: re.Match) -> None:
        ok, number, name = m.group(1) == "ok", _number(m.group(2)), m.group(3) or ""
        outcome, reason = ("passed" if ok else "failed"), ""
        if directive := _DIRECTIVE.search(name):
            name, reason = name[: directive.start()], directive.group(2)
            if ok:
                outcome = "skipped"
        name = name.strip() or f"case {number}"
        if nested:
            self.case(number, name, outcome, reason)
        else:
            self.suite_result(number, name, outcome, reason)

    def case(self, number: int, name: str, outcome: str, reason: str) -> None:
        if self.suite is None:
            self.problem(f"result of {name} outside of a suite")
            self.suite = _Level("unknown")
        self.numbered(self.suite, number, name)
        self.suite.failed += outcome == "failed"
        self.add(self.suite.name or "unknown", name, outcome, reason)

    def suite_result(self, number: int, name: str, outcome: str, reason: str) -> None:
        assert self.top is not None
        self.numbered(self.top, number, name)
        suite, self.suite = self.suite, None
        if suite is None:
            # A suite of no cases: its own line is the only verdict.
            self.add(name, "suite", outcome, reason)
        else:
            if suite.name != name:
                self.problem(f"suite {suite.name or 'without a name'} ends as {name}")
            suite.name = name
            suite.finish(self.problem)
            if outcome == "failed" and not suite.failed:
                # The suite itself broke something after its cases: a leak.
                self.add(name, "suite", outcome, reason)
            elif outcome != "failed" and suite.failed:
                self.problem(f"suite {name} says ok with {suite.failed} failed cases")
        self.output = []
        self.done = self.top.seen == self.top.plan

    def numbered(self, level: _Level, number: int, name: str) -> None:
        level.seen += 1
        if number != level.seen:
            self.problem(f"{name} has number {number}, expected {level.seen}")

    def add(self, suite: str, name: str, outcome: str, reason: str) -> None:
        self.report.cases.append(Case(suite, name, outcome, reason, self.output))
        self.output = []

    def finish(self) -> Report:
        if self.top is None:
            self.problem("no KTAP on the console")
            return self.report
        if self.suite:
            doing = f" after {self.report.cases[-1].id}" if self.report.cases else ""
            self.problem(f"cut off in suite {self.suite.name or 'without a name'}{doing}")
        self.top.finish(self.problem)
        seen = set()
        for case in self.report.cases:
            if case.id in seen:
                self.problem(f"{case.id} has two results")
            seen.add(case.id)
        return self.report


def parse(text: str) -> Report:
    """The report in a console log; text around and between is tolerated."""
    parser = _Parser()
    for line in console.lines(text):
        parser.feed(line)
    return parser.finish()
