//! What a Parquet file says of its columns and pages, compared with the file.
//!
//! Polars believes both: a column outside of the file ends the process, and so does a page of minus
//! one values, as the memory that it asks for is not there.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;

use polars::prelude::*;
use polars_parquet_format::thrift::protocol::TCompactInputProtocol;
use polars_parquet_format::{PageHeader, PageType};

/// Most bytes that one page's header may have: statistics hold values of the user's.
const HEADER: usize = 16 << 20;

/// An error unless all columns lie in the file, and their pages in the columns with as many values as
/// the columns say.
pub(super) fn check(file: File) -> PolarsResult<()> {
    let length = file.metadata()?.len();
    let metadata = ParquetReader::new(file.try_clone()?).get_metadata()?.clone();
    let mut reader = BufReader::new(file);
    for group in &metadata.row_groups {
        let whole = group.full_byte_range();
        within(&whole, length)?;
        for column in group.parquet_columns() {
            let place = column.byte_range();
            within(&place, length)?;
            column_pages(&mut reader, place, column.num_values())?;
        }
    }
    Ok(())
}

fn within(place: &Range<u64>, length: u64) -> PolarsResult<()> {
    match place.start <= place.end && place.end <= length {
        true => Ok(()),
        false => Err(damaged(format!("a column at {place:?} of {length} bytes"))),
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
