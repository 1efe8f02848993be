#!/usr/bin/env bash
# Runs a command of tollgate_command_test (commands.bzl), in the environment that ctest gives it.
set -euo pipefail
built=$PWD
tree=$(dirname "$(realpath CMakeLists.txt)")
words=()
for word in "$@"; do
  word=${word//\{tree\}/$tree}
  words+=("${word//\{built\}/$built}")
done
export TOLLGATE_BIN=$built/bin TOLLGATE_SOURCE=$tree PYTHONDONTWRITEBYTECODE=1
export TOLLGATE_WALL_CLOCK=$built/tests/e2e/libwall_clock.so TOLLGATE_BAD_DISK=$built/tests/e2e/libbad_disk.so
export TOLLGATE_PROCESSORS=$built/tests/e2e/libprocessors.so
cd "$tree"
exec "${words[@]}"
