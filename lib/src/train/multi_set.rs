//! Several training sets at once.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::source::Source;
use crate::Result;
use crate::data::{TrainingSet, TrainingStream};
use crate::error::expect;

/// Several training sets, by their names: each batch is of one of them.
///
/// ```
/// use kensaku::data::TrainingSet;
/// use kensaku::train::{MultiSet, Sampling};
/// # use kensaku::polars::prelude::df;
/// # let nli = TrainingSet::new(df!("query" => ["a", "b"], "positive" => ["c", "d"])?)?;
/// # let qa = nli.clone();
///
/// let sets = MultiSet::new([("nli", &nli), ("qa", &qa)])?.sampling(Sampling::RoundRobin);
/// assert_eq!((sets.len(), sets.names().collect::<Vec<_>>()), (4, vec!["nli", "qa"]));
/// # Ok::<(), kensaku::Error>(())
/// ```
///
/// [`Trainer::steps`](super::Trainer::steps) takes it as it takes one set; [`PerSet`](crate::loss::PerSet) gives each set a
/// loss of its own:
///
/// ```no_run
/// # use kensaku::prelude::*;
/// # use kensaku::loss::{CoSENT, PerSet};
/// # use kensaku::train::MultiSet;
/// # fn main() -> Result<()> {
/// # let (model, nli, sts) = (BiEncoder::tiny()?, rustdoc()?.pairs("train")?, rustdoc()?.pairs("test")?);
/// let loss = PerSet::new().with("nli", MultipleNegativesRanking::default()).with("sts", CoSENT::default());
/// let mut trainer = Trainer::new(model, loss, TrainConfig::default())?;
/// for step in trainer.steps(&MultiSet::new([("nli", &nli), ("sts", &sts)])?)? {
///     println!("{}", step?);
/// }
/// # Ok(())
/// # }
/// ```
///
/// [`Trainer::preflight`](super::Trainer::preflight) and [`Trainer::card`](super::Trainer::card) look at one set, of a
/// trainer with the loss of that set.
#[derive(Clone)]
pub struct MultiSet {
    /// Without a name if there is one set alone.
    pub(super) sets: Vec<(Option<Arc<str>>, Source)>,
    pub(super) sampling: Sampling,
}

/// Which of several training sets gives how many batches of an epoch, and when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// All batches of all sets, in random order.
    #[default]
    #[doc(alias = "MultiDatasetBatchSamplers")]
    Proportional,
    /// A batch of each set in turn, until a set has no more: the others are seen in part, another one in each epoch.
    RoundRobin,
    /// As many batches as [`Proportional`](Self::Proportional), but a set with `n` examples has a share of them that is
    /// proportional to `n^(1 / T)`, and at least one, in random order: 1 is proportional, and the larger `T`, the more alike
    /// are the shares. A set is seen several times in an epoch, or in part. Source: Raffel et al. 2020 (T5), section 3.5.2.
    Temperature(f64),
}

impl MultiSet {
    /// Sets by their names.
    ///
    /// # Errors
    /// If there is none, or two have one name.
    pub fn new<'d, N: Into<Arc<str>>>(sets: impl IntoIterator<Item = (N, &'d TrainingSet)>) -> Result<Self> {
        let sets = sets.into_iter().map(|(name, set)| (Some(name.into()), Source::Set(set.clone())));
        let this = Self { sets: sets.collect(), sampling: Sampling::default() };
        expect("sets", "none", "at least one training set", !this.sets.is_empty())?;
        this.check_names()
    }

    /// The same with a stream.
    ///
    /// # Errors
    /// If there is a set of this name.
    pub fn with_stream(mut self, name: impl Into<Arc<str>>, stream: &TrainingStream) -> Result<Self> {
        self.sets.push((Some(name.into()), Source::Stream(stream.clone())));
        self.check_names()
    }

    fn check_names(self) -> Result<Self> {
        for (index, name) in self.names().enumerate() {
            let new = !name.is_empty() && self.names().take(index).all(|other| other != name);
            expect("sets", format!("{name:?}"), "names that differ", new)?;
        }
        Ok(self)
    }

    /// The same with another sampling.
    #[must_use]
    pub fn sampling(self, sampling: Sampling) -> Self {
        Self { sampling, ..self }
    }

    /// The names of the sets.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sets.iter().map(|(name, _)| name.as_deref().unwrap_or_default())
    }

    /// The number of examples of all sets.
    pub fn len(&self) -> usize {
        self.sets.iter().map(|(_, set)| set.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An error that names a setting that cannot be meant.
    pub(super) fn check(&self) -> Result<()> {
        match self.sampling {
            Sampling::Temperature(value) => {
                expect("temperature", value, "a number from 1", value >= 1.0 && value.is_finite())
            }
            _ => Ok(()),
        }
    }
}

/// One set, without a name. No text is copied.
impl From<&TrainingSet> for MultiSet {
    fn from(set: &TrainingSet) -> Self {
        Self { sets: vec![(None, Source::Set(set.clone()))], sampling: Sampling::default() }
    }
}

/// One stream, without a name.
impl From<&TrainingStream> for MultiSet {
    fn from(stream: &TrainingStream) -> Self {
        Self { sets: vec![(None, Source::Stream(stream.clone()))], sampling: Sampling::default() }
    }
}

impl From<&MultiSet> for MultiSet {
    fn from(sets: &MultiSet) -> Self {
        sets.clone()
    }
}

impl fmt::Debug for MultiSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sets: Vec<String> =
            self.names().zip(&self.sets).map(|(name, (_, set))| format!("{name}: {}", set.len())).collect();
        write!(f, "MultiSet {{ {}; {:?} }}", sets.join(", "), self.sampling)
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::df;

    use super::*;

    #[test]
    fn names_differ_and_temperatures_are_numbers() {
        let set = TrainingSet::new(df!("query" => ["a"], "positive" => ["b"]).unwrap()).unwrap();
        let message = |names: &[&str]| MultiSet::new(names.iter().map(|name| (*name, &set))).unwrap_err().to_string();
        assert_eq!(message(&[]), "sets = none: expected at least one training set");
        assert_eq!(message(&["a", "b", "a"]), "sets = \"a\": expected names that differ");
        assert_eq!(message(&[""]), "sets = \"\": expected names that differ");
        let sets = MultiSet::new([("a", &set), ("b", &set)]).unwrap();
        assert_eq!(format!("{sets:?}"), "MultiSet { a: 1, b: 1; Proportional }");
        for value in [0.0, 0.5, f64::NAN, f64::INFINITY] {
            assert!(sets.clone().sampling(Sampling::Temperature(value)).check().is_err());
        }
        assert!(sets.sampling(Sampling::Temperature(5.0)).check().is_ok());
    }
}
