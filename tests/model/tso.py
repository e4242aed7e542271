#!/usr/bin/python3
"""Store, then load, of what another CPU stores, then loads: which pairs of xcall/ need a fence on x86.

x86-TSO: each CPU has a queue of stores that others do not see yet; its own loads do.  A locked instruction waits until
the queue is empty, and so does MFENCE.  Every interleaving of every pair is searched, with the queues drained
at any moment.  A row is a pair in one form: as the source has it, no end may be a forbidden one; with an order
taken away, some end must be, or the pair would need no comment in the source.

A C11 store with release is MOV, one with seq_cst XCHG; loads are MOV; read-modify-writes are locked.  An xAPIC command is
a store to uncached memory, which leaves the queue in its turn; a WRMSR to the x2APIC does not wait for the queue
(SDM vol. 3, 11.12.3).  An interrupt taken does not empty the queue either, which is weaker than the hardware may be.

Each pair names the operations of the source that keep it, and the search ends with their lines: one that is not there any
more, or has another order, is an error.
"""
import os
import re
import sys
from collections import namedtuple

XCALL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "xcall")

Op = namedtuple("Op", "kind var value reg", defaults=("", 0, ""))


def release(var, value):
    return Op("store", var, value)


def seq_cst(var, value):
    return Op("exchange", var, value, "old " + var)


def load(reg, var):
    return Op("load", var, 0, reg)


def exchange(reg, var, value):
    return Op("exchange", var, value, reg)


def fetch_or(reg, var, bits):
    return Op("or", var, bits, reg)


def fetch_and(reg, var, bits):
    return Op("and", var, bits, reg)


def only_if(reg, value):
    """The rest of the program runs only if the register has that value."""
    return Op("only", "", value, reg)


def until(var, value):
    """Spins until that is what this CPU sees."""
    return Op("until", var, value)


FENCE = Op("fence")
INTERRUPTS_OFF, INTERRUPTS_ON = Op("off"), Op("on")


def wrmsr(var):
    return Op("now", var, 1)


# A program, and the handler of the interrupt that `line` requests.
Cpu = namedtuple("Cpu", "program handler line", defaults=((), ""))
# at: next operation; frame: that of the handler, -1 outside of it; queue: stores that the others do not see.
State = namedtuple("State", "at frame off queue memory registers")


def put(values, index, value):
    return values[:index] + (value,) + values[index + 1:]


def assign(pairs, name, value):
    changed = dict(pairs)
    changed[name] = value
    return tuple(sorted(changed.items()))


def seen_by(state, cpu, var):
    for name, value in reversed(state.queue[cpu]):
        if name == var:
            return value
    return dict(state.memory)[var]


def execute(state, cpu, op):
    """What the state is after the operation; None when it must wait."""
    queue, old = state.queue[cpu], dict(state.memory).get(op.var)
    if op.kind == "store":
        return state._replace(queue=put(state.queue, cpu, queue + ((op.var, op.value),)))
    if op.kind == "load":
        return state._replace(registers=assign(state.registers, op.reg, seen_by(state, cpu, op.var)))
    if op.kind == "until":
        return state if seen_by(state, cpu, op.var) == op.value else None
    if op.kind == "now":
        return state._replace(memory=assign(state.memory, op.var, op.value))
    if op.kind in ("off", "on"):
        return state._replace(off=put(state.off, cpu, op.kind == "off"))
    if op.kind == "only":
        return state
    if queue:
        return None
    if op.kind == "fence":
        return state
    new = {"exchange": op.value, "or": old | op.value, "and": old & op.value}[op.kind]
    return state._replace(memory=assign(state.memory, op.var, new),
                          registers=assign(state.registers, op.reg, old))


