//! Embeddings in a byte, or a bit, a dimension.

mod ranges;

use std::fmt;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::Embeddings;
use crate::Result;
use ranges::finite_rows;

pub use ranges::Ranges;

/// How a number of an embedding is stored. Values equal sentence-transformers' `quantize_embeddings`.
#[doc(alias = "quantize_embeddings")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantization {
    /// As it is: 4 bytes.
    #[doc(alias = "float32")]
    #[default]
    F32,
    /// [`Quantization::Uint8`] less 128.
    Int8,
    /// `floor((x - min) / step)`, at least 0 and at most 255, with `step = (max - min) / 255` of its dimension.
    Uint8,
    /// [`Quantization::Ubinary`] less 128.
    Binary,
    /// One bit: `x > 0`. The first of eight dimensions is the highest bit of a byte; what is missing to eight is 0.
    Ubinary,
}

/// The numbers of quantised vectors, row-major.
#[derive(Clone, PartialEq)]
pub enum Codes {
    F32(Vec<f32>),
    I8(Vec<i8>),
    U8(Vec<u8>),
}

/// One quantised vector per text, from [`Embeddings::quantized`].
#[derive(Clone)]
pub struct QuantizedEmbeddings {
    /// The ids, one per row.
    pub ids: Vec<String>,
    /// `(n, width)`
    pub codes: Codes,
    /// Numbers in a row: `dim`, or bytes of eight dimensions each.
    pub width: usize,
    pub quantization: Quantization,
}

impl Quantization {
    /// Quantises vectors `(n, dim)`. Of int8 and uint8 `ranges` are the vectors' own if there are none, as good as the
    /// vectors are many; the others need none.
    ///
    /// ```
    /// use kensaku::model::{Codes, Quantization};
    /// # use kensaku::candle_core::{Device, Tensor};
    ///
    /// let vectors = Tensor::new(&[[0.0f32, 255.0, -255.0], [255.0, 0.0, 0.0]], &Device::Cpu)?;
    /// assert_eq!(Quantization::Uint8.of(&vectors, None)?, Codes::U8(vec![0, 255, 0, 255, 0, 255]));
    /// assert_eq!(Quantization::Ubinary.of(&vectors, None)?, Codes::U8(vec![0b0100_0000, 0b1000_0000]));
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    ///
    /// # Errors
    /// For numbers that are not finite; for ranges of another width, and none for a single vector in int8 or uint8.
    pub fn of(self, vectors: &Tensor, ranges: Option<&Ranges>) -> Result<Codes> {
        let (rows, dim, values) = finite_rows(vectors)?;
        Ok(match self {
            Self::F32 => Codes::F32(values),
            Self::Int8 | Self::Uint8 if rows == 0 => self.codes(Vec::new()),
            Self::Int8 | Self::Uint8 => {
                let own = if ranges.is_none() { Some(Ranges::of(vectors)?) } else { None };
                let steps = match ranges.or(own.as_ref()) {
                    Some(ranges) => ranges.steps(dim)?,
                    None => Vec::new(),
                };
                let code = |(value, (start, step)): (&f32, &(f32, f32))| ((value - start) / step).floor() as u8;
                self.codes(values.chunks_exact(dim).flat_map(|row| row.iter().zip(&steps).map(code)).collect())
            }
            Self::Binary | Self::Ubinary => {
                let byte = |eight: &[f32]| {
                    let bits = eight.iter().enumerate();
                    bits.fold(0, |byte, (place, value)| byte | u8::from(*value > 0.0) << (7 - place))
                };
                self.codes(values.chunks_exact(dim).flat_map(|row| row.chunks(8).map(byte)).collect())
            }
        })
    }

    /// Bytes as this has them.
    fn codes(self, bytes: Vec<u8>) -> Codes {
        match self {
            // Flipping the highest bit is taking 128 away.
            Self::Int8 | Self::Binary => Codes::I8(bytes.into_iter().map(|byte| (byte ^ 0x80) as i8).collect()),
            Self::F32 | Self::Uint8 | Self::Ubinary => Codes::U8(bytes),
        }
    }

    /// Numbers in a row of `dim` dimensions.
    fn width(self, dim: usize) -> usize {
        match self {
            Self::F32 | Self::Int8 | Self::Uint8 => dim,
            Self::Binary | Self::Ubinary => dim.div_ceil(8),
        }
    }
}

