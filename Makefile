# Everything runs in an environment of its own: .uv holds the locked installer, .venv the project.
PYTHON ?= python3
UV := .uv/bin/uv
RUN := .venv/bin
export UV_PROJECT_ENVIRONMENT := .venv

.PHONY: help demo demo-kubernetes test lint bench bench-kubernetes faults soak fuzz mutation lock clean
help:
	@echo "make demo   break real services and watch them healed"
	@echo "make demo-kubernetes  the same in a real control plane (needs Go; builds it once, about ten minutes)"
	@echo "make test   run the tests"
	@echo "make lint   ruff, mypy strict, import-linter"
	@echo "make bench  print the measured numbers"
	@echo "make bench-kubernetes  N=5000: so many Deployments of four pods on a real API server, watched"
	@echo "make faults run every fault test; N=1200: so many random kills; make soak HOURS=1; make fuzz MINUTES=10; make mutation"

.uv/bin/uv:
	@$(PYTHON) -m venv .uv
	@.uv/bin/python -m pip install -q --disable-pip-version-check 'uv==0.13.9'

.venv/.ready: pyproject.toml uv.lock | .uv/bin/uv
	@echo "setting up .venv (once) ..." >&2
	@$(UV) sync -q --locked --python $(PYTHON)
	@touch $@

demo: .venv/.ready
	@$(RUN)/auto demo

demo-kubernetes: .venv/.ready
	@$(RUN)/python -m tests.controlplane demo

test: .venv/.ready
	$(RUN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

lint: .venv/.ready
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports --no-cache

bench: .venv/.ready
	$(RUN)/python -m tests.benchmarks

bench-kubernetes: .venv/.ready
	$(RUN)/python -m tests.benchmarks.kubernetes $(N)

faults: .venv/.ready
	$(RUN)/python -m tests.faults $(N)

soak: .venv/.ready
	$(RUN)/python -m tests.faults.soak --hours $(or $(HOURS),1)

fuzz: .venv/.ready
	$(RUN)/python -m tests.fuzz all --minutes $(or $(MINUTES),10)

mutation: .venv/.ready
	$(RUN)/python -m tests.mutation

lock: | .uv/bin/uv
	$(UV) lock

clean:
	rm -rf .venv .uv dist
