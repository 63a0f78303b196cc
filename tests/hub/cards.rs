//! Model cards.

use std::fs;
use std::path::Path;

use kensaku::data::TrainingSet;
use kensaku::hub::{Hub, PushConfig};
use kensaku::loss::MultipleNegativesRanking;
use kensaku::model::{BiEncoder, ModelCard};
use kensaku::show::Show;
use kensaku::train::{Every, TrainConfig, Trainer, ValidationConfig};
use polars::prelude::df;

use super::fake::FakeHub;
use super::python::script;
use super::{NAME, bi_encoder, colbert, cross_encoder, message, splade};
use crate::shared::{Trials, test};

pub fn trials() -> Trials {
    vec![
        test("hub::cards_tell_what_a_trainer_knows", trained),
        test("hub::a_card_that_someone_has_edited_is_kept", kept),
        test("hub::every_architecture_has_a_card", architectures),
        test("hub::pickles_are_refused_before_they_are_fetched", pickles),
    ]
}

fn read(dir: &Path) -> String {
    fs::read_to_string(dir.join("README.md")).unwrap()
}

fn card() -> (ModelCard, BiEncoder) {
    let texts = |what: &str| (0..8).map(|n| format!("{what} {n} | <b>")).collect::<Vec<_>>();
    let data = TrainingSet::new(df!("query" => texts("a red"), "positive" => texts("the sea")).unwrap()).unwrap();
    let validation = ValidationConfig { every: Every::Steps(2), ..Default::default() };
    let config = TrainConfig { batch_size: 4, epochs: 2, learning_rate: 1e-3, validation, ..Default::default() };
    let mut trainer = Trainer::new(bi_encoder(), MultipleNegativesRanking::default(), config).unwrap();
    trainer.validate_with("measure", |_| Ok(0.5)).unwrap();
    let last = trainer.train(&data).unwrap();
    assert_eq!(last.step, 4);
    let card = trainer.card(&data).unwrap();
    let record = card.training.as_ref().unwrap();
    assert_eq!((record.examples, record.steps), (8, 4));
    assert_eq!(
        record.log.iter().map(|row| (row.step, row.epoch)).collect::<Vec<_>>(),
        [(1, 0.5), (2, 1.0), (3, 1.5), (4, 2.0)]
    );
    assert_eq!(record.log[3].loss, Some(last.loss));
    assert_eq!(record.log[1].values, [("measure".to_owned(), 0.5)]);
    (card, trainer.into_model())
}

fn trained() {
    let (card, model) = card();
    let card = ModelCard {
        language: vec!["no".to_owned()],
        license: Some("mit".to_owned()),
        base_model: Some("org/base".to_owned()),
        datasets: vec!["org/data".to_owned()],
        description: "For tests.".to_owned(),
        ..card
    };
    let dir = tempfile::tempdir().unwrap();
    model.save_with(dir.path(), &card).unwrap();
    let text = read(dir.path());
    for part in [
        "language:\n- \"no\"\nlicense: mit\ntags:\n- sentence-transformers\n",
        "- dataset_size:8\n- loss:MultipleNegativesRankingLoss\n",
        "base_model: org/base\ndatasets:\n- org/data\npipeline_tag: sentence-similarity\nlibrary_name: sentence-transformers\n",
        "# SentenceTransformer based on org/base\n",
        "\nFor tests.\n",
        "- **Output Dimensionality:** 32 dimensions\n",
        "SentenceTransformer(\"org/name\")",
        "BiEncoder::load(\"org/name\")?",
        "| measure | 0.5000 |",
        "* Size: 8 training examples",
        "| query | positive |",
        "| a red 0 \\| &lt;b&gt; | the sea 0 \\| &lt;b&gt; |",
        "- `batch_size`: 4\n",
        "- `learning_rate`: 0.001\n",
        "| Epoch | Step | Training Loss | measure |\n",
        "@misc{henderson2017efficient,",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("warmup") && card.bundle().data.contains_key("text/markdown"));
    assert_eq!(numbers_of(&BiEncoder::load(dir.path()).unwrap()), numbers_of(&model));
    // As the hub reads it.
    let Some(python) = script() else { return };
    let said = python(&format!(
        "from huggingface_hub import ModelCard as C; d = C.load(r'{}').data; \
         print(d.language, d.license, d.base_model, d.datasets, d.library_name, d.tags[-1])",
        dir.path().join("README.md").display()
    ));
    assert_eq!(said, "['no'] mit org/base ['org/data'] sentence-transformers loss:MultipleNegativesRankingLoss");
}

