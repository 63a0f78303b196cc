#!/usr/bin/env python3
"""The peer of `--example indexes -- late FOLDER`: fast-plaid on the same vectors of tokens, with its defaults. Prints one JSON
line: seconds to build, queries per second of the median of five, and how many of the best ten by exact MaxSim it finds.

    pip install fast-plaid==1.7.0.2100 safetensors    # for torch 2.10
    python late_index.py FOLDER [THREADS]
"""

import json
import shutil
import statistics
import sys
import tempfile
import time

import torch
from fast_plaid import search
from safetensors.torch import load_file

folder, threads = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2
torch.set_num_threads(threads)
tensors = load_file(f"{folder}/tokens.safetensors")


def matrices(name):
    bounds = tensors[f"{name}.bounds"].tolist()
    return [tensors[f"{name}.vectors"][a:b] for a, b in zip(bounds, bounds[1:])]


def timed(work):
    start = time.perf_counter()
    made = work()
    return made, time.perf_counter() - start


def main():
    docs, queries = matrices("docs"), matrices("queries")
    place = tempfile.mkdtemp()
    index = search.FastPlaid(index=place, device="cpu")
    _, build = timed(lambda: index.create(documents_embeddings=docs))
    asked = torch.stack(queries)
    points = []
    for full in (8192, 4096, 1024):
        runs = [timed(lambda: index.search(queries_embeddings=asked, top_k=100, n_full_scores=full)) for _ in range(5)]
        points.append((full, runs[0][0], len(queries) / statistics.median(seconds for _, seconds in runs)))
    best = []
    for query in queries:
        scores = torch.tensor([(query @ doc.T).max(dim=1).values.sum() for doc in docs])
        best.append(set(scores.topk(10).indices.tolist()))
    for full, found, rate in points:
        shared = sum(len(best[q] & {doc for doc, _ in hits[:10]}) for q, hits in enumerate(found))
        print(json.dumps({"build_s": build, "n_full_scores": full, "queries_per_s": rate, "recall_10": shared / 10 / len(queries)}))
    shutil.rmtree(place)


if __name__ == "__main__":
    main()
