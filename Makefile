# Everything a person or the automation calls. `make` alone lists it.

READY := .venv/.wardlight-ready
BIN := .venv/bin

RUNS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-report test check bench boards boards-check boards-pictures clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-15s %s\n", $$1, $$2}'

setup: $(READY)  ## create .venv with everything locked; quick when nothing changed

$(READY): pyproject.toml uv.lock .ci/bootstrap
	@.ci/bootstrap
	@touch $@

demo: setup  ## twelve simulated patients, the whole chain, a live table and the station page
	@$(BIN)/wardlight demo

demo-report: setup  ## the demo without a screen: 40 s, one JSON object, fails if anything was lost or not alarmed
	@$(BIN)/wardlight demo --duration 40 --report

test: setup  ## the whole test suite; installs mosquitto and chromium with apt when they are missing
	@.ci/system-packages
	@PATH="$$PATH:/usr/sbin" $(BIN)/pytest

check: setup  ## lint, format, types, lock file
	@$(BIN)/ruff check --no-cache .  # a cached verdict may rest on files that came or went since
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@UV_SYSTEM_CERTS=true $(BIN)/uv lock --quiet --check

bench: setup  ## every benchmark in its short form, with machine and date; RUNS=3 shows the spread
	@RUNS=$(RUNS) .ci/bench

boards: setup  ## make .venv-boards, and write Grafana's boards from deploy/grafana/*.py
	@.ci/bootstrap boards
	@.venv-boards/bin/python deploy/grafana/generate.py

boards-check: boards  ## boards against Grafana's own types, compose.yaml against its schema; needs npm
	@cd deploy/check && npm ci --silent --no-audit --no-fund && npm run --silent check

boards-pictures: boards  ## draw the boards for docs/images with Grafana's own components; slow, needs npm and chromium
	@.ci/system-packages
	@cd deploy/pictures && npm ci --silent --no-audit --no-fund
	@PATH="$$PATH:/usr/sbin" $(BIN)/python deploy/pictures/take.py

clean:  ## remove what the targets made: environments, caches, demo data
	rm -rf .venv .venv-boards deploy/check/node_modules deploy/pictures/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
