# The deterministic simulator (README.md).  Included by the top makefile, behind tests/host/vcpu/vcpu.mk.

SIM = tests/host/sim
SIM_DIR = $(BUILD)/host/sim

# The kernel without its machine and with a panic of its own.
SIM_KERNEL_SOURCES = $(filter-out %_command.c kernel/ubsan.c kernel/cmdline.c kernel/panic.c,$(wildcard kernel/*.c))
SIM_XCALL_SOURCES = $(filter-out %_command.c,$(wildcard xcall/*.c))
# Code of the kernel's and of the scenarios': one point before each operation that reads and writes.
SIM_SCENARIO_SOURCES = $(patsubst %,$(SIM)/%.c,actors cases gather hotplug ledger mix pool scenarios special)
# Cases of the kernel's; and what they may need, of which the linker takes what they do need.
SIM_TEST_SOURCES = $(wildcard tests/kernel/test_xcall*.c)
SIM_HELP_SOURCES := $(filter-out tests/kernel/test% tests/kernel/misuse_%,$(VCPU_TEST_SOURCES)) \
	$(filter-out %_command.c kernel/clients/tlb.c kernel/clients/text.c,$(wildcard kernel/clients/*.c))
# The machine and the simulator itself: no points.
SIM_MACHINE_SOURCES = $(patsubst %,tests/host/vcpu/%.c,machine timer thread cpu fiber_plain) $(SIM)/panic.c
SIM_HOST_SOURCES = $(patsubst %,$(SIM)/%.c,boot engine ledger_print lines lines_print main many run strategy trace)

SIM_CFLAGS = -std=gnu11 -O2 -g -fno-omit-frame-pointer -fno-optimize-sibling-calls -fno-strict-aliasing -fno-pie \
	$(filter-out -Wshadow,$(WARNINGS)) -Itests/host/vcpu/include -I.
SIM_NAMES = -ffreestanding -include tests/host/kernel_names.h
SIM_SHIM = -I$(SIM)/shim -Wno-maybe-uninitialized

SIM_OBJECT = $(patsubst %.c,$(SIM_DIR)/%.o,$(1))
SIM_OBJECTS = $(call SIM_OBJECT,$(SIM_KERNEL_SOURCES) $(SIM_SCENARIO_SOURCES) $(SIM_TEST_SOURCES) $(SIM_MACHINE_SOURCES) $(SIM_HOST_SOURCES)) \
	$(SIM_DIR)/switch.o
SIM_HELP = $(SIM_DIR)/help.a
SIM_XCALL_OBJECTS = $(call SIM_OBJECT,$(SIM_XCALL_SOURCES))

$(call SIM_OBJECT,$(SIM_XCALL_SOURCES)): SIM_FLAGS = $(SIM_SHIM) -DSIM_LAYER=2 $(SIM_NAMES)
$(call SIM_OBJECT,$(SIM_KERNEL_SOURCES) $(SIM_SCENARIO_SOURCES) $(SIM_TEST_SOURCES) $(SIM_HELP_SOURCES)): SIM_FLAGS = $(SIM_SHIM) -DSIM_LAYER=1 $(SIM_NAMES)
$(call SIM_OBJECT,$(SIM_MACHINE_SOURCES)): SIM_FLAGS = $(SIM_NAMES)
$(call SIM_OBJECT,$(SIM_HOST_SOURCES)): SIM_FLAGS = -D_GNU_SOURCE

$(SIM_DIR)/%.o: %.c $(SIM)/sim.mk
	@mkdir -p $(@D)
	@echo "  simcc $<"
	@$(HOSTCC) $(SIM_FLAGS) $(SIM_CFLAGS) -MMD -MP -c -o $@ $<

$(SIM_DIR)/switch.o: kernel/x86/switch.asm
	@mkdir -p $(@D)
	@$(NASM) -f elf64 -g -F dwarf -Dmachine_switch=vcpu_switch_stack -Dmachine_thread_begin=vcpu_begin -o $@ $<

$(SIM_HELP): $(call SIM_OBJECT,$(SIM_HELP_SOURCES))
	@rm -f $@
	@ar rcs $@ $^

# Linked twice: the symbol table of the first goes into the second.
$(SIM_DIR)/xcall-sim: $(SIM_OBJECTS) $(SIM_XCALL_OBJECTS) $(SIM_HELP) $(SIM)/link
	@echo "  simld $@"
	@$(SIM)/link '$(HOSTCC)' $@ $(SIM_OBJECTS) $(SIM_XCALL_OBJECTS) $(SIM_HELP)

-include $(patsubst %.o,%.d,$(SIM_OBJECTS) $(SIM_XCALL_OBJECTS) $(call SIM_OBJECT,$(SIM_HELP_SOURCES)))

# One run, of SEED; or many, SEEDS of them.  CPUS is also the machine's of `make run`: it counts here when it was given.
SEEDS = 10000
SIM_JOBS = $(shell nproc 2>/dev/null || echo 1)
SIM_ARGS = $(if $(filter command line,$(origin CPUS)),cpus=$(CPUS)) $(if $(STEPS),steps=$(STEPS)) \
	$(if $(SCENARIO),scenario=$(SCENARIO)) $(if $(STRATEGY),strategy=$(STRATEGY)) $(if $(DEPTH),depth=$(DEPTH)) \
	$(if $(TRACE),trace=$(TRACE))

sim: $(SIM_DIR)/xcall-sim ## simulate SEEDS=10000 random schedules, or replay SEED=n (CPUS= STEPS= SCENARIO= STRATEGY= TRACE=)
	@$< $(if $(SEED),seed=$(SEED),seeds=$(SEEDS) jobs=$(SIM_JOBS)) $(SIM_ARGS)

# All schedules of the smallest cases that differ from turns in two choices.
SIM_SMALLEST = pair-low pair-soft pair-hard pair-nmi two-low two-soft two-hard two-nmi
sim-all: $(SIM_SMALLEST:%=sim-all-%) ## all schedules of the smallest cases with two deviations
$(SIM_SMALLEST:%=sim-all-%): sim-all-%: $(SIM_DIR)/xcall-sim
	@$< seed=1 cpus=2 strategy=all depth=2 scenario=$*

$(SIM_DIR)/objects: $(SIM_DIR)/xcall-sim
	@echo $(SIM_OBJECTS) $(SIM_XCALL_OBJECTS) $(SIM_HELP) > $@

sim-bugs: $(SIM_DIR)/objects ## seeded bugs in a copy of xcall/: the simulator must find each within 2000 seeds
	@$(SIM)/hunt --build $(SIM_DIR) --clean $(SIM_DIR)/xcall-sim --objects $< --jobs $(SIM_JOBS) --cc '$(HOSTCC)' \
		--flags '$(SIM_SHIM) -DSIM_LAYER=2 $(SIM_NAMES) $(SIM_CFLAGS) -Wno-unused' $(BUGS)

.PHONY: sim sim-all sim-bugs $(SIM_SMALLEST:%=sim-all-%)
