#!/bin/sh
# Fuzzes: fuzz/run.sh [seconds for each target] [target ...]
# Without targets: all of them, one after the other. FUZZ_BUILD names the build folder (default build-fuzz).
# What a run finds is left in FUZZ_BUILD/found/ as crash-*, timeout-* or oom-* and makes the script fail.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
build=${FUZZ_BUILD:-$root/build-fuzz}
seconds=${1:-60}
[ $# -gt 0 ] && shift

cmake -S "$root" -B "$build" -G Ninja -DCMAKE_C_COMPILER="${FUZZ_CC:-clang}" -DLIMN_FUZZ=ON \
  -DLIMN_SANITIZE=address,undefined -DBUILD_TESTING=OFF >"${TMPDIR:-/tmp}/limn-fuzz-configure.log" ||
  { cat "${TMPDIR:-/tmp}/limn-fuzz-configure.log"; exit 1; }
if [ $# -eq 0 ]; then
  for source in "$root"/fuzz/fuzz_*.c; do
    name=$(basename "$source" .c)
    set -- "$@" "${name#fuzz_}"
  done
fi

failed=
for target in "$@"; do
  ninja -C "$build" "fuzz_$target" >/dev/null 2>&1 || { ninja -C "$build" "fuzz_$target"; exit 1; }
  corpus=$build/corpus/$target # grows here; only what `fuzz/minimise.sh` keeps goes back into the tree
  mkdir -p "$corpus" "$build/found"
  log=$build/found/$target.log
  options="-max_total_time=$seconds -rss_limit_mb=2048 -timeout=20 -max_len=65536 -print_final_stats=1"
  [ -f "$root/fuzz/$target.dict" ] && options="$options -dict=$root/fuzz/$target.dict"
  if "$build/fuzz/fuzz_$target" $options -artifact_prefix="$build/found/$target-" \
    "$corpus" "$root/fuzz/corpus/$target" >"$log" 2>&1; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    printf '%-14s clean: %s inputs in %s s\n' "$target" "$runs" "$seconds"
  else
    printf '%-14s FAILED: see %s\n' "$target" "$log"
    failed="$failed $target"
  fi
done
[ -z "$failed" ]
