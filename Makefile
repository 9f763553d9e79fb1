# `make overnight` runs a night, `make test` what protects every commit. Both do all their own set-up; twice costs nothing twice.

PYTHON ?= python3
HOURS ?= 8
AGENT ?= search
TASK ?= trainer
SANDBOX ?= docker
DEVICE ?=
SITE ?= site
ENGINE ?= auto
ARGS ?=

BIN := .venv/bin
READY := .venv/.ready
BENCHES := judge report crash kill-night long-night profile redteam boundary claude trainer host overhead search search-record search-nights gb10-night reproduce disturbed-night
ENGINE_READY = ENGINE='$(ENGINE)' sh docker/engine.sh

# What runs in the image is tested by an interpreter with the image's packages, beside ours for pytest itself.
TORCH = $$($(BIN)/python -c 'from appliance.sandbox.runtime import runtime; print(runtime(lambda line: None))')
SITE = $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
define tests
$(BIN)/appliance image build
torch=$(TORCH) && PYTHONPATH=$(SITE) $$torch -m pytest -q -p no:cacheprovider $(1) tests/trainer
torch=$(TORCH) && APPLIANCE_REQUIRE_ENGINE=1 APPLIANCE_TORCH_PYTHON=$$torch $(BIN)/pytest $(1)
endef

.DEFAULT_GOAL := help
.PHONY: overnight publish test test-all lint engine doctor help clean redteam $(BENCHES:%=bench-%)

help:  ## What can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 22
	@echo "$(BENCHES:%=bench-%)" | fold -sw 100

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: set PYTHON=/path/to/python3.11" >&2; exit 3; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 3; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

engine: $(READY)  ## Find a container engine, or start one
	@$(ENGINE_READY)

overnight: $(READY)  ## One night: HOURS= AGENT= TASK= SANDBOX= DEVICE=
	@[ "$(SANDBOX)" = process ] || $(ENGINE_READY)
	@$(BIN)/appliance overnight --hours '$(HOURS)' --agent '$(AGENT)' --task '$(TASK)' --sandbox '$(SANDBOX)' $(if $(DEVICE),--device '$(DEVICE)') $(ARGS)

publish: $(READY)  ## All nights as a static site: SITE=
	@$(BIN)/appliance publish '$(SITE)'

doctor: $(READY)  ## What this machine lacks, and the mend
	@$(BIN)/appliance doctor

lint: $(READY)  ## ruff, mypy, the import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(READY) lint engine  ## What protects every commit: lint, tests, a real engine, a short real night
	$(call tests,-m 'not long')

test-all: $(READY) lint engine  ## Everything this machine can run: all tests, the red team, the nights that are killed
	$(call tests,)
	$(MAKE) bench-redteam bench-crash ARGS=
	$(MAKE) bench-kill-night ARGS='--hours 0.15'

# A script called profile.py would hide the standard library's module.
bench-profile: FILE = profiles
$(BENCHES:%=bench-%): bench-%: $(READY)  # a table for people, then one line of JSON
	@$(BIN)/python bench/$(or $(FILE),$(subst -,_,$*)).py $(ARGS)

redteam: bench-redteam  ## Every hostile and every honest asset through real containers

clean:  ## Remove what make made here (nights stay)
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
