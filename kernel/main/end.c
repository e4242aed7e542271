/*
 * The last line, and the commands that end the run.
 */
#include "kernel/main/end.h"

#include "boot/boot.h"
#include "kernel/command.h"
#include "kernel/console.h"
#include "kernel/machine.h"

void
end_report(unsigned status)
{
	console_close(status == BOOT_EXIT_PASS ? "END pass\n" : "END fail\n");
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
