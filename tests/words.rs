//! A tokenizer of whole words. An example of the library (`lib/examples/directories.rs`) has it, too.

use kensaku::Result;
use kensaku::serde_json::{Map, Value, json};
use kensaku::text::Tokenizer;

/// A tokenizer of whole words, after RoBERTa's special tokens `<s>`, `<pad>`, `</s>`, `<unk>` and `more`.
pub fn word_tokenizer(more: &[&str], words: &[&str]) -> Result<Tokenizer> {
    let special: Vec<&str> = ["<s>", "<pad>", "</s>", "<unk>"].iter().chain(more).copied().collect();
    let vocab: Map<String, Value> =
        special.iter().chain(words).enumerate().map(|(id, word)| ((*word).to_owned(), id.into())).collect();
    let added = |(id, content)| {
        json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true })
    };
    let file = json!({
        "version": "1.0",
        "added_tokens": special.iter().enumerate().map(added).collect::<Vec<_>>(),
        "pre_tokenizer": { "type": "WhitespaceSplit" },
        "post_processor": { "type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0],
            "trim_offsets": true, "add_prefix_space": false },
        "model": { "type": "WordLevel", "vocab": vocab, "unk_token": "<unk>" },
    });
    Tokenizer::from_bytes(file.to_string())
}
