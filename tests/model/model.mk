# `make models`: searches the Promela models and the pairs of tso.py.  Included by the Makefile.
.PHONY: models models-full
models: ## search the Promela models, and see each defect found
	@command -v spin >/dev/null || { echo "models: spin is not installed (make setup)"; exit 2; }
	@tests/model/tso.py
	@tests/model/run

models-full: ## the larger settings of the models: half an hour, and up to 5 GB
	@command -v spin >/dev/null || { echo "models: spin is not installed (make setup)"; exit 2; }
	@tests/model/run --full
