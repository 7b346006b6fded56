# Everything runs in an environment of its own: .uv holds the locked installer, .venv the project.
PYTHON ?= python3
UV := .uv/bin/uv
RUN := .venv/bin
export UV_PROJECT_ENVIRONMENT := .venv

.PHONY: help demo test lint bench lock clean
help:
	@echo "make demo   break real services and watch them healed"
	@echo "make test   run the tests"
	@echo "make lint   ruff, mypy strict, import-linter"
	@echo "make bench  print the measured numbers"

.uv/bin/uv:
	@$(PYTHON) -m venv .uv
	@.uv/bin/python -m pip install -q --disable-pip-version-check 'uv==0.13.9'

.venv/.ready: pyproject.toml uv.lock | .uv/bin/uv
	@echo "setting up .venv (once) ..." >&2
	@$(UV) sync -q --locked --python $(PYTHON)
	@touch $@

demo: .venv/.ready
	@$(RUN)/auto demo

test: .venv/.ready
	$(RUN)/python -m pytest -q -n 2 --dist loadfile

lint: .venv/.ready
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports --no-cache

bench: .venv/.ready
	$(RUN)/python -m tests.benchmarks

lock: | .uv/bin/uv
	$(UV) lock

clean:
	rm -rf .venv .uv dist
