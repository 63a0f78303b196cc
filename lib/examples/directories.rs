//! Model directories exchanged with sentence-transformers, for `tests/parity/directories.sh`: Python loads what this
//! writes, and this loads what Python writes.
//!
//! ```text
//! cargo run --release -p kensaku --example directories -- save FOLDER
//! cargo run --release -p kensaku --example directories -- check FOLDER
//! ```
//!
//! A folder has a directory of every family and of every architecture, with what its writer computed in `expected.json`.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail, ensure};
use kensaku::model::Activation;
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

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["save", folder] => save(Path::new(folder)),
        ["check", folder] => check(Path::new(folder)),
        _ => bail!("directories save FOLDER | directories check FOLDER"),
    }
}

/// A model of any architecture.
enum Model {
    Bi(BiEncoder),
    Cross(CrossEncoder),
    Sparse(Splade),
    Static(StaticEmbedding),
    Tokens(ColBert),
    Towers(Box<TwoTowers>),
}

impl Model {
    fn load(kind: &str, dir: &Path) -> Result<Self> {
        Ok(match kind {
            "bi-encoder" => Self::Bi(BiEncoder::load(dir)?),
            "cross-encoder" => Self::Cross(CrossEncoder::load(dir)?),
            "splade" => Self::Sparse(Splade::load(dir)?),
            "static-embedding" => Self::Static(StaticEmbedding::load(dir)?),
            "colbert" => Self::Tokens(ColBert::load(dir)?),
            "two-towers" => Self::Towers(Box::new(TwoTowers::load(dir)?)),
            other => bail!("{}: unknown kind {other}", dir.display()),
        })
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Bi(_) => "bi-encoder",
            Self::Cross(_) => "cross-encoder",
            Self::Sparse(_) => "splade",
            Self::Static(_) => "static-embedding",
            Self::Tokens(_) => "colbert",
            Self::Towers(_) => "two-towers",
        }
    }

    fn save(&self, dir: &Path) -> Result<()> {
        match self {
            Self::Bi(model) => model.save(dir)?,
            Self::Cross(model) => model.save(dir)?,
            Self::Sparse(model) => model.save(dir)?,
            Self::Static(model) => model.save(dir)?,
            Self::Tokens(model) => model.save(dir)?,
            Self::Towers(model) => model.save(dir)?,
        }
        Ok(())
    }

    /// What the model computes of the texts, by name.
    fn outputs(&self) -> Result<Vec<(String, Vec<f32>)>> {
        let flat = |tensor: Tensor| Ok::<_, anyhow::Error>(tensor.flatten_all()?.to_vec1::<f32>()?);
        match self {
            Self::Bi(model) => {
                let named = |(key, role): &(&str, Role)| Ok(((*key).to_owned(), flat(model.encode(&TEXTS, *role)?)?));
                ROLES.iter().map(named).collect()
            }
            Self::Static(model) => {
                let named = |(key, role): &(&str, Role)| Ok(((*key).to_owned(), flat(model.encode(&TEXTS, *role)?)?));
                ROLES.iter().map(named).collect()
            }
            Self::Towers(model) => {
                let named = |(key, role): &(&str, Role)| Ok(((*key).to_owned(), flat(model.encode(&TEXTS, *role)?)?));
                ROLES.iter().map(named).collect()
            }
            Self::Tokens(model) => {
                let vectors = |role| flat(model.encode(&TEXTS, role)?.vectors);
                ROLES[1..].iter().map(|(key, role)| Ok(((*key).to_owned(), vectors(*role)?))).collect()
            }
            Self::Sparse(model) => {
                let vectors = |role| flat(model.encode(&TEXTS, role)?.to_dense()?);
                ROLES.iter().map(|(key, role)| Ok(((*key).to_owned(), vectors(*role)?))).collect()
            }
            Self::Cross(model) => Ok(vec![("scores".to_owned(), flat(model.predict(&pairs())?)?)]),
        }
    }
}

/// Every text with the next one.
fn pairs() -> Vec<(&'static str, &'static str)> {
    (0..TEXTS.len()).map(|index| (TEXTS[index], TEXTS[(index + 1) % TEXTS.len()])).collect()
}

fn save(folder: &Path) -> Result<()> {
    for (name, model) in models()? {
        let dir = folder.join(name);
        model.save(&dir)?;
        let outputs: serde_json::Map<String, Value> =
            model.outputs()?.into_iter().map(|(key, numbers)| (key, json!(numbers))).collect();
        let expected = json!({ "kind": model.kind(), "texts": TEXTS, "pairs": pairs(), "outputs": outputs });
        fs::write(dir.join("expected.json"), expected.to_string())?;
    }
    Ok(())
}

