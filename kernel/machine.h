/*
 * Door 1: everything the portable kernel may ask of the machine.  Implemented by kernel/x86/.
 *
 * Unless a line says otherwise a function may be called in any context, NMI included, takes no lock
 * and never sleeps.
 */
#ifndef KERNEL_MACHINE_H
#define KERNEL_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cpu_info;
struct trapframe;

/*
 * The parts that must be inline: machine_curcpu(), machine_intr_disable(), machine_intr_restore(),
 * machine_intr_enabled(), machine_pause(), machine_cycles(), machine_stack_pointer(), and:
 *  - machine_intr_disable() returns whether interrupts were on; machine_intr_restore() takes that.
 *  - machine_cycles() is the time stamp counter of this CPU: monotonic per CPU, unit of clock.h.
 *    machine_cycles_early() may run ahead of the loads before it.
 *  - machine_count(&counter): one more in an _Atomic uint64_t that only this CPU writes.
 *  - machine_send_call(ci): INTR_VECTOR_XCALL to a running CPU, as machine_send_ipi().  Interrupts
 *    off, in no NMI.  machine_send_call_others(): to all but this one; false: it cannot.
 *    machine_intr_eoi() ends the interrupt in service.
 */
#include "kernel/x86/inline.h"
/* --- threads --- */
/* Makes the first frame of a new thread below `stack_top`; returns the stack pointer to switch to.
 * The thread starts in `entry(arg)` with interrupts off; `entry` must not return. */
uintptr_t machine_thread_prepare(uintptr_t stack_top, void (*entry)(void *), void *arg);
/* Saves registers, and the stack pointer to *save_sp, and continues at `sp`.  Interrupts off. */
void machine_switch(uintptr_t *save_sp, uintptr_t sp);
/* Waits for an interrupt; called with interrupts off, returns with them on; none is missed. */
void machine_idle(void);

/* --- interrupts between CPUs --- */
/* Sends `vector` (intr.h) to one running CPU; the handler sees the stores before the call. */
void machine_send_ipi(struct cpu_info *ci, unsigned vector);
/* Sends an NMI to one CPU, waiting a bounded time for the LAPIC; false when it stayed busy. */
bool machine_send_nmi(struct cpu_info *ci);

/* --- CPUs that come and go --- */
/* Closes this CPU's local interrupts, takes those that are pending, calls cpu_set_offline(), and
 * halts in a place that NMIs and INITs do not disturb.  Interrupts off, nothing to run, the timer
 * stopped. */
_Noreturn void machine_cpu_park(void);
/* Has a parked CPU run ap_main() again; NULL once it is online, or a sentence that says why it is
 * not, after seconds at most.  A thread on another CPU, one at a time. */
const char *machine_cpu_restart(struct cpu_info *ci) __attribute__((warn_unused_result));

/* --- the local timer of this CPU (timer.h): what its registers hold, and programming it --- */
struct machine_timer {
	uint32_t lvt;           /* mode, mask and vector as in the register */
	uint32_t initial_count; /* written; 0 means stopped */
	uint32_t current_count; /* what is left of it */
	uint32_t divide;        /* decoded: 1, 2, 4 ... 128 */
	bool periodic, deadline, masked;
};
uint64_t machine_timer_input_hz(void); /* before the divider; 0 until calibrated */
/* Programs this CPU's timer: divider (1, 2, 4 ... 128), count (0 stops), mode.  Interrupts off. */
void machine_timer_program(uint32_t divide, uint32_t count, bool periodic);
/* Whether it can expire when machine_cycles() reaches a value.  Has it do so, once; what has
 * passed, at once.  Interrupts off; `first`: it was programmed otherwise before. */
bool machine_timer_has_deadline(void);
void machine_timer_deadline(uint64_t cycles, bool first);
void machine_timer_read(struct machine_timer *);
/* Only the count that is left: one register read. */
uint32_t machine_timer_current(void);

/* --- memory --- */
/* Maps `npages` of fresh memory, not executable, with an unmapped guard page on each side, and
 * returns the lowest address; NULL when memory has run out.  Never unmapped.  Thread context. */
void *machine_map_stack(size_t npages);
/* Pages that page tables have taken and never give back: for leak checks. */
size_t machine_table_pages(void);
/* Whether a hypervisor runs this machine: then its CPUs may stand still for seconds. */
bool machine_hypervisor(void);
/* An address for one page, and which page is there (NULL: none): this tells no CPU.  Threads. */
uintptr_t machine_window_alloc(void);
void machine_window_map(uintptr_t window, void *page);
/* This CPU forgets its translations from there on; all that it has for SIZE_MAX pages. */
void machine_tlb_invalidate(uintptr_t address, size_t npages);
/* Writes kernel text: interrupts off, no other CPU executes.  Each CPU must then fetch it anew. */
void machine_text_write(uintptr_t address, const void *bytes, size_t length);
void machine_text_sync(void);

/* --- looking at code --- */
/* Return addresses of the calling stack (frame NULL) or of an interrupted one; returns how many. */
unsigned machine_backtrace(const struct trapframe *frame, uintptr_t *pcs, unsigned max);
void machine_print_frame(const struct trapframe *frame); /* prints its registers */

/* --- the end --- */
/* Ends the run with a BOOT_EXIT_* of boot.h: QEMU's debug-exit, else ACPI power-off, else halts. */
_Noreturn void machine_exit(unsigned status);
_Noreturn void machine_reboot(void);
/* Halts this CPU for ever with interrupts off. */
_Noreturn void machine_halt(void);
#endif
