//! The measures: how good one ranking is, from 0 to 1.

mod average_precision;
mod ndcg;
mod precision;
mod ranking;
mod recall;
mod reciprocal_rank;
mod success;

use std::fmt;
use std::str::FromStr;

pub(super) use ranking::Ranking;

use crate::{Error, Result};

/// A measure and its cut-off, written as ir_measures writes it: `nDCG@10`, `RR`, `R@100`.
///
/// | name | value for one query | trec_eval |
/// |---|---|---|
/// | `nDCG`, `nDCG@k` | discounted gain, divided by the best possible one; linear gain (Järvelin and Kekäläinen, 2002) | `ndcg`, `ndcg_cut` |
/// | `RR`, `RR@k` | 1 / rank of the first relevant document; its mean is MRR | `recip_rank` |
/// | `AP`, `AP@k` | precision at each relevant document, summed and divided by the number of relevant ones; its mean is MAP | `map`, `map_cut` |
/// | `R@k` | share of the relevant documents among the first k | `recall` |
/// | `P@k` | share of the first k that is relevant | `P` |
/// | `Success@k` | 1 if any of the first k is relevant | `success` |
///
/// ```
/// use kensaku::eval::Measure;
/// let measure: Measure = "nDCG@10".parse()?;
/// assert_eq!(measure.to_string(), "nDCG@10");
/// assert!("nDCG@0".parse::<Measure>().is_err());
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Measure {
    family: &'static Family,
    cutoff: Option<usize>,
}

/// To add a measure, write its function and add a line to [`FAMILIES`].
struct Family {
    name: &'static str,
    /// Whether the name alone, without `@k`, is a measure.
    without_cutoff: bool,
    /// The value for one query, looking at the first k documents.
    value: fn(&Ranking, usize) -> f64,
}

static FAMILIES: [Family; 6] = [
    Family { name: "nDCG", without_cutoff: true, value: ndcg::ndcg },
    Family { name: "RR", without_cutoff: true, value: reciprocal_rank::reciprocal_rank },
    Family { name: "AP", without_cutoff: true, value: average_precision::average_precision },
    Family { name: "R", without_cutoff: false, value: recall::recall },
    Family { name: "P", without_cutoff: false, value: precision::precision },
    Family { name: "Success", without_cutoff: false, value: success::success },
];

impl Measure {
    pub(super) fn value(&self, ranking: &Ranking) -> f64 {
        // The sum of no numbers is -0, which would print its sign.
        (self.family.value)(ranking, self.cutoff.unwrap_or(usize::MAX)) + 0.0
    }
}

impl FromStr for Measure {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let (family, cutoff) = match name.split_once('@') {
            Some((family, cutoff)) => (family, cutoff.parse().ok().filter(|k| *k > 0).map(Some)),
            None => (name, Some(None)),
        };
        let family = FAMILIES.iter().find(|known| known.name == family);
        match (family, cutoff) {
            (Some(family), Some(cutoff)) if cutoff.is_some() || family.without_cutoff => Ok(Self { family, cutoff }),
            _ => Err(Error::UnknownMeasure { name: name.to_owned(), known: known() }),
        }
    }
}

/// All forms of all measures.
fn known() -> String {
    let forms = FAMILIES.iter().flat_map(|Family { name, without_cutoff, .. }| {
        without_cutoff.then(|| (*name).to_owned()).into_iter().chain([format!("{name}@k")])
    });
    forms.collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cutoff {
            Some(k) => write!(f, "{}@{k}", self.family.name),
            None => write!(f, "{}", self.family.name),
        }
    }
}

impl fmt::Debug for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for Measure {
    fn eq(&self, other: &Self) -> bool {
        (self.family.name, self.cutoff) == (other.family.name, other.cutoff)
    }
}

impl Eq for Measure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back() {
        for name in ["nDCG@10", "nDCG", "RR@10", "RR", "AP", "AP@100", "R@100", "P@5", "Success@1"] {
            assert_eq!(name.parse::<Measure>().unwrap().to_string(), name);
        }
        assert_eq!("P@5".parse::<Measure>().unwrap(), "P@05".parse().unwrap());
        assert_ne!("P@5".parse::<Measure>().unwrap(), "R@5".parse().unwrap());
    }

    #[test]
    fn what_is_no_measure_is_answered_with_the_list() {
        for name in
            ["", "ndcg@10", "MRR@10", "P", "R", "Success", "nDCG@", "nDCG@0", "nDCG@-1", "nDCG@1.5", "@10", "AP@10@5"]
        {
            let message = name.parse::<Measure>().unwrap_err().to_string();
            assert_eq!(
                message,
                format!(
                    "unknown measure `{name}`; known are nDCG, nDCG@k, RR, RR@k, AP, AP@k, R@k, P@k, Success@k \
                     (as in \"nDCG@10\")"
                )
            );
        }
    }
}
