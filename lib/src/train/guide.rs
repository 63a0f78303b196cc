//! A guide: a frozen model that some losses ask about the texts of a batch.

use std::fmt;
use std::sync::Arc;

use candle_core::{DType, Tensor};

use super::Trainer;
use crate::model::Model;
use crate::{Error, Result};

type Embed = dyn Fn(&[&str]) -> Result<Tensor> + Send + Sync;

/// Texts to vectors `(n, dim)`, by any model.
#[derive(Clone)]
pub(super) struct Guide(Arc<Embed>);

impl<M: Model> Trainer<M> {
    /// Sets the model that guides the loss, as [`GISTEmbed`](crate::loss::GISTEmbed) needs: any function from texts to
    /// vectors `(n, dim)`. It embeds the texts of each batch.
    ///
    /// ```no_run
    /// # use kensaku::prelude::*;
    /// # fn main() -> Result<()> {
    /// # let model = BiEncoder::load("small")?;
    /// let guide = BiEncoder::load("all-MiniLM-L6-v2")?;
    /// let mut trainer = Trainer::new(model, loss::GISTEmbed::default(), TrainConfig::default())?;
    /// trainer.set_guide(move |texts| guide.encode_texts(texts));
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_guide(&mut self, embed: impl Fn(&[&str]) -> Result<Tensor> + Send + Sync + 'static) {
        self.training.guide = Some(Guide(Arc::new(embed)));
    }
}

impl Guide {
    /// The vectors of the texts of each column.
    pub(super) fn vectors(&self, columns: &[Vec<&str>]) -> Result<Vec<Vec<Vec<f32>>>> {
        let column = |texts: &Vec<&str>| -> Result<Vec<Vec<f32>>> {
            let vectors = (self.0)(texts)?;
            match vectors.dims() {
                [count, _] if *count == texts.len() => Ok(vectors.to_dtype(DType::F32)?.to_vec2()?),
                dims => Err(Error::Shape {
                    what: "vectors of the guide".to_owned(),
                    found: format!("{dims:?}"),
                    expected: format!("({}, dim), one row per text", texts.len()),
                }),
            }
        };
        columns.iter().map(column).collect()
    }
}

impl fmt::Debug for Guide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guide")
    }
}
