# `make models`: searches the Promela models.  Included by the Makefile.
.PHONY: models
models: ## search the Promela models, and see each defect found
	@command -v spin >/dev/null || { echo "models: spin is not installed (make setup)"; exit 2; }
	@tests/model/run
