//! A head that is a closure.

use std::fmt;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use crate::{Error, Result};

/// From the hidden states of texts to what a loss sees: a closure of candle operations, with parameters of its own.
///
/// It returns a vector for each text `(texts, dim)`, or one for each token `(tokens, dim)`.
///
/// ```
/// use kensaku::candle_core::{D, Device, Tensor};
/// use kensaku::candle_nn::ops::softmax;
/// use kensaku::model::CustomHead;
///
/// // The mean of a text's tokens, weighted by a query that is learned.
/// let head = CustomHead::new(|hidden| {
///     let query = hidden.parameter("query")?;
///     hidden.each(|states| {
///         let weights = softmax(&states.matmul(query)?, 0)?;
///         Ok(states.broadcast_mul(&weights)?.sum(0)?)
///     })
/// })
/// .parameter("query", &Tensor::zeros((2, 1), kensaku::candle_core::DType::F32, &Device::Cpu)?)?;
/// let states = Tensor::new(&[[1f32, 0.0], [3.0, 2.0], [5.0, 5.0]], &Device::Cpu)?;
/// let vectors = head.outputs(&states, &[0, 2, 3])?;
/// assert_eq!(vectors.to_vec2::<f32>()?, [[2.0, 1.0], [5.0, 5.0]]);
/// # let _ = D::Minus1;
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Clone)]
pub struct CustomHead {
    closure: Arc<Closure>,
    parameters: Vec<(String, Tensor)>,
}

type Closure = dyn Fn(&Hidden<'_>) -> Result<Tensor> + Send + Sync;

/// What a head sees of some texts.
#[derive(Debug)]
pub struct Hidden<'a> {
    /// The encoder's hidden states `(T, H)`, the tokens of all texts one after the other.
    pub states: Tensor,
    /// Where the tokens of each text begin, and the end of the last.
    pub bounds: &'a [usize],
    parameters: &'a [(String, Tensor)],
}

impl CustomHead {
    pub fn new(closure: impl Fn(&Hidden<'_>) -> Result<Tensor> + Send + Sync + 'static) -> Self {
        Self { closure: Arc::new(closure), parameters: Vec::new() }
    }

    /// The same head with a parameter, which trains with the encoder under the name `head.name`, and its first value. The
    /// closure takes it by [`Hidden::parameter`].
    pub fn parameter(mut self, name: impl Into<String>, value: &Tensor) -> Result<Self> {
        let name = name.into();
        if self.parameters.iter().any(|(known, _)| *known == name) {
            let expected = "another name: the head has a parameter of this one".to_owned();
            return Err(Error::Setting { field: "name", value: name, expected });
        }
        self.parameters.push((name, value.detach().to_device(&Device::Cpu)?.to_dtype(DType::F32)?));
        Ok(self)
    }

    /// What it makes of hidden states, with its parameters as they were at first.
    pub fn outputs(&self, states: &Tensor, bounds: &[usize]) -> Result<Tensor> {
        self.apply(states, bounds, &self.parameters)
    }

    pub(crate) fn apply(&self, states: &Tensor, bounds: &[usize], parameters: &[(String, Tensor)]) -> Result<Tensor> {
        (self.closure)(&Hidden { states: states.clone(), bounds, parameters })
    }

    pub(super) fn parameters(&self) -> &[(String, Tensor)] {
        &self.parameters
    }

    /// The width of a row, and whether each token has one, by a trial.
    pub(super) fn shape(&self, width: usize) -> Result<(usize, bool)> {
        let (bounds, tokens) = ([0, 3, 5], 5);
        let states: Vec<f32> = (0..tokens * width).map(|place| (place % 7) as f32 / 7.0).collect();
        let states = Tensor::from_vec(states, (tokens, width), &Device::Cpu)?;
        let outputs = self.outputs(&states, &bounds)?;
        if outputs.track_op() {
            // Of constants alone.
            return Err(Error::UntrainedVariableOfHead);
        }
        match outputs.dims() {
            [2, dim] if *dim > 0 => Ok((*dim, false)),
            [5, dim] if *dim > 0 => Ok((*dim, true)),
            found => Err(Error::Shape {
                what: "what a head makes of 2 texts of 3 and 2 tokens".to_owned(),
                found: format!("{found:?}"),
                expected: "(2, dim), a vector for each text, or (5, dim), one for each token".to_owned(),
            }),
        }
    }
}

impl Hidden<'_> {
    /// The number of texts.
    pub fn texts(&self) -> usize {
        self.bounds.len().saturating_sub(1)
    }

    /// A parameter of the head, as it is now.
    pub fn parameter(&self, name: &str) -> Result<&Tensor> {
        let found = self.parameters.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value).ok_or_else(|| {
            let expected =
                format!("a parameter of the head: `CustomHead::new(..).parameter(\"{name}\", &value)?` adds it");
            Error::Setting { field: "parameter", value: name.to_owned(), expected }
        })
    }

    /// A vector for each text, from its own hidden states: `(tokens, H)` -> `(dim,)`.
    pub fn each(&self, vector: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        let own = |ends: &[usize]| {
            let vector = vector(&self.states.narrow(0, ends[0], ends[1] - ends[0])?)?;
            if vector.rank() == 1 {
                return Ok(vector);
            }
            let (what, found) = ("the vector of a text".to_owned(), format!("{:?}", vector.dims()));
            Err(Error::Shape { what, found, expected: "(dim,), such as `.mean(0)?` makes of its tokens".to_owned() })
        };
        Ok(Tensor::stack(&self.bounds.windows(2).map(own).collect::<Result<Vec<_>>>()?, 0)?)
    }
}

impl fmt::Debug for CustomHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.parameters.iter().map(|(name, _)| name.as_str()).collect();
        write!(f, "CustomHead(|hidden| ..) with {} parameters {names:?}", names.len())
    }
}
