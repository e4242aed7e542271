# Mutation (README.md).  Included by the top makefile, behind tests/host/sim/sim.mk.

.PHONY: mutants

## Mutation (BUGS="name name")

mutants: ## seeded bugs in kernel/, boot/ and xcall/, and the test that kills each; of xcall/, more: sim-bugs
	@tests/mutants/run --build $(BUILD) $(BUGS)
