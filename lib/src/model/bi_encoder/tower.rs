//! A bi-encoder with the numbers that it computes with.

use super::BiEncoder;

/// A bi-encoder on a table of numbers: its own, or its part of one that two of them share. All that is computed of
/// texts is computed by a tower.
#[derive(Clone, Copy)]
pub(in crate::model) struct Tower<'a> {
    pub(super) model: &'a BiEncoder,
    pub(super) table: &'a [f32],
}

impl<'a> Tower<'a> {
    pub(in crate::model) fn table(self) -> &'a [f32] {
        self.table
    }
}

impl BiEncoder {
    /// On its own numbers.
    pub(super) fn tower(&self) -> Tower<'_> {
        self.on(&self.encoder.parameters().values)
    }

    /// With the numbers of another table, laid out as its own.
    pub(in crate::model) fn on<'a>(&'a self, table: &'a [f32]) -> Tower<'a> {
        Tower { model: self, table }
    }
}
