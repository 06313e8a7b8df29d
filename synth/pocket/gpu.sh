#!/usr/bin/env bash
# Makes the three generators on one GPU and packs them.
#   gpu.sh DATA OUT [MINUTES=9] [MODELS="all photo draw"]
# DATA is a data folder or the tar file that pack.py makes. MINUTES is for all the models together, measuring included; three
# calls of 9 minutes with one model each give better models than one call with three. OUT gets
# pocket.tar.NN in parts of 15 MB: `cat OUT/pocket.tar.* | tar x` gives pocket-NAME/, which go to assets/pocket/NAME/.
# Runs are kept in ./runs, and finished stages are not repeated when it is called again. A folder init/NAME (an exported folder that came
# back from an earlier call) is what NAME begins from; a call for one model packs pocket-NAME-teacher for that, the weights before distilling.
set -euo pipefail
data=$(realpath "$1"); out=$(realpath "$2"); minutes=${3:-9}; models=${4:-all photo draw}
cd "$(dirname "$0")"; export PYTHONUNBUFFERED=1
if [ -f "$data" ]; then mkdir -p runs/data; tar xf "$data" -C runs/data; data=$PWD/runs/data; fi
# Per model, two minutes are left for reading, compiling, choosing the sampling and measuring.
each=$(python3 -c "print(max(0.3, $minutes / $(wc -w <<<"$models") - 2))")
for m in $models; do
  mkdir -p "runs/$m"
  init=(); if [ -d "init/$m" ]; then init=(--init "init/$m"); fi
  python3 make.py "$m" --data "$data" --out "runs/$m" --minutes "$each" "${init[@]}" 2>&1 | tee -a "runs/$m/out.txt"
  ln -sfn "$m/weights" "runs/pocket-$m"
  ln -sfn "$m/teacher" "runs/pocket-$m-teacher"
  made=(); for k in $models; do if [ -f "runs/$k/weights/README.md" ]; then made+=("pocket-$k"); fi; done
  if [ "$models" = "$m" ]; then made+=("pocket-$m-teacher"); fi
  tar chf - -C runs "${made[@]}" | split -d -b 15m - "$out/pocket.tar."
done
ls -l "$out"