fn numbers_of(model: &BiEncoder) -> Vec<Vec<f32>> {
    super::numbers(model)
}

fn kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model");
    let titled = |title: &str| ModelCard { title: Some(title.to_owned()), ..Default::default() };
    let model = bi_encoder();
    model.save_with(&path, &titled("First")).unwrap();
    model.save_with(&path, &titled("Second")).unwrap();
    assert!(read(&path).contains("\n# Second\n") && !read(&path).contains("First"));
    fs::write(path.join("README.md"), read(&path).replace("# Second", "# Mine")).unwrap();
    model.save_with(&path, &titled("Third")).unwrap();
    assert!(read(&path).contains("\n# Mine\n") && !read(&path).contains("Third"));
    // The same on the hub.
    let fake = FakeHub::new();
    let hub = Hub { token: Some("secret".to_owned()), ..fake.hub() };
    let push = |title: &str| {
        let dir = tempfile::tempdir().unwrap();
        model.save_with(dir.path(), &titled(title)).unwrap();
        hub.push(dir.path(), NAME, &PushConfig::default()).unwrap();
        String::from_utf8(fake.state().repos[NAME]["README.md"].clone()).unwrap()
    };
    assert!(push("First").contains("# First"));
    assert!(push("Second").contains("# Second"));
    fake.put(NAME, "README.md", "# Mine");
    assert_eq!(push("Third"), "# Mine");
}

fn architectures() {
    type Save = Box<dyn Fn(&Path) -> kensaku::Result<()>>;
    let models: [(&str, &str, Save); 4] = [
        ("pipeline_tag: sentence-similarity", "# SentenceTransformer model", Box::new(|dir| bi_encoder().save(dir))),
        ("pipeline_tag: text-ranking", "# CrossEncoder model", Box::new(|dir| cross_encoder().save(dir))),
        ("library_name: PyLate", "# ColBERT model", Box::new(|dir| colbert().save(dir))),
        ("- splade", "# SPLADE Sparse Encoder model", Box::new(|dir| splade().save(dir))),
    ];
    for (front, title, save) in models {
        let dir = tempfile::tempdir().unwrap();
        save(dir.path()).unwrap();
        let text = read(dir.path());
        assert!(text.starts_with("---\ntags:\n") && text.contains(front) && text.contains(title), "{text}");
        for part in ["### Python", "### Rust", "Full Model Architecture", "- kensaku: ", "```bibtex\n@"] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        if let Some(python) = script() {
            let load = "from huggingface_hub import ModelCard as C; print(C.load(r'PATH').data.pipeline_tag)";
            let said = python(&load.replace("PATH", dir.path().join("README.md").to_str().unwrap()));
            assert!(["sentence-similarity", "text-ranking", "feature-extraction"].contains(&&*said), "{said}");
        }
    }
}

fn pickles() {
    let fake = super::hub_with_model();
    fake.state().repos.get_mut(NAME).unwrap().remove("model.safetensors");
    let said = message(fake.hub().fetch(NAME));
    let expected = "org/name: its weights are a pickle, which can run any code when it is opened, and is not read; in Python \
                    `AutoModel.from_pretrained(\"org/name\").save_pretrained(folder)` writes safetensors";
    assert!(said.starts_with(expected), "{said}");
    assert!(fake.hub().plan(NAME).unwrap().problem.unwrap().contains("a pickle"));
    assert!(!fake.server.seen().iter().any(|line| line.contains(".bin")));
}
