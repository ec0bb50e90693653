# make demo: the main job on data of its own.  make test: lint and tests.  make wheel: a wheel with the kernels inside, in
# dist/, for the platform that is here or PLATFORM (linux-x86_64, linux-aarch64, macos-arm64).  make docs: the documentation
# as a site, in site/.  All set up .venv first.
VENV ?= .venv
PYTHON ?= python3
# C++ that no script writes
FORMATTED = $(filter-out nnpot/native/api.h nnpot/native/gaunt.h,$(wildcard nnpot/native/*.cpp nnpot/native/*.h)) \
            $(filter-out nnpot/engines/lammps/operators.cpp,$(wildcard nnpot/engines/lammps/*.cpp nnpot/engines/lammps/*.h)) \
            $(wildcard tests/*/*.cpp tests/unit/native/*.cpp tests/unit/engines/lammps/*.cpp)
# tests are shared out to so many processes, file by file, in the order of tests/conftest.py
WORKERS ?= 2
SHARED = -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# a path instead of a finder, so that a script beside the checkout does not take that folder for the package
EDITABLE = --quiet --config-settings editable_mode=compat --editable
RUN = OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(VENV)/bin/python

.PHONY: setup demo docs lessons lint test test-all mutants wheel clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install $(EDITABLE) ".[test]"
	touch $@

demo: setup
	$(RUN) scripts/demo.py

# examples/lessons/NAME.py to executed notebooks docs/lessons/NAME.ipynb: all, or LESSONS="lecture h2_curve"
lessons: setup
	$(VENV)/bin/pip install $(EDITABLE) ".[docs,lessons]"
	$(RUN) scripts/lessons.py $(LESSONS)

# stops at any warning, such as a link that leads nowhere
docs: setup
	$(VENV)/bin/pip install $(EDITABLE) ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/clang-format --dry-run --Werror $(FORMATTED)

test: lint
	$(RUN) -m pytest -m "not slow" $(SHARED)

test-all: lint
	$(RUN) -m pytest $(SHARED)

# plants faults in copies of the tree, one after the other, and says which of them no test finds
mutants: setup
	$(RUN) scripts/mutants.py

wheel: setup
	$(VENV)/bin/pip install $(EDITABLE) ".[wheel]"
	$(VENV)/bin/python scripts/build_wheel.py $(PLATFORM)

clean:
	rm -rf $(VENV) build dist site *.egg-info
