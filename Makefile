# Everything a user or CI runs. `make` alone lists the targets.
SHELL := /bin/bash
PYTHON ?= python3
FUZZ_RUNS ?= 100000
GOVERNANCE_SEQUENCES ?= 1000
DETECTION_RULES ?= 3000
DETECTION_EVENTS ?= 5000
IMAGE ?= rulestream:0.1.0
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# What is tested side by side with the parts: a worker that is used, workers that outlive faults, and parts that need
# servers. Tests of workers that outlive faults are not measured: what they run is in processes of its own.
USED := tests/behaviour tests/cli tests/governance
OUTLIVING := tests/end_to_end tests/faults
SERVED := tests/integration tests/contracts

.DEFAULT_GOAL := help
.PHONY: help audit scan run dev test bench bench-worker bench-pipeline bench-scale fuzz governance detection faults upgrade image check lint types imports format lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  \1\t/' | expand -t 18

$(STAMP): requirements.lock pyproject.toml
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@echo "installing the locked dependencies into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: $(STAMP) ## the main job: real servers, real rules, real facts, from start to end
	@$(BIN)/rulestream demo

dev: $(STAMP) ## a worker on an embedded stack, until Ctrl-C
	@$(BIN)/rulestream dev

test: $(STAMP) ## every test, with coverage, in four runs side by side; ARGS="…" are pytest's own, for some of them
	@$(BIN)/coverage erase
	@if [ -n "$(ARGS)" ]; then $(BIN)/coverage run -m pytest $(ARGS); else \
		mkdir -p build; \
		$(BIN)/coverage run -m pytest $(addprefix --ignore=,$(USED) $(OUTLIVING) $(SERVED)) > build/tests-of-parts.log 2>&1 & parts=$$!; \
		$(BIN)/python -m pytest $(OUTLIVING) > build/tests-of-outliving.log 2>&1 & outliving=$$!; \
		$(BIN)/coverage run -m pytest $(SERVED) > build/tests-of-served.log 2>&1 & served=$$!; \
		$(BIN)/coverage run -m pytest $(USED); used=$$?; \
		wait $$outliving; outliving=$$?; cat build/tests-of-outliving.log; \
		wait $$parts; parts=$$?; cat build/tests-of-parts.log; \
		wait $$served; served=$$?; cat build/tests-of-served.log; \
		[ $$used -eq 0 ] && [ $$outliving -eq 0 ] && [ $$parts -eq 0 ] && [ $$served -eq 0 ]; fi
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --fail-under=85 --show-missing
	@$(BIN)/coverage report --fail-under=95 --include='domain/*' > /dev/null || { echo 'domain: coverage under 95 %'; exit 1; }

bench: $(STAMP) ## how fast rules are decided and compiled, beside other engines; fails when a floor does not hold
	@$(BIN)/rulestream bench eval --check
	@$(BIN)/rulestream bench compile --check

bench-worker: $(STAMP) ## how fast one worker answers commands and lists 100,000 rules; fails when a floor does not hold
	@$(BIN)/rulestream bench commands --check
	@$(BIN)/rulestream bench list --check

bench-pipeline: $(STAMP) ## how fast and how soon a worker decides facts, beside a loop that only copies; fails when a floor does not hold
	@$(BIN)/rulestream bench pipeline --check
	@$(BIN)/rulestream bench latency --check
	@$(BIN)/rulestream bench backlog --check
	@$(BIN)/rulestream bench start --check
	@$(BIN)/rulestream bench stop --check
	@$(BIN)/rulestream bench telemetry --check

bench-scale: $(STAMP) ## facts a second up to 100,000 rules, beside other engines, and workers with so many; fails when a floor does not hold
	@$(BIN)/rulestream bench scale --check

