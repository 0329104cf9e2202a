# Every target prepares what it needs by itself, in the private virtual environment .venv.
# Needed beforehand: git, make, and Python 3.11 or newer. `make test PYTHON=python3.13` chooses a Python, and takes an
# environment of its own for it, .venv-python3.13.

PYTHON ?=
VENV  := .venv$(if $(PYTHON),-$(subst /,-,$(PYTHON:/%=%)))
BIN   := $(VENV)/bin
READY := $(VENV)/.ready
ARGS   ?=
TESTS  ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format bench control-plane forge helm packages deploy schemas lock clean distclean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

setup: $(READY)  ## prepare .venv and stop there

demo: $(READY)  ## watch gitcd work against a local registry and a local remote
	@$(BIN)/gitcd demo $(ARGS)

test: $(READY)  ## run the everyday tests on all cores; TESTS=all the slow ones too, ARGS="-k name" narrows
	@$(BIN)/python -m pytest -n auto $(if $(filter all,$(TESTS)),,-m "not slow") $(ARGS)

check: $(READY)  ## lint, formatting, types, import floors; all four, even when one finds something
	@status=0; \
	for tool in "ruff check ." "ruff format --check ." mypy lint-imports; do \
	  $(BIN)/$$tool || status=1; \
	done; \
	exit $$status

format: $(READY)  ## let ruff format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(READY)  ## measure against the budgets
	@$(BIN)/python -m benchmarks $(ARGS)

# With RUNLEVEL=1 no package starts its service.
PACKAGES := docker-registry gnupg openssh-client openssh-server prometheus skopeo

# Servers and programs that tests run against; they land in a cache outside this folder and are built once.
control-plane:  ## build etcd, Kubernetes and kwok for the tests of the cluster; needs Go
	@$(or $(PYTHON),python3) tools/parts.py control-plane $(ARGS)

forge:  ## build Gitea and fetch GitHub's API description for the tests of pull requests; needs Go, gcc and npm
	@$(or $(PYTHON),python3) tools/parts.py forge $(ARGS)
	@$(or $(PYTHON),python3) tools/parts.py github-api $(ARGS)

helm:  ## build helm for the tests of the chart; needs Go
	@$(or $(PYTHON),python3) tools/parts.py helm $(ARGS)

packages:  ## install the servers that tests run against and Debian has; needs root
	@test "$$(id -u)" = 0 && command -v apt-get >/dev/null || { \
	  echo "no packages are installed: this is not root on Debian; tests that need them are skipped" >&2; exit 1; }
	@export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1; \
	apt-get -qq update </dev/null >/dev/null && \
	apt-get -qq install --yes --no-install-recommends $(PACKAGES) </dev/null >/dev/null

BASE := $(BIN)/gitcd install https://git.example.com/platform/config.git --create-namespace --image gitcd
deploy: $(READY)  ## write what is generated in deploy/ anew
	@$(BASE) --out deploy/kustomize/base
	@$(BASE) --controller --out deploy/kustomize/controller
	@$(BASE) --apply images --config deploy/kustomize/settings.yaml --out deploy/kustomize/apply
	@$(BIN)/gitcd schema crd > deploy/helm/gitcd/crds/containerversions.yaml
	@$(BIN)/python tools/rights.py > deploy/helm/gitcd/files/rights.json

SCHEMAS := examples/config-repo/.gitcd/schema
schemas: $(READY)  ## write the published JSON Schemas anew
	@for kind in containerversion configrepository hold; do $(BIN)/gitcd schema $$kind > $(SCHEMAS)/$$kind.json; done

# A lock holds versions and hashes and no address of any package index, so it fits every mirror (docs/adr/0001).
# requirements.lock is for work on gitcd; requirements-run.lock is the part of it that the image runs.
COMPILE := uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate

lock: $(READY)  ## write the lock files anew from pyproject.toml; ARGS=--upgrade for newer versions
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/$(COMPILE) --all-extras --group dev $(ARGS) pyproject.toml -o requirements.lock
	@$(BIN)/$(COMPILE) --extra github-app --constraint requirements.lock pyproject.toml -o requirements-run.lock

clean:  ## remove build output and caches
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache benchmarks/.data
	@find gitcd tests benchmarks tools -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## remove .venv too, and those of other Pythons
	@rm -rf .venv .venv-*

# gitcd itself is installed from this folder and never by name: the index knows another project of that name.
$(READY): requirements.lock pyproject.toml
	@test -x $(BIN)/python || { \
	  for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11) none; do \
	    "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
	  done; \
	  if [ "$$python" = none ]; then \
	    echo "error: no Python 3.11 or newer with its venv module was found." >&2; \
	    echo "  Install one (Debian, Ubuntu: apt install python3-venv) or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; \
	    exit 1; \
	  fi; \
	  "$$python" -m venv $(VENV); \
	}
	@echo "Installing the locked dependencies into $(VENV); this happens once and takes about a minute." >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation -e .
	@touch $@
