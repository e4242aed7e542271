# `make lint`: every check of tests/lint/.  Included by the Makefile; make -j runs them side by side.
LINTS := layers sizes headers spelling scripts manuals format tidy cppcheck

.PHONY: lint $(LINTS:%=lint-%) lint-selftest format
lint: $(LINTS:%=lint-%) lint-selftest

$(LINTS:%=lint-%): lint-%:
	@tests/lint/$*

lint-selftest:
	@tests/lint/selftest

# Rewrites every C file the way .clang-format has it.
format:
	@tests/lint/format --fix
