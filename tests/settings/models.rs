//! Settings of a model, and vectors at their limits.

use kensaku::loss::Similarity;
use kensaku::model::{BiEncoder, BiEncoderConfig, Model, Part, Pooling, Precision, Role};
use kensaku::nn::{Activations, PackedBatch};

use super::{TEXTS, bare_tokenizer, encoder, small, vectors};
use crate::golden::floats;

pub(super) fn changed() {
    let model = small(true, BiEncoderConfig::default());
    let short = model.clone().with_max_length(4).unwrap();
    assert_eq!(short.tokenize(&["the dog by the tree"], Role::Plain).unwrap()[0].len(), 4);
    let error = model.clone().with_max_length(65).unwrap_err().to_string();
    assert_eq!(error, "max_length = 65: expected 2 to 64, the longest input of the encoder");
    let prompted = model.clone().with_prompts("where is ", "the ").unwrap();
    assert_eq!(
        floats(&prompted.encode(&["car"], Role::Doc).unwrap()),
        floats(&model.encode_texts(&["the car"]).unwrap())
    );
    let dot = model.clone().with_similarity(Similarity::Dot);
    let twice = (model.encode_texts(&TEXTS).unwrap() * 2.0).unwrap();
    let diagonal = |model: &BiEncoder| model.similarity(&twice, &twice).unwrap().to_vec2::<f32>().unwrap()[0][0];
    assert!((diagonal(&dot) - 4.0).abs() < 1e-5 && (diagonal(&model) - 1.0).abs() < 1e-5);
    for similarity in [Similarity::Euclidean, Similarity::Manhattan] {
        let model = model.clone().with_similarity(similarity);
        assert_eq!(diagonal(&model), 0.0);
        assert_eq!(BiEncoder::load(super::saved(&model).path()).unwrap().config(), model.config());
    }
    let named = BiEncoderConfig { prompts: [("query".to_owned(), "x".to_owned())].into(), ..Default::default() };
    assert!(model.with_config(BiEncoderConfig { max_length: 8, ..named }).is_err());
}

pub(super) fn prompt_tokens() {
    let config = BiEncoderConfig {
        max_length: 16,
        query_prompt: "query a ".to_owned(),
        include_prompt: false,
        normalize: false,
        ..Default::default()
    };
    let bare = BiEncoder::new(encoder(), bare_tokenizer(), config.clone(), 1).unwrap();
    assert_eq!((bare.prompt_tokens(Role::Query), bare.prompt_tokens(Role::Doc)), (2, 0));
    // The mean is that of the last two hidden states.
    let ids = bare.tokenize(&["red house"], Role::Query).unwrap();
    assert_eq!(ids, [[4, 1, 2, 3]]);
    let mut activations = Activations::inference();
    bare.encoder().forward(&PackedBatch::new(&ids), &mut activations).unwrap();
    let rows: Vec<&[f32]> = activations.hidden().chunks_exact(32).collect();
    let ours = floats(&bare.encode(&["red house"], Role::Query).unwrap());
    for (index, value) in ours.iter().enumerate() {
        assert!((value - (rows[2][index] + rows[3][index]) / 2.0).abs() < 1e-6);
    }
    let closed = BiEncoder::new(encoder(), small(true, config.clone()).tokenizer().clone(), config, 1).unwrap();
    assert_eq!(closed.prompt_tokens(Role::Query), closed.tokenize(&["query a "], Role::Plain).unwrap()[0].len() - 1);
}

pub(super) fn no_tokens() {
    for pooling in [Pooling::Mean, Pooling::Cls] {
        for normalize in [true, false] {
            let config = BiEncoderConfig { max_length: 16, pooling: pooling.clone(), normalize, ..Default::default() };
            let model = BiEncoder::new(encoder(), bare_tokenizer(), config, 1).unwrap();
            assert_eq!(model.encode_texts(&[""]).unwrap().to_vec2::<f32>().unwrap(), [[0.0; 32]]);
            let mixed = model.encode_texts(&["", "red"]).unwrap().to_vec2::<f32>().unwrap();
            assert_eq!(mixed[0], [0.0; 32]);
            assert_eq!(mixed[1], model.encode_texts(&["red"]).unwrap().to_vec2::<f32>().unwrap()[0]);
            let none: [&str; 0] = [];
            assert_eq!(model.encode_texts(&none).unwrap().dims(), [0, 32]);
        }
    }
}

