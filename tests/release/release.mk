# What is given away: the same for everybody who builds it, with its sums and its ingredients.  Included by the top
# makefile; see tests/release/README.md.

.PHONY: release repro
release: all iso ## build, print SHA-256 sums, write a bill of materials (CycloneDX 1.5)
	@tests/release/sbom --build $(BUILD) --version $(VERSION)
	@cd $(BUILD) && sha256sum xcall.elf xcall.iso xcall.cdx.json | tee SHA256SUMS

repro: ## build twice, in two folders, at two dates, and compare ELF and ISO
	@tests/release/repro
