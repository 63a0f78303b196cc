//! What a card says about each kind of model.

use serde_json::Value;

use crate::nn::Encoder;

/// A kind of model, and what a card says of this one.
pub(in crate::model) struct Kind<'a> {
    /// As sentence-transformers names it: `Sentence Transformer`.
    pub(in crate::model) class: &'static str,
    /// In a sentence.
    pub(in crate::model) noun: &'static str,
    /// What it is for.
    pub(in crate::model) purpose: String,
    pub(in crate::model) tags: &'static [&'static str],
    pub(in crate::model) pipeline_tag: &'static str,
    pub(in crate::model) library: &'static str,
    /// Lengths, dimensions, similarity.
    pub(in crate::model) facts: Vec<(&'static str, String)>,
    pub(in crate::model) architecture: String,
    /// The packages that Python needs, and the lines after their installation.
    pub(in crate::model) python: (&'static str, &'static str),
    pub(in crate::model) rust: &'static str,
    /// The versions whose schema a directory has, and what came after.
    pub(in crate::model) written_for: &'static str,
    /// Keys of the citations of the kind.
    pub(in crate::model) citations: &'a [&'static str],
}

impl Kind<'_> {
    /// For a card without a model.
    pub(super) fn any() -> Self {
        Self {
            class: "Search model",
            noun: "search model",
            purpose: String::new(),
            tags: &["feature-extraction"],
            pipeline_tag: "feature-extraction",
            library: "sentence-transformers",
            facts: Vec::new(),
            architecture: String::new(),
            python: ("", ""),
            rust: "",
            written_for: "sentence-transformers 3.0 and later",
            citations: &["Sentence-BERT"],
        }
    }

    pub(super) fn usage(&self) -> String {
        let (packages, python) = self.python;
        let install = format!("```bash\npip install -U {packages}\n```");
        format!("### Python\n\n{install}\n\n```python\n{python}\n```\n\n### Rust\n\n```rust\n{}\n```\n", self.rust)
    }
}

/// The classes of modules with their settings, as Python prints them.
pub(in crate::model) fn architecture(modules: &[(&str, Value)]) -> String {
    let line = |(index, (kind, settings)): (usize, &(&str, Value))| format!("  ({index}): {kind}({settings})\n");
    format!("(\n{})", modules.iter().enumerate().map(line).collect::<String>())
}

/// The encoder as a module.
pub(in crate::model) fn transformer(encoder: &Encoder, max_length: usize) -> Value {
    serde_json::json!({ "max_seq_length": max_length, "architecture": format!("{}Model", encoder.config().class()) })
}