fuzz: $(STAMP) ## the long form of the fuzzers: FUZZ_RUNS=100000 inputs each, over rules and over facts
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-fuzz.lock
	@mkdir -p build/fuzz
	$(BIN)/python -m tests.fuzz.sources $(FUZZ_RUNS) -artifact_prefix=build/fuzz/
	$(BIN)/python -m tests.fuzz.facts $(FUZZ_RUNS) -artifact_prefix=build/fuzz/
	RULESTREAM_FUZZ_EXAMPLES=$(FUZZ_RUNS) $(BIN)/pytest --timeout=0 tests/unit/language/test_language_hostile.py -k 'any_'

governance: $(STAMP) ## the long form of the proof of governance: GOVERNANCE_SEQUENCES=1000 random sequences of commands and a model
	RULESTREAM_GOVERNANCE_SEQUENCES=$(GOVERNANCE_SEQUENCES) RULESTREAM_GOVERNANCE_SEED=$${SEED:-$$RANDOM} \
		$(BIN)/pytest --timeout=0 tests/governance

detection: $(STAMP) ## the long form of the proof by security rules: DETECTION_RULES=3000 on DETECTION_EVENTS=5000, beside plain Python
	RULESTREAM_DETECTION_RULES=$(DETECTION_RULES) RULESTREAM_DETECTION_EVENTS=$(DETECTION_EVENTS) \
		RULESTREAM_DETECTION_SEED=$${SEED:-$$RANDOM} $(BIN)/pytest --timeout=0 tests/integration/test_eval_detection.py

faults: $(STAMP) ## the long form of the fault suite: every fault on real servers; ONLY=name, SEED=n, TIMES=n for one of them
	@ONLY="$(ONLY)" SEED="$(SEED)" TIMES="$(TIMES)" RENEW="$(RENEW)" $(BIN)/python -m tests.faults

image: ## the worker's image and what is promised of it (needs a Docker engine); ARGS="…" are docker build's
	@docker build -f deploy/Dockerfile -t $(IMAGE) $(ARGS) .
	@deploy/check-image.sh $(IMAGE)

guide: $(STAMP) ## docs/operations.md replayed on a Docker engine, from a build to a restored backup; SHOW=1 shows all that is said
	@$(BIN)/python -m tests.guide

upgrade: $(STAMP) ## a rolling upgrade from a commit's own code to this, and back, under load: FROM=<git ref>, SEED=n
	@FROM="$(FROM)" SEED="$(SEED)" FACTS="$(FACTS)" $(BIN)/python -m tests.faults.upgrade

check: $(STAMP) ## what CI runs: what reads the code, side by side, and then every test
	@$(MAKE) --no-print-directory --jobs=2 lint types imports scan
	@$(MAKE) --no-print-directory test

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMP)
	@$(BIN)/mypy

imports: $(STAMP)
	@$(BIN)/lint-imports --no-cache

scan: $(STAMP) ## look for insecure code, and for dependencies that do not go together; needs no network
	@$(BIN)/bandit --quiet --recursive --severity-level medium -c pyproject.toml domain streams worker \
		2> >(grep -v 'nosec encountered' >&2)  # it warns of exceptions that more than one of its tests look at
	@$(BIN)/python -m pip check

audit: $(STAMP) ## look for dependencies with known vulnerabilities; asks PyPI, so it is not part of `make check`
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.9,<3' --target build/audit
	@PYTHONPATH=build/audit $(BIN)/python -m pip_audit --strict --disable-pip --require-hashes -r requirements-runtime.lock

format: $(STAMP) ## put the code into the form that `make lint` wants
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format --quiet .

LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

lock: ## renew the locks within the bounds of pyproject.toml: everything, what a worker runs on, what builds it (needs uv)
	@printf 'hatchling>=1.27,<2\neditables>=0.5,<1\n' | $(LOCK) \
		--extra embedded --extra test --extra bench pyproject.toml - -o requirements.lock
	@$(LOCK) --constraint requirements.lock pyproject.toml -o requirements-runtime.lock
	@printf 'hatchling>=1.27,<2\nsetuptools>=80\n' | $(LOCK) --constraint requirements.lock - -o requirements-build.lock

clean: ## remove everything that the targets made
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* build dist
