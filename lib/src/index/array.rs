//! Numbers of an index: in memory, or in a file that is mapped into it.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use bytemuck::Pod;
use memmap2::Mmap;

/// A slice that is owned, or lies in a mapped file.
#[derive(Clone)]
pub(super) enum Array<T> {
    Owned(Vec<T>),
    /// Bytes `start..end` of the file, aligned for `T`.
    Mapped {
        map: Arc<Mmap>,
        start: usize,
        end: usize,
    },
}

impl<T: Pod> Array<T> {
    /// The bytes `start..end` of a file, unless they are not a whole number of aligned `T`.
    pub(super) fn mapped(map: &Arc<Mmap>, start: usize, end: usize) -> Option<Self> {
        bytemuck::try_cast_slice::<u8, T>(map.get(start..end)?).ok()?;
        Some(Self::Mapped { map: map.clone(), start, end })
    }
}

impl<T: Pod> Deref for Array<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Owned(values) => values,
            Self::Mapped { map, start, end } => bytemuck::cast_slice(&map[*start..*end]),
        }
    }
}

impl<T> Default for Array<T> {
    fn default() -> Self {
        Self::Owned(Vec::new())
    }
}

impl<T> From<Vec<T>> for Array<T> {
    fn from(values: Vec<T>) -> Self {
        Self::Owned(values)
    }
}

impl<T: Pod + PartialEq> PartialEq for Array<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

/// The size only.
impl<T: Pod> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if matches!(self, Self::Owned(_)) { "in memory" } else { "in a file" };
        write!(f, "{} numbers {place}", self.len())
    }
}
