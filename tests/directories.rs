//! Directories that are unusual, and those that are broken.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Tensor};
use kensaku::nn::{
    Activations, BertConfig, Classifier, Encoder, EncoderConfig, MaskedLm, ModernBertConfig, PackedBatch,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::golden::{self, distance, fixture, within};
use crate::shared::{Trials, test};

pub fn trials() -> Trials {
    vec![
        test("directories::prefixes_and_what_is_not_used", prefixes),
        test("directories::several_files", shards),
        test("directories::f16_bf16_and_f64_are_widened", widened),
        test("directories::modernbert_with_the_keys_of_published_checkpoints", published_modernbert),
        test("directories::a_decoder_may_be_stored_if_it_is_tied", stored_decoder),
        test("directories::a_classifier_for_a_new_task", new_task),
        test("directories::a_missing_or_a_misshapen_tensor", missing),
        test("directories::two_tensors_of_one_name", twins),
        test("directories::nan_and_infinity", not_finite),
        test("directories::lying_and_cut_headers", lies),
        test("directories::a_pickle", pickle),
        test("directories::unknown_families_and_absurd_sizes", unknown),
    ]
}

/// A copy of a golden directory that a test may change.
fn copy(name: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(fixture("backbones").join(name).join(file), dir.path().join(file)).unwrap();
    }
    dir
}

fn tensors(dir: &Path) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(dir.join("model.safetensors"), &candle_core::Device::Cpu).unwrap()
}

fn store(dir: &Path, tensors: &HashMap<String, Tensor>) {
    candle_core::safetensors::save(tensors, dir.join("model.safetensors")).unwrap();
}

/// A copy whose tensors are changed.
fn changed(name: &str, change: impl FnOnce(&mut HashMap<String, Tensor>)) -> TempDir {
    let dir = copy(name);
    let mut stored = tensors(dir.path());
    change(&mut stored);
    store(dir.path(), &stored);
    dir
}

fn hidden(encoder: &Encoder) -> Vec<f32> {
    let mut activations = Activations::inference();
    encoder.forward(&PackedBatch::new([vec![2, 7, 9, 3], vec![5, 3]]), &mut activations).unwrap();
    activations.hidden().to_vec()
}

fn original(name: &str) -> Vec<f32> {
    hidden(&Encoder::load(fixture("backbones").join(name)).unwrap())
}

fn message(dir: &TempDir) -> String {
    Encoder::load(dir.path()).unwrap_err().to_string()
}

fn prefixes() {
    for (name, prefix) in [
        ("bert", "0.auto_model.bert."),
        ("distilbert", "distilbert."),
        ("electra", "electra."),
        ("modernbert", "model."),
        ("mpnet", "mpnet."),
        ("roberta", "roberta."),
        ("xlm_roberta", "0.model.roberta."),
    ] {
        let dir = changed(name, |stored| {
            *stored = stored.drain().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)).collect();
            let buffer = Tensor::zeros((1, 64), DType::I64, &candle_core::Device::Cpu).unwrap();
            stored.insert(format!("{prefix}embeddings.position_ids"), buffer);
        });
        let encoder = Encoder::load(dir.path()).unwrap();
        assert_eq!(hidden(&encoder), original(name), "{name}");
        let mut unused = vec![format!("{prefix}embeddings.position_ids")];
        if ["bert", "mpnet", "roberta", "xlm_roberta"].contains(&name) {
            unused.extend(["bias", "weight"].map(|part| format!("{prefix}pooler.dense.{part}")));
        }
        assert_eq!(encoder.loaded().unused, unused, "{name}");
    }
}

fn shards() {
    let dir = copy("bert");
    let stored = tensors(dir.path());
    let mut names: Vec<&String> = stored.keys().collect();
    names.sort();
    let mut map = serde_json::Map::new();
    for (index, names) in names.chunks(names.len().div_ceil(3)).enumerate() {
        let file = format!("model-{index}.safetensors");
        let part: HashMap<String, Tensor> = names.iter().map(|name| ((*name).clone(), stored[*name].clone())).collect();
        candle_core::safetensors::save(&part, dir.path().join(&file)).unwrap();
        map.extend(names.iter().map(|name| ((*name).clone(), Value::from(file.as_str()))));
    }
    std::fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    let index = dir.path().join("model.safetensors.index.json");
    std::fs::write(&index, json!({ "weight_map": map }).to_string()).unwrap();
    assert_eq!(hidden(&Encoder::load(dir.path()).unwrap()), original("bert"));

    std::fs::remove_file(dir.path().join("model-1.safetensors")).unwrap();
    assert!(message(&dir).contains("model-1.safetensors"), "{}", message(&dir));
    std::fs::write(&index, json!({ "weight_map": { "x": "../model.safetensors" } }).to_string()).unwrap();
    assert!(message(&dir).contains("names of files beside it"), "{}", message(&dir));
}

