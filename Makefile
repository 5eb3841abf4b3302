# The two commands of the README, and what CI runs. Everything lives in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: train test chaos lint clean

train: $(VENV)/installed
	$(BIN)/python -m coordinator train

# A file at a time on each of two processes: much of a test of leases is waiting.
test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Ten minutes of faults; not part of the tests.
chaos: $(VENV)/installed-test
	$(BIN)/python tests/chaos/run.py --minutes 10 --seed 0

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Editable, so that a change of the code needs no new installation, except that of C.
$(VENV)/installed: pyproject.toml $(wildcard app/store/native/*.[ch])
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
