//! Lucene's `CJKAnalyzer`: pairs of neighbouring characters, for scripts without spaces.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use super::words;

/// Pairs of neighbours in the runs of Han, Hiragana, Katakana and Hangul, and the words between the runs.
pub(super) fn words(text: &str, mut each: impl FnMut(&str)) {
    let text = if text.is_ascii() { text.to_ascii_lowercase() } else { text.nfkc().collect::<String>().to_lowercase() };
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        let is_run = is_cjk(first);
        let (part, others) = rest.split_at(rest.find(|letter| is_cjk(letter) != is_run).unwrap_or(rest.len()));
        rest = others;
        if is_run { pairs(part, &mut each) } else { words::words(part, &mut each) }
    }
}

/// The stop words are words of English: a pair of characters is none.
pub(super) fn term(word: &str) -> Option<Cow<'_, str>> {
    STOP_WORDS.binary_search(&word).is_err().then_some(Cow::Borrowed(word))
}

fn pairs(run: &str, each: &mut impl FnMut(&str)) {
    let starts = run.char_indices().map(|(at, _)| at);
    let mut ends = starts.clone().skip(2).chain([run.len()]);
    let first = ends.next().unwrap_or(0);
    each(&run[..first]);
    for (start, end) in starts.skip(1).zip(ends) {
        each(&run[start..end]);
    }
}

/// A character of these scripts, or the sign for a long vowel, which two of them share.
fn is_cjk(letter: char) -> bool {
    matches!(letter,
        '\u{3041}'..='\u{3096}' | '\u{309d}'..='\u{309f}' // Hiragana
        | '\u{30a1}'..='\u{30fa}' | '\u{30fc}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' // Katakana
        | '\u{1b000}'..='\u{1b16f}'
        | '\u{3005}' | '\u{3007}' | '\u{3021}'..='\u{3029}' | '\u{3038}'..='\u{303b}' // Han
        | '\u{2e80}'..='\u{2fd5}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}'
        | '\u{1100}'..='\u{11ff}' | '\u{3131}'..='\u{318e}' | '\u{a960}'..='\u{a97c}' // Hangul
        | '\u{ac00}'..='\u{d7a3}' | '\u{d7b0}'..='\u{d7fb}'
    )
}

/// `stopwords.txt` of Lucene's `CJKAnalyzer`, sorted.
const STOP_WORDS: [&str; 35] = [
    "a", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not", "of", "on",
    "or", "s", "such", "t", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "will",
    "with", "www",
];

#[cfg(test)]
mod tests {
    use crate::text::Analyzer;

    fn bigrams(text: &str) -> Vec<String> {
        Analyzer::CjkBigram.tokens(text).unwrap()
    }

    #[test]
    fn the_example_of_lucene() {
        assert_eq!(bigrams("我是中国人"), ["我是", "是中", "中国", "国人"]);
    }

    #[test]
    fn runs_and_words() {
        assert_eq!(bigrams("人々のデータ"), ["人々", "々の", "のデ", "デー", "ータ"]);
        assert_eq!(bigrams("一 二、三四"), ["一", "二", "三四"]);
        assert_eq!(bigrams("The GPU で 2024年 well-known"), ["gpu", "で", "2024", "年", "well", "known"]);
        assert_eq!(bigrams("한국어 한국abc"), ["한국", "국어", "한국", "abc"]);
        assert_eq!(bigrams("𠮷野家"), ["𠮷野", "野家"]);
    }

    #[test]
    fn width_and_case_are_one() {
        assert_eq!(bigrams("ﾃﾞｰﾀﾍﾞｰｽ ＡＢＣ"), bigrams("データベース abc"));
        assert_eq!(bigrams("データベース"), ["デー", "ータ", "タベ", "ベー", "ース"]);
    }
}
