#!/usr/bin/python3
"""The benchmarks: runs them, prints them, holds them to the gate and to the goals (README.md)."""

import argparse
import os
import signal
import sys

import gate
import goals
import insns
import kernelrun
import measure
import report


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
    boot = kernelrun.boot(args.build, args.cpus, rows, args.samples, args.mode)
    show(boot)
    missing = [row for row in rows.split(",") if row not in boot.rows and row != "all"]
    if missing:
        raise kernelrun.BenchError(f"no such rows, or more CPUs are needed: {', '.join(missing)}")
    return 0


def command_all(args: argparse.Namespace) -> int:
    """Everything of this kernel, into build/bench/ours.json."""
    results = measure.ours(args.build, show)
    if args.simulator:
        results["figures"].update(measure.lines(args.simulator))
    measure.store(args.build, "ours.json", results)
    print(f"{results['qemu']}")
    for name, value in results["figures"].items():
        print(f"{name:34} {value:>10}")
    report.write(args.build)
    return 0


def command_peers(args: argparse.Namespace) -> int:
    """Linux, into build/bench/linux.json; then the goals."""
    if not measure.load(args.build, "ours.json"):
        raise kernelrun.BenchError("nothing of this kernel was measured: make bench")
    measure.store(args.build, "linux.json", measure.peers(args.build, print))
    report.write(args.build)
    return command_goals(args)


def command_goals(args: argparse.Namespace) -> int:
    """The goals, by what was measured last."""
    judged = goals.judge(measure.load(args.build, "ours.json"), measure.load(args.build, "linux.json"))
    if getattr(args, "table", False):
        print(goals.table(judged))
    return goals.show(judged)


def command_gate(args: argparse.Namespace) -> int:
    """The gate."""
    return gate.run(args.build, args.update)


def command_insns(args: argparse.Namespace) -> int:
    """Where the instructions of a row go."""
    print(insns.text(args.build, args.row, args.cpus, args.samples, args.lines))
    return 0


def command_masked(args: argparse.Namespace) -> int:
    """The longest stretch with interrupts off that touches xcall/, row by row."""
    for row in (insns.MASKED_ROWS if args.rows == "all" else args.rows).split(","):
        longest, begin, end = insns.masked(args.build, args.cpus, row)
        print(f"{row:18} {longest:>8}  {begin} to {end}", flush=True)
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
    everything = commands.add_parser("all", help=command_all.__doc__)
    everything.add_argument("--simulator", metavar="PROGRAM", help="counts cache lines")
    everything.set_defaults(run=command_all)
    peers = commands.add_parser("peers", help=command_peers.__doc__)
    peers.set_defaults(run=command_peers)
    aims = commands.add_parser("goals", help=command_goals.__doc__)
    aims.add_argument("--table", action="store_true", help="all of them, as Markdown")
    aims.set_defaults(run=command_goals)
    held = commands.add_parser("gate", help=command_gate.__doc__)
    held.add_argument("--update", action="store_true", help="write gate.json")
    held.set_defaults(run=command_gate)
    where = commands.add_parser("insns", help=command_insns.__doc__)
    where.add_argument("row")
    where.add_argument("--cpus", type=int, default=2)
    where.add_argument("--samples", type=int, default=640)
    where.add_argument("--lines", action="store_true", help="each instruction, beside its source")
    where.set_defaults(run=command_insns)
    masked = commands.add_parser("masked", help=command_masked.__doc__)
    masked.add_argument("--rows", default="all", help="comma-separated")
    masked.add_argument("--cpus", type=int, default=8)
    masked.set_defaults(run=command_masked)
    return p


def main() -> int:
    """Exit code."""
    args = parser().parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)     # `| head`
    try:
        return args.run(args)
    except kernelrun.BenchError as e:
        print(f"bench: {e}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
