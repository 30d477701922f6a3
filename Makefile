# Two commands are all a newcomer needs: `make run` and `make test`. Both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests wait more than they compute, so that several processes share a core well.
WORKERS ?= 4
RUN_STAMP := $(VENV)/.run
DEV_STAMP := $(VENV)/.dev
OR_SAY := || { echo "what this needs could not be installed; the first time needs a network and a package index" >&2; exit 1; }

.PHONY: run test check fmt bench journeys journeys-sandboxed journeys-interactive journeys-egress lock wheel clean help

help: ## Show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

run: $(RUN_STAMP) ## Set up and start the demo: plane, scripted model, three sample agents
	@$(BIN)/ringfence demo

test: check ## Set up and pass everything that CI runs

check: $(DEV_STAMP) ## Format, lint, types, import contracts, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

fmt: $(DEV_STAMP) ## Format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(DEV_STAMP) ## Measure the model gateway beside its peers (see bench/RESULTS.md)
	$(BIN)/python -m bench.model_gateway --write

journeys: $(DEV_STAMP) ## Drive real clients through the gateway; installs each in its own environment
	$(BIN)/python -m tests.journeys

journeys-sandboxed: $(DEV_STAMP) ## Run real agents in a sandbox, and look for secrets from inside
	$(BIN)/python -m tests.journeys.sandboxed

journeys-interactive: $(DEV_STAMP) ## Type at Claude Code, Codex and Bash in a sandbox
	$(BIN)/python -m tests.journeys.interactive

journeys-egress: $(DEV_STAMP) ## Drive real programs through a sandbox and the egress gateway (Linux, bubblewrap)
	$(BIN)/python -m tests.journeys.egress

lock: $(DEV_STAMP) ## Pin dependencies anew, with hashes and without addresses
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet -o requirements/run.txt
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet -o requirements/dev.txt

wheel: $(DEV_STAMP) ## Build the wheel into dist/
	$(BIN)/python -m hatchling build -t wheel

clean: ## Remove what the other targets made
	rm -rf $(VENV) .journeys .bench .ringfence-demo .ringfence-demo-work dist

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit("Ringfence needs Python 3.11 or later; set PYTHON=python3.x" if sys.version_info < (3, 11) else 0)'
	@echo "setting up in $(VENV), which is done once and takes up to a minute"
	@$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): requirements/run.txt pyproject.toml $(VENV)/pyvenv.cfg
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt $(OR_SAY)
	@echo "$(CURDIR)/src" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ringfence.pth"
	@printf '#!/bin/sh\nexec "$(CURDIR)/$(BIN)/python" -m ringfence "$$@"\n' > $(BIN)/ringfence && chmod +x $(BIN)/ringfence
	@touch $@

$(DEV_STAMP): requirements/dev.txt $(RUN_STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt $(OR_SAY)
	@touch $@
