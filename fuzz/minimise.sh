#!/bin/sh
# Keeps of what the last runs gathered the fewest inputs with the same coverage: fuzz/minimise.sh [target ...]
# Seeds (seed-*) and reproducers (fixed-*) stay. New inputs larger than 4 KiB are left out: the tree stays small.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
build=${FUZZ_BUILD:-$root/build-fuzz}
if [ $# -eq 0 ]; then
  for folder in "$build"/corpus/*/; do
    set -- "$@" "$(basename "$folder")"
  done
fi
for target in "$@"; do
  kept=$root/fuzz/corpus/$target
  merged=$build/merged/$target
  rm -rf "$merged"
  mkdir -p "$merged" "$kept"
  "$build/fuzz/fuzz_$target" -merge=1 -rss_limit_mb=2048 -timeout=20 -max_len=4096 "$merged" "$kept" \
    "$build/corpus/$target" >"$build/found/$target-merge.log" 2>&1
  find "$kept" -type f ! -name 'seed-*' ! -name 'fixed-*' -delete
  for file in "$merged"/*; do
    [ -e "$file" ] || continue
    cmp -s "$file" /dev/null && continue
    known=
    for seed in "$kept"/*; do
      if cmp -s "$file" "$seed"; then known=1; break; fi
    done
    [ -n "$known" ] || cp "$file" "$kept/"
  done
  printf '%-14s %s files, %s\n' "$target" "$(ls "$kept" | wc -l)" "$(du -sh --apparent-size "$kept" | cut -f1)"
done
