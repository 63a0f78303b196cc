//! The index on disk: only the parts that a request needs are read.
//!
//! The file is a sequence of parts (docs, items, impls), then the table of contents, then its offset.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::record::{Docs, Head, Id, Impl, Record};
use super::world::Layer;

/// Changes with the layout of the file and with what is read from the sources, so that an older index is
/// rebuilt.
const MAGIC: [u8; 8] = *b"kensaku2";

/// How many items are kept decoded.
const KEPT: usize = 512;

/// An open index.
pub(crate) struct Store {
    file: File,
    contents: Contents,
    records: Mutex<HashMap<Id, Arc<Record>>>,
    impls: Mutex<HashMap<Head, Arc<Vec<Impl>>>>,
}

/// The table of contents.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Contents {
    /// The end of each record, which is the start of the next.
    ends: Vec<u64>,
    first: u64,
    /// Sorted by head.
    impls: Vec<(Head, u64, u32)>,
    crates: Vec<(String, Id)>,
}

impl Store {
    /// Opens the index at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let length = file.metadata()?.len();
        ensure!(length > 16, "{} is truncated", path.display());
        let mut tail = [0; 16];
        file.read_exact_at(&mut tail, length - 16)?;
        ensure!(tail[8..] == MAGIC, "{} has another version", path.display());
        let place = u64::from_le_bytes(tail[..8].try_into()?);
        let contents = read(&file, place, length.saturating_sub(16 + place))?;
        Ok(Self { file, contents, records: Mutex::default(), impls: Mutex::default() })
    }

    /// Writes `layer` to `path` atomically.
    pub(crate) fn write(layer: Layer, path: &Path) -> Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        let file = tempfile::Builder::new().permissions(readable).tempfile_in(folder);
        let file = file.with_context(|| format!("writing {}", path.display()))?;
        let mut out = Output { file: BufWriter::new(file), at: 0 };
        let mut contents = Contents { crates: layer.crates, ..Contents::default() };
        let mut records = layer.records;
        for record in &mut records {
            let record = Arc::make_mut(record);
            out.store_docs(&mut record.docs)?;
            for member in &mut record.members {
                out.store_docs(&mut member.docs)?;
            }
        }
        for (head, mut impls) in layer.impls {
            for member in impls.iter_mut().flat_map(|each| &mut each.members) {
                out.store_docs(&mut member.docs)?;
            }
            let (offset, length) = out.put(&postcard::to_stdvec(&impls)?)?;
            contents.impls.push((head, offset, length));
        }
        contents.first = out.at;
        for record in &records {
            out.put(&postcard::to_stdvec(record.as_ref())?)?;
            contents.ends.push(out.at);
        }
        let (place, _) = out.put(&postcard::to_stdvec(&contents)?)?;
        out.put(&place.to_le_bytes())?;
        out.put(&MAGIC)?;
        let file = out.file.into_inner().map_err(|error| error.into_error())?;
        file.persist(path).with_context(|| format!("writing {}", path.display()))?;
        Ok(())
    }

    /// The number of items; ids count from 0.
    pub(crate) fn len(&self) -> usize {
        self.contents.ends.len()
    }

    /// The crates and their root modules.
    pub(crate) fn crates(&self) -> &[(String, Id)] {
        &self.contents.crates
    }

    pub(crate) fn record(&self, id: Id) -> Option<Arc<Record>> {
        let mut kept = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = kept.get(&id) {
            return Some(record.clone());
        }
        let index = id as usize;
        let end = *self.contents.ends.get(index)?;
        let start = if index == 0 { self.contents.first } else { self.contents.ends[index - 1] };
        let record: Arc<Record> = Arc::new(read(&self.file, start, end - start).ok()?);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(id, record.clone());
        Some(record)
    }

    pub(crate) fn impls(&self, head: &Head) -> Arc<Vec<Impl>> {
        let mut kept = self.impls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(impls) = kept.get(head) {
            return impls.clone();
        }
        let place = self.contents.impls.binary_search_by(|(other, ..)| other.cmp(head));
        let impls = place.ok().and_then(|at| {
            let (_, offset, length) = &self.contents.impls[at];
            read::<Vec<Impl>>(&self.file, *offset, u64::from(*length)).ok()
        });
        let impls = Arc::new(impls.unwrap_or_default());
        if kept.len() >= KEPT / 4 {
            kept.clear();
        }
        kept.insert(head.clone(), impls.clone());
        impls
    }

    /// The text of `docs`.
    pub(crate) fn docs(&self, docs: &Docs) -> String {
        match docs {
            Docs::None => String::new(),
            Docs::Text(text) => text.clone(),
            Docs::Stored { offset, length } => {
                let mut bytes = vec![0; *length as usize];
                match self.file.read_exact_at(&mut bytes, *offset) {
                    Ok(()) => String::from_utf8_lossy(&bytes).into_owned(),
                    Err(_) => String::new(),
                }
            }
        }
    }
}

struct Output<W> {
    file: W,
    at: u64,
}

impl<W: Write> Output<W> {
    fn put(&mut self, bytes: &[u8]) -> Result<(u64, u32)> {
        let offset = self.at;
        self.file.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok((offset, u32::try_from(bytes.len())?))
    }

    fn store_docs(&mut self, docs: &mut Docs) -> Result<()> {
        if let Docs::Text(text) = docs {
            let (offset, length) = self.put(text.as_bytes())?;
            *docs = Docs::Stored { offset, length };
        }
        Ok(())
    }
}

fn read<T: DeserializeOwned>(file: &File, offset: u64, length: u64) -> Result<T> {
    let mut bytes = vec![0; usize::try_from(length)?];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(postcard::from_bytes(&bytes)?)
}
