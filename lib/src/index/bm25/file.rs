//! A BM25 index as a file.

use std::path::Path;

use super::lists::{Frequencies, Lists, MANY};
use super::{Bm25, Bm25Params};
use crate::Result;
use crate::index::file::{Format, row};
use crate::index::ids;
use crate::index::postings::Postings;

const FORMAT: Format = Format { name: "kensaku bm25", version: "1", expected: "an index as `Bm25::save` writes it" };

impl Bm25 {
    /// Writes the index, with its settings, to one file, which appears when it is whole. It is in the format safetensors:
    /// other programs can read its tables (see `postings.docs`, `postings.scores`, ..).
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let Lists { ids, lengths, terms, ends, docs, counts } = &self.lists;
        let Frequencies { small, large_at, large } = counts;
        let tables = [
            (LENGTHS, row(lengths)),
            (TERMS, row(&terms.bytes)),
            (TERMS_ENDS, row(&terms.ends)),
            (ENDS, row(ends)),
            (DOCS, row(docs)),
            (COUNTS, row(small)),
            (LARGE_AT, row(large_at)),
            (LARGE, row(large)),
            (SCORES, row(&self.scores)),
        ];
        FORMAT.write(path.as_ref(), &self.params, tables.into_iter().chain(ids::tables(ids)))
    }

    /// Opens an index that [`save`](Self::save) wrote. It is checked from end to end, then its lists are mapped into memory:
    /// programs that open it share them, and the system may drop what it does not need. Only ids and tables of the terms are
    /// copied. The file must not be written to while it is open; `save` replaces it, which does no harm.
    ///
    /// ```
    /// # use kensaku::data::Corpus;
    /// # use kensaku::index::{Bm25, Bm25Params};
    /// # use kensaku::polars::prelude::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("bm25.safetensors");
    /// let corpus = Corpus::new(df!("doc_id" => ["a", "b"], "text" => ["Cats purr.", "Dogs chase cats."])?)?;
    /// Bm25::new(&corpus, Bm25Params::ANSERINI)?.save(&path)?;
    /// let bm25 = Bm25::load(&path)?;
    /// assert_eq!((bm25.len(), bm25.params()), (2, &Bm25Params::ANSERINI));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// For a file that is not such an index, that a later version of it wrote, or that was damaged.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut file = FORMAT.open(path)?;
        let params: Bm25Params = file.params()?;
        params.check().map_err(|error| error.of_file(path))?;
        let lists = Lists {
            ids: ids::take(&mut file)?,
            lengths: file.take(LENGTHS)?,
            terms: file.take_strings(TERMS, TERMS_ENDS)?,
            ends: file.take(ENDS)?,
            docs: file.take(DOCS)?,
            counts: Frequencies { small: file.take(COUNTS)?, large_at: file.take(LARGE_AT)?, large: file.take(LARGE)? },
        };
        let scores = file.take(SCORES)?;
        file.end()?;
        match problem(&lists, &scores) {
            Some(problem) => Err(file.problem(problem)),
            None => Ok(Self::with(lists, scores, params)),
        }
    }
}

const LENGTHS: &str = "docs.lengths";
const TERMS: &str = "terms";
const TERMS_ENDS: &str = "terms.ends";
const ENDS: &str = "postings.ends";
const DOCS: &str = "postings.docs";
const COUNTS: &str = "postings.counts";
const LARGE_AT: &str = "postings.large.at";
const LARGE: &str = "postings.large.counts";
const SCORES: &str = "postings.scores";

/// What does not fit in tables that were read. Whatever their bytes are, no number of those that pass leads outside of them.
fn problem(lists: &Lists, scores: &[f32]) -> Option<&'static str> {
    let Lists { ids, lengths, terms, ends, docs, counts } = lists;
    if ids.len() != lengths.len() {
        return Some("its documents have another number of lengths");
    }
    if terms.len() != ends.len() || terms.len() >= u32::MAX as usize {
        return Some("its terms have another number of lists");
    }
    let postings = Postings { ends, docs, scores };
    if let Some(problem) = postings.problem(ids.len()) {
        return Some(problem);
    }
    if (0..terms.len()).any(|term| postings.range(term).is_empty()) {
        return Some("a list has no documents");
    }
    if docs.len() != counts.small.len() {
        return Some("its entries have another number of counts");
    }
    let many = (0_u64..).zip(counts.small.iter()).filter(|(_, count)| **count == MANY).map(|(place, _)| place);
    let fit = counts.large.len() == counts.large_at.len() && counts.large.iter().all(|count| *count >= MANY.into());
    if !fit || counts.small.contains(&0) || !many.eq(counts.large_at.iter().copied()) {
        return Some("a count is missing");
    }
    None
}

#[cfg(test)]
mod tests {
    use polars::prelude::df;

    use super::*;
    use crate::data::Corpus;
    use crate::index::array::Array;
    use crate::text::{Analyzer, Tokenizer, WordPieceConfig};

    fn index(params: Bm25Params) -> Bm25 {
        let texts = ["cats purr", "dogs chase cats", "", &"many ".repeat(300)];
        let corpus = df!("doc_id" => ["a", "b", "c", "d"], "text" => texts).unwrap();
        Bm25::new(&Corpus::new(corpus).unwrap(), params).unwrap()
    }

    #[test]
    fn what_is_loaded_is_what_was_saved() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.safetensors");
        let tokenizer = Tokenizer::train_wordpiece(&["cats purr"], &WordPieceConfig::default()).unwrap();
        let pieces = Bm25Params { analyzer: Analyzer::WordPieces(tokenizer), ..Bm25Params::ATIRE };
        for params in [Bm25Params::BM25_PLUS, pieces] {
            let saved = index(params);
            saved.save(&path).unwrap();
            let mut loaded = Bm25::load(&path).unwrap();
            assert_eq!(
                (&loaded.lists, &loaded.scores, &loaded.bounds.best),
                (&saved.lists, &saved.scores, &saved.bounds.best)
            );
            assert_eq!(loaded.params, saved.params);
            assert!(matches!(loaded.scores, Array::Mapped { .. }));
            assert_eq!(loaded.search_text("cats", 5).unwrap(), saved.search_text("cats", 5).unwrap());
            // Over the file that is mapped.
            loaded.save(&path).unwrap();
            let more = df!("doc_id" => ["e"], "text" => ["cats"]).unwrap();
            loaded.add(&Corpus::new(more).unwrap()).unwrap();
            loaded.save(&path).unwrap();
            assert_eq!(Bm25::load(&path).unwrap().len(), 5);
        }
        let empty =
            Bm25::new(&Corpus::new(df!("doc_id" => [""; 0], "text" => [""; 0]).unwrap()).unwrap(), Bm25Params::LUCENE);
        empty.unwrap().save(&path).unwrap();
        assert!(Bm25::load(&path).unwrap().is_empty());
    }

    #[test]
    fn a_file_that_is_damaged_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.safetensors");
        index(Bm25Params::LUCENE).save(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let message = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let message = Bm25::load(&path).map(drop).unwrap_err().to_string();
            assert!(message.starts_with(path.to_str().unwrap()), "{message}");
            message
        };
        for end in [0, 7, bytes.len() / 2, bytes.len() - 1] {
            message(&bytes[..end]);
        }
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            message(&changed);
        }
        let version = br#""version":"1""#;
        let place = bytes.windows(version.len()).position(|part| part == version).unwrap() + version.len() - 2;
        let mut later = bytes.clone();
        later[place] = b'2';
        assert!(message(&later).contains("its version is `2`, and 1 is read"), "{}", message(&later));
        assert!(message(b"cats and dogs").contains("header"));
    }
}
