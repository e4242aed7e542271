"""Which QEMU: from the words a person uses (machine, CPUs, firmware) to QEMU's command line.

Pure but for the scratch folder that the caller gives: files that QEMU wants (the kernel command line of
an ISO boot, UEFI's variables) are written there.
"""

import os
import shutil
from dataclasses import dataclass, field

MACHINES = ("pc", "q35", "microvm")
FIRMWARES = ("bios", "uefi", "pvh")
MEDIA = ("cdrom", "disk")
ACCELS = ("multi", "single", "exact")
CPUS_MAX = 255          # xAPIC ids are 8 bits wide, and 255 is the broadcast id
CMDLINE_MAX = 1023      # kernel/cmdline.h: CMDLINE_BYTES, less the final NUL
OVMF_CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
OVMF_VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"

GDB_ADDRESS = "127.0.0.1:1234"

# boot/boot.h: BOOT_DEBUG_EXIT_PORT.
DEBUG_EXIT = "isa-debug-exit,iobase=0xf4,iosize=4"

# Everything the kernel looks for and a microvm can have; some of it is off by default in some versions.
MICROVM = "microvm,acpi=on,pit=on,pic=on,rtc=on,isa-serial=on"

ACCEL_ARGS = {
    "multi": ["-accel", "tcg,thread=multi"],
    "single": ["-accel", "tcg,thread=single"],
    # One virtual nanosecond an instruction, idle time skipped: the same run for the same flags.
    "exact": ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"],
}


class ConfigError(Exception):
    """The configuration makes no sense, or a file it needs is missing; says what and why."""


@dataclass
class Config:
    """One boot.  None means: choose what suits the rest."""

    machine: str = "q35"
    cpus: int = 4
    firmware: str | None = None         # bios; pvh on microvm
    media: str = "cdrom"                # how an ISO boot sees the ISO
    accel: str = "multi"
    memory: int | None = None           # MiB
    append: str = ""                    # the kernel's command line
    elf: str = "build/xcall.elf"
    iso: str = "build/xcall.iso"
    debug_exit: bool = True
    reboot: bool = False                # a reset boots again instead of ending QEMU
    nmi: float = 0.0                    # NMIs a second, from outside (nmi.py)
    gdb: str = ""                       # where QEMU's GDB stub listens; QEMU then starts stopped
    serial: str = "stdio"               # "stdio", or "terminal": a person's, shared with QEMU's monitor
    serial_log: str | None = None       # with "terminal": file that QEMU copies the serial line to
    qemu: str = "qemu-system-x86_64"
    qemu_args: list[str] = field(default_factory=list)

    def resolved_firmware(self) -> str:
        """The firmware that will be used."""
        return self.firmware or ("pvh" if self.machine == "microvm" else "bios")

    def resolved_memory(self) -> int:
        """Memory in MiB: stacks and tables of each CPU, and UEFI's own appetite."""
        if self.memory is not None:
            return self.memory
        base = 512 if self.resolved_firmware() == "uefi" else 128
        return base + 2 * self.cpus

    def words(self) -> list[str]:
        """The kernel's command line as words."""
        return self.append.split()


