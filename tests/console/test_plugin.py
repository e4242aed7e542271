"""The plugin, on a matrix of stub boots: what pytest counts and shows, alone and with pytest-xdist."""

import os
import re
import subprocess
import sys

import elf
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))

CASES = "KTAP version 1~1..1~  KTAP version 1~  # Subtest: mutex~  1..3~{}ok 1 mutex~"
GOOD = CASES.format("  ok 1 excludes~  ok 2 spins # SKIP one CPU~  ok 3 leaks_nothing~")
BAD = CASES.format("  ok 1 excludes~  # said: why~  not ok 2 spins~  ok 3 leaks_nothing~").replace("~ok 1", "~not ok 1")

BOOTS = {
    "good": GOOD + "END pass~@0",
    "bad": BAD + "END fail~@1",
    "cut": GOOD[:-20] + "@T",
    "hung": GOOD[:-20] + "~last words~@H",
    "lost": GOOD.replace("spins", "other") + "END pass~@0",
}


def run_pytest(folder, stub: str, *boots: str, args=()) -> tuple[str, dict[str, int]]:
    """pytest on a matrix of these boots, in a process of its own: its output and its counts."""
    with open(folder / "matrix.toml", "w", encoding="utf-8") as f:
        for name in boots:
            f.write(f"[[boot]]\nid = '{name}'\nruns = ['suites']\ncpus = 1\ntimeout = 5\n")
            f.write(f"append = '''{BOOTS[name]}'''\n")
    build = folder / "build"
    build.mkdir()
    os.symlink(stub, build / "xcall.elf")
    # The stub has no set of cases; this is what its boots are compared with.
    fake = "import elf\nelf.cases = lambda path: [('mutex', 'excludes'), ('mutex', 'spins')]\n"
    (folder / "conftest.py").write_text(fake + "pytest_plugins = ['plugin']\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "--rootdir", str(folder)]
    command += ["-c", os.path.join(HERE, "pytest.ini"), "--build", str(build), *args, str(folder)]
    env = dict(os.environ, PYTHONPATH=HERE)
    ran = subprocess.run(command, capture_output=True, text=True, env=env, cwd=folder, timeout=300, check=False)
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped|error)", ran.stdout.splitlines()[-1])}
    return ran.stdout + ran.stderr, counts


@pytest.mark.parametrize("args", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_every_case_is_a_result(stub, tmp_path, args):
    junit = tmp_path / "junit.xml"
    out, counts = run_pytest(tmp_path, stub, "good", "bad", args=(*args, f"--junitxml={junit}"))
    # good: the boot, excludes, leaks_nothing; bad: excludes, leaks_nothing.
    assert counts == {"passed": 5, "failed": 2, "skipped": 1}, out
    assert "FAILED matrix.toml::bad-suites::mutex.spins" in out
    assert "PASSED matrix.toml::good-suites::mutex.excludes" in out
    assert "# said: why" in out
    assert "1 cases failed: mutex.spins" in out
    assert "one CPU" in out
    assert 'name="good-suites::mutex.excludes"' in junit.read_text() or "mutex.excludes" in junit.read_text()
    assert (tmp_path / "build" / "logs" / "bad-suites.log").read_text().endswith("END fail\n")


@pytest.mark.parametrize(
    "name, words",
    [
        ("cut", "reset or powered off without an END line"),
        ("hung", "hung: no END line within 5 s"),
        ("hung", "    last words"),
        ("lost", "mutex.spins is in the kernel and did not run"),
        ("lost", "mutex.other ran and is not in the kernel"),
    ],
)
def test_what_fails_a_boot(stub, tmp_path, name, words):
    out, counts = run_pytest(tmp_path, stub, name)
    assert counts["failed"] == 1, out
    assert words in out


def test_missing_kernel_is_said_plainly(tmp_path, stub):
    out, counts = run_pytest(tmp_path, stub, "good", args=("--build", "/nowhere"))
    assert counts == {"failed": 1}, out
    assert "/nowhere/xcall.elf is missing: run make first" in out
    assert "Traceback" not in out


def test_sets_are_read_out_of_an_elf(tmp_path):
    """Two cases and a misuse as tests/kernel/test.h lays them out."""
    source = tmp_path / "sets.c"
    source.write_text(
        """
        struct test { const char *suite, *name; void (*run)(void); };
        struct misuse { const char *name; void (*run)(void); };
        void _start(void) {}
        #define SET(s) __attribute__((used, section(s)))
        static const struct test tests[] SET("set_tests") =
            { { "mutex", "excludes", _start }, { "xcall", "pairs", _start } };
        static const struct misuse misuses[] SET("set_misuses") = { { "null_func", _start } };
        """
    )
    image = str(tmp_path / "sets.elf")
    names = [f"{s}_{e}=__{w}_{s}" for s in ("set_tests", "set_misuses") for e, w in (("start", "start"), ("end", "stop"))]
    link = [f"-Wl,--defsym={name}" for name in names]
    command = ["gcc", "-nostdlib", "-static", "-no-pie", "-fno-pie", *link, "-o", image, str(source)]
    subprocess.run(command, check=True)
    assert elf.cases(image) == [("mutex", "excludes"), ("xcall", "pairs")]
    assert elf.misuses(image) == ["null_func"]
