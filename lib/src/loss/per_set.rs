//! A loss for each of several training sets.

use std::fmt;
use std::sync::Arc;

use candle_core::Tensor;
use serde_json::{Value, json};

use super::{Batch, Loss, LossParameter, Needs, Term, prior_layers_of_any};
use crate::random::Philox;
use crate::{Error, Result};

/// A loss for each set of a [`MultiSet`](crate::train::MultiSet), by its name: a batch is of one set, and its loss is that
/// set's. The parameters of a loss are called `set.name`.
///
/// ```
/// use kensaku::loss::{Batch, CoSENT, Loss, MultipleNegativesRanking, PerSet};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let loss = PerSet::new().with("nli", MultipleNegativesRanking::default()).with("sts", CoSENT::default());
/// # let rows = Tensor::new(&[[1.0f32, 0.0], [0.6, 0.8]], &Device::Cpu)?;
/// let batch = Batch { set: Some("nli".into()), ..Batch::pairs(rows.clone(), rows) };
/// let alone = MultipleNegativesRanking::default().loss(&batch)?.to_scalar::<f32>()?;
/// assert_eq!(loss.loss(&batch)?.to_scalar::<f32>()?, alone);
/// # Ok::<(), kensaku::Error>(())
/// ```
///
/// # Errors
/// A batch of a set that has no loss, or of none.
#[derive(Clone, Default)]
pub struct PerSet(Vec<(Arc<str>, Arc<dyn Loss>)>);

impl PerSet {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the loss of a set.
    #[must_use]
    pub fn with(mut self, set: impl Into<Arc<str>>, loss: impl Loss + 'static) -> Self {
        self.0.push((set.into(), Arc::new(loss)));
        self
    }

    /// The names of the sets, in the order in which they were added.
    pub fn sets(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(set, _)| &**set)
    }

    /// The loss of a set.
    pub(crate) fn of(&self, set: Option<&str>) -> Result<&dyn Loss> {
        let found = self.0.iter().find(|(name, _)| Some(&**name) == set);
        found.map(|(_, loss)| &**loss).ok_or_else(|| Error::Setting {
            field: "set",
            value: set.unwrap_or("none").to_owned(),
            expected: format!("one that has a loss: {}", self.sets().collect::<Vec<_>>().join(", ")),
        })
    }

    /// The batch as the loss of its set sees it: with its own parameters, by their names there.
    fn own(&self, batch: &Batch) -> Result<(&dyn Loss, Batch)> {
        let loss = self.of(batch.set.as_deref())?;
        let set = batch.set.as_deref().unwrap_or_default();
        let own = |(name, value): &(String, Tensor)| Some((short(set, name)?.to_owned(), value.clone()));
        let parameters = batch.parameters.iter().filter_map(own).collect();
        Ok((loss, Batch { parameters, ..batch.clone() }))
    }
}

/// The name that the loss of a set knows.
fn short<'a>(set: &str, name: &'a str) -> Option<&'a str> {
    name.strip_prefix(set)?.strip_prefix('.')
}

impl Loss for PerSet {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        let (loss, batch) = self.own(batch)?;
        loss.loss(&batch)
    }

    fn terms(&self, batch: &Batch) -> Result<Vec<Term>> {
        let (loss, batch) = self.own(batch)?;
        loss.terms(&batch)
    }

    fn check(&self) -> Result<()> {
        for (index, (set, loss)) in self.0.iter().enumerate() {
            let again = self.sets().take(index).any(|other| other == &**set);
            crate::error::expect("set", set, "one loss for each set", !again)?;
            loss.check()?;
        }
        crate::error::expect("loss", "PerSet of no sets", "a loss for each set", !self.0.is_empty())
    }

    fn parameters(&self, dim: usize, seed: u64) -> Result<Vec<LossParameter>> {
        let mut all = Vec::new();
        for (set, loss) in &self.0 {
            let named = |own: LossParameter| LossParameter { name: format!("{set}.{}", own.name), ..own };
            all.extend(loss.parameters(dim, seed)?.into_iter().map(named));
        }
        Ok(all)
    }

    fn observe(&self, batch: &Batch) -> Result<Vec<(String, Tensor)>> {
        let (loss, own) = self.own(batch)?;
        let set = batch.set.as_deref().unwrap_or_default();
        Ok(loss.observe(&own)?.into_iter().map(|(name, value)| (format!("{set}.{name}"), value)).collect())
    }

    /// Those that any of them wants.
    fn prior_layers(&self, layers: usize, rng: &mut Philox) -> Result<Vec<usize>> {
        prior_layers_of_any(self.0.iter().map(|(_, loss)| loss), layers, rng)
    }

    fn needs(&self) -> Needs {
        Needs { name: "a loss per set", ..Needs::default() }
    }

    fn settings(&self) -> Value {
        let sets = self.0.iter();
        let sets =
            sets.map(|(set, loss)| json!({ "set": set, "name": loss.needs().name, "settings": loss.settings() }));
        json!({ "sets": sets.collect::<Vec<_>>() })
    }

    fn objection(&self, dim: usize, unit: bool) -> Option<String> {
        self.0.iter().find_map(|(_, loss)| loss.objection(dim, unit))
    }

    fn per_set(&self) -> Option<&PerSet> {
        Some(self)
    }
}

impl fmt::Debug for PerSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |loss: &dyn Loss| if loss.needs().name.is_empty() { "a closure" } else { loss.needs().name };
        f.debug_map().entries(self.0.iter().map(|(set, loss)| (set, name(&**loss)))).finish()
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::loss::{Softmax, custom};

    fn rows() -> Tensor {
        Tensor::new(&[[1.0f32, 0.0], [0.6, 0.8]], &Device::Cpu).unwrap()
    }

    #[test]
    fn a_loss_sees_its_own_parameters() {
        let temperature = custom(|batch| Ok(batch.parameter("scale")?.clone()));
        let with =
            |value: f32| temperature.clone().parameter("scale", &Tensor::new(value, &Device::Cpu).unwrap()).unwrap();
        let loss = PerSet::new().with("a", with(1.0)).with("a.b", with(2.0));
        let parameters = loss.parameters(2, 1).unwrap();
        assert_eq!(parameters.iter().map(|own| own.name.as_str()).collect::<Vec<_>>(), ["a.scale", "a.b.scale"]);
        let parameters: Vec<_> = parameters.into_iter().map(|own| (own.name, own.value)).collect();
        for (set, value) in [("a", 1.0), ("a.b", 2.0)] {
            let batch = Batch { set: Some(set.into()), parameters: parameters.clone(), ..Batch::pairs(rows(), rows()) };
            assert_eq!(loss.loss(&batch).unwrap().to_scalar::<f32>().unwrap(), value);
        }
        assert_eq!(format!("{loss:?}"), r#"{"a": "a closure", "a.b": "a closure"}"#);
    }

    #[test]
    fn sets_without_a_loss_are_refused() {
        let loss = PerSet::new().with("nli", Softmax::new(3));
        let message = |set: Option<&str>| {
            let batch = Batch { set: set.map(Into::into), ..Batch::pairs(rows(), rows()) };
            loss.loss(&batch).unwrap_err().to_string()
        };
        assert_eq!(message(Some("sts")), "set = sts: expected one that has a loss: nli");
        assert_eq!(message(None), "set = none: expected one that has a loss: nli");
        let twice = loss.clone().with("nli", Softmax::new(3));
        assert_eq!(twice.check().unwrap_err().to_string(), "set = nli: expected one loss for each set");
        assert!(PerSet::new().check().is_err());
    }
}
