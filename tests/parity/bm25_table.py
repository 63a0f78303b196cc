"""Helps bm25.sh: tokens as lines of text, and what a round says."""

import json
import statistics
import sys
from pathlib import Path

work, rest = sys.argv[1], sys.argv[2:]
if work == "tokens":
    loaded = json.loads(Path(rest[0]).read_text())
    for name in ("docs", "queries"):
        Path(f"{rest[1]}.{name}.txt").write_text("".join(" ".join(tokens) + "\n" for tokens in loaded[name]))
else:
    last = lambda side: json.loads(Path(f"{rest[0]}.{side}.jsonl").read_text().splitlines()[-1])
    peer, ours = last("peer")["results"]["bm25s-numba"], last("ours")
    index, query = statistics.median(ours["index_s"]), statistics.median(ours["query_s"])
    speed = ours["sizes"]["queries"] / query
    print(
        f"index {peer['index_s']['median']:.3f} s / {index:.3f} s = {peer['index_s']['median'] / index:.2f}x, "
        f"queries/s {peer['queries_per_s']:,.0f} / {speed:,.0f} = {speed / peer['queries_per_s']:.2f}x, "
        f"MiB {peer['peak_rss_mib']:.0f} / {ours['peak_rss_mib']:.0f}"
    )
