/*
 * CPUs that go offline and come back.
 *
 * Background
 *
 *	A CPU that leaves must leave nothing behind: no thread that waits to run, no cross call that
 *	was posted and not run, no interrupt, no timer.  Threads never change their CPU, so one that
 *	has business there keeps it online; only service threads, which have none but the CPU's own,
 *	stay with a CPU that does not run.
 *
 * Implementation
 *
 *	The thread hotplug/N, made for the purpose and bound to the CPU, leads it out and in again.
 *	It stands just below xcall/N, so that no other service thread of that CPU delays it, and
 *	what it waits for in xc_cpu_dying() runs before it.
 *
 *		cpu_setstate(offline)		hotplug/N
 *		makes it			closes the CPU to new threads, or finds one: REFUSED
 *						stops being a target, runs what was posted:
 *						xc_cpu_dying()
 *		waits				sched_leave(): the timer stops; LEAVING; sleeps
 *		waits for !cpu_online()
 *						idle/N: nothing is ready, parks the CPU
 *
 *		cpu_setstate(online)
 *		machine_cpu_restart()		idle/N: begins anew, as at boot
 *		BACK				wakes up
 *		waits				is a target again: xc_cpu_online(), tlb_flush();
 *						opens the CPU to threads; UP; ends
 *		joins it
 *
 *	So the way back needs no memory and cannot be refused for the lack of it.
 *
 *	The order on the way out: closed to threads first, since each step from there waits for
 *	something that then can only become less.  Cross calls may have been posted until
 *	xc_cpu_dying() cleared the CPU's bit, and they make service threads ready; what is ready
 *	runs before the idle thread looks whether it may park.  After that nobody interrupts the
 *	CPU: calls do not see it as a target, the scheduler sends nothing to a CPU without a current
 *	thread.  What a remote CPU makes ready there from then on (by signalling a service thread,
 *	say) waits.
 *
 *	hotplug_lock is a spin mutex because hotplug/N must not sleep for it once the CPU leaves: an
 *	adaptive mutex would be handed to a thread that does not run.
 *
 * Rejected: a permanent thread a CPU (255 stacks for something that is rare); parking in hotplug/N
 * instead of the idle thread (its stack would have to be reset under it, and the idle thread could
 * not be current when the CPU comes back); moving the threads away (they are bound for life).
 *
 * Rules for callers
 *
 *	A service thread with a deadline in its sleep would miss it: sched.c asserts that there is
 *	none.
 *
 * Limits
 *
 *	One operation at a time in the machine.  The boot CPU stays.
 */
#include "kernel/clients/hotplug.h"

#include "kernel/clients/tlb.h"
#include "kernel/clock.h"
#include "kernel/condvar.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/kmem.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "kernel/mutex.h"
#include "kernel/panic.h"
#include "kernel/printf.h"
#include "kernel/sched.h"
#include "kernel/string.h"
#include "xcall/xc_cpu.h"

#define HOTPLUG_PRI (PRI_XCALL - 1)

/* From the last word of hotplug/N to the parked CPU some instructions are left, and what service
 * threads still do. */
#define HOTPLUG_LEAVE_NS 30000000000ull
#define HOTPLUG_POLL_NS 200000ull

/*
 *	UP	-> REFUSED	hotplug/N, which ends
 *	REFUSED	-> UP		cpu_setstate()
 *	UP	-> LEAVING	hotplug/N, which sleeps
 *	LEAVING	-> BACK		cpu_setstate(), when the CPU runs again
 *	BACK	-> UP		hotplug/N, which ends
 */
enum hotplug_state { HOTPLUG_UP, HOTPLUG_REFUSED, HOTPLUG_LEAVING, HOTPLUG_BACK };

/*
 * Locking keys:
 *	c	constant
 *	l	hotplug_lock
 *	o	hotplug_one
 */
struct hotplug {
	struct cpu_info *h_ci;       /* c */
	enum hotplug_state h_state;  /* l */
	int h_error;                 /* l: of REFUSED */
	char h_busy[LWP_NAME_BYTES]; /* l: of REFUSED: the thread in the way, or "" */
	kcondvar_t h_back;           /* l: hotplug/N sleeps until BACK */
	lwp_t *h_thread;             /* o: hotplug/N; NULL while the CPU is up */
};

static struct hotplug *hotplug_cpus; /* c: by index */
static kmutex_t hotplug_one;         /* held for a whole operation */
static kmutex_t hotplug_lock;
static kcondvar_t hotplug_changed; /* l: the operation waits for hotplug/N */

void
hotplug_init(void)
{
	struct cpu_info *ci;

	hotplug_cpus = kmem_boot_alloc(ncpu * sizeof(*hotplug_cpus));
	mutex_init(&hotplug_one, MUTEX_DEFAULT, IPL_NONE, "hotplug");
	mutex_init(&hotplug_lock, MUTEX_DEFAULT, IPL_HIGH, "hotplug state");
	cv_init(&hotplug_changed, "hotplug");
	CPU_INFO_FOREACH(ci) {
		hotplug_cpus[ci->ci_index].h_ci = ci;
		cv_init(&hotplug_cpus[ci->ci_index].h_back, "CPU offline");
	}
}

/* --- hotplug/N -------------------------------------------------------------------------------- */

static void
hotplug_set_locked(struct hotplug *h, enum hotplug_state state)
{
	h->h_state = state;
	cv_signal(&hotplug_changed);
}

