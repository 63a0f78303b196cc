//! What a forward pass leaves for the backward pass, as f32 or rounded to bf16.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::huge_pages::zeros;
use super::math::vectorised;

/// How activations that wait for the backward pass are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    #[default]
    F32,
    /// Half the memory: rounded to 8 significant bits. All computation stays in f32.
    Bf16,
}

/// A matrix that is written once a pass and read once.
#[derive(Debug)]
pub(crate) enum Kept {
    F32(Vec<f32>),
    Bf16(Vec<u16>),
}

impl Default for Kept {
    fn default() -> Self {
        Self::F32(Vec::new())
    }
}

impl Kept {
    /// Makes room for `length` numbers.
    pub(crate) fn fit(&mut self, length: usize, storage: Storage) {
        match (storage, &mut *self) {
            (Storage::F32, Self::F32(own)) => grow(own, length),
            (Storage::Bf16, Self::Bf16(own)) => grow(own, length),
            (Storage::F32, Self::Bf16(_)) => *self = Self::F32(zeros(length)),
            (Storage::Bf16, Self::F32(_)) => *self = Self::Bf16(zeros(length)),
        }
    }

    /// `work` fills the first `length` numbers and may go on with them, exact as they are.
    pub(crate) fn fill(&mut self, length: usize, scratch: &mut [f32], work: impl FnOnce(&mut [f32])) {
        match self {
            Self::F32(own) => work(&mut own[..length]),
            Self::Bf16(own) => {
                let scratch = &mut scratch[..length];
                work(scratch);
                let parts = own[..length].par_chunks_mut(TASK).zip(scratch.par_chunks(TASK));
                parts.for_each(|(own, exact)| round(own, exact));
            }
        }
    }

    /// The first `length` numbers; they are in `scratch` if they have to be widened.
    pub(crate) fn read<'a>(&'a self, length: usize, scratch: &'a mut [f32]) -> &'a [f32] {
        match self {
            Self::F32(own) => &own[..length],
            Self::Bf16(own) => {
                let scratch = &mut scratch[..length];
                let parts = scratch.par_chunks_mut(TASK).zip(own[..length].par_chunks(TASK));
                parts.for_each(|(wide, own)| widen(wide, own));
                scratch
            }
        }
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::F32(own) => size_of::<f32>() * own.capacity(),
            Self::Bf16(own) => size_of::<u16>() * own.capacity(),
        }
    }
}

/// Makes a buffer at least `length` long.
pub(crate) fn grow<N: Copy + Default>(buffer: &mut Vec<N>, length: usize) {
    if buffer.len() < length {
        // Reallocate instead of `resize`: the old contents are dead. An eighth of slack, which costs nothing before it
        // is touched, avoids regrowing.
        *buffer = Vec::new();
        *buffer = zeros(length + length / 8);
    }
}

/// Numbers that one task converts.
const TASK: usize = 1 << 14;

vectorised! {
    /// To the nearest bf16, ties to even.
    fn round(own: &mut [u16], exact: &[f32]) {
        for (own, exact) in own.iter_mut().zip(exact) {
            let bits = exact.to_bits();
            *own = (bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) >> 16) as u16;
        }
    }
}

vectorised! {
    fn widen(wide: &mut [f32], own: &[u16]) {
        for (wide, own) in wide.iter_mut().zip(own) {
            *wide = f32::from_bits(u32::from(*own) << 16);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_nearest_as_half_does() {
        let exact: Vec<f32> = (-400..400).map(|n| (n as f32 * 0.37).powi(3) + 1e-3 * n as f32).collect();
        let mut kept = Kept::default();
        kept.fit(exact.len(), Storage::Bf16);
        let mut scratch = vec![0.0; exact.len()];
        kept.fill(exact.len(), &mut scratch, |own| own.copy_from_slice(&exact));
        for (found, exact) in kept.read(exact.len(), &mut scratch).iter().zip(&exact) {
            assert_eq!(*found, half::bf16::from_f32(*exact).to_f32(), "{exact}");
        }
        assert_eq!(kept.bytes(), 2 * exact.len());
    }
}
