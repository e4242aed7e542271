/*
 * The last line, and the commands that end the run.
 */
#include "kernel/main/end.h"

#include "boot/boot.h"
#include "kernel/cmdline.h"
#include "kernel/command.h"
#include "kernel/console.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "kernel/x86/trap.h"
#include "tests/kernel/fault.h"

/* With `hold` the machine goes on as it is; this thread only has to stay out of the way. */
#define END_HOLD_NS 1000000000ull

void
end_report(unsigned status)
{
	fault_print();
	trap_print_nmis();
	console_close(status == BOOT_EXIT_PASS ? "END pass\n" : "END fail\n");
	while (cmdline_has("hold"))
		kthread_sleep_ns(END_HOLD_NS);
	machine_exit(status);
}

COMMAND(poweroff, "", "ends the run as passed: leaves the emulator, or powers off")
{
	end_report(BOOT_EXIT_PASS);
}

COMMAND(reboot, "", "resets the machine")
{
	console_close("rebooting\n");
	machine_reboot();
}
