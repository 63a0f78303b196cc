//! Edits of a text, and the mapping from the result back to the original.

use std::ops::Range;

/// Text that replaces a range of another. Insertions at the same place keep their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Edits(Vec<Edit>);

#[derive(Debug, Clone, PartialEq)]
struct Edit {
    at: Range<usize>,
    text: String,
}

impl Edits {
    pub(crate) fn insert(&mut self, offset: usize, text: impl Into<String>) {
        self.replace(offset..offset, text);
    }

    pub(crate) fn replace(&mut self, at: Range<usize>, text: impl Into<String>) {
        self.0.push(Edit { at, text: text.into() });
    }

    /// The part of `code` in `range`, with its edits. Offsets count from the start of `code`. Edits inside a replaced
    /// range are dropped.
    pub(crate) fn apply(mut self, code: &str, range: Range<usize>) -> Edited {
        self.0.sort_by_key(|edit| edit.at.start);
        let mut text = String::with_capacity(range.len() + 64);
        let mut pieces = Vec::with_capacity(self.0.len());
        let mut copied = range.start;
        for Edit { at, text: insertion } in self.0 {
            if at.start < copied {
                continue;
            }
            text.push_str(&code[copied..at.start]);
            text.push_str(&insertion);
            copied = at.end;
            pieces.push((at, insertion.len()));
        }
        text.push_str(&code[copied..range.end]);
        Edited { text, back: WayBack { pieces, original: range } }
    }
}

/// Text after its edits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Edited {
    pub(crate) text: String,
    pub(crate) back: WayBack,
}

/// Maps an edited text to its original.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WayBack {
    /// The replaced range, and the length in bytes of its replacement.
    pieces: Vec<(Range<usize>, usize)>,
    original: Range<usize>,
}

impl Edited {
    /// Text that corresponds to a part of the original without being derived from it.
    pub(crate) fn standing_for(text: String, original: Range<usize>) -> Self {
        let pieces = vec![(original.start..original.start, text.len())];
        Self { text, back: WayBack { pieces, original } }
    }
}

impl WayBack {
    /// Maps `offset` in the edited text to the original; inserted text maps to the place of its edit.
    pub(crate) fn offset(&self, offset: usize) -> usize {
        // After the pieces so far, where the edited text and the original continue together.
        let (mut edited, mut original) = (0, self.original.start);
        for (at, length) in &self.pieces {
            let start = edited + (at.start - original);
            if offset < start {
                break;
            }
            if offset < start + length {
                return at.start;
            }
            (edited, original) = (start + length, at.end);
        }
        (original + (offset - edited)).min(self.original.end)
    }
}

/// The line and the column of a byte offset, both counted from 1, the column in characters.
pub(crate) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// The byte offset of a line and a column, as [`position`] counts them.
pub(crate) fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let mut start = 0;
    for (index, content) in text.split_inclusive('\n').enumerate() {
        if index + 1 == line {
            let within = content.char_indices().nth(column.saturating_sub(1));
            return start + within.map_or(content.len(), |(byte, _)| byte);
        }
        start += content.len();
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_map_back() {
        let mut edits = Edits::default();
        edits.insert(4, "XX");
        edits.insert(1, "<");
        edits.insert(9, "end");
        let edited = edits.apply("one\ntwo\n3", 1..9);
        assert_eq!(edited.text, "<ne\nXXtwo\n3end");
        assert_eq!(edited.back.offset(0), 1);
        assert_eq!(edited.back.offset(1), 1);
        assert_eq!(edited.back.offset(5), 4);
        assert_eq!(edited.back.offset(7), 5);
        assert_eq!(edited.back.offset(edited.text.len()), 9);
    }

    #[test]
    fn replaced_ranges_map_back_to_their_start() {
        let mut edits = Edits::default();
        edits.replace(4..7, "second");
        edits.insert(5, "dropped");
        edits.insert(8, "<");
        let edited = edits.apply("one two three", 0..13);
        assert_eq!(edited.text, "one second <three");
        assert_eq!(edited.back.offset(3), 3);
        assert_eq!(edited.back.offset(6), 4);
        assert_eq!(edited.back.offset(10), 7);
        assert_eq!(edited.back.offset(12), 8);
    }

    #[test]
    fn text_that_corresponds_to_other_text() {
        let stands = Edited::standing_for("use a::b;".to_owned(), 10..12);
        assert_eq!(stands.back.offset(4), 10);
        assert_eq!(stands.back.offset(9), 10);
    }

    #[test]
    fn columns_are_characters() {
        assert_eq!(offset_of("検索 = 1;\nx", 1, 3), 6);
        assert_eq!(offset_of("ab\ncd", 2, 2), 4);
        assert_eq!(position("検索 = 1;\nx", 6), (1, 3));
        assert_eq!(position("ab\ncd", 4), (2, 2));
    }
}