pub(super) fn not_finite() {
    let mut model = small(true, BiEncoderConfig::default());
    let parameters = model.encoder_mut().parameters_mut();
    parameters.values_mut("encoder.layer.0.output.LayerNorm.bias").unwrap().fill(3e38);
    parameters.values_mut("encoder.layer.0.output.LayerNorm.weight").unwrap().fill(3e38);
    let error = model.encode_texts(&["a", "red house"]).unwrap_err().to_string();
    assert!(error.starts_with("the vector of text ") && error.ends_with("expected finite numbers"), "{error}");
}

pub(super) fn room() {
    let model = small(true, BiEncoderConfig::default());
    let error = model.clone().with_max_length(2).unwrap_err().to_string();
    assert_eq!(error, "max_length = 2: expected more than 2, the number of special tokens");
    let filled = model.clone().with_prompts("where is the red house", "").and_then(|model| model.with_max_length(7));
    let error = filled.unwrap_err().to_string();
    assert!(
        error.starts_with("max_length = 7: expected more than 7, the number of tokens of the prompt `where is"),
        "{error}"
    );
    assert!(model.with_max_length(3).is_ok());
}

pub(super) fn int8() {
    let mut model = small(true, BiEncoderConfig::default()).with_precision(Precision::Int8);
    let before = vectors(&model, Role::Plain);
    let copy = model.clone();
    assert_eq!(vectors(&model, Role::Plain), before);
    let weight = "encoder.layer.0.output.dense.weight";
    model.encoder_mut().parameters_mut().values_mut(weight).unwrap().iter_mut().for_each(|value| *value *= -1.0);
    assert_ne!(vectors(&model, Role::Plain), before);
    assert_eq!(vectors(&copy, Role::Plain), before);
}

pub(super) fn windows() {
    let model = small(true, BiEncoderConfig::default());
    let texts: Vec<String> = (0..8_200).map(|number| format!("the {}", TEXTS[number % 4])).collect();
    let all = model.encode(&texts, Role::Doc).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(all.len(), texts.len());
    for row in [0, 5, 8_190, 8_191, 8_192, 8_199] {
        assert_eq!(all[row], model.encode(&texts[row..=row], Role::Doc).unwrap().to_vec2::<f32>().unwrap()[0], "{row}");
    }
    let ids: Vec<String> = (0..texts.len()).map(|number| number.to_string()).collect();
    let titles: Vec<&str> = texts.iter().map(|_| "the").collect();
    let rest: Vec<&str> = (0..texts.len()).map(|number| TEXTS[number % 4]).collect();
    let frame = polars::prelude::df!("doc_id" => ids, "title" => titles, "text" => rest).unwrap();
    let docs = model.encode_docs(&kensaku::data::Corpus::new(frame).unwrap()).unwrap();
    assert_eq!(docs.vectors.to_vec2::<f32>().unwrap(), all);
}

pub(super) fn lengths() {
    let mut model = small(true, BiEncoderConfig::default());
    let part = Part { batch: PackedBatch::new([vec![2, 5, 3], vec![2, 3]]), columns: vec![0; 2] };
    let mut activations = Activations::training();
    let short = Part { columns: vec![0], ..part.clone() };
    let error = model.forward(&short, &mut activations).unwrap_err().to_string();
    assert_eq!(error, "columns of the sequences: found 1; expected 2");
    let outputs = model.forward(&part, &mut activations).unwrap();
    assert!(model.backward(&part, &mut activations, &outputs, &[0.0; 32]).is_err());
    assert!(model.backward(&part, &mut activations, &outputs, &[0.0; 64]).is_ok());
}
