//! Parquet, lazily.

use std::any::Any;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use polars::prelude::*;

use super::layout;
use crate::{Error, Result, files};

/// Opens a Parquet file as a lazy frame: columns that the query does not need are not read.
///
/// The file's schema is read at once, so that a file that is missing or is no Parquet file is an
/// error here and not at `collect`. Damage further down is an error of `collect`, where Polars' own
/// `LazyFrame::scan_parquet` may panic; that one is for queries with sinks or the streaming engine,
/// which this frame does not support.
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
    files::open(path)?;
    let failed =
        |kind, problem: String| Error::Io { path: path.to_owned(), source: std::io::Error::new(kind, problem) };
    let name =
        path.to_str().ok_or_else(|| failed(std::io::ErrorKind::InvalidInput, "a path that is not UTF-8".to_owned()))?;
    let file = Guarded { path: name.to_owned() };
    LazyFrame::anonymous_scan(Arc::new(file), ScanArgsAnonymous { name: "PARQUET", ..Default::default() })
        .map_err(|error| failed(std::io::ErrorKind::InvalidData, error.to_string()))
}

/// A Parquet file whose panics become errors, as Polars does not check the sizes of pages.
struct Guarded {
    path: String,
}

impl Guarded {
    fn frame(&self) -> PolarsResult<LazyFrame> {
        // A `*` in the name of a file is part of the name.
        let settings = ScanArgsParquet { glob: false, ..Default::default() };
        LazyFrame::scan_parquet(PlRefPath::new(&self.path), settings)
    }
}

/// A panic as an error.
pub(super) fn caught<T>(read: impl FnOnce() -> PolarsResult<T>) -> PolarsResult<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        let told = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        let problem = format!("a damaged Parquet file ({})", told.unwrap_or("its pages cannot be read"));
        Err(PolarsError::ComputeError(problem.into()))
    })
}

impl AnonymousScan for Guarded {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn schema(&self, _infer_schema_length: Option<usize>) -> PolarsResult<SchemaRef> {
        caught(|| {
            layout::check_footer(&mut File::open(&self.path)?)?;
            self.frame()?.collect_schema()
        })
    }

    fn scan(&self, args: AnonymousScanArgs) -> PolarsResult<DataFrame> {
        let read = caught(|| {
            layout::check(File::open(&self.path)?)?;
            let mut frame = self.frame()?;
            // A frame without columns would forget its rows.
            if let Some(columns) = args.with_columns.filter(|columns| !columns.is_empty()) {
                frame = frame.select(columns.iter().cloned().map(col).collect::<Vec<_>>());
            }
            if let Some(rows) = args.n_rows {
                frame = frame.limit(rows as IdxSize);
            }
            frame.collect()
        });
        read.map_err(|error| PolarsError::ComputeError(format!("{}: {error}", self.path).into()))
    }

    fn allows_projection_pushdown(&self) -> bool {
        true
    }
}
