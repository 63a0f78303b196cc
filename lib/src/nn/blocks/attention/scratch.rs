//! Memory of the tasks of attention: their own, and parts of a matrix that all write.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;

use crate::nn::math::vectorised;
use crate::nn::saved_tensor::grow;

/// Runs `work` with three buffers of this thread that keep their memory from call to call.
pub(in crate::nn::blocks) fn with_scratch(lengths: [usize; 3], work: impl FnOnce([&mut [f32]; 3])) {
    thread_local!(static BUFFERS: RefCell<Vec<[Vec<f32>; 3]>> = const { RefCell::new(Vec::new()) });
    let mut buffers = BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default();
    for (buffer, length) in buffers.iter_mut().zip(lengths) {
        grow(buffer, length);
    }
    let [first, second, third] = &mut buffers;
    work([&mut first[..lengths[0]], &mut second[..lengths[1]], &mut third[..lengths[2]]]);
    BUFFERS.with_borrow_mut(|all| all.push(buffers));
}

/// A matrix of which tasks write disjoint parts of rows.
pub(super) struct Scattered<'a> {
    start: *mut f32,
    rows: usize,
    pub(super) width: usize,
    borrowed: PhantomData<&'a mut [f32]>,
}

// SAFETY: a shared `Scattered` gives out memory only through `part`, whose caller vouches for disjointness.
unsafe impl Sync for Scattered<'_> {}

impl<'a> Scattered<'a> {
    pub(super) fn new(data: &'a mut [f32], width: usize) -> Self {
        Self {
            start: data.as_mut_ptr(),
            rows: data.len().checked_div(width).unwrap_or(0),
            width,
            borrowed: PhantomData,
        }
    }

    /// Writes `rows` into some columns from row `first` on, each times its scale where there are some.
    ///
    /// SAFETY: as for [`Scattered::part`].
    pub(super) unsafe fn write(&self, first: usize, columns: Range<usize>, rows: &[f32], scales: Option<&[f32]>) {
        write_rows(self, first, columns, rows, scales);
    }

    /// SAFETY: no two parts that live at the same time may overlap.
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn part(&self, row: usize, columns: Range<usize>) -> &mut [f32] {
        assert!(row < self.rows && columns.end <= self.width, "part outside of its matrix");
        // SAFETY: inside the borrowed slice by the assertion; disjoint by the caller's word.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(row * self.width + columns.start), columns.len()) }
    }
}

vectorised! {
    /// For [`Scattered::write`] alone, whose caller vouches for disjointness.
    fn write_rows(to: &Scattered<'_>, first: usize, columns: Range<usize>, rows: &[f32], scales: Option<&[f32]>) {
        for (index, row) in rows.chunks_exact(columns.len()).enumerate() {
            // SAFETY: by the word of the caller of `write`.
            let to = unsafe { to.part(first + index, columns.clone()) };
            let scale = scales.map_or(1.0, |scales| scales[index]);
            to.iter_mut().zip(row).for_each(|(to, value)| *to = value * scale);
        }
    }
}
