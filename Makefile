# `make demo` and `make test` work from a bare checkout: each installs what it needs first.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
# A file of tests a process. Slow ones start servers of up to 3 GB, and wait for them half of their time.
TOGETHER := -n auto --maxprocesses 8 --dist loadfile
SLOW_TOGETHER := -n 2 --dist loadfile

.PHONY: help install demo test check lint clean

help:
	@echo "make demo     a real sample crawl -> a corpus -> a small model that writes (under 10 minutes on 2 cores)"
	@echo "make check    lint, types and fast tests (under 5 minutes)"
	@echo "make test     the whole suite, slow end-to-end tests too"
	@echo "make install  the virtual environment .venv, with pinned packages"
	@echo "make clean    remove what the demo made"

install: $(STAMP)
	@echo "ready: source $(BIN)/activate, then corpuscle --help; or make demo"

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Corpuscle needs Python 3.11 or later, this is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@# Quiet twice: errors are shown, but not pip's warning about the index, which comes once for each package.
	$(BIN)/python -m pip install --quiet --quiet --upgrade "pip>=24"
	@# setuptools warns about every editable installation; there is nothing for a reader to do about it.
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --quiet -c constraints.txt -e ".[dev]"
	$(BIN)/corpuscle fetch
	touch $@

demo: $(STAMP)
	PATH="$(CURDIR)/$(BIN):$$PATH" sh demo.sh

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy pipeline labeling trainer flywheel dags corpuscle benchmarks
	$(BIN)/pytest -q $(TOGETHER) -m "not slow"

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy pipeline labeling trainer flywheel dags corpuscle benchmarks
	$(BIN)/pytest -q $(TOGETHER) -m "not slow"
	$(BIN)/pytest -q $(SLOW_TOGETHER) -m slow

clean:
	rm -rf demo/crawl demo/corpus demo/model
