//! Telling a card that was made from one that someone has written or edited.

use xxhash_rust::xxh3::xxh3_64;

const START: &str = "\n<!-- made by kensaku: ";
const END: &str = " -->\n";

/// The text, and at its end the mark by which [`is_generated`] knows it.
pub(super) fn marked(text: &str) -> String {
    format!("{text}{START}{:016x}{END}", xxh3_64(text.as_bytes()))
}

/// Whether a card is as it was made: then a new one may take its place.
pub(crate) fn is_generated(card: &str) -> bool {
    let parts = card.strip_suffix(END).and_then(|card| card.rsplit_once(START));
    parts.is_some_and(|(text, hash)| hash == format!("{:016x}", xxh3_64(text.as_bytes())))
}
