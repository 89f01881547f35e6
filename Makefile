# `make tour` and `make test` each set up what they need, in .venv, from a machine with only Python, pip and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A mark for each set of extras that was installed since pyproject.toml changed
MARK = $(VENV)/.installed-
# A mark that the tests have a browser; without it they skip, and the next `make test` tries again
BROWSER := $(VENV)/.browser

.PHONY: tour test bench clean
.DEFAULT_GOAL := help

help:
	@echo "make tour    run the lessons and build a site of them, to open from disk: build/tour/index.html"
	@echo "make test    run ruff, mypy and the tests"
	@echo "make clean   remove .venv and everything that was built"
	@echo "make bench   time this engine beside PyTorch, JAX and others, in about ten minutes"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(MARK)%: pyproject.toml | $(BIN)/python
	@echo "installing what make $* needs into $(VENV) …"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[$*]"
	@touch $@

tour: $(MARK)tour
	$(BIN)/python -m tutorials

$(BROWSER): tests/setup_browser.py $(MARK)test
	@if $(BIN)/python $<; then touch $@; fi

test: $(MARK)test $(BROWSER)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto -rs

bench: $(MARK)bench
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
