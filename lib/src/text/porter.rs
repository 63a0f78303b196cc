//! Porter's stemmer for English.

/// The stem of a lower-case English word by Porter's algorithm ("An algorithm for suffix stripping",
/// Program 14(3), 1980) with the two rules its author added later and Lucene uses: `bli` for `abli`,
/// and `logi`. Words of one or two letters stay as they are.
///
/// ```
/// use kensaku::text::porter_stem;
/// assert_eq!(porter_stem("generalizations"), "gener");
/// assert_eq!(porter_stem("possibly"), "possibl");
/// assert_eq!(porter_stem("sky"), "sky");
/// ```
pub fn porter_stem(word: &str) -> String {
    let mut stem = Stem::default();
    stem.extend(word);
    if stem.letters.len() > 2 {
        stem.plurals();
        stem.participles();
        stem.final_y();
        stem.replace_first(DOUBLE_SUFFIXES);
        stem.replace_first(SINGLE_SUFFIXES);
        stem.last_suffix();
        stem.final_e();
        stem.double_l();
    }
    stem.letters.into_iter().collect()
}

/// Step 2: a suffix on a suffix becomes the inner one. The first that fits is the longest that fits.
const DOUBLE_SUFFIXES: &[(&str, &str)] = &[
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("logi", "log"),
];

/// Step 3.
const SINGLE_SUFFIXES: &[(&str, &str)] =
    &[("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", "")];

/// Step 4. "ion" goes only after s or t.
const LAST_SUFFIXES: &[&str] = &[
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate", "iti",
    "ous", "ive", "ize",
];

/// A word on its way to the stem. In the comments, `m` is Porter's measure of a stem: how many times a
/// vowel is followed by a consonant.
#[derive(Default)]
struct Stem {
    letters: Vec<char>,
    /// For each letter, whether it is a vowel: a, e, i, o, u, and y after a consonant. Whatever is no
    /// letter of English is a consonant.
    vowels: Vec<bool>,
}

impl Stem {
    /// Step 1a: caresses -> caress, ponies -> poni, cats -> cat.
    fn plurals(&mut self) {
        if self.ends_with("sses") || self.ends_with("ies") {
            self.shorten(2);
        } else if self.ends_with("s") && !self.ends_with("ss") {
            self.shorten(1);
        }
    }

    /// Step 1b: agreed -> agree, plastered -> plaster, hopping -> hop, filing -> file.
    fn participles(&mut self) {
        if let Some(stem) = self.before("eed") {
            if self.measure(stem) > 0 {
                self.shorten(1);
            }
            return;
        }
        let Some(stem) = self.before("ed").or_else(|| self.before("ing")) else { return };
        if !self.vowels[..stem].contains(&true) {
            return;
        }
        self.truncate(stem);
        if self.ends_with("at") || self.ends_with("bl") || self.ends_with("iz") {
            self.extend("e");
        } else if self.ends_in_double_consonant() {
            if !matches!(self.letters.last(), Some('l' | 's' | 'z')) {
                self.shorten(1);
            }
        } else if self.measure(stem) == 1 && self.is_short_syllable(stem) {
            self.extend("e");
        }
    }

    /// Step 1c: happy -> happi, but sky -> sky.
    fn final_y(&mut self) {
        if let Some(stem) = self.before("y")
            && self.vowels[..stem].contains(&true)
        {
            self.truncate(stem);
            self.extend("i");
        }
    }

    /// Replaces the first suffix of the list that the word has, if `m > 0` before it.
    fn replace_first(&mut self, suffixes: &[(&str, &str)]) {
        let found = suffixes.iter().find_map(|(suffix, new)| Some((self.before(suffix)?, new)));
        if let Some((stem, new)) = found
            && self.measure(stem) > 0
        {
            self.truncate(stem);
            self.extend(new);
        }
    }

    /// Step 4: revival -> reviv, adoption -> adopt, where `m > 1`.
    fn last_suffix(&mut self) {
        let stem = LAST_SUFFIXES.iter().find_map(|suffix| {
            let stem = self.before(suffix)?;
            let fits = *suffix != "ion" || matches!(self.letters[..stem].last(), Some('s' | 't'));
            fits.then_some(stem)
        });
        if let Some(stem) = stem
            && self.measure(stem) > 1
        {
            self.truncate(stem);
        }
    }

    /// Step 5a: probate -> probat, cease -> ceas, but rate -> rate.
    fn final_e(&mut self) {
        let Some(stem) = self.before("e") else { return };
        let measure = self.measure(stem);
        if measure > 1 || measure == 1 && !self.is_short_syllable(stem) {
            self.truncate(stem);
        }
    }

    /// Step 5b: controll -> control, but roll -> roll.
    fn double_l(&mut self) {
        if self.ends_with("ll") && self.measure(self.letters.len()) > 1 {
            self.shorten(1);
        }
    }

