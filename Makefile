# make demo    explain one output of a real model (MODEL=folder: of your own)
# make test    build and run all tests
# make help    the rest
BUILD ?= build
GENERATOR ?= Ninja
JOBS ?= $(shell nproc)
MODEL ?=
PREFIX ?= /usr/local

.PHONY: help setup build demo test asan ubsan tsan coverage lint format bench fuzz mutants install clean

help:
	@echo "make demo            explain one output of SmolLM2 and of two adapters (MODEL=folder: of a model of your own)"
	@echo "make test            build, run all tests"
	@echo "make asan ubsan tsan the tests under a sanitizer"
	@echo "make coverage        which lines and functions the tests run"
	@echo "make lint            formatting, clang-tidy, a clean clang build"
	@echo "make bench           time limn beside its peers (PEERS=python that has torch, transformers, captum)"
	@echo "make fuzz            fuzz the file readers (SECONDS=300 each)"
	@echo "make mutants         change single lines and see whether the tests notice (COUNT=60 SEED=1 MINUTES=0 FILES=src/*)"
	@echo "make install         install below PREFIX ($(PREFIX)); DESTDIR is honoured"

setup:
	@scripts/setup

$(BUILD)/build.ninja:
	@cmake -S . -B $(BUILD) -G $(GENERATOR) > /dev/null

build: setup $(BUILD)/build.ninja
	@cmake --build $(BUILD) --parallel $(JOBS) -- --quiet

demo: setup $(BUILD)/build.ninja
	@cmake --build $(BUILD) --parallel $(JOBS) --target limn -- --quiet
	@scripts/demo $(BUILD)/limn $(MODEL)

# Tests on real models skip, with a line that says so, when these cannot be fetched.
test: build
	@scripts/models smollm2 > /dev/null || true
	@scripts/models minilm > /dev/null || true
	@scripts/test $(BUILD) $(JOBS)

asan ubsan tsan: setup
	@scripts/sanitize $@ $(JOBS)

coverage: setup
	@scripts/coverage $(JOBS)

lint:
	@scripts/setup --dev
	@scripts/lint $(JOBS)

format:
	@find include src tests bench fuzz -name '*.[ch]' -exec clang-format -i {} +

bench: setup
	@bench/run $(if $(PEERS),--peers $(PEERS)) $(BENCH)

fuzz:
	@scripts/setup --dev
	@fuzz/run $(SECONDS)

mutants: setup
	@scripts/mutants --jobs $(JOBS) $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(MINUTES),--minutes $(MINUTES)) $(if $(FILES),--files '$(FILES)')

install: build
	@DESTDIR=$(DESTDIR) cmake --install $(BUILD) --prefix $(PREFIX)

clean:
	@rm -rf build build-* out
