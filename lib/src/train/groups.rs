//! What the optimiser does with each parameter: its learning rate, its decay, or nothing.

use regex::Regex;

use super::TrainConfig;
use crate::error::expect;
use crate::nn::Parameters;
use crate::{Error, Result};

/// The treatment of one parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Group {
    /// Its learning rate over that of the schedule.
    pub(super) ratio: f64,
    pub(super) decay: bool,
    pub(super) frozen: bool,
}

/// One group per parameter, in the order of the table. Of the patterns in `learning_rate_mapping` that match
/// a name, the last one counts, as in sentence-transformers. A pattern may be meant for the parameters of another table
/// alone.
pub(super) fn groups(config: &TrainConfig, parameters: &Parameters, others: &Parameters) -> Result<Vec<Group>> {
    let entries = parameters.entries();
    let plain = entries.iter().map(|entry| Group { ratio: 1.0, decay: entry.decay, frozen: false });
    let mut groups: Vec<Group> = plain.collect();
    for (pattern, rate) in &config.learning_rate_mapping {
        let holds = *rate >= 0.0 && rate.is_finite();
        expect("learning_rate_mapping", format!("{rate} for `{pattern}`"), "a rate of 0 or more", holds)?;
        for index in matches("learning_rate_mapping", pattern, parameters, others)? {
            groups[index].ratio = rate / config.learning_rate;
        }
    }
    for pattern in &config.freeze {
        for index in matches("freeze", pattern, parameters, others)? {
            groups[index].frozen = true;
        }
    }
    let trains = entries.is_empty() || !others.is_empty() || groups.iter().any(|group| !group.frozen);
    expect("freeze", format!("{:?}", config.freeze), "patterns that leave a parameter to train", trains)?;
    Ok(groups)
}

/// The places of the parameters whose name the pattern matches.
fn matches(field: &'static str, pattern: &str, parameters: &Parameters, others: &Parameters) -> Result<Vec<usize>> {
    let error = |expected| Error::Setting { field, value: format!("`{pattern}`"), expected };
    let regex = Regex::new(pattern).map_err(|problem| error(format!("a regular expression ({problem})")))?;
    let entries = parameters.entries();
    let found: Vec<usize> =
        entries.iter().enumerate().filter(|(_, entry)| regex.is_match(&entry.name)).map(|(index, _)| index).collect();
    if found.is_empty() && !others.entries().iter().any(|entry| regex.is_match(&entry.name)) {
        let such_as = entries.first().or(others.entries().first()).map_or("", |entry| &entry.name);
        let count = entries.len() + others.entries().len();
        return Err(error(format!("a pattern that matches one of the {count} parameters, such as `{such_as}`")));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Parameters {
        let mut table = Parameters::default();
        table.push("embeddings.weight", &[3, 2], true).unwrap();
        table.push("layer.0.weight", &[2, 2], true).unwrap();
        table.push("layer.0.bias", &[2], false).unwrap();
        table
    }

    fn with(mapping: &[(&str, f64)], freeze: &[&str]) -> Result<Vec<Group>> {
        let learning_rate_mapping = mapping.iter().map(|(pattern, rate)| ((*pattern).to_owned(), *rate)).collect();
        let freeze = freeze.iter().map(|pattern| (*pattern).to_owned()).collect();
        let config = TrainConfig { learning_rate: 0.5, learning_rate_mapping, freeze, ..Default::default() };
        groups(&config, &table(), &Parameters::default())
    }

    #[test]
    fn the_last_pattern_counts() {
        let ratios: Vec<f64> = with(&[("layer", 1.0), ("bias$", 0.25)], &[]).unwrap().iter().map(|g| g.ratio).collect();
        assert_eq!(ratios, [1.0, 2.0, 0.5]);
    }

    #[test]
    fn freezes_what_matches() {
        let groups = with(&[], &["^embeddings\\."]).unwrap();
        assert_eq!(groups.iter().map(|group| group.frozen).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(groups.iter().map(|group| group.decay).collect::<Vec<_>>(), [true, true, false]);
    }

    #[test]
    fn a_pattern_may_mean_the_other_table() {
        let mut own = Parameters::default();
        own.push("loss.scale", &[], false).unwrap();
        let config = TrainConfig {
            learning_rate: 0.5,
            learning_rate_mapping: vec![("^loss\\.".to_owned(), 5.0)],
            ..Default::default()
        };
        assert!(groups(&config, &table(), &own).unwrap().iter().all(|group| group.ratio == 1.0));
        assert_eq!(groups(&config, &own, &table()).unwrap()[0].ratio, 10.0);
        assert!(groups(&config, &table(), &Parameters::default()).unwrap_err().to_string().contains("`^loss"));
    }

    #[test]
    fn says_which_pattern_is_wrong() {
        let message = |freeze| with(&[], &[freeze]).unwrap_err().to_string();
        let expected = "a pattern that matches one of the 3 parameters, such as `embeddings.weight`";
        assert_eq!(message("pooler"), format!("freeze = `pooler`: expected {expected}"));
        assert!(message("(").starts_with("freeze = `(`: expected a regular expression (regex parse error"));
        assert_eq!(message("."), "freeze = [\".\"]: expected patterns that leave a parameter to train");
        let message = |rate| with(&[("bias", rate)], &[]).unwrap_err().to_string();
        assert_eq!(message(-1.0), "learning_rate_mapping = -1 for `bias`: expected a rate of 0 or more");
        assert!(with(&[("nothing", 1.0)], &[]).unwrap_err().to_string().contains("`nothing`"));
    }
}
