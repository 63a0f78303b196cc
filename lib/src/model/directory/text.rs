//! What a directory says about texts: the maximum length, the tokenizer.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::foreign;
use super::read::unusable;
use crate::text::Tokenizer;
use crate::{Result, folder};

/// Older versions name a file after the family: `sentence_bert_config.json`.
pub(super) const FAMILIES: [&str; 7] = ["bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"];

/// What the newer schema says that a model computes.
#[derive(Clone, Copy)]
pub(in crate::model) struct Task {
    name: &'static str,
    output: &'static str,
    module_output: &'static str,
}

impl Task {
    pub(in crate::model) const HIDDEN_STATES: Self =
        Self { name: "feature-extraction", output: "last_hidden_state", module_output: "token_embeddings" };
    pub(in crate::model) const LABELS: Self =
        Self { name: "sequence-classification", output: "logits", module_output: "scores" };
    pub(in crate::model) const WORDS: Self =
        Self { name: "fill-mask", output: "logits", module_output: "token_embeddings" };
}

/// What the folder of an encoder says about texts.
pub(in crate::model) struct TextSettings {
    /// The file that names the maximum length.
    pub(in crate::model) path: PathBuf,
    pub(in crate::model) max_length: Option<usize>,
    lowercase: bool,
}

impl TextSettings {
    /// Older versions store the maximum length in a separate file, once named after the family; newer ones in that of the
    /// tokenizer.
    pub(in crate::model) fn read(dir: &Path, task: Task) -> Result<Self> {
        let mut path = folder::file(dir, "tokenizer_config.json")?;
        let tokenizer = folder::optional_json(dir, "tokenizer_config.json")?;
        let mut stored = Value::Null;
        for family in FAMILIES {
            let name = format!("sentence_{family}_config.json");
            let own = folder::file(dir, &name)?;
            if own.exists() {
                stored = folder::read_json(dir, &name)?;
                check_task(&own, &stored, task)?;
                path = own;
                break;
            }
        }
        foreign::refuse(dir, &path, &stored)?;
        // Tokenizers without a limit store 1e30, which is no u64.
        let length = stored["max_seq_length"].as_u64().or(tokenizer["model_max_length"].as_u64());
        let max_length = length.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        Ok(Self { path, max_length, lowercase: stored["do_lower_case"].as_bool().unwrap_or(false) })
    }

    /// The tokenizer of the folder.
    pub(in crate::model) fn tokenizer(&self, dir: &Path) -> Result<Tokenizer> {
        let tokenizer = Tokenizer::load(dir)?;
        foreign::refuse_of_tokenizer(dir, &tokenizer)?;
        // As sentence-transformers 6 does it: the tokenizer that is saved lower-cases by itself.
        if self.lowercase { tokenizer.lowercased() } else { Ok(tokenizer) }
    }
}

/// The newer schema can name other outputs than those of its task.
fn check_task(path: &Path, stored: &Value, task: Task) -> Result<()> {
    let text = &stored["modality_config"]["text"];
    for (name, value, expected) in [
        ("transformer_task", &stored["transformer_task"], task.name),
        ("method", &text["method"], "forward"),
        ("method_output_name", &text["method_output_name"], task.output),
        ("module_output_name", &stored["module_output_name"], task.module_output),
    ] {
        if !(value.is_null() || value == expected) {
            return Err(unusable(path, format!("`{name}` is {value}"), format!("`{expected}`")));
        }
    }
    Ok(())
}
