# Every target makes the environment it needs, in .venv: Python 3.11 or newer, git and make are enough to start.
# PYTHON=/path/to/python3 chooses the interpreter; ARGS="-k name" goes to pytest.

.PHONY: demo test check bench docs dist soak servers clean
.DEFAULT_GOAL := check

BIN := .venv/bin
DEV := .venv/.installed-dev
DOCS := .venv/.installed-docs
SERVERS := .venv-servers/.installed
AZURITE := azurite@3
NPM_QUIET := --no-audit --no-fund --no-package-lock --loglevel=error
FAST := not slow and not docker and not browser and not soak
# In memory where there are some gigabytes of it, so that no test waits for a disk.
ROOM := awk 'NR == 2 && $$4 > 4000000 && $$6 == "/dev/shm" { print $$6 }'
MEMORY = $(or $(shell df -Pk /dev/shm 2>/dev/null | $(ROOM)),$(TMPDIR),/tmp)
# In a directory of its own: every start of pytest closes the usual one to other users.
PYTEST = place=$$(mktemp -d "$(MEMORY)/disdat.XXXXXX") && chmod 755 "$$place" && trap 'rm -rf "$$place"' EXIT && \
	$(BIN)/python -m pytest -n 2 --dist loadgroup --basetemp="$$place/tests"
export PYTHON
# Else every start of Python, and every worker of pytest, compiles all modules and all tests again.
unexport PYTHONDONTWRITEBYTECODE

$(BIN)/python:
	@./bootstrap.sh

$(DEV): pyproject.toml setup.py bootstrap.sh | $(BIN)/python
	@./bootstrap.sh dev
	@touch $@

$(DOCS): pyproject.toml setup.py bootstrap.sh
	@./bootstrap.sh dev,docs
	@touch $@

$(SERVERS): tests/servers/requirements.txt | $(BIN)/python
	@echo "Installing the servers that tests talk to into .venv-servers"
	@$(BIN)/python -m venv --clear .venv-servers
	@.venv-servers/bin/python -m pip install --quiet --disable-pip-version-check --no-input -r $<
	@if command -v npm >/dev/null; then npm install --prefix .venv-servers $(NPM_QUIET) $(AZURITE); \
	else echo "npm is missing: tests that need $(AZURITE) will be skipped"; fi
	@touch $@

# The main job on real data, told as it goes.
demo: $(DEV)
	@$(BIN)/python examples/demo.py

# Every test but the soak tests.
test: $(DEV) $(SERVERS)
	@$(PYTEST) -m "not soak" $(ARGS)

# What to run before every commit; about a minute.
check: $(DEV) $(SERVERS)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict disdat
	$(BIN)/lint-imports --no-logo
	@$(PYTEST) --dist loadfile -q --hypothesis-profile=check -m "$(FAST)" $(ARGS)

soak: $(DEV) $(SERVERS)
	$(BIN)/python -m pytest -m soak --timeout 0 $(ARGS)

# What the tests of remotes talk to; `test`, `check` and `soak` make it when it is not there.
servers: $(SERVERS)

bench: $(DEV)
	@if [ -f bench/__main__.py ]; then $(BIN)/python -m bench $(ARGS); else echo "bench/ has no benchmarks yet"; fi

docs: $(DOCS)
	$(BIN)/python -m mkdocs build --strict

dist: $(DEV)
	PYTHON=$(BIN)/python ./build-dist.sh

# All that can be made again, but for .venv and .venv-servers.
clean:
	rm -rf build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .demo
	find . -name __pycache__ -not -path './.venv*/*' -prune -exec rm -rf {} +
