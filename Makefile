# Thin: each target calls a script, and CMake does the building.
.PHONY: help demo run test check test-full tsan thread-safety bazel-test lint man simulate model faults fuzz mutations bench landed-contracts clean
.DEFAULT_GOAL := help
export STORE

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## install what is missing, build, and watch the whole life of a token
	@scripts/install-packages build
	@scripts/build release tollgated tollgate-validator tollgate
	@scripts/demo

run: ## the same service and validator, left running until Ctrl-C (STORE=DIR keeps its store there)
	@scripts/install-packages build
	@scripts/build release tollgated tollgate-validator tollgate
	@scripts/demo --keep-running $${STORE:+--store "$$STORE"}

test: ## everything, in release; then unit, conformance, crash and fuzz corpora under asan and ubsan
	@scripts/install-packages build test
	@scripts/test

check: ## formatting, clang-tidy of what changed (BASE=revision), contracts, locks
	@scripts/install-packages build lint
	@scripts/check $(PARTS)

test-full: ## what searches, for hours; its results go to docs/test-full.md (PARTS="tsan model" for some)
	@scripts/install-packages build test lint
	@scripts/test-full $(PARTS)

tsan: ## every test with threads under the thread sanitizer
	@scripts/install-packages build test
	@scripts/test tsan-only

thread-safety: ## the whole tree with clang, its thread-safety annotations as errors
	@scripts/install-packages build test lint
	@scripts/build thread-safety

bazel-test: ## the same tree by Bazel, offline: all of it, unit and conformance tests, a token's life; docs/building.md
	@scripts/install-packages build test bazel
	@scripts/bazel-test

lint: ## formatting, clang-tidy over everything, buf
	@scripts/install-packages build lint
	@scripts/lint

simulate: ## the simulation from a seed on: SEEDS=10000 FROM=1; docs/simulation.md
	@scripts/install-packages build test
	@scripts/build release simulation
	@build/release/tests/simulation/simulation --seeds $(or $(SEEDS),10000) --from $(or $(FROM),1)

model: ## search the model of the lease protocol exhaustively
	@scripts/install-packages test
	@tests/model/check

faults: ## real faults in full, a few minutes; docs/faults.md (NAMES="fleet slow" for some)
	@scripts/install-packages build test
	@scripts/build release tollgated tollgate-validator tollgate tollgate-fleet tollgate-traffic wall_clock bad_disk
	@.cache/venv/bin/python tests/faults/run $(NAMES)

fuzz: ## fuzz what strangers' bytes meet: SECONDS=60 each (NAMES="grant" for some)
	@scripts/install-packages build lint
	@scripts/fuzz $(or $(SECONDS),60) $(NAMES)

mutations: ## one-line faults, put into a copy: do the tests see them? COUNT=20 SEED=1 ROOM=token
	@scripts/install-packages build test
	@tests/mutations/run --count $(or $(COUNT),20) --seed $(or $(SEED),1) $(if $(ROOM),--room $(ROOM))

man: ## man pages of the three programs, from what their --help says: build/man
	@scripts/install-packages build man
	@scripts/build release tollgated tollgate-validator tollgate
	@scripts/man-pages

bench: ## benchmarks (docs/performance.md)
	@scripts/install-packages build test bench
	@scripts/bench

landed-contracts: ## remember what has landed, for `make check`: the contracts and the commit
	@scripts/install-packages lint
	@scripts/landed

clean: ## remove what was built; keeps what was installed
	rm -rf build
