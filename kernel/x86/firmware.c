/*
 * Entering into struct platform what a firmware table says, and getting at the tables.
 */
#include "kernel/x86/firmware.h"

#include <stdarg.h>

#include "kernel/printf.h"

/* The BIOS keeps the segment of its extended data area in this word (MP specification 1.4, section
 * 4). */
#define FIRMWARE_EBDA_POINTER 0x40e
/* Below lie the BIOS's data; above, the screen. */
#define FIRMWARE_EBDA_LOWEST 0x1000
#define FIRMWARE_EBDA_END 0xa0000
/* As much of it as tables may start in. */
#define FIRMWARE_EBDA_BYTES 1024

void
firmware_warn(struct platform *pl, const char *fmt, ...)
{
	const unsigned room = sizeof(pl->warning) / sizeof(pl->warning[0]);
	va_list ap;

	if (pl->nwarnings < room) {
		va_start(ap, fmt);
		vsnprintf(pl->warning[pl->nwarnings], sizeof(pl->warning[0]), fmt, ap);
		va_end(ap);
	}
	pl->nwarnings++;
}

struct bytes
firmware_fetch(acpi_fetch_t fetch, uint64_t address, size_t bytes)
{
	if (address == 0 || bytes > UINT64_MAX - address)
		return bytes_of(NULL, 0);
	return bytes_of(fetch(address, bytes), bytes);
}

uint64_t
firmware_ebda(acpi_fetch_t fetch, uint64_t *end)
{
	uint64_t ebda = (uint64_t)bytes_u16(firmware_fetch(fetch, FIRMWARE_EBDA_POINTER, 2), 0)
	    << 4;

	*end = ebda + FIRMWARE_EBDA_BYTES;
	if (*end > FIRMWARE_EBDA_END)
		*end = FIRMWARE_EBDA_END;
	return ebda >= FIRMWARE_EBDA_LOWEST && ebda < FIRMWARE_EBDA_END ? ebda : 0;
}

void
firmware_add_cpu(struct platform *pl, uint32_t apic_id, uint32_t acpi_uid)
{
	for (unsigned i = 0; i < pl->ncpus; i++) {
		if (pl->cpu[i].apic_id == apic_id) {
			pl->cpus_duplicate++;
			return;
		}
	}
	if (pl->ncpus == MAXCPUS) {
		pl->cpus_unreachable++;
		return;
	}
	pl->cpu[pl->ncpus++] = (struct platform_cpu){ .apic_id = apic_id, .acpi_uid = acpi_uid };
}

void
firmware_add_ioapic(struct platform *pl, const char *table, uint64_t address)
{
	if (address == 0) {
		firmware_warn(pl, "%s: an I/O APIC has no address and is ignored", table);
		return;
	}
	for (unsigned i = 0; i < pl->nioapics; i++) {
		if (pl->ioapic[i] == address)
			return;
	}
	if (pl->nioapics == PLATFORM_MAX_IOAPICS) {
		firmware_warn(pl, "%s: the I/O APIC at 0x%llx is one too many and is ignored",
		    table, (unsigned long long)address);
		return;
	}
	pl->ioapic[pl->nioapics++] = address;
}

void
firmware_add_nmi(struct platform *pl, const char *table, struct platform_nmi nmi)
{
	if (nmi.lint > 1) {
		firmware_warn(
		    pl, "%s: an NMI on LINT%u, which does not exist, is ignored", table, nmi.lint);
		return;
	}
	for (unsigned i = 0; i < pl->nnmis; i++) {
		if (pl->nmi[i].acpi_uid == nmi.acpi_uid && pl->nmi[i].lint == nmi.lint)
			return;
	}
	if (pl->nnmis == PLATFORM_MAX_NMIS) {
		firmware_warn(pl, "%s: the NMI line of CPU %u is one too many and is ignored",
		    table, nmi.acpi_uid);
		return;
	}
	pl->nmi[pl->nnmis++] = nmi;
}