impl Embeddings {
    /// The same vectors in fewer bits: a quarter of the memory in int8, a thirty-second in binary. See
    /// [`Quantization::of`].
    ///
    /// ```
    /// use kensaku::model::{Embeddings, Quantization, Ranges};
    /// # use kensaku::candle_core::{Device, Tensor};
    ///
    /// let vectors = Tensor::new(&[[0.1f32, -0.2, 0.3], [0.4, 0.5, -0.6]], &Device::Cpu)?;
    /// let docs = Embeddings::new(vec!["a".into(), "b".into()], vectors)?;
    /// let ranges = Ranges::of(&docs.vectors)?;
    /// let small = docs.quantized(Quantization::Int8, Some(&ranges))?;
    /// assert_eq!((small.len(), small.width, small.bytes()), (2, 3, 6));
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn quantized(&self, quantization: Quantization, ranges: Option<&Ranges>) -> Result<QuantizedEmbeddings> {
        let checked = Self::new(self.ids.clone(), self.vectors.clone())?;
        let codes = quantization.of(&checked.vectors, ranges)?;
        let width = quantization.width(checked.vectors.dim(1)?);
        Ok(QuantizedEmbeddings { ids: checked.ids, codes, width, quantization })
    }
}

impl QuantizedEmbeddings {
    /// The number of texts.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Bytes of all vectors.
    pub fn bytes(&self) -> usize {
        match &self.codes {
            Codes::F32(values) => size_of_val(&values[..]),
            Codes::I8(values) => values.len(),
            Codes::U8(values) => values.len(),
        }
    }
}

/// The size only.
impl fmt::Debug for Codes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::F32(values) => write!(f, "F32 ({} numbers)", values.len()),
            Self::I8(values) => write!(f, "I8 ({} numbers)", values.len()),
            Self::U8(values) => write!(f, "U8 ({} numbers)", values.len()),
        }
    }
}

impl fmt::Debug for QuantizedEmbeddings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QuantizedEmbeddings [{}, {}] {:?}", self.len(), self.width, self.quantization)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use proptest::prelude::*;

    use super::*;

    fn tensor(values: &[f32], dim: usize) -> Tensor {
        Tensor::from_slice(values, (values.len() / dim, dim), &Device::Cpu).unwrap()
    }

    proptest! {
        #[test]
        fn a_byte_is_the_step_that_a_number_lies_in(values in prop::collection::vec(-9.0_f32..9.0, 20)) {
            let vectors = tensor(&values, 4);
            let ranges = Ranges::of(&vectors).unwrap();
            let Codes::U8(codes) = Quantization::Uint8.of(&vectors, Some(&ranges)).unwrap() else { panic!() };
            let Codes::I8(signed) = Quantization::Int8.of(&vectors, None).unwrap() else { panic!() };
            for (place, (value, code)) in values.iter().zip(&codes).enumerate() {
                let (min, max) = (ranges.min[place % 4], ranges.max[place % 4]);
                let step = (max - min) / 255.0;
                let start = min + step * f32::from(*code);
                prop_assert!((start - 1e-4..start + step + 1e-4).contains(value), "{value} {code}");
                prop_assert_eq!(i16::from(signed[place]), i16::from(*code) - 128);
            }
        }
    }

    #[test]
    fn bits_beyond_the_last_dimension_are_0() {
        let vectors = tensor(&[1.0; 9], 9);
        assert_eq!(Quantization::Ubinary.of(&vectors, None).unwrap(), Codes::U8(vec![0xFF, 0x80]));
        assert_eq!(Quantization::Binary.of(&vectors, None).unwrap(), Codes::I8(vec![127, 0]));
    }

    #[test]
    fn what_cannot_be_quantised() {
        let message =
            |vectors: &Tensor, ranges: Option<&Ranges>| Quantization::Int8.of(vectors, ranges).unwrap_err().to_string();
        let one = tensor(&[1.0, 2.0], 2);
        assert!(message(&one, None).contains("those of 1 vectors"));
        let known = Ranges { min: vec![0.0; 2], max: vec![4.0; 2] };
        assert_eq!(Quantization::Uint8.of(&one, Some(&known)).unwrap(), Codes::U8(vec![63, 127]));
        assert!(message(&one, Some(&Ranges { min: vec![0.0], max: vec![1.0] })).contains("2 numbers each"));
        assert!(message(&one, Some(&Ranges { min: vec![5.0; 2], ..known })).contains("5 to 4"));
        assert!(message(&tensor(&[1.0, f32::NAN], 1), None).contains("the vector of text 1 is NaN"));
        let none = Quantization::Int8.of(&Tensor::zeros((0, 3), candle_core::DType::F32, &Device::Cpu).unwrap(), None);
        assert_eq!(none.unwrap(), Codes::I8(Vec::new()));
    }
}
