# Every target makes what it needs; a second call installs nothing. `make` alone prints this list.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# uv takes half as long, but knows nothing of pip's settings: where it finds too little, pip does it
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
DATA ?=
N ?= 20

.DEFAULT_GOAL := help
.PHONY: help setup train test crash lint format bench clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  make \1\t/' | expand -t 18

setup: $(READY)  ## make .venv with the tested versions of everything

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: call make PYTHON=python3.12, say"; exit 1; }
	@echo "making .venv: some gigabytes, a few minutes"
	@$(PYTHON) -m venv .venv || { echo "the venv module is needed: on Debian, apt install python3-venv"; exit 1; }
	$(PIP) uv && $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -e '.[dev]' \
		|| $(PIP) -e '.[dev]'
	@$(PIP) --no-deps resemblyzer || true  # weights that one test reads, and is skipped without
	@touch $@

train: $(READY)  ## train on synthetic speech: a first run, no data needed
	$(BIN)/python train.py

test: $(READY)  ## the tests
	$(BIN)/python -m pytest -n 2

crash: $(READY)  ## kill runs at N random moments, go on with them, and count what was lost or doubled
	OMP_NUM_THREADS=1 PYTHONPATH=.:tests $(BIN)/python -m crash.harness $(N)

lint: $(READY)  ## ruff, mypy, and the order of the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(READY)  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## speed: against the notebook's loop, against the bare step, of the start; DATA=DIR for CREMA-D
	$(BIN)/python -m ser_lightning.bench $(if $(DATA),--cremad $(DATA))

clean:  ## remove .venv and caches; runs in outputs/ stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
