# Thin: each target calls a script, and CMake does the building.
.PHONY: simulate help demo run test asan tsan thread-safety lint model bench clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## install what is missing, build, and watch the whole life of a token
	@scripts/install-packages build
	@scripts/build release tollgated tollgate-validator tollgate
	@scripts/demo

run: ## the same service and validator, left running until Ctrl-C
	@scripts/install-packages build
	@scripts/build release tollgated tollgate-validator tollgate
	@scripts/demo --keep-running

test: ## everything: unit, conformance, crash, end to end; then again under asan and ubsan
	@scripts/install-packages build test
	@scripts/test

tsan: ## unit, conformance and crash tests under the thread sanitizer
	@scripts/install-packages build test
	@scripts/build tsan
	@TSAN_OPTIONS="suppressions=$(CURDIR)/tests/tsan/suppressions.txt ignore_noninstrumented_modules=1 halt_on_error=1" \
	  ctest --test-dir build/tsan --output-on-failure --no-tests=error -L 'unit|conformance|crash'

thread-safety: ## clang's thread-safety annotations, as errors
	@scripts/install-packages build test lint
	@scripts/build thread-safety

lint: ## formatting, clang-tidy, buf
	@scripts/install-packages build test lint
	@scripts/lint

simulate: ## the simulation from a seed on: SEEDS=10000 FROM=1; docs/simulation.md
	@scripts/install-packages build test
	@scripts/build release simulation
	@build/release/tests/simulation/simulation --seeds $(or $(SEEDS),10000) --from $(or $(FROM),1)

model: ## search the model of the lease protocol exhaustively
	@scripts/install-packages test
	@tests/model/check

bench: ## benchmarks (docs/performance.md)
	@scripts/install-packages build test bench
	@scripts/bench

faults: ## real faults in full, a few minutes; docs/faults.md (NAMES="fleet slow" for some)
	@scripts/install-packages build test
	@scripts/build release tollgated tollgate-validator tollgate tollgate-fleet tollgate-traffic
	@.cache/venv/bin/python tests/faults/run $(NAMES)

clean: ## remove what was built; keeps what was installed
	rm -rf build
