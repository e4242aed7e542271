# `make lint`: every check of tests/lint/.  Included by the Makefile; make -j runs them side by side.
LINTS := layers sizes headers spelling columns scripts manuals examples format tidy cppcheck

.PHONY: lint $(LINTS:%=lint-%) lint-selftest format
lint: $(LINTS:%=lint-%) lint-selftest ## layers, sizes, headers, layout, clang-tidy, cppcheck, scripts

$(LINTS:%=lint-%): lint-%:
	@tests/lint/$*

lint-selftest:
	@tests/lint/selftest

format: ## lay all C out as .clang-format has it
	@tests/lint/format --fix
