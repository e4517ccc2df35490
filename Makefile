# Everything is made in .venv, by commands that need nothing but make and a Python ≥ 3.11. `make` lists the commands.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
# A second call installs nothing: a stamp stands for each set of extras, and pyproject.toml makes it stale.
LAB := $(VENV)/lab.stamp
TEST := $(VENV)/test.stamp
# JupyterLab finds its extensions there; an editable installation brings code alone.
LABEXTENSIONS := $(VENV)/share/jupyter/labextensions
LINK := mkdir -p $(LABEXTENSIONS) && ln -sfn "$(CURDIR)/labextension/built" $(LABEXTENSIONS)/jupyter-dockerlab
# npm's own mark of what it installed.
MODULES := labextension/node_modules/.package-lock.json
PIP := $(BIN)/python -m pip --disable-pip-version-check --require-virtualenv
# The notebooks' kernel is this environment's, even where the user has a python3 kernel of their own; so are a cell's `!` commands.
RUN := JUPYTER_PREFER_ENV_PATH=1 PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python
ARGS ?=

.PHONY: help lab test engines javascript labextension clean

help:
	@echo 'make lab            opens JupyterLab on the tutorials; ARGS="--no-browser --port 8899" go to JupyterLab'
	@echo 'make test           runs every check and every test; ARGS="-k build" go to pytest'
	@echo 'make engines        sets up and starts the engines that the whole suite wants (Debian; as root or with sudo)'
	@echo 'make javascript     checks and tests the JavaScript in labextension/ (node 20 and npm); `make test` does, too, where they are'
	@echo 'make labextension   builds anew what the page runs, from labextension/ (node 20 and npm)'
	@echo 'make clean          removes .venv, build/ and caches'

lab: $(LAB)
	$(RUN) -m jupyterlab $$([ "$$(id -u)" != 0 ] || echo --allow-root) notebooks/ $(ARGS)

# Compiled once, as an installation is: tests start hundreds of processes, and PYTHONDONTWRITEBYTECODE may be set here.
test: $(TEST)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(RUN) -m compileall -q dockerlab
	$(RUN) -m pytest --numprocesses 2 $(ARGS)

# Some of them are dockerlab's own.
engines: $(LAB)
	@if [ "$$(id -u)" = 0 ]; then tests/engines.sh up; else sudo tests/engines.sh up; fi

javascript: $(MODULES)
	cd labextension && npm run check && npm test

labextension: $(MODULES)
	cd labextension && npm run build

$(MODULES): labextension/package-lock.json
	cd labextension && npm ci
	@touch $@

clean:
	rm -rf $(VENV) build dist labextension/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(LAB): pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --editable '.[lab]'
	@$(LINK)
	@touch $@

$(TEST): pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --editable '.[lab,test]'
	@$(LINK)
	@touch $(LAB) $@

# The first Python that is new enough; PYTHON=… to choose. What is missing is named with the command that gets it.
$(BIN)/python:
	@for name in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	  "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && python=$$name && break; \
	done; \
	get() { \
	  if command -v apt-get >/dev/null; then echo "sudo apt-get install $$1"; \
	  elif command -v dnf >/dev/null; then echo "sudo dnf install $$2"; \
	  elif command -v brew >/dev/null; then echo "brew install $$2"; \
	  else echo "your system's package manager, or python.org"; fi; \
	}; \
	if [ -z "$$python" ]; then \
	  echo "dockerlab needs Python 3.11 or newer, and there is none on PATH. Get it with: $$(get 'python3.11 python3.11-venv' python3.11)" >&2; exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	  version=$$("$$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])'); \
	  echo "$$python has no venv module, which makes the environment. Get it with: $$(get "$$version-venv" "$$version")" >&2; exit 1; \
	fi; \
	echo "making $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv --clear $(VENV)