fn check(folder: &Path) -> Result<()> {
    let mut names: Vec<_> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    names.sort();
    ensure!(!names.is_empty(), "no directories in {}", folder.display());
    for dir in names {
        let expected: Value = serde_json::from_slice(&fs::read(dir.join("expected.json"))?)?;
        let model = Model::load(expected["kind"].as_str().unwrap_or_default(), &dir)?;
        let mut most = 0.0_f32;
        for (key, ours) in model.outputs()? {
            let theirs: Vec<f32> = serde_json::from_value(expected["outputs"][&key].clone())?;
            ensure!(ours.len() == theirs.len(), "{}: {} numbers of {key}", dir.display(), theirs.len());
            for (ours, theirs) in ours.iter().zip(theirs) {
                most = most.max((ours - theirs).abs());
            }
        }
        println!("{:<60} largest difference {most:.1e}", dir.display());
        ensure!(most <= TOLERANCE, "{}: outputs differ by {most}", dir.display());
    }
    Ok(())
}

fn token_models() -> Result<Vec<(&'static str, ColBert)>> {
    let bert = BertConfig { initializer_range: 0.2, hidden_size: 32, ..Default::default() };
    let modernbert =
        ModernBertConfig { initializer_range: 0.2, hidden_size: 32, num_hidden_layers: 4, ..Default::default() };
    let config = ColBertConfig { dim: 16, query_length: 12, doc_length: 24, ..Default::default() };
    let attended = ColBertConfig { attend_to_expansion: true, ..config.clone() };
    let plain = ColBertConfig { expand_queries: false, skip_words: Vec::new(), ..config.clone() };
    Ok(vec![
        ("colbert-bert", ColBert::new(bert.clone(), word_pieces(true)?, config, 1)?),
        ("colbert-attended", ColBert::new(bert, word_pieces(true)?, attended, 2)?),
        ("colbert-modernbert", ColBert::new(modernbert, word_pieces(true)?, plain, 3)?),
    ])
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
    let free = SpladeConfig { query_prompt: "where is ".to_owned(), ..plain.clone() };
    let free = Splade::new(bert.clone(), word_pieces(true)?, free, 5)?;
    let weights = free.idf(&TEXTS)?;
    let free = free.with_query_weights(word_pieces(true)?, &weights)?;
    let fixed = Splade::new(roberta.clone(), words()?, plain.clone(), 6)?;
    let weights: Vec<f32> = (0..fixed.dim()).map(|word| word as f32 / 100.0).collect();
    let fixed = fixed.with_query_weights(words()?, &weights)?;
    let settings = SpladeConfig { query_weights: QueryWeights::Fixed, query_length: Some(6), ..fixed.config().clone() };
    let fixed = fixed.with_config(settings)?;
    Ok(vec![
        ("splade-inference-free", free),
        ("splade-inference-free-fixed", fixed),
        ("splade-bert", Splade::new(bert, word_pieces(true)?, prompted, 1)?),
        ("splade-distilbert", Splade::new(distilbert, word_pieces(true)?, sum, 2)?),
        ("splade-modernbert", Splade::new(modernbert, word_pieces(true)?, twice, 3)?),
        ("splade-roberta", Splade::new(roberta, words()?, plain, 4)?),
    ])
}

fn static_models() -> Result<Vec<(&'static str, StaticEmbedding)>> {
    let plain = StaticEmbeddingConfig { normalize: false, max_length: Some(24), ..Default::default() };
    let prompted = StaticEmbeddingConfig {
        query_prompt: "where is ".to_owned(),
        doc_prompt: "the house: ".to_owned(),
        similarity: Similarity::Euclidean,
        ..plain
    };
    let encoder = BertConfig { initializer_range: 0.2, hidden_size: 32, ..Default::default() };
    let encoder = BiEncoder::new(encoder, word_pieces(true)?, BiEncoderConfig::default(), 2)?;
    Ok(vec![
        ("static", StaticEmbedding::new(16, word_pieces(true)?, prompted, 1)?),
        // Saved as model2vec saves it.
        ("static-distilled", StaticEmbedding::distil(&encoder, &DistilConfig::default())?),
    ])
}

