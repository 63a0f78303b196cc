"""Loads the directories of a folder in sentence-transformers, compares its vectors with those that their writer
computed, and writes each anew into another folder, with the vectors of this version.

    directories.py FOLDER OUT
"""

import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import sentence_transformers
import transformers
from sentence_transformers import SentenceTransformer, SparseEncoder

TOLERANCE = 1e-5

# The pooler, which a model with pooling of its own does not use, is not in the file: no need to say so.
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


def vectors(model, texts):
    if isinstance(model, SparseEncoder):
        options = {"convert_to_sparse_tensor": False}
        return {
            "plain": model.encode(texts, **options).numpy(),
            "query": model.encode_query(texts, **options).numpy(),
            "document": model.encode_document(texts, **options).numpy(),
        }
    return {
        "plain": model.encode(texts),
        "query": model.encode_query(texts),
        "document": model.encode_document(texts),
    }


def main(folder, out):
    print(f"sentence-transformers {sentence_transformers.__version__}, transformers {transformers.__version__}")
    directories = sorted(path for path in folder.iterdir() if path.is_dir())
    assert len(directories) == 11, directories
    for directory in directories:
        expected = json.loads((directory / "expected.json").read_text())
        kind = SparseEncoder if directory.name.startswith("splade") else SentenceTransformer
        model = kind(str(directory), device="cpu")
        found = vectors(model, expected["texts"])
        most = max(np.abs(found[key] - np.array(expected["vectors"][key], np.float32)).max() for key in found)
        print(f"{directory.name:<16} {type(model[0].auto_model).__name__:<18} largest difference {most:.1e}")
        assert most <= TOLERANCE, f"{directory}: vectors differ by {most}"
        anew = out / directory.name
        model.save_pretrained(str(anew))
        found = {key: value.tolist() for key, value in found.items()}
        (anew / "expected.json").write_text(json.dumps({"texts": expected["texts"], "vectors": found}))


main(*map(Path, sys.argv[1:]))
