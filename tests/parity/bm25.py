"""BM25 scores of bm25s on made-up words: golden values that come with the repository.

Run: python bm25.py ../fixtures/bm25        (bm25s 0.3.16)
"""

import json
import random
import sys
from pathlib import Path

import bm25s
import numpy as np

TARGET = Path(sys.argv[1])
SETTINGS = [(1.2, 0.75), (0.9, 0.4), (1.5, 0.75), (1.2, 1.0), (1.2, 0.0), (0.0, 0.75)]
K = 20

rng = random.Random(1)
words = [a + b for a in "abcdefgh" for b in "vwxyz"]
# Words of all frequencies, documents of all lengths: one is empty, and two are the same.
draw = lambda n: rng.choices(words, weights=[1 / (rank + 1) for rank in range(len(words))], k=n)
docs = [draw(rng.randrange(1, 40)) for _ in range(80)]
docs[7], docs[9] = [], docs[8]
queries = [draw(rng.randrange(1, 6)) for _ in range(12)]
queries[1] += queries[1][:1]  # a repeated word
queries[2] += ["unknown"]

cases = []
for k1, b in SETTINGS:
    index = bm25s.BM25(method="lucene", k1=k1, b=b)
    index.index(docs, show_progress=False)
    rows = []
    for number, query in enumerate(queries):
        scores = index.get_scores([word for word in query if word in index.vocab_dict]).astype(np.float64)
        order = np.lexsort((np.arange(len(docs)), -scores))[:K]
        order = [int(doc) for doc in order if scores[doc] > 0]
        rows.append(
            {
                "query_id": f"q{number}",
                "number_nonzero": int((scores > 0).sum()),
                "sum_of_all_scores": float(scores.sum()),
                "top": order,
                "scores": [float(scores[doc]) for doc in order],
            }
        )
    cases.append({"method": "lucene", "k1": k1, "b": b, "rows": rows})

TARGET.mkdir(parents=True, exist_ok=True)
tokens = {
    "doc_ids": [f"d{doc:02}" for doc in range(len(docs))],
    "docs": [" ".join(doc) for doc in docs],
    "query_ids": [f"q{query}" for query in range(len(queries))],
    "queries": [" ".join(query) for query in queries],
}
(TARGET / "words.tokens.json").write_text(json.dumps(tokens, indent=1) + "\n")
(TARGET / "words.expected.json").write_text(json.dumps({"cases": cases}) + "\n")
