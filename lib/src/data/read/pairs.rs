//! Pairs of sentences with a score or a class: STS-B, JSTS, JNLI.

use std::path::Path;

use polars::prelude::*;

use super::{Table, jsonl};
use crate::Result;
use crate::data::TrainingSet;
use crate::data::source::Lines;

/// Reads pairs of the STS benchmark (`sts-train.csv`, which is separated by tabs and has no header): genre, file, year, id,
/// score from 0 to 5, and two sentences; columns after these, which name sources, are left out.
///
/// Scores stay as they are; [`CosineSimilarity`](crate::loss::CosineSimilarity) wants them divided by 5.
///
/// ```
/// # let path = std::env::temp_dir().join("kensaku-stsb-example.csv");
/// # std::fs::write(&path, "captions\tMSRvid\t2012\t0\t4.750\tA girl sings.\tA child sings.\n").unwrap();
/// let pairs = kensaku::data::read::stsb(&path)?;
/// assert_eq!((pairs.labels().unwrap().values(), &pairs.columns()[1][0]), (&[4.75f32][..], "A child sings."));
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn stsb(path: impl AsRef<Path>) -> Result<TrainingSet> {
    let path = path.as_ref();
    let mut lines = Lines::open(path)?;
    let (mut numbers, mut scores) = (Vec::new(), Vec::new());
    let mut sentences = ["sentence1", "sentence2"].map(|name| StringChunkedBuilder::new(name.into(), 0));
    while let Some(line) = lines.next_line()? {
        if line.is_empty() {
            continue;
        }
        let cells: Vec<&str> = line.split('\t').collect();
        let &[_, _, _, _, score, one, other, ..] = cells.as_slice() else {
            let problem = format!("{} cells", cells.len());
            return Err(lines.error(problem, "7 or more: genre, file, year, id, score, sentence1, sentence2"));
        };
        match score.parse::<f64>().ok().filter(|score| score.is_finite()) {
            Some(score) => scores.push(score),
            None => {
                let problem = format!("the score is `{score}`");
                return Err(lines.error(problem, "a number in the fifth cell"));
            }
        }
        sentences.iter_mut().zip([one, other]).for_each(|(column, text)| column.append_value(text));
        numbers.push(lines.number());
    }
    let mut columns: Vec<Column> = sentences.into_iter().map(|column| column.finish().into_column()).collect();
    columns.push(Column::new("score".into(), scores));
    Table::new(path, numbers, columns, Vec::new())?.training_set()
}

/// Reads JSTS of JGLUE: a line is an object with `sentence1`, `sentence2` and `label`, a score from 0 to 5.
///
/// ```
/// # let path = std::env::temp_dir().join("kensaku-jsts-example.json");
/// # std::fs::write(&path, r#"{"sentence_pair_id": "0", "yjcaptions_id": "1-2-3", "sentence1": "牛がいます。", "sentence2": "牛だ。", "label": 4.2}"#).unwrap();
/// let pairs = kensaku::data::read::jsts(&path)?;
/// assert_eq!((pairs.len(), pairs.labels().unwrap().values()), (1, &[4.2f32][..]));
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn jsts(path: impl AsRef<Path>) -> Result<TrainingSet> {
    jsonl(path)?.select(&["sentence1", "sentence2", "label"])?.training_set()
}

/// The classes of natural language inference by their numbers, in the order of sentence-transformers' `all-nli`.
const CLASSES: [&str; 3] = ["entailment", "neutral", "contradiction"];

/// Reads JNLI of JGLUE: a line is an object with `sentence1`, `sentence2` and `label`: `entailment` is class 0, `neutral` 1
/// and `contradiction` 2, as in sentence-transformers' `all-nli`.
///
/// ```
/// # let path = std::env::temp_dir().join("kensaku-jnli-example.json");
/// # std::fs::write(&path, r#"{"sentence1": "牛がいます。", "sentence2": "馬だ。", "label": "contradiction"}"#).unwrap();
/// let pairs = kensaku::data::read::jnli(&path)?;
/// assert_eq!(pairs.labels().unwrap().values(), [2.0]);
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn jnli(path: impl AsRef<Path>) -> Result<TrainingSet> {
    let table = jsonl(path)?.select(&["sentence1", "sentence2", "label"])?;
    let classes = {
        let labels = table.texts("label")?;
        let class = |(row, label): (usize, Option<&str>)| {
            let found = CLASSES.iter().position(|class| Some(*class) == label);
            let problem = || label.map_or("null".to_owned(), |label| format!("`{label}`"));
            found
                .map(|class| class as i64)
                .ok_or_else(|| table.origin().row(row, "label", problem(), CLASSES.join(", ")))
        };
        labels.iter().enumerate().map(class).collect::<Result<Vec<_>>>()?
    };
    table.with_column(Column::new("label".into(), classes))?.training_set()
}
