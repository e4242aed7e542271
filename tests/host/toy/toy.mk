# xcall/ in the smallest kernel that can hold it (README.md).  Included by the top makefile.

TOY = tests/host/toy
TOY_DIR = $(BUILD)/host/toy
# As xcall/README.md says: the folder, without the monitor's command.
TOY_XCALL_SOURCES = $(filter-out %_command.c,$(wildcard xcall/*.c))
TOY_SUITES = xcall xcall_wait xcall_seed xcall_storm xcall_ipi xcall_rendezvous xcall_stop
TOY_TEST_SOURCES = $(TOY)/cases.c $(TOY_SUITES:%=tests/kernel/test_%.c)
# What those need.
TOY_HELP_SOURCES = $(patsubst %,tests/kernel/%.c,crew masked others twin_seed)
TOY_HOST_SOURCES = $(patsubst %,$(TOY)/%.c,cpu thread rest main)
TOY_OBJECTS = $(patsubst %.c,$(TOY_DIR)/%.o,$(TOY_HOST_SOURCES) $(TOY_XCALL_SOURCES) $(TOY_TEST_SOURCES) $(TOY_HELP_SOURCES))

TOY_CFLAGS = -std=gnu11 -O2 -g -fno-omit-frame-pointer $(WARNINGS) -I$(TOY)/include -I.

$(TOY_DIR)/%.o: %.c $(TOY)/toy.mk
	@mkdir -p $(@D)
	@$(HOSTCC) $(TOY_CFLAGS) $(if $(findstring clang,$(HOSTCC)),,-fno-toplevel-reorder) -MMD -MP -c -o $@ $<

# No header of this kernel's may have been read: xcall/ has what it asks for from include/ alone.
$(TOY_DIR)/xcall-toy: $(TOY_OBJECTS)
	@! grep -HnE '(^| )(kernel|boot)/' $(^:.o=.d)
	@echo "  hostld $@"
	@$(HOSTCC) -o $@ $^

-include $(TOY_OBJECTS:.o=.d)

# CPUs, and which suite; on 17 CPUs a call's targets are in two groups.  All of it takes some seconds; what hangs is stopped.
TOY_RUNS = "1" "2" "4" "17 toy" "17 xcall_wait" "17 xcall_rendezvous"
TOY_TIMEOUT = 300
.PHONY: toy
test-host: toy
toy: $(TOY_DIR)/xcall-toy ## xcall in a toy kernel of its own: the porting page, followed to the letter
	@for run in $(TOY_RUNS); do \
		timeout $(TOY_TIMEOUT) $< $$run > $(TOY_DIR)/log || \
			{ status=$$?; cat $(TOY_DIR)/log; echo "toy: $$run: exit status $$status"; exit 1; }; \
		tail -n 1 $(TOY_DIR)/log; \
	done
