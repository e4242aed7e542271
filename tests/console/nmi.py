"""A storm of NMIs from outside: QEMU is told, through its QMP socket, to press the NMI button at random moments.

QEMU delivers each to the pin LINT1 of every local APIC whose entry is open for NMIs, as a board's button does.  Nobody in
the kernel has asked for them: it has to count them, say so, and otherwise go on as if nothing had come.
"""

import json
import random
import socket
import threading
import time

# Before this line of the banner the machine is the firmware's.
BEGUN = "command line: "
# How long QEMU may take to answer: a hang detector.
ANSWER_S = 60.0


class Storm:
    """`rate` NMIs a second, from the kernel's first words on, until stop().  Intervals are those of a Poisson process."""

    def __init__(self, path: str, rate: float, text) -> None:
        self.injected = 0
        self.problem = ""
        self._path, self._rate, self._text = path, rate, text
        self._stop = threading.Event()
        self._random = random.Random(1)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No NMI comes any more."""
        self._stop.set()
        self._thread.join(timeout=ANSWER_S)

    def _run(self) -> None:
        while BEGUN not in self._text() and not self._stop.wait(0.01):
            pass
        try:
            with socket.socket(socket.AF_UNIX) as qmp:
                qmp.settimeout(ANSWER_S)
                qmp.connect(self._path)
                with qmp.makefile("r", encoding="utf-8") as answers:
                    answers.readline()
                    self._command(qmp, answers, "qmp_capabilities")
                    self._inject(qmp, answers)
        except (OSError, ValueError) as e:
            # The machine's end cuts the line.
            if not self._stop.is_set() and self.injected == 0:
                self.problem = f"no NMI was injected: {e}"

    def _inject(self, qmp, answers) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self._command(qmp, answers, "inject-nmi")
            self.injected += 1
            # What the host did not come to is not made up for.
            due = max(due, time.monotonic() - 1 / self._rate) + self._random.expovariate(self._rate)

    @staticmethod
    def _command(qmp, answers, name: str) -> None:
        qmp.sendall(json.dumps({"execute": name}).encode() + b"\n")
        while True:
            line = answers.readline()
            if not line:
                raise OSError("QEMU has closed the line")
            answer = json.loads(line)
            if "error" in answer:
                raise ValueError(answer["error"].get("desc", "refused"))
            if "return" in answer:
                return
