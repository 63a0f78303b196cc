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

pub(super) use ranking::{Desk, Ranking};

use crate::show::shorten;
use crate::{Error, Result};

/// A measure and its cut-off, such as `nDCG@10`, `RR` or `R@100`: the names of ir_measures.
///
/// | name | value for one query | also known as | trec_eval |
/// |---|---|---|---|
/// | `nDCG`, `nDCG@k` | discounted gain, divided by the best possible one; linear gain (Järvelin and Kekäläinen, 2002) | | `ndcg`, `ndcg_cut_k` |
/// | `RR`, `RR@k` | 1 / rank of the first relevant document | `MRR` | `recip_rank` |
/// | `AP`, `AP@k` | precision at each relevant document, summed and divided by the number of relevant ones | `MAP` | `map`, `map_cut_k` |
/// | `R@k` | share of the relevant documents among the first k | `Recall` | `recall_k` |
/// | `P@k` | share of the first k that is relevant | `Precision` | `P_k` |
/// | `Success@k` | 1 if any of the first k is relevant | | `success_k` |
///
/// All these names are parsed, in upper or lower case; a measure is always written by the name in the first column.
///
/// ```
/// use kensaku::eval::Measure;
/// for name in ["nDCG@10", "ndcg@10", "NDCG@10", "ndcg_cut_10"] {
///     assert_eq!(name.parse::<Measure>()?.to_string(), "nDCG@10");
/// }
/// assert_eq!("mrr@10".parse::<Measure>()?.to_string(), "RR@10");
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
    /// Its other name, if it has one.
    alias: &'static str,
    /// trec_eval's name without a cut-off, if it has one, and the one in front of a cut-off.
    trec: [&'static str; 2],
    /// Whether the name alone, without `@k`, is a measure.
    without_cutoff: bool,
    /// The value for one query, looking at the first k documents.
    value: fn(&Ranking, usize) -> f64,
}

#[rustfmt::skip]
static FAMILIES: [Family; 6] = [
    Family { name: "nDCG", alias: "", trec: ["ndcg", "ndcg_cut"], without_cutoff: true, value: ndcg::ndcg },
    Family { name: "RR", alias: "MRR", trec: ["recip_rank", ""], without_cutoff: true, value: reciprocal_rank::reciprocal_rank },
    Family { name: "AP", alias: "MAP", trec: ["map", "map_cut"], without_cutoff: true, value: average_precision::average_precision },
    Family { name: "R", alias: "Recall", trec: ["", "recall"], without_cutoff: false, value: recall::recall },
    Family { name: "P", alias: "Precision", trec: ["", "P"], without_cutoff: false, value: precision::precision },
    Family { name: "Success", alias: "", trec: ["", "success"], without_cutoff: false, value: success::success },
];

/// What others call success: ranx, and sentence-transformers.
const SUCCESS: [&str; 4] = ["hits", "hit_rate", "HR", "accuracy"];

impl Measure {
    pub(super) fn value(&self, ranking: &Ranking) -> f64 {
        // The sum of no numbers is -0, which would print its sign.
        (self.family.value)(ranking, self.cutoff.unwrap_or(usize::MAX)) + 0.0
    }
}

impl FromStr for Measure {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        parse(name).ok_or_else(|| match parse(&format!("{}@10", name.trim())) {
            Some(cut) => Error::Setting {
                field: "measure",
                value: name.trim().to_owned(),
                expected: format!("a number of documents, as in `{cut}`"),
            },
            None => Error::UnknownMeasure { name: shorten(name, LONGEST), known: known() },
        })
    }
}

/// Characters of a name that an error repeats.
const LONGEST: usize = 40;

fn parse(name: &str) -> Option<Measure> {
    let name = name.trim();
    let is = |known: &str, name: &str| !known.is_empty() && known.eq_ignore_ascii_case(name);
    let cutoff = |digits: &str| digits.parse().ok().filter(|k| *k > 0);
    if let Some((name, digits)) = name.split_once('@') {
        let name = if SUCCESS.iter().any(|other| is(other, name)) { "Success" } else { name };
        let family = FAMILIES.iter().find(|family| is(family.name, name) || is(family.alias, name))?;
        return Some(Measure { family, cutoff: Some(cutoff(digits)?) });
    }
    // trec_eval prints `ndcg_cut_10` and takes `ndcg_cut.10`.
    if let Some((name, digits)) = name.rsplit_once(['_', '.'])
        && let Some(family) = FAMILIES.iter().find(|family| is(family.trec[1], name))
    {
        return Some(Measure { family, cutoff: Some(cutoff(digits)?) });
    }
    let names = |family: &&Family| [family.name, family.alias, family.trec[0]].iter().any(|known| is(known, name));
    let family = FAMILIES.iter().filter(|family| family.without_cutoff).find(names)?;
    Some(Measure { family, cutoff: None })
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
    fn other_names_mean_the_same() {
        for (canonical, names) in [
            ("nDCG@10", &["ndcg@10", "NDCG@10", "nDCG@010", "ndcg_cut_10", "ndcg_cut.10", "NDCG_CUT_10"][..]),
            ("nDCG", &["ndcg", "NDCG"]),
            ("RR@10", &["MRR@10", "mrr@10", "rr@10"]),
            ("RR", &["MRR", "recip_rank"]),
            ("AP", &["MAP", "map", "ap"]),
            ("AP@100", &["MAP@100", "map_cut_100"]),
            ("R@100", &["Recall@100", "recall@100", "recall_100", "r@100"]),
            ("P@5", &["Precision@5", "precision@5", "p@5", "P_5"]),
            ("Success@1", &["success@1", "success_1", "Accuracy@1", "hit_rate@1", "hits@1"]),
            ("AP@3", &[" MAP@3\n"]),
        ] {
            for name in names {
                assert_eq!(name.parse::<Measure>().unwrap().to_string(), canonical, "{name}");
            }
        }
    }

    #[test]
    fn what_is_no_measure_is_answered_with_the_list() {
        let odd = "nDCG@|nDCG@0|nDCG@-1|nDCG@1.5|@10|AP@10@5|ndcg_cut|ndcg_cut_0|recip_rank_10|rr_10|_10|.|Accurate@1";
        for name in ["", "MAPP", "nDCG(dcg='exp-log2')@10"].into_iter().chain(odd.split('|')) {
            let message = name.parse::<Measure>().unwrap_err().to_string();
            assert_eq!(
                message,
                format!(
                    "unknown measure `{name}`; known are nDCG, nDCG@k, RR, RR@k, AP, AP@k, R@k, P@k, Success@k \
                     (as in \"nDCG@10\")"
                )
            );
        }
        for (name, whole) in [("P", "P@10"), ("recall", "R@10"), ("Success", "Success@10")] {
            let message = name.parse::<Measure>().unwrap_err().to_string();
            assert_eq!(message, format!("measure = {name}: expected a number of documents, as in `{whole}`"));
        }
        let long = "nDCG".repeat(25_000).parse::<Measure>().unwrap_err().to_string();
        assert!(long.starts_with("unknown measure `nDCGnDCG") && long.len() < 200, "{long}");
    }
}
