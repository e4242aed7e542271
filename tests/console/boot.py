#!/usr/bin/python3
"""Boots the kernel in QEMU once, shows its serial console, says how it ended.

Exit codes: 0 passed, 1 failed, 2 panicked, 3 hung (time limit), 4 QEMU error (also: bad options),
5 ended without a verdict (output cut off, reset, END line and exit status disagree), 130 interrupted.
The console goes to stdout, everything the runner itself says to stderr.
"""

import argparse
import dataclasses
import os
import signal
import sys

import gdb
import qemu
import runner
from verdict import Verdict

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Parser(argparse.ArgumentParser):
    """argparse would exit with 2, which here means "panicked"."""

    def error(self, message: str):
        self.print_usage(sys.stderr)
        say(f"QEMU error: {message}")
        sys.exit(Verdict.QEMU_ERROR)


def say(sentence: str) -> None:
    """The runner's own words."""
    sys.stdout.flush()
    print(f"boot: {sentence}", file=sys.stderr, flush=True)


def parser() -> Parser:
    """The command line."""
    p = Parser(prog="boot.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--machine", default="q35", choices=qemu.MACHINES)
    p.add_argument("--cpus", type=int, default=4, metavar="N", help=f"1 to {qemu.CPUS_MAX}")
    p.add_argument("--firmware", choices=qemu.FIRMWARES, help="default: bios; pvh on microvm")
    p.add_argument("--media", default="cdrom", choices=qemu.MEDIA, help="the ISO as CD or USB stick")
    p.add_argument(
        "--accel",
        default="multi",
        choices=qemu.ACCELS,
        help="one host thread a CPU, one for all, or counted instructions (deterministic)",
    )
    p.add_argument("--memory", type=int, metavar="MIB", help="default: grows with the CPUs")
    p.add_argument("--append", default="", metavar="WORDS", help="the kernel's command line")
    p.add_argument("--elf", default=os.path.join(ROOT, "build", "xcall.elf"))
    p.add_argument("--iso", default=os.path.join(ROOT, "build", "xcall.iso"))
    p.add_argument("--timeout", type=float, metavar="S", help="0: none; default: grows with the CPUs")
    p.add_argument("--log", metavar="FILE", help="copy the console to FILE")
    p.add_argument("--nmi", type=float, default=0.0, metavar="RATE", help="inject so many NMIs a second")
    p.add_argument("--interactive", action="store_true", help="this terminal is the serial line")
    p.add_argument("--gdb", action="store_true", help="stop at the start, run gdb or wait for one")
    p.add_argument("--qemu", default="qemu-system-x86_64", metavar="PROGRAM")
    p.add_argument("--qemu-arg", action="append", default=[], metavar="ARG", help="repeatable")
    p.add_argument("--no-debug-exit", action="store_true", help="a machine without isa-debug-exit")
    return p


def configuration(args: argparse.Namespace) -> qemu.Config:
    """From the command line to a configuration."""
    fields = {f.name for f in dataclasses.fields(qemu.Config)}
    config = qemu.Config(**{name: value for name, value in vars(args).items() if name in fields})
    config.debug_exit = not args.no_debug_exit
    config.qemu_args = args.qemu_arg
    config.gdb = f"tcp:{qemu.GDB_ADDRESS}" if args.gdb else ""
    config.reboot = args.interactive
    config.serial = "terminal" if args.interactive else "stdio"
    return config


def on_signal(number: int, _frame) -> None:
    """Turns a signal into an exception, so that QEMU is stopped on the way out."""
    sys.exit(128 + number)


def main() -> int:
    """Exit code."""
    args = parser().parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    config = configuration(args)
    timeout = 0.0 if args.gdb and args.timeout is None else args.timeout
    try:
        if args.gdb and gdb.available():
            log = args.log or os.path.join(os.path.dirname(config.elf), "logs", "gdb.log")
            say(f"the serial console goes to {os.path.relpath(log)}")
            return gdb.run(config, log)
        if args.gdb:
            say(f"waiting for gdb {os.path.relpath(config.elf)} -ex 'target remote {qemu.GDB_ADDRESS}'")
        if args.interactive:
            say("this is the serial line; Ctrl-a x leaves QEMU, Ctrl-a h shows more keys")
        result = runner.run(config, timeout, args.log, echo=sys.stdout)
    except qemu.ConfigError as e:
        say(f"QEMU error: {e}")
        return Verdict.QEMU_ERROR
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    if result.text and not result.text.endswith("\n"):
        print(flush=True)
    details = result.details()
    if details:
        print(details, file=sys.stderr)
    say(result.sentence())
    return result.verdict


if __name__ == "__main__":
    sys.exit(main())
