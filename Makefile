# make play [GAME=pong] [MODEL=embedded] [ARGS="--episodes 5"]   play and write a replay page
# make test                                                     everything CI runs
# make fuzz [FUZZ=100]                                          the tests that try inputs by chance, with more of them
# make school [MINUTES=10] [OUT=distilled] [ARGS=...]            train all twelve games on a GPU, and play whole games
# make docs                                                     the documentation, into site/
# make bench                                                    the benchmarks, one after the other
# make trials                                                   stops and power cuts at any moment (40 minutes)
# make evidence-think [ARGS=...]                                score against computation (hours)
# make coverage                                                 how often intervals cover, by method

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
GAME ?= pong
MODEL ?= embedded
ARGS ?=
MINUTES ?= 10
OUT ?= distilled

# Two busy threads on two cores can be fifty times slower than one.
export OMP_NUM_THREADS ?= 1

.PHONY: play school test check fuzz docs bench browser trials clean coverage evidence-think

play: $(VENV)/base
	$(BIN)/atari-vlm play --game $(GAME) --model $(MODEL) $(ARGS)

# Prints decisions a second, held-out losses and a table of whole games; the same command continues.
# It looks for a GPU before it installs gigabytes; FORCE=1 goes on without nvidia-smi.
school:
	@test -n "$(FORCE)" || command -v nvidia-smi >/dev/null || { echo "make school needs a GPU, and there is no" \
	  "nvidia-smi here: nothing was installed; 'make school FORCE=1' goes on all the same." >&2; exit 1; }
	$(MAKE) $(VENV)/train
	$(BIN)/atari-vlm distill --device cuda --games all12 --minutes $(MINUTES) --out $(OUT) $(ARGS)

test: $(VENV)/dev browser check
	$(BIN)/python -m pytest -n auto --dist loadfile

fuzz: $(VENV)/dev
	FUZZ=$(or $(FUZZ),100) $(BIN)/python -m pytest -q -m fuzz

check: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# Nothing is loaded from elsewhere, neither here nor by the pages.
docs: $(VENV)/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Open site/index.html; for search: $(BIN)/python -m http.server -d site"

# Hours: votes, lookahead and searches in five games; the same command continues.
evidence-think: $(VENV)/base
	$(BIN)/python benchmarks/think.py $(ARGS)

bench: $(VENV)/dev
	$(BIN)/python benchmarks/harness.py
	$(BIN)/python benchmarks/many_games.py
	$(BIN)/python benchmarks/environment.py
	$(BIN)/python benchmarks/embedded_decision.py
	$(BIN)/python benchmarks/embedded_agreement.py
	$(BIN)/python benchmarks/local_decisions.py
	$(BIN)/python benchmarks/long_episode.py
	$(BIN)/python benchmarks/long_report.py
	$(BIN)/python benchmarks/footprint.py
	$(BIN)/python benchmarks/cost_tips.py

coverage: $(VENV)/dev
	$(BIN)/python benchmarks/coverage.py

trials: $(VENV)/dev
	$(BIN)/python -m tests.kill_trials run --kills 68
	$(BIN)/python -m tests.kill_trials vote --kills 30 --decisions 100
	$(BIN)/python -m tests.kill_trials lookahead --kills 20 --decisions 60
	$(BIN)/python -m tests.kill_trials bench --signals SIGKILL,SIGINT,SIGTERM,SIGHUP --kills 30 --episodes 2
	$(BIN)/python -m tests.kill_trials train --signals SIGKILL,SIGINT,SIGTERM,SIGHUP --kills 30
	$(BIN)/python -m tests.kill_trials reflect --kills 30 --decisions 60
	$(BIN)/python -m tests.kill_trials curve --kills 16 --decisions 16
	$(BIN)/python -m tests.kill_trials prove --kills 16 --episodes 3 --decisions 8 --delay 0.2
	$(BIN)/python -m tests.power_cuts --calls 100 --cuts 2000

# The replay page is tested in a real browser; where Debian's packages are to be had, take its own.
browser:
	@command -v chromedriver >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	  && apt-get update -qq && apt-get install -y -qq chromium chromium-driver >/dev/null; } \
	  || echo "No chromedriver and no way to install it: browser tests will say they were skipped."

$(VENV)/base: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

# From the package index, torch for Linux comes with CUDA.
$(VENV)/train: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train]'
	touch $@ $(VENV)/base

$(VENV)/docs: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@ $(VENV)/base

$(VENV)/dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/base $(VENV)/docs

clean:
	rm -rf $(VENV) runs dist build site
