# Unit tests of the pure code, on the host, under AddressSanitizer and UndefinedBehaviorSanitizer.
# Included by the top makefile; see tests/host/README.md.

HOSTCC ?= gcc
HOST_DIR = $(BUILD)/host

# Kernel sources that need no machine.
HOST_KERNEL_SOURCES = $(wildcard boot/bootinfo*.c) \
	$(patsubst %,kernel/%.c,cmdline cpuset printf scale string timer_choose) \
	$(patsubst %,kernel/main/%.c,judge lineedit) \
	$(patsubst %,kernel/x86/%.c,acpi calibrate_choose fadt fbdraw firmware madt mptable psf screen)
HOST_SUPPORT_SOURCES = $(patsubst %,tests/host/%.c,image machine mbi panic table)
HOST_TEST_SOURCES = $(wildcard tests/host/test_*.c)

HOST_CFLAGS = -std=c11 -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all \
	-Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual \
	-Wundef -Wvla -Wwrite-strings -Wno-format-zero-length -I.
# No builtins, so that kernel sources call what they define; names that libc has too are changed.
HOST_KERNEL_CFLAGS = $(HOST_CFLAGS) -ffreestanding -include tests/host/kernel_names.h

HOST_KERNEL_OBJECTS = $(HOST_KERNEL_SOURCES:%.c=$(HOST_DIR)/%.o)
HOST_SUPPORT_OBJECTS = $(HOST_SUPPORT_SOURCES:%.c=$(HOST_DIR)/%.o)
HOST_TEST_OBJECTS = $(HOST_TEST_SOURCES:%.c=$(HOST_DIR)/%.o)
HOST_TESTS = $(HOST_TEST_SOURCES:tests/host/%.c=$(HOST_DIR)/%)

$(HOST_KERNEL_OBJECTS): $(HOST_DIR)/%.o: %.c tests/host/host.mk
	@mkdir -p $(@D)
	@echo "  hostcc $<"
	@$(HOSTCC) $(HOST_KERNEL_CFLAGS) -MMD -MP -c -o $@ $<

$(HOST_SUPPORT_OBJECTS) $(HOST_TEST_OBJECTS): $(HOST_DIR)/%.o: %.c tests/host/host.mk
	@mkdir -p $(@D)
	@echo "  hostcc $<"
	@$(HOSTCC) $(HOST_CFLAGS) -MMD -MP -c -o $@ $<

$(HOST_TESTS): $(HOST_DIR)/%: $(HOST_DIR)/tests/host/%.o $(HOST_SUPPORT_OBJECTS) $(HOST_KERNEL_OBJECTS)
	@echo "  hostld $@"
	@$(HOSTCC) $(HOST_CFLAGS) -o $@ $^ -lcmocka

# All of them, also when one fails: the last line counts.  A parser that loops is stopped; the slowest test
# takes a second or two.
HOST_TIMEOUT = 120
.PHONY: test-host
test-host: $(HOST_TESTS) ## run the unit tests of pure code on the host
	@failed=; for t in $(sort $(HOST_TESTS)); do echo "--- $${t##*/}"; timeout $(HOST_TIMEOUT) $$t || failed="$$failed $${t##*/}"; done; \
	if [ -n "$$failed" ]; then echo "test-host: failed:$$failed"; exit 1; fi; echo "test-host: all passed"

-include $(HOST_KERNEL_OBJECTS:.o=.d) $(HOST_SUPPORT_OBJECTS:.o=.d) $(HOST_TEST_OBJECTS:.o=.d)
