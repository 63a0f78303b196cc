//! Static embeddings: against sentence-transformers, directories of both peers, trainings.

mod directories;
mod training;

use kensaku::model::{Role, StaticEmbedding, StaticEmbeddingConfig};
use kensaku::text::{Tokenizer, WordPieceConfig};

use crate::golden::{Tensors, distance, fixture, floats, json, within};
use crate::shared::{Trials, test};

pub fn trials() -> Trials {
    vec![
        test("static_embedding::equals_sentence_transformers", equals_sentence_transformers),
        test("static_embedding::directories_of_model2vec", directories::model2vec),
        test("static_embedding::settings_are_saved", directories::settings),
        test("static_embedding::directories_that_are_wrong", directories::wrong),
        test("static_embedding::the_gradient_is_that_of_plain_operations", || training::gradient().unwrap()),
        test("static_embedding::learns_and_resumes", || training::resumes().unwrap()),
        test("static_embedding::parts_of_a_batch_are_the_batch", || training::parts().unwrap()),
        test("static_embedding::trains_with_every_loss_of_vectors", || training::all_losses().unwrap()),
        test("static_embedding::odd_texts_and_batches", || training::odd().unwrap()),
        test("static_embedding::distillation_stops_when_asked", || training::interrupted().unwrap()),
    ]
}

const TEXTS: [&str; 4] = ["a red house", "RED HOUSE green", "the dog by the tree", "where is the car"];

fn tokenizer() -> Tokenizer {
    let words = WordPieceConfig { vocab_size: 120, min_frequency: 1, ..Default::default() };
    Tokenizer::train_wordpiece(&TEXTS, &words).unwrap()
}

fn small(config: StaticEmbeddingConfig) -> StaticEmbedding {
    StaticEmbedding::new(8, tokenizer(), config, 5).unwrap()
}

fn vectors(model: &StaticEmbedding, texts: &[&str]) -> Vec<f32> {
    floats(&model.encode_texts(texts).unwrap())
}

fn equals_sentence_transformers() {
    let dir = fixture("models/st62_static");
    let expected = json(&dir.join("expected.json"));
    let tensors = Tensors::read(&dir.join("expected.safetensors"));
    let sentences: Vec<&str> = expected["sentences"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
    let check = |model: &StaticEmbedding| {
        assert_eq!((model.dim(), model.config().normalize, model.config().max_length), (32, true, Some(16)));
        for (index, ids) in model.tokenize(&sentences, Role::Plain).unwrap().iter().enumerate() {
            let expected = tensors.tensor(&format!("ids.{index}")).to_vec1::<i64>().unwrap();
            assert!(ids.iter().map(|id| i64::from(*id)).eq(expected), "ids of text {index}");
        }
        let ours = vectors(model, &sentences);
        assert!(ours[..32].iter().all(|value| *value == 0.0));
        within("embeddings", distance(&ours, &tensors.floats("embeddings")), 1e-5);
    };
    let model = StaticEmbedding::load(&dir).unwrap();
    check(&model);
    let saved = tempfile::tempdir().unwrap();
    model.save(saved.path()).unwrap();
    check(&StaticEmbedding::load(saved.path()).unwrap());
    // In place of a model with other files, and under a folder of its own.
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("0_StaticEmbedding")).unwrap();
    for name in ["model.safetensors", "tokenizer.json"] {
        std::fs::copy(saved.path().join(name), home.path().join("0_StaticEmbedding").join(name)).unwrap();
    }
    let modules = serde_json::json!([
        { "idx": 0, "name": "0", "path": "0_StaticEmbedding", "type": "sentence_transformers.models.StaticEmbedding" },
        { "idx": 1, "name": "1", "path": "1_Normalize", "type": "sentence_transformers.models.Normalize" },
    ]);
    std::fs::write(home.path().join("modules.json"), modules.to_string()).unwrap();
    let model = StaticEmbedding::load(home.path()).unwrap();
    check(&model);
    model.save(home.path()).unwrap();
    assert!(!home.path().join("0_StaticEmbedding").exists());
    check(&StaticEmbedding::load(home.path()).unwrap());
}
