//! The labels of a training set.

use candle_core::{Device, Tensor};
use polars::prelude::*;

use super::frames::column;
use super::origin::Origin;
use crate::Result;
use crate::error::expect;

/// The labels of a training set: one number per example, such as a score or the number of a class, or several, such as the
/// margins or the vector of a teacher. Beside lists of documents they are lists, too, each as long as its own.
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
    shape: Shape,
    /// The column they are from, for messages.
    column: Option<Arc<str>>,
}

/// How many numbers an example has.
#[derive(Debug, Clone, Default, PartialEq)]
enum Shape {
    #[default]
    One,
    /// A list, all of this length.
    Lists(usize),
    /// A list of any length: where those of each example begin, and the end of the last.
    Ragged(Arc<[usize]>),
}

/// The numbers alone: where they are from makes no difference.
impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        (&self.values, &self.shape) == (&other.values, &other.shape)
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
    /// A number for each document of a list, of lists that have any length.
    Ragged,
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
        Ok(Self { values, shape: Shape::Lists(width), column: None })
    }

    /// The number of examples.
    pub fn len(&self) -> usize {
        match &self.shape {
            Shape::One => self.values.len(),
            Shape::Lists(width) => self.values.len() / width,
            Shape::Ragged(bounds) => bounds.len().saturating_sub(1),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The numbers of an example.
    ///
    /// # Panics
    ///
    /// If there is no such example.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[match &self.shape {
            Shape::One => row..row + 1,
            Shape::Lists(width) => row * width..(row + 1) * width,
            Shape::Ragged(bounds) => bounds[row]..bounds[row + 1],
        }]
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
        match self.shape {
            Shape::Lists(width) => LabelKind::List(width),
            Shape::Ragged(_) => LabelKind::Ragged,
            Shape::One if whole(1.0) => LabelKind::Binary,
            Shape::One if whole(f32::MAX) => LabelKind::Class,
            Shape::One => LabelKind::Score,
        }
    }

    /// Those of some examples.
    ///
    /// # Panics
    ///
    /// If there is no such example.
    pub fn rows(&self, rows: &[usize]) -> Self {
        let values = rows.iter().flat_map(|row| self.row(*row)).copied().collect();
        let shape = match &self.shape {
            Shape::Ragged(_) => Shape::Ragged(bounds(rows.iter().map(|row| self.row(*row).len()))),
            even => even.clone(),
        };
        Self { values, shape, column: self.column.clone() }
    }

    /// `(n,)`, or `(n, width)` of lists; of lists that have any length their numbers one after the other.
    pub fn tensor(&self) -> Result<Tensor> {
        Ok(match self.shape {
            Shape::One | Shape::Ragged(_) => Tensor::from_slice(&self.values, self.values.len(), &Device::Cpu)?,
            Shape::Lists(width) => Tensor::from_slice(&self.values, (self.len(), width), &Device::Cpu)?,
        })
    }

    /// A column of lists.
    pub(super) fn lists_column(&self, name: &str) -> Column {
        let lists = (0..self.len()).map(|row| Series::new("".into(), self.row(row)));
        Column::new(name.into(), lists.collect::<Vec<_>>())
    }

    /// A number for each document of the lists that begin at these places, with the end of the last.
    pub(super) fn of_docs(origin: Origin, frame: &DataFrame, name: &str, docs: &Arc<[usize]>) -> Result<Self> {
        let labels = column(origin, frame, name, "lists of numbers")?;
        let Some(lists) = lists(origin, labels, name)? else {
            return Err(origin.column_type(name, labels.dtype().to_string(), "lists of numbers, one per document"));
        };
        let mut values = Vec::with_capacity(docs.last().copied().unwrap_or(0));
        for (row, list) in lists.enumerate() {
            let (list, expected) = (list?, docs[row + 1] - docs[row]);
            if list.len() != expected {
                let problem = format!("{} numbers", list.len());
                return Err(origin.row(row, name, problem, format!("{expected}, one per document")));
            }
            values.extend(list);
        }
        Ok(Self { values, shape: Shape::Ragged(Arc::clone(docs)), column: Some(name.into()) })
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
        if let Some(lists) = lists(origin, labels, name)? {
            return equal_lists(origin, name, lists);
        }
        match labels.dtype() {
            dtype if dtype.is_primitive_numeric() || dtype.is_bool() => {
                let values = numbers(labels.as_materialized_series())?;
                let large = |value: &f32| value.abs() >= EXACT && dtype.is_integer();
                match values.iter().position(|value| !value.is_finite() || large(value)) {
                    Some(row) if large(&values[row]) => {
                        let expected =
                            format!("whole numbers below {EXACT}, such as classes from 0: larger ones merge");
                        Err(origin.row(row, name, labels.get(row)?.to_string(), expected))
                    }
                    Some(row) => Err(origin.row(row, name, labels.get(row)?.to_string(), "a finite number")),
                    None => Ok(values.into()),
                }
            }
            dtype => Err(origin.column_type(name, dtype.to_string(), "numbers")),
        }
    }
}

impl From<Vec<f32>> for Labels {
    /// One number per example.
    fn from(values: Vec<f32>) -> Self {
        Self { values, shape: Shape::One, column: None }
    }
}

/// Where lists of these lengths begin, and the end of the last.
pub(super) fn bounds(lengths: impl Iterator<Item = usize>) -> Arc<[usize]> {
    let mut end = 0;
    let ends = lengths.map(|length| {
        end += length;
        end
    });
    std::iter::once(0).chain(ends).collect()
}

/// From here on single precision does not tell whole numbers apart.
const EXACT: f32 = 16_777_216.0;

/// A null within a list is NaN, which no loss takes.
fn numbers(values: &Series) -> Result<Vec<f32>> {
    let values = values.cast(&DataType::Float32)?;
    Ok(values.f32()?.iter().map(|value| value.unwrap_or(f32::NAN)).collect())
}

/// The lists of a column of lists of numbers, each of which is finite; `None` for a column of something else.
fn lists<'a>(
    origin: Origin<'a>,
    labels: &Column,
    name: &'a str,
) -> Result<Option<impl Iterator<Item = Result<Vec<f32>>> + use<'a>>> {
    let lists: Vec<Result<Vec<f32>>> = match labels.dtype() {
        DataType::List(inner) | DataType::Array(inner, _) if inner.is_primitive_numeric() || inner.is_null() => {
            let lists = labels.cast(&DataType::List(Box::new(DataType::Float32)))?;
            lists.list()?.series_iter().map(|list| numbers(&list.unwrap_or_default())).collect()
        }
        DataType::String if origin.is_nested(name) => {
            let read = |(row, json): (usize, Option<&str>)| {
                let json = json.unwrap_or_default();
                serde_json::from_str(json).map_err(|_| origin.row(row, name, format!("`{json}`"), "a list of numbers"))
            };
            labels.str()?.iter().enumerate().map(read).collect()
        }
        _ => return Ok(None),
    };
    let finite = move |(row, list): (usize, Result<Vec<f32>>)| {
        let list = list?;
        match list.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(origin.row(row, name, format!("{value} in a list"), "numbers")),
            None => Ok(list),
        }
    };
    Ok(Some(lists.into_iter().enumerate().map(finite)))
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
