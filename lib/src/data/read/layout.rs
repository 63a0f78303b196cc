//! What a Parquet file says of its parts, compared with the file.
//!
//! Polars believes it: a list of two thousand million columns, a column outside of the file, a page of minus one values,
//! each ends the process, as the memory that Polars asks for is not there.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;

use polars::prelude::*;
use polars_parquet_format::thrift::protocol::TCompactInputProtocol;
use polars_parquet_format::{ColumnMetaData, FileMetaData, PageHeader, PageType};

/// The end of a file: the length of the footer, and `PAR1`.
const END: u64 = 8;

/// Bytes of memory that one byte of a footer may become.
const FOOTER: usize = 256;

/// Most bytes that one page's header may have: statistics hold values of the user's.
const HEADER: usize = 16 << 20;

/// An error unless the footer is one.
pub(super) fn check_footer(file: &mut File) -> PolarsResult<()> {
    footer(file).map(drop)
}

/// An error unless all columns lie in the file, and their pages in the columns with as many values as
/// the columns say.
pub(super) fn check(mut file: File) -> PolarsResult<()> {
    let length = file.metadata()?.len();
    let metadata = footer(&mut file)?;
    let mut reader = BufReader::new(file);
    for column in metadata.row_groups.iter().flat_map(|group| &group.columns) {
        if let Some(column) = &column.meta_data {
            column_pages(&mut reader, place(column, length)?, column.num_values)?;
        }
    }
    Ok(())
}

/// The footer, with no more memory than its length allows.
fn footer(file: &mut File) -> PolarsResult<FileMetaData> {
    let length = file.metadata()?.len();
    let mut end = [0; END as usize];
    if length < END {
        return Err(damaged(format!("it has {length} bytes")));
    }
    file.seek(SeekFrom::End(-(END as i64)))?;
    file.read_exact(&mut end)?;
    let [size @ .., _, _, _, _] = end;
    let size = u64::from(u32::from_le_bytes(size));
    if !end.ends_with(b"PAR1") || size > length - END {
        return Err(damaged("it does not end as one".to_owned()));
    }
    file.seek(SeekFrom::End(-((END + size) as i64)))?;
    let reader = BufReader::new(file.take(size));
    let budget = (size as usize).saturating_mul(FOOTER);
    FileMetaData::read_from_in_protocol(&mut TCompactInputProtocol::new(reader, budget))
        .map_err(|error| damaged(format!("its footer: {error}")))
}

/// Where a column lies.
fn place(column: &ColumnMetaData, length: u64) -> PolarsResult<Range<u64>> {
    let start = column.dictionary_page_offset.unwrap_or(column.data_page_offset);
    let end = start.checked_add(column.total_compressed_size);
    match (u64::try_from(start), end.and_then(|end| u64::try_from(end).ok())) {
        (Ok(start), Some(end)) if start <= end && end <= length => Ok(start..end),
        _ => Err(damaged(format!("a column of {} bytes at {start} of {length}", column.total_compressed_size))),
    }
}

/// Walks over the headers of a column's pages, as many as Polars reads.
fn column_pages(reader: &mut BufReader<File>, place: Range<u64>, values: i64) -> PolarsResult<()> {
    let mut at = place.start;
    reader.seek(SeekFrom::Start(at))?;
    let mut left = values;
    while left > 0 {
        let mut header = Counted { reader: &mut *reader, bytes: 0 };
        let page = PageHeader::read_from_in_protocol(&mut TCompactInputProtocol::new(&mut header, HEADER))
            .map_err(|error| damaged(format!("a page header at byte {at}: {error}")))?;
        let size = u64::try_from(page.compressed_page_size).ok();
        let start = at + header.bytes;
        let end = size.and_then(|size| size.checked_add(start)).filter(|end| *end <= place.end);
        let end = end.ok_or_else(|| {
            damaged(format!("a page of {} bytes at byte {at} of a column at {place:?}", page.compressed_page_size))
        })?;
        let held = values_of(&page);
        if held < 0 || held > left || page.uncompressed_page_size < 0 {
            return Err(damaged(format!("a page of {held} values at byte {at}, where {left} of {values} are left")));
        }
        left -= held;
        reader.seek_relative((end - start) as i64)?;
        at = end;
    }
    Ok(())
}

/// Values of a page of data; a dictionary counts for nothing.
fn values_of(page: &PageHeader) -> i64 {
    let values = match page.type_ {
        PageType::DATA_PAGE => page.data_page_header.as_ref().map_or(0, |header| header.num_values),
        PageType::DATA_PAGE_V2 => page.data_page_header_v2.as_ref().map_or(0, |header| header.num_values),
        _ => 0,
    };
    i64::from(values)
}

fn damaged(problem: String) -> PolarsError {
    PolarsError::ComputeError(format!("a damaged Parquet file ({problem})").into())
}

/// A reader that counts what was read.
struct Counted<'r> {
    reader: &'r mut BufReader<File>,
    bytes: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}
