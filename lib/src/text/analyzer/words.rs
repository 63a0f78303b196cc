//! Words as Lucene's `StandardTokenizer` cuts them.

use unicode_segmentation::UnicodeSegmentation;

/// The words of a text by UAX #29, which leaves open what is a word of Thai, Lao, Burmese and Khmer: as in Lucene, a run of
/// their letters is one.
pub(super) fn words(text: &str, mut each: impl FnMut(&str)) {
    if text.is_ascii() {
        return text.unicode_words().for_each(|word| pieces(word, &mut each));
    }
    // The run that may still go on.
    let (mut start, mut end) = (0, 0);
    for (at, word) in text.unicode_word_indices() {
        let is_open = word.starts_with(is_southeast_asian);
        if !(is_open && at == end) {
            pieces(&text[start..end], &mut each);
            start = at;
        }
        end = at + word.len();
        if !is_open {
            pieces(word, &mut each);
            start = end;
        }
    }
    pieces(&text[start..end], &mut each);
}

/// A word as it is, or, if it is longer than Lucene's `maxTokenLength`, cut into pieces of that length. No word is none.
fn pieces(mut word: &str, each: &mut impl FnMut(&str)) {
    const LONGEST: usize = 255;
    while word.len() > LONGEST {
        let end = word.char_indices().nth(LONGEST).map_or(word.len(), |(at, _)| at);
        each(&word[..end]);
        word = &word[end..];
    }
    if !word.is_empty() {
        each(word);
    }
}

/// Letters and signs of Unicode's line breaking class SA (Complex_Context).
fn is_southeast_asian(letter: char) -> bool {
    matches!(letter,
        '\u{e01}'..='\u{e3a}' | '\u{e40}'..='\u{e4e}' // Thai
        | '\u{e81}'..='\u{ece}' | '\u{edc}'..='\u{edf}' // Lao
        | '\u{1000}'..='\u{103f}' | '\u{1050}'..='\u{108f}' | '\u{109a}'..='\u{109f}' // Burmese
        | '\u{a9e0}'..='\u{a9ef}' | '\u{a9fa}'..='\u{a9fe}' | '\u{aa60}'..='\u{aac2}' | '\u{aadb}'..='\u{aadf}'
        | '\u{1780}'..='\u{17d3}' | '\u{17d7}' | '\u{17dc}'..='\u{17dd}' // Khmer
        | '\u{1950}'..='\u{19c9}' | '\u{1a20}'..='\u{1a7c}' | '\u{1aa0}'..='\u{1aad}' // Tai
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<String> {
        let mut list = Vec::new();
        words(text, |word| list.push(word.to_owned()));
        list
    }

    #[test]
    fn words_are_those_of_uax_29() {
        assert_eq!(
            list("3.5 can't a.b well-known foo_bar e-mail"),
            ["3.5", "can't", "a.b", "well", "known", "foo_bar", "e", "mail"]
        );
        assert_eq!(list("検索 エンジン"), ["検", "索", "エンジン"]);
        assert_eq!(list("ÉTÉS ﬁn"), ["ÉTÉS", "ﬁn"]);
    }

    #[test]
    fn runs_without_spaces_stay_in_one_piece() {
        // Tests of Lucene's StandardTokenizer (LUCENE-2167).
        assert_eq!(list("ภาษาไทย"), ["ภาษาไทย"]);
        assert_eq!(list("ສາທາລະນະລັດ ປະຊາທິປະໄຕ"), ["ສາທາລະນະລັດ", "ປະຊາທິປະໄຕ"]);
        assert_eq!(list("မြန်မာစာ"), ["မြန်မာစာ"]);
        // Digits, other letters and punctuation end a run.
        assert_eq!(list("abc ภาษา, ไทย๑๒ (ไทย)x"), ["abc", "ภาษา", "ไทย", "๑๒", "ไทย", "x"]);
        assert_eq!(list("éไทยé"), ["é", "ไทย", "é"]);
    }

    #[test]
    fn a_long_word_is_cut_as_lucene_cuts_it() {
        let lengths = |text: &str| list(text).iter().map(|word| word.chars().count()).collect::<Vec<_>>();
        assert_eq!(lengths(&"x".repeat(600)), [255, 255, 90]);
        assert_eq!(lengths(&"é".repeat(256)), [255, 1]);
        assert_eq!(lengths(&"é".repeat(255)), [255]);
        assert_eq!(lengths(&"ก".repeat(256)), [255, 1]);
    }
}
