# Each target is one command on a fresh machine: it creates .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help venv demo test chaos browser sshd s3 azurite postgres tensorflow lint docs-test bench tables priors peers clean
.DEFAULT_GOAL := help

help:
	@echo "make demo       search digit classifiers under a latency budget on this machine"
	@echo "make test       run the tests"
	@echo "make chaos      kill every process of 50 jobs at random moments, and count what is lost"
	@echo "make lint       ruff and mypy"
	@echo "make docs-test  run every code block of README and docs"
	@echo "make bench      the main benchmark, short form"
	@echo "make priors     fit the shipped latency predictors again on the published data"
	@echo "make peers      install the tools that benchmarks compare with, apart from hwnas"

venv: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("hwnas needs Python 3.10 or newer; try: make PYTHON=python3.11") if sys.version_info < (3, 10) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: venv
	$(BIN)/python examples/digits.py

test: venv browser sshd s3 azurite postgres tensorflow
	$(BIN)/pytest -n 2 --dist loadfile

chaos: venv s3 postgres
	CHAOS_RUNS=50 $(BIN)/pytest tests/chaos -n 0 -s --timeout 7200

# The report's script is tested in a real browser. Root gets one; others are told, and skip.
browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get -qq update && apt-get -qq install -y chromium >/dev/null; \
	else echo "no chromium: the browser tests will be skipped (apt-get install chromium)"; fi

# Devices elsewhere are tested over a real ssh, to this host.
sshd:
	@test -x /usr/sbin/sshd || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get -qq update && apt-get -qq install -y openssh-server >/dev/null; \
	else echo "no sshd: the ssh tests will be skipped (apt-get install openssh-server)"; fi

# Studies of teams lie in PostgreSQL.
postgres:
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get -qq update && apt-get -qq install -y postgresql >/dev/null; \
	else echo "no PostgreSQL: its tests will be skipped (apt-get install postgresql)"; fi

# Servers that speak S3: one that knows all of S3's errors, and one that keeps its objects on disk.
# Their packages are of no use to hwnas, so they have their own environments.
s3: .peers/moto/.installed .peers/seaweedfs/.installed

# Microsoft's emulator of Azure's storage, which needs Node.
azurite:
	@test -x .peers/azurite/node_modules/.bin/azurite-blob || \
	if command -v npm >/dev/null; then \
		npm install --prefix .peers/azurite --no-audit --no-fund --loglevel=error azurite@3.37.0; \
	else echo "no npm: the tests on Azure's storage will be skipped (apt-get install npm)"; fi

# Trainers that were written for Vertex AI NAS use TensorFlow, which wants other versions of packages.
tensorflow: .peers/tensorflow/.installed

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs-test: venv
	$(BIN)/python -m tests.docs.run

bench: venv
	$(BIN)/python -m benchmarks.main --quick

# The tables and the plot of docs/from-help.md; needs the published data (HWNAS_TEST_DATA), hours.
tables: venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks.predict --json predict.json
	$(BIN)/python -m benchmarks.help_tables predict.json

# The predictors that come with hwnas; needs the published data, too.
priors: venv
	$(BIN)/python -m benchmarks.priors

# The peers need other versions of packages than hwnas, so each has an environment of its own.
peers: .peers/nni/.installed

.peers/moto/.installed: tests/jobs/moto.txt
.peers/seaweedfs/.installed: tests/chaos/seaweedfs.txt
.peers/nni/.installed: benchmarks/nni.txt
.peers/tensorflow/.installed: tests/vertex/tensorflow.txt
.peers/%/.installed:
	$(PYTHON) -m venv .peers/$*
	.peers/$*/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

clean:
	rm -rf $(VENV) .peers runs
