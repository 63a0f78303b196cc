#!/usr/bin/env bash
# Compares mining of hard negatives with sentence-transformers' `mine_hard_negatives`. Both sides have the same numbers of
# queries and documents, and run in turns. Prints two JSON lines per case and round, the peer's first.
#
#   mine.sh PEERS VENV MINILM [CASE ..]
#
# PEERS contains mine.py and common.py, with data in PEERS/../data/scifact; VENV is the environment sentence-transformers-6 of
# directories.sh, with datasets and faiss-cpu; MINILM is the directory of all-MiniLM-L6-v2. Cases: synthetic (10,000 queries,
# 100,000 vectors of 384 numbers), scifact (with encoding). Build first: cargo build --release -p kensaku --example mine.
# ROUNDS (default 3); THREADS is 2 by default.
set -euo pipefail
peers=$1 python=$2/bin/python minilm=$3
shift 3
ours="${CARGO_TARGET_DIR:-target}/release/examples/mine"
threads=${THREADS:-2}
export RAYON_NUM_THREADS=$threads OMP_NUM_THREADS=$threads
cases=("$@")
[ $# -gt 0 ] || cases=(synthetic scifact)
data="$peers/../data/scifact"
for case in "${cases[@]}"; do
  for round in $(seq "${ROUNDS:-3}"); do
    echo "$case, round $round, load $(cut -d' ' -f1 /proc/loadavg)"
    if [ "$case" = synthetic ]; then
      "$python" -W ignore "$peers/mine.py" --mode synthetic --threads "$threads" 2>/dev/null
      "$ours" 2>/dev/null
    else
      "$python" -W ignore "$peers/mine.py" --mode scifact --data "$data" --model "$minilm" --threads "$threads" 2>/dev/null
      "$ours" --data "$data" --model "$minilm" 2>/dev/null
    fi
  done
done
