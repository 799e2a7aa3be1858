# What a checkout needs is Python 3.11.4 or newer, git and make; everything else comes from package registries, pinned.
#   make demo      set up and run the demo          make test      set up and run all tests
#   make check     style, types, architecture, schema, generated code
#   make bench     measure it against its peers and limits, about twenty minutes; BENCH=NAME… chooses
#   make generate  Python from proto/               make reference docs/reference from the program
#   make faults    a process killed at every crash point [POINTS="relay executor"]
#   make chaos     random faults under load [MINUTES=3 SEED=1]
#   make cluster-test  the chart and its Jobs on a real Kubernetes control plane with KEDA; builds them once, ten minutes
#   make kit       the rules of the protocol, tried on an executor of any language: EXECUTOR='sh executor.sh'
#   make lock      resolve the dependencies anew
#   make wheel     dist/*.whl                       make clean     remove what make made in this folder

SHELL := bash
.DEFAULT_GOAL := setup
MAKEFLAGS += --no-print-directory

AMEIDE_CACHE_DIR ?= $(HOME)/.cache/ameide
export AMEIDE_CACHE_DIR
BIN := .venv/bin
READY := .venv/ready

BENCH_READY := .venv-bench/ready

.PHONY: setup engines cluster-engines demo test cluster-test faults chaos kit bench check style types imports schema generated locked generate reference lock wheel clean

setup: $(READY)
	@:

# Writes the stamp last: an interrupted installation is taken up again.
$(READY): requirements/dev.txt pyproject.toml
	@tools/install $@

engines: $(READY)
	@$(BIN)/python -m ameide.engine "$(AMEIDE_CACHE_DIR)"
	@$(BIN)/python -m tests.engines kafka helm kubeconform

# What make cluster-test runs on; not part of make test, since it takes ten minutes to build.
cluster-engines: $(READY)
	@$(BIN)/python -m tests.engines kafka helm kubernetes keda

demo: $(READY)
	@$(BIN)/ameide demo

# One test by hand needs no workers: .venv/bin/pytest tests/….
test: engines
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

cluster-test: cluster-engines
	@$(BIN)/python -m tests.cluster

$(BENCH_READY): requirements/bench.txt pyproject.toml $(READY)
	@tools/install-bench $@

bench: engines $(BENCH_READY)
	@.venv-bench/bin/python -m benchmarks $(BENCH)

faults: engines
	@$(BIN)/python -m tests.faults.rig $(POINTS)
	@$(if $(POINTS),,$(BIN)/pytest -q tests/faults/run_once.py)

kit: $(READY)
	@$(BIN)/python -m tests.kit "$${EXECUTOR:---help}"

chaos: engines
	@$(BIN)/python -m tests.faults.chaos --minutes $(or $(MINUTES),3) $(if $(SEED),--seed $(SEED))

check: style types imports schema generated locked
	@echo "All checks passed."

style: $(READY)
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: $(READY)
	$(BIN)/pyright

imports: $(READY)
	$(BIN)/lint-imports
	@$(BIN)/python tools/check-writers

schema: $(READY)
	$(BIN)/buf lint
	@tools/check-breaking

generated: $(READY)
	@tools/check-generated

locked: $(READY)
	@$(BIN)/python tools/check-lock && echo "The locks satisfy pyproject.toml."

generate: $(READY)
	$(BIN)/buf generate

reference: $(READY)
	$(BIN)/python tools/make_reference.py

lock:
	@tools/lock

wheel: $(READY)
	@$(BIN)/python -m hatchling build -t wheel

clean:
	rm -rf .venv .venv-bench benchmarks/results dist build .pytest_cache .ruff_cache .hypothesis .import_linter_cache
