#!/usr/bin/env bash
# Compares what the models do beside the bi-encoder's step (train_step.sh) with sentence-transformers 6: steps of SPLADE
# and ColBERT, the cross-encoder's predict and a listwise step, MaxSim (with PyLate's, too), and how fast a static
# embedding trains. Both sides have the same weights, texts and threads, and run in turns. Prints a table.
#
#   models.sh PEERS VENV MINILM OUT [CASE ..]
#
# PEERS contains train_step.py and common.py, with data in PEERS/../data/scifact; VENV is the environment
# sentence-transformers-6 of directories.sh; MINILM is the directory of all-MiniLM-L6-v2; OUT is for the records, which
# are made anew. Build first: cargo build --release -p kensaku --examples.
#
# On a machine that others load, set OMP_WAIT_POLICY=passive and read the ratio of CPU seconds: waiting threads of PyTorch
# otherwise count as work.
#
# ROUNDS (default 3) of STEPS (default 5) timed repeats each. PAIRS, LISTS, QUERIES and DOCS make it smaller, THREADS is
# 2 by default.
set -euo pipefail
peers=$1 python=$2/bin/python minilm=$3 out=$4
shift 4
here="$(cd "$(dirname "$0")" && pwd)"
ours="${CARGO_TARGET_DIR:-target}/release/examples"
threads=${THREADS:-2} steps=${STEPS:-5} pairs=${PAIRS:-1000} lists=${LISTS:-16} queries=${QUERIES:-100} docs=${DOCS:-1000}
export RAYON_NUM_THREADS=$threads OMP_NUM_THREADS=$threads
cases=("$@")
[ $# -gt 0 ] || cases=(splade colbert predict-mixed predict-short listwise memory max-sim static)
mkdir -p "$out"
rm -f "$out"/*.jsonl "$out"/*.ours.f32 "$out"/*.peer.f32

peer() {
  "$python" -W ignore "$here/models.py" "$peers" "$@" --threads "$threads" --steps "$steps" 2>>"$out/peer.log"
}
[ -e "$out/docs.f32" ] || peer prepare "$out" --minilm "$minilm"

# train_step CASE MODEL LOSS BATCH: the peer's step, then ours on its tokens.
train_step() {
  "$python" -W ignore "$peers/train_step.py" --data "$peers/../data/scifact" --model "$2" --loss "$3" --batch "$4" --query-len 32 \
    --doc-len 128 --threads "$threads" --steps "$steps" --warmup 2 --no-gemm --plan "$out/$1.plan.json" \
    --tokens "$out/$1.tokens.json" 2>>"$out/peer.log" >>"$out/$1.peer.jsonl"
  "$ours/train_step" --model "$2" --plan "$out/$1.plan.json" --tokens "$out/$1.tokens.json" 2>>"$out/ours.log" \
    >>"$out/$1.ours.jsonl"
}

our() {
  "$ours/models" "$@" --out "$out" --steps "$steps" 2>>"$out/ours.log"
}

once() {
  case $1 in
  splade) train_step splade "$out/splade" splade 8 ;;
  colbert) train_step colbert "$minilm" colbert 32 ;;
  predict-*)
    peer predict "$out" --pairs "${1#predict-}" --count "$pairs" >>"$out/$1.peer.jsonl"
    our predict --pairs "${1#predict-}" --count "$pairs" >>"$out/$1.ours.jsonl"
    ;;
  listwise)
    peer listwise "$out" --lists "$lists" >>"$out/$1.peer.jsonl"
    our listwise --lists "$lists" >>"$out/$1.ours.jsonl"
    ;;
  max-sim)
    peer max_sim "$out" --by sentence-transformers --queries "$queries" --count "$docs" >>"$out/$1.peer.jsonl"
    peer max_sim "$out" --by pylate --queries "$queries" --count "$docs" >>"$out/$1.peer-pylate.jsonl"
    our max-sim --queries "$queries" --count "$docs" >>"$out/$1.ours.jsonl"
    ;;
  static) "$ours/static_step" --tokenizer "$minilm" 2>>"$out/ours.log" | tail -2 ;;
  esac
}

for case in "${cases[@]}"; do
  if [ "$case" = memory ]; then
    for size in 8 16 32; do
      our listwise --lists "$lists" --docs "$size" --micro-batch 2048 --steps 2 >"$out/memory-$size.ours.jsonl"
    done
    continue
  fi
  for round in $(seq "${ROUNDS:-3}"); do
    once "$case"
    echo "$case, round $round, load $(cut -d' ' -f1 /proc/loadavg)" >&2
  done
done
"$python" "$here/models.py" "$peers" table "$out"
