# edgefleet. `make` alone says what there is; every target sets up what it lacks by itself.

python := .venv/bin/python
setup := python3 -I simulator/bootstrap.py
everything := -n auto --dist loadgroup --no-loadscope-reorder --cov --cov-report=

help:           ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 24
	@echo '  ARGS=... chooses tests, as pytest understands it: one after the other, without coverage'
	@echo '  YES=1 installs missing Debian packages without asking; ONCE=1 ends the demo after its last check'

demo: debian-demo cluster-build ## a release walks through 100 simulated transfer centres (ONCE=1: then ends)
	@$(python) -m simulator demo $(if $(ONCE),--once)

test: debian-test lint cluster-build ## everything: lint, then all tests side by side, with coverage
	@$(python) -m pytest --durations=10 $(or $(ARGS),$(everything))
	@$(if $(ARGS),:,$(python) -m tests.architecture coverage)

bench: cluster-build ## measure the goals; writes build/bench.json
	@$(python) tests/bench/run.py

bench-detection: env debian-test ## measure how soon people are told (FAULTS=50; 200: all, 3: a glance)
	@$(python) -m pytest tests/bench/mishaps.py
	@$(python) tests/bench/detection.py

lint: env       ## ruff, mypy, import rules
	@$(python) -m ruff check --quiet
	@$(python) -m ruff format --check --quiet
	@$(python) -m mypy
	@.venv/bin/lint-imports --no-logo --no-cache

cluster-build: env ## build the real control plane and KubeEdge once, into the cache
	@$(setup) debian build
	@$(python) -m simulator cluster build

lock: env       ## write requirements/*.txt anew from pyproject.toml (UPGRADE=1: newest versions)
	@$(python) -m simulator.locks

clean:          ## remove what was made in this folder; the cache outside it stays
	rm -rf build dist .venv .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find cloud simulator edgeagent tests -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

env:
	@$(setup) env

debian-demo:
	@$(setup) debian demo

debian-test:
	@$(setup) debian demo test

.PHONY: help demo test bench bench-detection lint cluster-build lock clean env debian-demo debian-test
.NOTPARALLEL:
