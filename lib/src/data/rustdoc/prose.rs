//! From Markdown to the plain sentences a search model reads.

use pulldown_cmark::{BrokenLink, Event, Options, Parser, Tag, TagEnd};
use unicode_segmentation::UnicodeSegmentation;

/// What remains of an item's documentation: no markup, no code, no images, no tables, and no sections
/// of examples, which talk about code that is gone.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Prose {
    /// The first sentence without its full stop; empty where the documentation does not begin with
    /// a paragraph.
    pub(super) summary: String,
    /// Everything after the first sentence, one paragraph per line; all of it if there is no summary.
    pub(super) rest: String,
}

/// Splits documentation into its first sentence and the rest.
pub(super) fn prose(markdown: &str) -> Prose {
    let mut blocks = blocks(markdown);
    let mut summary = String::new();
    if let Some(Block { heading: false, text }) = blocks.first_mut() {
        let (first, rest) = first_sentence(text);
        summary = first.trim().trim_end_matches(['.', ',', ':', '!', ';']).trim_end().to_owned();
        *text = rest.trim().to_owned();
    }
    let mut example = false;
    blocks.retain(|block| {
        if block.heading {
            example = block.text.starts_with("Example");
        }
        !example && !block.text.is_empty()
    });
    let over_nothing = |at: usize| blocks[at].heading && blocks.get(at + 1).is_none_or(|next| next.heading);
    let rest: Vec<&str> =
        (0..blocks.len()).filter(|at| !over_nothing(*at)).map(|at| blocks[at].text.as_str()).collect();
    Prose { summary, rest: rest.join("\n") }
}

struct Block {
    heading: bool,
    text: String,
}

fn blocks(markdown: &str) -> Vec<Block> {
    // Rustdoc links may name items without a definition: [`Vec::push`]. They are links all the same.
    let mut intra_doc = |link: BrokenLink| Some((link.reference.to_string().into(), "".into()));
    let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES;
    let mut blocks = Vec::new();
    let mut text = String::new();
    // How many code blocks, images and tables are open around the event.
    let mut skipped = 0;
    for event in Parser::new_with_broken_link_callback(markdown, options, Some(&mut intra_doc)) {
        match event {
            Event::Start(Tag::CodeBlock(_) | Tag::Image { .. } | Tag::Table(_) | Tag::FootnoteDefinition(_)) => {
                flush(&mut blocks, &mut text, false);
                skipped += 1;
            }
            Event::End(TagEnd::CodeBlock | TagEnd::Image | TagEnd::Table | TagEnd::FootnoteDefinition) => skipped -= 1,
            Event::Text(piece) | Event::Code(piece) if skipped == 0 => text.push_str(&piece),
            Event::SoftBreak | Event::HardBreak => text.push(' '),
            Event::Start(Tag::Item) | Event::End(TagEnd::Paragraph | TagEnd::Item) => {
                flush(&mut blocks, &mut text, false)
            }
            Event::Start(Tag::Heading { .. }) => flush(&mut blocks, &mut text, false),
            Event::End(TagEnd::Heading(_)) => flush(&mut blocks, &mut text, true),
            _ => {}
        }
    }
    flush(&mut blocks, &mut text, false);
    blocks
}

fn flush(blocks: &mut Vec<Block>, text: &mut String, heading: bool) {
    // A backtick that is still there has no partner.
    let plain = text.replace('`', "");
    let words: Vec<&str> = plain.split_whitespace().collect();
    if !words.is_empty() {
        blocks.push(Block { heading, text: words.join(" ") });
    }
    text.clear();
}

/// UAX #29 sentences, but a break after an abbreviation does not count.
fn first_sentence(paragraph: &str) -> (&str, &str) {
    const ABBREVIATIONS: &[&str] = &["e.g.", "i.e.", "etc.", "vs.", "cf.", "approx."];
    let mut end = 0;
    for sentence in paragraph.split_sentence_bounds() {
        end += sentence.len();
        let so_far = paragraph[..end].trim_end().to_lowercase();
        if !ABBREVIATIONS.iter().any(|abbreviation| so_far.ends_with(abbreviation)) {
            break;
        }
    }
    paragraph.split_at(end)
}

/// The words of a text (letters and digits) in lower case: what two summaries are compared by.
pub(super) fn words(text: &str) -> Vec<String> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// The words a path is made of, without repeating one that directly follows itself:
/// `candle_core::tensor::Tensor::max_dim` -> `candle core tensor max dim`.
pub(super) fn path_words(path: &str) -> String {
    let mut words = String::with_capacity(path.len() + 8);
    let mut previous = ' ';
    for letter in path.chars() {
        if !letter.is_alphanumeric() {
            words.push(' ');
        } else {
            if letter.is_uppercase() && previous.is_lowercase() {
                words.push(' ');
            }
            words.extend(letter.to_lowercase());
        }
        previous = letter;
    }
    let mut words: Vec<&str> = words.split_whitespace().collect();
    words.dedup();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_sentence_is_split_off_and_markup_is_gone() {
        let found = prose(
            "Returns the [`height`](Self::height), e.g. the number\nof **rows**. Then [more] and [`Vec::push`].\n\n\
             # Examples\nCalled so:\n```\nlet hidden = 1;\n```\n# Inlining\n# Errors\nIf *empty*.\n\n- one\n- two\n\n![badge](x.svg)",
        );
        assert_eq!(found.summary, "Returns the height, e.g. the number of rows");
        assert_eq!(found.rest, "Then more and Vec::push.\nErrors\nIf empty.\none\ntwo");
    }

    #[test]
    fn documentation_that_begins_otherwise_has_no_summary() {
        assert_eq!(prose("# Title\nText."), Prose { summary: String::new(), rest: "Title\nText.".to_owned() });
        assert_eq!(prose("```\ncode\n```"), Prose::default());
        assert_eq!(prose(""), Prose::default());
    }

    #[test]
    fn paths_become_words() {
        assert_eq!(
            path_words("polars_core::frame::DataFrame::with_row_index"),
            "polars core frame data frame with row index"
        );
        assert_eq!(path_words("std::io::io::BufRead"), "std io buf read");
    }
}
