/*
 * Plugin for QEMU: how often each instruction is executed between two marks (kernel/bench_mark.h),
 * by CPU 0 and by all others.
 *
 * With one thread for all CPUs, which the exact mode has, nothing is counted twice.
 *
 *	-plugin plugin.so,out=FILE
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/qemu_plugin.h"

/* One for each time that an instruction was translated. */
struct place {
	uint64_t pc;
	uint64_t count[2]; /* by CPU 0, by the others */
	struct place *next;
};

static struct place *plugin_places;
static uint64_t plugin_samples;
static unsigned plugin_inside; /* marks begun and not ended: crowds have several */
static FILE *plugin_out;

static void
plugin_exec(unsigned int vcpu, void *udata)
{
	struct place *place = udata;

	if (plugin_inside != 0)
		place->count[vcpu != 0]++;
}

static void
plugin_begin(unsigned int vcpu, void *udata)
{
	(void)vcpu;
	(void)udata;
	plugin_inside++;
}

static void
plugin_end(unsigned int vcpu, void *udata)
{
	(void)vcpu;
	(void)udata;
	plugin_inside--;
	plugin_samples++;
}

static plugin_exec_t
plugin_mark(const struct qemu_plugin_insn *insn)
{
	const uint8_t *bytes = qemu_plugin_insn_data(insn);

	if (qemu_plugin_insn_size(insn) != 3 || bytes[0] != 0x66 || bytes[1] != 0x87)
		return NULL;
	return bytes[2] == 0xdb ? plugin_begin : bytes[2] == 0xc9 ? plugin_end : NULL;
}

static void
plugin_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		plugin_exec_t mark = plugin_mark(insn);
		struct place *place;

		if (mark != NULL) {
			qemu_plugin_register_vcpu_insn_exec_cb(insn, mark, 0, NULL);
			continue;
		}
		place = calloc(1, sizeof(*place));
		if (place == NULL)
			abort();
		place->pc = qemu_plugin_insn_vaddr(insn);
		place->next = plugin_places;
		plugin_places = place;
		qemu_plugin_register_vcpu_insn_exec_cb(insn, plugin_exec, 0, place);
	}
}

static void
plugin_exit(qemu_plugin_id_t id, void *udata)
{
	(void)id;
	(void)udata;
	fprintf(plugin_out, "%" PRIu64 "\n", plugin_samples);
	for (const struct place *p = plugin_places; p != NULL; p = p->next) {
		if (p->count[0] != 0 || p->count[1] != 0)
			fprintf(plugin_out, "%" PRIx64 " %" PRIu64 " %" PRIu64 "\n", p->pc,
			    p->count[0], p->count[1]);
	}
	fclose(plugin_out);
}

int
qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
	(void)info;
	for (int i = 0; i < argc; i++) {
		if (strncmp(argv[i], "out=", 4) == 0)
			plugin_out = fopen(argv[i] + 4, "w");
	}
	if (plugin_out == NULL)
		return 1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, plugin_translate);
	qemu_plugin_register_atexit_cb(id, plugin_exit, NULL);
	return 0;
}
