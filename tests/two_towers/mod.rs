//! Two towers: directories against sentence-transformers, training against two bi-encoders by hand, and what is refused.

mod directories;
mod training;

use kensaku::Result;
use kensaku::data::{Queries, TrainingSet};
use kensaku::loss::Similarity;
use kensaku::model::{BiEncoder, BiEncoderConfig, Precision, Role, TwoTowers};
use kensaku::nn::{BertConfig, DenseActivation, DistilBertConfig, VectorModule};
use kensaku::text::{Tokenizer, WordPieceConfig};

use crate::golden::floats;
use crate::shared::{Trials, test};
use crate::training::words;

pub fn trials() -> Trials {
    let mut trials = Vec::from(["st52_bi_router", "st62_bi_router"].map(|name| {
        test(&format!("two_towers::{name}_equals_sentence_transformers"), move || {
            directories::equals_golden(name).unwrap();
        })
    }));
    trials.extend([
        test("two_towers::directories_have_the_older_schema", || directories::schema().unwrap()),
        test("two_towers::what_cannot_be_read_is_said", || directories::refusals().unwrap()),
        test("two_towers::they_are_two_bi_encoders", || towers().unwrap()),
        test("two_towers::towers_that_do_not_fit_are_refused", || misfits().unwrap()),
        test("two_towers::gradients_are_those_of_two_bi_encoders", || training::gradients().unwrap()),
        test("two_towers::gradients_are_slopes", || training::slopes().unwrap()),
        test("two_towers::both_learn_as_a_whole_and_in_parts", || training::learns().unwrap()),
        test("two_towers::a_frozen_tower_stays", || training::frozen().unwrap()),
        test("two_towers::resume_bit_for_bit", || training::resumes().unwrap()),
        test("two_towers::adapters_of_one_tower_resume", || training::adapters().unwrap()),
        test("two_towers::are_validated_and_checked_beforehand", || training::validated().unwrap()),
    ]);
    trials
}

/// Of another family, size and tokenizer, with dropout of its own.
fn query(data: &TrainingSet, seed: u64) -> Result<BiEncoder> {
    let columns = data.columns();
    let texts: Vec<&str> = columns[0].iter().collect();
    let tokenizer = Tokenizer::train_wordpiece(&texts, &WordPieceConfig { vocab_size: 90, ..Default::default() })?;
    let encoder =
        DistilBertConfig { dim: 16, n_layers: 1, n_heads: 2, hidden_dim: 32, dropout: 0.05, ..Default::default() };
    let dense = VectorModule::Dense { dim: 32, bias: true, activation: DenseActivation::Identity, residual: true };
    let config = BiEncoderConfig { modules: vec![dense], max_length: 20, ..Default::default() };
    BiEncoder::new(encoder, tokenizer, config, seed)
}

fn doc(data: &TrainingSet, seed: u64) -> Result<BiEncoder> {
    let columns = data.columns();
    let texts: Vec<&str> = columns[1].iter().collect();
    let tokenizer = Tokenizer::train_wordpiece(&texts, &WordPieceConfig { vocab_size: 150, ..Default::default() })?;
    let encoder = BertConfig { hidden_size: 32, intermediate_size: 64, ..Default::default() };
    let config = BiEncoderConfig { max_length: 32, ..Default::default() };
    BiEncoder::new(encoder, tokenizer, config, seed)
}

fn model(seed: u64) -> Result<TwoTowers> {
    let data = words()?;
    TwoTowers::new(query(&data, seed)?, doc(&data, seed)?)
}

const TEXTS: [&str; 3] = ["where is the red car 5", "the old dog", ""];

fn towers() -> Result<()> {
    let data = words()?;
    let (query, doc) =
        (query(&data, 1)?.with_prompts("where is ", "no ")?, doc(&data, 1)?.with_prompts("no ", "the ")?);
    let model = TwoTowers::new(query.clone(), doc.clone())?;
    let of_queries = floats(&query.encode(&TEXTS, Role::Query)?);
    assert_eq!(floats(&model.encode(&TEXTS, Role::Query)?), of_queries);
    assert_eq!(floats(&model.encode(&TEXTS, Role::Doc)?), floats(&doc.encode(&TEXTS, Role::Doc)?));
    assert_eq!(floats(&model.encode_texts(&TEXTS)?), floats(&doc.encode_texts(&TEXTS)?));
    assert_ne!(of_queries, floats(&model.encode(&TEXTS, Role::Doc)?));
    assert_eq!(model.tokenize(&TEXTS, Role::Query)?, query.tokenize(&TEXTS, Role::Query)?);
    let named = model.encode_with_prompt(&TEXTS, "document")?;
    assert_eq!(floats(&named), floats(&model.encode(&TEXTS, Role::Doc)?));
    // One set of prompts: that of queries is the queries' tower's.
    assert_eq!((&*model.query_config().query_prompt, &*model.query_config().doc_prompt), ("where is ", ""));
    assert_eq!((&*model.doc_config().query_prompt, &*model.doc_config().doc_prompt), ("where is ", "the "));

    let queries = Queries::from_texts(["red car", "old dog"])?;
    let found = model.encode_queries(&queries)?;
    assert_eq!(found.vectors.dims(), [2, 32]);
    assert_eq!(floats(&found.vectors), floats(&model.encode(&["red car", "old dog"], Role::Query)?));
    assert_eq!(model.similarity(&found.vectors, &named)?.dims(), [2, 3]);

    let count = [&query, &doc].map(|tower| tower.encoder().parameters().len());
    assert_eq!(model.parameters().len(), count[0] + count[1]);
    let names: Vec<&str> = model.parameters().entries().iter().map(|entry| entry.name.as_str()).collect();
    assert!(
        names.contains(&"query.2_Dense.residual.weight")
            && names.contains(&"document.encoder.layer.1.output.dense.bias")
    );
    let (again, other) = model.clone().into_towers();
    assert_eq!(floats(&again.encode(&TEXTS, Role::Query)?), of_queries);
    assert_eq!(floats(&other.encode(&TEXTS, Role::Doc)?), floats(&doc.encode(&TEXTS, Role::Doc)?));
    let text = format!("{model:?}");
    assert!(text.starts_with("TwoTowers (of queries: distilbert, 1 layers of width 16, "), "{text}");

    // Weights in int8 are those of the moment.
    let quick = |tower: BiEncoder| tower.with_precision(Precision::Int8);
    let mut quick = TwoTowers::new(quick(again), quick(other))?;
    let before = floats(&quick.encode(&TEXTS, Role::Doc)?);
    quick.parameters_mut().values_mut("document.encoder.layer.0.output.dense.weight")?.fill(0.1);
    assert_ne!(floats(&quick.encode(&TEXTS, Role::Doc)?), before);
    Ok(())
}

fn misfits() -> Result<()> {
    let data = words()?;
    let message = |query: BiEncoder, doc: BiEncoder| TwoTowers::new(query, doc).unwrap_err().to_string();
    let narrow = message(query(&data, 1)?.with_modules(Vec::new(), 1)?, doc(&data, 1)?);
    assert!(narrow.contains("16 numbers of a query, 32 of a document") && narrow.contains("a Dense"), "{narrow}");
    let dot = message(query(&data, 1)?, doc(&data, 1)?.with_similarity(Similarity::Dot));
    assert_eq!(dot, "similarity = Dot: expected Cosine, as in the tower of queries");
    let cut = message(query(&data, 1)?.with_truncate_dim(Some(8))?, doc(&data, 1)?);
    assert_eq!(cut, "truncate_dim = None: expected Some(8), as in the tower of queries");
    Ok(())
}
