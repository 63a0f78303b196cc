//! Reading golden values, and comparing with them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use serde_json::Value;

/// A folder or file below `tests/fixtures`.
pub fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path)
}

pub fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

/// The named tensors of a safetensors file.
pub struct Tensors(HashMap<String, Tensor>);

impl Tensors {
    pub fn read(path: &Path) -> Self {
        Self(candle_core::safetensors::load(path, &Device::Cpu).unwrap())
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub fn tensor(&self, name: &str) -> &Tensor {
        self.0.get(name).unwrap_or_else(|| panic!("no tensor {name}"))
    }

    /// The numbers of a tensor, row-major.
    pub fn floats(&self, name: &str) -> Vec<f32> {
        floats(self.tensor(name))
    }

    /// The rows of a matrix of integers without what a mask of 0 marks as padding.
    pub fn unpadded(&self, ids: &str, mask: &str) -> Vec<Vec<u32>> {
        let rows = |name: &str| self.tensor(name).to_dtype(DType::U32).unwrap().to_vec2::<u32>().unwrap();
        let real = |(ids, mask): (Vec<u32>, Vec<u32>)| ids.into_iter().zip(mask).filter(|(_, mask)| *mask == 1);
        rows(ids).into_iter().zip(rows(mask)).map(|row| real(row).map(|(id, _)| id).collect()).collect()
    }
}

pub fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The largest absolute difference.
pub fn distance(ours: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(ours.len(), expected.len(), "numbers to compare");
    ours.iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |max, d| if d > max || d.is_nan() { d } else { max })
}

/// The norm of the difference over the norm of what is expected.
pub fn relative_distance(ours: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(ours.len(), expected.len(), "numbers to compare");
    let norm = |numbers: &mut dyn Iterator<Item = f32>| numbers.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    norm(&mut ours.iter().zip(expected).map(|(a, b)| a - b))
        / norm(&mut expected.iter().copied()).max(f64::MIN_POSITIVE)
}

/// Fails unless `found` is at most `limit`; NaN fails.
#[track_caller]
pub fn within(what: &str, found: impl Into<f64>, limit: f64) {
    let found = found.into();
    assert!(found <= limit, "{what}: {found:e} is above {limit:e}");
}

/// The cosine of the angle between two vectors.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
