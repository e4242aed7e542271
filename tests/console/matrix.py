"""The rows of matrix.toml and misuse.toml as objects: checked, with defaults, each able to judge its boot."""

import dataclasses
import os
import re
import tomllib
from dataclasses import dataclass, field

import console
import elf
import ktap
import mainjob
import qemu
import runner
import verdict

# From this many CPUs on, boots run one after the other: each loads every core of the host by itself.
BIG_CPUS = 32

WORDS = {"suites": "test=all", "smoke": "test=smoke", "mainjob": "", "plain": ""}
TIERS = ("ci", "all")
# Added by the runner to each suite (tests/kernel/test.c); no struct test_case stands for it.
LEAK_CASE = "leaks_nothing"
SMOKE_SUITE = "smoke"


class MatrixError(Exception):
    """A row makes no sense."""


@dataclass
class Row:
    """One [[boot]] of matrix.toml, for one of its runs."""

    id: str
    runs: list[str]
    machine: str = "q35"
    cpus: int = 4
    firmware: str = "pvh"
    media: str = "cdrom"
    accel: str = "multi"
    memory: int | None = None
    append: str = ""
    qemu_args: list[str] = field(default_factory=list)
    debug_exit: bool = True
    build: str = ""
    expect: str = "pass"
    expect_text: list[str] = field(default_factory=list)
    timeout: float | None = None
    tier: str = "ci"
    nmi: float = 0.0

    def validate(self) -> None:
        """Raises MatrixError."""
        for run in self.runs:
            if run not in WORDS:
                raise MatrixError(f"{self.id}: there is no run {run!r}")
        if self.expect not in verdict.WORDS:
            raise MatrixError(f"{self.id}: there is no end {self.expect!r}")
        if self.tier not in TIERS:
            raise MatrixError(f"{self.id}: there is no tier {self.tier!r}")
        for pattern in self.expect_text:
            _compile(self.id, pattern)

    def config(self, run: str, build: str) -> qemu.Config:
        """What to boot; `build` is the folder of the kernel."""
        return qemu.Config(
            machine=self.machine,
            cpus=self.cpus,
            firmware=self.firmware,
            media=self.media,
            accel=self.accel,
            memory=self.memory,
            append=f"{self.append} {WORDS[run]}".strip(),
            elf=os.path.join(build, self.build, "xcall.elf"),
            iso=os.path.join(build, self.build, "xcall.iso"),
            debug_exit=self.debug_exit,
            qemu_args=self.qemu_args,
            nmi=self.nmi,
        )

    def cost(self) -> float:
        """Roughly the seconds that its boots take; only their order matters."""
        seconds = 60.0 if "suites" in self.runs else 5.0
        return (seconds + self.cpus) * (2 if self.firmware == "uefi" or self.accel != "multi" else 1)


def _compile(who: str, pattern: str) -> re.Pattern:
    try:
        return re.compile(pattern, re.MULTILINE)
    except re.error as e:
        raise MatrixError(f"{who}: {pattern!r} is no regular expression: {e}") from e


def _table(path: str, key: str, kind):
    with open(path, "rb") as f:
        try:
            tables = tomllib.load(f).get(key, [])
        except tomllib.TOMLDecodeError as e:
            raise MatrixError(f"{path}: {e}") from e
    known = {f.name for f in dataclasses.fields(kind)}
    rows = []
    for table in tables:
        unknown = set(table) - known
        if unknown:
            raise MatrixError(f"{path}: {table}: unknown keys {', '.join(sorted(unknown))}")
        try:
            row = kind(**table)
        except TypeError as e:
            raise MatrixError(f"{path}: {table}: {e}") from e
        row.validate()
        rows.append(row)
    return rows


def load(path: str) -> list[Row]:
    """The rows of matrix.toml, in its order."""
    rows = _table(path, "boot", Row)
    ids = [row.id for row in rows]
    for name in ids:
        if ids.count(name) > 1:
            raise MatrixError(f"{path}: two rows have the id {name}")
    return rows


def missing_text(patterns: list[str], text: str) -> list[str]:
    """A sentence for each pattern that is not in the plain text."""
    plain = console.plain(text)
    return [f"not on the console: {p}" for p in patterns if not _compile("", p).search(plain)]


def judge(row: Row, run: str, result: runner.Result, kernel: str) -> tuple[list[str], list[ktap.Case]]:
    """What is wrong with a boot of `kernel` (an ELF file), and its KTAP cases."""
    problems, cases = [], []
    if result.verdict != verdict.WORDS[row.expect]:
        problems.append(result.sentence() + f", expected {row.expect}")
    problems += missing_text(row.expect_text, result.text)
    if row.nmi:
        problems += _unsaid_nmis(result)
    if run == "mainjob":
        problems += mainjob.check(result.text, row.cpus)
    if run in ("suites", "smoke"):
        report = ktap.parse(result.text)
        cases = report.cases
        problems += report.problems
        problems += _unlike_kernel(run, cases, kernel)
    return problems, cases


def _unsaid_nmis(result: runner.Result) -> list[str]:
    """NMIs that come from outside are counted and said."""
    said = re.search(r"^nmi: (\d+) in all that nobody claimed$", console.plain(result.text), re.MULTILINE)
    if not result.nmis or said is None or int(said.group(1)) < 1:
        return [f"{result.nmis} NMIs were injected, and the kernel says {said.group(1) if said else 'nothing of any'}"]
    return []


def _unlike_kernel(run: str, cases: list[ktap.Case], kernel: str) -> list[str]:
    """Every case that is linked into the kernel must have run, and no other."""
    linked = {
        f"{suite}.{name}" for suite, name in elf.cases(kernel) if run == "suites" or suite == SMOKE_SUITE
    }
    ran = {case.id for case in cases if case.name != LEAK_CASE}
    problems = [f"{name} is in the kernel and did not run" for name in sorted(linked - ran)]
    problems += [f"{name} ran and is not in the kernel" for name in sorted(ran - linked)]
    return problems


@dataclass
class Misuse:
    """One [[misuse]] of misuse.toml."""

    name: str
    panic: list[str]
    cpus: int = 2
    append: str = ""
    timeout: float | None = None
    build: str = ""
    qemu_args: list[str] = field(default_factory=list)

    def validate(self) -> None:
        """Raises MatrixError."""
        if not self.panic:
            raise MatrixError(f"{self.name}: says nothing about the panic's text")
        for pattern in self.panic:
            _compile(self.name, pattern)

    def config(self, build: str) -> qemu.Config:
        """What to boot."""
        words = f"{self.append} misuse={self.name}".strip()
        elf = os.path.join(build, self.build, "xcall.elf")
        return qemu.Config(cpus=self.cpus, firmware="pvh", append=words, elf=elf, qemu_args=self.qemu_args)

    def judge(self, result: runner.Result) -> list[str]:
        """What is wrong with its end."""
        if result.verdict != verdict.Verdict.PANIC:
            return [result.sentence() + ", expected a panic"]
        _, found, message = console.plain(result.text).partition("\npanic: ")
        if not found:
            return ["END panic without a line that begins with panic:"]
        return [
            f"not in the panic message: {p}" for p in self.panic if not _compile("", p).search("panic: " + message)
        ]


def load_misuses(path: str) -> list[Misuse]:
    """The rows of misuse.toml, in its order."""
    rows = _table(path, "misuse", Misuse)
    names = [row.name for row in rows]
    for name in names:
        if names.count(name) > 1:
            raise MatrixError(f"{path}: two rows have the name {name}")
    return rows
