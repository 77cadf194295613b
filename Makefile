# Two commands to know: `make run` starts a gateway, `make test` runs all tests. Each sets up what it needs.
# PYTHON=/path/to/python3.12 chooses the interpreter; else the first Python >= 3.11 on PATH is taken.
VENV        ?= .venv
CONSTRAINTS ?= constraints.txt
ARGS        ?=
PYTEST_ARGS ?=
BENCH_ARGS  ?=
PROFILE_ARGS ?=
# How many test processes work side by side; 0 runs all tests in one.
WORKERS     ?= 3
MINUTES     ?= 60

BIN         := $(VENV)/bin
PIP         := $(BIN)/python -m pip --disable-pip-version-check
RUN_STAMP   := $(VENV)/.installed-to-run
DEV_STAMP   := $(VENV)/.installed-to-develop
PACKAGING   := setup.py pyproject.toml $(CONSTRAINTS)
INSTALL      = $(PIP) install --quiet $(addprefix --constraint ,$(CONSTRAINTS))

.PHONY: help run test soak model bench profile faults outages check format cluster docs dist clean
.DEFAULT_GOAL := help

help: ## Show what there is to make
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1	\2/p' Makefile

run: $(RUN_STAMP) ## Start one gateway on port 8888, with a database of its own (ARGS="--port=9999")
	@exec $(BIN)/python -m enterprise_gateway $(ARGS)

test: $(DEV_STAMP) ## Run all tests (PYTEST_ARGS="-k relay", WORKERS=0 for one process)
	@# In the order of their names the short ones come last, and no worker waits long for the other.
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

soak: $(DEV_STAMP) ## Let everything go wrong for MINUTES=60 under ten clients, half of it with culling (MONKEY_SEED=1 repeats an order of faults)
	MONKEY_SECONDS=$$(($(MINUTES) * 30)) $(BIN)/python -m pytest -n 0 -s --soak tests/monkey $(PYTEST_ARGS)

model: $(DEV_STAMP) ## Search long for what breaks a promise of culling, and for what each rule prevents
	$(BIN)/python -m pytest -n 0 -s --soak tests/simulation/test_model.py $(PYTEST_ARGS)

bench: $(DEV_STAMP) ## Measure the gateway beside its peers (BENCH_ARGS="--only relay --rounds 3")
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

profile: $(DEV_STAMP) ## Show where a relayed message's microseconds go (PROFILE_ARGS="--only flood")
	$(BIN)/python -m benchmarks.profile $(PROFILE_ARGS)

faults: $(DEV_STAMP) ## Kill and pause a replica at every step of every act
	$(BIN)/python -m pytest -n 0 --soak tests/cluster/test_faults.py $(PYTEST_ARGS)

outages: $(DEV_STAMP) ## Take the database away at every step of every act, and from clients at work, in every way
	$(BIN)/python -m pytest -n 0 --soak tests/cluster/test_acts_in_an_outage.py tests/cluster/test_traffic_in_an_outage.py $(PYTEST_ARGS)

check: $(DEV_STAMP) ## Lint, check the format, the types and the layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV_STAMP) ## Format the code and sort its imports
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

cluster: $(RUN_STAMP) ## Start three replicas on one database behind nginx, to try failover by hand
	@exec $(BIN)/python scripts/cluster.py $(ARGS)

docs: $(DEV_STAMP) ## Write docs/configuration.md anew from the settings
	$(BIN)/python scripts/configuration_docs.py

dist: $(DEV_STAMP) ## Build the wheel into dist/
	$(PIP) wheel --quiet --no-deps --wheel-dir dist .

clean: ## Remove the environment and everything built
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .cluster

$(BIN)/python:
	@python=$$(PYTHON='$(PYTHON)' sh scripts/find-python.sh) && echo "Setting up $(VENV) with $$python" && "$$python" -m venv $(VENV)

$(RUN_STAMP): $(PACKAGING) | $(BIN)/python
	@echo "Installing the gateway into $(VENV) (a minute, the first time)"
	@$(INSTALL) --editable '.[embedded]'
	@touch $@

$(DEV_STAMP): $(PACKAGING) | $(BIN)/python
	@echo "Installing the gateway and its tools into $(VENV) (some minutes, the first time)"
	@$(INSTALL) --editable '.[embedded,motor,test,dev]'
	@touch $@ $(RUN_STAMP)
