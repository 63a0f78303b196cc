//! `tokenizer.json`, checked before Hugging Face's `tokenizers` parses it: there, some mistakes are panics, and some
//! settings take memory or time out of proportion to the file.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::tokenizer::problem;
use crate::{Error, Result};

/// How many ids a vocabulary may skip, beyond its own size: embedding tables have a row for each.
const HOLES: u64 = 1 << 16;
/// How many times longer its normalizer may make a text.
const GROWTH: f64 = 1_000.0;

/// Parses the file.
pub(super) fn parse(json: &[u8]) -> Result<tokenizers::Tokenizer> {
    let file: File = serde_json::from_slice(json).map_err(|source| problem(source.into()))?;
    file.check().map_err(|problem| Error::Tokenizer { problem })?;
    guarded(|| {
        let tokenizer = tokenizers::Tokenizer::from_bytes(json).map_err(problem)?;
        // Settings that no text can be encoded with panic here, not in the middle of a data set. Errors are of texts.
        let _ = tokenizer.encode_fast("a text", true);
        Ok(tokenizer)
    })
}

/// Runs code of `tokenizers`; a panic there is an error here.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(Error::Tokenizer { problem: format!("its settings cannot be used: {}", message(panic.as_ref())) })
    })
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic")
}

/// What is looked at.
#[derive(Deserialize, Default)]
#[serde(default)]
struct File {
    normalizer: Value,
    pre_tokenizer: Value,
    decoder: Value,
    post_processor: Value,
    model: Model,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Model {
    vocab: Vocab,
    dropout: Value,
}

/// The number of tokens, and their highest id where the file gives ids.
#[derive(Default)]
struct Vocab {
    tokens: u64,
    highest: u64,
}

impl File {
    fn check(&self) -> Result<(), String> {
        let Model { vocab: Vocab { tokens, highest }, dropout } = &self.model;
        let limit = 2 * tokens + HOLES;
        if *highest >= limit {
            return Err(format!("a token has the id {highest}; expected ids below {limit} for {tokens} tokens"));
        }
        if !(dropout.is_null() || dropout.as_f64() == Some(0.0)) {
            return Err(format!("`dropout` is {dropout}: a text would have other ids at each call; expected null"));
        }
        for (name, part) in [("normalizer", &self.normalizer), ("decoder", &self.decoder)] {
            check_charsmaps(part)?;
            let growth = growth(part);
            if growth > GROWTH {
                return Err(format!(
                    "its {name} makes a text up to {growth:.0} times as long; expected at most {GROWTH}"
                ));
            }
        }
        check_lengths(&self.pre_tokenizer)?;
        check_templates(&self.post_processor)
    }
}

/// The steps of a part that is a sequence.
fn steps(part: &Value) -> impl Iterator<Item = &Value> {
    ["normalizers", "pretokenizers", "decoders", "processors"]
        .into_iter()
        .filter_map(|key| part[key].as_array())
        .flatten()
}

/// How many times as long a text may become by replacing patterns.
fn growth(part: &Value) -> f64 {
    if let Some(content) = part["content"].as_str() {
        // What a regular expression matches may be one byte.
        let shortest = part["pattern"]["String"].as_str().map_or(1, str::len);
        return (content.len() as f64 / shortest.max(1) as f64).max(1.0);
    }
    steps(part).map(growth).product()
}

/// A SentencePiece map: the length of its table in bytes, the table, texts. That length is taken on trust.
fn check_charsmaps(part: &Value) -> Result<(), String> {
    if let Some(map) = part["precompiled_charsmap"].as_str() {
        let bytes = BASE64.decode(map).map_err(|source| format!("its precompiled_charsmap is unusable: {source}"))?;
        let claimed = bytes.first_chunk().map(|length| u32::from_le_bytes(*length) as usize);
        return match claimed {
            Some(claimed) if claimed <= bytes.len() - 4 => Ok(()),
            _ => Err(format!("its precompiled_charsmap has {} bytes, less than it claims", bytes.len())),
        };
    }
    steps(part).try_for_each(check_charsmaps)
}

/// Pieces of a length have one.
fn check_lengths(part: &Value) -> Result<(), String> {
    match part["type"].as_str() {
        Some("FixedLength") if part["length"] == 0 => Err("its pre_tokenizer cuts pieces of length 0".to_owned()),
        _ => steps(part).try_for_each(check_lengths),
    }
}

/// A template puts the text in its place once: otherwise no maximum length would hold.
fn check_templates(part: &Value) -> Result<(), String> {
    if let Some(pieces) = part["single"].as_array() {
        let texts = pieces.iter().filter(|piece| piece.get("Sequence").is_some()).count();
        return match texts {
            1 => Ok(()),
            _ => Err(format!("its template for single texts holds the text {texts} times; expected once")),
        };
    }
    steps(part).try_for_each(check_templates)
}

/// `{"token": id, ..}`, or `[["token", score], ..]`, whose ids are the places.
impl<'de> Deserialize<'de> for Vocab {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counter;

        impl<'de> Visitor<'de> for Counter {
            type Value = Vocab;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a vocabulary")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocab, A::Error> {
                let mut vocab = Vocab::default();
                while let Some((_, id)) = map.next_entry::<IgnoredAny, u64>()? {
                    vocab = Vocab { tokens: vocab.tokens + 1, highest: vocab.highest.max(id) };
                }
                Ok(vocab)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vocab, A::Error> {
                let mut vocab = Vocab::default();
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    vocab.tokens += 1;
                }
                Ok(vocab)
            }
        }

        deserializer.deserialize_any(Counter)
    }
}
