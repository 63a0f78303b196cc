//! Dropout whose mask is a function of (seed, step, place, element) and so is never stored.

use rayon::prelude::*;

use crate::nn::math::vectorised;
use crate::random::philox_lanes;

/// What a training step drops: the same seed and step give the same masks, forward and backward.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Dropout {
    pub seed: u64,
    pub step: u32,
    /// The number of the batch's first token. A part of a larger batch that starts at its `n`th token
    /// draws with `n` what the whole batch draws there.
    pub first_token: u32,
}

/// One dropout layer of the model within one step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site<'a> {
    /// The token of each row, where not every token has one.
    tokens: Option<&'a [usize]>,
    key: [u32; 2],
    step: u32,
    site: u32,
    first_row: u32,
    threshold: u32,
    scale: f32,
}

impl Dropout {
    /// The same for tokens of which so many others come before.
    pub(crate) fn after(self, tokens: usize) -> Self {
        Self { first_token: self.first_token.wrapping_add(tokens as u32), ..self }
    }

    /// The `site`th dropout layer, one row a token, at a rate; `None` if it drops nothing.
    pub(crate) fn site(&self, site: u32, rate: f32) -> Option<Site<'static>> {
        self.site_of_rows(site, rate, 1)
    }

    /// The same for attention weights: a token has one row a head, `token * heads + head`.
    pub(crate) fn attention_site(&self, site: u32, rate: f32, heads: usize) -> Option<Site<'static>> {
        self.site_of_rows(site, rate, heads as u32)
    }

    fn site_of_rows(&self, site: u32, rate: f32, rows: u32) -> Option<Site<'static>> {
        // Sixteen random bits an element: the rate is a multiple of 2^-16, and the scale belongs to that.
        let threshold = (f64::from(rate) * 65_536.0).round().min(65_535.0) as u32;
        let scale = (65_536.0 / (65_536.0 - f64::from(threshold))) as f32;
        let key = [self.seed as u32, (self.seed >> 32) as u32];
        let first_row = self.first_token.wrapping_mul(rows);
        (rate > 0.0).then_some(Site { tokens: None, key, step: self.step, site, first_row, threshold, scale })
    }
}

/// Elements of a row whose random numbers are drawn together.
pub(crate) const MASK_GROUP: usize = 2 * 4 * LANES;

/// Counters that are turned into random words side by side.
const LANES: usize = 8;

impl<'a> Site<'a> {
    /// The same for rows of these tokens alone: each is dropped as among all.
    pub(crate) fn of_tokens(self, tokens: Option<&'a [usize]>) -> Self {
        Self { tokens, ..self }
    }

    /// Zeroes the dropped elements of one row of the layer's tensor and scales the others up.
    pub(crate) fn apply(&self, row: usize, values: &mut [f32]) {
        apply_row(values, *self, row);
    }

    /// What the elements of a row's group number `group` are multiplied by: 0 or the scale.
    #[inline(always)]
    pub(crate) fn group(&self, row: usize, group: usize) -> [f32; MASK_GROUP] {
        let row = self.tokens.map_or(row, |tokens| tokens[row]);
        let row = self.first_row.wrapping_add(row as u32);
        let mut counters = [0; LANES];
        for (lane, counter) in counters.iter_mut().enumerate() {
            *counter = (group * LANES + lane) as u64;
        }
        let [row, site, step] = [row, self.site, self.step].map(|word| [u64::from(word); LANES]);
        let words = philox_lanes([counters, row, site, step], self.key);
        let mut factors = [0.0; MASK_GROUP];
        let (low, high) = factors.split_at_mut(MASK_GROUP / 2);
        for (word, (low, high)) in words.as_flattened().iter().zip(low.iter_mut().zip(high)) {
            *low = if *word as u32 & 0xFFFF >= self.threshold { self.scale } else { 0.0 };
            *high = if *word as u32 >> 16 >= self.threshold { self.scale } else { 0.0 };
        }
        factors
    }
}

vectorised! {
    fn apply_row(values: &mut [f32], site: Site<'_>, row: usize) {
        for (group, values) in values.chunks_mut(MASK_GROUP).enumerate() {
            let factors = site.group(row, group);
            values.iter_mut().zip(factors).for_each(|(value, factor)| *value *= factor);
        }
    }
}

/// Drops elements of `values (T, width)` in place.
pub(crate) fn apply(values: &mut [f32], width: usize, dropout: Option<Site<'_>>) {
    if let Some(site) = dropout {
        values.par_chunks_mut(width).enumerate().for_each(|(row, values)| site.apply(row, values));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_the_rate_and_keeps_the_mean() {
        let site = Dropout { seed: 3, step: 9, first_token: 0 }.site(1, 0.25).expect("a rate above zero");
        let mut values = vec![1.0; 4_000];
        for (row, values) in values.chunks_mut(100).enumerate() {
            site.apply(row, values);
        }
        let dropped = values.iter().filter(|value| **value == 0.0).count() as f32 / 4_000.0;
        let mean = values.iter().sum::<f32>() / 4_000.0;
        assert!((dropped - 0.25).abs() < 0.03 && (mean - 1.0).abs() < 0.04, "{dropped} {mean}");
    }

    #[test]
    fn depends_on_seed_step_site_and_row_alone() {
        let masked = |seed, step, site, row| {
            let mut values = vec![1.0; 77];
            Dropout { seed, step, first_token: 0 }.site(site, 0.5).expect("a rate above zero").apply(row, &mut values);
            values
        };
        assert_eq!(masked(1, 2, 3, 4), masked(1, 2, 3, 4));
        for other in [masked(0, 2, 3, 4), masked(1, 0, 3, 4), masked(1, 2, 0, 4), masked(1, 2, 3, 0)] {
            assert_ne!(masked(1, 2, 3, 4), other);
        }
    }

    #[test]
    fn a_part_draws_what_the_whole_draws_there() {
        let row_of = |first_token, token: usize, head: usize| {
            let dropout = Dropout { seed: 1, step: 2, first_token };
            let mut values = [vec![1.0; 40], vec![1.0; 40]];
            dropout.site(3, 0.5).expect("a rate above zero").apply(token, &mut values[0]);
            let site = dropout.attention_site(4, 0.5, 12).expect("a rate above zero");
            site.apply(token * 12 + head, &mut values[1]);
            values
        };
        assert_eq!(row_of(0, 107, 5), row_of(100, 7, 5));
        assert_ne!(row_of(0, 7, 5), row_of(100, 7, 5));
    }
}
