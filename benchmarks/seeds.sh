#!/usr/bin/env bash
# A recipe with several seeds, one table and one figure at the end:  benchmarks/seeds.sh OUT RECIPE SEED... [-- OPTION...]
# benchmarks/seeds.sh runs/seeds quickstart 0 1 2
set -euo pipefail
out=$1 recipe=$2 seeds=()
shift 2
while (($#)) && [ "$1" != "--" ]; do seeds+=("$1") && shift; done
(($#)) && shift

for seed in "${seeds[@]}"; do
  kerastl train "$recipe" --set "seed=$seed" --set "export.folder=$out/exports" --out "$out/seed-$seed" "$@"
done
runs=("${seeds[@]/#/$out/seed-}")
[ -d "$out/seed-${seeds[0]}/baseline" ] && runs+=("${runs[@]/%//baseline}")
kerastl compare "${runs[@]}" --figure "$out/seeds.png"
