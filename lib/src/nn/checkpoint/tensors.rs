//! The tensors of a model directory: `model.safetensors`, in one file or several.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata};
use serde_json::Value;

use crate::folder;
use crate::{Error, Result};

/// Where the tensors of a checkpoint lie; none is read yet.
#[derive(Debug)]
pub(crate) struct Tensors {
    dir: PathBuf,
    stored: BTreeMap<String, Stored>,
}

#[derive(Debug)]
struct Stored {
    /// As the file has it, and another tensor that goes by the same name in the table.
    name: String,
    twin: Option<String>,
    path: PathBuf,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Of the first byte in the file.
    start: u64,
}

/// Prefixes of the encoder's names in checkpoints; several may follow each other.
const PREFIXES: [&str; 9] =
    ["0.", "auto_model.", "model.", "bert.", "distilbert.", "electra.", "mpnet.", "roberta.", "xlm_roberta."];

/// As in the safetensors library.
const LARGEST_HEADER: u64 = 100_000_000;

impl Tensors {
    /// Reads the headers.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let mut tensors = Self { dir: dir.to_owned(), stored: BTreeMap::new() };
        for path in parts(dir)? {
            tensors.add(&path)?;
        }
        Ok(tensors)
    }

    /// The names in the table's form, in order, each with that of the file.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.stored.iter().map(|(plain, stored)| (plain.as_str(), stored.name.as_str()))
    }

    /// Whether there is a tensor of this name; an error if there are two, or one of another shape.
    pub(crate) fn holds(&self, name: &str, shape: &[usize]) -> Result<bool> {
        let Some(stored) = self.stored.get(name) else { return Ok(false) };
        let problem = match &stored.twin {
            Some(twin) => format!("both `{}` and `{twin}` could be `{name}`", stored.name),
            None if stored.shape != shape => format!("the shape of `{}` is {:?}", stored.name, stored.shape),
            None => return Ok(true),
        };
        Err(Error::Model { path: stored.path.clone(), problem, expected: format!("`{name}` with shape {shape:?}") })
    }

    /// The shape of a matrix.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize; 2]> {
        self.stored.get(name)?.shape.as_slice().try_into().ok()
    }

    /// For an error: a tensor that is needed and not there.
    pub(crate) fn missing(&self, name: &str, shape: &[usize]) -> Error {
        Error::Model {
            path: self.dir.clone(),
            problem: format!("no tensor `{name}` among the {} of the checkpoint", self.stored.len()),
            expected: format!("`{name}` with shape {shape:?}"),
        }
    }

    /// Reads a tensor that [`Tensors::holds`] has found, as f32, whatever its type.
    pub(crate) fn read(&self, name: &str, values: &mut [f32]) -> Result<()> {
        let Some(stored) = self.stored.get(name) else { return Err(self.missing(name, &[values.len()])) };
        let problem = |problem, expected: &str| Error::Model {
            path: stored.path.clone(),
            problem,
            expected: expected.to_owned(),
        };
        let convert: fn(&[u8]) -> f32 = match stored.dtype {
            Dtype::F32 => |bytes| f32::from_le_bytes(fixed(bytes)),
            Dtype::F16 => |bytes| f16::from_le_bytes(fixed(bytes)).to_f32(),
            Dtype::BF16 => |bytes| bf16::from_le_bytes(fixed(bytes)).to_f32(),
            Dtype::F64 => |bytes| f64::from_le_bytes(fixed(bytes)) as f32,
            other => return Err(problem(format!("`{}` is {other:?}", stored.name), "F32, F16, BF16 or F64")),
        };
        let size = stored.dtype.bitsize() / 8;
        let mut file = folder::open(&stored.path)?;
        file.seek(SeekFrom::Start(stored.start)).map_err(Error::io(&stored.path))?;
        let mut buffer = vec![0; size * values.len().min(1 << 18)];
        let mut done = 0;
        for values in values.chunks_mut(1 << 18) {
            let bytes = &mut buffer[..size * values.len()];
            file.read_exact(bytes).map_err(Error::io(&stored.path))?;
            for (index, (value, bytes)) in values.iter_mut().zip(bytes.chunks_exact(size)).enumerate() {
                *value = convert(bytes);
                if !value.is_finite() {
                    let found = format!("element {} of `{}` is {value}", done + index, stored.name);
                    return Err(problem(found, "finite weights (was the training that made them diverging?)"));
                }
            }
            done += values.len();
        }
        Ok(())
    }

    /// A list of indices below `limit`, if there is a tensor of this name.
    pub(crate) fn indices(&self, name: &str, limit: usize) -> Result<Option<Vec<usize>>> {
        let Some(stored) = self.stored.get(name) else { return Ok(None) };
        let problem = |problem| Error::Model {
            path: stored.path.clone(),
            problem,
            expected: format!("`{name}`: a list of whole numbers from 0 to below {limit}"),
        };
        let (&[count], size) = (stored.shape.as_slice(), stored.dtype.bitsize() / 8) else {
            return Err(problem(format!("the shape of `{}` is {:?}", stored.name, stored.shape)));
        };
        let convert: fn(&[u8]) -> Option<usize> = match stored.dtype {
            Dtype::I64 => |bytes| usize::try_from(i64::from_le_bytes(fixed(bytes))).ok(),
            Dtype::I32 => |bytes| usize::try_from(i32::from_le_bytes(fixed(bytes))).ok(),
            Dtype::U32 => |bytes| usize::try_from(u32::from_le_bytes(fixed(bytes))).ok(),
            Dtype::U16 => |bytes| Some(usize::from(u16::from_le_bytes(fixed(bytes)))),
            other => return Err(problem(format!("`{}` is {other:?}", stored.name))),
        };
        let mut file = folder::open(&stored.path)?;
        file.seek(SeekFrom::Start(stored.start)).map_err(Error::io(&stored.path))?;
        let mut bytes = vec![0; size * count];
        file.read_exact(&mut bytes).map_err(Error::io(&stored.path))?;
        let index = |(place, bytes)| {
            let index = convert(bytes).filter(|index| *index < limit);
            index.ok_or_else(|| problem(format!("element {place} of `{}` is no such number", stored.name)))
        };
        bytes.chunks_exact(size).enumerate().map(index).collect::<Result<_>>().map(Some)
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        let (start, metadata) = header(path)?;
        for name in metadata.offset_keys() {
            let Some(info) = metadata.info(&name) else { continue };
            let stored = Stored {
                name: name.clone(),
                twin: None,
                path: path.to_owned(),
                dtype: info.dtype,
                shape: info.shape.clone(),
                start: start + info.data_offsets.0 as u64,
            };
            self.stored.entry(plain(&name)).and_modify(|first| first.twin = Some(name)).or_insert(stored);
        }
        Ok(())
    }
}

