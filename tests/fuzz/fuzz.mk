# Fuzzing of every parser of outside data; see tests/fuzz/README.md.  Included by the top makefile.

FUZZ_CC = clang-14
FUZZ_DIR = $(BUILD)/fuzz

# The sources that parse what comes from outside.  `make coverage` holds each to FUZZ_COVERAGE percent of its lines.
FUZZ_PARSERS = $(wildcard boot/bootinfo*.c) boot/bytes.h kernel/cmdline.c \
	$(patsubst %,kernel/main/%.c,lineedit monitor timer_command) \
	$(patsubst %,kernel/x86/%.c,acpi fadt firmware fwcfg madt mptable)
FUZZ_COVERAGE = 95

FUZZ_TARGETS = $(patsubst tests/fuzz/target_%.c,%,$(wildcard tests/fuzz/target_*.c))
FUZZ_TARGET_SOURCES = $(FUZZ_TARGETS:%=tests/fuzz/target_%.c)
FUZZ_KERNEL_SOURCES = $(filter %.c,$(FUZZ_PARSERS)) kernel/printf.c kernel/string.c
FUZZ_SUPPORT_SOURCES = tests/fuzz/acpi_table.c $(patsubst %,tests/host/%.c,image machine mbi panic table)
# Unit tests of the same sources: they count for the coverage.
FUZZ_UNIT_TESTS = $(patsubst %,test_%,acpi bootinfo cmdline fadt lineedit madt memory_map mptable pvh)

FUZZ_CFLAGS = -std=c11 -O2 -g -fno-omit-frame-pointer -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wundef -Wvla -Wwrite-strings -Wno-format-zero-length \
	-Itests/fuzz/shim -I.
FUZZ_KERNEL_CFLAGS = $(FUZZ_CFLAGS) -ffreestanding -include tests/host/kernel_names.h
FUZZ_SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_COUNT = -fprofile-instr-generate -fcoverage-mapping

# Everything is built twice: sanitized, and with counters for the coverage.
#   $(1) folder  $(2) flags
define FUZZ_BUILD
$$(FUZZ_KERNEL_SOURCES:%.c=$(1)/%.o): $(1)/%.o: %.c tests/fuzz/fuzz.mk
	@mkdir -p $$(@D)
	@echo "  fuzzcc $$<"
	@$$(FUZZ_CC) $$(FUZZ_KERNEL_CFLAGS) $(2) -fsanitize=fuzzer-no-link $$(FUZZ_EXTRA_FLAGS) -MMD -MP -c -o $$@ $$<

$$(FUZZ_TARGET_SOURCES:%.c=$(1)/%.o) $$(FUZZ_SUPPORT_SOURCES:%.c=$(1)/%.o): $(1)/%.o: %.c tests/fuzz/fuzz.mk
	@mkdir -p $$(@D)
	@echo "  fuzzcc $$<"
	@$$(FUZZ_CC) $$(FUZZ_CFLAGS) $(2) -MMD -MP -c -o $$@ $$<

# A library, of which each target takes what it needs: some of them act the rest of the kernel.
$(1)/library.a: $$(FUZZ_KERNEL_SOURCES:%.c=$(1)/%.o) $$(FUZZ_SUPPORT_SOURCES:%.c=$(1)/%.o)
	@rm -f $$@ && ar rcs $$@ $$^

$$(FUZZ_TARGETS:%=$(1)/fuzz_%): $(1)/fuzz_%: $(1)/tests/fuzz/target_%.o $(1)/library.a
	@$$(FUZZ_CC) $(2) -fsanitize=fuzzer $$(FUZZ_LDFLAGS) -o $$@ $$(filter %.o,$$^) $(1)/library.a -lcmocka

# Nobody calls a command by its name: it is in the set that linker.ld gathers for the kernel.
$(1)/fuzz_monitor: $(1)/kernel/main/timer_command.o
$(1)/fuzz_monitor: FUZZ_LDFLAGS = -Wl,--defsym=set_commands_start=__start_set_commands \
	-Wl,--defsym=set_commands_end=__stop_set_commands

# The sweep through a memory map compares a great many numbers of which none is a magic one.
$(1)/boot/bootinfo_parts.o: FUZZ_EXTRA_FLAGS = -fno-sanitize-coverage=trace-cmp

-include $$(patsubst %.c,$(1)/%.d,$$(FUZZ_KERNEL_SOURCES) $$(FUZZ_SUPPORT_SOURCES) $$(FUZZ_TARGET_SOURCES))
endef
$(eval $(call FUZZ_BUILD,$(FUZZ_DIR),$(FUZZ_SANITIZE)))
$(eval $(call FUZZ_BUILD,$(FUZZ_DIR)/counted,$(FUZZ_COUNT)))

$(FUZZ_UNIT_TESTS:%=$(FUZZ_DIR)/counted/%): $(FUZZ_DIR)/counted/%: tests/host/%.c $(FUZZ_DIR)/counted/library.a
	@echo "  fuzzcc $<"
	@$(FUZZ_CC) $(FUZZ_CFLAGS) $(FUZZ_COUNT) -fsanitize=fuzzer-no-link -o $@ $^ -lcmocka

FUZZ_RUNS = 100000
TIME = 10m
.PHONY: fuzz fuzz-ci coverage
fuzz-ci: $(FUZZ_TARGETS:%=$(FUZZ_DIR)/fuzz_%) ## 100000 inputs for each parser of outside data, always the same ones
	@tests/fuzz/run --folder $(FUZZ_DIR) --runs $(FUZZ_RUNS) $(FUZZ_TARGETS)
	@$(PYTHON) -m pytest -p no:cacheprovider -q tests/fuzz

fuzz: $(FUZZ_TARGETS:%=$(FUZZ_DIR)/fuzz_%) ## fuzz the parsers for TIME=10m in all, with new inputs
	@tests/fuzz/run --folder $(FUZZ_DIR) --time $(TIME) $(FUZZ_TARGETS)

FUZZ_COUNTED = $(FUZZ_TARGETS:%=fuzz_%) $(FUZZ_UNIT_TESTS)
coverage: $(FUZZ_COUNTED:%=$(FUZZ_DIR)/counted/%) ## lines of the parsers that corpora and unit tests run; fails below 95 %
	@tests/fuzz/coverage $(FUZZ_DIR)/counted $(FUZZ_COVERAGE) $(FUZZ_PARSERS) -- $(FUZZ_COUNTED)
