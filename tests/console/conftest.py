"""pytest's entry to this folder: the boots of the tables, and what the tests beside them share."""

import os
import subprocess

import pytest

pytest_plugins = ["plugin"]

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture(scope="session")
def stub(tmp_path_factory) -> str:
    """A kernel of a page that acts out its command line (stub.asm): for tests of the harness itself."""
    folder = tmp_path_factory.mktemp("stub")
    source, obj, elf = os.path.join(HERE, "stub.asm"), str(folder / "stub.o"), str(folder / "stub.elf")
    subprocess.run(["nasm", "-f", "elf32", "-o", obj, source], check=True)
    link = ["ld", "-m", "elf_i386", "-z", "noexecstack", "-Ttext=0x200000", "-e", "start", "-o", elf, obj]
    subprocess.run(link, check=True)
    return elf


@pytest.fixture(scope="session")
def build(request) -> str:
    """The folder of the kernel."""
    return os.path.abspath(request.config.getoption("--build"))
