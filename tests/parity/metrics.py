"""Reduces the golden values of pytrec_eval to the metrics that we implement.

Run: python metrics.py GOLDEN/metrics ../fixtures/metrics
"""

import json
import re
import shutil
import sys
from pathlib import Path

SOURCE, TARGET = map(Path, sys.argv[1:])
OURS = re.compile(r"map|recip_rank|ndcg|(P|recall|map_cut|ndcg_cut|success)_\d+")


def ours(values):
    return {name: value for name, value in values.items() if OURS.fullmatch(name)}


golden = json.loads((SOURCE / "pytrec_eval.json").read_text())
for run in golden["runs"].values():
    run["mean"] = ours(run["mean"])
    run["mean_all_qrels"] = ours(run["mean_all_qrels"])
    run["per_query"] = {query: ours(values) for query, values in run["per_query"].items()}

TARGET.mkdir(parents=True, exist_ok=True)
(TARGET / "pytrec_eval.json").write_text(json.dumps(golden, separators=(",", ":")))
for name in ["qrels.txt", "run_a.txt", "run_b.txt", "run_c.txt"]:
    shutil.copyfile(SOURCE / name, TARGET / name)
