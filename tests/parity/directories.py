"""Loads the directories of a folder in sentence-transformers, compares what they compute with what their
writer did, and writes each anew into another folder, with the numbers of this version.

    directories.py FOLDER OUT
"""

import inspect
import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import sentence_transformers
import transformers
from sentence_transformers import CrossEncoder, SentenceTransformer, SparseEncoder
from sentence_transformers.models import Dense

try:
    from sentence_transformers import MultiVectorEncoder
except ImportError:
    # Version 5 has no late interaction.
    MultiVectorEncoder = None

TOLERANCE = 1e-5

# Version 5 has no Dense with a residual connection.
RESIDUAL = "use_residual" in inspect.signature(Dense).parameters

# The pooler, which a model with pooling of its own does not use, is not in the file: no need to say so.
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


CLASSES = {
    "bi-encoder": SentenceTransformer,
    "colbert": MultiVectorEncoder,
    "cross-encoder": CrossEncoder,
    "splade": SparseEncoder,
    "static-embedding": SentenceTransformer,
    "two-towers": SentenceTransformer,
}


def outputs(kind, model, expected):
    texts = expected["texts"]
    match kind:
        case "bi-encoder" | "static-embedding" | "two-towers":
            return {
                "plain": model.encode(texts),
                "query": model.encode_query(texts),
                "document": model.encode_document(texts),
            }
        case "colbert":
            rows = {"query": model.encode_query(texts), "document": model.encode_document(texts)}
            return {key: np.concatenate([np.asarray(text) for text in texts]) for key, texts in rows.items()}
        case "cross-encoder":
            return {"scores": model.predict([tuple(pair) for pair in expected["pairs"]])}
        case "splade":
            dense = {"convert_to_sparse_tensor": False}
            return {
                "plain": model.encode(texts, **dense).numpy(),
                "query": model.encode_query(texts, **dense).numpy(),
                "document": model.encode_document(texts, **dense).numpy(),
            }


def main(folder, out):
    print(f"sentence-transformers {sentence_transformers.__version__}, transformers {transformers.__version__}")
    directories = sorted(path for path in folder.iterdir() if path.is_dir())
    assert len(directories) == 26, directories
    for directory in directories:
        expected = json.loads((directory / "expected.json").read_text())
        kind = expected["kind"]
        if CLASSES[kind] is None or directory.name.endswith("residual") and not RESIDUAL:
            continue
        model = CLASSES[kind](str(directory), device="cpu")
        found = {key: np.ravel(numbers) for key, numbers in outputs(kind, model, expected).items()}
        most = max(np.abs(found[key] - np.array(expected["outputs"][key], np.float32)).max() for key in found)
        print(f"{directory.name:<20} {kind:<14} largest difference {most:.1e}")
        assert most <= TOLERANCE, f"{directory}: outputs differ by {most}"
        anew = out / directory.name
        model.save_pretrained(str(anew))
        found = {key: numbers.tolist() for key, numbers in found.items()}
        (anew / "expected.json").write_text(json.dumps({**expected, "outputs": found}))


main(*map(Path, sys.argv[1:]))
