# make demo: the main job on data of its own.  make test: lint and tests.  Both set up .venv first.
VENV ?= .venv
PYTHON ?= python3
# written by scripts, or not formatted yet
AS_THEY_ARE = $(addprefix nnpot/native/,api.h gaunt.h gaunt_product.h gemm.h invariants.cpp networks.cpp second_density.cpp \
	second_density_network.h second_density_weights.h)
FORMATTED = $(filter-out $(AS_THEY_ARE),$(wildcard nnpot/native/*.cpp nnpot/native/*.h))
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
	$(VENV)/bin/clang-format --dry-run --Werror $(FORMATTED)

test: lint
	$(RUN) -m pytest -m "not slow"

test-all: lint
	$(RUN) -m pytest

clean:
	rm -rf $(VENV) build dist *.egg-info
