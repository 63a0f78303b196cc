"""Compares the engine's matrix products with PyTorch's (MKL): gemm.py PROGRAM [THREADS]

PROGRAM is the built example `gemm` of the library. Both sides run alternately, three times; rates are medians.
Prints a line per shape with `ratio=` (ours over MKL's): forward, gradient of the input, gradient of the weight.
"""

import json
import os
import statistics
import subprocess
import sys
import time

threads = int(sys.argv[2]) if len(sys.argv) > 2 else os.cpu_count()
os.environ["RAYON_NUM_THREADS"] = str(threads)
import torch  # noqa: E402

torch.set_num_threads(threads)
KINDS = ("forward", "dx", "dw")


def rate(flop, product):
    product()
    seconds = []
    for _ in range(15):
        start = time.perf_counter()
        product()
        seconds.append(time.perf_counter() - start)
    return flop / statistics.median(seconds) / 1e9


def theirs(tokens, inputs, outputs):
    x, weight, dy = torch.randn(tokens, inputs), torch.randn(outputs, inputs), torch.randn(tokens, outputs)
    y, dx, dw = torch.empty(tokens, outputs), torch.empty(tokens, inputs), torch.empty(outputs, inputs)
    flop = 2.0 * tokens * inputs * outputs
    return (
        rate(flop, lambda: torch.mm(x, weight.t(), out=y)),
        rate(flop, lambda: torch.mm(dy, weight, out=dx)),
        rate(flop, lambda: torch.mm(dy.t(), x, out=dw)),
    )


rounds = []
for _ in range(3):
    lines = subprocess.run([sys.argv[1]], check=True, capture_output=True, text=True).stdout.splitlines()
    ours = [json.loads(line) for line in lines]
    rounds.append([(o, theirs(o["tokens"], o["inputs"], o["outputs"])) for o in ours])
print(f"threads {threads}, load {os.getloadavg()[0]:.1f}, GFLOP/s: forward, dx, dw")
for shape in zip(*rounds):
    first = shape[0][0]
    own = [statistics.median(o[kind] for o, _ in shape) for kind in KINDS]
    mkl = [statistics.median(t[place] for _, t in shape) for place in range(3)]
    crate = [statistics.median(o["gemm_crate"][place] for o, _ in shape) for place in range(3)]
    ratios = " ".join(f"{a / b:.2f}" for a, b in zip(own, mkl))
    name = f"{first['model']} {first['tokens']} x {first['inputs']} -> {first['outputs']}"
    rates = "  ".join(
        f"{who} " + " ".join(f"{rate:.0f}" for rate in rates)
        for who, rates in (("ours", own), ("MKL", mkl), ("gemm crate", crate))
    )
    print(f"{name:30} {rates}  ratio={ratios}")
