//! Which gradients a backward pass has to make.

use std::ops::Range;

use super::Parameters;

/// The parts of the parameter table that are trained, rising.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trained(Vec<Range<usize>>);

impl Default for Trained {
    /// All of it.
    fn default() -> Self {
        let all = 0..usize::MAX;
        Self(vec![all])
    }
}

impl Trained {
    /// Nothing of it.
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    /// All but the parameters that `frozen` names by their number.
    pub(crate) fn new(parameters: &Parameters, frozen: impl Fn(usize) -> bool) -> Self {
        let entries = parameters.entries().iter().enumerate().filter(|(index, _)| !frozen(*index));
        Self(entries.map(|(_, entry)| entry.range.clone()).collect())
    }

    /// The same of a part of the table, by places in that part.
    pub(crate) fn within(&self, part: Range<usize>) -> Self {
        let own = |trained: &Range<usize>| {
            let (start, end) = (trained.start.max(part.start), trained.end.min(part.end));
            (start < end).then(|| start - part.start..end - part.start)
        };
        Self(self.0.iter().filter_map(own).collect())
    }

    /// Whether anything in a part of the table is.
    pub(crate) fn any(&self, part: Range<usize>) -> bool {
        let first = self.0.partition_point(|trained| trained.end <= part.start);
        self.0.get(first).is_some_and(|trained| trained.start < part.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_table() {
        let mut table = Parameters::default();
        for name in ["a", "b", "c", "d"] {
            table.push(name, &[10], true).unwrap();
        }
        let trained = Trained::new(&table, |index| index % 2 == 0);
        let found = [0..10, 0..11, 10..12, 15..16, 20..30, 25..31, 39..40, 40..50].map(|part| trained.any(part));
        assert_eq!(found, [false, true, true, true, false, true, true, false]);
        let of_part = trained.within(5..25);
        assert_eq!(of_part, Trained(std::iter::once(5..15).collect()));
        assert_eq!([0..5, 0..6, 14..16, 15..20].map(|part| of_part.any(part)), [false, true, true, false]);
        assert!(Trained::default().within(5..25).any(19..20) && !trained.within(20..30).any(0..10));
        assert!(Trained::default().any(7..8) && !Trained::new(&table, |_| true).any(0..40));
    }
}