fn widened() {
    for (dtype, tolerance) in [(DType::F16, 2e-2), (DType::BF16, 2e-1), (DType::F64, 0.0)] {
        let dir = changed("bert", |stored| {
            stored.values_mut().for_each(|tensor| *tensor = tensor.to_dtype(dtype).unwrap());
        });
        let encoder = Encoder::load(dir.path()).unwrap();
        for (name, tensor) in tensors(dir.path()).iter().filter(|(name, _)| !name.contains("pooler")) {
            let exact = golden::floats(tensor);
            assert_eq!(encoder.parameters().values(name).unwrap(), exact, "{name} as {dtype:?}");
        }
        within(&format!("{dtype:?}"), distance(&hidden(&encoder), &original("bert")), tolerance);
    }
    let dir = changed("bert", |stored| {
        let words = stored.get_mut("embeddings.word_embeddings.weight").unwrap();
        *words = words.to_dtype(DType::U8).unwrap();
    });
    assert!(message(&dir).contains("`embeddings.word_embeddings.weight` is U8; expected F32"), "{}", message(&dir));
}

/// The same model as transformers 4 has it, and as we write it.
fn published_modernbert() {
    let name = "modernbert";
    let dir = copy(name);
    std::fs::copy(fixture("backbones/modernbert/config.hub_v4.json"), dir.path().join("config.json")).unwrap();
    let encoder = Encoder::load(dir.path()).unwrap();
    assert_eq!(hidden(&encoder), original(name));
    let EncoderConfig::ModernBert(config) = encoder.config() else { panic!("another family") };
    assert_eq!((config.layer_types.as_ref(), config.rope_parameters.as_ref()), (None, None));
    encoder.save(dir.path()).unwrap();
    let stored = golden::json(&dir.path().join("config.json"));
    let expected = golden::json(&fixture("backbones/modernbert/config.json"));
    for key in ["architectures", "model_type", "rope_parameters", "layer_types", "local_attention", "norm_eps"] {
        let shown = |value: &Value| format!("{value:.5?}");
        assert_eq!(shown(&stored[key]), shown(&expected[key]), "{key}");
    }
    assert_eq!(hidden(&Encoder::load(dir.path()).unwrap()), original(name));
    // Other bases than the defaults turn otherwise.
    let turned = ModernBertConfig { global_rope_theta: 10.0, ..config.clone() };
    assert_ne!(hidden(&Encoder::new(turned, 1).unwrap()), hidden(&Encoder::new(config.clone(), 1).unwrap()));
}

fn stored_decoder() {
    for (name, decoder, words) in [
        ("bert_for_masked_lm", "cls.predictions.decoder", "bert.embeddings.word_embeddings.weight"),
        ("distilbert_for_masked_lm", "vocab_projector", "distilbert.embeddings.word_embeddings.weight"),
        ("modernbert_for_masked_lm", "decoder", "model.embeddings.tok_embeddings.weight"),
        ("roberta_for_masked_lm", "lm_head.decoder", "roberta.embeddings.word_embeddings.weight"),
    ] {
        let weight = format!("{decoder}.weight");
        let tied = changed(name, |stored| {
            stored.insert(weight.clone(), stored[words].clone());
            // BERT and RoBERTa have the bias under either name, or both.
            if let Some(bias) = stored.remove("lm_head.bias") {
                stored.insert(format!("{decoder}.bias"), bias);
            }
        });
        let model = MaskedLm::load(tied.path()).unwrap();
        assert_eq!(model.loaded().unused, [] as [String; 0], "{name}");
        let free = changed(name, |stored| {
            stored.insert(weight.clone(), (&stored[words] * 1.5).unwrap());
        });
        let error = MaskedLm::load(free.path()).unwrap_err().to_string();
        assert!(error.contains(&weight) && error.contains("tied"), "{error}");
    }
}

fn new_task() {
    let dir = fixture("backbones/bert");
    let model = Classifier::load_for(&dir, 2, 7).unwrap();
    assert_eq!(model.loaded().missing, ["classifier.weight", "classifier.bias"]);
    let pooler = model.encoder().parameters().values("pooler.dense.weight").unwrap();
    assert_eq!(pooler, golden::floats(&tensors(&dir)["pooler.dense.weight"]));
    let weights = |seed| {
        let model = Classifier::load_for(&dir, 2, seed).unwrap();
        model.encoder().parameters().values("classifier.weight").unwrap().to_vec()
    };
    assert_eq!(weights(7), weights(7));
    assert_ne!(weights(7), weights(8));
    let roberta = Classifier::load_for(fixture("backbones/roberta"), 1, 7).unwrap();
    assert_eq!(roberta.loaded().missing.len(), 4);
    assert_eq!(roberta.loaded().unused, ["pooler.dense.bias", "pooler.dense.weight"]);
    let bare = Classifier::load(dir).unwrap_err().to_string();
    assert!(bare.contains("no tensor `classifier.weight`"), "{bare}");
}

