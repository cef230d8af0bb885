# Everything from a fresh clone: Python 3.11 and make are enough. Options pass through: make demo ARGS="--config study=k2 factors=[2]"
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv || echo .uv/bin/uv)
SNAKEMAKE := PATH="$(CURDIR)/$(BIN):$$PATH" snakemake
CORES ?= all
ARGS ?=

# Every job of a study is a Python of its own, which starts in half the time from modules that stay compiled.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test tests test-page test-cluster chaos bench lint lock envs eclare docs pretrained release clean
.DEFAULT_GOAL := demo

# uv goes into a folder of the clone: nothing outside it is changed.
.uv/bin/uv:
	$(PYTHON) -m pip install --quiet --target .uv uv

# The stamp is newer than the lock file once the locked environment is complete.
$(VENV)/.synced: requirements.lock pyproject.toml | $(UV)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	$(UV) pip sync --quiet --python $(BIN)/python requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(VENV)/.synced
	$(SNAKEMAKE) --cores $(CORES) $(ARGS)

# Both at a time: mypy is one process for most of a minute.
test: $(VENV)/.synced
	$(MAKE) --jobs 2 lint tests

tests: $(VENV)/.synced
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations 15 $(ARGS)

# Pages by axe-core and at the width of a phone; needs Chromium (apt-get install chromium). Once axe-core is here, `make test`
# has these tests too. npm is the virtual environment's.
AXE := axe-core@4.14.1
test-page: $(VENV)/.synced
	PATH="$(CURDIR)/$(BIN):$$PATH" npm install --silent --no-audit --no-fund --no-save --prefix .axe $(AXE)
	OMP_NUM_THREADS=1 $(BIN)/pytest -m page $(ARGS)

# Three SLURM nodes on the loopback interface (root, Debian); skipped elsewhere.
test-cluster: $(VENV)/.synced
	OMP_NUM_THREADS=1 $(BIN)/pytest -m cluster tests/cluster $(ARGS)

# Kills the tiny study at 20 random moments; minutes.
chaos: $(VENV)/.synced
	OMP_NUM_THREADS=1 $(BIN)/pytest -m chaos tests/workflow $(ARGS)

# Costs on this machine and what they mean for the paper's study: docs/results/scale.md.
bench: $(VENV)/.synced
	OMP_NUM_THREADS=1 PYTHONPATH=src:tests $(BIN)/python benchmarks/measure.py
	OMP_NUM_THREADS=1 PYTHONPATH=src:tests $(BIN)/python benchmarks/devices.py
	OMP_NUM_THREADS=1 PYTHONPATH=src $(BIN)/python benchmarks/reference_step.py
	OMP_NUM_THREADS=1 PYTHONPATH=src $(BIN)/python benchmarks/many_subjects.py "$$(mktemp -d)"
	PYTHONPATH=src $(BIN)/python benchmarks/scale.py

lint: $(VENV)/.synced
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(SNAKEMAKE) --lint

lock: | $(UV)
	$(UV) pip compile --quiet --universal --generate-hashes --extra dev --no-header --no-annotate \
		pyproject.toml --output-file requirements.lock

# Conda environments from the lock file; the last step checks them.
envs: | $(UV) $(VENV)/.synced
	$(BIN)/python envs/generate.py $(UV)
	$(BIN)/pytest -q tests/workflow/test_envs.py

# An optional peer, a program under the GPL-3.0 in an environment of its own: docs/methods.md.
eclare: .eclare/bin/run-eclare

.eclare/bin/run-eclare: envs/eclare.txt
	$(PYTHON) -m venv .eclare
	.eclare/bin/python -m pip install --quiet --requirement envs/eclare.txt
	@touch $@

# The pictures of the README and docs, after `make demo` and `snakemake peers`; needs graphviz. docs/results/audit.png is of an
# older study, as its page says.
docs: $(VENV)/.synced
	$(SNAKEMAKE) --rulegraph | dot -Tsvg > docs/rules.svg
	$(BIN)/python benchmarks/panel.py
	cp results/peers/figures/cost.png docs/results/peers.png

# The models of src/interslice/methods/pretrained and their card, trained anew with the long budget.
pretrained: $(VENV)/.synced
	$(SNAKEMAKE) pretrained --cores $(CORES) $(ARGS)
	cp results/long/pretrained/* src/interslice/methods/pretrained/

# Wheel, source package and source archive of the last commit, in dist/.
release: $(VENV)/.synced
	$(BIN)/python envs/release.py

clean:
	rm -rf results .snakemake
