"""Two towers (a Router) of small random weights by sentence-transformers: golden values that come with the repository.

Run: python router.py ../fixtures/models        (sentence-transformers 6.2.0, and 5.2.0: the environments of directories.sh)
"""

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import sentence_transformers
import torch
import transformers
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Dense, Normalize, Pooling, Router, Transformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel, PreTrainedTokenizerFast

SENTENCES = [
    "",
    "where is the red house",
    "the red house stands over there",
    "A Tall Tree",
    "検索エンジン and a café",
    "unknown words",
    "the dog by the tree, the car by the house, the tree by the dog, the house by the car, the dog by the car",
]
WORDS = sorted({word for text in SENTENCES for word in text.lower().replace(",", " ").split()})
VERSION = "".join(sentence_transformers.__version__.split(".")[:2])
NEW = VERSION >= "62"
torch.manual_seed(7)


def tokenizer(words, lowercase):
    """Whole words, so that queries and documents number them differently."""
    vocab = {token: index for index, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    made = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase() if lowercase else None
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    named = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    # DistilBERT has no segments.
    return PreTrainedTokenizerFast(tokenizer_object=made, model_input_names=["input_ids", "attention_mask"], **named)


def transformer(model, words, lowercase, length):
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        tokenizer(words, lowercase).save_pretrained(folder)
        return Transformer(folder, max_seq_length=length)


sizes = {"vocab_size": len(WORDS) + 4, "initializer_range": 0.2}
small = DistilBertConfig(dim=16, n_layers=1, n_heads=2, hidden_dim=32, max_position_embeddings=32, **sizes)
large = BertConfig(
    hidden_size=24,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=48,
    max_position_embeddings=48,
    **sizes,
)
query = transformer(DistilBertModel(small), WORDS, True, 12)
document = transformer(BertModel(large), WORDS[::-1], False, 20)
# Its key is there since 6.2.
residual = {"use_residual": True} if NEW else {}
router = Router.for_query_document(
    [query, Pooling(16, "mean"), Dense(16, 24, **residual)],
    [document, Pooling(24, "cls"), *([Dense(24, 24, bias=False, **residual)] if NEW else [Normalize()])],
)
model = SentenceTransformer(
    modules=[router, Normalize()] if NEW else [router],
    prompts={"query": "where is ", "document": ""},
    similarity_fn_name="cosine",
    device="cpu",
).eval()

out = Path(sys.argv[1]) / f"st{VERSION}_bi_router"
model.save_pretrained(str(out))
(out / "README.md").write_text("A model of random weights, made for tests.\n")
options = {"convert_to_tensor": True, "show_progress_bar": False}
found = {
    "embeddings": model.encode(SENTENCES, **options),
    "query_embeddings": model.encode_query(SENTENCES, **options),
    "document_embeddings": model.encode_document(SENTENCES, **options),
}
found["similarity"] = model.similarity(found["query_embeddings"], found["document_embeddings"])
save_file({name: values.contiguous() for name, values in found.items()}, out / "expected.safetensors")
versions = {
    "sentence-transformers": sentence_transformers.__version__,
    "transformers": transformers.__version__,
    "torch": torch.__version__,
}
(out / "expected.json").write_text(json.dumps({"versions": versions, "sentences": SENTENCES}, ensure_ascii=False, indent=1) + "\n")
