"""Makes tests/fixtures/lora: adapters by PEFT on the small BERT of tests/fixtures/backbones, and what they compute.

    python tests/parity/lora.py          # needs torch, transformers 5.3 and peft 0.21

    KENSAKU_PEFT=FOLDER cargo test --release -p kensaku-tests --test acceptance -- lora
    python tests/parity/lora.py FOLDER   # instead: PEFT loads what kensaku has saved, and computes the same
"""

import json
import sys
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForSequenceClassification

root = Path(__file__).resolve().parents[1] / "fixtures"


def base(folder, kind):
    return kind.from_pretrained(root / "backbones" / folder).eval()


def hidden(model, folder):
    inputs = load_file(root / "backbones" / folder / "inputs.safetensors")
    names = ["input_ids", "attention_mask", "token_type_ids"]
    with torch.no_grad():
        output = model(**{name: inputs[name] for name in names if name in inputs})
    return output[0]


def make(name, folder, kind, **settings):
    torch.manual_seed(7)
    model = get_peft_model(base(folder, kind), LoraConfig(r=4, lora_alpha=6.0, lora_dropout=0.1, **settings)).eval()
    for key, parameter in model.named_parameters():
        if "lora_B" in key or "modules_to_save" in key:
            parameter.data.normal_(std=0.2)
    out = root / "lora" / name
    model.save_pretrained(out)
    (out / "README.md").unlink(missing_ok=True)
    config = json.loads((out / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = None
    (out / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    save_file({"output": hidden(model, folder).contiguous()}, out / "expected.safetensors")


def check(work):
    for name, folder, kind in [
        ("encoder", "bert", AutoModel),
        ("classifier", "bert_for_sequence_classification", AutoModelForSequenceClassification),
    ]:
        model = PeftModel.from_pretrained(base(folder, kind), work / name).eval()
        expected = load_file(root / "lora" / name / "expected.safetensors")["output"]
        off = (hidden(model, folder) - expected).abs().max().item()
        print(f"{name}: largest difference {off:.2e}")
        assert off < 1e-5


if len(sys.argv) > 1:
    check(Path(sys.argv[1]))
else:
    make("encoder", "bert", AutoModel, task_type="FEATURE_EXTRACTION", target_modules=["query", "value", "output.dense"])
    make(
        "classifier",
        "bert_for_sequence_classification",
        AutoModelForSequenceClassification,
        task_type="SEQ_CLS",
        target_modules=["key", "intermediate.dense"],
        modules_to_save=["classifier"],
    )
