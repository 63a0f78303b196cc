//! Selects the names that match the written prefix, and ranks them.

use super::offer::Offer;

/// How many names are offered at most.
const MOST: usize = 1000;

/// The offers that match `written`, best first.
pub(super) fn ranked(offers: Vec<Offer>, written: &str) -> Vec<Offer> {
    let fitting = offers.into_iter().filter_map(|offer| Some((fit(&offer.text, written)?, offer)));
    let mut fitting: Vec<(u8, Offer)> = fitting.collect();
    fitting.sort_by(|(fit, a), (other, b)| {
        let order = |fit: &u8, offer: &Offer| (*fit, offer.group, u8::MAX - offer.weight);
        order(fit, a).cmp(&order(other, b)).then_with(|| a.text.cmp(&b.text))
    });
    let mut seen = std::collections::HashSet::new();
    fitting.retain(|(_, offer)| seen.insert(offer.text.clone()));
    fitting.truncate(MOST);
    fitting.into_iter().map(|(_, offer)| offer).collect()
}

/// 0 for a prefix, 1 for a prefix in another case, 2 if the letters occur in this order from the start
/// of the name, 3 from the start of a word.
fn fit(name: &str, written: &str) -> Option<u8> {
    if name.starts_with(written) {
        return Some(0);
    }
    let (small, wanted) = (name.to_lowercase(), written.to_lowercase());
    if small.starts_with(&wanted) {
        return Some(1);
    }
    let first = wanted.chars().next()?;
    let mut before = '_';
    let starts = name.char_indices().filter(|(_, c)| {
        let starts = before == '_' || (c.is_uppercase() && !before.is_uppercase());
        before = *c;
        starts && c.to_lowercase().eq([first])
    });
    let starts: Vec<usize> = starts.map(|(at, _)| at).collect();
    let start = starts.into_iter().find(|at| in_order(&name[*at..].to_lowercase(), &wanted))?;
    Some(if start == 0 { 2 } else { 3 })
}

fn in_order(name: &str, wanted: &str) -> bool {
    let mut letters = name.chars();
    wanted.chars().all(|wanted| letters.any(|letter| letter == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(names: &[(&str, u8, u8)], written: &str) -> Vec<String> {
        let offer =
            |(name, group, weight): &(&str, u8, u8)| Offer { weight: *weight, ..Offer::new(*name, "", "", *group) };
        ranked(names.iter().map(offer).collect(), written).into_iter().map(|offer| offer.text).collect()
    }

    #[test]
    fn beginnings_then_case_then_letters() {
        let names =
            [("unwrap_or_default", 1, 9), ("DataFrame", 1, 0), ("default", 2, 0), ("data", 0, 0), ("other", 0, 0)];
        assert_eq!(order(&names, "d"), ["data", "default", "DataFrame", "unwrap_or_default"]);
        assert_eq!(order(&names, "df"), ["DataFrame", "default", "unwrap_or_default"]);
        assert_eq!(order(&names, "uod"), ["unwrap_or_default"]);
    }

    #[test]
    fn common_names_first_within_a_group() {
        let names = [("filter", 1, 3), ("fields", 1, 1), ("fill_null", 1, 3), ("first", 2, 9)];
        assert_eq!(order(&names, "fi"), ["fill_null", "filter", "fields", "first"]);
    }
}
