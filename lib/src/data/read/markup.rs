//! The markup of TREC's documents and topics: SGML that is read as it is found.

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

    /// What is within each element of that name that is closed.
    pub(super) fn elements(&self, name: &str) -> Vec<&'a str> {
        let (mut found, mut from) = (Vec::new(), 0);
        while let Some((_, begin)) = self.tag(name, from) {
            let Some((end, after)) = self.tag(&format!("/{name}"), begin) else { break };
            found.push(&self.text[begin..end]);
            from = after;
        }
        found
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

/// Without tags, each of which is a space, and with the characters that entities stand for; white space at both ends goes.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find(['<', '&']) {
        out.push_str(&rest[..place]);
        rest = &rest[place..];
        let is_tag = rest[1..].starts_with(|next: char| next.is_ascii_alphabetic() || "/!?".contains(next));
        let (written, len) = match rest.find('>').filter(|_| rest.starts_with('<') && is_tag) {
            Some(end) => (Some(' '), end + 1),
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
        assert_eq!(marked.first(&["title", "docno"]), Some("a".to_owned()));
        for tag in ["<topic number=\"7\">", "<topic type='x' number = '7' >", "<topic number=7>"] {
            assert_eq!(attribute(tag, "number").as_deref(), Some("7"), "{tag}");
        }
        assert_eq!(attribute("<topic xnumber=\"7\">", "number"), None);
    }
}
