# make demo    installs, runs the quickstart study, prints the comparison and makes its page
# make test    installs and runs the tests
# make check   ruff, mypy, import-linter
# make chaos   takes nodes away and breaks everything at random under studies on a cluster of three nodes (as root; an hour)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test check chaos install clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,postgresql,cluster]'
	touch $@

demo: $(INSTALLED)
	$(BIN)/hybridbatch run experiments/quickstart/experiment.yaml
	$(BIN)/hybridbatch report quickstart

test: $(INSTALLED)
	$(BIN)/python -m pytest $(TEST_OPTIONS)

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

chaos: $(INSTALLED)
	$(BIN)/python -m pytest -m chaos tests/chaos
	$(BIN)/python -m tests.chaos.storm $(CHAOS_OPTIONS)

clean:
	rm -rf $(VENV) build *.egg-info platform/*.egg-info .mypy_cache .ruff_cache .hypothesis
