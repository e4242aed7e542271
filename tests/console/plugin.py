"""The pytest plugin: boots out of matrix.toml and misuse.toml as test items, KTAP cases as results.

Background.  What cases a boot has is known only after the boot, and one boot gives many of them.  pytest wants
its items before anything runs, and pytest-xdist wants the same items in every worker.

Implementation.  An item is one boot.  When it is over, each of its KTAP cases is reported as a test result of
its own, with a name of its own (matrix.toml::pvh-q35-4-suites::mutex.excludes): pytest counts, lists and
exports it as any other.  A worker of pytest-xdist may report on the item that it runs only, so there the
case travels as an attribute of the report, and the controller gives the report its name.
The boot itself passes when its end is the expected one and its console is whole; a failed case fails both.

Boots of many CPUs are one unit to the scheduler: they load all cores of the host, so one at a time.  The
longest units start first.
"""

import os

import matrix
import pytest
import runner

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CASE = "xcall_case"         # attribute of a report: which case it is about


def pytest_addoption(parser) -> None:
    group = parser.getgroup("xcall")
    group.addoption("--build", default=os.path.join(ROOT, "build"), help="folder of xcall.elf and xcall.iso")
    group.addoption("--tier", default="ci", choices=matrix.TIERS, help="ci, or all rows of matrix.toml")


def build_folder(config) -> str:
    """Where the kernel is, and below it the logs."""
    return os.path.abspath(config.getoption("--build"))


class BootFailure(Exception):
    """A boot did not do what its row says; the text is for a person."""


class BootItem(pytest.Item):
    """One boot."""

    def __init__(self, *, make_config, judge, timeout, cpus, cost, **kwargs) -> None:
        super().__init__(**kwargs)
        self.cpus = cpus
        self.cost = cost
        self.cases = []
        self._make_config = make_config
        self._judge = judge
        self._timeout = timeout

    @property
    def log(self) -> str:
        """The file that keeps the console."""
        return os.path.join(build_folder(self.config), "logs", self.name + ".log")

    def runtest(self) -> None:
        config = self._make_config(build_folder(self.config))
        result = runner.run(config, self._timeout, self.log)
        problems, self.cases = self._judge(result, config.elf)
        failed = [case.id for case in self.cases if case.outcome == "failed"]
        if failed:
            problems.append(f"{len(failed)} cases failed: {', '.join(failed)}")
        if problems:
            parts = [f"{self.name}: {problem}" for problem in problems]
            parts += [result.details() or "the end of the console:\n" + runner.console.last_lines(result.text)]
            raise BootFailure("\n".join([*parts, f"log: {self.log}", f"run: {' '.join(result.argv)}"]))

    def repr_failure(self, excinfo, style=None):
        if isinstance(excinfo.value, (BootFailure, runner.qemu.ConfigError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self):
        return self.path, None, self.name

    def case_reports(self) -> list[pytest.TestReport]:
        """A report for each KTAP case."""
        return [self._case_report(case) for case in self.cases]

    def _case_report(self, case) -> pytest.TestReport:
        longrepr = None
        if case.outcome == "failed":
            longrepr = "\n".join([*case.output, f"log: {self.log}"])
        elif case.outcome == "skipped":
            longrepr = (str(self.path), 0, f"Skipped: {case.reason}")
        report = pytest.TestReport(
            nodeid=self.nodeid,
            location=(self.location[0], None, f"{self.name}::{case.id}"),
            keywords={},
            outcome=case.outcome,
            longrepr=longrepr,
            when="call",
            **{CASE: case.id},
        )
        return report


class MatrixFile(pytest.File):
    """matrix.toml"""

    def collect(self):
        everything = self.config.getoption("--tier") == "all"
        for row in matrix.load(str(self.path)):
            if row.tier == "all" and not everything:
                continue
            for run in row.runs:
                yield BootItem.from_parent(
                    self,
                    name=f"{row.id}-{run}",
                    make_config=lambda build, row=row, run=run: row.config(run, build),
                    judge=lambda result, elf, row=row, run=run: matrix.judge(row, run, result, elf),
                    timeout=row.timeout,
                    cpus=row.cpus,
                    cost=row.cost(),
                )


class MisuseFile(pytest.File):
    """misuse.toml"""

    def collect(self):
        for row in matrix.load_misuses(str(self.path)):
            yield BootItem.from_parent(
                self,
                name=f"misuse-{row.name}",
                make_config=row.config,
                judge=lambda result, elf, row=row: (row.judge(result), []),
                timeout=row.timeout,
                cpus=row.cpus,
                cost=2.0,
            )


def pytest_collect_file(file_path, parent):
    kinds = {"matrix.toml": MatrixFile, "misuse.toml": MisuseFile}
    kind = kinds.get(file_path.name)
    return kind.from_parent(parent, path=file_path) if kind else None


def pytest_collection_modifyitems(items) -> None:
    # Stable: what has no cost (ordinary tests) comes after the boots, in its own order.
    items.sort(key=lambda item: -getattr(item, "cost", 0.0))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item, nextitem):
    yield
    if not isinstance(item, BootItem):
        return
    for report in item.case_reports():
        if not hasattr(item.config, "workerinput"):
            _give_name(report)
        item.ihook.pytest_runtest_logreport(report=report)


def _give_name(report: pytest.TestReport) -> pytest.TestReport:
    report.nodeid += f"::{getattr(report, CASE)}"
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_report_from_serializable(data):
    """On the controller of pytest-xdist: a worker's report on a case."""
    if data.get("$report_type") != "TestReport" or CASE not in data:
        return None
    del data["$report_type"]
    return _give_name(pytest.TestReport._from_json(data))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    if config.getoption("--dist") != "load":
        return None

    class BootScheduling(LoadScopeScheduling):
        """Every item is a unit, but for the big boots, which are one together."""

        def _split_scope(self, nodeid: str) -> str:
            return "big boots" if nodeid.split("::")[-1] in big else nodeid

    big = _big_boots(config)
    return BootScheduling(config, log)


def _big_boots(config) -> set[str]:
    """Names of items; the controller has no items, so from the file again."""
    path = os.path.join(config.rootpath, "matrix.toml")
    if not os.path.exists(path):
        return set()
    rows = [row for row in matrix.load(path) if row.cpus >= matrix.BIG_CPUS]
    return {f"{row.id}-{run}" for row in rows for run in row.runs}
