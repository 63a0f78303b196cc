//! What a trainer knows for the card of its model.

use serde_json::Value;

use super::trainer::Training;
use super::{TrainConfig, Trainer};
use crate::data::{Labels, Texts, TrainingSet, text_column};
use crate::model::{ColumnRecord, LogRow, Model, ModelCard, TrainingRecord};
use crate::show::shorten;
use crate::{Error, Result};

/// Texts of a column that are counted.
const COUNTED: usize = 1_000;
/// Values of a column that are shown, and the characters of each.
const SAMPLES: usize = 3;
const LONGEST: usize = 200;
/// Rows of the log besides validations.
const ROWS: usize = 20;

impl<M: Model> Trainer<M> {
    /// A card that tells of the training so far: data, loss, settings that are not the default, the course of the loss,
    /// validations. Fill in the rest, and give it to the model's `save_with`; see [`ModelCard`]. The course begins with the
    /// trainer: of a resumed training it is that since then.
    pub fn card(&self, data: &TrainingSet) -> Result<ModelCard> {
        self.training.card(data)
    }
}

impl Training {
    fn card(&self, data: &TrainingSet) -> Result<ModelCard> {
        let mut columns = data
            .columns()
            .iter()
            .enumerate()
            .map(|(index, texts)| self.column(index, texts))
            .collect::<Result<Vec<_>>>()?;
        columns.extend(data.labels().map(labels));
        let settings = self.loss.settings();
        let last = self.evaluations().last().map(|last| last.values.clone()).unwrap_or_default();
        let training = TrainingRecord {
            examples: data.len(),
            columns,
            losses: losses(self.loss.needs().name, &settings),
            loss_settings: settings.to_string(),
            hyperparameters: self.hyperparameters()?,
            log: self.log_rows(),
            steps: self.done,
            seconds: self.past.iter().map(|past| past.seconds).sum(),
        };
        Ok(ModelCard { metrics: last, training: Some(training), ..ModelCard::default() })
    }

    fn column(&self, index: usize, texts: &Texts) -> Result<ColumnRecord> {
        let tokenizer = if index == 0 { self.model.query_tokenizer() } else { self.model.tokenizer() };
        let first: Vec<&str> = texts.iter().take(COUNTED).collect();
        let tokens = tokenizer.encode_batch(&first, self.model.max_length())?;
        let lengths: Vec<usize> = tokens.iter().map(Vec::len).collect();
        let (least, most) = (lengths.iter().min().copied(), lengths.iter().max().copied());
        let mean = lengths.iter().sum::<usize>() as f64 / lengths.len().max(1) as f64;
        Ok(ColumnRecord {
            name: text_column(index),
            tokens: least.zip(most).map(|(least, most)| [least as f64, mean, most as f64]),
            samples: first.iter().take(SAMPLES).map(|text| shorten(text, LONGEST)).collect(),
        })
    }

    /// What differs from the default. Folders are no one else's business.
    fn hyperparameters(&self) -> Result<Vec<(String, String)>> {
        let table = |config: &TrainConfig| {
            serde_json::to_value(config).map_err(|source| Error::Json { path: "TrainConfig".into(), source })
        };
        let (ours, default) = (table(&self.config)?, table(&TrainConfig::default())?);
        let differs = |(key, value): &(&String, &Value)| *key != "checkpoint" && default[key.as_str()] != **value;
        let ours = ours.as_object().into_iter().flatten().filter(differs);
        Ok(ours.map(|(key, value)| (key.clone(), value.to_string())).collect())
    }

    /// The mean losses between some steps, among them those of the validations.
    fn log_rows(&self) -> Vec<LogRow> {
        let every = self.past.len().div_ceil(ROWS).max(1);
        let epochs = self.round.map_or(0.0, |round| round.epochs as f64 / round.steps.max(1) as f64);
        let mut rows = Vec::new();
        let mut losses = Vec::new();
        let values = |step: usize| self.evaluations().iter().rfind(|found| found.step == step);
        rows.extend(values(0).map(|found| LogRow { values: found.values.clone(), ..LogRow::default() }));
        for (index, past) in self.past.iter().enumerate() {
            losses.push(past.loss);
            let evaluation = values(past.step);
            let last = index + 1 == self.past.len();
            if evaluation.is_none() && !last && !(index + 1).is_multiple_of(every) {
                continue;
            }
            let mean = losses.iter().sum::<f64>() / losses.len() as f64;
            losses.clear();
            rows.push(LogRow {
                step: past.step,
                epoch: past.step as f64 * epochs,
                loss: Some(mean),
                values: evaluation.map(|found| found.values.clone()).unwrap_or_default(),
            });
        }
        rows
    }
}

/// A step that is done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Past {
    pub(super) step: usize,
    pub(super) loss: f64,
    pub(super) seconds: f64,
}

/// The names of the losses: those that change another first. A closure has none.
fn losses(name: &str, settings: &Value) -> Vec<String> {
    let mut names = Vec::new();
    let mut add = |name: &str| {
        if !name.is_empty() && !name.contains(' ') && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    };
    let mut inner = settings;
    loop {
        for (key, wrapper) in [("csr", "CSR"), ("matryoshka", "Matryoshka"), ("splade", "Splade")] {
            if inner.get(key).is_some() {
                add(wrapper);
            }
        }
        add(inner["name"].as_str().unwrap_or_default());
        for term in ["sum", "sets"].iter().flat_map(|key| inner[*key].as_array().into_iter().flatten()) {
            add(term["name"].as_str().unwrap_or_default());
        }
        match inner.get("loss") {
            Some(next) => inner = next,
            None => break,
        }
    }
    add(name);
    names
}

fn labels(labels: &Labels) -> ColumnRecord {
    let width = (labels.values().len() / labels.len().max(1)).max(1);
    let samples = labels.values().chunks(width).take(SAMPLES);
    let samples = samples.map(|values| values.iter().map(f32::to_string).collect::<Vec<_>>().join(", ")).collect();
    ColumnRecord { name: "label".to_owned(), tokens: None, samples }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::losses;

    #[test]
    fn losses_are_named_from_the_outside_in() {
        let settings = json!({ "matryoshka": { "dims": [8] }, "loss": { "multiple_negatives_ranking": {} } });
        assert_eq!(losses("MultipleNegativesRanking", &settings), ["Matryoshka", "MultipleNegativesRanking"]);
        let sum = json!({ "sum": [{ "name": "Triplet" }, { "name": "Flops" }] });
        assert_eq!(losses("a sum of losses", &sum), ["Triplet", "Flops"]);
        let csr = json!({ "csr": {}, "name": "Triplet", "loss": {} });
        assert_eq!(losses("CSR", &csr), ["CSR", "Triplet"]);
        assert_eq!(losses("", &serde_json::Value::Null), [""; 0]);
    }
}