def step(state, cpu, machine):
    """The state after the next operation of that CPU, or None."""
    in_handler = state.frame[cpu] >= 0
    program = machine[cpu].handler if in_handler else machine[cpu].program
    at = state.frame[cpu] if in_handler else state.at[cpu]
    if at == len(program):
        return state._replace(frame=put(state.frame, cpu, -1)) if in_handler else None
    after = execute(state, cpu, program[at])
    if after is None:
        return None
    ends = program[at].kind == "only" and dict(state.registers)[program[at].reg] != program[at].value
    at = len(program) if ends else at + 1
    if in_handler:
        return after._replace(frame=put(after.frame, cpu, at))
    return after._replace(at=put(after.at, cpu, at))


def successors(state, machine):
    for cpu, this in enumerate(machine):
        if state.queue[cpu]:
            (var, value), rest = state.queue[cpu][0], state.queue[cpu][1:]
            yield state._replace(queue=put(state.queue, cpu, rest), memory=assign(state.memory, var, value))
        if this.line and state.frame[cpu] < 0 and not state.off[cpu] and dict(state.memory)[this.line]:
            yield state._replace(frame=put(state.frame, cpu, 0), memory=assign(state.memory, this.line, 0))
        after = step(state, cpu, machine)
        if after is not None:
            yield after


def explore(machine, memory, registers, forbidden):
    """States, ends, forbidden ends.  An end with a program half way is forbidden: somebody waits for ever."""
    cpus = len(machine)
    start = State((0,) * cpus, (-1,) * cpus, (False,) * cpus, ((),) * cpus, tuple(sorted(memory.items())),
                  tuple(sorted(registers.items())))
    seen, pending, ends, bad = {start}, [start], 0, 0
    while pending:
        state = pending.pop()
        following = list(successors(state, machine))
        if not following:
            ends += 1
            stuck = any(at < len(cpu.program) for at, cpu in zip(state.at, machine))
            bad += stuck or forbidden({**dict(state.memory), **dict(state.registers)})
        for after in following:
            if after not in seen:
                seen.add(after)
                pending.append(after)
    return len(seen), ends, bad


# pair: memory, registers at the start, the forbidden end, {form: machine}; the form "source" is xcall/'s.  Its docstring's
# lines after the first: a file of xcall/, a function, and what must stand there.
def sleep_and_end():
    """s_waited and s_state: the waiter would sleep for a call that is over, and nobody wakes it.
    xc_wait.c xc_event_want: &event->e_slot->s_waited, true, memory_order_seq_cst
    xc_slot.c xc_slot_result: &slot->s_state, memory_order_seq_cst
    xc_slot.c xc_slot_retire: &slot->s_state, state, memory_order_seq_cst
    xc_slot.c xc_slot_retire: &slot->s_waited, memory_order_seq_cst
    """
    def machine(mark, end):
        return [Cpu([mark("waited", 1), load("state seen", "state")]),
                Cpu([end("state", 1), load("waited seen", "waited")])]
    return ({"waited": 0, "state": 0}, {}, lambda end: end["state seen"] == 0 and end["waited seen"] == 0,
            {"source": machine(seq_cst, seq_cst), "both release": machine(release, release),
             "waiter release": machine(release, seq_cst), "end release": machine(seq_cst, release)})


def want_and_room():
    """x_wanted and x_credit: a thread would sleep for room that is there, and nobody wakes it.
    xc_thread.c xc_thread_sleep_slot: atomic_fetch_add_explicit(&xc->x_wanted[class], 1, memory_order_seq_cst)
    xc_thread.c xc_thread_wait_slot: atomic_fetch_add_explicit(&xc->x_wanted[XC_CREDIT_SLEEP], 1, memory_order_seq_cst)
    xc_slot.c xc_slot_room: &xc->x_credit[class], memory_order_seq_cst
    xc_slot.c xc_slot_free: atomic_fetch_add_explicit(&xc->x_credit[class], 1, memory_order_seq_cst)
    xc_slot.c xc_slot_retire: xc_slot_free(xc, slot, class)
    xc_slot.c xc_slot_retire: &xc->x_wanted[class], memory_order_seq_cst
    """
    def machine(want, free):
        return [Cpu([want, load("credit seen", "credit")]), Cpu([free, load("wanted seen", "wanted")])]
    want, free = fetch_or("old wanted", "wanted", 1), fetch_or("old credit", "credit", 1)
    plain_want, plain_free = release("wanted", 1), release("credit", 1)
    return ({"wanted": 0, "credit": 0}, {}, lambda end: end["credit seen"] == 0 and end["wanted seen"] == 0,
            {"source": machine(want, free), "both plain": machine(plain_want, plain_free),
             "want plain": machine(plain_want, free), "room plain": machine(want, plain_free)})


