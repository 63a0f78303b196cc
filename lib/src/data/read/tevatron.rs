//! Tevatron's JSON Lines.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::cells::Fault;
use super::examples::Examples;
use super::lines::json_lines;
use crate::Result;
use crate::data::{Corpus, TrainingSet};

/// Reads training data as Tevatron takes it: a line is an object with `query_id`, `query`, `positive_passages` and
/// `negative_passages`, lists of objects with `docid`, `title` and `text`.
///
/// Each positive is an example, with the first `negatives` of its line; the lists of a line may be longer, but a shorter
/// one is an error. Title and text are one text, as in [`Corpus::texts`]; `query_id` and `positive_id` are kept.
///
/// Lines of Tevatron 2 (`query_text`, `positive_document_ids`, `negative_document_ids`) name documents of `corpus`.
///
/// ```
/// # let path = std::env::temp_dir().join("kensaku-tevatron-example.jsonl");
/// # std::fs::write(&path, r#"{"query_id": "1", "query_text": "capital of France", "positive_document_ids": ["a"], "negative_document_ids": ["b"]}"#).unwrap();
/// use kensaku::data::{Corpus, read};
/// use kensaku::polars::prelude::df;
///
/// let corpus = Corpus::new(df!("doc_id" => ["a", "b"], "text" => ["Paris", "Lyon"])?)?;
/// let data = read::tevatron(&path, Some(&corpus), 1)?;
/// assert_eq!(data.columns().iter().map(|texts| &texts[0]).collect::<Vec<_>>(), ["capital of France", "Paris", "Lyon"]);
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn tevatron(path: impl AsRef<Path>, corpus: Option<&Corpus>, negatives: usize) -> Result<TrainingSet> {
    let path = path.as_ref();
    let docs: HashMap<&str, _> =
        corpus.into_iter().flat_map(|corpus| corpus.iter_ids().zip(corpus.iter_texts())).collect();
    let mut examples = Examples::default();
    let expected = "an object with `query_id`, `query`, `positive_passages` and `negative_passages`";
    json_lines(path, expected, |number, line: Line| {
        let passages = |texts: Vec<Passage>, ids: Vec<Value>| -> Result<Vec<(String, String)>, Fault> {
            let mut all: Vec<_> = texts.into_iter().map(Passage::text).collect();
            for id in ids.iter().map(text_of) {
                let text = docs.get(id.as_str()).ok_or_else(|| match corpus {
                    Some(_) => {
                        (format!("unknown document id `{id}`"), format!("one of the {} of the corpus", docs.len()))
                    }
                    None => (format!("document id `{id}` alone"), "a corpus that has the documents".to_owned()),
                })?;
                all.push((id, text.to_string()));
            }
            Ok(all)
        };
        let positives = passages(line.positive_passages, line.positive_document_ids)?;
        let all = passages(line.negative_passages, line.negative_document_ids)?;
        if positives.is_empty() {
            return Err(("no positive".to_owned(), "at least one".to_owned()));
        }
        let Some(first) = all.get(..negatives) else {
            return Err((format!("{} negatives", all.len()), format!("at least {negatives}, as was asked for")));
        };
        let query_id = text_of(&line.query_id);
        for (id, positive) in positives {
            let negatives = first.iter().map(|(_, text)| text.clone()).collect();
            examples.push(number, [line.query.clone(), positive], negatives, None, Some((query_id.clone(), id)))?;
        }
        Ok(())
    })?;
    examples.finish(path)
}

/// Ids may be numbers.
fn text_of(id: &Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

#[derive(Deserialize)]
struct Line {
    query_id: Value,
    #[serde(alias = "query_text")]
    query: String,
    #[serde(default)]
    positive_passages: Vec<Passage>,
    #[serde(default)]
    negative_passages: Vec<Passage>,
    #[serde(default)]
    positive_document_ids: Vec<Value>,
    #[serde(default)]
    negative_document_ids: Vec<Value>,
}

#[derive(Deserialize)]
struct Passage {
    docid: Value,
    #[serde(default)]
    title: Option<String>,
    text: String,
}

impl Passage {
    fn text(self) -> (String, String) {
        let text = match self.title.filter(|title| !title.is_empty()) {
            Some(title) => format!("{title} {}", self.text),
            None => self.text,
        };
        (text_of(&self.docid), text)
    }
}
