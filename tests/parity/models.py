"""sentence-transformers 6's side of models.sh, and the table of both sides.

    models.py PEERS prepare OUT --minilm DIR    # weights, texts and vectors that both sides read
    models.py PEERS predict OUT --pairs mixed
    models.py PEERS listwise OUT --docs 8
    models.py PEERS max_sim OUT --by sentence-transformers
    models.py PEERS table OUT

PEERS contains train_step.py and common.py. Every run prints one JSON line: the seconds of each repeat, those of all
its threads, and the most memory of the process.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("peers")
parser.add_argument("work", choices=("prepare", "predict", "listwise", "max_sim", "table"))
parser.add_argument("out", type=Path)
parser.add_argument("--minilm", help="directory of all-MiniLM-L6-v2")
parser.add_argument("--pairs", choices=("mixed", "short"), default="mixed")
parser.add_argument("--by", choices=("sentence-transformers", "pylate"), default="sentence-transformers")
parser.add_argument("--count", type=int, default=1_000, help="pairs, or documents of MaxSim")
parser.add_argument("--lists", type=int, default=16, help="lists in a batch")
parser.add_argument("--docs", type=int, default=8, help="documents in a list")
parser.add_argument("--queries", type=int, default=100, help="queries of MaxSim")
parser.add_argument("--steps", type=int, default=3, help="timed repeats; one more goes before")
parser.add_argument("--threads", type=int, default=2)
args = parser.parse_args()
sys.path.insert(0, args.peers)
import common  # noqa: E402

common.set_threads(args.threads)

# The most tokens of a pair, of predict and of a list.
LENGTHS = {"predict": 256, "listwise": 128}
DIM = 128


def emit(times, **more):
    common.emit({"seconds": list(times), "cpu": times.cpu, "peak_rss_mib": common.peak_rss_mib(), **more})


def save(name, values):
    import numpy

    numpy.asarray(values, dtype="<f4").tofile(args.out / name)


def prepare():
    import numpy
    import torch
    from sentence_transformers import CrossEncoder, SparseEncoder
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sparse_encoder.modules import SpladePooling

    torch.manual_seed(42)
    # MiniLM has no head for words, nor for pairs: both sides get the same drawn one.
    module = Transformer(args.minilm, transformer_task="fill-mask", model_kwargs={"dtype": torch.float32})
    splade = SparseEncoder(modules=[module, SpladePooling(pooling_strategy="max")], device="cpu")
    splade.save_pretrained(str(args.out / "splade"))
    cross = CrossEncoder(args.minilm, num_labels=1, device="cpu", model_kwargs={"dtype": torch.float32})
    cross.save_pretrained(str(args.out / "cross"))

    data = Path(args.peers).parent / "data" / "scifact"
    corpus, queries = common.read_corpus(data), common.read_queries(data)
    docs, texts = list(corpus.values()), list(queries.values())
    rng = common.SplitMix64(42)

    def cut(words, fewest, most):
        return " ".join(words.split()[: fewest + rng.below(most - fewest + 1)])

    # Abstracts of any length up to the model's limit, and titles: pairs of about 40 tokens.
    pairs = {"mixed": (4, 200), "short": (6, 14)}
    for name, (fewest, most) in pairs.items():
        rows = [[texts[i % len(texts)], cut(docs[rng.below(len(docs))], fewest, most)] for i in range(1_000)]
        common.write_json(args.out / f"{name}.json", rows)
    judged = [(query, doc) for query, doc, score in common.read_qrels(data, "train") if score > 0]
    rng.shuffle(judged)
    lists = [
        {"query": queries[query], "docs": [corpus[doc]] + [docs[rng.below(len(docs))] for _ in range(31)]}
        for query, doc in judged[:256]
    ]
    common.write_json(args.out / "lists.json", lists)

    random = numpy.random.default_rng(42)
    for name, rows in {"queries": 100 * 32, "docs": 1_000 * 180}.items():
        vectors = random.standard_normal((rows, DIM), dtype="float32")
        save(f"{name}.f32", vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True))


def predict():
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(args.out / "cross"), device="cpu", max_length=LENGTHS["predict"])
    pairs = json.loads((args.out / f"{args.pairs}.json").read_text())[: args.count]
    times, scores = common.timed_repeats(lambda: model.predict(pairs), args.steps)
    save(f"predict-{args.pairs}.peer.f32", scores)
    emit(times)


def listwise():
    import torch
    from sentence_transformers import CrossEncoder
    from sentence_transformers.cross_encoder import losses

    model = CrossEncoder(str(args.out / "cross"), device="cpu", max_length=LENGTHS["listwise"])
    model.train()
    loss = losses.ListNetLoss(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, weight_decay=0.0, fused=True)
    # The loss tokenizes within the step; ours gets tokens, so here they are made before the clock starts.
    tokenize, made = model.preprocess, {}

    def ready(pairs, **options):
        key = tuple(map(tuple, pairs))
        if key not in made:
            made[key] = tokenize(pairs, **options)
        return dict(made[key])

    model.preprocess = ready
    lists = json.loads((args.out / "lists.json").read_text())
    times, losses_of_steps = common.Times(), []
    for step in range(args.steps + 1):
        rows = [lists[(step * args.lists + row) % len(lists)] for row in range(args.lists)]
        queries, docs = [row["query"] for row in rows], [row["docs"][: args.docs] for row in rows]
        labels = [torch.tensor([1.0] + [0.0] * (args.docs - 1)) for _ in rows]
        pairs = [(query, doc) for query, docs in zip(queries, docs) for doc in docs]
        for start in range(0, len(pairs), args.lists):
            ready(pairs[start : start + args.lists], prompt=None, task=None)

        def update():
            value = loss([queries, docs], labels)
            value.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            return float(value.detach())

        losses_of_steps.append(times.run(update))
    del times[0], times.cpu[0]
    emit(times, loss=losses_of_steps)


def max_sim():
    import numpy
    import torch

    def read(name, texts):
        values = numpy.fromfile(args.out / f"{name}.f32", dtype="<f4").reshape(-1, 32 if name == "queries" else 180, DIM)
        return torch.from_numpy(values[:texts])

    queries, docs = read("queries", args.queries), read("docs", args.count)
    if args.by == "pylate":

        def scores():
            # pylate.scores.colbert_scores of 1.6.0 on the processor, where its masks are all ones: one product of all
            # with all.
            return torch.einsum("ash,bth->abst", queries, docs).max(axis=-1).values.sum(axis=-1)

    else:
        from sentence_transformers.util import maxsim

        def scores():
            return maxsim(queries, docs)

    with torch.inference_mode():
        times, values = common.timed_repeats(scores, args.steps)
    save("max-sim.peer.f32", values)
    emit(times)


# case, what it is, reach
CASES = [
    ("splade", "SPLADE step, 8 x 128", 2.0),
    ("colbert", "ColBERT step, 32 x (32 + 128)", 1.5),
    ("predict-mixed", "cross-encoder predict, mixed length", 1.7),
    ("predict-short", "cross-encoder predict, short texts", 2.0),
    ("listwise", "ListNet step, 16 lists x 8", 1.7),
    ("max-sim", "MaxSim, the better of both", 1.5),
]


def records(case, side):
    path = args.out / f"{case}.{side}.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.startswith("{")]


def seconds(record, names=("seconds", "step_s")):
    value = next((record[name] for name in names if name in record), None)
    if isinstance(value, list):
        return statistics.median(value) if value else float("nan")
    if isinstance(value, dict):
        return value["median"]
    return float("nan") if value is None else value


def cpu(record):
    return seconds(record, ("cpu", "step_cpu_s"))


def median(found, value=seconds):
    return statistics.median(map(value, found))


def difference(case):
    import numpy

    paths = [args.out / f"{case}.{side}.f32" for side in ("peer", "ours")]
    if not all(path.exists() for path in paths):
        return ""
    peer, ours = (numpy.fromfile(path, dtype="<f4") for path in paths)
    return f"{numpy.abs(peer - ours).max():.1e}" if peer.shape == ours.shape else "other shape"


def table():
    lines = ["| work | ours s | peer s | ratio (each round) | by CPU s | reach | ours MiB | peer MiB | values differ by |", "|---" * 9 + "|"]
    for case, work, reach in CASES:
        ours = records(case, "ours")
        sides = {side: records(case, side) for side in ("peer", "peer-pylate")}
        sides = {side: found for side, found in sides.items() if found}
        if not ours or not sides:
            continue
        peer = min(sides.values(), key=median)
        rounds = ", ".join(f"{seconds(b) / seconds(a):.2f}" for a, b in zip(ours, peer))
        ratio = median(peer) / median(ours)
        memory = [f"{max(record['peak_rss_mib'] for record in found):,.0f}" for found in (ours, peer)]
        lines.append(
            f"| {work} | {median(ours):.3f} | {median(peer):.3f} | {ratio:.2f} ({rounds}) "
            f"| {median(peer, cpu) / median(ours, cpu):.2f} | {reach}"
            f"{'' if ratio >= reach else ' **not reached**'} | {' | '.join(memory)} | {difference(case)} |"
        )
    for docs in (8, 16, 32):
        for record in records(f"memory-{docs}", "ours"):
            arena, rss = record["arena_mib"], record["peak_rss_mib"]
            lines.append(f"\nListNet, {docs} documents a list, GradCache: {arena:.0f} MiB of activations, peak {rss:.0f} MiB")
    print("\n".join(lines))


globals()[args.work]()
