//! The card of a model or a data set: what its author says about it.

use std::fmt;
use std::fs;

use super::Hub;
use super::download::escaped;
use super::http::{Http, hub_error, run};
use super::name::{Kind, Name};
use crate::show::{Message, Show, markdown};
use crate::{Error, Result};

/// The README of a repository. A cell that ends in one shows it rendered.
#[derive(Clone, PartialEq, Eq)]
pub struct Card {
    /// `org/name` or `org/name@revision`.
    pub name: String,
    /// With its front matter.
    pub text: String,
}

impl Card {
    /// The YAML between `---` at the start: tags, licence, languages, base model; empty without one.
    pub fn front_matter(&self) -> &str {
        self.parts().0
    }

    /// The text after the front matter.
    pub fn body(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        let text = self.text.trim_start_matches('\u{feff}');
        let found = text.strip_prefix("---\n").or(text.strip_prefix("---\r\n")).and_then(|rest| {
            let end = rest.find("\n---")?;
            let body = &rest[end + 4..];
            Some((&rest[..end], body.split_once('\n').map_or("", |(_, body)| body)))
        });
        found.unwrap_or(("", text))
    }
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Card of {}, {} characters", self.name, self.text.chars().count())
    }
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The front matter as code, then the text.
impl Show for Card {
    fn bundle(&self) -> Message {
        let (front, body) = self.parts();
        let rendered = match front {
            "" => body.to_owned(),
            front => format!("```yaml\n{front}\n```\n\n{body}"),
        };
        markdown(rendered).with("text/plain", self.text.clone())
    }
}

impl Hub {
    /// See [`hub::card`](super::card).
    pub fn card(&self, name: &str) -> Result<Card> {
        self.readme(&Name::expect(name, Kind::Model)?)
    }

    /// See [`hub::dataset_card`](super::dataset_card).
    pub fn dataset_card(&self, name: &str) -> Result<Card> {
        self.readme(&Name::expect(name, Kind::Dataset)?)
    }

    fn readme(&self, name: &Name) -> Result<Card> {
        let text = if self.offline {
            let file = self.cached(name).map(|(_, dir)| dir.join("README.md")).filter(|file| file.is_file());
            let Some(file) = file else {
                let problem =
                    format!("HF_HUB_OFFLINE is set, and the cache {} has no card of it", self.cache.display());
                return Err(hub_error(name, problem, "unset HF_HUB_OFFLINE once"));
            };
            fs::read_to_string(&file).map_err(Error::io(&file))?
        } else {
            run("the card", async {
                let http = Http::new(self)?;
                let revision = escaped(&name.revision);
                let url = http.url(&format!("{}/resolve/{revision}/README.md", name.page()));
                let place = name.to_string();
                let response = http.send(&place, || http.get(&url)).await?;
                http.text_of(&place, response).await
            })?
        };
        Ok(Card { name: name.to_string(), text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn front_matter_is_told_from_the_text() {
        let card = |text: &str| Card { name: "a/b".to_owned(), text: text.to_owned() };
        let whole = card("---\nlicense: mit\ntags: [a]\n---\n\n# Title\n");
        assert_eq!((whole.front_matter(), whole.body()), ("license: mit\ntags: [a]", "\n# Title\n"));
        assert!(whole.bundle().data["text/markdown"].as_str().unwrap().starts_with("```yaml\nlicense: mit"));
        for text in ["# Title", "", "---\nno end", "--- \n---"] {
            assert_eq!((card(text).front_matter(), card(text).body()), ("", text));
        }
        assert_eq!(card("---\na: b\n---").body(), "");
        assert_eq!(format!("{whole:?}"), "Card of a/b, 40 characters");
    }
}
