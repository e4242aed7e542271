#!/usr/bin/python3
"""The kernel suites again and again on a loaded host: a test that fails once in fifty boots is broken.

Each boot is judged as a boot of the matrix is: its END, a whole KTAP report, no failed case.  The console of a
boot that failed is kept.  Exit code: 0 when every boot passed.
"""

import argparse
import collections
import contextlib
import os
import subprocess
import sys
import time

import ktap
import qemu
import runner
from verdict import Verdict

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def arguments() -> argparse.Namespace:
    """The command line."""
    p = argparse.ArgumentParser(prog="repeat.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--elf", default=os.path.join(ROOT, "build", "xcall.elf"))
    p.add_argument("--times", type=int, default=50, metavar="N")
    p.add_argument("--cpus", default="8", metavar="N,N", help="taken in turn")
    p.add_argument("--suites", default="all", metavar="SUITE,SUITE", help="what follows test=")
    p.add_argument("--load", type=int, default=0, metavar="N", help="so many processes that only compute, meanwhile")
    p.add_argument("--logs", default=os.path.join(ROOT, "build", "logs"), metavar="FOLDER")
    return p.parse_args()


@contextlib.contextmanager
def load(count: int):
    """Keeps that many processes computing."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            runner.stop(process)


def boot(args: argparse.Namespace, number: int, cpus: int) -> tuple[runner.Result, list[str]]:
    """One boot, and what was wrong with it."""
    config = qemu.Config(firmware="pvh", cpus=cpus, elf=args.elf, append=f"test={args.suites}")
    log = os.path.join(args.logs, f"repeat-{number}.log")
    # On a loaded host: ten times what the matrix allows.
    result = runner.run(config, 10 * runner.default_timeout(config), log)
    report = ktap.parse(result.text)
    wrong = [case.id for case in report.cases if case.outcome == "failed"] + report.problems
    if result.verdict != Verdict.PASS:
        wrong = wrong or [result.why]
    if not wrong:
        os.unlink(log)
    return result, wrong


def main() -> int:
    """Exit code."""
    args = arguments()
    turn = [int(word) for word in args.cpus.split(",")]
    failed = 0
    culprits: collections.Counter = collections.Counter()
    with load(args.load):
        for number in range(1, args.times + 1):
            cpus = turn[(number - 1) % len(turn)]
            result, wrong = boot(args, number, cpus)
            failed += bool(wrong)
            culprits.update(wrong)
            words = f"FAILED: {'; '.join(wrong)} (repeat-{number}.log)" if wrong else "ok"
            print(f"{time.strftime('%H:%M:%S')} boot {number:3} on {cpus} CPUs, {result.seconds:6.1f} s, "
                  f"load of the host {os.getloadavg()[0]:5.1f}: {words}", flush=True)
    for name, count in culprits.most_common():
        print(f"failed {count} times: {name}")
    print(f"{args.times - failed} of {args.times} boots passed: test={args.suites} on {args.cpus} CPUs")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
