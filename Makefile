# make lab        open the course in JupyterLab
# make test       all that CI checks
# make notebooks  run every lesson again from its text twin, and store its outputs
# make exercises  run every solution again from its text twin, and make the exercises from it
# The first of them makes .venv, the first but `make lab` installs what tests need; afterwards none needs the network.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
INSTALLED := $(VENV)/installed
TESTABLE := $(VENV)/testable
LAB_FLAGS ?=
ROOT_FLAGS := $(if $(filter 0,$(shell id -u)),--allow-root)  # in a container one is root

.PHONY: lab test notebooks exercises clean

# all of the folder is served: lessons link to exercises/ and docs/, beside their own folder
lab: $(INSTALLED)
	$(BIN)/jupyter lab $(ROOT_FLAGS) $(LAB_FLAGS) --ServerApp.root_dir=. notebooks/00_from_noise_to_images.ipynb

test: export OMP_NUM_THREADS = 1# a test for each processor, at once
test: $(TESTABLE)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n auto --dist loadfile

notebooks: $(TESTABLE)
	$(BIN)/python tools/run_notebooks.py

exercises: $(TESTABLE)
	$(BIN)/python tools/build_exercises.py

clean:
	rm -rf $(VENV)

# PyTorch comes first and by its exact version: an open range can bring in gigabytes of another build
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "minddpm needs Python 3.11 or newer, got: $$($(PYTHON) --version 2>&1)" >&2; \
		echo "Name another one, as in: make $(or $(MAKECMDGOALS),lab) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
		echo "$(PYTHON) cannot make environments: on Debian and Ubuntu, install the package python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)" -c constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	@touch $(INSTALLED)

$(TESTABLE): $(INSTALLED)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test]'
	@touch $(TESTABLE)
