#!/usr/bin/env bash
# Writes assets/SHA256SUMS anew: the files that the program reads, which `promptfed doctor` compares.
set -euo pipefail
cd "$(dirname "$0")/../assets"
find . -type f \( -name '*.safetensors' -o -name '*.json' -o -name '*.parquet' -o -name 'words.txt' \) -printf '%P\n' \
    | LC_ALL=C sort | xargs sha256sum >SHA256SUMS.new
mv SHA256SUMS.new SHA256SUMS
