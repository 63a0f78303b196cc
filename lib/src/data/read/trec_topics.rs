//! The topics of TREC: what is searched for.

use std::path::Path;

use polars::prelude::*;

use super::Table;
use super::markup::{Marked, attribute, plain};
use crate::data::Queries;
use crate::data::source::Lines;
use crate::{Error, Result};

/// Reads topics of TREC in any of their three dialects, told apart by what the file holds:
///
/// | dialect | a topic | `query_id` | `text` |
/// |---|---|---|---|
/// | SGML of the ad-hoc tracks | `<top> <num> Number: 301 <title> .. <desc> .. <narr> .. </top>` | `<num>` without leading zeros, as judgements have it | the title, or, without one, the description |
/// | XML, as of the web track and TREC-COVID | `<topic number="1"> <query> .. </query> .. </topic>` | `number` or `id` | the first that it has of `title`, `query`, `summary`, `question`, `description` |
/// | lines, as of the million-query track | `20001:obama family tree`, or with a tab | before the colon | after it |
///
/// Of the first two, columns `title`, `question`, `description` and `narrative` are kept where there are any: to search with
/// descriptions, make [`Queries`] of a frame whose `text` they are.
///
/// ```
/// # let path = std::env::temp_dir().join("kensaku-trec-topics-example.txt");
/// # std::fs::write(&path, "<top>\n<num> Number: 051\n<title> Topic: Airbus Subsidies\n\n<desc> Description:\nA document will discuss\nassistance.\n</top>\n").unwrap();
/// let topics = kensaku::data::read::trec_topics(&path)?;
/// assert_eq!((topics.query_ids(), topics.texts()), (vec!["51".to_owned()], vec!["Airbus Subsidies".to_owned()]));
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn trec_topics(path: impl AsRef<Path>) -> Result<Queries> {
    let path = path.as_ref();
    let mut lines = Lines::open(path)?;
    let mut text = String::new();
    while let Some(line) = lines.next_line()? {
        text.push_str(line);
        text.push('\n');
    }
    let marked = Marked::new(&text);
    let topics = if marked.tag("top", 0).is_some() {
        elements(&marked, "top", sgml)
    } else if marked.tag("topic", 0).is_some() {
        elements(&marked, "topic", xml)
    } else {
        text.lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(row, line)| (row + 1, of_line(line)))
            .collect()
    };
    table(path, topics)?.queries()
}

/// A topic, or what is wrong and what was expected.
type Read = Result<Topic, (String, &'static str)>;

#[derive(Default)]
struct Topic {
    id: String,
    text: Option<String>,
    title: Option<String>,
    question: Option<String>,
    description: Option<String>,
    narrative: Option<String>,
}

/// Each element of that name, with its line.
fn elements(marked: &Marked, name: &str, read: impl Fn(&str, &str) -> Read) -> Vec<(usize, Read)> {
    let text = marked.text();
    let (mut topics, mut from, mut line, mut counted) = (Vec::new(), 0, 1, 0);
    while let Some((begin, inner)) = marked.tag(name, from) {
        line += text[counted..begin].matches('\n').count();
        counted = begin;
        let Some((end, after)) = marked.tag(&format!("/{name}"), inner) else {
            topics.push((line, Err((format!("a `<{name}>` that does not end"), "its end tag"))));
            break;
        };
        topics.push((line, read(&text[begin..inner], &text[inner..end])));
        from = after;
    }
    topics
}

/// `<num> Number: 301 <title> ..`: a field lasts until the next tag.
fn sgml(_: &str, topic: &str) -> Read {
    let marked = Marked::new(topic);
    let field = |name: &str, label: &str| {
        let (_, begin) = marked.tag(name, 0)?;
        let text = topic[begin..].split('<').next().unwrap_or_default();
        let text = plain(text);
        let text = text.strip_prefix(label).unwrap_or(&text).trim().to_owned();
        Some(text).filter(|text| !text.is_empty())
    };
    let id = field("num", "Number:").ok_or(("a topic without a number".to_owned(), "`<num> Number: 301`"))?;
    let id = match id.trim_start_matches('0') {
        number if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => number.to_owned(),
        _ => id,
    };
    let (title, description) = (field("title", "Topic:"), field("desc", "Description:"));
    let text = title.clone().or_else(|| description.clone());
    Ok(Topic { id, text, title, description, narrative: field("narr", "Narrative:"), ..Topic::default() })
}

/// `<topic number="1"> <query> .. </query> ..`
fn xml(tag: &str, topic: &str) -> Read {
    let marked = Marked::new(topic);
    let id = attribute(tag, "number").or_else(|| attribute(tag, "id")).or_else(|| marked.first(&["number", "num"]));
    let id = id.ok_or((format!("`{tag}` without a number"), "`<topic number=\"1\">`"))?;
    let field = |name: &str| marked.first(&[name]);
    Ok(Topic {
        id,
        text: marked.first(&["title", "query", "summary", "question", "description"]),
        title: field("title"),
        question: field("question"),
        description: field("description"),
        narrative: field("narrative"),
    })
}

/// `20001:obama family tree`
fn of_line(line: &str) -> Read {
    let parts = line.split_once('\t').or_else(|| line.split_once(':'));
    let parts = parts.filter(|(id, _)| !id.trim().is_empty() && !line.trim_start().starts_with('<'));
    let (id, text) = parts.ok_or((format!("`{line}`"), "`<top>`, `<topic number=..>`, or `id:text`"))?;
    Ok(Topic { id: id.trim().to_owned(), text: Some(text.trim().to_owned()), ..Topic::default() })
}

fn table(path: &Path, topics: Vec<(usize, Read)>) -> Result<Table> {
    let (mut lines, mut all) = (Vec::new(), Vec::new());
    for (line, topic) in topics {
        let topic = topic.and_then(|topic| match topic.text {
            Some(_) => Ok(topic),
            None => Err((format!("topic `{}` without a text", topic.id), "a title or a description")),
        });
        let error = |(problem, expected): (String, &str)| Error::Line {
            path: path.to_owned(),
            line,
            problem,
            expected: expected.to_owned(),
        };
        all.push(topic.map_err(error)?);
        lines.push(line);
    }
    type Field = fn(&Topic) -> Option<&String>;
    let fields: [(&str, Field); 6] = [
        ("query_id", |topic| Some(&topic.id)),
        ("text", |topic| topic.text.as_ref()),
        ("title", |topic| topic.title.as_ref()),
        ("question", |topic| topic.question.as_ref()),
        ("description", |topic| topic.description.as_ref()),
        ("narrative", |topic| topic.narrative.as_ref()),
    ];
    let column = |(name, field): &(&str, Field)| {
        let cells: Vec<Option<&str>> = all.iter().map(|topic| field(topic).map(String::as_str)).collect();
        let there = ["query_id", "text"].contains(name) || cells.iter().any(Option::is_some);
        there.then(|| Column::new((*name).into(), cells))
    };
    Table::new(path, lines, fields.iter().filter_map(column).collect(), Vec::new())
}
