"""A projection past the sockets of one machine: a discrete-event model of one broadcast that is waited for.

Not a measurement.  Two kinds of servers, the sender's command register (one write at a time) and each shared
cache line (one owner at a time, in the order of arrival); everything else is delay.  Constants are published:

 - sending and taking an interrupt: 437 and 1582 cycles, Xeon Gold 5418Y at 2.0 GHz (Skyloft, SOSP 2024);
 - its flight: 935 cycles, taken as of 2.1 GHz (sgx-step, apic-ipi);
 - a compare-and-swap on a line of another core, socket, far socket: 101.9, 442.9, 944.8 ns; 28 CPUs a socket,
   112 without crossing the far interconnect: 8-socket Xeon Platinum 8176 (McKenney, "Is Parallel Programming
   Hard", table of synchronization costs).

Orderings that hold over the sweep of SWEEP are what may be concluded; not the microseconds.
"""

import heapq

SEND_NS, FLIGHT_NS, TAKE_NS = 437 / 2.0, 935 / 2.1, 1582 / 2.0
CORE_NS, SOCKET_NS, FAR_NS = 101.9, 442.9, 944.8
SOCKET_CPUS, NEAR_CPUS = 28, 112
GROUP_CPUS = 16
CPUS = (2, 8, 16, 64, 112, 256, 1024, 4096)
SWEEP = (0.5, 1.0, 2.0)

DESIGNS = {
    "a send each, one counter": (False, False),
    "a send each, groups": (False, True),
    "one send for all, one counter": (True, False),
    "one send for all, groups": (True, True),
}


def move_ns(a: int, b: int) -> float:
    """A line from one CPU's cache to another's."""
    if a == b:
        return 0.0
    if a // SOCKET_CPUS == b // SOCKET_CPUS:
        return CORE_NS
    return SOCKET_NS if a // NEAR_CPUS == b // NEAR_CPUS else FAR_NS


class Line:
    """A shared line: who owns it, from when on it is free."""

    def __init__(self, owner: int) -> None:
        self.owner, self.free = owner, 0.0

    def take(self, cpu: int, now: float, factor: float) -> float:
        """When `cpu`, which asks now, is done with it."""
        self.free = max(self.free, now) + factor * move_ns(self.owner, cpu)
        self.owner = cpu
        return self.free


def broadcast_ns(cpus: int, one_send: bool, groups: bool, send: float = 1.0, line: float = 1.0) -> float:
    """From the post on CPU 0 until CPU 0 knows that all others have run it."""
    root = Line(0)
    tops = [Line(0) for _ in range(cpus // GROUP_CPUS + 1)] if groups else []
    left = [0] * len(tops)
    events: list[tuple[float, int, int]] = []       # when, CPU, step
    for cpu in range(1, cpus):
        sent = send * SEND_NS * (1 if one_send else cpu)
        # The call's line is read, not written: copies are made from the nearest that has one.
        begun = sent + FLIGHT_NS + TAKE_NS + line * move_ns(0, cpu)
        heapq.heappush(events, (begun, cpu, 0))
        if groups:
            left[cpu // GROUP_CPUS] += 1
    end = 0.0
    while events:
        now, cpu, step = heapq.heappop(events)
        if groups and step == 0:
            group = cpu // GROUP_CPUS
            done = tops[group].take(cpu, now, line)
            left[group] -= 1
            if left[group] == 0:
                heapq.heappush(events, (done, cpu, 1))
        else:
            end = max(end, root.take(cpu, now, line))
    return end + line * move_ns(root.owner, 0)


def table() -> list[list]:
    """Microseconds: a row a design, a column an N."""
    return [[name, *(broadcast_ns(n, *design) / 1e3 for n in CPUS)] for name, design in DESIGNS.items()]


def points(name: str) -> list[tuple[float, float]]:
    """A design's curve."""
    return [(n, broadcast_ns(n, *DESIGNS[name]) / 1e3) for n in CPUS]


def ordering_holds() -> bool:
    """Whether one send with groups is the fastest from 256 CPUs on, for all constants of the sweep."""
    for n in (n for n in CPUS if n >= 256):
        for send in SWEEP:
            for line in SWEEP:
                times = {name: broadcast_ns(n, *design, send, line) for name, design in DESIGNS.items()}
                if min(times, key=times.get) != "one send for all, groups":
                    return False
    return True
