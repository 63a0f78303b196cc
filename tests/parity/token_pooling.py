"""Hierarchical token pooling of made-up vectors by sentence-transformers: golden values that come with the repository.

Run: python token_pooling.py ../fixtures/token_pooling        (sentence-transformers 6.2.0, scipy 1.17.1)
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from sentence_transformers.multi_vector_encoder.modules.token_pooling import HierarchicalTokenPooling

TARGET = Path(sys.argv[1])
TARGET.mkdir(parents=True, exist_ok=True)
DIM = 8
LENGTHS = [1, 2, 3, 6, 17, 60]

torch.manual_seed(1)
docs = []
for length in LENGTHS:
    # Around a few directions, as the tokens of a text are.
    centres = torch.randn(4, DIM)
    rows = centres[torch.randint(0, 4, (length,))] + 0.7 * torch.randn(length, DIM)
    docs.append(torch.nn.functional.normalize(rows, dim=-1))

cases, tensors = [], {f"doc.{index}": doc.contiguous() for index, doc in enumerate(docs)}
for factor in [1.0, 1.5, 2.0, 3.0, 100.0]:
    for protected in [0, 1, 3]:
        for normalize in [False, True]:
            pooling = HierarchicalTokenPooling(factor, num_protected_tokens=protected, normalize_embeddings=normalize)
            for index, pooled in enumerate(pooling.pool(docs, task="document")):
                tensors[f"case.{len(cases)}.{index}"] = pooled.clone().contiguous()
            cases.append({"pool_factor": factor, "protected_tokens": protected, "normalize": normalize})

save_file(tensors, TARGET / "pooled.safetensors")
(TARGET / "cases.json").write_text(json.dumps(cases) + "\n")
