# make demo: the main job on data of its own.  make test: lint and tests.  Both set up .venv first.
VENV ?= .venv
PYTHON ?= python3
RUN = OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(VENV)/bin/python

.PHONY: setup demo lint test test-all clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --editable ".[test]"
	touch $@

demo: setup
	$(RUN) scripts/demo.py

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

test: lint
	$(RUN) -m pytest -m "not slow"

test-all: lint
	$(RUN) -m pytest

clean:
	rm -rf $(VENV) build dist *.egg-info
