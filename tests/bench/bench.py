#!/usr/bin/python3
"""The benchmarks: runs them, prints them, holds them to the gate and to the goals (README.md)."""

import argparse
import os
import sys

import gate
import insns
import kernelrun


def show(boot: kernelrun.Boot) -> None:
    """A table of one boot."""
    unit = "instructions" if boot.mode == "exact" else "cycles"
    print(f"{boot.cpus} CPUs, {boot.mode}, {unit}; interrupts of calls for each")
    print(f"{'row':16} {'min':>8} {'median':>10} {'p99':>8} {'max':>8} {'x floor':>8} {'interrupts':>11}")
    for row in boot.rows.values():
        q = row.data.get("q", {})
        times = f"{row.value / boot.floor:8.2f}" if boot.floor else " " * 8
        print(
            f"{row.name:16} {q.get('0', ''):>8} {row.value:>10} {q.get('990', ''):>8} "
            f"{q.get('1000', ''):>8} {times} {row.interrupts:>11}"
        )


def command_run(args: argparse.Namespace) -> int:
    """Rows of one boot; the floor comes along."""
    rows = args.rows if args.rows == "all" else f"floor_busy,{args.rows}"
    show(kernelrun.boot(args.build, args.cpus, rows, args.samples, args.mode))
    return 0


def command_gate(args: argparse.Namespace) -> int:
    """The gate."""
    return gate.run(args.build, args.update)


def command_insns(args: argparse.Namespace) -> int:
    """Where the instructions of a row go."""
    insns.show(args.build, args.row, args.cpus, args.samples, args.lines)
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="bench.py", description=__doc__)
    p.add_argument("--build", default=os.path.join(kernelrun.ROOT, "build"))
    commands = p.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help=command_run.__doc__)
    run.add_argument("--rows", default="all", help="comma-separated")
    run.add_argument("--cpus", type=int, default=2)
    run.add_argument("--samples", type=int, default=1000)
    run.add_argument("--mode", default="exact", choices=("exact", "single"))
    run.set_defaults(run=command_run)
    held = commands.add_parser("gate", help=command_gate.__doc__)
    held.add_argument("--update", action="store_true", help="write gate.json")
    held.set_defaults(run=command_gate)
    where = commands.add_parser("insns", help=command_insns.__doc__)
    where.add_argument("row")
    where.add_argument("--cpus", type=int, default=2)
    where.add_argument("--samples", type=int, default=640)
    where.add_argument("--lines", action="store_true", help="each instruction, beside its source")
    where.set_defaults(run=command_insns)
    return p


def main() -> int:
    """Exit code."""
    args = parser().parse_args()
    try:
        return args.run(args)
    except kernelrun.BenchError as e:
        print(f"bench: {e}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
