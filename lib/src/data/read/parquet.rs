//! Parquet, lazily.

use std::path::Path;

use polars::prelude::*;

use crate::{Error, Result};

/// Opens a Parquet file as a lazy frame: what the query does not need is not read.
///
/// The file's schema is read at once, so that a file that is missing or is no Parquet file is an
/// error here and not at `collect`.
///
/// ```no_run
/// use kensaku::data::{Corpus, read};
/// use kensaku::polars::prelude::*;
///
/// let frame = read::parquet("docs.parquet")?.select([col("id").alias("doc_id"), col("text")]).collect()?;
/// let corpus = Corpus::new(frame)?;
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn parquet(path: impl AsRef<Path>) -> Result<LazyFrame> {
    let path = path.as_ref();
    std::fs::File::open(path).map_err(Error::io(path))?;
    let name = path.to_str().ok_or_else(|| Error::Io {
        path: path.to_owned(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidInput, "a path that is not UTF-8"),
    })?;
    // A `*` in the name of a file is part of the name.
    let settings = ScanArgsParquet { glob: false, ..Default::default() };
    let mut frame = LazyFrame::scan_parquet(PlRefPath::new(name), settings)?;
    frame.collect_schema().map_err(|source| Error::Io {
        path: path.to_owned(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidData, source.to_string()),
    })?;
    Ok(frame)
}
