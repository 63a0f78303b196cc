//! Changes of a file, as disks, editors, other programs and enemies make them.

use kensaku::random::Philox;

/// What is put into a file: syntax, odd characters, and numbers at the edges of their types.
#[rustfmt::skip]
const PIECES: [&[u8]; 21] = [
    b"\"", b"{", b"}", b"[", b"]", b",", b":", b"\t", b"\n", b"\r\n", b"\0", b"#", b"\\", b"\\u0000", b"\xff", b"\xef\xbb\xbf",
    "\u{a0}".as_bytes(), "検索".as_bytes(), b"null", b"true", b"../../etc",
];

/// Numbers in place of others: at the edges of types, and large enough to cost time and memory.
#[rustfmt::skip]
const NUMBERS: [&[u8]; 16] = [
    b"-1", b"0", b"1", b"2", b"0.5", b"1e308", b"-1e-9", b"NaN", b"255", b"65536", b"100000", b"4294967295", b"1000000000",
    b"9223372036854775807", b"9223372036854775808", b"null",
];

/// A file with one to three changes.
pub fn mutated(file: &[u8], rng: &mut Philox) -> Vec<u8> {
    let mut file = file.to_vec();
    for _ in 0..=rng.below(3) {
        change(&mut file, rng);
    }
    file
}

fn change(file: &mut Vec<u8>, rng: &mut Philox) {
    if file.is_empty() {
        return file.extend_from_slice(PIECES[rng.below(PIECES.len())]);
    }
    let at = rng.below(file.len());
    let piece = PIECES[rng.below(PIECES.len())];
    let range = at..(at + 1 + rng.below(40)).min(file.len());
    match rng.below(10) {
        0 => file[at] ^= 1 << rng.below(8),
        1 => file[at] = [0, 1, b' ', b'0', 0x7f, 0x80, 0xff][rng.below(7)],
        2 => drop(file.drain(range)),
        3 => drop(file.splice(at..at, piece.iter().copied())),
        4 => drop(file.splice(range, piece.iter().copied())),
        5 if rng.below(3) == 0 => file.truncate(at),
        5 => {
            let part = file[range].repeat(1 + rng.below(8));
            drop(file.splice(at..at, part));
        }
        6 => replace_word(file, at, piece),
        7 | 8 => {
            let number = NUMBERS[rng.below(NUMBERS.len())];
            let is_start = |at: &usize| file[*at].is_ascii_digit() && (*at == 0 || !is_word(&file[*at - 1]));
            let starts: Vec<usize> = (0..file.len()).filter(is_start).collect();
            if !starts.is_empty() {
                let start = starts[rng.below(starts.len())];
                replace_word(file, start, number);
            }
        }
        // A length or an offset of a binary format.
        _ => {
            let number = [0, 1, 0x7fff_ffff, u64::from(u32::MAX), 1 << 40, u64::MAX / 2, u64::MAX][rng.below(7)];
            let width = if rng.below(2) == 0 { 4 } else { 8 };
            file.iter_mut().skip(at).zip(number.to_le_bytes()).take(width).for_each(|(byte, new)| *byte = new);
        }
    }
}

/// Puts a piece in place of the whole word, or number, around a place.
fn replace_word(file: &mut Vec<u8>, at: usize, piece: &[u8]) {
    let start = file[..at].iter().rposition(|byte| !is_word(byte)).map_or(0, |before| before + 1);
    let end = file[at..].iter().position(|byte| !is_word(byte)).map_or(file.len(), |length| at + length);
    drop(file.splice(start..end, piece.iter().copied()));
}

fn is_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-+".contains(byte)
}
