/*
 * Plugin for QEMU: the longest stretch of instructions with interrupts off that touches a range of
 * code, on any CPU.
 *
 * Interrupts go off with CLI and at the entry of an interrupt (the addresses are given), and on
 * with STI and IRETQ.  A stretch that a mark interrupts counts as any other.
 *
 *	-plugin masked.so,out=FILE,low=HEX,high=HEX,entry=HEX,entry=HEX...
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/qemu_plugin.h"

#define MASKED_CPUS 256u
#define MASKED_ENTRIES 1024u
/* Marks between which stretches count (kernel/bench_mark.h). */
enum masked_kind { MASKED_OTHER, MASKED_OFF, MASKED_ON, MASKED_BEGIN, MASKED_END };

/* One for each time that an instruction was translated. */
struct place {
	uint64_t pc;
	enum masked_kind kind;
	bool inside; /* in the range */
};

static struct masked_cpu {
	bool off, touched;
	uint64_t length, from;
} masked_cpu[MASKED_CPUS];

static uint64_t masked_low, masked_high, masked_entry[MASKED_ENTRIES];
static size_t masked_entries;
static uint64_t masked_longest, masked_from, masked_to;
static unsigned masked_measuring;
static FILE *masked_out;

static void
masked_exec(unsigned int vcpu, void *udata)
{
	const struct place *place = udata;
	struct masked_cpu *cpu = &masked_cpu[vcpu % MASKED_CPUS];

	if (place->kind == MASKED_BEGIN)
		masked_measuring++;
	if (place->kind == MASKED_END)
		masked_measuring--;
	if (place->kind == MASKED_OFF && !cpu->off)
		*cpu = (struct masked_cpu){ .off = true, .from = place->pc };
	if (!cpu->off)
		return;
	cpu->length++;
	cpu->touched |= place->inside;
	if (place->kind != MASKED_ON)
		return;
	cpu->off = false;
	if (masked_measuring != 0 && cpu->touched && cpu->length > masked_longest) {
		masked_longest = cpu->length;
		masked_from = cpu->from;
		masked_to = place->pc;
	}
}

static bool
masked_is_entry(uint64_t pc)
{
	for (size_t i = 0; i < masked_entries; i++) {
		if (masked_entry[i] == pc)
			return true;
	}
	return false;
}

static enum masked_kind
masked_classify(const struct qemu_plugin_insn *insn, uint64_t pc)
{
	const uint8_t *b = qemu_plugin_insn_data(insn);
	size_t n = qemu_plugin_insn_size(insn);

	if ((n == 1 && b[0] == 0xfa) || masked_is_entry(pc))
		return MASKED_OFF;
	if ((n == 1 && b[0] == 0xfb) || (n == 2 && b[0] == 0x48 && b[1] == 0xcf))
		return MASKED_ON;
	if (n == 3 && b[0] == 0x66 && b[1] == 0x87)
		return b[2] == 0xdb ? MASKED_BEGIN : b[2] == 0xc9 ? MASKED_END : MASKED_OTHER;
	return MASKED_OTHER;
}

static void
masked_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		struct place *place = calloc(1, sizeof(*place));

		if (place == NULL)
			abort();
		place->pc = qemu_plugin_insn_vaddr(insn);
		place->kind = masked_classify(insn, place->pc);
		place->inside = place->pc >= masked_low && place->pc < masked_high;
		qemu_plugin_register_vcpu_insn_exec_cb(insn, masked_exec, 0, place);
	}
}

static void
masked_exit(qemu_plugin_id_t id, void *udata)
{
	(void)id;
	(void)udata;
	fprintf(masked_out, "%" PRIu64 " %" PRIx64 " %" PRIx64 "\n", masked_longest, masked_from,
	    masked_to);
	fclose(masked_out);
}

int
qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
	(void)info;
	for (int i = 0; i < argc; i++) {
		if (strncmp(argv[i], "out=", 4) == 0)
			masked_out = fopen(argv[i] + 4, "w");
		if (strncmp(argv[i], "low=", 4) == 0)
			masked_low = strtoull(argv[i] + 4, NULL, 16);
		if (strncmp(argv[i], "high=", 5) == 0)
			masked_high = strtoull(argv[i] + 5, NULL, 16);
		if (strncmp(argv[i], "entry=", 6) == 0 && masked_entries < MASKED_ENTRIES)
			masked_entry[masked_entries++] = strtoull(argv[i] + 6, NULL, 16);
	}
	if (masked_out == NULL || masked_high == 0 || masked_entries == 0)
		return 1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, masked_translate);
	qemu_plugin_register_atexit_cb(id, masked_exit, NULL);
	return 0;
}
