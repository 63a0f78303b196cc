//! The model card: the `README.md` that goes with a model.

mod citations;
mod front_matter;
mod mark;
mod record;
mod usage;

use std::fmt;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::show::{Message, Show, markdown};
use front_matter::FrontMatter;

pub(crate) use mark::is_generated;
pub use record::{ColumnRecord, LogRow, TrainingRecord};
pub(super) use usage::{Kind, architecture, transformer};

/// What the `README.md` of a model says: `save` writes one of what the model knows of itself, `save_with` of more. A
/// trainer fills in the training: [`Trainer::card`](crate::train::Trainer::card).
///
/// ```no_run
/// use kensaku::model::ModelCard;
/// # use kensaku::prelude::*;
/// # fn main() -> Result<()> {
/// # let (model, data) = (BiEncoder::load("all-MiniLM-L6-v2")?, rustdoc()?.pairs("train")?);
/// # let mut trainer = Trainer::new(model, MultipleNegativesRanking::default(), TrainConfig::default())?;
/// trainer.train(&data)?;
/// let card = ModelCard {
///     language: vec!["en".to_owned()],
///     license: Some("apache-2.0".to_owned()),
///     base_model: Some("sentence-transformers/all-MiniLM-L6-v2".to_owned()),
///     ..trainer.card(&data)?
/// };
/// trainer.into_model().save_with("my-model", &card)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelCard {
    /// The heading; by default what kind of model it is, and of which base model.
    pub title: Option<String>,
    /// A paragraph of your own after the first one: what the model is for, and what not.
    pub description: String,
    /// ISO codes.
    pub language: Vec<String>,
    /// As the hub names it: `apache-2.0`, `mit`, `cc-by-4.0`.
    pub license: Option<String>,
    /// The model that the training began with, by its name on the hub.
    pub base_model: Option<String>,
    /// The data sets of the training, by their names on the hub.
    pub datasets: Vec<String>,
    /// Further tags.
    pub tags: Vec<String>,
    /// What an evaluation found: measures by their names.
    pub metrics: Vec<(String, f64)>,
    pub training: Option<TrainingRecord>,
}

impl ModelCard {
    /// The text of the card of one kind of model.
    pub(super) fn render(&self, kind: &Kind<'_>) -> String {
        let mut text = self.front_matter(kind).to_string();
        let title = self.title.clone().unwrap_or_else(|| match &self.base_model {
            Some(base) => format!("{} based on {base}", kind.class),
            None => format!("{} model", kind.class.trim_end_matches(" model")),
        });
        text += &format!("\n# {title}\n\n{}\n", self.first_paragraph(kind));
        if !self.description.trim().is_empty() {
            text += &format!("\n{}\n", self.description.trim());
        }
        text += &format!("\n## Model Details\n\n### Model Description\n\n{}", self.details(kind));
        if !kind.architecture.is_empty() {
            text += &format!("\n### Full Model Architecture\n\n```\n{}\n```\n", kind.architecture);
            text += &format!("\n## Usage\n\n{}", kind.usage());
        }
        text += &self.evaluation();
        if let Some(training) = &self.training {
            text += &training.render();
        }
        let version = env!("CARGO_PKG_VERSION");
        text += &format!("\n### Framework Versions\n\n- kensaku: {version}\n- written for: {}\n", kind.written_for);
        let losses = self.training.as_ref().map(|training| &training.losses[..]).unwrap_or_default();
        text += &format!("\n## Citation\n\n### BibTeX\n{}", citations::of(kind, losses));
        mark::marked(&text)
    }

    fn front_matter(&self, kind: &Kind<'_>) -> FrontMatter {
        let mut tags: Vec<String> = kind.tags.iter().map(|tag| (*tag).to_owned()).collect();
        if let Some(training) = &self.training {
            tags.push("generated_from_trainer".to_owned());
            tags.push(format!("dataset_size:{}", training.examples));
            tags.extend(training.losses.iter().map(|loss| format!("loss:{}", record::class(loss))));
        }
        tags.extend(self.tags.iter().filter(|tag| !kind.tags.contains(&tag.as_str())).cloned());
        let mut front = FrontMatter::default();
        front.list("language", &self.language);
        front.value("license", self.license.as_deref());
        front.list("tags", &tags);
        front.value("base_model", self.base_model.as_deref());
        front.list("datasets", &self.datasets);
        front.value("pipeline_tag", Some(kind.pipeline_tag));
        front.value("library_name", Some(kind.library));
        front.list("metrics", &self.metrics.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>());
        front
    }

