//! Token ids against Hugging Face's tokenizers, as sentence-transformers uses them.

use candle_core::DType;
use kensaku::text::{Tokenizer, WordPieceConfig};

use crate::golden::{Tensors, fixture, json};
use crate::shared::{Trials, test};

pub(crate) fn trials() -> Trials {
    vec![
        test("tokenizer::ids_are_those_of_sentence_transformers", golden_ids),
        test("tokenizer::saved_and_loaded_it_is_the_same", round_trip),
        test("tokenizer::stored_padding_and_truncation_are_not_used", stored_settings),
        test("tokenizer::errors_name_what_is_wrong", errors),
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