def publish_and_clear():
    """x_notify: no interrupt is sent, as a word is still set, and the target clears it and finds no call.
    xc_intr.c xc_intr_notify: atomic_fetch_or_explicit(&target->x_notify
    xc_intr.c xc_intr_notify: atomic_exchange_explicit(&target->x_nmi, 1
    xc_intr.h xc_intr_notify_hard: atomic_compare_exchange_strong_explicit(&target->x_notify
    xc_intr.h xc_intr_notify_hard: atomic_fetch_or_explicit(&target->x_notify
    xc_call.c xc_call_post: xc_intr_notify_hard(target
    xc_direct.c xc_direct_fill: &slot->s_state, state, memory_order_release
    xc_direct.c xc_direct_post: xc_intr_notify_hard(target
    xc_intr.c xc_intr_take: atomic_exchange_explicit(&xc->x_notify, 0
    xc_intr.c xc_intr_nmi: atomic_exchange_explicit(&xc->x_nmi, 0
    xc_intr.c xc_intr_poll: atomic_fetch_and_explicit(&xc->x_notify
    """
    def machine(publish, clear):
        return [Cpu([release("call", 1), *publish, only_if("notify seen", 0), wrmsr("sent")]),
                Cpu([clear("old notify", "notify", 0), load("call seen", "call")])]
    def plain(_, var, value):
        return release(var, value)
    locked, read = [fetch_or("notify seen", "notify", 1)], [load("notify seen", "notify")]
    return ({"call": 0, "notify": 1, "sent": 0}, {}, lambda end: end["call seen"] == 0 and not end["sent"]
            and end["notify seen"] != 0,
            {"source": machine(locked, exchange), "both plain": machine(read, plain),
             "publish plain": machine(read, exchange), "clear plain": machine(locked, plain)})


def enter_and_search():
    """i_senders: the sender leaves the set, the search finds no call, and the sender has not entered the set again.
    xc_inbox.c xc_inbox_add_sender: atomic_fetch_or_explicit(&inbox->i_senders
    xc_inbox.c xc_inbox_take_sender: atomic_fetch_and_explicit(&inbox->i_senders
    """
    def machine(enter, leave):
        return [Cpu([release("call", 1), *enter]), Cpu([leave, load("call seen", "call")])]
    locked_enter, locked_leave = [fetch_or("old set", "set", 1)], fetch_and("set seen", "set", 0)
    # Only if it does not stand there, to save the locked operation.
    plain_enter, plain_leave = [load("old set", "set"), only_if("old set", 0), release("set", 1)], release("set", 0)
    return ({"call": 0, "set": 1}, {}, lambda end: end["call seen"] == 0 and end["set"] == 0,
            {"source": machine(locked_enter, locked_leave), "both plain": machine(plain_enter, plain_leave),
             "enter plain": machine(plain_enter, locked_leave), "leave plain": machine(locked_enter, plain_leave)})


