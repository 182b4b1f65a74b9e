# Podium. `make up` starts it, `make test` tests it; both set up what they need.
.DEFAULT_GOAL := help
.PHONY: help install tools hooks up reload test test-slow lint lock format loop bench backup restore

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A host that neither samples nor trains does without torch.
ROLES ?= $(PODIUM_ROLES)
COMPUTES := $(if $(ROLES),$(findstring sampling,$(ROLES))$(findstring training,$(ROLES)),all)
REQUIREMENTS := $(if $(COMPUTES),requirements.txt,requirements-web.txt)
STAMP := $(VENV)/.installed$(if $(COMPUTES),,-web)
TOOLS := $(VENV)/.installed-tools
MODEL ?= smollm2
ROUNDS ?= 1

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | awk -F '\t' '{printf "  make %-10s %s\n", $$1, $$2}'

install: $(STAMP) ## make .venv with everything pinned in requirements.txt (quick when nothing changed)

$(STAMP): requirements.txt requirements-worker.txt requirements-web.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "Podium needs Python 3.11 or newer: install it, or name it: make install PYTHON=python3.12" >&2; exit 1; }
	@[ -x $(BIN)/pip ] || $(PYTHON) -m venv --clear $(VENV) >/dev/null \
	  || { rm -rf $(VENV); echo "The virtual environment could not be made: is there disk space? On Debian: apt install python3-venv" >&2; exit 1; }
	@echo "Installing the packages of $(REQUIREMENTS) (a few minutes the first time) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -r $(REQUIREMENTS) \
	  || { echo "The packages could not be installed: see above; is the network reachable, and are 4 GB of disk free?" >&2; exit 1; }
	@touch $@

tools: install $(TOOLS) ## add what lint and format need, pinned in requirements-dev.txt

$(TOOLS): requirements-dev.txt $(STAMP)
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt \
	  || { echo "The packages could not be installed: see above; is the network reachable?" >&2; exit 1; }
	@touch $@

hooks: tools ## let git run the quick checks before each commit
	@$(BIN)/pre-commit install

up: install ## start everything on http://127.0.0.1:8000 (PODIUM_PORT, PODIUM_VAR), or ROLES=web,default; Ctrl-C ends it
	@$(if $(ROLES),PODIUM_ROLES=$(ROLES)) $(BIN)/python -m config.run.up

reload: ## let a running Podium go on with new code, without a failed request (after git pull)
	@$(MAKE) --no-print-directory -q $(STAMP) 2>/dev/null \
	  || { echo "Not reloaded. $(REQUIREMENTS) has changed: stop Podium, then make up." >&2; exit 1; }
	@$(BIN)/python -m config.run.reload

test: install ## run the whole suite, browser tests included where a Chromium is found
	@$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

test-slow: install ## the tests that the suite leaves out: many minutes, some with the default model
	@$(BIN)/python -m pytest -m slow $(ARGS)

lint: tools ## style and format (Python, templates, CSS, JavaScript), import directions, types, deploy check, migrations, advisories
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/djangofmt --check --quiet templates
	$(BIN)/biome format static
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml
	$(BIN)/lint-imports
	$(BIN)/mypy
	PODIUM_PRODUCTION=1 PODIUM_SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(60))') \
	  $(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python .ci/audit.py

lock: tools ## write the lock files of deploy/ anew, after a change of requirements
	@$(BIN)/python .ci/lock.py

format: tools ## put imports, code, templates, CSS and JavaScript into the house's form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/djangofmt --quiet templates
	$(BIN)/biome format --write static

loop: install ## the whole loop with a scripted labeler on a real model (MODEL=folder for another one; ROUNDS=2)
	@$(BIN)/python benchmarks/loop.py --model $(MODEL) --rounds $(ROUNDS) $(ARGS)

bench: install ## the other benchmarks, quickly (DATA=folder of outside data for those that need it)
	@for name in assignment sampling reward import $(if $(DATA),human_rankings export roundtrip baselines); do \
	  $(BIN)/python benchmarks/$$name.py --quick $(if $(DATA),--data $(DATA)) || exit 1; done

backup: install ## database, datasets, models and uploads in one file below var/backups
	@$(BIN)/python manage.py backup $(FILE)

restore: install ## bring a backup back: make restore FILE=var/backups/....tar
	@$(BIN)/python manage.py restore $(FILE)
