# `make up` and `make test` do all the set-up a bare Debian or Ubuntu machine needs.
.PHONY: install up test check docs sim sim-standby mutants faults soak bench bench-peers conformance test-engines clean
PY := .venv/bin/python
STAMP := .venv/.installed

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt scripts/setup.sh
	bash scripts/setup.sh

up: install
	.venv/bin/trivet up $(ARGS)

test: install
	bash scripts/setup.sh --for-tests
	$(MAKE) --no-print-directory check
	$(PY) -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: install
	.venv/bin/ruff check src tests bench
	.venv/bin/ruff format --check src tests bench
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PY) -m pytest tests/unit/test_tidy.py -p no:randomly

docs: install
	$(PY) scripts/write_command_reference.py > docs/guide/commands.md
	$(PY) scripts/write_metric_reference.py > docs/guide/metrics.md

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

bench: install
	bash scripts/setup.sh --for-tests
	$(PY) bench/fs_compare.py $(ARGS)

bench-peers: install
	bash scripts/setup.sh --for-peers
	$(PY) bench/peers.py $(ARGS)

# Hours: TRIVET_SEQUENCES=500 TRIVET_BIG_DIRECTORY=20000 make conformance takes less.
conformance: export TRIVET_SEQUENCES ?= 10000
conformance: export TRIVET_BIG_DIRECTORY ?= 200000
conformance: export TRIVET_EXERCISERS ?= full
conformance: install
	bash scripts/setup.sh --for-tests
	$(PY) -m pytest -p no:randomly --timeout 0 -s tests/e2e/test_posix_sharing.py tests/e2e/test_posix_rules.py \
	  tests/e2e/test_exercisers.py tests/e2e/test_side_by_side.py $(ARGS)

# A real S3 server (OpenStack Swift), in a folder of its own on loopback; nothing of it is enabled or stays.
test-engines: install
	bash scripts/setup.sh --for-tests
	bash scripts/setup.sh --for-engines
	TRIVET_ENGINES=1 $(PY) -m pytest -p no:randomly --timeout 300 -s tests/e2e/test_engine_s3.py \
		tests/e2e/test_engine_postgres.py $(ARGS)

faults: install
	bash scripts/setup.sh --for-tests
	$(PY) tests/faults.py $(ARGS)

sim: install
	$(PY) tests/sim/run_seed.py $(SEED)
	$(PY) -W ignore tests/whole/run_whole.py $(SEED)

sim-standby: install
	$(PY) tests/sim/run_standby.py $(SEED)

mutants: install
	$(PY) tests/sim/run_mutants.py

# Days; ARGS="--hours 2" goes round all parts in slices for so long.
soak: install
	bash scripts/setup.sh --for-tests
	$(PY) tests/faults.py --soak $(ARGS)
