//! The labels of a training set.

use candle_core::{Device, Tensor};
use polars::prelude::*;

use super::frames::column;
use super::origin::Origin;
use crate::Result;
use crate::error::expect;

/// The labels of a training set: one number per example, such as a score or the number of a class, or several, such as the
/// margins or the vector of a teacher.
///
/// ```
/// use kensaku::data::{LabelKind, Labels};
///
/// assert_eq!(Labels::from(vec![0.0, 3.0]).kind(), LabelKind::Class);
/// let margins = Labels::lists(vec![0.5, 1.5, 2.0, 3.0], 2)?;
/// assert_eq!((margins.len(), margins.kind()), (2, LabelKind::List(2)));
/// assert_eq!(margins.rows(&[1]).tensor()?.to_vec2::<f32>()?, [[2.0, 3.0]]);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Labels {
    values: Vec<f32>,
    /// Numbers per example, if they are lists.
    width: Option<usize>,
    /// The column they are from, for messages.
    column: Option<Arc<str>>,
}

/// The numbers alone: where they are from makes no difference.
impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        (&self.values, self.width) == (&other.values, other.width)
    }
}

/// What labels look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelKind {
    /// Whole numbers from 0 to 1.
    Binary,
    /// Whole numbers from 0.
    Class,
    /// Any numbers.
    Score,
    /// Lists, all of this length.
    List(usize),
}

impl Labels {
    /// `width` numbers per example, one example after the other.
    ///
    /// # Errors
    /// If the last example has fewer.
    pub fn lists(values: Vec<f32>, width: usize) -> Result<Self> {
        expect(
            "width",
            width,
            &format!("a divisor of {} numbers", values.len()),
            width > 0 && values.len().is_multiple_of(width),
        )?;
        Ok(Self { values, width: Some(width), column: None })
    }

    /// The number of examples.
    pub fn len(&self) -> usize {
        self.values.len() / self.width.unwrap_or(1)
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// All numbers, one example after the other.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// What messages call their column.
    pub(crate) fn column(&self) -> &str {
        self.column.as_deref().unwrap_or("score")
    }

    /// What they look like.
    pub fn kind(&self) -> LabelKind {
        let whole = |most: f32| self.values.iter().all(|value| value.fract() == 0.0 && (0.0..=most).contains(value));
        match self.width {
            Some(width) => LabelKind::List(width),
            None if whole(1.0) => LabelKind::Binary,
            None if whole(f32::MAX) => LabelKind::Class,
            None => LabelKind::Score,
        }
    }

    /// Those of some examples.
    ///
    /// # Panics
    ///
    /// If there is no such example.
    pub fn rows(&self, rows: &[usize]) -> Self {
        let width = self.width.unwrap_or(1);
        let values = rows.iter().flat_map(|row| &self.values[row * width..(row + 1) * width]).copied();
        Self { values: values.collect(), width: self.width, column: self.column.clone() }
    }

    /// `(n,)`, or `(n, width)` of lists.
    pub fn tensor(&self) -> Result<Tensor> {
        Ok(match self.width {
            None => Tensor::from_slice(&self.values, self.len(), &Device::Cpu)?,
            Some(width) => Tensor::from_slice(&self.values, (self.len(), width), &Device::Cpu)?,
        })
    }

    /// A column of lists.
    pub(super) fn lists_column(&self, name: &str) -> Column {
        let lists = self.values.chunks(self.width.unwrap_or(1)).map(|list| Series::new("".into(), list));
        Column::new(name.into(), lists.collect::<Vec<_>>())
    }

    /// Those of a column of numbers, or of lists of numbers that have one length.
    pub(super) fn of(origin: Origin, frame: &DataFrame, name: &str) -> Result<Self> {
        Ok(Self { column: Some(name.into()), ..Self::read(origin, frame, name)? })
    }

    fn read(origin: Origin, frame: &DataFrame, name: &str) -> Result<Self> {
        let labels = column(origin, frame, name, "numbers")?;
        if let Some(row) = labels.is_null().first_true_idx() {
            return Err(origin.row(row, name, "null", "a number"));
        }
        match labels.dtype() {
            dtype if dtype.is_primitive_numeric() || dtype.is_bool() => {
                let values = numbers(labels.as_materialized_series())?;
                match values.iter().position(|value| !value.is_finite()) {
                    Some(row) => Err(origin.row(row, name, values[row].to_string(), "a finite number")),
                    None => Ok(values.into()),
                }
            }
            DataType::List(inner) | DataType::Array(inner, _) if inner.is_primitive_numeric() => {
                let lists = labels.cast(&DataType::List(Box::new(DataType::Float32)))?;
                let lists = lists.list()?.series_iter().map(|list| numbers(&list.unwrap_or_default()));
                equal_lists(origin, name, lists)
            }
            DataType::String if origin.is_nested(name) => {
                let lists = labels.str()?.iter().enumerate().map(|(row, json)| {
                    let json = json.unwrap_or_default();
                    serde_json::from_str(json)
                        .map_err(|_| origin.row(row, name, format!("`{json}`"), "a list of numbers"))
                });
                equal_lists(origin, name, lists)
            }
            dtype => Err(origin.column_type(name, dtype.to_string(), "numbers")),
        }
    }
}

impl From<Vec<f32>> for Labels {
    /// One number per example.
    fn from(values: Vec<f32>) -> Self {
        Self { values, width: None, column: None }
    }
}

/// A null within a list is NaN, which no loss takes.
fn numbers(values: &Series) -> Result<Vec<f32>> {
    let values = values.cast(&DataType::Float32)?;
    Ok(values.f32()?.iter().map(|value| value.unwrap_or(f32::NAN)).collect())
}

fn equal_lists(origin: Origin, name: &str, lists: impl Iterator<Item = Result<Vec<f32>>>) -> Result<Labels> {
    let (mut values, mut width) = (Vec::new(), None);
    for (row, list) in lists.enumerate() {
        let list = list?;
        let expected = *width.get_or_insert(list.len());
        if list.is_empty() || list.len() != expected {
            let expected =
                if expected == 0 { "at least one".to_owned() } else { format!("{expected}, as in the first row") };
            return Err(origin.row(row, name, format!("{} numbers", list.len()), expected));
        }
        if let Some(value) = list.iter().find(|value| !value.is_finite()) {
            return Err(origin.row(row, name, format!("{value} in a list"), "numbers"));
        }
        values.extend(list);
    }
    Labels::lists(values, width.unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_whole() {
        let message = |width| Labels::lists(vec![1.0; 5], width).unwrap_err().to_string();
        assert_eq!(message(2), "width = 2: expected a divisor of 5 numbers");
        assert_eq!(message(0), "width = 0: expected a divisor of 5 numbers");
        assert_eq!(Labels::lists(vec![1.0; 5], 5).unwrap().len(), 1);
        assert!(Labels::lists(Vec::new(), 3).unwrap().is_empty());
    }
}
