//! Model directories exchanged with sentence-transformers, for `tests/parity/directories.sh`: Python loads what this
//! writes, and this loads what Python writes.
//!
//! ```text
//! cargo run --release -p kensaku --example directories -- save FOLDER
//! cargo run --release -p kensaku --example directories -- check FOLDER
//! ```
//!
//! A folder has a directory of every family, and of SPLADE models, with the vectors that its writer computed in
//! `expected.json`.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail, ensure};
use kensaku::prelude::*;
use kensaku::serde_json::{self, Value, json};

#[path = "../../tests/words.rs"]
mod words;

use words::word_tokenizer;

const TEXTS: [&str; 8] = [
    "",
    "a red house",
    "A RED House",
    "the dog and the old house by the tree",
    "where is the red car?",
    "検索エンジン and a café",
    "unknown words",
    "one text that is longer than the others, so long that its end is cut: the dog by the tree, the car by the house, \
     the tree by the dog, the house by the car, the dog by the car, the house by the tree and the car by the dog",
];
const ROLES: [(&str, Role); 3] = [("plain", Role::Plain), ("query", Role::Query), ("document", Role::Doc)];
const TOLERANCE: f32 = 1e-5;

/// A model of any architecture.
enum Any {
    Dense(BiEncoder),
    Sparse(Splade),
}

impl Any {
    fn load(dir: &Path) -> Result<Self> {
        let sparse = dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with("splade"));
        Ok(if sparse { Self::Sparse(Splade::load(dir)?) } else { Self::Dense(BiEncoder::load(dir)?) })
    }

    fn save(&self, dir: &Path) -> Result<()> {
        match self {
            Self::Dense(model) => model.save(dir)?,
            Self::Sparse(model) => model.save(dir)?,
        }
        Ok(())
    }

    fn encode(&self, role: Role) -> Result<Vec<Vec<f32>>> {
        let vectors = match self {
            Self::Dense(model) => model.encode(&TEXTS, role)?,
            Self::Sparse(model) => model.encode(&TEXTS, role)?.to_dense()?,
        };
        Ok(vectors.to_vec2::<f32>()?)
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["save", folder] => save(Path::new(folder)),
        ["check", folder] => check(Path::new(folder)),
        _ => bail!("directories save FOLDER | directories check FOLDER"),
    }
}

fn save(folder: &Path) -> Result<()> {
    for (name, model) in models()? {
        let dir = folder.join(name);
        model.save(&dir)?;
        let vectors = ROLES.map(|(key, role)| Ok::<_, anyhow::Error>((key.to_owned(), json!(model.encode(role)?))));
        let vectors = vectors.into_iter().collect::<Result<serde_json::Map<String, Value>>>()?;
        fs::write(dir.join("expected.json"), json!({ "texts": TEXTS, "vectors": vectors }).to_string())?;
    }
    Ok(())
}

fn check(folder: &Path) -> Result<()> {
    let mut names: Vec<_> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    names.sort();
    ensure!(names.len() == models()?.len(), "{} directories in {}", names.len(), folder.display());
    for dir in names {
        let expected: Value = serde_json::from_slice(&fs::read(dir.join("expected.json"))?)?;
        let model = Any::load(&dir)?;
        let mut most = 0.0_f32;
        for (key, role) in ROLES {
            let theirs: Vec<Vec<f32>> = serde_json::from_value(expected["vectors"][key].clone())?;
            let ours = model.encode(role)?;
            ensure!(ours.len() == theirs.len(), "{}: {} vectors", dir.display(), theirs.len());
            for (ours, theirs) in ours.iter().flatten().zip(theirs.iter().flatten()) {
                most = most.max((ours - theirs).abs());
            }
        }
        println!("{:<60} largest difference {most:.1e}", dir.display());
        ensure!(most <= TOLERANCE, "{}: vectors differ by {most}", dir.display());
    }
    Ok(())
}

/// Small models of every family and architecture, each with other settings.
fn models() -> Result<Vec<(&'static str, Any)>> {
    let dense = dense_models()?.into_iter().map(|(name, model)| (name, Any::Dense(model)));
    Ok(dense.chain(sparse_models()?.into_iter().map(|(name, model)| (name, Any::Sparse(model)))).collect())
}

