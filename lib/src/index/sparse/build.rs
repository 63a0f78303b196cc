//! Sparse vectors of documents as lists of words.

use std::ops::Range;

use rayon::prelude::*;

use crate::model::{SparseEmbeddings, SparseVectors};
use crate::show::progress;
use crate::{Error, Result, interrupt};

/// Documents between two looks at the interrupt.
const CHECKED: usize = 4_096;

/// Where the list of each word ends, the numbers of its documents, and its weights there. `order` tells the row of each number.
pub(super) fn transposed(docs: &SparseEmbeddings, order: &[u32]) -> Result<(Vec<u64>, Vec<u32>, Vec<f32>)> {
    let SparseEmbeddings { ids, vectors } = docs;
    let mut ends = vec![0_u64; vectors.dim()];
    for (text, id) in ids.iter().enumerate() {
        let (words, weights) = vectors.row(text);
        if let Some(weight) = weights.iter().find(|weight| **weight < 0.0) {
            let problem = format!("below 0 in places ({weight}): expected weights of at least 0");
            return Err(Error::Vector { kind: "document", id: id.clone(), problem });
        }
        let there = words.iter().zip(weights).filter(|(_, weight)| **weight > 0.0);
        there.for_each(|(word, _)| ends[*word as usize] += 1);
    }
    let mut end = 0;
    for size in &mut ends {
        end += *size;
        *size = end;
    }
    let (mut entries, mut numbers) = (vec![0; end as usize], vec![0.0; end as usize]);

    let mut parts = Vec::new();
    let (mut entries_left, mut numbers_left) = (entries.as_mut_slice(), numbers.as_mut_slice());
    for words in ranges(&ends, 4 * rayon::current_num_threads()) {
        let size = (ends[words.end - 1] - start(&ends, words.start)) as usize;
        let (own_entries, other_entries) = entries_left.split_at_mut(size);
        let (own_numbers, other_numbers) = numbers_left.split_at_mut(size);
        (entries_left, numbers_left) = (other_entries, other_numbers);
        parts.push((words, own_entries, own_numbers));
    }
    let bar = progress("indexing", Some(parts.len()));
    parts.into_par_iter().try_for_each(|(words, entries, numbers)| {
        fill(vectors, order, &ends, words, (entries, numbers))?;
        bar.inc(1);
        Ok::<(), Error>(())
    })?;
    Ok((ends, entries, numbers))
}

fn start(ends: &[u64], word: usize) -> u64 {
    if word == 0 { 0 } else { ends[word - 1] }
}

/// All words, in ranges with about as many entries each.
fn ranges(ends: &[u64], parts: usize) -> Vec<Range<usize>> {
    let (total, mut ranges, mut first) = (ends.last().copied().unwrap_or(0), Vec::new(), 0);
    for part in 1..=parts as u64 {
        let last = if part == parts as u64 {
            ends.len()
        } else {
            ends.partition_point(|end| *end <= total * part / parts as u64)
        };
        if first < last {
            ranges.push(first..last);
            first = last;
        }
    }
    ranges
}

/// The lists of some words.
fn fill(
    vectors: &SparseVectors,
    order: &[u32],
    ends: &[u64],
    range: Range<usize>,
    (entries, numbers): (&mut [u32], &mut [f32]),
) -> Result<()> {
    let first = start(ends, range.start);
    let mut next: Vec<usize> = range.clone().map(|word| (start(ends, word) - first) as usize).collect();
    for (block, rows) in order.chunks(CHECKED).enumerate() {
        interrupt::check("indexing")?;
        for (doc, row) in (block * CHECKED..).zip(rows) {
            let (words, weights) = vectors.row(*row as usize);
            let from = words.partition_point(|word| (*word as usize) < range.start);
            let own = words[from..].iter().take_while(|word| (**word as usize) < range.end);
            for (word, weight) in own.zip(&weights[from..]).filter(|(_, weight)| **weight > 0.0) {
                let place = &mut next[*word as usize - range.start];
                (entries[*place], numbers[*place]) = (doc as u32, *weight);
                *place += 1;
            }
        }
    }
    Ok(())
}
