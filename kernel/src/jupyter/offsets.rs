//! Positions in a cell: the protocol counts code points, Rust counts bytes.

/// The byte at which code point `point` begins; the end of the text where it has fewer.
pub(super) fn byte_of(text: &str, point: usize) -> usize {
    text.char_indices().nth(point).map_or(text.len(), |(byte, _)| byte)
}

/// How many code points precede `byte`; those of the whole text where it has fewer bytes.
pub(super) fn point_of(text: &str, byte: usize) -> usize {
    text.char_indices().take_while(|(at, _)| *at < byte).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An emoji of four bytes, kanji of three, an accent that combines.
    const TEXT: &str = "a🦀検e\u{301}b";

    #[test]
    fn points_become_bytes() {
        let bytes: Vec<usize> = (0..8).map(|point| byte_of(TEXT, point)).collect();
        assert_eq!(bytes, [0, 1, 5, 8, 9, 11, 12, 12]);
    }

    #[test]
    fn bytes_become_points() {
        for point in 0..=TEXT.chars().count() {
            assert_eq!(point_of(TEXT, byte_of(TEXT, point)), point);
        }
        assert_eq!(point_of(TEXT, 100), 6);
    }
}
