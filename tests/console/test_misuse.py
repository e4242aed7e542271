"""misuse.toml and the kernel name the same misuse cases.  (Each row's boot is an item of plugin.py.)"""

import os
import re

import console
import elf
import matrix
import pytest
import qemu
import runner
from verdict import Verdict

HERE = os.path.dirname(os.path.abspath(__file__))


def rows(which: str) -> list[str]:
    """Of a build; the usual cases are in every other one too."""
    found = matrix.load_misuses(os.path.join(HERE, "misuse.toml"))
    return sorted(row.name for row in found if row.build in ("", which))


@pytest.mark.parametrize("which", ["", "ubsan"])
def test_every_case_has_a_row_and_every_row_a_case(build, which):
    config = qemu.Config(cpus=1, firmware="pvh", append="misuse=list", elf=os.path.join(build, which, "xcall.elf"))
    result = runner.run(config, log=f"{build}/logs/misuse-list{which}.log")
    assert result.verdict == Verdict.PASS, result.sentence() + "\n" + result.details()
    listed = sorted(re.findall(r"^misuse: (\S+)$", console.plain(result.text), re.MULTILINE))
    assert listed == rows(which)
    assert listed == sorted(elf.misuses(config.elf))


def test_each_boot_has_its_own_canary(build):
    config = qemu.Config(cpus=1, firmware="pvh", append="misuse=stack_buffer_overrun", elf=f"{build}/xcall.elf")
    found = [re.search(r"the canary is (0x[0-9a-f]+)", runner.run(config).text).group(1) for _ in range(2)]
    assert found[0] != found[1]


def test_an_unknown_case_fails(build):
    config = qemu.Config(cpus=1, firmware="pvh", append="misuse=no_such_case", elf=f"{build}/xcall.elf")
    result = runner.run(config)
    assert result.verdict == Verdict.FAIL, result.sentence()
    assert 'there is no misuse case "no_such_case"' in result.text
