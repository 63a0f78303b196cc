//! What a training leaves for the card.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::cell;

/// A training as the card tells it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainingRecord {
    /// Of the training set.
    pub examples: usize,
    pub columns: Vec<ColumnRecord>,
    /// The losses by name, those that change others first.
    pub losses: Vec<String>,
    /// The settings of the loss, as JSON.
    pub loss_settings: String,
    /// Settings that differ from the default, as JSON.
    pub hyperparameters: Vec<(String, String)>,
    pub log: Vec<LogRow>,
    pub steps: usize,
    pub seconds: f64,
}

/// A column of the training set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnRecord {
    pub name: String,
    /// Least, mean and most tokens of a text; none of labels.
    pub tokens: Option<[f64; 3]>,
    /// The first values.
    pub samples: Vec<String>,
}

/// The mean loss of the steps since the row before, and what a validation found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LogRow {
    pub step: usize,
    pub epoch: f64,
    pub loss: Option<f64>,
    pub values: Vec<(String, f64)>,
}

/// As sentence-transformers names it.
pub(super) fn class(loss: &str) -> String {
    if loss.ends_with("Loss") || loss.contains(' ') { loss.to_owned() } else { format!("{loss}Loss") }
}

impl TrainingRecord {
    pub(super) fn render(&self) -> String {
        let mut text = format!("\n## Training Details\n\n### Training Dataset\n\n{}", self.dataset());
        if !self.losses.is_empty() {
            let losses: Vec<String> = self.losses.iter().map(|loss| format!("`{}`", class(loss))).collect();
            let _ = write!(text, "* Loss: {}", losses.join(" of "));
            match &*self.loss_settings {
                "" | "null" => text.push('\n'),
                settings => _ = write!(text, " with these parameters:\n  ```json\n  {settings}\n  ```\n"),
            }
        }
        text += "\n### Training Hyperparameters\n\n#### Non-Default Hyperparameters\n\n";
        if self.hyperparameters.is_empty() {
            text += "None.\n";
        }
        for (name, value) in &self.hyperparameters {
            let _ = writeln!(text, "- `{name}`: {value}");
        }
        text + &self.logs()
    }

    fn dataset(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|column| format!("`{}`", column.name)).collect();
        let mut text = format!("* Size: {} training examples\n", self.examples);
        if names.is_empty() {
            return text;
        }
        let _ = writeln!(text, "* Columns: {}", names.join(", "));
        let row = |head: &str, value: &dyn Fn(&ColumnRecord) -> String| {
            let cells: Vec<String> = self.columns.iter().map(value).collect();
            format!("| {head} | {} |\n", cells.join(" | "))
        };
        text += "* Approximate statistics based on the first examples:\n\n";
        text += &row("", &|column| cell(&column.name));
        text += &row(":--", &|_| ":--".to_owned());
        text += &row("details", &|column| match column.tokens {
            Some([least, mean, most]) => {
                format!(
                    "<ul><li>min: {least} tokens</li><li>mean: {mean:.2} tokens</li><li>max: {most} tokens</li></ul>"
                )
            }
            None => "a number".to_owned(),
        });
        let samples = self.columns.iter().map(|column| column.samples.len()).max().unwrap_or(0);
        if samples > 0 {
            let heads: Vec<String> = self.columns.iter().map(|column| cell(&column.name)).collect();
            let _ = write!(text, "* Samples:\n\n| {} |\n|{}\n", heads.join(" | "), ":--|".repeat(heads.len()));
        }
        for sample in 0..samples {
            let value = |column: &ColumnRecord| column.samples.get(sample).map(|text| cell(text)).unwrap_or_default();
            let _ = writeln!(text, "| {} |", self.columns.iter().map(value).collect::<Vec<_>>().join(" | "));
        }
        text + "\n"
    }

    fn logs(&self) -> String {
        if self.log.is_empty() {
            return String::new();
        }
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in self.log.iter().flat_map(|row| &row.values) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let heads: String = names.iter().map(|name| format!(" {} |", cell(name))).collect();
        let mut text = "\n### Training Logs\n\n".to_owned();
        let _ = writeln!(text, "{} steps in {:.0} s.\n", self.steps, self.seconds);
        let _ = writeln!(text, "| Epoch | Step | Training Loss |{heads}\n|:--|:--|:--|{}", ":--|".repeat(names.len()));
        for row in &self.log {
            let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
            let of = |name: &&str| row.values.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
            let values: String = names.iter().map(|name| format!(" {} |", number(of(name)))).collect();
            let _ = writeln!(text, "| {:.4} | {} | {} |{values}", row.epoch, row.step, number(row.loss));
        }
        text
    }
}