def leave_and_post():
    """The target set and a post: it saw the CPU in the set, and the CPU, gone, looks before the call is there.
    xcall.c xc_post_one: intr = machine_intr_disable(); target = xc_post_target(ci)
    xcall.c xc_post_set: intr = machine_intr_disable(); xc_cpu_targets(&targets, set)
    xc_direct.c xc_direct_post: bool intr = machine_intr_disable();
    xc_direct.c xc_direct_post: xc_is_target(ci->ci_index)
    xc_cpu.c xc_cpu_dying: atomic_fetch_and_explicit(&xc_targets.t_set
    xc_cpu.c xc_cpu_dying: xc_wait(xc_broadcast(XC_HARD, xc_cpu_nop
    """
    def machine(off, on, barrier):
        post = [*off, load("online seen", "online"), release("call", 1), *on]
        leave = [fetch_and("old online", "online", 0), *barrier, load("call seen", "call")]
        return [Cpu(post, (release("answer", 1),), "line"), Cpu(leave)]
    barrier = [wrmsr("line"), until("answer", 1)]
    return ({"online": 1, "call": 0, "answer": 0, "line": 0}, {},
            lambda end: end["online seen"] == 1 and end.get("call seen") == 0,
            {"source": machine([INTERRUPTS_OFF], [INTERRUPTS_ON], barrier),
             "no barrier": machine([INTERRUPTS_OFF], [INTERRUPTS_ON], []),
             "fence, no barrier": machine([INTERRUPTS_OFF], [INTERRUPTS_ON], [FENCE]),
             "interrupts on": machine([], [], barrier)})


def store_and_command():
    """A call and the interrupt that announces it: the handler does not see what was stored before.
    xc_intr.c xc_intr_notify: atomic_fetch_or_explicit(&target->x_notify
    """
    def machine(*send):
        return [Cpu([release("call", 1), *send]), Cpu([], (load("call seen", "call"),), "line")]
    return ({"call": 0, "line": 0, "notify": 0}, {"call seen": 1}, lambda end: end["call seen"] == 0,
            {"source": machine(fetch_or("old notify", "notify", 1), wrmsr("line")),
             "xAPIC": machine(release("line", 1)), "x2APIC, MFENCE": machine(FENCE, wrmsr("line")),
             "x2APIC, bare": machine(wrmsr("line"))})


PAIRS = [sleep_and_end, want_and_room, publish_and_clear, enter_and_search, leave_and_post, store_and_command]
SOUND = ("source", "xAPIC", "x2APIC, MFENCE")


def line_of(name, function, text):
    """Where that stands in the function's definition, however the lines are broken; 0: nowhere."""
    with open(os.path.join(XCALL, name), encoding="ascii") as file:
        source = file.read()
    body = re.search(rf"^{function}\(.*?^}}", source, re.M | re.S)
    found = body and re.search(r"\s*".join(map(re.escape, text.replace("(", "( ").split())), body.group())
    return source.count("\n", 0, body.start() + found.start()) + 1 if found else 0


def places():
    """Prints the lines of the source that the pairs need; how many are missing."""
    missing = 0
    for pair in PAIRS:
        for place in filter(None, map(str.strip, pair.__doc__.splitlines()[1:])):
            name, function, text = re.match(r"(\S+) (\w+): (.*)", place).groups()
            line = line_of(name, function, text)
            missing += line == 0
            print(f"{pair.__name__:18} xcall/{name}:{line or '?'}: {function}: {text if line else 'NOT THERE: ' + text}")
    return missing


def main():
    wrong = total = 0
    print(f"{'pair':18} {'form':18} {'states':>6} {'ends':>5} {'forbidden':>9}  verdict")
    for pair in PAIRS:
        memory, registers, forbidden, forms = pair()
        for form, machine in forms.items():
            states, ends, bad = explore(machine, memory, registers, forbidden)
            sound, total = form in SOUND, total + states
            good = ends > 0 and (bad == 0) == sound
            wrong += not good
            verdict = ("holds" if sound else "fails as it must") if good else ("FAILS" if sound else "HOLDS, and must not")
            print(f"{pair.__name__:18} {form:18} {states:6} {ends:5} {bad:9}  {verdict}")
    wrong += places()
    print(f"tso: {total} states, {f'{wrong} not as they must be' if wrong else 'all as they must be'}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
