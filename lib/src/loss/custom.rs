//! A closure as a loss.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use candle_core::Tensor;
use serde_json::Value;

use super::{Batch, Loss, LossParameter, Needs, PerSet, Term};
use crate::Result;
use crate::random::Philox;

/// A closure as a value with a name, so that a notebook can keep it from one cell to the next.
#[derive(Clone)]
pub struct Custom(Arc<dyn Loss>);

/// Makes a loss of a closure, see the [module](super). The first step calls it twice: once with constants, to check that it
/// uses no `Var` of its own, which would never be trained.
pub fn custom(loss: impl Fn(&Batch) -> Result<Tensor> + Send + Sync + 'static) -> Custom {
    Custom::of(loss)
}

impl Custom {
    pub(super) fn of(loss: impl Loss + 'static) -> Self {
        Self(Arc::new(loss))
    }
}

impl<F: Fn(&Batch) -> Result<Tensor> + Send + Sync> Loss for F {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        self(batch)
    }
}

impl Deref for Custom {
    type Target = dyn Loss;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

/// Everything as the loss inside has it.
macro_rules! forwards {
    ($($holder:ty),*) => {$(
        impl Loss for $holder {
            fn loss(&self, batch: &Batch) -> Result<Tensor> {
                (**self).loss(batch)
            }

            fn check(&self) -> Result<()> {
                (**self).check()
            }

            fn terms(&self, batch: &Batch) -> Result<Vec<Term>> {
                (**self).terms(batch)
            }

            fn parameters(&self, dim: usize, seed: u64) -> Result<Vec<LossParameter>> {
                (**self).parameters(dim, seed)
            }

            fn observe(&self, batch: &Batch) -> Result<Vec<(String, Tensor)>> {
                (**self).observe(batch)
            }

            fn prior_layers(&self, layers: usize, rng: &mut Philox) -> Result<Vec<usize>> {
                (**self).prior_layers(layers, rng)
            }

            fn needs(&self) -> Needs {
                (**self).needs()
            }

            fn settings(&self) -> Value {
                (**self).settings()
            }

            fn per_set(&self) -> Option<&PerSet> {
                (**self).per_set()
            }

            fn objection(&self, dim: usize, unit: bool) -> Option<String> {
                (**self).objection(dim, unit)
            }
        }
    )*};
}

forwards!(Custom, Box<dyn Loss>);

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Custom(|batch| ..)")
    }
}
