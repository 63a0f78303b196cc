//! One weight per word of the vocabulary: vectors of texts without an encoder.

use std::ops::Range;

use crate::nn::{Encoder, PackedBatch, Parameters};
use crate::{Error, Result};

/// The weight of word `j` in a text is `w_j` if the text has it, however often, and 0 if not (the queries of
/// inference-free SPLADE). The weights follow the parameters of another head in the encoder's table.
#[derive(Debug, Clone)]
pub(crate) struct WordTable(Range<usize>);

impl WordTable {
    /// The name of its parameter.
    pub(crate) const NAME: &'static str = "query.weight";

    /// Appends one to an encoder's table, or changes the weights of the one that is there.
    pub(crate) fn on(encoder: &mut Encoder, weights: &[f32]) -> Result<Self> {
        let vocab = encoder.spec().vocab;
        if weights.len() != vocab {
            let (found, expected) = (weights.len().to_string(), format!("{vocab}, one per word of the model"));
            return Err(Error::Shape { what: "weights of query words".to_owned(), found, expected });
        }
        if let Some((word, weight)) = weights.iter().enumerate().find(|(_, weight)| !weight.is_finite()) {
            let expected = "finite weights".to_owned();
            return Err(Error::Setting { field: "weights", value: format!("{weight} of word {word}"), expected });
        }
        let parameters = encoder.parameters_mut();
        let frozen = parameters.frozen();
        let own = parameters.entries().iter().find(|entry| entry.name == Self::NAME);
        let range = match own.map(|entry| entry.range.clone()) {
            Some(range) => range,
            None if frozen > 0 => {
                let expected = "a model without adapters: they come after weights of query words".to_owned();
                return Err(Error::Setting { field: "weights", value: "those of a new module".to_owned(), expected });
            }
            None => parameters.outline(Self::NAME, &[vocab], true),
        };
        parameters.allocate()?;
        parameters.values[range.clone()].copy_from_slice(weights);
        Ok(Self(range.start + frozen..range.end + frozen))
    }

    /// Where they lie: beside adapters the encoder's parameters are not in the table.
    fn place(&self, parameters: &Parameters) -> Range<usize> {
        self.0.start - parameters.frozen()..self.0.end - parameters.frozen()
    }

    pub(crate) fn weights<'a>(&self, parameters: &'a Parameters) -> &'a [f32] {
        &parameters.values[self.place(parameters)]
    }

    /// Of one text, in its row of `(B, V)`.
    pub(crate) fn forward(&self, parameters: &Parameters, ids: &[u32], row: &mut [f32]) {
        let weights = self.weights(parameters);
        ids.iter().for_each(|id| row[*id as usize] = weights[*id as usize]);
    }

    /// From the gradient of that row: adds that of the weights.
    pub(crate) fn backward(&self, parameters: &mut Parameters, ids: &[u32], gradient: &[f32]) {
        let place = self.place(parameters);
        let grads = &mut parameters.values_and_grads().1[place];
        for id in words(ids) {
            grads[id as usize] += gradient[id as usize];
        }
    }

    /// An error for ids that have no weight.
    pub(crate) fn check(&self, batch: &PackedBatch) -> Result<()> {
        match batch.ids.iter().find(|id| **id as usize >= self.0.len()) {
            None => Ok(()),
            Some(id) => Err(Error::Shape {
                what: "token id of a query".to_owned(),
                found: id.to_string(),
                expected: format!("below {}, the number of weights", self.0.len()),
            }),
        }
    }
}

/// Each word of a text once, rising.
pub(crate) fn words(ids: &[u32]) -> Vec<u32> {
    let mut words = ids.to_vec();
    words.sort_unstable();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::BertConfig;

    #[test]
    fn a_word_counts_once() {
        let config = BertConfig { vocab_size: 5, hidden_size: 4, num_attention_heads: 1, ..Default::default() };
        let mut encoder = Encoder::new(config, 1).unwrap();
        let table = WordTable::on(&mut encoder, &[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let mut row = vec![0.0; 5];
        table.forward(encoder.parameters(), &[3, 1, 3], &mut row);
        assert_eq!(row, [0.0, 2.0, 0.0, 4.0, 0.0]);
        table.backward(encoder.parameters_mut(), &[3, 1, 3], &[9.0, 0.5, 9.0, -1.0, 9.0]);
        assert_eq!(encoder.parameters().grad(WordTable::NAME).unwrap(), [0.0, 0.5, 0.0, -1.0, 0.0]);
        // Other weights are those of the same parameter.
        let entries = encoder.parameters().entries().len();
        let table = WordTable::on(&mut encoder, &[0.0; 5]).unwrap();
        assert_eq!(
            (encoder.parameters().entries().len(), table.weights(encoder.parameters())),
            (entries, &[0.0; 5][..])
        );
        assert!(WordTable::on(&mut encoder, &[0.0; 4]).unwrap_err().to_string().contains("5, one per word"));
        assert!(WordTable::on(&mut encoder, &[f32::NAN; 5]).unwrap_err().to_string().contains("NaN of word 0"));
        assert!(table.check(&PackedBatch::new([[5]])).unwrap_err().to_string().contains("below 5"));
    }
}
