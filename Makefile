# make demo: the main job on data of its own.  make test: lint and tests.  make wheel: a wheel with the kernels inside, in
# dist/, for the platform that is here or PLATFORM (linux-x86_64, linux-aarch64, macos-arm64).  All set up .venv first.
VENV ?= .venv
PYTHON ?= python3
# written by scripts, or not formatted yet
AS_THEY_ARE = $(addprefix nnpot/native/,api.h gaunt.h gaunt_product.h gemm.h invariants.cpp networks.cpp second_density.cpp \
	second_density_network.h second_density_weights.h)
FORMATTED = $(filter-out $(AS_THEY_ARE),$(wildcard nnpot/native/*.cpp nnpot/native/*.h))
RUN = OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(VENV)/bin/python

.PHONY: setup demo lint test test-all wheel clean

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

wheel: setup
	$(VENV)/bin/pip install --quiet --editable ".[wheel]"
	$(VENV)/bin/python scripts/build_wheel.py $(PLATFORM)

clean:
	rm -rf $(VENV) build dist *.egg-info
