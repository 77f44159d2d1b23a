# make lab          copy the lessons into course/, unless they are there, and open JupyterLab in it
# make test         everything that CI checks
# make thorough     all tests, and all of what those try in part (about an hour on two cores)
# make quick        the static checks and the quick tests
# make coverage     the quick tests, and how much of each package they run
# make oldest       the quick tests with the oldest versions that pyproject.toml allows
# make mutants      how many small mistakes in the maths the unit tests notice (about an hour)
# make notebooks    run every lesson again from its text twin and store its outputs
# make exercises    run every solution again from its text twin and build the exercises from it
# make book         build the web book in _book, the digit machine included (needs Node.js)
# make screenshots  run every lesson in JupyterLab with Chromium, and store how it looks in runs/screenshots
# make machine      build the digit machine, a page in which the network draws (needs Node.js)
# make constraints  pin the dependencies in pyproject.toml again (needs uv); with UV_FLAGS=--upgrade, the newest of everything
# The first to run creates .venv; the first other than `make lab` installs what the tests need; after that, none needs the network.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
INSTALL := $(BIN)/python -m pip install --quiet
INSTALLED := $(VENV)/installed
TESTABLE := $(VENV)/testable
OLDEST := .venv-oldest
LAB_FLAGS ?=
ROOT_FLAGS := $(if $(filter 0,$(shell id -u)),--allow-root)  # in a container one is root
UV_FLAGS ?=
BOOK_FLAGS ?=
COMPILE = uv pip compile --quiet --universal --fork-strategy fewest --generate-hashes --no-annotate \
	--custom-compile-command 'make constraints' --no-emit-package torch -c constraints-torch.txt

.PHONY: lab test thorough quick coverage oldest mutants notebooks exercises screenshots book machine constraints clean

# what is worked in is a copy, so that the checkout stays as it was, and can be updated
lab: $(INSTALLED)
	$(BIN)/minddpm lessons course
	cd course && ../$(BIN)/jupyter lab $(ROOT_FLAGS) $(LAB_FLAGS) --LabApp.app_settings_dir=.jupyter --ServerApp.root_dir=. notebooks/00_from_noise_to_images.ipynb

test thorough quick coverage oldest mutants: export OMP_NUM_THREADS = 1# a test for each processor, at once
test: $(TESTABLE)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n auto --dist loadfile

thorough: $(TESTABLE)
	$(BIN)/pytest -n auto --dist loadfile --thorough

quick: $(TESTABLE)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n auto --dist loadfile -m 'not slow'

coverage: $(TESTABLE)
	$(BIN)/pytest -n auto --dist loadfile -m 'not slow' --cov --cov-report=
	@{ printf '| package | lines that the quick tests run |\n|---|---:|\n'; \
	for package in minddpm marking minddpm_course; do \
		echo "| $$package | $$($(BIN)/coverage report --include="$$package/*" --format=total)% |"; \
	done; } | tee -a "$${GITHUB_STEP_SUMMARY:-/dev/null}"

# the lowest versions in pyproject.toml (needs uv); with the PyTorch that is pinned: make oldest UV_FLAGS='-c constraints-torch.txt'
oldest:
	uv venv --quiet --clear --python 3.11 $(OLDEST)
	uv pip compile --quiet $(UV_FLAGS) --resolution lowest-direct --python-version 3.11 --no-annotate --extra test \
		-o $(OLDEST)/requirements.txt pyproject.toml
	uv pip install --quiet --python $(OLDEST) -r $(OLDEST)/requirements.txt
	uv pip install --quiet --python $(OLDEST) --no-deps -e .
	$(OLDEST)/bin/python -m pytest -n auto --dist loadfile -m 'not slow'

mutants: $(TESTABLE)
	$(BIN)/python tools/measure_mutants.py

notebooks: $(TESTABLE)
	$(BIN)/python tools/run_notebooks.py

exercises: $(TESTABLE)
	$(BIN)/python tools/build_exercises.py

screenshots: $(TESTABLE)
	$(BIN)/pytest tests/browser/test_every_lesson.py --screenshots runs/screenshots

book: $(TESTABLE)
	$(BIN)/python tools/build_machine.py --book
	$(BIN)/python tools/build_book.py --machine $(BOOK_FLAGS) _book

machine: $(TESTABLE)
	$(BIN)/python tools/build_machine.py

constraints:
	$(COMPILE) $(UV_FLAGS) --extra test -o constraints.txt pyproject.toml
	$(COMPILE) $(UV_FLAGS) -c constraints.txt --extra course -o constraints-course.txt pyproject.toml
	$(COMPILE) $(UV_FLAGS) -c constraints.txt --group release -o constraints-release.txt

clean:
	rm -rf $(VENV) $(OLDEST) _book book/node_modules book/machine/node_modules

# What constraints hold comes first, each file by its hash; then PyTorch by its exact version, which a range would not
# keep from being gigabytes of another build; then nothing is left to fetch for the project itself.
$(INSTALLED): pyproject.toml constraints-course.txt constraints-torch.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "minddpm needs Python 3.11 or newer, got: $$($(PYTHON) --version 2>&1)" >&2; \
		echo "Name another one, as in: make $(or $(MAKECMDGOALS),lab) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
		echo "$(PYTHON) cannot make environments: on Debian and Ubuntu, install the package python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --no-deps --require-hashes -r constraints-course.txt
	$(INSTALL) -r constraints-torch.txt
	$(INSTALL) -e '.[course]'
	@touch $(INSTALLED)

$(TESTABLE): $(INSTALLED) constraints.txt
	$(INSTALL) --no-deps --require-hashes -r constraints.txt
	$(INSTALL) -e '.[test]'
	@touch $(TESTABLE)
