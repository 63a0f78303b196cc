//! The text of a file: decompressed, without a byte order mark, in lines that end.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::{Error, Result, files, interrupt};

/// The longest line or record, in bytes: a frame addresses the bytes of a cell by 32 bits.
const LONGEST: usize = 1 << 30;

/// Bytes between two looks at the interrupt flag.
const PART: u64 = 1 << 24;

/// The bytes of a text file; a gzip file is decompressed, whatever its name.
pub(crate) struct Source {
    bytes: Box<dyn BufRead>,
    path: PathBuf,
    /// Bytes since the record began.
    record: usize,
}

/// The lines of a text file. Only `\n` ends one.
pub(crate) struct Lines {
    source: Source,
    number: usize,
    line: Vec<u8>,
}

impl Source {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let (start, bytes) = started(BufReader::with_capacity(1 << 16, files::open(path)?)).map_err(Error::io(path))?;
        let (start, bytes): (Vec<u8>, Box<dyn BufRead>) = if start.starts_with(&[0x1f, 0x8b]) {
            let decoder = BufReader::with_capacity(1 << 16, MultiGzDecoder::new(bytes));
            let (start, bytes) = started(decoder).map_err(Error::io(path))?;
            (start, Box::new(bytes))
        } else {
            (start, Box::new(bytes))
        };
        let mut source = Self { bytes, path: path.to_owned(), record: 0 };
        if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
            return Err(source.error(1, "text in UTF-16", "UTF-8, as `iconv -f UTF-16 -t UTF-8` gives it"));
        }
        if start == "\u{feff}".as_bytes() {
            source.bytes.consume(start.len());
        }
        Ok(source)
    }

    /// Adds bytes after the end of the file.
    pub(crate) fn followed_by(mut self, end: &'static [u8]) -> Self {
        self.bytes = Box::new(self.bytes.chain(end));
        self
    }

    /// A record begins here.
    pub(crate) fn begin_record(&mut self) {
        self.record = 0;
    }

    pub(crate) fn error(&self, line: usize, problem: impl Into<String>, expected: impl Into<String>) -> Error {
        Error::Line { path: self.path.clone(), line, problem: problem.into(), expected: expected.into() }
    }
}

/// The first bytes of a reader, and the reader with them.
fn started(mut bytes: impl BufRead + 'static) -> io::Result<(Vec<u8>, impl BufRead + 'static)> {
    let mut start = Vec::new();
    bytes.by_ref().take(3).read_to_end(&mut start)?;
    Ok((start.clone(), Cursor::new(start).chain(bytes)))
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if interrupt::requested() {
            return Err(io::Error::other("interrupted"));
        }
        if self.record > LONGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a record of more than 1 GiB"));
        }
        let read = self.bytes.read(buffer)?;
        self.record += read;
        Ok(read)
    }
}

impl Lines {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self { source: Source::open(path)?, number: 0, line: Vec::new() })
    }

    /// The next line without its end.
    pub(crate) fn next_line(&mut self) -> Result<Option<&str>> {
        self.number += 1;
        self.line.clear();
        loop {
            interrupt::check("reading a file")?;
            let part = self.source.bytes.by_ref().take(PART).read_until(b'\n', &mut self.line);
            let end = part.map_err(Error::io(&self.source.path))? == 0;
            if end || self.line.ends_with(b"\n") {
                break;
            }
            if self.line.len() > LONGEST {
                return Err(self.error("more than 1 GiB", "lines"));
            }
        }
        if self.line.is_empty() {
            return Ok(None);
        }
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match str::from_utf8(line) {
            Ok(line) => Ok(Some(line)),
            Err(error) => {
                let problem = format!("byte {} of the line is not UTF-8", error.valid_up_to() + 1);
                Err(self.error(problem, "text in UTF-8"))
            }
        }
    }

    /// The number of the line that was read last, from 1.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    pub(crate) fn error(&self, problem: impl Into<String>, expected: impl Into<String>) -> Error {
        self.source.error(self.number, problem, expected)
    }
}
