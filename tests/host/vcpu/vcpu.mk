# The kernel, xcall and their tests as a host program on virtual CPUs (README.md, runtime.h), in three flavours:
# under ThreadSanitizer of gcc and of clang, and under AddressSanitizer and UndefinedBehaviorSanitizer.
# Included by the top makefile.

VCPU = tests/host/vcpu
VCPU_DIR = $(BUILD)/host/vcpu

# The kernel without its machine, and what uses it; not the monitor and its commands.
VCPU_KERNEL_SOURCES = $(filter-out %_command.c kernel/ubsan.c kernel/cmdline.c,$(wildcard kernel/*.c kernel/clients/*.c xcall/*.c))
VCPU_XCALL_SOURCES = $(filter xcall/%,$(VCPU_KERNEL_SOURCES))
# All tests but those of the machine.
VCPU_TEST_SOURCES := $(filter-out %/misuse_trap.c %/misuse_ubsan.c %/misuse_fault.c %/fault_storm.c,$(shell grep -L '"kernel/x86/' tests/kernel/*.c))
# The machine of the host: for these too, printf() is the kernel's.
VCPU_MACHINE_SOURCES = $(patsubst %,$(VCPU)/%.c,machine timer thread cpu memory race)
VCPU_HOST_SOURCES = $(patsubst %,$(VCPU)/%.c,main threads)

VCPU_FLAVOURS = tsan-gcc tsan-clang asan-gcc cov-gcc
VCPU_CC_tsan-gcc = gcc
VCPU_CC_tsan-clang = clang
VCPU_CC_asan-gcc = gcc
VCPU_CC_cov-gcc = gcc
VCPU_SANITIZE_tsan = -fsanitize=thread
VCPU_SANITIZE_asan = -fsanitize=address,undefined -fno-sanitize-recover=all
VCPU_SANITIZE_cov = --coverage -fprofile-update=atomic
VCPU_FIBER_tsan = $(VCPU)/fiber_thread.c
VCPU_FIBER_asan = $(VCPU)/fiber_address.c
VCPU_FIBER_cov = $(VCPU)/fiber_plain.c

# Linked at a fixed address, like the kernel, so that its symbol table serves.
VCPU_CFLAGS = -std=c11 -O1 -g -fno-omit-frame-pointer -fno-optimize-sibling-calls -fno-strict-aliasing -fno-pie \
	-DXCALL_VERSION=\"$(VERSION)\" $(WARNINGS) -I$(VCPU)/include -I.
VCPU_KERNEL_CFLAGS = $(VCPU_CFLAGS) -D_GNU_SOURCE -ffreestanding -include $(VCPU)/names.h
VCPU_HOST_CFLAGS = $(VCPU_CFLAGS) -D_GNU_SOURCE -pthread

# $(1) flavour, $(2) compiler, $(3) sanitizer flags, $(4) the sanitizer's fibers.
define VCPU_RULES
VCPU_KERNEL_$(1) = $$(patsubst %.c,$$(VCPU_DIR)/$(1)/%.o,$$(VCPU_KERNEL_SOURCES) $$(VCPU_TEST_SOURCES) $$(VCPU_MACHINE_SOURCES))
VCPU_HOST_$(1) = $$(patsubst %.c,$$(VCPU_DIR)/$(1)/%.o,$$(VCPU_HOST_SOURCES))
VCPU_FIBER_$(1) = $$(patsubst %.c,$$(VCPU_DIR)/$(1)/%.o,$(4))
VCPU_OBJECTS_$(1) = $$(VCPU_KERNEL_$(1)) $$(VCPU_HOST_$(1)) $$(VCPU_FIBER_$(1)) $$(VCPU_DIR)/switch.o

# Cases in the order of the source, as in the kernel.
$$(VCPU_DIR)/$(1)/tests/kernel/%.o: VCPU_ORDER = $$(if $$(findstring clang,$(2)),,-fno-toplevel-reorder)

$$(VCPU_KERNEL_$(1)): $$(VCPU_DIR)/$(1)/%.o: %.c $$(VCPU)/vcpu.mk
	@mkdir -p $$(@D)
	@$(2) $$(VCPU_KERNEL_CFLAGS) $(3) $$(VCPU_ORDER) $$(VCPU_PLAIN) -MMD -MP -c -o $$@ $$<

$$(VCPU_HOST_$(1)): $$(VCPU_DIR)/$(1)/%.o: %.c $$(VCPU)/vcpu.mk
	@mkdir -p $$(@D)
	@$(2) $$(VCPU_HOST_CFLAGS) $(3) -MMD -MP -c -o $$@ $$<

$$(VCPU_FIBER_$(1)): $$(VCPU_DIR)/$(1)/%.o: %.c $$(VCPU)/vcpu.mk
	@mkdir -p $$(@D)
	@$(2) $$(VCPU_HOST_CFLAGS) -MMD -MP -c -o $$@ $$<

$$(VCPU_DIR)/$(1)/first: $$(VCPU_OBJECTS_$(1)) $$(VCPU_DIR)/ksyms-empty.o $$(VCPU)/sets.ld
	@$(2) $(3) -no-pie -z noexecstack -pthread -o $$@ $$(VCPU_OBJECTS_$(1)) $$(VCPU_DIR)/ksyms-empty.o -Wl,-T,$$(VCPU)/sets.ld

$$(VCPU_DIR)/$(1)/ksyms.s: $$(VCPU_DIR)/$(1)/first kernel/ksyms_table.py
	@nm --defined-only -n $$< | $$(PYTHON) kernel/ksyms_table.py > $$@

$$(VCPU_DIR)/$(1)/ksyms.o: $$(VCPU_DIR)/$(1)/ksyms.s
	@$(2) -c -o $$@ $$<

$$(VCPU_DIR)/$(1)/xcall-host: $$(VCPU_DIR)/$(1)/first $$(VCPU_DIR)/$(1)/ksyms.o
	@echo "  hostld $$@"
	@$(2) $(3) -no-pie -z noexecstack -pthread -o $$@ $$(VCPU_OBJECTS_$(1)) $$(VCPU_DIR)/$(1)/ksyms.o -Wl,-T,$$(VCPU)/sets.ld

-include $$(VCPU_KERNEL_$(1):.o=.d) $$(VCPU_HOST_$(1):.o=.d)
endef
$(foreach f,$(VCPU_FLAVOURS),$(eval $(call VCPU_RULES,$(f),$(VCPU_CC_$(f)),$(VCPU_SANITIZE_$(firstword $(subst -, ,$(f)))),$(VCPU_FIBER_$(firstword $(subst -, ,$(f)))))))

# It looks for a constant in the code of a function, which must be as short as the source.
$(VCPU_DIR)/asan-gcc/tests/kernel/test_clients.o: VCPU_PLAIN = -fno-sanitize=all
$(VCPU_DIR)/cov-gcc/tests/kernel/test_clients.o: VCPU_PLAIN = -fno-profile-arcs -fno-test-coverage

# The kernel's own switch, under another name.
$(VCPU_DIR)/switch.o: kernel/x86/switch.asm
	@mkdir -p $(@D)
	@$(NASM) -f elf64 -g -F dwarf -Dmachine_switch=vcpu_switch_stack -Dmachine_thread_begin=vcpu_begin -o $@ $<

$(VCPU_DIR)/ksyms-empty.s: kernel/ksyms_table.py
	@mkdir -p $(@D)
	@$(PYTHON) kernel/ksyms_table.py < /dev/null > $@

$(VCPU_DIR)/ksyms-empty.o: $(VCPU_DIR)/ksyms-empty.s
	@$(HOSTCC) -c -o $@ $<

VCPU_RUN = $(PYTHON) $(VCPU)/run --build $(VCPU_DIR)
VCPU_TEST = all
# Under ThreadSanitizer: every number by one compiler, 4 and 8 by both.
VCPU_CPUS_gcc = 1,2,4,8
VCPU_CPUS_clang = 3,4,8
# On 17 the targets of a call are in two groups.
VCPU_WIDE = xcall_wait,xcall_levels,xcall_cancel,xcall_promises

.PHONY: tsan host-xcall coverage-xcall
tsan: $(VCPU_DIR)/tsan-gcc/xcall-host $(VCPU_DIR)/tsan-clang/xcall-host ## xcall and the kernel on POSIX threads under ThreadSanitizer
	@$(VCPU_RUN) --test $(VCPU_TEST) tsan-gcc=$(VCPU_CPUS_gcc) tsan-clang=$(VCPU_CPUS_clang)
	@$(if $(filter all,$(VCPU_TEST)),$(VCPU_RUN) --test $(VCPU_WIDE) tsan-gcc=17 tsan-clang=17)
	@$(VCPU_RUN) --races tsan-gcc tsan-clang

host-xcall: $(VCPU_DIR)/asan-gcc/xcall-host ## the same under AddressSanitizer and UBSan, and every misuse
	@$(VCPU_RUN) --test $(VCPU_TEST) asan-gcc=1,4,8
	@$(VCPU_RUN) --misuse asan-gcc

# On 17 CPUs calls have targets in two groups.
coverage-xcall: $(VCPU_DIR)/cov-gcc/xcall-host ## lines and branches of xcall/ that the suites and misuses run on the host
	@find $(VCPU_DIR)/cov-gcc -name '*.gcda' -delete
	@$(VCPU_RUN) --test $(VCPU_TEST) cov-gcc=1,4,17
	@$(VCPU_RUN) --misuse cov-gcc
	@$(VCPU)/coverage $(VCPU_DIR)/cov-gcc $(VCPU_XCALL_SOURCES)
