# Two commands do everything on a machine with git, make and Python (with venv): `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1

.PHONY: demo test lint unit papers bench clean system

demo: $(VENV)/.ready
	$(BIN)/auditor run samples/digits/audit.yaml --out runs/demo

test: $(VENV)/.ready lint unit

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.ready
	$(BIN)/pytest -n 2

papers: $(VENV)/.ready
	$(BIN)/pytest -m papers --timeout 7200 tests

bench: $(VENV)/.ready
	$(BIN)/python -m benchmarks

# The environment is rebuilt when what it is made from changes.
$(VENV)/.ready: pyproject.toml constraints.txt tools/system.sh
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "auditor needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -m venv $(VENV) \
		|| { echo "Python has no venv module; on Debian or Ubuntu: apt-get install python3-venv"; exit 2; }
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	sh tools/system.sh $(BIN)/python
	@touch $@

system: $(VENV)/.ready
	sh tools/system.sh $(BIN)/python

clean:
	rm -rf $(VENV) runs .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
