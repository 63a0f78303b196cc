//! Lists of two sets of documents as those of both.

use std::cmp::Ordering;

use super::lists::{Frequencies, Lists, push};
use crate::index::strings::Strings;
use crate::{Error, Result};

/// The lists of all documents: the same as if they had been counted together.
pub(super) fn merge(old: &Lists, new: &Lists) -> Result<Lists> {
    let (ids, old_docs, new_docs) = union(&old.ids, &new.ids);
    if let Some(doc) = old_docs.iter().find(|doc| new_docs.binary_search(doc).is_ok()) {
        let id = ids.get(*doc as usize).to_owned();
        let expected = "ids that are not in the index yet".to_owned();
        return Err(Error::Setting { field: "doc_id", value: id, expected });
    }
    let mut lengths = vec![0; ids.len()];
    for (lists, docs) in [(old, &old_docs), (new, &new_docs)] {
        docs.iter().zip(lists.lengths.iter()).for_each(|(doc, length)| lengths[*doc as usize] = *length);
    }

    let (terms, old_terms, new_terms) = union(&old.terms, &new.terms);
    let size = old.docs.len() + new.docs.len();
    let (mut docs, mut ends) = (Vec::with_capacity(size), Vec::with_capacity(terms.len()));
    let (mut small, mut large) = (Vec::with_capacity(size), Vec::new());
    let mut sides = [(old, old_docs, old_terms, 0), (new, new_docs, new_terms, 0)];
    let mut entries = Vec::new();
    for term in 0..terms.len() as u32 {
        for (lists, docs, terms, at) in &mut sides {
            if terms.get(*at) == Some(&term) {
                let entry = |place| (docs[lists.docs[place] as usize], lists.counts.get(place));
                entries.extend(lists.range(*at).map(entry));
                *at += 1;
            }
        }
        // Both are sorted: a stable sort merges them.
        entries.sort();
        for (doc, count) in entries.drain(..) {
            docs.push(doc);
            push(count, &mut small, &mut large);
        }
        ends.push(docs.len() as u64);
    }
    let counts = Frequencies::new(small, large);
    Ok(Lists { ids, lengths: lengths.into(), terms, ends: ends.into(), docs: docs.into(), counts })
}

/// The strings of two sorted tables, sorted, and for each table the new numbers of its strings.
fn union(a: &Strings, b: &Strings) -> (Strings, Vec<u32>, Vec<u32>) {
    let (mut a_numbers, mut b_numbers) = (Vec::with_capacity(a.len()), Vec::with_capacity(b.len()));
    let mut number = 0;
    let strings = std::iter::from_fn(|| {
        let (from_a, from_b) = (a_numbers.len(), b_numbers.len());
        let order = match (from_a < a.len(), from_b < b.len()) {
            (false, false) => return None,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (true, true) => a.raw(from_a).cmp(b.raw(from_b)),
        };
        if order.is_le() {
            a_numbers.push(number);
        }
        if order.is_ge() {
            b_numbers.push(number);
        }
        number += 1;
        Some(if order.is_le() { a.get(from_a) } else { b.get(from_b) })
    });
    let strings: Strings = strings.collect();
    (strings, a_numbers, b_numbers)
}
