# The commands of the project. PYTHON: the interpreter that makes .venv (3.11 or 3.12).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: quickstart install gen check test test-vllm chaos builtin-model clean

quickstart: $(VENV)/installed
	$(BIN)/refine-af run --preset quickstart

install: $(VENV)/installed

$(VENV)/installed: requirements/dev.txt pyproject.toml
	sh ./install.sh $(PYTHON) $(VENV)

gen: $(VENV)/installed
	$(BIN)/python -m refine_af.generate

check: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m refine_af.generate --check

test: $(VENV)/installed
	$(BIN)/pytest -m "not vllm and not docker and not chaos"

test-vllm: $(VENV)/installed
	sh .ci/vllm_env.sh
	.venv-vllm/bin/python -m pytest tests/engines/test_vllm.py tests/ppo/test_ppo_vllm.py

chaos: $(VENV)/installed
	$(BIN)/pytest -m chaos

builtin-model: $(VENV)/installed
	$(BIN)/python -m refine_af.builtin.build

clean:
	rm -rf $(VENV) .venv-vllm runs
