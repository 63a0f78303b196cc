//! Batches without a text that is there twice, and with more than one class.

use std::collections::VecDeque;

use super::order::Groups;
use super::{Epoch, Repeats};
use crate::{Result, interrupt};

/// Rows that are looked at to fill one batch, in batches: a set in which everything repeats must not
/// make the plan quadratic.
const LOOK_AHEAD: usize = 50;
/// Batches that are planned between two looks at the interrupt flag.
const CHECKED: usize = 256;

/// Groups of rows that wait for a batch.
pub(super) struct Filling<'a> {
    groups: &'a Groups,
    classes: Option<&'a [u32]>,
    repeats: Option<&'a Repeats>,
    waiting: VecDeque<u32>,
    /// Groups that do not go with the batch.
    clashing: Vec<u32>,
    /// Of each text that repeats the last batch that has it, from 1.
    seen: Vec<u32>,
    /// Groups of one row that wait.
    single: usize,
}

impl<'a> Filling<'a> {
    pub(super) fn new(groups: &'a Groups, classes: Option<&'a [u32]>, repeats: Option<&'a Repeats>) -> Self {
        Self {
            groups,
            classes,
            repeats,
            waiting: (0..groups.len() as u32).collect(),
            clashing: Vec::new(),
            seen: vec![0; repeats.map_or(0, |repeats| repeats.texts + 1)],
            single: (0..groups.len() as u32).filter(|group| groups.group(*group).len() == 1).count(),
        }
    }

    pub(super) fn batches(mut self, batch_size: usize) -> Result<Epoch> {
        let mut epoch = Epoch { rows: Vec::with_capacity(self.groups.rows.len()), ends: Vec::new() };
        while !self.waiting.is_empty() {
            if epoch.ends.len() % CHECKED == CHECKED - 1 {
                interrupt::check("planning")?;
            }
            let number = epoch.ends.len() as u32 + 1;
            self.fill(number, batch_size, &mut epoch.rows);
            epoch.ends.push(epoch.rows.len());
        }
        Ok(epoch)
    }

    /// Takes a batch from the front; groups that clash with it go back to the front, in order.
    fn fill(&mut self, number: u32, batch_size: usize, batch: &mut Vec<u32>) {
        let start = batch.len();
        let full = start + batch_size;
        let mut one_class = true;
        while batch.len() < full && self.clashing.len() < batch_size.saturating_mul(LOOK_AHEAD) {
            let room = full - batch.len();
            if room == 1 && self.single == 0 {
                break;
            }
            let Some(group) = self.waiting.pop_front() else { break };
            let rows = self.groups.group(group);
            let same = |classes: &[u32]| classes[rows[0] as usize] == classes[batch[start] as usize];
            let more_of_it = batch.len() > start && one_class && self.classes.is_none_or(same);
            // The last places are for another class: the batch would have no negatives.
            let lone = self.classes.is_some() && more_of_it && room < rows.len() + 2;
            if rows.len() > room || lone || self.is_seen(rows, number) {
                self.clashing.push(group);
                continue;
            }
            one_class &= batch.len() == start || more_of_it;
            self.take(group, number, batch);
        }
        let mut clashing = std::mem::take(&mut self.clashing);
        if self.classes.is_some() && one_class {
            // There is no other class that goes with it.
            clashing.retain(|group| {
                let rows = self.groups.group(*group);
                let fits = rows.len() <= full - batch.len() && !self.is_seen(rows, number);
                if fits {
                    self.take(*group, number, batch);
                }
                !fits
            });
        }
        while let Some(group) = clashing.pop() {
            self.waiting.push_front(group);
        }
        self.clashing = clashing;
    }

    fn take(&mut self, group: u32, number: u32, batch: &mut Vec<u32>) {
        let rows = self.groups.group(group);
        self.single -= usize::from(rows.len() == 1);
        if let Some(repeats) = self.repeats {
            for text in rows.iter().flat_map(|row| repeats.of(*row)) {
                self.seen[text as usize] = number;
            }
        }
        batch.extend_from_slice(rows);
    }

    /// Whether the batch has a text of these rows.
    fn is_seen(&self, rows: &[u32], number: u32) -> bool {
        let seen = |text: u32| self.seen[text as usize] == number;
        self.repeats.is_some_and(|repeats| rows.iter().any(|row| repeats.of(*row).any(seen)))
    }
}