/// The files of a directory's weights.
fn parts(dir: &Path) -> Result<Vec<PathBuf>> {
    let single = folder::file(dir, "model.safetensors")?;
    if single.exists() {
        return Ok(vec![single]);
    }
    let index = folder::file(dir, "model.safetensors.index.json")?;
    let unusable = |path: PathBuf, problem: &str, expected: &str| Error::Model {
        path,
        problem: problem.to_owned(),
        expected: expected.to_owned(),
    };
    if index.exists() {
        let stored: Value = folder::read_json(dir, "model.safetensors.index.json")?;
        let names = stored["weight_map"].as_object().into_iter().flatten().map(|(_, file)| file.as_str());
        let mut names: Vec<&str> = names.map(Option::unwrap_or_default).collect();
        names.sort_unstable();
        names.dedup();
        // The index names files beside itself, nothing else on the machine.
        let beside = |name: &&str| Path::new(name).file_name().is_some_and(|file| file == *name);
        return match names.iter().all(beside) && !names.is_empty() {
            true => names.into_iter().map(|name| folder::file(dir, name)).collect(),
            false => Err(unusable(index, "its `weight_map` is empty or names no file", "names of files beside it")),
        };
    }
    if let Some(pickle) =
        ["pytorch_model.bin", "pytorch_model.bin.index.json"].into_iter().find(|name| dir.join(name).exists())
    {
        let expected = "model.safetensors; in Python `AutoModel.from_pretrained(folder).save_pretrained(folder)` \
                        writes it";
        return Err(unusable(
            dir.join(pickle),
            "a pickle, which can run any code when it is opened, is not read",
            expected,
        ));
    }
    Err(unusable(dir.to_owned(), "no weights", "model.safetensors or model.safetensors.index.json"))
}

/// The header of a safetensors file, and where its data starts. What it claims is checked against the
/// length of the file before anything of that size is allocated.
fn header(path: &Path) -> Result<(u64, Metadata)> {
    let unusable = |problem: String| Error::Model {
        path: path.to_owned(),
        problem,
        expected: "a safetensors file as it was written".to_owned(),
    };
    let mut file = folder::open(path)?;
    let length = file.metadata().map_err(Error::io(path))?.len();
    let mut size = [0; 8];
    file.read_exact(&mut size).map_err(|_| unusable(format!("{length} bytes are no safetensors file")))?;
    let size = u64::from_le_bytes(size);
    if size > length - 8 {
        return Err(unusable(format!("its header claims {size} bytes, the file has {length}")));
    }
    if size > LARGEST_HEADER {
        return Err(unusable(format!("its header claims {size} bytes, more than {LARGEST_HEADER}")));
    }
    let mut bytes = Vec::new();
    file.take(size).read_to_end(&mut bytes).map_err(Error::io(path))?;
    let metadata: Metadata =
        serde_json::from_slice(&bytes).map_err(|source| unusable(format!("its header is unusable, {source}")))?;
    let (claimed, held) = (metadata.data_len() as u64, length - 8 - size);
    if claimed != held {
        return Err(unusable(format!("its header claims {claimed} bytes of tensors, the file has {held}")));
    }
    Ok((8 + size, metadata))
}

/// A name without prefixes, and with the norm's names of today.
fn plain(name: &str) -> String {
    let mut rest = name;
    while let Some(stripped) = PREFIXES.iter().find_map(|prefix| rest.strip_prefix(prefix)) {
        rest = stripped;
    }
    rest.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
}

/// The bytes of one number; the caller cuts them to its size.
fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap_or([0; N])
}
