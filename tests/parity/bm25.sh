#!/usr/bin/env bash
# Compares BM25 with bm25s (numba): building an index of given tokens, and a search with all queries for the best 100. Both
# sides have the same tokens and one thread, and run in turns. Prints a line per case and round.
#
#   bm25.sh PEERS VENV OUT [CASE ..]
#
# PEERS contains bm25.py and common.py, with data in PEERS/../data/scifact; VENV has bm25s 0.3.16 and numba; OUT is for the
# tokens and the records. Cases: scifact, synthetic (100,000 documents). Build first: cargo build --release -p kensaku
# --example bm25. ROUNDS (default 3) of REPEATS (default 5).
set -euo pipefail
peers=$1 python=$2/bin/python out=$3
shift 3
here="$(cd "$(dirname "$0")" && pwd)"
ours="${CARGO_TARGET_DIR:-target}/release/examples/bm25"
repeats=${REPEATS:-5}
cases=("$@")
[ $# -gt 0 ] || cases=(scifact synthetic)
mkdir -p "$out"
rm -f "$out"/*.peer.jsonl "$out"/*.ours.jsonl

for case in "${cases[@]}"; do
  if [ "$case" = synthetic ]; then data=(--synthetic "${DOCS:-100000}"); else data=(--data "$peers/../data/$case"); fi
  for round in $(seq "${ROUNDS:-3}"); do
    tokens="$out/$case.tokens.json"
    write=()
    [ -e "$tokens" ] || write=(--write-tokens "$tokens")
    "$python" -W ignore "$peers/bm25.py" "${data[@]}" "${write[@]}" --backends numba --threads 1 --repeats "$repeats" \
      2>>"$out/peer.log" >>"$out/$case.peer.jsonl"
    [ -e "$out/$case.docs.txt" ] || "$python" "$here/bm25_table.py" tokens "$tokens" "$out/$case"
    RAYON_NUM_THREADS=1 "$ours" --docs "$out/$case.docs.txt" --queries "$out/$case.queries.txt" --repeats "$repeats" \
      2>>"$out/ours.log" >>"$out/$case.ours.jsonl"
    printf '%s, round %s, load %s: ' "$case" "$round" "$(cut -d' ' -f1 /proc/loadavg)"
    "$python" "$here/bm25_table.py" round "$out/$case"
  done
done