/* Takes from the CPU what others could still give it. */
static int
hotplug_prepare(struct cpu_info *ci, char busy[LWP_NAME_BYTES])
{
	int error = kthread_close_cpu(ci, busy);

	if (error != 0)
		return error;
	error = xc_cpu_dying(ci);
	if (error != 0)
		kthread_open_cpu(ci);
	return error;
}

static void
hotplug_thread(void *arg)
{
	struct hotplug *h = arg;
	char busy[LWP_NAME_BYTES] = "";
	int error = hotplug_prepare(h->h_ci, busy);

	mutex_enter(&hotplug_lock);
	if (error != 0) {
		h->h_error = error;
		memcpy(h->h_busy, busy, sizeof(busy));
		hotplug_set_locked(h, HOTPLUG_REFUSED);
		mutex_exit(&hotplug_lock);
		return;
	}
	sched_leave();
	hotplug_set_locked(h, HOTPLUG_LEAVING);
	while (h->h_state != HOTPLUG_BACK)
		cv_wait(&h->h_back, &hotplug_lock);
	mutex_exit(&hotplug_lock);
	xc_cpu_online(h->h_ci);
	tlb_flush();
	kthread_open_cpu(h->h_ci);
	mutex_enter(&hotplug_lock);
	hotplug_set_locked(h, HOTPLUG_UP);
	mutex_exit(&hotplug_lock);
}

/* --- who asks for it -------------------------------------------------------------------------- */

/* Waits until hotplug/N has left that state. */
static enum hotplug_state
hotplug_wait(struct hotplug *h, enum hotplug_state state)
{
	enum hotplug_state now;

	mutex_enter(&hotplug_lock);
	while ((now = h->h_state) == state)
		cv_wait(&hotplug_changed, &hotplug_lock);
	mutex_exit(&hotplug_lock);
	return now;
}

static int
hotplug_refused(struct hotplug *h, char why[HOTPLUG_WHY_BYTES])
{
	int error;

	kthread_join(h->h_thread);
	h->h_thread = NULL;
	mutex_enter(&hotplug_lock);
	h->h_state = HOTPLUG_UP;
	error = h->h_error;
	if (h->h_busy[0] != '\0')
		snprintf(why, HOTPLUG_WHY_BYTES, "thread %s is bound to it", h->h_busy);
	else
		snprintf(why, HOTPLUG_WHY_BYTES, "no other CPU takes cross calls");
	mutex_exit(&hotplug_lock);
	return error;
}

static void
hotplug_wait_parked(const struct cpu_info *ci)
{
	uint64_t end = clock_ns() + HOTPLUG_LEAVE_NS;

	while (cpu_online(ci)) {
		if (clock_ns() > end)
			panic("CPU %u was to go offline and runs on", ci->ci_index);
		kthread_sleep_ns(HOTPLUG_POLL_NS);
	}
}

static int
hotplug_offline(struct hotplug *h, char why[HOTPLUG_WHY_BYTES])
{
	struct cpu_info *ci = h->h_ci;
	int error;

	if (ci->ci_index == 0) {
		snprintf(
		    why, HOTPLUG_WHY_BYTES, "it is the boot CPU, which nothing could start again");
		return EOPNOTSUPP;
	}
	error = kthread_create(HOTPLUG_PRI, KTHREAD_SERVICE | KTHREAD_MUSTJOIN, ci, hotplug_thread,
	    h, &h->h_thread, "hotplug/%u", ci->ci_index);
	if (error != 0) {
		snprintf(why, HOTPLUG_WHY_BYTES, "no memory for the thread that leads it out");
		return error;
	}
	if (hotplug_wait(h, HOTPLUG_UP) == HOTPLUG_REFUSED)
		return hotplug_refused(h, why);
	hotplug_wait_parked(ci);
	return 0;
}

static int
hotplug_online(struct hotplug *h, char why[HOTPLUG_WHY_BYTES])
{
	const char *failure = machine_cpu_restart(h->h_ci);

	if (failure != NULL) {
		printf("warning: CPU %u (APIC id %u) does not come back: %s\n", h->h_ci->ci_index,
		    h->h_ci->ci_apicid, failure);
		snprintf(why, HOTPLUG_WHY_BYTES, "%s", failure);
		return ETIMEDOUT;
	}
	mutex_enter(&hotplug_lock);
	h->h_state = HOTPLUG_BACK;
	cv_signal(&h->h_back);
	mutex_exit(&hotplug_lock);
	(void)hotplug_wait(h, HOTPLUG_BACK);
	kthread_join(h->h_thread);
	h->h_thread = NULL;
	return 0;
}

int
cpu_setstate(struct cpu_info *ci, bool online, char why[HOTPLUG_WHY_BYTES])
{
	struct hotplug *h;
	int error = 0;

	KASSERTMSG(ci != NULL && cpu_lookup(ci->ci_index) == ci, "cpu_setstate: foreign ci %p",
	    (void *)ci);
	KASSERTMSG((curlwp->l_flags & KTHREAD_SERVICE) == 0, "cpu_setstate: by service thread %s",
	    curlwp->l_name);
	h = &hotplug_cpus[ci->ci_index];
	why[0] = '\0';
	mutex_enter(&hotplug_one);
	if (online != cpu_online(ci))
		error = online ? hotplug_online(h, why) : hotplug_offline(h, why);
	mutex_exit(&hotplug_one);
	return error;
}
