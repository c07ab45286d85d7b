# The commands a newcomer needs. Every one creates the environment first, if requirements.lock has changed.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

export DAGSTER_DISABLE_TELEMETRY := yes
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export PYTHONPATH := $(CURDIR)
# Threads that spin while they wait would eat the other core's time.
export OMP_WAIT_POLICY := passive
# Compiling a thousand modules at each start costs more than the night's SQL.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run ui sql docs alert-test backup restore test check check-python check-sql verify proofs bench screenshots lock clean

help: ## This list.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: $(STAMP) ## One night: dumps to published marts, and a report. AVILA_DATA_DIR names another warehouse.
	@$(BIN)/python -m orchestration.nightly

ui: $(STAMP) ## The Dagster UI on http://localhost:3000: lineage, runs, checks, and the nightly schedule.
	@$(BIN)/python -m orchestration.ui

sql: $(STAMP) ## A SQL prompt on the published marts.
	@$(BIN)/python -m orchestration.prompt

docs: $(STAMP) ## dbt's documentation of every model, column and macro, as one page that opens offline.
	@$(BIN)/python -m orchestration.docs

alert-test: $(STAMP) ## A test message to every channel that alerts go to.
	@$(BIN)/python -m orchestration.alerts --test

backup: $(STAMP) ## Save to the directory TO what cannot be built again.
	@$(BIN)/python -m orchestration.backup save "$(or $(TO),$(error say where to, as in make backup TO=/mnt/backups))"

restore: $(STAMP) ## Fill an empty data directory from the file FROM, which make backup wrote.
	@$(BIN)/python -m orchestration.backup restore "$(or $(FROM),$(error say from which file, as in make restore FROM=avila-….tar))"

test: $(STAMP) ## All tests.
	@$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile --no-loadscope-reorder

verify: $(STAMP) ## Whether the marts equal a full rebuild, row for row; the rows that do not.
	@$(BIN)/python -m orchestration.verify

proofs: $(STAMP) ## The longer tests.
	@$(BIN)/python -m pytest -m slow

bench: $(STAMP) ## Costs as ratios, measured side by side in one run.
	@$(BIN)/python -m tests.benchmarks.load
	@$(BIN)/python -m tests.benchmarks.increments
	@$(BIN)/python -m tests.benchmarks.funnels
	@$(BIN)/python -m tests.benchmarks.night
	@$(BIN)/python -m tests.benchmarks.marts
	@$(BIN)/python -m tests.benchmarks.models

screenshots: $(STAMP) ## The pictures in the README, taken anew; needs Chromium and a night that was published.
	@$(BIN)/python -m tests.screenshots

check: $(STAMP) ## Lint and types.
	@$(MAKE) --no-print-directory --jobs 2 check-python check-sql

check-python: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

check-sql: $(STAMP)
	@AVILA_WAREHOUSE=:memory: $(BIN)/sqlfluff lint --disable-progress-bar dbt_project/models dbt_project/tests

lock: ## Resolve requirements.lock again from pyproject.toml.
	@$(BIN)/uv lock --upgrade
	@$(BIN)/uv export --quiet --all-groups --format requirements-txt --no-emit-project --no-header -o requirements.lock

clean: ## Forget everything built in the default data directory; avila.yml and the dumps stay.
	rm -rf data/lake data/warehouse data/models data/published data/metrics

# uv installs the lock in seconds; it is itself installed from the lock, by its hashes.
$(STAMP): requirements.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@awk '/^uv==/ {uv = 1} uv && /^[^ ]/ && !/^uv==/ {exit} uv && !/^ *#/' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(VENV)/uv.lock
	@$(BIN)/uv pip sync --quiet --require-hashes --python $(BIN)/python requirements.lock
	@touch $@