    fn first_paragraph(&self, kind: &Kind<'_>) -> String {
        let origin = match &self.base_model {
            Some(base) => format!("finetuned from [{base}](https://huggingface.co/{base})"),
            None => "trained".to_owned(),
        };
        let on = match &self.datasets[..] {
            [] => String::new(),
            sets => format!(" on {}", sets.iter().map(|set| dataset(set)).collect::<Vec<_>>().join(", ")),
        };
        format!("This is a {} {origin}{on} with kensaku. {}", kind.noun, kind.purpose)
    }

    fn details(&self, kind: &Kind<'_>) -> String {
        let mut rows = vec![("Model Type", kind.class.to_owned())];
        let base = self.base_model.as_ref().map(|base| format!("[{base}](https://huggingface.co/{base})"));
        rows.extend(base.map(|base| ("Base model", base)));
        rows.extend(kind.facts.iter().cloned());
        if !self.datasets.is_empty() {
            rows.push((
                "Training Datasets",
                self.datasets.iter().map(|set| dataset(set)).collect::<Vec<_>>().join(", "),
            ));
        }
        if !self.language.is_empty() {
            rows.push(("Language", self.language.join(", ")));
        }
        rows.extend(self.license.clone().map(|license| ("License", license)));
        rows.into_iter().map(|(name, value)| format!("- **{name}:** {value}\n")).collect()
    }

    fn evaluation(&self) -> String {
        if self.metrics.is_empty() {
            return String::new();
        }
        let mut text = "\n## Evaluation\n\n### Metrics\n\n| Metric | Value |\n|:--|:--|\n".to_owned();
        for (name, value) in &self.metrics {
            let _ = writeln!(text, "| {} | {value:.4} |", cell(name));
        }
        text
    }
}

/// As it is shown in a cell: without a model, what is the same for all kinds.
impl Show for ModelCard {
    fn bundle(&self) -> Message {
        markdown(self.to_string())
    }
}

impl fmt::Display for ModelCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.render(&Kind::any());
        f.write_str(text.split_once("---\n\n").map_or(&*text, |(_, body)| body))
    }
}

fn dataset(name: &str) -> String {
    format!("[{name}](https://huggingface.co/datasets/{name})")
}

/// A text in a cell of a Markdown table.
fn cell(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.chars().map(plain).collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> ModelCard {
        ModelCard {
            language: vec!["no".to_owned(), "ja".to_owned()],
            license: Some("apache-2.0".to_owned()),
            base_model: Some("org/base".to_owned()),
            datasets: vec!["org/data".to_owned()],
            tags: vec!["my: tag".to_owned()],
            metrics: vec![("nDCG@10".to_owned(), 0.7)],
            training: Some(TrainingRecord {
                examples: 3,
                losses: vec!["Matryoshka".to_owned(), "MultipleNegativesRanking".to_owned()],
                columns: vec![ColumnRecord {
                    name: "query".to_owned(),
                    tokens: Some([3.0, 4.5, 6.0]),
                    samples: vec!["a <b> | c\nd".to_owned()],
                }],
                hyperparameters: vec![("epochs".to_owned(), "2".to_owned())],
                log: vec![LogRow { step: 2, epoch: 0.5, loss: Some(0.25), values: vec![("nDCG@10".to_owned(), 0.5)] }],
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn a_card_has_the_parts_of_sentence_transformers() {
        let text = card().render(&Kind::any());
        let front = text.strip_prefix("---\n").and_then(|text| text.split_once("\n---\n")).unwrap().0;
        assert!(front.starts_with("language:\n- \"no\"\n- ja\nlicense: apache-2.0\ntags:\n"), "{front}");
        assert!(
            front.contains("- loss:MatryoshkaLoss\n- loss:MultipleNegativesRankingLoss\n- \"my: tag\"\n"),
            "{front}"
        );
        for part in [
            "# Search model based on org/base\n",
            "finetuned from [org/base](https://huggingface.co/org/base) on [org/data](https://huggingface.co/datasets/org/data)",
            "- **License:** apache-2.0\n",
            "| nDCG@10 | 0.7000 |",
            "* Size: 3 training examples",
            "| a &lt;b&gt; \\| c d |",
            "- `epochs`: 2",
            "| 0.5000 | 2 | 0.2500 | 0.5000 |",
            "#### MatryoshkaLoss\n",
            "@misc{kusupati2024matryoshka,",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn a_card_that_someone_has_edited_is_told_from_one_that_was_made() {
        let text = card().render(&Kind::any());
        assert!(is_generated(&text));
        assert!(!is_generated(&text.replace("0.7000", "0.9000")));
        assert!(!is_generated("# Mine"));
    }
}
