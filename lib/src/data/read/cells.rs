//! Columns that grow line by line, whatever keys a line has.

use std::collections::HashMap;

use polars::prelude::*;
use serde_json::Value;

use super::table::MOST_COLUMNS;

/// What is wrong with a line, and what was expected.
pub(super) type Fault = (String, String);

/// The most nulls for absent keys, at 16 bytes each, beyond 16 times the size of the file. A key on every tenth line
/// stays below it; a file with a new key on each line does not, and is refused.
const ABSENT: usize = (32 << 20) / 16;

/// One value of a line.
pub(super) enum Scalar<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    /// An integer outside the range of `i64`.
    Huge,
    Float(f64),
    String(&'a str),
    /// An array or object.
    Nested(&'a Value),
}

/// The columns so far.
#[derive(Default)]
pub(super) struct Columns {
    columns: Vec<Growing>,
    by_name: HashMap<String, usize>,
    rows: usize,
    /// Keys of this line.
    keys: usize,
    /// Cells whose line lacks the key, and the bytes read.
    absent: usize,
    bytes: usize,
    /// A float that may be an integer of many digits.
    long: bool,
    fault: Option<Fault>,
}

/// One column. Rows missing at its end are nulls.
struct Growing {
    name: String,
    cells: Cells,
    /// The number of rows up to the last one with the key. A column of nulls has no cells.
    len: usize,
    filled: usize,
}

enum Cells {
    Nulls,
    Strings(StringChunkedBuilder),
    Booleans(BooleanChunkedBuilder),
    Integers(PrimitiveChunkedBuilder<Int64Type>),
    Floats(PrimitiveChunkedBuilder<Float64Type>),
    /// Arrays and objects, as JSON.
    Nested(StringChunkedBuilder),
}

impl Columns {
    /// The column of a key, a new one for a new key. `None` leaves a fault.
    pub(super) fn column(&mut self, key: &str) -> Option<usize> {
        self.keys += 1;
        if let Some(column) = self.by_name.get(key) {
            return Some(*column);
        }
        if self.columns.len() == MOST_COLUMNS {
            return self.fail(format!("key {} of the file", MOST_COLUMNS + 1), format!("at most {MOST_COLUMNS} keys"));
        }
        self.absent += self.rows;
        self.by_name.insert(key.to_owned(), self.columns.len());
        self.columns.push(Growing { name: key.to_owned(), cells: Cells::Nulls, len: 0, filled: 0 });
        Some(self.columns.len() - 1)
    }

    /// Appends a value of this line. `None` leaves a fault.
    pub(super) fn push(&mut self, column: usize, value: Scalar) -> Option<()> {
        let growing = &mut self.columns[column];
        if growing.len > self.rows {
            let problem = format!("key `{}` twice", growing.name);
            return self.fail(problem, "each key once");
        }
        self.long |= match &value {
            Scalar::Float(float) => is_long(*float),
            Scalar::Nested(value) => holds_long(value),
            _ => false,
        };
        match growing.push(self.rows, value) {
            Ok(()) => Some(()),
            Err((problem, expected)) => {
                let problem = format!("column `{}` is {problem}", growing.name);
                self.fail(problem, expected)
            }
        }
    }

    /// Ends a line.
    pub(super) fn end_line(&mut self, line: &str) -> Result<(), Fault> {
        if self.long && holds_long_integer(line) {
            return Err(beyond());
        }
        self.rows += 1;
        self.bytes += line.len();
        // Keys are unique, so each one has its own column.
        self.absent += self.columns.len() - self.keys;
        (self.keys, self.long) = (0, false);
        if self.absent > ABSENT + self.bytes {
            let problem = format!("{} different keys so far, most of them on few lines", self.columns.len());
            return Err((
                problem,
                "the same keys on each line; what differs can be an object in one of them".to_owned(),
            ));
        }
        Ok(())
    }

    pub(super) fn take_fault(&mut self) -> Option<Fault> {
        self.fault.take()
    }

    /// The columns, and the names of those that hold JSON.
    pub(super) fn finish(self) -> (Vec<Column>, Vec<PlSmallStr>) {
        let nested = self.columns.iter().filter(|column| matches!(column.cells, Cells::Nested(_)));
        let nested = nested.map(|column| column.name.as_str().into()).collect();
        (self.columns.into_iter().map(|column| column.finish(self.rows)).collect(), nested)
    }

    fn fail<T>(&mut self, problem: String, expected: impl Into<String>) -> Option<T> {
        self.fault = Some((problem, expected.into()));
        None
    }
}

impl Growing {
    fn push(&mut self, row: usize, value: Scalar) -> Result<(), Fault> {
        self.cells.begin(&value);
        self.cells.nulls(row - self.filled);
        self.len = row + 1;
        self.filled = if matches!(self.cells, Cells::Nulls) { 0 } else { row + 1 };
        match (&mut self.cells, value) {
            (cells, Scalar::Null) => cells.nulls(1),
            (Cells::Strings(cells), Scalar::String(text)) => cells.append_value(text),
            (Cells::Booleans(cells), Scalar::Boolean(flag)) => cells.append_value(flag),
            (Cells::Integers(cells), Scalar::Integer(integer)) => cells.append_value(integer),
            (Cells::Floats(cells), Scalar::Float(float)) => cells.append_value(float),
            (Cells::Floats(cells), Scalar::Integer(integer)) => cells.append_value(exact(integer)?),
            (Cells::Integers(_), Scalar::Float(float)) => {
                self.cells.become_floats()?;
                self.filled = row;
                return self.push(row, Scalar::Float(float));
            }
            (Cells::Nested(cells), Scalar::Nested(value)) => cells.append_value(value.to_string()),
            (_, Scalar::Huge) => return Err(beyond()),
            (cells, value) => return Err((value.kind().to_owned(), format!("{} as in the lines above", cells.kind()))),
        }
        Ok(())
    }

    fn finish(mut self, rows: usize) -> Column {
        self.cells.nulls(rows - self.filled);
        let name: PlSmallStr = self.name.into();
        match self.cells {
            Cells::Nulls => Column::full_null(name, rows, &DataType::Null),
            Cells::Strings(cells) | Cells::Nested(cells) => cells.finish().with_name(name).into_column(),
            Cells::Booleans(cells) => cells.finish().with_name(name).into_column(),
            Cells::Integers(cells) => cells.finish().with_name(name).into_column(),
            Cells::Floats(cells) => cells.finish().with_name(name).into_column(),
        }
    }
}

impl Cells {
    /// The first value that is no null says what the column holds.
    fn begin(&mut self, value: &Scalar) {
        if !matches!(self, Self::Nulls) {
            return;
        }
        let name = PlSmallStr::EMPTY;
        *self = match value {
            Scalar::Null => return,
            Scalar::String(_) => Self::Strings(StringChunkedBuilder::new(name, 0)),
            Scalar::Boolean(_) => Self::Booleans(BooleanChunkedBuilder::new(name, 0)),
            Scalar::Integer(_) | Scalar::Huge => Self::Integers(PrimitiveChunkedBuilder::new(name, 0)),
            Scalar::Float(_) => Self::Floats(PrimitiveChunkedBuilder::new(name, 0)),
            Scalar::Nested(_) => Self::Nested(StringChunkedBuilder::new(name, 0)),
        };
    }

    fn nulls(&mut self, count: usize) {
        for _ in 0..count {
            match self {
                Self::Nulls => return,
                Self::Strings(cells) | Self::Nested(cells) => cells.append_null(),
                Self::Booleans(cells) => cells.append_null(),
                Self::Integers(cells) => cells.append_null(),
                Self::Floats(cells) => cells.append_null(),
            }
        }
    }

    fn become_floats(&mut self) -> Result<(), Fault> {
        let mut floats = PrimitiveChunkedBuilder::new(PlSmallStr::EMPTY, 0);
        if let Self::Integers(integers) = std::mem::replace(self, Self::Nulls) {
            for integer in integers.finish().iter() {
                floats.append_option(integer.map(exact).transpose()?);
            }
        }
        *self = Self::Floats(floats);
        Ok(())
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Nulls => "null",
            Self::Strings(_) => "a string",
            Self::Booleans(_) => "a boolean",
            Self::Integers(_) | Self::Floats(_) => "a number",
            Self::Nested(_) => "an array or object",
        }
    }
}

