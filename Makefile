# Two targets are all a newcomer needs: `make run` and `make test`. Both set the environment up first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
TASK ?= hotjupiter
N ?= 100000
LAUNCHER ?= local

.PHONY: help setup run test test-slow test-gpu test-slurm test-browser report lint bench benchmark benchmark-full data clean

help:
	@echo "make run      set up, then train and score ExoGAN on hot Jupiters (ARGS='seed=1' adds settings)"
	@echo "make test     set up, then run the tests"
	@echo "make report   build reports/index.html from the records in runs/ (ARGS='paths.runs=reports/benchmark' for the committed ones)"
	@echo "make data     make N spectra of TASK for later runs (N=10000000 TASK=hotjupiter)"
	@echo "make bench    speed of the simulator against TauREx 3, of the data set, in-painting, training, scoring and the pages"
	@echo "make benchmark       the committed benchmark, about eleven core-hours; goes on where it was stopped (ARGS='workers=2', ARGS=list)"
	@echo "make benchmark-full  every method, task, budget and seed: weeks of one core"
	@echo "make lint     ruff and mypy"
	@echo "make test-slow / make test-gpu   tests that take minutes / need a CUDA device"
	@echo "make test-slurm   tests against a real Slurm of one node, which is installed, started and stopped"
	@echo "make test-browser tests of the pages in a headless Chromium, which is installed with apt-get where it is missing"

# torch goes first: with it in place nothing pulls another build.
$(VENV)/.run: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing torch and exobench into $(VENV), which takes a few minutes ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

# mypy finds the two packages that have another name than their folder by links.
$(VENV)/.dev: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,forward]'
	mkdir -p $(VENV)/packages
	ln -sfn $(CURDIR)/baselines $(VENV)/packages/exobench_baselines
	ln -sfn $(CURDIR)/tasks $(VENV)/packages/exobench_tasks
	touch $@

setup: $(VENV)/.run

run: setup
	$(BIN)/python -m exobench method=exogan task=hotjupiter $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(ARGS)

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow $(ARGS)

test-gpu: $(VENV)/.dev
	$(BIN)/python -m pytest -m gpu $(ARGS)

# A Slurm of one node from Debian's packages, started for the tests and stopped again; needs root.
test-slurm: $(VENV)/.dev
	scripts/slurm/test.sh $(BIN)/python $(ARGS)

# The pages in a real browser: Debian's Chromium, driven by playwright, and axe for what screen readers need.
test-browser: $(VENV)/.dev
	scripts/browser/install.sh
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[browser]'
	$(BIN)/python -m pytest -m browser tests/browser $(ARGS)

report: setup
	$(BIN)/python -m exobench.report $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && MYPYPATH=$(VENV)/packages $(BIN)/mypy

bench: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python bench/simulator.py --out reports/bench_simulator.json
	OMP_NUM_THREADS=2 $(BIN)/python bench/data.py --out reports/bench_data.json
	OMP_NUM_THREADS=2 $(BIN)/python bench/exogan.py --out reports/bench_exogan.json
	OMP_NUM_THREADS=1 $(BIN)/python bench/training.py --threads 1 --out reports/bench_training.json
	OMP_NUM_THREADS=2 $(BIN)/python bench/scoring.py speed --out reports/bench_scoring.json
	OMP_NUM_THREADS=1 $(BIN)/python bench/report.py reports/benchmark --out reports/bench_report.json

benchmark: setup
	$(BIN)/python -m exobench.benchmark plan=committed launcher=$(LAUNCHER) $(ARGS)

benchmark-full: setup
	$(BIN)/python -m exobench.benchmark plan=full launcher=$(LAUNCHER) $(ARGS)

data: setup
	$(BIN)/python -m exobench.data generate task=$(TASK) n=$(N) $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info
