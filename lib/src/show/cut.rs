//! The text of a value, cut while it is made.

use std::fmt::{Arguments, Error, Result, Write};

/// How many bytes of a value's text are shown.
const MOST: usize = 64 << 10;

/// The text up to [`MOST`], and a word on the rest, which is not even made.
pub(super) fn cut(text: Arguments) -> String {
    let mut cut = Cut::default();
    // A form that fails by itself is shown as far as it came.
    let _ = cut.write_fmt(text);
    if cut.full {
        cut.text.push_str(&format!("\n… cut at {} KiB: `println!` shows all of it", MOST >> 10));
    }
    cut.text
}

/// A text as `Debug` writes it.
pub(super) fn quoted(text: &str) -> String {
    // With a byte more than there is room for, and its quotes, it is cut.
    cut(format_args!("{:?}", &text[..text.ceil_char_boundary(MOST + 1)]))
}

#[derive(Default)]
struct Cut {
    text: String,
    full: bool,
}

impl Write for Cut {
    fn write_str(&mut self, more: &str) -> Result {
        let room = if self.full { 0 } else { MOST - self.text.len() };
        self.text.push_str(&more[..more.floor_char_boundary(room)]);
        self.full |= more.len() > room;
        // What writes hears that it can stop.
        if self.full { Err(Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fmt::{Debug, Formatter};

    use super::*;

    #[test]
    fn what_fits_is_whole() {
        assert_eq!(cut(format_args!("{:?}", [1, 2])), "[1, 2]");
        let text = "x".repeat(MOST);
        assert_eq!(cut(format_args!("{text}")), text);
        let more = cut(format_args!("{text}検"));
        assert!(more.starts_with(&text) && more.ends_with("\n… cut at 64 KiB: `println!` shows all of it"), "{more}");
        assert_eq!(cut(format_args!("x{}", "検".repeat(MOST))).matches('検').count(), (MOST - 1) / 3);
    }

    /// Writes without an end, until it is told to stop.
    struct Endless<'a>(&'a Cell<usize>);

    impl Debug for Endless<'_> {
        fn fmt(&self, f: &mut Formatter<'_>) -> Result {
            loop {
                self.0.update(|parts| parts + 1);
                f.write_str("12345678")?;
            }
        }
    }

    #[test]
    fn the_rest_is_not_made() {
        let parts = Cell::new(0);
        assert!(cut(format_args!("{:?}", Some(Endless(&parts)))).starts_with("Some(12345678"));
        assert_eq!(parts.get(), MOST / 8);
    }
}
