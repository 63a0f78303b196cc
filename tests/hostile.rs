//! Files of models that someone has made to do harm, or that were damaged: errors, never a panic, and nothing outside
//! of the folder is read.

use std::fs;
use std::path::Path;

use kensaku::model::{BiEncoder, BiEncoderConfig};
use kensaku::nn::BertConfig;
use kensaku::text::{Tokenizer, WordPieceConfig};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::shared::{Trials, test};

pub fn trials() -> Trials {
    vec![
        test("hostile::tokenizers_that_panicked_or_took_all_memory", tokenizers),
        test("hostile::a_syntax_error_anywhere_in_a_tokenizer", syntax),
        test("hostile::modules_outside_of_the_folder", outside),
        #[cfg(unix)]
        test("hostile::links_out_of_the_folder", links),
        test("hostile::errors_do_not_print_files", no_content),
        test("hostile::what_is_no_file", devices),
    ]
}

fn tokenizer() -> Value {
    let config = WordPieceConfig { vocab_size: 60, min_frequency: 1, ..Default::default() };
    let trained = Tokenizer::train_wordpiece(&["a red house"], &config).unwrap();
    serde_json::from_str(&trained.to_json().unwrap()).unwrap()
}

fn model() -> TempDir {
    let tokenizer = Tokenizer::from_bytes(tokenizer().to_string()).unwrap();
    let encoder = BertConfig { hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1, ..Default::default() };
    let dir = tempfile::tempdir().unwrap();
    BiEncoder::new(encoder, tokenizer, BiEncoderConfig::default(), 1).unwrap().save(dir.path()).unwrap();
    dir
}

