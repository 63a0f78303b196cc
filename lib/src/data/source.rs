//! The text of a file: decompressed, without a byte order mark, in lines that end.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use memchr::memchr;

use crate::{Error, Result, files, interrupt};

/// The longest line or record, in bytes: a frame addresses the bytes of a cell by 32 bits.
const LONGEST: usize = 1 << 30;

/// The byte order mark.
const MARK: &str = "\u{feff}";

/// The bytes of a text file; a gzip or Zstandard file is decompressed, whatever its name.
pub(crate) struct Source {
    bytes: Box<dyn BufRead>,
    path: PathBuf,
    /// Bytes since the record began.
    record: usize,
    /// Whether there was a byte order mark.
    mark: bool,
}

/// The lines of a text file. Only `\n` ends one.
pub(crate) struct Lines {
    source: Source,
    number: usize,
    /// What was read of the file, and where the next line begins in it.
    read: Vec<u8>,
    next: usize,
    /// Bytes that are not UTF-8 are replaced.
    lossy: bool,
    /// The last line in which that was done.
    replaced: String,
    oddities: Oddities,
}

/// What is unusual about the lines so far: how many are so, and the first one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Oddities {
    pub(crate) byte_order_mark: bool,
    pub(crate) carriage_returns: Option<(usize, usize)>,
    pub(crate) not_utf8: Option<(usize, usize)>,
}

/// Counts a line, and keeps the first one.
pub(crate) fn count(counted: &mut Option<(usize, usize)>, line: usize) {
    counted.get_or_insert((0, line)).0 += 1;
}

impl Source {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let (start, bytes) = started(BufReader::with_capacity(1 << 16, files::open(path)?)).map_err(Error::io(path))?;
        let decoder: Box<dyn Read> = if start.starts_with(&[0x1f, 0x8b]) {
            Box::new(MultiGzDecoder::new(bytes))
        } else if start == [0x28, 0xb5, 0x2f, 0xfd] {
            Box::new(zstd::Decoder::with_buffer(bytes).map_err(Error::io(path))?)
        } else {
            return Self::of(path, &start, Box::new(bytes));
        };
        let (start, bytes) = started(BufReader::with_capacity(1 << 16, decoder)).map_err(Error::io(path))?;
        Self::of(path, &start, Box::new(bytes))
    }

    fn of(path: &Path, start: &[u8], bytes: Box<dyn BufRead>) -> Result<Self> {
        let mut source = Self { bytes, path: path.to_owned(), record: 0, mark: start.starts_with(MARK.as_bytes()) };
        if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
            return Err(source.error(1, "text in UTF-16", "UTF-8, as `iconv -f UTF-16 -t UTF-8` gives it"));
        }
        if source.mark {
            source.bytes.consume(MARK.len());
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
    bytes.by_ref().take(4).read_to_end(&mut start)?;
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
        let source = Source::open(path)?;
        let oddities = Oddities { byte_order_mark: source.mark, ..Oddities::default() };
        Ok(Self { source, number: 0, read: Vec::new(), next: 0, lossy: false, replaced: String::new(), oddities })
    }

    /// The same, but bytes that are not UTF-8 become U+FFFD, and are counted.
    pub(crate) fn open_lossy(path: &Path) -> Result<Self> {
        Ok(Self { lossy: true, ..Self::open(path)? })
    }

    pub(crate) fn oddities(&self) -> Oddities {
        self.oddities
    }

    /// The next line without its end.
    pub(crate) fn next_line(&mut self) -> Result<Option<&str>> {
        self.number += 1;
        let end = self.end_of_line()?;
        let line = &self.read[std::mem::replace(&mut self.next, end)..end];
        if line.is_empty() {
            return Ok(None);
        }
        if line.ends_with(b"\r\n") {
            count(&mut self.oddities.carriage_returns, self.number);
        }
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match str::from_utf8(line) {
            Ok(line) => Ok(Some(line)),
            Err(_) if self.lossy => {
                count(&mut self.oddities.not_utf8, self.number);
                self.replaced = String::from_utf8_lossy(line).into_owned();
                Ok(Some(&self.replaced))
            }
            Err(error) => {
                let problem = format!("byte {} of the line is not UTF-8", error.valid_up_to() + 1);
                Err(self.error(problem, "text in UTF-8"))
            }
        }
    }

    /// Where the next line ends in what was read, its end included; it reads on until there is one, or nothing more.
    fn end_of_line(&mut self) -> Result<usize> {
        let mut searched = self.next;
        loop {
            interrupt::check("reading a file")?;
            if let Some(end) = memchr(b'\n', &self.read[searched..]) {
                return Ok(searched + end + 1);
            }
            self.read.drain(..self.next);
            self.next = 0;
            searched = self.read.len();
            if searched > LONGEST {
                return Err(self.error("more than 1 GiB", "lines"));
            }
            let more = match self.source.bytes.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                more => more.map_err(Error::io(&self.source.path))?,
            };
            self.read.extend_from_slice(more);
            let more = more.len();
            self.source.bytes.consume(more);
            if more == 0 {
                return Ok(searched);
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
