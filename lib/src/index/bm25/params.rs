//! The settings of BM25, and its formulas.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::expect;
use crate::text::Analyzer;

/// The settings of [`Bm25`](super::Bm25). The default is [`Bm25Params::LUCENE`].
///
/// ```
/// use kensaku::index::{Bm25Params, Bm25Variant};
///
/// let own = Bm25Params { k1: 1.6, variant: Bm25Variant::Bm25Plus { delta: 0.5 }, ..Bm25Params::LUCENE };
/// assert_eq!((own.k1, own.b), (1.6, 0.75));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bm25Params {
    /// How slowly repetitions of a term saturate; with 0 only its presence counts. From 0 to 1,000,000.
    pub k1: f64,
    /// How much documents longer than the average are discounted, from 0 (not at all) to 1 (in full).
    pub b: f64,
    /// Which of the formulas called BM25.
    pub variant: Bm25Variant,
    /// Splits documents and queries into terms.
    pub analyzer: Analyzer,
}

/// The formulas called BM25 (compared by Kamphuis, de Vries, Boytsov and Lin, "Which BM25 do you mean?", ECIR 2020), with
/// the names that bm25s gives them. A term that `df` of the `N` documents have, `tf` times in one of `dl` terms (`avgdl` on
/// average), adds `idf w(tf)` to the score of that document, with `c = 1 - b + b dl / avgdl`:
///
/// | variant | `idf` | `w(tf)` |
/// |---|---|---|
/// | `Lucene` | `ln(1 + (N - df + 0.5) / (df + 0.5))` | `tf / (tf + k1 c)` |
/// | `Robertson` | `ln(max(1, (N - df + 0.5) / (df + 0.5)))` | `tf / (tf + k1 c)` |
/// | `Atire` | `ln(N / df)` | `(k1 + 1) tf / (tf + k1 c)` |
/// | `Bm25L` | `ln((N + 1) / (df + 0.5))` | `(k1 + 1) (tf / c + delta) / (k1 + tf / c + delta)` |
/// | `Bm25Plus` | `ln((N + 1) / df)` | `(k1 + 1) tf / (tf + k1 c) + delta` |
///
/// With the last two, `w(0)` is not 0: a document without the term gets it, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Bm25Variant {
    /// Lucene's, Elasticsearch's and Anserini's.
    #[default]
    Lucene,
    /// Robertson and Walker's (SIGIR 1994), whose `idf` would be negative for a term of most documents; it is 0.
    Robertson,
    /// Of the search engine ATIRE (Trotman, Jia and Crane, SIGIR 2012).
    Atire,
    /// Lv and Zhai, "When documents are very long, BM25 fails!" (SIGIR 2011).
    Bm25L {
        /// What is added to a term's normalised count; from 0 to 1,000,000, 0.5 in the paper.
        delta: f64,
    },
    /// Lv and Zhai, "Lower-bounding term frequency normalization" (CIKM 2011).
    Bm25Plus {
        /// The least that a term adds; from 0 to 1,000,000, 1 in the paper.
        delta: f64,
    },
}

/// So large that it makes no difference, and so small that nothing overflows.
const MOST: f64 = 1e6;

impl Bm25Params {
    /// The defaults of Lucene, Elasticsearch and OpenSearch.
    pub const LUCENE: Self = Self::new(1.2, 0.75, Bm25Variant::Lucene);
    /// The defaults of Anserini and Pyserini, tuned for passages.
    pub const ANSERINI: Self = Self::new(0.9, 0.4, Bm25Variant::Lucene);
    /// The defaults of bm25s.
    pub const BM25S: Self = Self::new(1.5, 0.75, Bm25Variant::Lucene);
    /// The formula as it was published, with the usual parameters.
    pub const ROBERTSON: Self = Self::new(1.2, 0.75, Bm25Variant::Robertson);
    /// The defaults of ATIRE.
    pub const ATIRE: Self = Self::new(0.9, 0.4, Bm25Variant::Atire);
    /// BM25L with the `delta` of its paper.
    pub const BM25L: Self = Self::new(1.2, 0.75, Bm25Variant::Bm25L { delta: 0.5 });
    /// BM25+ with the `delta` of its paper.
    pub const BM25_PLUS: Self = Self::new(1.2, 0.75, Bm25Variant::Bm25Plus { delta: 1.0 });

    const fn new(k1: f64, b: f64, variant: Bm25Variant) -> Self {
        Self { k1, b, variant, analyzer: Analyzer::English }
    }

    pub(super) fn check(&self) -> Result<()> {
        expect("k1", self.k1, "a number from 0 to 1000000", (0.0..=MOST).contains(&self.k1))?;
        expect("b", self.b, "a number from 0 to 1", (0.0..=1.0).contains(&self.b))?;
        match self.variant {
            Bm25Variant::Bm25L { delta } | Bm25Variant::Bm25Plus { delta } => {
                expect("delta", delta, "a number from 0 to 1000000", (0.0..=MOST).contains(&delta))
            }
            Bm25Variant::Lucene | Bm25Variant::Robertson | Bm25Variant::Atire => Ok(()),
        }
    }