def check(config: Config) -> None:
    """Raises ConfigError with a sentence for a person when this cannot be booted."""
    firmware = config.resolved_firmware()
    for name, value, known in (
        ("machine", config.machine, MACHINES),
        ("firmware", firmware, FIRMWARES),
        ("media", config.media, MEDIA),
        ("accel", config.accel, ACCELS),
    ):
        if value not in known:
            raise ConfigError(f"{name} {value!r} is not one of {', '.join(known)}")
    if not 1 <= config.cpus <= CPUS_MAX:
        raise ConfigError(
            f"{config.cpus} CPUs: this machine has 1 to {CPUS_MAX} (the limit of 8-bit APIC ids)"
        )
    if config.nmi < 0 or (config.nmi and config.serial != "stdio"):
        raise ConfigError("NMIs are injected at a rate above 0, and not where a terminal is the serial line")
    if config.memory is not None and config.memory < 16:
        raise ConfigError(f"{config.memory} MiB of memory: give at least 16")
    if config.machine == "microvm" and firmware != "pvh":
        raise ConfigError(
            f"a microvm has no drive to boot an ISO from: firmware must be pvh, not {firmware}"
        )
    if len(config.append.encode()) > CMDLINE_MAX:
        raise ConfigError(f"the kernel command line is longer than {CMDLINE_MAX} bytes")
    needed = [config.elf] if firmware == "pvh" else [config.iso]
    if firmware == "uefi":
        needed += [OVMF_CODE, OVMF_VARS]
    for path in needed:
        if not os.path.isfile(path):
            hint = "apt-get install ovmf" if path.startswith("/usr/share/OVMF") else "run make first"
            raise ConfigError(f"{path} is missing: {hint}")
    if shutil.which(config.qemu) is None:
        raise ConfigError(f"{config.qemu} is missing: apt-get install qemu-system-x86")


def quoted(path: str) -> str:
    """A path inside a QEMU option: commas are doubled."""
    return path.replace(",", ",,")


def qmp_socket(scratch: str) -> str:
    """Where QEMU listens for NMIs to inject."""
    return os.path.join(scratch, "qmp")


def argv(config: Config, scratch: str) -> list[str]:
    """QEMU's command line; `scratch` is a private folder that outlives the run."""
    check(config)
    machine = MICROVM if config.machine == "microvm" else config.machine
    args = [config.qemu, "-machine", machine, *ACCEL_ARGS[config.accel]]
    args += ["-smp", str(config.cpus), "-m", f"{config.resolved_memory()}M"]
    args += ["-nodefaults", "-display", "none"]
    args += ["-vga", "none" if config.machine == "microvm" else "std"]
    if not config.reboot:
        args += ["-no-reboot"]
    if config.debug_exit:
        args += ["-device", DEBUG_EXIT]
    args += _serial_args(config)
    if config.resolved_firmware() == "pvh":
        args += ["-kernel", config.elf]
        if config.append:
            args += ["-append", config.append]
    else:
        args += _iso_args(config, scratch)
    if config.nmi:
        args += ["-qmp", f"unix:{quoted(qmp_socket(scratch))},server=on,wait=off"]
    if config.gdb:
        args += ["-S", "-gdb", config.gdb]
    return args + config.qemu_args


def _serial_args(config: Config) -> list[str]:
    if config.serial == "stdio":
        return ["-monitor", "none", "-chardev", "stdio,id=com1,signal=off", "-serial", "chardev:com1"]
    log = f",logfile={quoted(config.serial_log)}" if config.serial_log else ""
    return [
        "-chardev", f"stdio,id=com1,mux=on,signal=off{log}",
        "-serial", "chardev:com1",
        "-mon", "chardev=com1,mode=readline",
    ]  # fmt: skip


def _iso_args(config: Config, scratch: str) -> list[str]:
    args = []
    if config.resolved_firmware() == "uefi":
        variables = os.path.join(scratch, "ovmf-vars.fd")
        shutil.copyfile(OVMF_VARS, variables)
        args += ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={OVMF_CODE}"]
        args += ["-drive", f"if=pflash,format=raw,unit=1,file={quoted(variables)}"]
    iso = quoted(config.iso)
    if config.media == "cdrom":
        args += ["-drive", f"if=ide,index=2,media=cdrom,readonly=on,format=raw,file={iso}"]
    else:
        args += ["-drive", f"if=none,id=stick,readonly=on,format=raw,file={iso}"]
        args += ["-device", "qemu-xhci", "-device", "usb-storage,drive=stick,bootindex=0"]
    if config.append:
        # The boot menu has a command line of its own; the kernel prefers this one where it exists.
        cmdline = os.path.join(scratch, "cmdline")
        with open(cmdline, "w", encoding="utf-8") as f:
            f.write(config.append)
        args += ["-fw_cfg", f"name=opt/xcall/cmdline,file={quoted(cmdline)}"]
    return args