impl Scalar<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) | Self::Huge | Self::Float(_) => "a number",
            Self::String(_) => "a string",
            Self::Nested(_) => "an array or object",
        }
    }
}

/// An integer of a column of floats.
fn exact(integer: i64) -> Result<f64, Fault> {
    let float = integer as f64;
    if float as i128 == i128::from(integer) {
        return Ok(float);
    }
    Err((format!("{integer} among floats, which cannot hold it"), "integers alone, or strings".to_owned()))
}

fn beyond() -> Fault {
    ("an integer outside the 64-bit range".to_owned(), "a smaller one, or a string".to_owned())
}

/// Whether a float is as large as an integer that does not fit.
fn is_long(float: f64) -> bool {
    float.abs() >= 9_223_372_036_854_775_808.0
}

fn holds_long(value: &Value) -> bool {
    match value {
        Value::Number(number) => !number.is_i64() && !number.is_u64() && number.as_f64().is_some_and(is_long),
        Value::Array(values) => values.iter().any(holds_long),
        Value::Object(values) => values.values().any(holds_long),
        _ => false,
    }
}

/// Whether a line of JSON contains, outside strings, an integer with too many digits, which was read as a float.
fn holds_long_integer(line: &str) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    let mut outside = line.split(|letter| match letter {
        '"' if !escaped => {
            quoted = !quoted;
            true
        }
        letter => {
            escaped = quoted && letter == '\\' && !escaped;
            quoted || !matches!(letter, '0'..='9' | '-' | '+' | '.' | 'e' | 'E')
        }
    });
    outside.any(|number| {
        let digits = number.strip_prefix('-').unwrap_or(number);
        let integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        integer && number.parse::<i64>().is_err() && number.parse::<u64>().is_err()
    })
}
