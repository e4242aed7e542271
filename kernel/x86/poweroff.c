/*
 * The end of the machine's run: leaving the emulator, power-off, reset.
 *
 * Each way is tried in turn, and each may be missing or do nothing: after it the CPU looks around
 * for a bounded time whether it still runs.  Power-off takes a board up to a second.  All contexts,
 * a panic included: nothing is mapped or allocated here, poweroff_init() does that at boot.
 *
 * ACPI section numbers are those of ACPI 6.4.  ACPI mode is not entered for it: the sleep registers
 * answer on the machines tried although SCI_EN is off, and a board where they do not stays on and
 * halts.
 */
#include "boot/boot.h"
#include "kernel/console.h"
#include "kernel/machine.h"
#include "kernel/x86/devices.h"
#include "kernel/x86/io.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/platform.h"

/* PM1 control registers (4.8.3.2.1): sleep type in bits 10 to 12, bit 13 starts the transition. */
#define POWEROFF_PM1_TYPE_SHIFT 10
#define POWEROFF_PM1_TYPE_MASK (7u << POWEROFF_PM1_TYPE_SHIFT)
#define POWEROFF_PM1_ENABLE (1u << 13)
/* Sleep control register of hardware-reduced machines (4.8.3.7). */
#define POWEROFF_CONTROL_TYPE_SHIFT 2
#define POWEROFF_CONTROL_ENABLE (1u << 5)
#define POWEROFF_TYPE_MAX 7

/* Reset control register of Intel's chip sets (Intel ICH10 data sheet, 13.7.5): choose a hard
 * reset, then let the transition of bit 2 trigger it. */
#define POWEROFF_RESET_PORT 0xcf9
#define POWEROFF_RESET_HARD 0x02
#define POWEROFF_RESET_NOW 0x06

/* Keyboard controller: input buffer full in the status; the command that pulses the CPU's reset
 * line (IBM Personal Computer AT Technical Reference, keyboard controller). */
#define POWEROFF_KEYBOARD_STATUS 0x64
#define POWEROFF_KEYBOARD_FULL 0x02
#define POWEROFF_KEYBOARD_RESET 0xfe
#define POWEROFF_KEYBOARD_SPINS 100000u

/* Pauses after an attempt: half a second and more on a board, as on an emulator. */
#define POWEROFF_SPINS 20000000u

static void
poweroff_wait(unsigned spins)
{
	while (spins-- > 0)
		machine_pause();
}

static void
poweroff_map(const struct platform_register *r)
{
	if (r->space == PLATFORM_REG_MEMORY)
		(void)paging_map_identity(r->address, sizeof(uint16_t), PAGING_UNCACHED);
}

void
poweroff_init(void)
{
	poweroff_map(&platform.sleep_control);
	poweroff_map(&platform.pm1a_control);
	poweroff_map(&platform.pm1b_control);
	poweroff_map(&platform.reset);
}

/* Whether there is such a register and it can be reached. */
static bool
poweroff_usable(const struct platform_register *r)
{
	if (r->space == PLATFORM_REG_IO)
		return r->address <= UINT16_MAX;
	return r->space == PLATFORM_REG_MEMORY && paging_mapped(r->address, sizeof(uint16_t));
}

static void
poweroff_write8(const struct platform_register *r, uint8_t value)
{
	if (r->space == PLATFORM_REG_IO)
		outb((uint16_t)r->address, value);
	else
		__asm__ volatile("movb %0, (%1)" : : "q"(value), "r"(r->address) : "memory");
}

/* Starts the transition in one PM1 control register; its other bits stay. */
static void
poweroff_write_pm1(const struct platform_register *r, uint8_t type)
{
	uint16_t value;

	if (!poweroff_usable(r))
		return;
	if (r->space == PLATFORM_REG_IO)
		value = inw((uint16_t)r->address);
	else
		__asm__ volatile("movw (%1), %0" : "=r"(value) : "r"(r->address) : "memory");
	value = (uint16_t)((value & ~POWEROFF_PM1_TYPE_MASK) |
	    (unsigned)type << POWEROFF_PM1_TYPE_SHIFT | POWEROFF_PM1_ENABLE);
	if (r->space == PLATFORM_REG_IO)
		outw((uint16_t)r->address, value);
	else
		__asm__ volatile("movw %0, (%1)" : : "r"(value), "r"(r->address) : "memory");
}

/* Enters the sleeping state S5, which is off (7.4.2.6). */
static void
poweroff_acpi(void)
{
	const struct platform *pl = &platform;

	if (!pl->has_s5 || pl->s5_type_a > POWEROFF_TYPE_MAX || pl->s5_type_b > POWEROFF_TYPE_MAX)
		return;
	if (pl->hw_reduced) {
		if (poweroff_usable(&pl->sleep_control))
			poweroff_write8(&pl->sleep_control,
			    (uint8_t)(pl->s5_type_a << POWEROFF_CONTROL_TYPE_SHIFT |
				POWEROFF_CONTROL_ENABLE));
	} else {
		poweroff_write_pm1(&pl->pm1a_control, pl->s5_type_a);
		poweroff_write_pm1(&pl->pm1b_control, pl->s5_type_b);
	}
	poweroff_wait(POWEROFF_SPINS);
}

void
machine_exit(unsigned status)
{
	machine_intr_disable();
	uart_flush();
	outl(BOOT_DEBUG_EXIT_PORT, status);
	/* A board's panic stays on its screen. */
	if (status != BOOT_EXIT_PANIC)
		poweroff_acpi();
	machine_halt();
}

static void
poweroff_reset_keyboard(void)
{
	for (unsigned i = 0; i < POWEROFF_KEYBOARD_SPINS; i++) {
		if ((inb(POWEROFF_KEYBOARD_STATUS) & POWEROFF_KEYBOARD_FULL) == 0)
			break;
		machine_pause();
	}
	outb(POWEROFF_KEYBOARD_STATUS, POWEROFF_KEYBOARD_RESET);
	poweroff_wait(POWEROFF_SPINS);
}

/* An exception that finds no IDT, nor the double fault after it, shuts the CPU down, which chip
 * sets answer with a reset (SDM vol. 3, 6.15, interrupt 8). */
static _Noreturn void
poweroff_triple_fault(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) nothing = { 0, 0 };

	__asm__ volatile("lidt %0; int3" : : "m"(nothing));
	machine_halt();
}

void
machine_reboot(void)
{
	machine_intr_disable();
	uart_flush();
	if (poweroff_usable(&platform.reset)) {
		poweroff_write8(&platform.reset, platform.reset_value);
		poweroff_wait(POWEROFF_SPINS);
	}
	outb(POWEROFF_RESET_PORT, POWEROFF_RESET_HARD);
	outb(POWEROFF_RESET_PORT, POWEROFF_RESET_NOW);
	poweroff_wait(POWEROFF_SPINS);
	poweroff_reset_keyboard();
	poweroff_triple_fault();
}

void
machine_halt(void)
{
	/* An NMI ends the HLT, not the halt. */
	for (;;)
		__asm__ volatile("cli; hlt" : : : "memory");
}
