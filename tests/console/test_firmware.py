"""Machines whose firmware lies: each boots as far as it can, and names what is wrong."""

import json
import re
import struct

import pytest

import acpi
import console
import qemu
import runner
from verdict import Verdict


def boot(build, name, cpus, args):
    """Boots the main job with these words for QEMU; the result, and its BRINGUP line."""
    config = qemu.Config(cpus=cpus, firmware="pvh", elf=f"{build}/xcall.elf", qemu_args=args)
    result = runner.run(config, log=f"{build}/logs/firmware-{name}.log")
    found = re.search(r"^BRINGUP (.*)$", console.plain(result.text), re.MULTILINE)
    assert found, result.sentence() + "\n" + result.details()
    return result, json.loads(found.group(1))


def ids(*numbers):
    """MADT entries for these APIC ids."""
    return b"".join(acpi.local_apic(n) for n in numbers)


def test_a_cpu_that_does_not_exist_is_named_and_left_out(build, tmp_path):
    result, line = boot(build, "phantom", 3, acpi.qemu_args(tmp_path, acpi.madt(ids(0, 1, 7, 2))))
    assert "warning: the CPU with APIC id 7 is left out: no answer to two rounds of INIT and STARTUP" in result.text
    assert (line["cpus_found"], line["cpus_online"], line["cpus_failed"]) == (4, 3, 1)
    assert line["timers_ok"] == 3
    assert result.verdict == Verdict.FAIL


FLAWS = [
    # The entries before the bad one count.
    ("zero-length", acpi.madt(ids(0, 1) + b"\0\0" + ids(2)), "ACPI MADT", 2, "warning: .*MADT"),
    # Nothing of a corrupt table is believed; the MP table, which SeaBIOS fills in a package at a time, names all.
    ("checksum", acpi.madt(ids(0, 1), good=False), "MP table", 3, "warning: .*(APIC|MADT)"),
    ("no-cpus", acpi.madt(b""), "MP table", 3, ""),
    # One CPU described twice, by types 0 and 9; and one that firmware disabled.
    ("duplicates", acpi.madt(ids(0, 1) + acpi.local_x2apic(1) + ids(1)), "ACPI MADT", 2, ""),
    ("disabled", acpi.madt(ids(0, 1) + acpi.local_apic(2, 0)), "ACPI MADT", 2, "1 disabled by firmware"),
    # The boot CPU need not come first, nor at all.
    ("boot-cpu-last", acpi.madt(ids(2, 1, 0)), "ACPI MADT", 3, ""),
    ("boot-cpu-unnamed", acpi.madt(ids(1, 2)), "ACPI MADT", 3, ""),
    # Id 255 is no CPU in an entry of type 0.
    ("broadcast-id", acpi.madt(ids(0, 1, 255)), "ACPI MADT", 2, ""),
]


@pytest.mark.parametrize("name, madt, source, online, words", FLAWS, ids=[flaw[0] for flaw in FLAWS])
def test_tables_with_a_flaw(build, tmp_path, name, madt, source, online, words):
    result, line = boot(build, name, 3, acpi.qemu_args(tmp_path, madt) + ["-smp", "3,sockets=3"])
    text = console.plain(result.text)
    assert f"found in the {source}, {online} online" in text
    assert re.search(words, text)
    assert (line["cpus_online"], line["cpus_failed"]) == (online, 0)
    assert result.verdict == Verdict.PASS, result.sentence()


def test_tables_of_another_make(build):
    """Without QEMU's tables SeaBIOS makes its own, with no power-off in them."""
    result, line = boot(build, "no-acpi", 3, ["-no-acpi"])
    assert line["cpus_online"] == 3
    assert result.verdict == Verdict.PASS, result.sentence()


def test_an_id_that_needs_x2apic_is_named(build, tmp_path):
    result, line = boot(build, "x2apic-id", 2, acpi.qemu_args(tmp_path, acpi.madt(ids(0, 1) + acpi.local_x2apic(300))))
    assert "warning: the CPU with APIC id 300 is left out: its APIC id needs x2APIC" in result.text
    assert (line["cpus_online"], line["cpus_failed"]) == (2, 1)
    assert result.verdict == Verdict.FAIL


@pytest.mark.parametrize("name, cpu, words", [
    ("no-64-bit", "qemu64,-lm", "this CPU has no 64-bit mode"),
    ("no-apic", "qemu64,-apic", "cannot use the local APIC"),
])
def test_a_cpu_that_cannot_do_it_is_refused(build, name, cpu, words):
    config = qemu.Config(cpus=1, firmware="pvh", elf=f"{build}/xcall.elf", qemu_args=["-cpu", cpu])
    result = runner.run(config, log=f"{build}/logs/firmware-{name}.log")
    assert words in result.text
    assert result.verdict in (Verdict.FAIL, Verdict.PANIC), result.sentence()


@pytest.mark.parametrize("name, cpu", [
    ("no-nx", "qemu64,-nx"),
    ("no-pat-no-mtrr", "qemu64,-pat,-mtrr"),
    ("sockets", "qemu64"),
])
def test_a_cpu_with_less_does_the_job(build, name, cpu):
    args = ["-cpu", cpu] + (["-smp", "6,sockets=2,cores=3"] if name == "sockets" else [])
    result, line = boot(build, name, 6, args)
    assert line["cpus_online"] == 6
    assert result.verdict == Verdict.PASS, result.sentence()


# Nothing answers there, and the next page is not mapped.
LAST_WORD_OF_A_PAGE = 0xFED7FFFC


def test_hpet_whose_registers_reach_into_the_next_page(build, tmp_path):
    body = tmp_path / "hpet"
    body.write_bytes(struct.pack("<IBBBBQBHB", 0x8086A201, 0, 64, 0, 0, LAST_WORD_OF_A_PAGE, 0, 0, 0))
    result, _ = boot(build, "hpet-page", 2, ["-no-hpet", "-acpitable", f"sig=HPET,rev=1,data={body}"])
    assert re.search(r"^ *HPET .* absent: its period is outside", result.text, re.MULTILINE)
    assert result.verdict == Verdict.PASS


def test_ioapic_whose_registers_reach_into_the_next_page(build, tmp_path):
    ioapic = struct.pack("<BBBBII", 1, 12, 0, 0, LAST_WORD_OF_A_PAGE, 0)
    result, line = boot(build, "ioapic-page", 2, acpi.qemu_args(tmp_path, acpi.madt(ids(0, 1) + ioapic)))
    assert line["cpus_online"] == 2
    assert result.verdict == Verdict.PASS
