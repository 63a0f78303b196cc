//! Tables of numbers as safetensors.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Display;
use std::fs::File;
use std::path::Path;

use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, View, serialize_to_file};

use super::{aside, folder_of, sync_folder};
use crate::{Error, Result};

/// Replaces the file at `path` by tensors of f32: their names, shapes and values. They are written from where they are:
/// memory does not hold a second copy.
pub(crate) fn write_tensors<'a>(
    path: &Path,
    tensors: impl IntoIterator<Item = (String, &'a [usize], &'a [f32])>,
    metadata: Option<HashMap<String, String>>,
) -> Result<()> {
    let tensors = tensors.into_iter().map(|(name, shape, values)| (name, Numbers { shape, values }));
    write_views(path, tensors, metadata)
}

/// Replaces the file at `path` by tensors of any type.
pub(crate) fn write_views<S: AsRef<str> + Ord + Display, V: View>(
    path: &Path,
    tensors: impl IntoIterator<Item = (S, V)>,
    metadata: Option<HashMap<String, String>>,
) -> Result<()> {
    let folder = folder_of(path);
    let written = || {
        let aside = aside(path, 0o666, |builder| builder.tempfile_in(folder))?;
        let mode = aside.as_file().metadata()?.permissions();
        serialize_to_file(tensors, metadata, aside.path())?;
        // It has put another file in the place of ours.
        let written = File::open(aside.path())?;
        written.set_permissions(mode)?;
        written.sync_all()?;
        aside.persist(path).map_err(std::io::Error::from)?;
        Ok(sync_folder(folder)?)
    };
    written().map_err(|source| match source {
        SafeTensorError::IoError(source) => Error::Io { path: path.to_owned(), source },
        source => Error::Safetensors { path: path.to_owned(), source },
    })
}

/// Numbers on their way to a file.
struct Numbers<'a> {
    shape: &'a [usize],
    values: &'a [f32],
}

impl View for Numbers<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        if cfg!(target_endian = "little") {
            return Cow::Borrowed(bytemuck::cast_slice(self.values));
        }
        self.values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn data_len(&self) -> usize {
        size_of_val(self.values)
    }
}

/// Numbers of any type, as they lie in memory.
pub(crate) struct Bytes<'a> {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: &'a [u8],
}

impl View for Bytes<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}
