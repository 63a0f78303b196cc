//! Labels by a teacher.

use candle_core::{DType, Tensor};
use polars::prelude::{Column, DataFrame, Float32Chunked, IntoColumn};

use super::training::LABELS;
use super::{Labels, TrainingSet};
use crate::{Error, Result, interrupt};

/// Examples that a teacher sees at once.
const EXAMPLES: usize = 32;

impl TrainingSet {
    /// Examples with what a teacher says of them as labels, which losses such as
    /// [`MSE`](crate::loss::MSE), [`MarginMSE`](crate::loss::MarginMSE) or
    /// [`DistillKLDiv`](crate::loss::DistillKLDiv) take. A teacher is any function from columns of texts (query, positive,
    /// negatives; 32 examples at a time) to numbers for each example: a score `(n,)`, several `(n, k)`, or the vector of
    /// each column `(n, dim)` or `(n, columns, dim)`. It is asked once for each example.
    ///
    /// ```
    /// # use kensaku::candle_core::{Device, Tensor};
    /// # use kensaku::data::TrainingSet;
    /// # use polars::prelude::df;
    /// # let score = |query: &str, doc: &str| (query.len() + doc.len()) as f32;
    /// let triples = df!("query" => ["a"], "positive" => ["a car"], "negative" => ["a tree"])?;
    /// // By how much a teacher prefers the positive: the labels of `MarginMSE`.
    /// let triples = TrainingSet::with_teacher(triples, |columns| {
    ///     let margin = |n: usize| score(columns[0][n], columns[1][n]) - score(columns[0][n], columns[2][n]);
    ///     Ok(Tensor::from_iter((0..columns[0].len()).map(margin), &Device::Cpu)?)
    /// })?;
    /// assert_eq!(triples.labels().map(|labels| labels.values()), Some(&[-1.0][..]));
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of the teacher; if it does not give finite numbers, as many for each example; if there are labels already.
    pub fn with_teacher(mut frame: DataFrame, teacher: impl Fn(&[Vec<&str>]) -> Result<Tensor>) -> Result<Self> {
        const LABEL: &str = "label";
        if let Some(name) = LABELS.into_iter().find(|name| frame.schema().contains(name)) {
            let expected = "examples without labels".to_owned();
            return Err(Error::Setting { field: "frame", value: format!("a frame with a column `{name}`"), expected });
        }
        // A single column of texts is a training set with labels only.
        let none = Float32Chunked::from_vec(LABEL.into(), vec![0.0; frame.height()]).into_column();
        let unlabelled = Self::new(frame.clone().with_column(none)?.clone())?;
        let (columns, mut values, mut width) = (unlabelled.columns(), Vec::new(), None);
        for start in (0..unlabelled.len()).step_by(EXAMPLES) {
            interrupt::check("asking the teacher")?;
            let rows = start..(start + EXAMPLES).min(unlabelled.len());
            let count = rows.len();
            let columns: Vec<Vec<&str>> =
                columns.iter().map(|column| rows.clone().map(|row| &column[row]).collect()).collect();
            let numbers = teacher(&columns)?.to_dtype(DType::F32)?;
            let shape = numbers.dims().to_vec();
            let own = (shape.len() > 1).then(|| shape[1..].iter().product::<usize>());
            if shape.first() != Some(&count) || own == Some(0) || *width.get_or_insert(own) != own {
                return Err(wrong(format!("{shape:?}"), format!("({count}, ..), the same for all examples")));
            }
            let numbers: Vec<f32> = numbers.flatten_all()?.to_vec1()?;
            if let Some(value) = numbers.iter().find(|value| !value.is_finite()) {
                return Err(wrong(value.to_string(), "finite numbers".to_owned()));
            }
            values.extend(numbers);
        }
        frame.with_column(match width.flatten() {
            None => Column::new(LABEL.into(), values),
            Some(width) => Labels::lists(values, width)?.lists_column(LABEL),
        })?;
        Self::new(frame)
    }
}

fn wrong(found: String, expected: String) -> Error {
    Error::Shape { what: "what the teacher gave".to_owned(), found, expected }
}