    fn extend(&mut self, letters: &str) {
        for letter in letters.chars() {
            let vowel = match letter {
                'a' | 'e' | 'i' | 'o' | 'u' => true,
                'y' => self.vowels.last() == Some(&false),
                _ => false,
            };
            self.letters.push(letter);
            self.vowels.push(vowel);
        }
    }

    fn truncate(&mut self, len: usize) {
        self.letters.truncate(len);
        self.vowels.truncate(len);
    }

    fn shorten(&mut self, letters: usize) {
        self.truncate(self.letters.len() - letters);
    }

    fn ends_with(&self, suffix: &str) -> bool {
        self.before(suffix).is_some()
    }

    /// The length of what precedes a suffix, if the word has it.
    fn before(&self, suffix: &str) -> Option<usize> {
        let stem = self.letters.len().checked_sub(suffix.len())?;
        self.letters[stem..].iter().copied().eq(suffix.chars()).then_some(stem)
    }

    /// Porter's m of the first `len` letters.
    fn measure(&self, len: usize) -> usize {
        self.vowels[..len].windows(2).filter(|pair| **pair == [true, false]).count()
    }

    fn ends_in_double_consonant(&self) -> bool {
        let len = self.letters.len();
        len > 1 && self.letters[len - 1] == self.letters[len - 2] && !self.vowels[len - 1]
    }

    /// Whether the first `len` letters end in consonant, vowel, consonant, the last not w, x or y:
    /// then an e was dropped (hop(e), fil(e)), and it comes back.
    fn is_short_syllable(&self, len: usize) -> bool {
        len > 2
            && self.vowels[len - 3..len] == [false, true, false]
            && !matches!(self.letters[len - 1], 'w' | 'x' | 'y')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the paper, step by step, and odd ones; the stems are those of NLTK 3's
    /// `PorterStemmer(mode="MARTIN_EXTENSIONS")`.
    const PAIRS: &str = "
        caresses:caress ponies:poni ties:ti caress:caress cats:cat feed:feed agreed:agre
        plastered:plaster bled:bled motoring:motor sing:sing conflated:conflat troubled:troubl
        sized:size hopping:hop tanned:tan falling:fall hissing:hiss fizzed:fizz failing:fail filing:file
        happy:happi sky:sky relational:relat conditional:condit rational:ration valenci:valenc
        hesitanci:hesit digitizer:digit conformabli:conform radicalli:radic differentli:differ
        vileli:vile analogousli:analog vietnamization:vietnam predication:predic operator:oper
        feudalism:feudal decisiveness:decis hopefulness:hope callousness:callous formaliti:formal
        sensitiviti:sensit sensibiliti:sensibl triplicate:triplic formative:form formalize:formal
        electriciti:electr electrical:electr hopeful:hope goodness:good revival:reviv allowance:allow
        inference:infer airliner:airlin gyroscopic:gyroscop adjustable:adjust defensible:defens
        irritant:irrit replacement:replac adjustment:adjust dependent:depend adoption:adopt
        homologou:homolog communism:commun activate:activ angulariti:angular homologous:homolog
        effective:effect bowdlerize:bowdler probate:probat rate:rate cease:ceas controll:control
        roll:roll generalizations:gener oscillators:oscil possibly:possibl horribly:horribl
        terribly:terribl archaeology:archaeolog psychology:psycholog logic:logic apology:apolog is:is
        as:as be:be by:by news:new yes:ye gas:ga was:wa ed:ed ing:ing ion:ion eed:eed seed:seed
        freed:freed dying:dy lying:ly tying:ty flying:fly enjoying:enjoi played:plai syzygy:syzygi
        rhythm:rhythm queue:queue eee:eee yyy:yyi bless:bless abilities:abil queries:queri
        searches:search learning:learn indices:indic was's:was' o'neill's:o'neill' café:café cafés:café
        naïveté:naïveté été:été 3d:3d 2s:2s 10s:10 検索s:検索 mississippi:mississippi skies:ski dies:di
        cries:cri union:union onion:onion opinion:opinion education:educ ultimate:ultim feeling:feel
        being:be bing:bing bring:bring rolled:roll controlled:control controlling:control
        installed:instal recalled:recal fulfil:fulfil fulfill:fulfil element:element cement:cement
        basement:basement argument:argument agreement:agreement
    ";

    #[test]
    fn pairs() {
        for pair in PAIRS.split_whitespace() {
            let (word, stem) = pair.split_once(':').unwrap();
            assert_eq!(porter_stem(word), stem, "{word}");
        }
    }

    #[test]
    fn a_word_of_any_length() {
        assert_eq!(porter_stem(""), "");
        assert_eq!(porter_stem(&"y".repeat(100_000)).len(), 100_000);
    }
}