/// Queries of one family and tokenizer, documents of another one.
fn towers() -> Result<TwoTowers> {
    let distilbert = DistilBertConfig { initializer_range: 0.2, dim: 16, n_heads: 2, ..Default::default() };
    let modernbert =
        ModernBertConfig { initializer_range: 0.2, hidden_size: 32, num_hidden_layers: 4, ..Default::default() };
    let dense = VectorModule::Dense { dim: 32, bias: true, activation: DenseActivation::Identity, residual: false };
    let query = BiEncoderConfig {
        pooling: Pooling::Cls,
        modules: vec![dense],
        max_length: 12,
        query_prompt: "where is ".to_owned(),
        ..Default::default()
    };
    let doc = BiEncoderConfig {
        max_length: 24,
        doc_prompt: "the house: ".to_owned(),
        prompts: [("cluster".to_owned(), "a dog and ".to_owned())].into(),
        default_prompt: Some("cluster".to_owned()),
        include_prompt: false,
        ..Default::default()
    };
    let query = BiEncoder::new(distilbert, words()?, query, 15)?;
    Ok(TwoTowers::new(query, BiEncoder::new(modernbert, word_pieces(true)?, doc, 16)?)?)
}

/// A small model of every family and every architecture, each with other settings.
fn models() -> Result<Vec<(&'static str, Model)>> {
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
    let cross = CrossEncoderConfig { max_length: 24, ..Default::default() };
    let three = CrossEncoderConfig { activation: Activation::Identity, ..cross.clone() };
    let dense = |dim, bias, activation| VectorModule::Dense { dim, bias, activation, residual: false };
    let modules = vec![dense(12, true, DenseActivation::Tanh)];
    let tanh = BiEncoderConfig { modules, ..plain.clone() };
    let modules = vec![
        VectorModule::Normalize,
        dense(20, false, DenseActivation::Gelu),
        VectorModule::LayerNorm,
        dense(8, true, DenseActivation::Identity),
    ];
    let deep = BiEncoderConfig { modules, normalize: false, ..prompted.clone() };
    let residual = |dim| VectorModule::Dense { dim, bias: true, activation: DenseActivation::Tanh, residual: true };
    let residual = BiEncoderConfig { modules: vec![residual(32), residual(12)], ..plain.clone() };
    let bi = [
        ("residual", BiEncoder::new(bert.clone(), pieces.clone(), residual, 14)?),
        ("dense", BiEncoder::new(bert.clone(), pieces.clone(), tanh, 12)?),
        ("modules", BiEncoder::new(distilbert.clone(), pieces.clone(), deep, 13)?),
        ("bert", BiEncoder::new(bert.clone(), pieces.clone(), prompted, 1)?),
        ("distilbert", BiEncoder::new(distilbert.clone(), pieces.clone(), pooled(several, &plain), 2)?),
        ("electra", lower_cased(BiEncoder::new(electra, word_pieces(false)?, first, 3)?)?),
        ("modernbert", BiEncoder::new(modernbert.clone(), pieces.clone(), excluded.clone(), 4)?),
        ("mpnet", BiEncoder::new(mpnet, words.clone(), pooled(Pooling::WeightedMean, &plain), 5)?),
        ("roberta", BiEncoder::new(roberta.clone(), words.clone(), pooled(Pooling::MeanSqrtLen, &excluded), 6)?),
        ("xlm-roberta", BiEncoder::new(xlm_roberta, words.clone(), pooled(Pooling::LastToken, &plain), 7)?),
    ];
    let cross = [
        ("cross-bert", CrossEncoder::new(bert, pieces.clone(), 1, cross.clone(), 8)?),
        ("cross-distilbert", CrossEncoder::new(distilbert, pieces.clone(), 3, three, 9)?),
        ("cross-modernbert", CrossEncoder::new(modernbert, pieces, 1, cross.clone(), 10)?),
        ("cross-roberta", CrossEncoder::new(roberta, words, 1, cross, 11)?),
    ];
    let bi = bi.into_iter().map(|(name, model)| (name, Model::Bi(model)));
    let cross = cross.into_iter().map(|(name, model)| (name, Model::Cross(model)));
    let sparse = sparse_models()?.into_iter().map(|(name, model)| (name, Model::Sparse(model)));
    let bags = static_models()?.into_iter().map(|(name, model)| (name, Model::Static(model)));
    let tokens = token_models()?.into_iter().map(|(name, model)| (name, Model::Tokens(model)));
    let towers = [("two-towers", Model::Towers(Box::new(towers()?)))];
    Ok(bi.chain(cross).chain(sparse).chain(bags).chain(tokens).chain(towers).collect())
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
