/*
 * Asking a CPU by NMI what it is doing.
 *
 * Background
 *
 * A CPU that does not answer has interrupts off more often than not.  An NMI reaches it all the
 * same, and finds on its stack where it stands; unless it is inside an NMI already, or dead, and
 * then its silence is the answer.
 *
 * Implementation
 *
 * Each CPU has a record that belongs in turn to the asker and to the CPU.  One word says to whom:
 *
 *	from		to		by
 *	IDLE		ASKED		asker, who then sends the NMI
 *	LATE		ASKED		asker: the NMI of last time is still on its way
 *	ASKED		WRITING		the CPU, in its NMI: the record is the CPU's
 *	WRITING		ANSWERED	the CPU, release: the record is the asker's
 *	ASKED		LATE		asker: it gives up
 *	ASKED		IDLE		asker: its NMI could not be sent
 *	LATE		IDLE		the CPU, in an NMI that came too late: nothing is written
 *	ANSWERED	IDLE		asker, when it has read; or finds one that it had given up
 *
 * WRITING belongs to the CPU until it is done, however long that takes: an asker who finds it
 * cannot ask.  NMIs merge and do not say who sent them; the word tells ours.
 *
 * The record holds addresses, which the asker turns into names: an NMI should be short.
 *
 * Limits
 *
 * An NMI that the hardware loses in LATE leaves the word there, which costs nothing: the next
 * question sends another one.  Where two come for one question, nobody claims the second.
 */
#include "xcall/xc_probe.h"

#include "xcall/xc_internal.h"

#define XC_PROBE_PCS 16u

enum { XC_PROBE_IDLE, XC_PROBE_ASKED, XC_PROBE_WRITING, XC_PROBE_ANSWERED, XC_PROBE_LATE };

/*
 * Locking keys:
 *	a	atomic
 *	o	whom p_state says
 */
struct xc_probe {
	_Atomic unsigned p_state;           /* a */
	unsigned p_depth;                   /* o: addresses in p_pc */
	uintptr_t p_pc[XC_PROBE_PCS];       /* o: innermost first */
	char p_thread[LWP_NAME_BYTES];      /* o */
	unsigned p_interrupts, p_spinlocks; /* o: how deep in, how many held or wanted */
};

/* One step of the table; false when the word was not `from`. */
static bool
xc_probe_step(struct xc_probe *probe, unsigned from, unsigned to)
{
	/* Acquire and release: whoever the record came from, the next one sees what it wrote. */
	return atomic_compare_exchange_strong_explicit(
	    &probe->p_state, &from, to, memory_order_acq_rel, memory_order_relaxed);
}

static bool
xc_probe_nmi(struct trapframe *frame)
{
	struct cpu_info *ci = curcpu();
	struct xc_cpu *xc = xc_cpu_lookup(ci->ci_index);
	struct xc_probe *probe = xc != NULL ? xc->x_probe : NULL;

	if (probe == NULL)
		return false;
	if (!xc_probe_step(probe, XC_PROBE_ASKED, XC_PROBE_WRITING))
		return xc_probe_step(probe, XC_PROBE_LATE, XC_PROBE_IDLE);
	probe->p_depth = machine_backtrace(frame, probe->p_pc, XC_PROBE_PCS);
	snprintf(probe->p_thread, sizeof(probe->p_thread), "%s",
	    ci->ci_curlwp != NULL ? ci->ci_curlwp->l_name : "(none)");
	probe->p_interrupts = ci->ci_intr_depth;
	probe->p_spinlocks = ci->ci_spin_depth;
	/* Release: pairs with xc_probe_answered(). */
	atomic_store_explicit(&probe->p_state, XC_PROBE_ANSWERED, memory_order_release);
	return true;
}

void
xc_probe_init(void)
{
	nmi_establish(xc_probe_nmi);
}

void
xc_probe_init_cpu(struct xc_cpu *xc)
{
	xc->x_probe = kmem_boot_alloc(sizeof(*xc->x_probe));
}

bool
xc_probe_ask(struct xc_cpu *target, bool *stuck)
{
	struct xc_probe *probe = target->x_probe;

	*stuck = false;
	(void)xc_probe_step(probe, XC_PROBE_ANSWERED, XC_PROBE_IDLE);
	if (!xc_probe_step(probe, XC_PROBE_IDLE, XC_PROBE_ASKED) &&
	    !xc_probe_step(probe, XC_PROBE_LATE, XC_PROBE_ASKED))
		return false;
	*stuck = !xcp_send_nmi(target->x_ci);
	/* Another one's NMI may have been taken for it. */
	if (*stuck && xc_probe_step(probe, XC_PROBE_ASKED, XC_PROBE_IDLE))
		return false;
	return true;
}

bool
xc_probe_answered(const struct xc_cpu *target)
{
	/* Acquire: pairs with xc_probe_nmi(). */
	return atomic_load_explicit(&target->x_probe->p_state, memory_order_acquire) ==
	    XC_PROBE_ANSWERED;
}

void
xc_probe_print(const struct xc_cpu *target)
{
	const struct xc_probe *probe = target->x_probe;
	char name[KSYMS_TEXT_BYTES];

	printf("xcall:   CPU %u answers an NMI, in %s%s, %u spinlocks:\n", target->x_ci->ci_index,
	    probe->p_interrupts != 0 ? "an interrupt of thread " : "thread ", probe->p_thread,
	    probe->p_spinlocks);
	/* A return address may be the first byte of the next function: look up the call before
	 * it. */
	for (unsigned i = 0; i < probe->p_depth; i++)
		printf("xcall:     %#014lx  %s\n", probe->p_pc[i],
		    ksyms_format(probe->p_pc[i] - (i != 0 ? 1 : 0), name));
}

void
xc_probe_end(struct xc_cpu *target)
{
	if (!xc_probe_step(target->x_probe, XC_PROBE_ASKED, XC_PROBE_LATE))
		(void)xc_probe_step(target->x_probe, XC_PROBE_ANSWERED, XC_PROBE_IDLE);
}
