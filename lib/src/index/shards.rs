//! A corpus encoded in parts, by processes and machines that need not know of each other.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use candle_core::{D, DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::embeddings::{self, Saved};
use crate::data::Corpus;
use crate::error::expect;
use crate::loss::pairwise_cosine;
use crate::model::Embeddings;
use crate::{Error, Result};

/// One of the parts that a corpus is divided into, as `3/8`: the third of eight, whose rows follow those of the second.
///
/// ```
/// use kensaku::index::Shard;
/// let shard: Shard = "3/8".parse()?;
/// assert_eq!((shard.rows(100), shard.to_string()), (25..37, "3/8".to_owned()));
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shard {
    /// From 1 on.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

impl Shard {
    /// Its rows of a corpus with as many documents. Sizes differ by one at most.
    pub fn rows(self, docs: usize) -> Range<usize> {
        // No product of such numbers exceeds 128 bits.
        let end = |number: usize| (number as u128 * docs as u128 / self.of.max(1) as u128) as usize;
        end(self.number.saturating_sub(1))..end(self.number)
    }

    /// Its file in a folder.
    fn path(self, folder: &Path) -> PathBuf {
        folder.join(format!("shard-{:05}-of-{:05}.safetensors", self.number, self.of))
    }

    /// The shard of a file with this name.
    fn of_file(name: &str) -> Option<Self> {
        let (number, of) = name.strip_prefix("shard-")?.strip_suffix(".safetensors")?.split_once("-of-")?;
        Some(Self { number: number.parse().ok()?, of: of.parse().ok()? })
    }

    fn check(self) -> Result<()> {
        expect("shard", self, "i/n, where i is 1 to n", (1..=self.of).contains(&self.number))
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        let (number, of) = numbers.unwrap_or_default();
        let shard = Self { number, of };
        match shard.check() {
            Ok(()) => Ok(shard),
            Err(_) => Err(Error::Setting {
                field: "shard",
                value: text.to_owned(),
                expected: "i/n, where i is 1 to n, such as 3/8".to_owned(),
            }),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// What the file of a shard says of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Stamp {
    #[serde(flatten)]
    shard: Shard,
    /// The documents of the whole corpus.
    docs: usize,
    /// A hash of the ids and texts of its documents.
    texts: String,
}

/// Encodes the documents of a shard into a file of `folder`, unless it is there: what is there was finished, as the file
/// appears when it is whole. Returns whether there was something to do. [`Embeddings::load`] reads the folder once all shards are
/// there; any number of processes, on any machines that share it, may fill it.
///
/// ```
/// use kensaku::data::Corpus;
/// use kensaku::index::{Shard, encode_shard};
/// use kensaku::model::{BiEncoder, Embeddings};
/// # use kensaku::polars::prelude::*;
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path().join("vectors");
///
/// let corpus = Corpus::new(df!("doc_id" => ["a", "b", "c"], "text" => ["Sorts.", "Opens.", "Counts."])?)?;
/// let model = BiEncoder::tiny()?;
/// for number in [2, 1] {
///     assert!(encode_shard(&corpus, &folder, Shard { number, of: 2 }, |docs| model.encode_docs(docs))?);
/// }
/// assert!(!encode_shard(&corpus, &folder, "1/2".parse()?, |docs| model.encode_docs(docs))?);
/// assert_eq!(Embeddings::load(&folder)?.ids, ["a", "b", "c"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// For a shard that is none; for a file that is there, but was damaged, is of other documents, or has another vector for the first
/// of them than `encode` gives: it is of another model.
pub fn encode_shard(
    corpus: &Corpus,
    folder: impl AsRef<Path>,
    shard: Shard,
    encode: impl Fn(&Corpus) -> Result<Embeddings>,
) -> Result<bool> {
    shard.check()?;
    let (folder, docs) = (folder.as_ref(), corpus.rows(shard.rows(corpus.len())));
    let stamp = Stamp { shard, docs: corpus.len(), texts: hash(&docs) };
    let path = shard.path(folder);
    if path.exists() {
        let saved = Saved::open(&path)?;
        if saved.shard.as_ref() != Some(&stamp) || !saved.embeddings.ids.iter().eq(&docs.doc_ids()) {
            return Err(other(&path, "it is a shard of other documents"));
        }
        if !docs.is_empty() && !alike(&saved.embeddings, &encode(&docs.rows(0..1))?)? {
            return Err(other(&path, "its first vector is not what this model gives"));
        }
        return Ok(false);
    }
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    embeddings::save(&encode(&docs)?, Some(stamp), &path)?;
    Ok(true)
}

/// All shards of a folder, one after the other.
pub(super) fn load(folder: &Path) -> Result<Embeddings> {
    let problem = |problem: String| Error::Index {
        path: folder.to_owned(),
        problem,
        expected: "all shards of one corpus, as `encode_shard` writes them".to_owned(),
    };
    let mut shards = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let name = entry.map_err(Error::io(folder))?.file_name();
        shards.extend(Shard::of_file(&name.to_string_lossy()));
    }
    let counts: BTreeSet<usize> = shards.iter().map(|shard| shard.of).collect();
    let &of = match counts.first() {
        None => return Err(problem("it has no shards".to_owned())),
        Some(_) if counts.len() > 1 => return Err(problem(format!("it has shards of {counts:?}"))),
        Some(of) => of,
    };
    // Of a number that a name may claim, the first ones that are missing are enough.
    let missing: Vec<String> = (1..=of)
        .filter(|number| !shards.contains(&Shard { number: *number, of }))
        .take(20)
        .map(|number| number.to_string())
        .collect();
    if !missing.is_empty() {
        return Err(problem(format!("of {of} shards it lacks {}", missing.join(", "))));
    }
    let (mut ids, mut numbers, mut about) = (Vec::new(), Vec::new(), BTreeMap::new());
    for shard in &shards {
        let path = shard.path(folder);
        let Saved { embeddings, shard: stamp } = Saved::open(&path)?;
        match stamp {
            Some(stamp) if stamp.shard == *shard => about.insert((stamp.docs, embeddings.vectors.dim(1)?), *shard),
            _ => return Err(other(&path, "it is another shard than its name says")),
        };
        ids.extend(embeddings.ids);
        numbers.extend(embeddings.vectors.flatten_all()?.to_vec1::<f32>()?);
    }
    let mut kinds = about.into_iter();
    match (kinds.next(), kinds.next()) {
        (Some(((docs, dim), _)), None) if docs == ids.len() => {
            let vectors = Tensor::from_vec(numbers, (docs, dim), &Device::Cpu)?;
            Embeddings::new(ids, vectors)
        }
        (Some((_, one)), Some((_, two))) => {
            Err(problem(format!("shards {one} and {two} are of different corpora or models")))
        }
        _ => Err(problem(format!("its shards have {} documents, and not all of the corpus", ids.len()))),
    }
}

/// Of ids and texts.
fn hash(docs: &Corpus) -> String {
    let mut hash = Xxh3::new();
    let mut add = |text: &str| {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    for (id, text) in docs.iter_ids().zip(docs.iter_texts()) {
        let text: Cow<str> = text;
        add(id);
        add(&text);
    }
    format!("{:016x}", hash.digest())
}

/// Whether the first vectors are the same, but for the arithmetic of another machine.
fn alike(saved: &Embeddings, found: &Embeddings) -> Result<bool> {
    if saved.vectors.dim(D::Minus1)? != found.vectors.dim(D::Minus1)? {
        return Ok(false);
    }
    let first = |embeddings: &Embeddings| Ok::<_, Error>(embeddings.vectors.narrow(0, 0, 1)?.to_dtype(DType::F32)?);
    let (saved, found) = (first(saved)?, first(found)?);
    let apart = (&saved - &found)?.abs()?.max_all()?.to_scalar::<f32>()?;
    let cosine = pairwise_cosine(&saved, &found)?.to_vec1::<f32>()?[0];
    Ok(cosine > 0.999 || apart < 1e-3)
}

fn other(path: &Path, problem: &str) -> Error {
    let expected = "that of this corpus and model: remove it, or encode into another folder".to_owned();
    Error::Index { path: path.to_owned(), problem: problem.to_owned(), expected }
}

#[cfg(test)]
mod tests {
    use polars::prelude::df;

    use super::*;

    fn corpus(docs: usize, text: &str) -> Corpus {
        let ids: Vec<String> = (0..docs).map(|doc| format!("d{doc}")).collect();
        let texts: Vec<String> = (0..docs).map(|doc| format!("{text} {doc}")).collect();
        Corpus::new(df!("doc_id" => ids, "text" => texts).unwrap()).unwrap()
    }

    /// The length of a text, and a number of the model.
    fn encode(model: f32) -> impl Fn(&Corpus) -> Result<Embeddings> {
        move |docs| {
            let numbers: Vec<f32> = docs.iter_texts().flat_map(|text| [text.len() as f32, model]).collect();
            Embeddings::new(docs.doc_ids(), Tensor::from_vec(numbers, (docs.len(), 2), &Device::Cpu)?)
        }
    }

    #[test]
    fn shards_in_any_order_are_the_corpus() {
        for (docs, of) in [(0, 1), (1, 3), (10, 3), (10, 10), (7, 12)] {
            let dir = tempfile::tempdir().unwrap();
            let (folder, corpus) = (dir.path().join("vectors"), corpus(docs, "a"));
            for number in (1..=of).rev() {
                assert!(encode_shard(&corpus, &folder, Shard { number, of }, encode(1.0)).unwrap());
            }
            let (loaded, whole) = (Embeddings::load(&folder).unwrap(), encode(1.0)(&corpus).unwrap());
            assert_eq!(loaded.ids, whole.ids);
            assert_eq!(loaded.vectors.to_vec2::<f32>().unwrap(), whole.vectors.to_vec2::<f32>().unwrap());
        }
    }

    #[test]
    fn what_is_there_is_kept_if_it_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let shard = Shard { number: 2, of: 2 };
        let of = |text, model| encode_shard(&corpus(5, text), dir.path(), shard, encode(model));
        assert!(of("a", 1.0).unwrap());
        assert!(!of("a", 1.0).unwrap());
        assert!(of("b", 1.0).unwrap_err().to_string().contains("it is a shard of other documents; expected that of"));
        assert!(of("a", 5.0).unwrap_err().to_string().contains("its first vector is not what this model gives"));
        let path = shard.path(dir.path());
        std::fs::write(&path, &std::fs::read(&path).unwrap()[..100]).unwrap();
        assert!(of("a", 1.0).unwrap_err().to_string().starts_with(path.to_str().unwrap()));
    }

    #[test]
    fn folders_that_are_not_whole() {
        let dir = tempfile::tempdir().unwrap();
        let message = || Embeddings::load(dir.path()).unwrap_err().to_string();
        assert!(message().contains("it has no shards"));
        let encode = |number, of, docs| {
            encode_shard(&corpus(docs, "a"), dir.path(), Shard { number, of }, encode(1.0)).unwrap();
        };
        encode(2, 3, 6);
        // What was being written when its process was killed.
        std::fs::write(dir.path().join(".shard-00001-of-00003.safetensors.x1.new"), "half").unwrap();
        assert!(message().contains("of 3 shards it lacks 1, 3"), "{}", message());
        encode(1, 3, 6);
        encode(3, 3, 7);
        assert!(message().contains("are of different corpora or models"), "{}", message());
        encode(1, 2, 6);
        assert!(message().contains("it has shards of {2, 3}"), "{}", message());
        std::fs::rename(Shard { number: 1, of: 2 }.path(dir.path()), Shard { number: 1, of: 3 }.path(dir.path()))
            .unwrap();
        assert!(message().contains("it is another shard than its name says"), "{}", message());
    }

    #[test]
    fn shards_are_numbered_from_1() {
        for text in ["", "3", "0/8", "9/8", "a/b", "1/0", "-1/2"] {
            let message = text.parse::<Shard>().unwrap_err().to_string();
            assert_eq!(message, format!("shard = {text}: expected i/n, where i is 1 to n, such as 3/8"));
        }
    }
}
