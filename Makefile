# The two commands of the README, and what CI runs. Everything lives in .venv, and the
# benchmarks with their peers in .venv-bench.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH_VENV := .venv-bench
BENCH_BIN := $(BENCH_VENV)/bin
# What the native engine is built of; its version follows from the scripts as well.
ENGINE := setup.py $(wildcard app/store/native/*.[ch] app/store/lua/*.lua) \
	$(wildcard app/optimizers/rules/*.h app/optimizers/rules/*.lua) app/store/native/sources.py

.PHONY: train test slow chaos bench lint docs outputs clean

train: $(VENV)/installed
	$(BIN)/python -m coordinator train

# A file at a time on each of four processes, for much of a test of leases is waiting; in the
# order of their names, for the slow ones are in tests/cluster. The tests start Python hundreds of
# times: each module is compiled once, even where the environment says that nothing may be kept,
# and those of the tests, with what their assertions say, before four processes need them. Threads
# of OpenBLAS that have nothing to do do not spin on the cores that others need.
test: export PYTHONDONTWRITEBYTECODE =
test: export OPENBLAS_THREAD_TIMEOUT = 4
test: $(VENV)/installed-test
	@$(BIN)/python -m pytest --collect-only -qq >/dev/null || true
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

# Longer forms of some of the tests, some minutes: before a release, and after changes there.
slow: $(VENV)/installed-test
	$(BIN)/python -m pytest -n 4 -m slow

# Ten minutes of faults; not part of the tests.
chaos: $(VENV)/installed-test
	PYTHONPATH=. $(BIN)/python tests/benchmarks/chaos/run.py --minutes 10 --seed 0

# Beside Ray, PyTorch, scikit-learn, Spark and SciPy; for a try: make bench BENCH=--small
bench: $(BENCH_VENV)/installed
	$(BENCH_BIN)/python tests/benchmarks/bench.py $(BENCH)

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What docs/ says of settings, keys and scripts; a test fails when it is not current.
docs: $(VENV)/installed
	$(BIN)/python docs/reference.py

# What the documents' commands print today, in place of what they printed; trains for a minute.
outputs: $(VENV)/installed
	$(BIN)/python docs/outputs.py

# Editable, so that a change of the code needs no new installation, except that of C.
$(VENV)/installed: pyproject.toml $(ENGINE)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[report,sklearn]'
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

# pip has known dependency groups since 25.1.
$(BENCH_VENV)/installed: pyproject.toml $(ENGINE)
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BENCH_BIN)/python -m pip install --quiet --editable . --group bench
	touch $@

clean:
	rm -rf $(VENV) $(BENCH_VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
