//! FlagEmbedding's JSON Lines.

use std::path::Path;

use serde::Deserialize;

use super::examples::Examples;
use super::lines::json_lines;
use crate::Result;
use crate::data::TrainingSet;

/// Reads training data as FlagEmbedding (BGE) takes it: a line is an object with `query`, `pos` and `neg`, lists of texts.
///
/// Each positive is an example, with the first `negatives` of its line; the lists of a line may be longer, but a shorter
/// one is an error. With `pos_scores` and `neg_scores`, which are a teacher's, the label of an example is the list of the
/// scores of its documents, as [`DistillKLDiv`](crate::loss::DistillKLDiv) and [`MarginMSE`](crate::loss::MarginMSE) need
/// it. `prompt` and `type` are FlagEmbedding's own and left out.
///
/// ```
/// # let path = std::env::temp_dir().join("kensaku-flag-embedding-example.jsonl");
/// # std::fs::write(&path, r#"{"query": "capital of France", "pos": ["Paris"], "neg": ["Lyon", "Nice", "Rome"]}"#).unwrap();
/// use kensaku::data::read;
///
/// let data = read::flag_embedding(&path, 2)?;
/// assert_eq!(data.columns().iter().map(|texts| &texts[0]).collect::<Vec<_>>(), ["capital of France", "Paris", "Lyon", "Nice"]);
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn flag_embedding(path: impl AsRef<Path>, negatives: usize) -> Result<TrainingSet> {
    let path = path.as_ref();
    let mut examples = Examples::default();
    json_lines(path, "an object with `query`, `pos` and `neg`", |number, line: Line| {
        let Line { query, pos, neg, pos_scores, neg_scores } = line;
        if pos.is_empty() {
            return Err(("`pos` is empty".to_owned(), "at least one positive".to_owned()));
        }
        let Some(first) = neg.get(..negatives) else {
            return Err((format!("{} negatives", neg.len()), format!("at least {negatives}, as was asked for")));
        };
        for (name, texts, scores) in [("pos", &pos, &pos_scores), ("neg", &neg, &neg_scores)] {
            if let Some(scores) = scores.as_ref().filter(|scores| scores.len() != texts.len()) {
                let problem = format!("`{name}_scores` has {} numbers", scores.len());
                return Err((problem, format!("{}, one for each text of `{name}`", texts.len())));
            }
        }
        for (index, positive) in pos.into_iter().enumerate() {
            let scores = match (&pos_scores, &neg_scores) {
                (Some(pos), Some(neg)) => Some([&[pos[index]], &neg[..negatives]].concat()),
                (Some(pos), None) if negatives == 0 => Some(vec![pos[index]]),
                (None, None) => None,
                _ => return Err(("scores of some documents".to_owned(), "of all or of none".to_owned())),
            };
            examples.push(number, [query.clone(), positive], first.to_vec(), scores, None)?;
        }
        Ok(())
    })?;
    examples.finish(path)
}

#[derive(Deserialize)]
struct Line {
    query: String,
    pos: Vec<String>,
    #[serde(default)]
    neg: Vec<String>,
    #[serde(default)]
    pos_scores: Option<Vec<f32>>,
    #[serde(default)]
    neg_scores: Option<Vec<f32>>,
}
