//! Token ids against Hugging Face's tokenizers, as sentence-transformers uses them.

use candle_core::DType;
use kensaku::model::{BiEncoder, BiEncoderConfig};
use kensaku::nn::BertConfig;
use kensaku::text::{Tokenizer, WordPieceConfig};

use crate::golden::{Tensors, fixture, json};
use crate::shared::{Trials, test};

pub(crate) fn trials() -> Trials {
    vec![
        test("tokenizer::ids_are_those_of_sentence_transformers", golden_ids),
        test("tokenizer::saved_and_loaded_it_is_the_same", round_trip),
        test("tokenizer::stored_padding_and_truncation_are_not_used", stored_settings),
        test("tokenizer::errors_name_what_is_wrong", errors),
        test("tokenizer::a_vocabulary_with_holes", holes),
        test("tokenizer::merges_in_both_forms", merges),
        test("tokenizer::a_long_text_is_read_as_far_as_it_is_wanted", long_texts),
        test("tokenizer::a_vocabulary_of_the_rustdoc_set", rustdoc_vocabulary),
    ]
}

fn golden_ids() {
    let models = ["st62_bi_cls", "st62_bi_max_seq_length_16", "st62_bi_mean_normalize", "st62_bi_prompts"];
    for model in models {
        let dir = fixture("models").join(model);
        let expected = json(&dir.join("expected.json"));
        let golden = Tensors::read(&dir.join("expected.safetensors"));
        let sentences: Vec<String> = serde_json::from_value(expected["sentences"].clone()).unwrap();
        let max_length = expected["max_seq_length"].as_u64().unwrap() as usize;

        let encoded = Tokenizer::load(&dir).unwrap().encode(&sentences, max_length).unwrap();
        let theirs = |at: usize| -> Vec<u32> {
            golden.tensor(&format!("ids.{at}")).to_dtype(DType::U32).unwrap().to_vec1().unwrap()
        };
        for (at, ours) in encoded.ids.iter().enumerate() {
            assert_eq!(*ours, theirs(at), "{model}: {}", sentences[at]);
        }
        // Texts that exactly fill the maximum length are in no golden file, so full means truncated.
        let full = encoded.ids.iter().filter(|ids| ids.len() == max_length).count();
        assert!(full > 0 && encoded.truncated == full, "{model}: {} of {full}", encoded.truncated);
    }
}

fn round_trip() {
    let texts = ["search engines rank documents", "Café: ranking, ranked, ranks", "検索エンジン"];
    let config = WordPieceConfig { vocab_size: 120, min_frequency: 1, ..Default::default() };
    let trained = Tokenizer::train_wordpiece(&texts, &config).unwrap();
    let dir = tempfile::tempdir().unwrap();
    trained.save(dir.path().join("tokenizer.json")).unwrap();
    let loaded = Tokenizer::load(dir.path()).unwrap();
    let ids = trained.encode_batch(&texts, 64).unwrap();
    assert_eq!(loaded.encode_batch(&texts, 64).unwrap(), ids);
    assert_eq!(loaded.vocab_size(), trained.vocab_size());
    assert_eq!(loaded.decode(&ids[1]).unwrap(), "cafe : ranking, ranked, ranks");
    assert_eq!((loaded.pad_id(), loaded.id("[SEP]"), loaded.token(2).as_deref()), (0, Some(3), Some("[CLS]")));
    assert_eq!(ids[0].first(), Some(&2));

    // The closing token survives every length that leaves room for one token.
    for max_length in 3..ids[0].len() {
        let cut = &loaded.encode_batch(&texts[..1], max_length).unwrap()[0];
        assert_eq!(cut[..max_length - 1], ids[0][..max_length - 1]);
        assert_eq!(cut[max_length - 1..], [3]);
    }
}

