# The benchmarks (README.md).  Included by the top makefile, behind tests/host/sim/sim.mk.

BENCH = $(PYTHON) tests/bench/bench.py --build $(BUILD)

# One row, or several; where the instructions of one go.
ROWS = all
ROW = unicast_busy
SAMPLES = 1000
MODE = exact

.PHONY: bench bench-peers bench-goals bench-gate bench-row bench-masked bench-insns

## Measure (CPUS=n ROWS=row,row ROW=row SAMPLES=n)

bench: all $(SIM_DIR)/xcall-sim ## every row, figures, plots: build/bench/report.html
	@$(BENCH) all --simulator $(SIM_DIR)/xcall-sim

# Behind `bench`, when both are asked for.
bench-peers: $(filter bench,$(MAKECMDGOALS)) ## Debian's Linux in the same QEMU; then the goals (fails while one is open)
	@$(BENCH) peers

bench-goals: ## the goals, by what was measured last
	@$(BENCH) goals --table

bench-gate: all ## instructions of every row and sizes against tests/bench/gate.json (UPDATE=1 writes it)
	@$(BENCH) gate $(if $(UPDATE),--update)

bench-row: all ## rows of one boot (MODE=exact|single): instructions and multiples of the floor
	@$(BENCH) run --rows $(ROWS) --cpus $(CPUS) --samples $(SAMPLES) --mode $(MODE)

bench-masked: all ## the longest stretch with interrupts off in xcall/, row by row
	@$(BENCH) masked --rows $(ROWS) --cpus $(CPUS)

bench-insns: all ## where the instructions of a row go, by function (LINES=1: each, beside its source)
	@$(BENCH) insns $(ROW) --cpus $(CPUS) $(if $(LINES),--lines)