    /// `idf` of a term that `with` of `docs` documents have, at least one.
    pub(super) fn idf(&self, docs: usize, with: usize) -> f64 {
        let (docs, with) = (docs as f64, with as f64);
        let odds = (docs - with + 0.5) / (with + 0.5);
        match self.variant {
            Bm25Variant::Lucene => (1.0 + odds).ln(),
            Bm25Variant::Robertson => odds.max(1.0).ln(),
            Bm25Variant::Atire => (docs / with).ln(),
            Bm25Variant::Bm25L { .. } => ((docs + 1.0) / (with + 0.5)).ln(),
            Bm25Variant::Bm25Plus { .. } => ((docs + 1.0) / with).ln(),
        }
    }

    /// `c`, by which `k1` is multiplied, for a document of `length` terms.
    pub(super) fn norm(&self, length: u32, average: f64) -> f64 {
        1.0 - self.b + self.b * f64::from(length) / average
    }

    /// `w(tf) - w(0)`: what a document that has the term is ahead of one that has not. Never negative.
    pub(super) fn gain(&self, count: u32, norm: f64) -> f64 {
        let (tf, k1) = (f64::from(count), self.k1);
        match self.variant {
            Bm25Variant::Lucene | Bm25Variant::Robertson => tf / (tf + k1 * norm),
            Bm25Variant::Atire | Bm25Variant::Bm25Plus { .. } => (k1 + 1.0) * tf / (tf + k1 * norm),
            Bm25Variant::Bm25L { delta } => {
                let count = tf / norm + delta;
                ((k1 + 1.0) * count / (k1 + count) - self.absent()).max(0.0)
            }
        }
    }

    /// `w(0)`, the weight of a term in documents that do not have it.
    pub(super) fn absent(&self) -> f64 {
        match self.variant {
            Bm25Variant::Lucene | Bm25Variant::Robertson | Bm25Variant::Atire => 0.0,
            Bm25Variant::Bm25L { delta: 0.0 } => 0.0,
            Bm25Variant::Bm25L { delta } => (self.k1 + 1.0) * delta / (self.k1 + delta),
            Bm25Variant::Bm25Plus { delta } => delta,
        }
    }
}

impl Default for Bm25Params {
    fn default() -> Self {
        Self::LUCENE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_named() {
        let message = |params: Bm25Params| params.check().unwrap_err().to_string();
        let with = |k1, b| Bm25Params { k1, b, ..Bm25Params::LUCENE };
        assert_eq!(message(with(-1.0, 0.5)), "k1 = -1: expected a number from 0 to 1000000");
        assert_eq!(message(with(f64::NAN, 0.5)), "k1 = NaN: expected a number from 0 to 1000000");
        assert_eq!(message(with(1.2, 1.5)), "b = 1.5: expected a number from 0 to 1");
        let plus = Bm25Variant::Bm25Plus { delta: -0.5 };
        let message = message(Bm25Params { variant: plus, ..Bm25Params::LUCENE });
        assert_eq!(message, "delta = -0.5: expected a number from 0 to 1000000");
    }

    #[test]
    fn settings_are_read_and_written() {
        let read: Bm25Params = serde_json::from_str(r#"{"k1": 0.9, "analyzer": "whitespace"}"#).unwrap();
        assert_eq!(read, Bm25Params { k1: 0.9, analyzer: Analyzer::Whitespace, ..Bm25Params::LUCENE });
        let text = r#"{"k1":1.2,"b":0.75,"variant":{"bm25_plus":{"delta":1.0}},"analyzer":"english"}"#;
        assert_eq!(serde_json::to_string(&Bm25Params::BM25_PLUS).unwrap(), text);
        assert_eq!(serde_json::from_str::<Bm25Params>(text).unwrap(), Bm25Params::BM25_PLUS);
        for wrong in [r#"{"k2": 1}"#, r#"{"variant": "bm25"}"#, r#"{"variant": {"bm25_plus": {}}}"#] {
            assert!(serde_json::from_str::<Bm25Params>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn weights_at_the_ends_of_their_settings() {
        for (k1, delta) in [(0.0, 0.0), (0.0, 0.5), (MOST, MOST), (1.2, 0.0)] {
            for variant in [Bm25Variant::Atire, Bm25Variant::Bm25L { delta }, Bm25Variant::Bm25Plus { delta }] {
                let params = Bm25Params { k1, b: 1.0, variant, ..Bm25Params::LUCENE };
                for count in [1, u32::MAX] {
                    let gain = params.gain(count, params.norm(count, 0.5));
                    assert!(gain.is_finite() && gain >= 0.0 && params.absent().is_finite(), "{params:?}: {gain}");
                }
            }
        }
    }
}
