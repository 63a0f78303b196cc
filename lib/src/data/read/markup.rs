//! The markup of TREC's documents and topics: SGML that is read as it is found.

use std::ops::Range;

/// A text, and the same in small letters, in which tags are looked for.
pub(super) struct Marked<'a> {
    text: &'a str,
    lower: String,
}

impl<'a> Marked<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, lower: text.to_ascii_lowercase() }
    }

    /// The place of the next tag `<name ..>` from `start`: where it begins, and where it ends.
    pub(super) fn tag(&self, name: &str, start: usize) -> Option<(usize, usize)> {
        let mut from = start;
        loop {
            let place = from + self.lower.get(from..)?.find(name)?;
            from = place + name.len();
            let opened = self.lower[..place].ends_with('<');
            let rest = &self.lower[from..];
            if opened && rest.starts_with(|next: char| next == '>' || next.is_ascii_whitespace()) {
                return Some((place - 1, from + rest.find('>')? + 1));
            }
        }
    }

    /// Each element of that name that is closed: the place of the whole, and of what is within.
    pub(super) fn places(&self, name: &str) -> Vec<(Range<usize>, Range<usize>)> {
        let (mut found, mut from) = (Vec::new(), 0);
        let end_tag = format!("/{name}");
        while let Some((start, begin)) = self.tag(name, from) {
            let Some((end, after)) = self.tag(&end_tag, begin) else { break };
            found.push((start..after, begin..end));
            from = after;
        }
        found
    }

    /// What is within each of these elements.
    pub(super) fn elements(&self, name: &str) -> Vec<&'a str> {
        self.places(name).into_iter().map(|(_, within)| &self.text[within]).collect()
    }

    /// The text without elements of these names.
    pub(super) fn without(&self, names: &[&str]) -> String {
        let mut places: Vec<Range<usize>> =
            names.iter().flat_map(|name| self.places(name)).map(|(whole, _)| whole).collect();
        places.sort_by_key(|place| place.start);
        let (mut rest, mut from) = (String::with_capacity(self.text.len()), 0);
        for place in places {
            rest.push_str(self.text.get(from..place.start).unwrap_or_default());
            rest.push(' ');
            from = from.max(place.end);
        }
        rest.push_str(&self.text[from..]);
        rest
    }

    /// The plain text of the first of these elements that has any.
    pub(super) fn first(&self, names: &[&str]) -> Option<String> {
        let texts = names.iter().flat_map(|name| self.elements(name)).map(plain);
        texts.into_iter().find(|text| !text.is_empty())
    }

    /// The text from here on.
    pub(super) fn text(&self) -> &'a str {
        self.text
    }
}

/// The value of an attribute within a tag.
pub(super) fn attribute(tag: &str, name: &str) -> Option<String> {
    let lower = tag.to_ascii_lowercase();
    let mut from = 0;
    loop {
        let place = from + lower[from..].find(name)?;
        from = place + name.len();
        let begins = lower[..place].ends_with(|before: char| before.is_ascii_whitespace());
        let Some(value) = tag[from..].trim_start().strip_prefix('=').filter(|_| begins) else { continue };
        let value = value.trim_start();
        let quote = value.chars().next().filter(|first| *first == '"' || *first == '\'');
        return Some(match quote {
            Some(quote) => value[1..].split(quote).next().unwrap_or_default().trim().to_owned(),
            None => {
                value.split(|end: char| end == '>' || end.is_ascii_whitespace()).next().unwrap_or_default().to_owned()
            }
        });
    }
}

/// The text without markup: a tag becomes a space, an entity its character. It is trimmed.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    // Bytes that are left after the next `>`; none is looked for twice.
    let mut after = Some(usize::MAX);
    while let Some(place) = rest.find(['<', '&']) {
        out.push_str(&rest[..place]);
        rest = &rest[place..];
        let is_tag = rest.starts_with('<')
            && rest[1..].starts_with(|next: char| next.is_ascii_alphabetic() || "/!?".contains(next));
        if is_tag && after.is_some_and(|after| after >= rest.len()) {
            after = rest.find('>').map(|end| rest.len() - end - 1);
        }
        let (written, len) = match after.filter(|_| is_tag) {
            Some(after) => (Some(' '), rest.len() - after),
            None => entity(rest).map_or((rest.chars().next(), 1), |(letter, len)| (Some(letter), len)),
        };
        out.extend(written);
        rest = &rest[len..];
    }
    out.push_str(rest);
    out.trim().to_owned()
}

/// The character of an entity at the start of a text, and the bytes that it takes. Unknown ones stay as they are.
fn entity(text: &str) -> Option<(char, usize)> {
    const LONGEST: usize = 10;
    let end = text.bytes().take(LONGEST).position(|byte| byte == b';')?;
    let name = text.get(1..end)?;
    let letter = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        number => {
            let number = number.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    };
    Some((letter, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_told_from_text() {
        for (text, expected) in [
            ("<P>a &lt; b</P>", "a < b"),
            ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
            ("AT&T &amp; R&D; &unknown; &#65;&#x42;&#xD800;", "AT&T & R&D; &unknown; AB&#xD800;"),
            ("a<!-- note -->b", "a b"),
            ("検<b>索</b>", "検 索"),
            ("<", "<"),
            ("&", "&"),
            ("<unclosed", "<unclosed"),
            ("<a<b>c<d", "c<d"),
            ("x > y <i>z</i>", "x > y  z"),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
    }

    #[test]
    fn elements_and_attributes_are_found() {
        let marked = Marked::new("<DOC><DOCNO> a </DOCNO><TEXT x=1>one</TEXT><text>two</text><Text>open");
        assert_eq!(marked.elements("text"), ["one", "two"]);
        assert_eq!(marked.elements("docno"), [" a "]);
        assert_eq!(marked.elements("doc"), [""; 0]);
        assert_eq!(marked.without(&["docno", "text"]), "<DOC>   <Text>open");
        assert_eq!(Marked::new("a<x>b<y>c</x>d</y>e").without(&["y", "x"]), "a  e");
        assert_eq!(marked.first(&["title", "docno"]), Some("a".to_owned()));
        for tag in ["<topic number=\"7\">", "<topic type='x' number = '7' >", "<topic number=7>"] {
            assert_eq!(attribute(tag, "number").as_deref(), Some("7"), "{tag}");
        }
        assert_eq!(attribute("<topic xnumber=\"7\">", "number"), None);
    }

    /// What is written to take long does not.
    #[test]
    fn time_is_in_proportion_to_the_text() {
        let start = std::time::Instant::now();
        for part in ["<a", "<a>", "<", "&", "<docno>x</docno>", "<docno>", "</docno>", "number "] {
            let text = part.repeat(1_000_000 / part.len());
            let marked = Marked::new(&text);
            plain(&text);
            marked.first(&["docno"]);
            marked.without(&["docno", "a"]);
            attribute(&text, "number");
        }
        assert!(start.elapsed().as_secs_f64() < 5.0, "{:?}", start.elapsed());
    }
}
