//! A text with insertions, and the way back from the result to the original.

/// Text to put into another. Insertions at one place keep their order.
#[derive(Debug, Default)]
pub(crate) struct Edits(Vec<(usize, String)>);

impl Edits {
    pub(crate) fn insert(&mut self, offset: usize, text: impl Into<String>) {
        self.0.push((offset, text.into()));
    }

    /// The part of `code` in `range`, with the insertions made there. Offsets count from the start
    /// of `code`.
    pub(crate) fn apply(mut self, code: &str, range: std::ops::Range<usize>) -> Edited {
        self.0.sort_by_key(|(offset, _)| *offset);
        let mut text = String::with_capacity(range.len() + 64);
        let mut copied = range.start;
        for (offset, insertion) in &self.0 {
            text.push_str(&code[copied..*offset]);
            text.push_str(insertion);
            copied = *offset;
        }
        text.push_str(&code[copied..range.end]);
        let insertions = self.0.iter().map(|(offset, insertion)| (*offset, insertion.len())).collect();
        Edited { text, back: WayBack { insertions, original: range } }
    }
}

/// Text after its edits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Edited {
    pub(crate) text: String,
    pub(crate) back: WayBack,
}

/// From an edited text to its original.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WayBack {
    /// Where something was inserted, and how many bytes.
    insertions: Vec<(usize, usize)>,
    original: std::ops::Range<usize>,
}

impl Edited {
    /// Text that stands for a part of the original, without being made of it.
    pub(crate) fn standing_for(text: String, original: std::ops::Range<usize>) -> Self {
        let insertions = vec![(original.start, text.len())];
        Self { text, back: WayBack { insertions, original } }
    }
}

impl WayBack {
    /// Where `offset` of the edited text lies in the original; the place of the insertion for what
    /// was inserted.
    pub(crate) fn offset(&self, offset: usize) -> usize {
        let mut shift = 0;
        for (at, length) in &self.insertions {
            let start = at - self.original.start + shift;
            if start > offset {
                break;
            }
            if offset < start + length {
                return *at;
            }
            shift += length;
        }
        (self.original.start + offset - shift).min(self.original.end)
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
    fn offsets_go_back() {
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
    fn text_that_stands_for_other() {
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