fn stored_settings() {
    let texts = ["a b", "a b a b a b a b"];
    let config = WordPieceConfig { vocab_size: 40, ..Default::default() };
    let plain = Tokenizer::train_wordpiece(&texts, &config).unwrap();
    let mut file: serde_json::Value = serde_json::from_str(&plain.to_json().unwrap()).unwrap();
    file["truncation"] =
        serde_json::json!({"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0});
    file["padding"] = serde_json::json!({
        "strategy": {"Fixed": 32}, "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"
    });
    let loaded = Tokenizer::from_bytes(file.to_string()).unwrap();
    let lengths: Vec<usize> = loaded.encode_batch(&texts, 64).unwrap().iter().map(Vec::len).collect();
    assert_eq!(lengths, [4, 10]);
}

fn errors() {
    let texts = ["a b c"];
    let config = WordPieceConfig { vocab_size: 40, ..Default::default() };
    let tokenizer = Tokenizer::train_wordpiece(&texts, &config).unwrap();
    let short = tokenizer.encode_batch(&texts, 2).unwrap_err().to_string();
    assert_eq!(short, "max_length = 2: expected more than the 2 special tokens around each text");

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    let missing = Tokenizer::load(dir.path()).unwrap_err().to_string();
    assert!(missing.starts_with(&format!("{}: ", path.display())), "{missing}");
    std::fs::write(&path, "{}").unwrap();
    let broken = Tokenizer::load(&path).unwrap_err().to_string();
    assert!(broken.starts_with(&format!("{}: ", path.display())), "{broken}");
    assert!(broken.ends_with("expected a tokenizer.json of Hugging Face's tokenizers"), "{broken}");
}

/// A table of embeddings needs a row for the highest id.
fn holes() {
    let config = WordPieceConfig { vocab_size: 40, min_frequency: 1, ..Default::default() };
    let whole = Tokenizer::train_wordpiece(&["tree house"], &config).unwrap();
    let mut file: serde_json::Value = serde_json::from_str(&whole.to_json().unwrap()).unwrap();
    file["model"]["vocab"] =
        serde_json::json!({ "[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "house": 5, "tree": 9 });
    let tokenizer = Tokenizer::from_bytes(file.to_string()).unwrap();
    assert_eq!(tokenizer.vocab_size(), 10);
    let again = Tokenizer::from_bytes(tokenizer.to_json().unwrap()).unwrap();
    for tokenizer in [&tokenizer, &again] {
        assert_eq!(tokenizer.encode_batch(&["tree house"], 16).unwrap(), [[2, 9, 5, 3]]);
    }
    let encoder = BertConfig { hidden_size: 8, intermediate_size: 8, ..Default::default() };
    let model = BiEncoder::new(encoder, tokenizer, BiEncoderConfig::default(), 1).unwrap();
    assert_eq!(model.encoder().config().vocab_size(), 10);
    assert_eq!(model.encode_texts(&["tree house"]).unwrap().dims(), [1, 8]);
}

fn merges() {
    let with = |merges: serde_json::Value| {
        let vocab = serde_json::json!({ "a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4, " ": 5, "a ": 6, "a b": 7 });
        let file =
            serde_json::json!({ "version": "1.0", "model": { "type": "BPE", "vocab": vocab, "merges": merges } });
        Tokenizer::from_bytes(file.to_string()).map(|tokenizer| tokenizer.encode_batch(&["abc", "a b"], 16).unwrap())
    };
    assert_eq!(with(serde_json::json!(["a b", "ab c"])).unwrap(), [vec![4], vec![0, 5, 1]]);
    assert_eq!(with(serde_json::json!([["a", "b"], ["ab", "c"]])).unwrap(), [vec![4], vec![0, 5, 1]]);
    let spaces = serde_json::json!([["a", "b"], ["ab", "c"], ["a", " "], ["a ", "b"]]);
    assert_eq!(with(spaces).unwrap(), [[4], [7]]);
    let broken = with(serde_json::json!(["a b", "ab c", "ab"])).unwrap_err().to_string();
    assert!(broken.contains("line 3"), "{broken}");
}

/// The ids of a long text are those of the whole.
fn long_texts() {
    let texts = ["search engines rank documents", "Café: ranking, ranked, ranks", "検索エンジン"];
    let config = WordPieceConfig { vocab_size: 120, min_frequency: 1, ..Default::default() };
    let tokenizer = Tokenizer::train_wordpiece(&texts, &config).unwrap();
    let words = texts.join(" ").repeat(2_000);
    let sparse = format!("{}{words}", "x".repeat(50_000));
    let blank = format!("{}{words}", " ".repeat(300_000));
    let marks = "cafe\u{301} ".repeat(20_000);
    for text in [&words, &sparse, &blank, &marks] {
        let whole = &tokenizer.encode_batch(&[text], usize::MAX).unwrap()[0];
        for max_length in [8, 100, 3_000] {
            let encodings = tokenizer.encode(&[text], max_length).unwrap();
            assert_eq!(encodings.ids[0][..max_length - 1], whole[..max_length - 1]);
            assert_eq!((encodings.ids[0].len(), encodings.truncated), (max_length, 1));
        }
    }
    // Megabytes cost what their start does.
    let huge = words.repeat(100);
    let start = std::time::Instant::now();
    assert_eq!(tokenizer.encode(&[huge], 16).unwrap().truncated, 1);
    assert!(start.elapsed().as_secs_f64() < 0.5, "{:?}", start.elapsed());
}

fn rustdoc_vocabulary() {
    let texts = kensaku::data::rustdoc().unwrap().corpus.texts();
    let train = || Tokenizer::train_wordpiece(&texts, &WordPieceConfig::default()).unwrap();
    let tokenizer = train();
    assert_eq!(tokenizer.vocab_size(), 8_000);
    assert_eq!(train().to_json().unwrap(), tokenizer.to_json().unwrap());
    let encoded = tokenizer.encode(&texts, 128).unwrap();
    let unknown = tokenizer.id("[UNK]").unwrap();
    let (tokens, unknowns) = encoded
        .ids
        .iter()
        .flatten()
        .fold((0, 0), |(tokens, unknowns), id| (tokens + 1, unknowns + usize::from(*id == unknown)));
    assert!(unknowns * 1_000 < tokens, "{unknowns} of {tokens} tokens are unknown");
}
