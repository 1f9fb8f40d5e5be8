# make demo        set up, then a few meta-iterations on real evaluation tasks
# make test        set up, then all checks and tests
# make lint        ruff, import-linter, deptry and mypy
# make docs        set up, then the documentation site in build/site; warnings are errors
# make bench       set up, then the engine and evolution against the oracle in plain Python
# make sanitize    the engine's tests under address, undefined-behaviour and thread sanitizers
# make faults      kills, full disks and failing disks in every command that writes files: six minutes
# make fuzz        libFuzzer on the engine (needs clang) for SECONDS, or with SECONDS=0 for RUNS inputs

VENV   ?= .venv
PYTHON ?= python3
RUN    ?= runs/demo
SOAK   ?= 100000
RUNS   ?= -1
SECONDS ?= 300

setup: $(VENV)/.ready

# A change of what the build depends on sets up again.
$(VENV)/.ready: pyproject.toml constraints.txt CMakeLists.txt $(wildcard engine/*.hpp engine/*.cpp engine/primitives/*)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt torch==2.13.0 nanobind scikit-build-core
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt \
	  --no-build-isolation --editable '.[learn,dev]'
	$(VENV)/bin/codeit experts
	touch $@

demo: setup
	$(VENV)/bin/codeit run smoke --out $(RUN)

test: lint
	$(VENV)/bin/python -m pytest --numprocesses auto --dist loadscope
	$(MAKE) sanitize SOAK=20000

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports
	$(VENV)/bin/deptry src
	$(VENV)/bin/mypy

docs: setup
	$(VENV)/bin/sphinx-build -q -W --keep-going -c docs . build/site
	@echo build/site/docs/index.html

bench: setup
	$(VENV)/bin/python benchmarks/engine.py
	$(VENV)/bin/python benchmarks/evolution.py

# Address and undefined behaviour: no program reads or writes out of bounds. Thread: no data races.
sanitize:
	cmake -S . -B build/asan -DCMAKE_BUILD_TYPE=None -DCODEIT_SANITIZE=address,undefined
	cmake --build build/asan --parallel 2
	build/asan/engine_tests $(SOAK)
	build/asan/fuzz_replay engine/fuzz/corpus
	cmake -S . -B build/tsan -DCMAKE_BUILD_TYPE=None -DCODEIT_SANITIZE=thread
	cmake --build build/tsan --parallel 2
	build/tsan/engine_tests $(SOAK)

# A fault at (nearly) every call that changes a file: nothing is lost, and the same command continues.
faults: setup
	PYTHONPATH=tests $(VENV)/bin/python -m faults

# No input crashes the engine, takes seconds or much memory, or breaks a promise of its headers. Inputs
# that reach new code are kept in build/fuzz/found; a failing one is left in build/fuzz.
fuzz:
	cmake -S . -B build/fuzz -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_COMPILER=clang++ -DCODEIT_FUZZ=ON
	cmake --build build/fuzz --parallel 2
	mkdir -p build/fuzz/found
	ASAN_OPTIONS=malloc_context_size=4:quarantine_size_mb=16 build/fuzz/fuzz -max_total_time=$(SECONDS) \
	  -runs=$(RUNS) -max_len=512 -timeout=2 -rss_limit_mb=512 -malloc_limit_mb=64 -entropic=0 \
	  -artifact_prefix=build/fuzz/ -print_final_stats=1 build/fuzz/found engine/fuzz/corpus

clean:
	rm -rf $(VENV) build

.PHONY: setup demo test lint docs bench sanitize faults fuzz clean
