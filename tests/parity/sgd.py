"""Golden values of SGD: PyTorch's optimiser on the parameters and gradients of adamw.safetensors.

Run: python sgd.py FOLDER, where FOLDER contains adamw.safetensors. Writes sgd.json and sgd.safetensors. Tested with torch 2.10.0.
"""
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

folder = Path(sys.argv[1])
given = load_file(folder / "adamw.safetensors")
names = ["w", "b", "norm", "emb"]
decayed = {"w", "emb"}
cases = [
    {"name": "plain", "lr": 0.05, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0, "clip": None},
    {"name": "momentum", "lr": 0.05, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0, "clip": 1.0},
    {"name": "momentum_decay", "lr": 0.02, "momentum": 0.8, "nesterov": False, "weight_decay": 0.1, "clip": 1.0},
    {"name": "nesterov_decay", "lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05, "clip": None},
]
tensors = {}
for case in cases:
    parameters = {name: torch.nn.Parameter(given[f"init.{name}"].clone()) for name in names}
    groups = [{"params": [parameters[name]], "weight_decay": case["weight_decay"] * (name in decayed)} for name in names]
    optimizer = torch.optim.SGD(groups, lr=case["lr"], momentum=case["momentum"], nesterov=case["nesterov"])
    for step in range(10):
        for name in names:
            parameters[name].grad = given[f"grad.{step}.{name}"].clone()
        if case["clip"] is not None:
            torch.nn.utils.clip_grad_norm_(list(parameters.values()), case["clip"])
        optimizer.step()
        for name in names:
            tensors[f"{case['name']}.param.{step}.{name}"] = parameters[name].detach().clone()
save_file(tensors, folder / "sgd.safetensors")
(folder / "sgd.json").write_text(json.dumps({"versions": {"torch": torch.__version__}, "cases": cases}, indent=1) + "\n")
