/*
 * COM1: a 16550 or what poses as one.  Section numbers are those of the National Semiconductor
 * PC16550D data sheet (June 1995).
 *
 * The device is polled: an interrupt would need a context that a panic does not have.  A
 * transmitter that stays busy costs UART_SPINS reads a character at first; after UART_TIMEOUTS such
 * waits in a row it is taken for dead and only glanced at, so that a dead line does not slow the
 * kernel, and a terminal that held the line up for long gets it back.
 */
#include "kernel/console.h"
#include "kernel/machine.h"
#include "kernel/x86/devices.h"
#include "kernel/x86/io.h"

#define UART_PORT 0x3f8

/* Register offsets (table II). */
enum {
	UART_DATA = 0,        /* receiver buffer, transmitter holding */
	UART_DIVISOR_LOW = 0, /* with UART_LCR_DIVISOR set */
	UART_IER = 1,
	UART_DIVISOR_HIGH = 1, /* with UART_LCR_DIVISOR set */
	UART_FCR = 2,
	UART_LCR = 3,
	UART_MCR = 4,
	UART_LSR = 5,
	UART_MSR = 6,
	UART_SCRATCH = 7,
};

/* Line control (8.1). */
#define UART_LCR_8N1 0x03
#define UART_LCR_DIVISOR 0x80
/* Line status (8.4).  An overrun lost a character, but the one in the buffer is good. */
#define UART_LSR_READY 0x01
#define UART_LSR_BAD 0x1c /* parity, framing, break: belong to the next character */
#define UART_LSR_HOLDING_EMPTY 0x20
#define UART_LSR_EMPTY 0x40  /* shift register, too */
#define UART_LSR_ABSENT 0xff /* what a bus without a device reads */
/* FIFO control (8.5): enable, clear both. */
#define UART_FCR_ENABLE_CLEAR 0x07
/* Modem control (8.8).  OUT2 gates the interrupt line on a PC and is expected on by some boards. */
#define UART_MCR_DTR 0x01
#define UART_MCR_RTS 0x02
#define UART_MCR_OUT2 0x08
#define UART_MCR_LOOP 0x10
/* Modem status in loopback: CTS shows RTS, DCD shows OUT2, DSR and RI show DTR and OUT1 (8.8). */
#define UART_MSR_OUTPUTS 0xf0
#define UART_MSR_CTS_DCD 0x90

/* The baud generator divides 1.8432 MHz by 16 times this (8.3, table III). */
#define UART_DIVISOR_115200 1

/* Reads of the status until a character is given up.  A read takes about a microsecond on a board
 * and a third of that on an emulator; sending a character takes 87 microseconds, but whoever reads
 * the other end of an emulated line may rest for a good while. */
#define UART_SPINS 2000000u
#define UART_TIMEOUTS 3
/* The same for what the firmware left in its 16-byte FIFO: 1.4 ms. */
#define UART_DRAIN_SPINS 20000u

static void uart_put(char c);
static int uart_get(void);

static struct console_device uart_device = { .name = "COM1", .put = uart_put, .get = uart_get };
/* Waits that timed out since the last one that did not.  A race with an NMI costs a wait. */
static unsigned uart_timeouts;

static uint8_t
uart_read(unsigned reg)
{
	return inb((uint16_t)(UART_PORT + reg));
}

static void
uart_write(unsigned reg, uint8_t value)
{
	outb((uint16_t)(UART_PORT + reg), value);
}

/* Waits until one of the status bits shows, for at most `spins` looks. */
static bool
uart_wait(uint8_t bits, unsigned spins)
{
	for (unsigned i = 0; i < spins; i++) {
		if ((uart_read(UART_LSR) & bits) != 0)
			return true;
		machine_pause();
	}
	return false;
}

static void
uart_send(uint8_t byte)
{
	unsigned spins = uart_timeouts < UART_TIMEOUTS ? UART_SPINS : 1;

	if (uart_wait(UART_LSR_HOLDING_EMPTY, spins)) {
		uart_timeouts = 0;
		uart_write(UART_DATA, byte);
		return;
	}
	if (uart_timeouts < UART_TIMEOUTS)
		uart_timeouts++;
	atomic_fetch_add_explicit(&uart_device.lost, 1, memory_order_relaxed);
}

static void
uart_put(char c)
{
	if (c == '\n')
		uart_send('\r');
	uart_send((uint8_t)c);
}

void
uart_flush(void)
{
	if (uart_timeouts < UART_TIMEOUTS)
		(void)uart_wait(UART_LSR_EMPTY, UART_DRAIN_SPINS);
}

static int
uart_get(void)
{
	uint8_t status = uart_read(UART_LSR), byte;

	if (status == UART_LSR_ABSENT || (status & UART_LSR_READY) == 0)
		return -1;
	byte = uart_read(UART_DATA);
	return (status & UART_LSR_BAD) != 0 ? -1 : byte;
}

/* Whether a UART answers: the scratch register keeps what it is given (8.10), and in loopback the
 * modem outputs appear as modem inputs.  An empty port reads 0xff, some 0x00. */
static bool
uart_present(void)
{
	bool mirrors;

	for (unsigned pattern = 0x55; pattern <= 0xaa; pattern += 0x55) {
		uart_write(UART_SCRATCH, (uint8_t)pattern);
		if (uart_read(UART_SCRATCH) != pattern)
			return false;
	}
	uart_write(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	mirrors = (uart_read(UART_MSR) & UART_MSR_OUTPUTS) == UART_MSR_CTS_DCD;
	uart_write(UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
	return mirrors;
}

bool
uart_attach(void)
{
	if (uart_read(UART_LSR) == UART_LSR_ABSENT)
		return false;
	/* Firmware may still be sending; loopback and a new rate would spoil that. */
	(void)uart_wait(UART_LSR_EMPTY, UART_DRAIN_SPINS);
	if (!uart_present())
		return false;
	uart_write(UART_LCR, UART_LCR_DIVISOR | UART_LCR_8N1);
	uart_write(UART_DIVISOR_LOW, UART_DIVISOR_115200);
	uart_write(UART_DIVISOR_HIGH, 0);
	uart_write(UART_LCR, UART_LCR_8N1);
	uart_write(UART_IER, 0);
	uart_write(UART_FCR, UART_FCR_ENABLE_CLEAR);
	/* Clears what is left of before: a character, a status change. */
	(void)uart_read(UART_DATA);
	(void)uart_read(UART_LSR);
	(void)uart_read(UART_MSR);
	console_attach(&uart_device);
	return true;
}
