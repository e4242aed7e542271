# `make models`: searches the Promela models.  Included by the Makefile.
.PHONY: models
models:
	@command -v spin >/dev/null || { echo "models: spin is not installed (make setup)"; exit 2; }
	@tests/model/run
