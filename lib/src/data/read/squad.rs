//! SQuAD as retrieval: questions, and the paragraphs that answer them.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::Path;

use polars::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use crate::data::source::Source;
use crate::data::{Corpus, Dataset, Qrels, Queries};
use crate::{Error, Result, interrupt};

/// Reads a file of SQuAD (1.1, 2.0, JSQuAD) as retrieval: the paragraphs are the corpus, the questions the queries, and
/// the paragraph that a question was asked about is its relevant document (grade 1), or, if the question cannot be answered
/// from it, one of grade 0.
///
/// A paragraph that is there twice is one document. Documents are numbered in the order of the file, from `0`; the title of
/// the article is kept as column `article`, and not searched. The data set and its split are named after the file.
///
/// ```
/// # let path = std::env::temp_dir().join("kensaku-squad-example.json");
/// # std::fs::write(&path, r#"{"version": "1.1", "data": [{"title": "Rain", "paragraphs": [{"context": "It rains in June.",
/// #   "qas": [{"id": "q1", "question": "When does it rain?", "answers": [{"text": "June", "answer_start": 12}]}]}]}]}"#).unwrap();
/// let data = kensaku::data::read::squad(&path)?;
/// let test = data.split("kensaku-squad-example")?;
/// assert!(test.qrels.is_relevant("q1", "0"));
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn squad(path: impl AsRef<Path>) -> Result<Dataset> {
    let path = path.as_ref();
    let mut text = Vec::new();
    Source::open(path)?.read_to_end(&mut text).map_err(Error::io(path))?;
    interrupt::check("reading a file")?;
    let failed = |source| Error::Json { path: path.to_owned(), source };
    let file: File = serde_json::from_slice(&text).map_err(failed)?;
    drop(text);
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let (mut contexts, mut articles) = (Vec::new(), Vec::new());
    let (mut ids, mut questions, mut qrels) = (Vec::new(), Vec::new(), Qrels::new());
    for article in file.data {
        for Paragraph { context, qas } in article.paragraphs {
            let doc = *numbers.entry(context.clone()).or_insert(contexts.len());
            if doc == contexts.len() {
                contexts.push(context);
                articles.push(article.title.clone());
            }
            for question in qas {
                let id = question.id.as_str().map_or_else(|| question.id.to_string(), str::to_owned);
                qrels.insert(id.clone(), doc.to_string(), i64::from(!question.is_impossible));
                ids.push(id);
                questions.push(question.question);
            }
        }
    }
    let doc_ids: Vec<String> = (0..contexts.len()).map(|doc| doc.to_string()).collect();
    let of_file = |error| match error {
        Error::DuplicateId { kind, id, first, second, .. } => {
            Error::DuplicateId { place: path.display().to_string(), kind, id, first, second }
        }
        other => other,
    };
    let corpus = Corpus::new(df!("doc_id" => doc_ids, "text" => contexts, "article" => articles)?)?;
    let queries = Queries::new(df!("query_id" => ids, "text" => questions)?).map_err(of_file)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.split(".json").next().unwrap_or(&name);
    Dataset::new(name, corpus, queries, BTreeMap::from([(name.to_owned(), qrels)]))
}

#[derive(Deserialize)]
struct File {
    data: Vec<Article>,
}

#[derive(Deserialize)]
struct Article {
    #[serde(default)]
    title: String,
    paragraphs: Vec<Paragraph>,
}

#[derive(Deserialize)]
struct Paragraph {
    context: String,
    qas: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    id: Value,
    question: String,
    #[serde(default)]
    is_impossible: bool,
}
