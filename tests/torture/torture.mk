# Torture (README.md).  Included by the top makefile.

# 90, 90s, 10m, 2h; a number that nobody chose.
TIME = 60s
SEED =
# Behind that time, and what booting takes, it hangs.
TORTURE_HANG_S = 180
TORTURE_SECONDS = $(shell echo $$(($$(echo '$(TIME)' | sed -n 's/^\([0-9][0-9]*\)s\{0,1\}$$/\1/p; s/^\([0-9][0-9]*\)m$$/\1*60/p; s/^\([0-9][0-9]*\)h$$/\1*3600/p'))))

.PHONY: torture torture-bugs soak faults broken-transports

## Torture (TIME=10m CPUS=n SEED=n ACCEL=multi|single|exact NMI=rate)

ACCEL = multi
# NMIs a second from outside.
NMI =
torture: all ## random calls of every kind, with a ledger, for that TIME
	@s=$(TORTURE_SECONDS); test "$$s" -gt 0 || { echo "torture: TIME=$(TIME) is no time: 90s, 10m, 2h"; exit 2; }; \
	$(PYTHON) tests/console/boot.py --machine $(MACHINE) --cpus $(CPUS) --accel $(ACCEL) --firmware pvh --elf $(BUILD)/xcall.elf \
		$(if $(NMI),--nmi $(NMI)) --timeout $$((s + s / 2 + $(TORTURE_HANG_S))) --append "torture=$$s $(if $(SEED),seed=$(SEED)) $(ARGS)"

torture-bugs: ## which bugs of tests/host/sim/bugs/ it finds (BUGS="name name")
	@+tests/torture/bugs --build $(BUILD) --cpus $(CPUS) --accel $(ACCEL) $(BUGS)

HOURS = 1
soak: all ## torture and the suites in turn for HOURS=n, a row a boot in build/soak/report.txt
	@tests/torture/soak --build $(BUILD) --hours $(HOURS) $(if $(SEED),--seed $(SEED))

## Faults on purpose (tests/README.md)

# How often each kind strikes; on one host thread for all CPUs, which is faster.
N = 1000
faults: all ## each kind of fault strikes N=... times while all CPUs call each other
	@$(PYTHON) tests/console/boot.py --machine $(MACHINE) --cpus $(CPUS) --accel single --firmware pvh --elf $(BUILD)/xcall.elf \
		--timeout $$((600 + $(N) * 3)) --append "test=fault faults=$(N) $(ARGS)"

broken-transports: all ## each suite of cross calls must fail where interrupts get lost, or calls end early (SUITES="name name")
	@tests/torture/broken --build $(BUILD) --cpus $(CPUS) $(SUITES)
