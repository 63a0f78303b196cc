//! The front of a model, which a thread has, makes the token ids that the model makes.

use candle_core::Tensor;
use kensaku::Result;
use kensaku::model::{
    BiEncoder, ColBert, CrossEncoder, CustomConfig, CustomHead, CustomModel, Model, Splade, StaticEmbedding,
    StaticEmbeddingConfig, TwoTowers,
};
use kensaku::text::{Tokenizer, WordPieceConfig};

use super::{small, words};
use crate::golden::fixture;

pub(super) fn of_every_model() -> Result<()> {
    let dir = |name: &str| fixture("models").join(name);
    let words = words()?;
    let encoder = small(&words, 1)?.with_prompts("ask: ", "say: ")?.with_max_length(9)?;
    let head = CustomHead::new(|hidden| hidden.each(|states: &Tensor| Ok(states.mean(0)?)));
    let custom = CustomConfig { query_prompt: "ask: ".to_owned(), max_length: 8, ..Default::default() };
    let custom = CustomModel::on(encoder.encoder().clone(), encoder.tokenizer().clone(), head, custom)?;
    let texts: Vec<&str> = vec!["red car", "a tree"];
    let few = Tokenizer::train_wordpiece(&texts, &WordPieceConfig { min_frequency: 1, ..Default::default() })?;
    let settings = StaticEmbeddingConfig {
        skip_unknown: true,
        max_length: Some(4),
        doc_prompt: "a ".to_owned(),
        ..Default::default()
    };
    let models: Vec<Box<dyn Model>> = vec![
        Box::new(BiEncoder::load(dir("st62_bi_prompts"))?),
        Box::new(ColBert::load(dir("pylate_colbert"))?),
        Box::new(ColBert::load(dir("pylate_colbert_attend"))?),
        Box::new(CrossEncoder::load(dir("st62_cross_encoder"))?.with_max_length(12)?),
        Box::new(custom),
        Box::new(Splade::load(dir("st62_splade_inference_free"))?),
        Box::new(Splade::load(dir("st62_splade_max"))?.with_max_length(7)?),
        Box::new(StaticEmbedding::new(8, few, settings, 1)?),
        Box::new(StaticEmbedding::load(dir("st62_static"))?),
        Box::new(TwoTowers::load(dir("st62_bi_router"))?),
        Box::new(encoder),
    ];
    let columns = words.columns();
    for model in models {
        let front = model.front().unwrap();
        for rows in [0..20, 15..40, 0..0, 20..21] {
            let texts: Vec<Vec<&str>> =
                columns.iter().map(|column| rows.clone().map(|row| &column[row]).collect()).collect();
            assert_eq!(front(&texts)?, model.tokenize(&texts)?, "{model:?}");
        }
        let error = front(&[vec!["a"]]).map_err(|error| error.to_string());
        assert_eq!(error, model.tokenize(&[vec!["a"]]).map_err(|error| error.to_string()), "{model:?}");
    }
    Ok(())
}