fn missing() {
    let absent = changed("mpnet", |stored| {
        stored.remove("encoder.relative_attention_bias.weight").unwrap();
    });
    let said = message(&absent);
    assert!(said.contains("no tensor `encoder.relative_attention_bias.weight`") && said.contains("[32, 4]"), "{said}");
    let misshapen = changed("roberta", |stored| {
        let words = stored.get_mut("embeddings.word_embeddings.weight").unwrap();
        *words = words.narrow(0, 0, 299).unwrap();
    });
    let said = message(&misshapen);
    assert!(said.contains("[299, 32]") && said.contains("[300, 32]"), "{said}");
}

fn twins() {
    let dir = changed("bert", |stored| {
        let name = "embeddings.word_embeddings.weight";
        stored.insert(format!("bert.{name}"), stored[name].clone());
    });
    assert!(message(&dir).contains("both `"), "{}", message(&dir));
}

fn not_finite() {
    for value in [f32::NAN, f32::INFINITY] {
        let dir = changed("bert", |stored| {
            let mut biases = golden::floats(&stored["encoder.layer.1.output.dense.bias"]);
            biases[5] = value;
            let biases = Tensor::new(biases, &candle_core::Device::Cpu).unwrap();
            stored.insert("encoder.layer.1.output.dense.bias".to_owned(), biases);
        });
        let said = message(&dir);
        assert!(said.contains(&format!("element 5 of `encoder.layer.1.output.dense.bias` is {value}")), "{said}");
    }
}

/// Headers that claim more than the file has: what they claim, up to 2^63 bytes, is never allocated.
fn lies() {
    let dir = copy("bert");
    let path = dir.path().join("model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    let with = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        message(&dir)
    };
    for claim in [u64::MAX, 1 << 40, whole.len() as u64] {
        let mut bytes = whole.clone();
        bytes[..8].copy_from_slice(&claim.to_le_bytes());
        let said = with(&bytes);
        assert!(said.contains(&format!("its header claims {claim} bytes")), "{said}");
    }
    let header = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes(), &[0; 64]].concat();
    let huge = 1_u64 << 60;
    let said = with(&header(&format!(r#"{{"x":{{"dtype":"F32","shape":[{}],"data_offsets":[0,{huge}]}}}}"#, huge / 4)));
    assert!(said.contains(&format!("its header claims {huge} bytes of tensors, the file has 64")), "{said}");
    let overflow = r#"{"x":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,64]}}"#;
    assert!(with(&header(overflow)).contains("its header is unusable"));
    assert!(with(&header(r#"{"x":{"dtype":"F32","shape":[4],"data_offsets":[8,4]}}"#)).contains("unusable"));
    assert!(with(&header("{")).contains("unusable"));
    assert!(with(&whole[..whole.len() - 1]).contains("of tensors, the file has"));
    assert!(with(&whole[..5]).contains("5 bytes are no safetensors file"));
    assert!(with(&[]).contains("0 bytes are no safetensors file"));
}

fn pickle() {
    let dir = copy("bert");
    std::fs::rename(dir.path().join("model.safetensors"), dir.path().join("pytorch_model.bin")).unwrap();
    let said = message(&dir);
    assert!(said.contains("pickle") && said.contains("save_pretrained"), "{said}");
    std::fs::remove_file(dir.path().join("pytorch_model.bin")).unwrap();
    assert!(message(&dir).contains("no weights"), "{}", message(&dir));
}

fn unknown() {
    let dir = copy("bert");
    let path = dir.path().join("config.json");
    let with = |key: &str, value: Value| {
        let mut config = golden::json(&fixture("backbones/bert/config.json"));
        config[key] = value;
        std::fs::write(&path, config.to_string()).unwrap();
        message(&dir)
    };
    let said = with("model_type", "t5".into());
    let families = ["bert", "distilbert", "electra", "modernbert", "mpnet", "roberta", "xlm-roberta"];
    assert!(said.contains("model_type is `t5`") && families.iter().all(|family| said.contains(family)), "{said}");
    assert!(with("hidden_act", "swiglu".into()).contains("swiglu"));
    assert!(with("num_hidden_layers", u64::MAX.into()).contains("num_hidden_layers"));
    // As many words as no memory holds: the file says otherwise before any is allocated.
    assert!(with("vocab_size", (1_u64 << 62).into()).contains("the shape of `embeddings.word_embeddings.weight`"));
    let absurd = BertConfig { vocab_size: usize::MAX, ..Default::default() };
    assert!(Encoder::new(absurd, 1).unwrap_err().to_string().contains("as many as memory holds"));
    assert!(with("layer_norm_eps", Value::Null).contains("config.json"));
}
