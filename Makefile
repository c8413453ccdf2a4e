# Everything a newcomer needs is a target here; `make help` lists them. Needs Python 3.11, git and make.

VENV := .venv
BIN := $(VENV)/bin
PACKAGES := client config crypto repository scheduler sources workers
PYTHON ?= $(firstword $(foreach p,python3.11 python3 python,\
	$(shell $(p) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && echo $(p))))

# Imports must be fast, so compiled files are wanted even where the caller's shell switches them off.
export PYTHONDONTWRITEBYTECODE :=

# A stamp is named after the content of its inputs and the folder: touching a file or switching branches and back
# installs nothing, a changed lock or a moved checkout does.
fingerprint = $(shell { pwd; cat Makefile pyproject.toml $(1); } | cksum | cut -d ' ' -f 1)
RUNTIME := $(VENV)/installed-runtime-$(call fingerprint,requirements.lock)
DEVELOP := $(VENV)/installed-develop-$(call fingerprint,requirements.lock requirements-dev.lock)
LOCK := --generate-hashes --no-header --python-version 3.11 --no-emit-index-url --no-emit-find-links --quiet
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev compile test lint types layers unit test-redis compose-test systemd-test terraform-test deploy-files fmt lock demo bench bench-quick bench-readme clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do \
		printf '  %-12s %s\n' "$$name" "$$text"; done

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo 'Strongroom needs Python 3.11 on the PATH, or PYTHON=/its/path.' >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)

# Scripts carry the environment's full path, so one that was moved or lost its interpreter is made anew.
$(RUNTIME): | $(BIN)/python
	@test ! -L $(VENV) || { echo '$(VENV) is a link to another checkout'\''s; remove the link, or use make there.' >&2; exit 1; }
	@{ $(BIN)/python -c '' && grep -qF '$(CURDIR)/$(VENV)/bin/' $(BIN)/pip; } 2>/dev/null \
		|| $(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --require-hashes --requirement requirements.lock
	$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@rm -f $(VENV)/installed-runtime-*
	@touch $@

$(DEVELOP): | $(RUNTIME)
	$(PIP) install --require-hashes --requirement requirements-dev.lock
	@rm -f $(VENV)/installed-develop-*
	@touch $@

compile: $(RUNTIME)
	@$(BIN)/python -m compileall -q -j 0 $(PACKAGES)
	@test -e $(RUNTIME).compiled || { $(BIN)/python -m compileall -q -j 0 $(VENV)/lib && touch $(RUNTIME).compiled; }

setup: compile ## install what runs: the command is then .venv/bin/strongroom

setup-dev: setup $(DEVELOP) ## the same, with the tools for tests and checks

test: lint types layers unit ## lint, types, layers and all tests

lint: setup-dev ## style and common mistakes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup-dev ## mypy --strict
	$(BIN)/mypy

layers: setup-dev ## who may import whom
	$(BIN)/lint-imports

unit: setup-dev ## the tests alone; ARGS='-k name' picks some
	@$(BIN)/python -m $(if $(ARGS),pytest $(ARGS),tests.run)

test-redis: setup-dev ## the broker's permissions and several hosts again, on an installed Redis 7 with TLS
	@command -v redis-server >/dev/null || { echo 'test-redis needs redis-server 7 or newer on the PATH.' >&2; exit 1; }
	REDIS_SERVER=$$(command -v redis-server) $(BIN)/python -m pytest tests/config/test_acl.py tests/e2e/test_several_hosts.py \
		tests/faults/test_silent_roles.py tests/faults/test_start_refused.py $(ARGS)

compose-test: setup ## build docker-compose.yml's images, back up and restore through it, scale it, take it down (Docker)
	$(BIN)/python -m deploy.compose.trial

systemd-test: setup ## install deploy/systemd on a machine with systemd, a container, and try every unit (Docker)
	$(BIN)/python -m deploy.systemd.trial

terraform-test: ## validate and plan deploy/iam/terraform (terraform 1.7 or newer; TERRAFORM_INIT: options of `init`)
	terraform fmt -check -recursive deploy/iam/terraform
	set -e; for module in service customer bucket; do \
		terraform -chdir=deploy/iam/terraform/$$module init -backend=false -input=false $(TERRAFORM_INIT); \
		terraform -chdir=deploy/iam/terraform/$$module validate; \
		terraform -chdir=deploy/iam/terraform/$$module test; \
	done

deploy-files: setup ## write deploy/acl/ again from config/acl.py
	$(BIN)/python -m config.acl deploy/acl

fmt: setup-dev ## format, and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## resolve the dependencies again (needs the `uv` command)
	uv pip compile pyproject.toml --extra build --upgrade $(LOCK) --output-file requirements.lock
	uv pip compile pyproject.toml --extra build --extra dev --upgrade --constraint requirements.lock \
		$(LOCK) --output-file requirements-dev.lock

demo: setup ## back up SRC (default: Python's library), restore it, compare, show what an onlooker sees
	@$(BIN)/python -m client.demo $(if $(SRC),--source '$(SRC)')

bench: setup-dev ## measure against tar | zstd, restic and borg, in about 20 minutes; ARGS='--cases tree,big --rounds 5'
	$(BIN)/python -m bench.run $(ARGS)

bench-quick: setup-dev ## the same on little data, in about 3 minutes
	$(BIN)/python -m bench.run --quick $(ARGS)

bench-readme: setup ## put the latest full measurement into README.md
	$(BIN)/python -m bench.readme

clean: ## remove what setup and the checks made
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	find $(PACKAGES) bench tests -name __pycache__ -type d -prune -exec rm -rf {} +
