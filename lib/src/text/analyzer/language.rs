//! Stemmers of other languages.

use frostem::{Algorithm, Stemmer};
use serde::{Deserialize, Serialize};

/// The languages of [`Analyzer::Snowball`](super::Analyzer::Snowball), with the stemmers of the project Snowball
/// (<https://snowballstem.org>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    Arabic,
    Armenian,
    Basque,
    Catalan,
    Danish,
    Dutch,
    /// Snowball's own stemmer for English ("Porter2"); [`Analyzer::English`](super::Analyzer::English) has Porter's.
    English,
    Estonian,
    Finnish,
    French,
    German,
    Greek,
    Hindi,
    Hungarian,
    Indonesian,
    Italian,
    Lithuanian,
    Norwegian,
    Portuguese,
    Romanian,
    Russian,
    Spanish,
    Swedish,
    Turkish,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::Arabic,
        Self::Armenian,
        Self::Basque,
        Self::Catalan,
        Self::Danish,
        Self::Dutch,
        Self::English,
        Self::Estonian,
        Self::Finnish,
        Self::French,
        Self::German,
        Self::Greek,
        Self::Hindi,
        Self::Hungarian,
        Self::Indonesian,
        Self::Italian,
        Self::Lithuanian,
        Self::Norwegian,
        Self::Portuguese,
        Self::Romanian,
        Self::Russian,
        Self::Spanish,
        Self::Swedish,
        Self::Turkish,
    ];

    /// The stem of a word. A word that is nothing but an elision has none.
    pub(super) fn term(self, word: &str) -> Option<String> {
        let word = match self {
            // I without a dot is another letter than i.
            Self::Turkish => word.replace('I', "ı").replace('İ', "i").to_lowercase(),
            _ => word.to_lowercase(),
        };
        let word = match word.split_once(['\'', '\u{2019}']) {
            // What is after an apostrophe is a suffix of a name.
            Some((name, _)) if self == Self::Turkish => name,
            Some((article, rest)) if self.elisions().contains(&article) => rest,
            _ => &word,
        };
        let stem = Stemmer::new(self.algorithm()).stem(word);
        (!stem.is_empty()).then(|| stem.into_owned())
    }

    /// What loses its vowel before a word that begins with one: the `DEFAULT_ARTICLES` of Lucene's analyzers.
    fn elisions(self) -> &'static [&'static str] {
        match self {
            Self::Catalan => &["d", "l", "m", "n", "s", "t"],
            Self::French => &["l", "m", "t", "qu", "n", "s", "j", "d", "c", "jusqu", "quoiqu", "lorsqu", "puisqu"],
            Self::Italian => &[
                "c", "l", "all", "dall", "dell", "nell", "sull", "coll", "pell", "gl", "agl", "dagl", "degl", "negl",
                "sugl", "un", "m", "t", "s", "v", "d",
            ],
            _ => &[],
        }
    }

    fn algorithm(self) -> Algorithm {
        match self {
            Self::Arabic => Algorithm::Arabic,
            Self::Armenian => Algorithm::Armenian,
            Self::Basque => Algorithm::Basque,
            Self::Catalan => Algorithm::Catalan,
            Self::Danish => Algorithm::Danish,
            Self::Dutch => Algorithm::Dutch,
            Self::English => Algorithm::English,
            Self::Estonian => Algorithm::Estonian,
            Self::Finnish => Algorithm::Finnish,
            Self::French => Algorithm::French,
            Self::German => Algorithm::German,
            Self::Greek => Algorithm::Greek,
            Self::Hindi => Algorithm::Hindi,
            Self::Hungarian => Algorithm::Hungarian,
            Self::Indonesian => Algorithm::Indonesian,
            Self::Italian => Algorithm::Italian,
            Self::Lithuanian => Algorithm::Lithuanian,
            Self::Norwegian => Algorithm::Norwegian,
            Self::Portuguese => Algorithm::Portuguese,
            Self::Romanian => Algorithm::Romanian,
            Self::Russian => Algorithm::Russian,
            Self::Spanish => Algorithm::Spanish,
            Self::Swedish => Algorithm::Swedish,
            Self::Turkish => Algorithm::Turkish,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Analyzer;

    #[test]
    fn forms_of_a_word_share_a_stem() {
        for (language, text) in [
            (Language::Danish, "undersøgelse undersøgelser"),
            (Language::Dutch, "lichaam lichamen"),
            (Language::English, "connection connected"),
            (Language::Finnish, "talossa talosta"),
            (Language::French, "avion avions"),
            (Language::German, "Haus Häuser"),
            (Language::Hungarian, "házak házakat"),
            (Language::Italian, "abbandonata abbandonate"),
            (Language::Norwegian, "biler bilene"),
            (Language::Portuguese, "menino meninos"),
            (Language::Romanian, "abruptă abrupte"),
            (Language::Russian, "книга книги"),
            (Language::Spanish, "torre torres"),
            (Language::Swedish, "bilar bilarna"),
            (Language::Turkish, "kitaplar kitap"),
        ] {
            let stems = Analyzer::Snowball(language).tokens(text).unwrap();
            assert!(stems.len() == 2 && stems[0] == stems[1], "{language:?}: {stems:?}");
        }
    }

    #[test]
    fn elisions_and_apostrophes() {
        let tokens = |language, text| Analyzer::Snowball(language).tokens(text).unwrap();
        assert_eq!(tokens(Language::French, "L'avion l\u{2019}avion"), ["avion", "avion"]);
        assert_eq!(tokens(Language::French, "aujourd'hui"), ["aujourd'hui"]);
        assert_eq!(tokens(Language::Italian, "dell'arte"), tokens(Language::Italian, "arte"));
        assert_eq!(tokens(Language::Catalan, "d'aigua"), tokens(Language::Catalan, "aigua"));
        assert_eq!(tokens(Language::Turkish, "Türkiye'den"), tokens(Language::Turkish, "Türkiye"));
        assert_eq!(tokens(Language::Turkish, "IŞIK İYİ"), tokens(Language::Turkish, "ışık iyi"));
    }

    #[test]
    fn no_word_of_any_language_is_too_odd() {
        for language in Language::ALL {
            for text in ["", "a", "'", "l'", "ß", "検索", "x\u{301}", "\u{0}", "İstanbul'da", "ͅ", "ΌΔΟΣ"] {
                Analyzer::Snowball(language).tokens(text).unwrap();
            }
        }
    }
}
