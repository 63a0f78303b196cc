//! A cell's text with insertions, and the way back from the result to the original.

/// Text to put into a cell. Insertions at one place keep their order.
#[derive(Debug, Default)]
pub(crate) struct Edits(Vec<(usize, String)>);

impl Edits {
    pub(crate) fn insert(&mut self, offset: usize, text: impl Into<String>) {
        self.0.push((offset, text.into()));
    }

    pub(crate) fn apply(mut self, code: &str) -> Edited {
        self.0.sort_by_key(|(offset, _)| *offset);
        let mut text = String::with_capacity(code.len() + 64);
        let mut copied = 0;
        for (offset, insertion) in &self.0 {
            text.push_str(&code[copied..*offset]);
            text.push_str(insertion);
            copied = *offset;
        }
        text.push_str(&code[copied..]);
        Edited { text, insertions: self.0, original: code.len() }
    }
}

/// Text after its edits.
#[derive(Debug)]
pub(crate) struct Edited {
    pub(crate) text: String,
    insertions: Vec<(usize, String)>,
    original: usize,
}

impl Edited {
    /// Where `offset` of the edited text lies in the original; the place of the insertion for what
    /// was inserted.
    pub(crate) fn original_offset(&self, offset: usize) -> usize {
        let mut shift = 0;
        for (at, text) in &self.insertions {
            if at + shift >= offset {
                break;
            }
            if offset < at + shift + text.len() {
                return *at;
            }
            shift += text.len();
        }
        (offset - shift).min(self.original)
    }

    /// Where `offset` of the original lies in the edited text, in front of what is inserted there.
    pub(crate) fn edited_offset(&self, offset: usize) -> usize {
        let before = self.insertions.iter().take_while(|(at, _)| *at < offset);
        offset + before.map(|(_, text)| text.len()).sum::<usize>()
    }
}

/// The byte offset of a line and a column, both counted from 1, the column in characters.
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

/// The line of a byte offset, counted from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_go_there_and_back() {
        let mut edits = Edits::default();
        edits.insert(4, "XX");
        edits.insert(0, "<");
        edits.insert(9, "end");
        let edited = edits.apply("one\ntwo\n3");
        assert_eq!(edited.text, "<one\nXXtwo\n3end");
        assert_eq!(edited.original_offset(1), 0);
        assert_eq!(edited.original_offset(7), 4);
        assert_eq!(edited.original_offset(6), 4);
        assert_eq!(edited.original_offset(edited.text.len()), 9);
        assert_eq!(edited.edited_offset(5), 8);
        assert_eq!(edited.edited_offset(0), 0);
    }

    #[test]
    fn columns_are_characters() {
        assert_eq!(offset_of("検索 = 1;\nx", 1, 3), 6);
        assert_eq!(offset_of("ab\ncd", 2, 2), 4);
        assert_eq!(line_of("ab\ncd", 4), 2);
    }
}