fn tokenizers() {
    let replace = json!({ "type": "Replace", "pattern": { "String": "a" }, "content": "a".repeat(16) });
    let growing = json!({ "type": "Sequence", "normalizers": vec![replace.clone(); 7] });
    let nested = json!({ "type": "Sequence", "normalizers": [growing] });
    let precompiled = |map: &str| json!({ "type": "Precompiled", "precompiled_charsmap": map });
    let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
    let repeated = json!({
        "type": "TemplateProcessing", "single": vec![text.clone(); 20_000], "pair": [text], "special_tokens": {},
    });
    let bpe = json!({
        "type": "BPE", "continuing_subword_prefix": "######", "merges": ["a b"],
        "vocab": { "a": 0, "b": 1, "ab": 2 },
    });
    let random = json!({ "type": "BPE", "dropout": 0.1, "merges": ["a b"], "vocab": { "a": 0, "b": 1, "ab": 2 } });
    let words = |id: u64| {
        json!({ "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": { "[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "x": id } })
    };
    for (part, value, expected) in [
        ("normalizer", precompiled("AAAA"), "precompiled_charsmap"),
        ("normalizer", precompiled("/////wAAAAAAAAAA"), "precompiled_charsmap"),
        ("normalizer", json!({ "type": "Sequence", "normalizers": [precompiled("/////w==")] }), "precompiled_charsmap"),
        ("normalizer", nested, "times as long"),
        ("pre_tokenizer", json!({ "type": "FixedLength", "length": 0 }), "pieces of length 0"),
        ("post_processor", repeated.clone(), "20000 times"),
        ("post_processor", json!({ "type": "Sequence", "processors": [repeated] }), "20000 times"),
        ("model", bpe, "cannot be used"),
        ("model", random, "`dropout` is 0.1"),
        ("model", words(1_000_000_000), "the id 1000000000"),
        ("model", words(u64::from(u32::MAX)), "the id 4294967295"),
    ] {
        let mut file = tokenizer();
        file[part] = value;
        let error = Tokenizer::from_bytes(file.to_string()).unwrap_err().to_string();
        assert!(error.contains(expected) && error.len() < 300, "{part}: {error}");
    }
    // Growth that published tokenizers have.
    let mut file = tokenizer();
    file["normalizer"] = json!({ "type": "Sequence", "normalizers": vec![replace; 2] });
    assert!(Tokenizer::from_bytes(file.to_string()).is_ok());
}

/// One byte after the other is damaged.
fn syntax() {
    let whole = serde_json::to_string_pretty(&tokenizer()).unwrap().into_bytes();
    for (index, byte) in (0..whole.len()).step_by(7).flat_map(|index| [(index, b'"'), (index, 0), (index, b'{')]) {
        let mut file = whole.clone();
        file[index] = byte;
        if let Ok(tokenizer) = Tokenizer::from_bytes(&file) {
            let _ = tokenizer.encode(&["a red house"], 16).and_then(|_| tokenizer.to_json());
        }
    }
    for end in (0..whole.len()).step_by(11) {
        assert!(Tokenizer::from_bytes(&whole[..end]).is_err(), "{end}");
    }
}

fn outside() {
    let (dir, other) = (model(), model());
    let elsewhere = other.path().to_str().unwrap();
    let name = other.path().file_name().unwrap().to_str().unwrap();
    for path in [elsewhere.to_owned(), format!("../{name}"), format!("1_Pooling/../../{name}")] {
        for index in [0, 1] {
            let mut modules: Value =
                serde_json::from_slice(&fs::read(other.path().join("modules.json")).unwrap()).unwrap();
            modules[index]["path"] = if index == 0 { path.clone() } else { format!("{path}/1_Pooling") }.into();
            fs::write(dir.path().join("modules.json"), modules.to_string()).unwrap();
            let error = BiEncoder::load(dir.path()).unwrap_err().to_string();
            assert!(error.ends_with("expected a file in the folder of the model"), "{error}");
        }
    }
}

#[cfg(unix)]
fn links() {
    use std::os::unix::fs::symlink;

    let other = model();
    for name in
        ["config.json", "model.safetensors", "tokenizer.json", "modules.json", "sentence_bert_config.json", "1_Pooling"]
    {
        let dir = model();
        let path = dir.path().join(name);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap()
        } else {
            fs::remove_file(&path).unwrap()
        }
        symlink(other.path().join(name), &path).unwrap();
        let error = BiEncoder::load(dir.path()).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("it is a link to"), "{error}");
    }
    // The cache of the hub: a snapshot of links to blobs.
    let cache = tempfile::tempdir().unwrap();
    let (blobs, snapshot) = (cache.path().join("models--a--b/blobs"), cache.path().join("models--a--b/snapshots/0"));
    fs::create_dir_all(&blobs).unwrap();
    fs::create_dir_all(snapshot.join("1_Pooling")).unwrap();
    for (name, up) in [
        ("config.json", "../.."),
        ("model.safetensors", "../.."),
        ("tokenizer.json", "../.."),
        ("modules.json", "../.."),
        ("1_Pooling/config.json", "../../.."),
    ] {
        let blob = name.replace('/', "-");
        fs::copy(other.path().join(name), blobs.join(&blob)).unwrap();
        symlink(Path::new(up).join("blobs").join(&blob), snapshot.join(name)).unwrap();
    }
    fs::create_dir(snapshot.join("2_Normalize")).unwrap();
    let encode =
        |dir: &Path| BiEncoder::load(dir).unwrap().encode_texts(&["a red house"]).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(encode(&snapshot), encode(other.path()));
}

fn no_content() {
    let dir = model();
    fs::write(dir.path().join("1_Pooling/config.json"), r#"{"password": "hunter2", "pooling_mode": "power"}"#).unwrap();
    let error = BiEncoder::load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("pooling power") && !error.contains("hunter2"), "{error}");
}

fn devices() {
    let dir = model();
    fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
    fs::create_dir(dir.path().join("tokenizer.json")).unwrap();
    assert!(BiEncoder::load(dir.path()).unwrap_err().to_string().contains("it is not a file"));
    #[cfg(unix)]
    assert!(Tokenizer::load("/dev/zero").unwrap_err().to_string().contains("it is not a file"));
    // A header that would have to be read for hours.
    let dir = model();
    let file = fs::File::create(dir.path().join("model.safetensors")).unwrap();
    std::io::Write::write_all(&mut &file, &(1_u64 << 39).to_le_bytes()).unwrap();
    file.set_len(1 << 40).unwrap();
    let error = BiEncoder::load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("its header claims 549755813888 bytes"), "{error}");
}
