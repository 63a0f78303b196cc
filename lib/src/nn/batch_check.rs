//! What a model can take: ids that its tables have, and tokens that see another.

use super::PackedBatch;
use super::spec::{Positions, Spec};
use crate::{Error, Result};

impl Spec {
    /// An error for a batch, whole in itself, that is not for this model.
    pub(super) fn check(&self, batch: &PackedBatch, positions: &[u32]) -> Result<()> {
        self.check_ids(batch, positions)?;
        self.check_attended(batch)
    }

    /// An error for what the tables cannot look up.
    fn check_ids(&self, batch: &PackedBatch, positions: &[u32]) -> Result<()> {
        let rows = match self.positions {
            Positions::Table { rows, .. } | Positions::Counted { rows, .. } => rows,
            Positions::Rotary { limit } | Positions::Relative { limit } => limit,
        };
        // A family without segments takes any.
        let segments = if self.segments == 0 { usize::MAX } else { self.segments };
        let limits = [
            ("token id", batch.ids.as_slice(), self.vocab, "vocab_size"),
            ("position", positions, rows, "max_position_embeddings"),
            ("token type", &batch.token_types, segments, "type_vocab_size"),
        ];
        for (what, ids, limit, field) in limits {
            if let Some(id) = ids.iter().find(|id| **id as usize >= limit) {
                return Err(Error::Shape {
                    what: format!("{what} in a batch"),
                    found: id.to_string(),
                    expected: format!("below {field} = {limit} (does the tokenizer belong to the model?)"),
                });
            }
        }
        Ok(())
    }

    /// An error for a token that would see none.
    fn check_attended(&self, batch: &PackedBatch) -> Result<()> {
        let reach = self.layers.iter().filter_map(|layer| layer.reach).min().unwrap_or(usize::MAX);
        for (range, attended) in batch.ranges().zip(&batch.attended) {
            let fewest = range.len().saturating_sub(reach).max(range.len().min(1));
            if !(fewest..=range.len()).contains(attended) {
                return Err(Error::Shape {
                    what: "attended tokens".to_owned(),
                    found: format!("{attended} of a sequence of {}", range.len()),
                    expected: format!("{fewest} to {}, so that every token sees one", range.len()),
                });
            }
        }
        Ok(())
    }
}
