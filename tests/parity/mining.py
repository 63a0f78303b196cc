"""Extracts the cases without filters from the golden values of mine_hard_negatives, with cosines as scores.

Run: python mining.py GOLDEN/mining ../fixtures/mining
"""

import json
import math
import struct
import sys
from array import array
from pathlib import Path

SOURCE, TARGET = map(Path, sys.argv[1:])
CASES = ["n_tuple_2", "n_tuple_scores_range", "labeled_list_scores"]

data = (SOURCE / "mining.safetensors").read_bytes()
start = 8 + struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8:start])


def unit_rows(name):
    (rows, dim), (begin, end) = header[name]["shape"], header[name]["data_offsets"]
    values = array("f", data[start + begin : start + end])
    vectors = [values[row * dim : (row + 1) * dim] for row in range(rows)]
    return [[x / math.hypot(*vector) for x in vector] for vector in vectors]


def row(example):
    if isinstance(example["answer"], list):
        return [example["query"], *example["answer"]]
    negatives = sorted(name for name in example if name.startswith("negative"))
    return [example["query"], example["answer"], *(example[name] for name in negatives)]


def case(golden):
    params = golden["params"]
    num_negatives, range_min = params.get("num_negatives", 3), params.get("range_min", 0)
    # The library's default: enough for the query with the most positives, here 3.
    range_max = params.get("range_max", range_min + num_negatives + 3)
    rows = [row(example) for example in golden["rows"]]
    return {"name": golden["name"], "num_negatives": num_negatives, "range_min": range_min, "range_max": range_max, "rows": rows}


golden = json.loads((SOURCE / "mining.json").read_text())
documents = dict(zip(golden["documents"], unit_rows("corpus_embeddings")))
scores = [
    [round(sum(map(float.__mul__, query, documents[text])), 7) for text in golden["corpus"]]
    for query in unit_rows("query_embeddings")
]
TARGET.mkdir(parents=True, exist_ok=True)
(TARGET / "top.json").write_text(json.dumps({
    "versions": golden["versions"],
    "note": "the last two texts of the corpus appear twice; scores[i][j]: cosine of query i and corpus text j; rows: query, positive, negatives",
    "queries": golden["queries"],
    "corpus": golden["corpus"],
    "pairs": golden["pairs"],
    "scores": scores,
    "cases": [case(golden) for golden in golden["cases"] if golden["name"] in CASES],
}, separators=(",", ":")))
