# Every command that a person types.  `make help` lists them.
#
# Tools are looked for when a rule needs them, not when this file is read: `make setup` works on a machine that
# has gcc, make and python3 and nothing else.

MAKEFLAGS += --no-builtin-rules --no-print-directory
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 1)
endif
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

GOALS_AFTER_SETUP := $(filter-out setup,$(MAKECMDGOALS))
ifneq ($(and $(filter setup,$(MAKECMDGOALS)),$(GOALS_AFTER_SETUP)),)

# `make setup GOAL...`: nothing else may start before the tools are there, in a parallel make either, so the
# goals are made by a second make.
.PHONY: setup $(GOALS_AFTER_SETUP)
$(firstword $(GOALS_AFTER_SETUP)): setup
	@+$(MAKE) $(GOALS_AFTER_SETUP)
$(wordlist 2,$(words $(GOALS_AFTER_SETUP)),$(GOALS_AFTER_SETUP)): $(firstword $(GOALS_AFTER_SETUP))
setup:
	@tests/setup

else

CC = gcc
HOSTCC = gcc
NASM = nasm
LD = ld
PYTHON = /usr/bin/python3
BUILD = build

# The machine that `make run`, `make console` and `make gdb` start.
CPUS = 4
MACHINE = q35
FIRMWARE = bios
ARGS =
HZ =

VERSION := 0.1

# --- the kernel ----------------------------------------------------------------------------------------

KERNEL_DIRS = boot kernel kernel/x86 kernel/clients kernel/main xcall tests/kernel \
	tests/bench/kernel
