"""A debugger session: QEMU stopped, gdb attached with the kernel's symbols, at the kernel's first instruction."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import qemu
import runner

# Paths of sources in the ELF file are relative to it.
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# boot/entry.asm: where each loader jumps to.
ENTRY = {"pvh": "boot_pvh", "bios": "boot_multiboot2", "uefi": "boot_multiboot2"}


def available() -> bool:
    """There is a gdb and a person to use it."""
    return sys.stdin.isatty() and shutil.which("gdb") is not None


def commands(config: qemu.Config, stub: str) -> list[str]:
    """What gdb does before the person gets its prompt."""
    return [
        "set confirm off",
        "set pagination off",
        f"target remote {stub}",
        # Hardware: the kernel is not in memory yet, where a software breakpoint would be overwritten.
        f"thbreak *&{ENTRY[config.resolved_firmware()]}",
        "continue",
    ]


def run(config: qemu.Config, log: str) -> int:
    """Until the person leaves gdb; QEMU goes with it.  gdb's exit status."""
    os.makedirs(os.path.dirname(os.path.abspath(log)), exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="xcall-") as scratch, open(log, "wb") as console:
        # A socket file of our own: any number of sessions side by side.
        stub = os.path.join(scratch, "gdb")
        config = dataclasses.replace(config, gdb=f"unix:{qemu.quoted(stub)},server=on,wait=off")
        argv = qemu.argv(config, scratch)
        machine = runner.start(argv, stdin=subprocess.DEVNULL, stdout=console, start_new_session=True)
        try:
            while machine.poll() is None and not os.path.exists(stub):
                time.sleep(0.01)
            words = [word for command in commands(config, stub) for word in ("-ex", command)]
            debugger = subprocess.Popen(["gdb", "-q", "-d", ROOT, *words, config.elf])
            # Ctrl-C is gdb's from here on.
            old = signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                return debugger.wait()
            finally:
                signal.signal(signal.SIGINT, old)
        finally:
            runner.stop(machine)