fn sparse_models() -> Result<Vec<(&'static str, Splade)>> {
    let bert = BertConfig { initializer_range: 0.2, hidden_size: 32, ..Default::default() };
    let distilbert = DistilBertConfig { initializer_range: 0.2, dim: 32, ..Default::default() };
    let modernbert =
        ModernBertConfig { initializer_range: 0.2, hidden_size: 32, num_hidden_layers: 4, ..Default::default() };
    let roberta = RobertaConfig { initializer_range: 0.2, hidden_size: 32, ..Default::default() };
    let plain = SpladeConfig { max_length: 24, ..Default::default() };
    let prompted =
        SpladeConfig { query_prompt: "where is ".to_owned(), doc_prompt: "the house: ".to_owned(), ..plain.clone() };
    let sum = SpladeConfig { pooling: WordPooling::Sum, log1p_twice: true, ..plain.clone() };
    let twice = SpladeConfig { log1p_twice: true, ..plain.clone() };
    Ok(vec![
        ("splade-bert", Splade::new(bert, word_pieces(true)?, prompted, 1)?),
        ("splade-distilbert", Splade::new(distilbert, word_pieces(true)?, sum, 2)?),
        ("splade-modernbert", Splade::new(modernbert, word_pieces(true)?, twice, 3)?),
        ("splade-roberta", Splade::new(roberta, words()?, plain, 4)?),
    ])
}

/// A bi-encoder of every family, each with other settings.
fn dense_models() -> Result<Vec<(&'static str, BiEncoder)>> {
    let bert = BertConfig { initializer_range: 0.2, hidden_size: 32, ..Default::default() };
    let distilbert = DistilBertConfig { initializer_range: 0.2, dim: 32, ..Default::default() };
    let electra = BertConfig { model_type: "electra".to_owned(), embedding_size: Some(16), ..bert.clone() };
    let mpnet = MpnetConfig { initializer_range: 0.2, hidden_size: 32, ..Default::default() };
    let modernbert = ModernBertConfig {
        initializer_range: 0.2,
        hidden_size: 32,
        num_hidden_layers: 4,
        local_attention: 12,
        ..Default::default()
    };
    let roberta = RobertaConfig { initializer_range: 0.2, hidden_size: 32, ..Default::default() };
    let xlm_roberta = RobertaConfig { model_type: "xlm-roberta".to_owned(), ..roberta.clone() };

    let plain = BiEncoderConfig { max_length: 24, ..Default::default() };
    let prompted = BiEncoderConfig {
        query_prompt: "where is ".to_owned(),
        doc_prompt: "the house: ".to_owned(),
        prompts: [("cluster".to_owned(), "a dog and ".to_owned())].into(),
        default_prompt: Some("cluster".to_owned()),
        ..plain.clone()
    };
    let excluded = BiEncoderConfig { include_prompt: false, normalize: false, ..prompted.clone() };
    let first =
        BiEncoderConfig { pooling: Pooling::Cls, similarity: Similarity::Dot, normalize: false, ..plain.clone() };
    let pooled = |pooling: Pooling, config: &BiEncoderConfig| BiEncoderConfig { pooling, ..config.clone() };
    let several = Pooling::Concat(vec![Pooling::Cls, Pooling::Max, Pooling::Mean]);
    let (pieces, words) = (word_pieces(true)?, words()?);
    Ok(vec![
        ("bert", BiEncoder::new(bert, pieces.clone(), prompted, 1)?),
        ("distilbert", BiEncoder::new(distilbert, pieces.clone(), pooled(several, &plain), 2)?),
        ("electra", lower_cased(BiEncoder::new(electra, word_pieces(false)?, first, 3)?)?),
        ("modernbert", BiEncoder::new(modernbert, pieces, excluded.clone(), 4)?),
        ("mpnet", BiEncoder::new(mpnet, words.clone(), pooled(Pooling::WeightedMean, &plain), 5)?),
        ("roberta", BiEncoder::new(roberta, words.clone(), pooled(Pooling::MeanSqrtLen, &excluded), 6)?),
        ("xlm-roberta", BiEncoder::new(xlm_roberta, words, pooled(Pooling::LastToken, &plain), 7)?),
    ])
}

/// The same model as one that older versions have written to be used with lower-cased texts.
fn lower_cased(model: BiEncoder) -> Result<BiEncoder> {
    let dir = std::env::temp_dir().join(format!("kensaku-lower-cased-{}", std::process::id()));
    model.save(&dir)?;
    let settings = json!({ "max_seq_length": model.config().max_length, "do_lower_case": true });
    fs::write(dir.join("sentence_bert_config.json"), settings.to_string())?;
    let model = BiEncoder::load(&dir)?;
    fs::remove_dir_all(dir)?;
    Ok(model)
}

fn word_pieces(lowercase: bool) -> Result<Tokenizer> {
    let config = WordPieceConfig { vocab_size: 200, min_frequency: 1, lowercase, ..Default::default() };
    Ok(Tokenizer::train_wordpiece(&TEXTS, &config)?)
}

/// A tokenizer of whole words with RoBERTa's special tokens.
fn words() -> Result<Tokenizer> {
    let mut words: Vec<&str> = TEXTS.iter().flat_map(|text| text.split_whitespace()).collect();
    words.sort_unstable();
    words.dedup();
    Ok(word_tokenizer(&["<mask>"], &words)?)
}