C_SOURCES := $(filter-out kernel/x86/offsets.c,$(wildcard $(KERNEL_DIRS:%=%/*.c)))
# The compiler's checks for undefined behaviour, and what reports them (make ubsan).
UBSAN =
ifeq ($(UBSAN),)
C_SOURCES := $(filter-out %ubsan.c,$(C_SOURCES))
endif
ASM_SOURCES := $(wildcard $(KERNEL_DIRS:%=%/*.asm))
OBJECTS = $(C_SOURCES:%.c=$(BUILD)/obj/%.o) $(ASM_SOURCES:%.asm=$(BUILD)/obj/%.asm.o)

WARNINGS = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wcast-qual -Wundef -Wvla -Wwrite-strings -Wno-format-zero-length
# No SSE in the kernel, so no FPU state to save; frame pointers and real calls carry the backtraces; no
# assumption that would let the compiler drop a check for NULL.
KERNEL_CFLAGS = -std=c11 -ffreestanding -fno-pic -fno-pie -mcmodel=small -mno-red-zone \
	-mgeneral-regs-only -O2 -g -fno-omit-frame-pointer -fno-optimize-sibling-calls \
	-fstack-protector-strong -mstack-protector-guard=global \
	-fno-strict-aliasing -fno-delete-null-pointer-checks \
	-fno-asynchronous-unwind-tables -fcf-protection=none -ffile-prefix-map=$(CURDIR)=. \
	-DXCALL_VERSION=\"$(VERSION)\" $(WARNINGS) -I. \
	$(if $(UBSAN),-fsanitize=undefined -fno-sanitize-recover=all)
LDFLAGS = -nostdlib -static -z noexecstack -z max-page-size=4096 --build-id=sha1

## Build

all: $(BUILD)/xcall.elf ## the kernel, build/xcall.elf (multiboot2 and PVH)

iso: $(BUILD)/xcall.iso ## the boot medium, build/xcall.iso (BIOS and UEFI, CD and USB stick)

clean: ## remove build/
	rm -rf $(BUILD)

$(BUILD)/offsets.inc: kernel/x86/offsets.c boot/boot.h kernel/x86/smp.h kernel/x86/trap.h Makefile
	@mkdir -p $(@D)
	@$(CC) $(KERNEL_CFLAGS) $(if $(findstring clang,$(CC)),-fno-integrated-as) -S -o $(@:.inc=.s) $<
	@sed -n 's/^->\([A-Z0-9_]*\) [$$]*\(.*\)/%define \1 \2/p' $(@:.inc=.s) > $@

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  cc    $<"
	@$(CC) $(KERNEL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/obj/%.asm.o: %.asm $(BUILD)/offsets.inc boot/nasm_object.py Makefile
	@mkdir -p $(@D)
	@echo "  nasm  $<"
	@$(NASM) -f elf64 -g -F dwarf -I$(BUILD)/ -Werror -MD $(@:.o=.d) -o $@ $<
	@$(PYTHON) boot/nasm_object.py $@

# Each function with an array or a local variable whose address is taken looks after its stack canary, which costs a
# hard unicast 4.6 % and a call to self 8.5 % (tests/bench).  On the path of calls only those with a buffer do, and all of
# them in the build of `make ubsan`.
$(BUILD)/obj/xcall/%.o: KERNEL_CFLAGS += $(if $(UBSAN),,-fstack-protector)

# string.c must not be turned into calls to itself.
$(BUILD)/obj/kernel/string.o: KERNEL_CFLAGS += -fno-builtin \
	$(if $(findstring clang,$(CC)),,-fno-tree-loop-distribute-patterns)

# What reports must not be reported; and a test that looks for a constant in the code of a function, which
# must be as short as the source.
$(BUILD)/obj/kernel/ubsan.o $(BUILD)/obj/tests/kernel/test_clients.o: \
	KERNEL_CFLAGS += $(if $(UBSAN),-fno-sanitize=all)

# Cases of a suite run in the order of the source: gcc must emit the entries of the set in that order.
$(BUILD)/obj/tests/kernel/%.o: KERNEL_CFLAGS += $(if $(findstring clang,$(CC)),,-fno-toplevel-reorder)

# The font of the framebuffer console: Debian's, embedded as it is packaged.
-include kernel/x86/font.mk

# Linked twice: the symbol table of the first link goes into the second, behind all text and constants, so
# no address that it names moves.
LINK = $(LD) $(LDFLAGS) -T linker.ld -o $@ $(OBJECTS)

$(BUILD)/first.elf: $(OBJECTS) $(BUILD)/obj/ksyms-empty.o linker.ld
	@$(LINK) $(BUILD)/obj/ksyms-empty.o

$(BUILD)/xcall.elf: $(BUILD)/first.elf $(BUILD)/obj/ksyms-full.o
	@echo "  ld    $@"
	@$(LINK) $(BUILD)/obj/ksyms-full.o

$(BUILD)/obj/ksyms-empty.s: kernel/ksyms_table.py
	@mkdir -p $(@D)
	@$(PYTHON) kernel/ksyms_table.py < /dev/null > $@

$(BUILD)/obj/ksyms-full.s: $(BUILD)/first.elf kernel/ksyms_table.py
	@nm --defined-only -n $< | $(PYTHON) kernel/ksyms_table.py > $@

$(BUILD)/obj/ksyms-%.o: $(BUILD)/obj/ksyms-%.s
	@$(CC) -c -o $@ $<

-include $(C_SOURCES:%.c=$(BUILD)/obj/%.d) $(ASM_SOURCES:%.asm=$(BUILD)/obj/%.asm.d)

# The medium is the same whenever it is built (`make repro`): xorriso takes its dates and ids from SOURCE_DATE_EPOCH;
# grub-mkrescue and mtools only know the clock, which stands still for them.
export SOURCE_DATE_EPOCH ?= 1735689600
AT_EPOCH = TZ=UTC LC_ALL=C faketime -f "$$(date -u -d @$(SOURCE_DATE_EPOCH) '+%Y-%m-%d %H:%M:%S')"
# Trimmed: only the modules that the menu needs, no fonts, locales or themes.
GRUB_MODULES = multiboot2 normal part_gpt part_msdos iso9660 fat all_video
$(BUILD)/xcall.iso: $(BUILD)/xcall.elf iso/grub.cfg
	@echo "  iso   $@"
	@rm -rf $(BUILD)/iso && mkdir -p $(BUILD)/iso/boot/grub
	@cp $(BUILD)/xcall.elf iso/grub.cfg $(BUILD)/iso/boot/
	@mv $(BUILD)/iso/boot/grub.cfg $(BUILD)/iso/boot/grub/
	@strip --strip-debug $(BUILD)/iso/boot/xcall.elf
	@$(AT_EPOCH) grub-mkrescue -o $@ --locales= --fonts= --themes= --compress=xz \
		--modules="$(GRUB_MODULES)" --install-modules="$(GRUB_MODULES)" $(BUILD)/iso \
		> $(BUILD)/iso.log 2>&1 || { cat $(BUILD)/iso.log; exit 1; }

## Run (CPUS=1..255 MACHINE=q35|pc|microvm FIRMWARE=bios|uefi|pvh HZ=n ARGS="words")

RUNNER = $(PYTHON) tests/console/boot.py --machine $(MACHINE) --cpus $(CPUS) --firmware $(FIRMWARE) \
	--elf $(BUILD)/xcall.elf --iso $(BUILD)/xcall.iso
WORDS = $(strip $(if $(HZ),hz=$(HZ)) $(ARGS))
BOOT_FILES = $(if $(filter pvh,$(FIRMWARE)),all,iso)

run: $(BOOT_FILES) ## boot QEMU, do the main job, power off
	@$(RUNNER) --append "$(WORDS)"

console: $(BOOT_FILES) ## boot QEMU to the monitor's prompt on this terminal
	@$(RUNNER) --interactive --append "$(strip monitor $(WORDS))"

gdb: all ## QEMU stopped at the entry, gdb attached with symbols
	@$(RUNNER) --gdb --firmware pvh --append "$(WORDS)"

## Test

test: ## everything that CI runs
	@+$(MAKE) all iso
	@+$(MAKE) CC=clang BUILD=$(BUILD)/clang all
	@+$(MAKE) lint
	@+$(MAKE) test-host
	@+$(MAKE) fuzz-ci
	@+$(MAKE) tsan
	@+$(MAKE) host-xcall
	@+$(MAKE) sim SEEDS=10000
	@+$(MAKE) sim-all
	@+$(MAKE) sim-bugs
	@+$(MAKE) models
	@+$(MAKE) test-boot
	@+$(MAKE) bench-gate

check: test ## another name of test

test-all: ## test, and the slow boots of the matrix
	@+$(MAKE) test
	@+$(MAKE) test-boot TIER=all

TIER = ci
BOOT_TESTS = $(PYTHON) -m pytest -p no:cacheprovider -n 2 -q tests/console --tier $(TIER) --build $(BUILD)
test-boot: all iso ubsan-kernel ## boot the matrix in tests/console/ and judge each boot
	@$(BOOT_TESTS)

ubsan: all ubsan-kernel ## its boots with the checks for undefined behaviour: every suite, and each kind reported
	@$(BOOT_TESTS) -k ubsan

ubsan-kernel:
	@+$(MAKE) BUILD=$(BUILD)/ubsan UBSAN=1 all

N = 50
SUITES = all
LOAD = 2
repeat: all ## the kernel suites N times on a loaded host (N=50 CPUS=8,4,2 SUITES=a,b LOAD=n)
	@$(PYTHON) tests/console/repeat.py --elf $(BUILD)/xcall.elf --times $(N) --cpus $(CPUS) --suites $(SUITES) --load $(LOAD) \
		--logs $(BUILD)/logs

-include tests/lint/lint.mk tests/host/host.mk tests/host/vcpu/vcpu.mk tests/host/sim/sim.mk tests/host/toy/toy.mk \
	tests/model/model.mk tests/bench/bench.mk tests/fuzz/fuzz.mk tests/release/release.mk tests/torture/torture.mk tests/mutants/mutants.mk

## Other

setup: ## install what is missing (Debian packages)
	@tests/setup

help: ## this list
	@awk 'FNR == 1 { group = "" } /^## / { group = substr($$0, 4) } \
		/^[a-z-]+:.* ## / { split($$0, part, ":.*## "); \
		if (group != "") { printf "\n%s\n", group; group = "" } printf "  %-12s %s\n", part[1], part[2] }' \
		Makefile tests/*/*.mk tests/*/*/*.mk

.PHONY: all iso clean run console gdb test check test-all test-boot ubsan ubsan-kernel repeat setup help

endif
