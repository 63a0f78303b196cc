//! Frames as tables.

use std::borrow::Borrow;
use std::ops::Range;

use polars::prelude::{AnyValue, Column, DataFrame};
use serde::{Deserialize, Serialize};

use super::Message;
use super::text::{count, escape, shorten};

/// How much of a frame [`table`] shows. The default is what a cell that ends in a frame shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TableConfig {
    /// Of a frame with more rows, the first and the last are shown; default 12.
    pub max_rows: usize,
    /// Of a frame with more columns, the first and the last are shown; default 16.
    pub max_columns: usize,
    /// Characters per cell; default 80. More, up to 1,000, appear when the mouse rests on the cell.
    pub max_chars: usize,
}

impl Default for TableConfig {
    fn default() -> Self {
        Self { max_rows: 12, max_columns: 16, max_chars: 80 }
    }
}

impl TableConfig {
    /// All rows, all columns, whole texts.
    pub fn whole() -> Self {
        Self { max_rows: usize::MAX, max_columns: usize::MAX, max_chars: usize::MAX }
    }
}

/// A frame as a table of as many rows, columns and characters as wanted.
///
/// ```
/// use kensaku::polars::prelude::df;
/// use kensaku::show::{TableConfig, table};
///
/// let hits = df!("doc_id" => ["d1"], "text" => ["kensaku means search. ".repeat(20)])?;
/// let whole = table(&hits, TableConfig { max_chars: usize::MAX, ..Default::default() });
/// assert!(!whole.data["text/html"].as_str().unwrap().contains('…'));
/// # Ok::<(), kensaku::Error>(())
/// ```
///
/// In a terminal each row is a list of its cells, where long texts have room.
pub fn table(frame: &DataFrame, config: impl Borrow<TableConfig>) -> Message {
    let config = config.borrow();
    Message::text(records(frame, config)).with("text/html", html_of(frame, config))
}

/// Characters that appear when the mouse rests on a cell.
const MAX_HOVER: usize = 1000;
/// Longer cells break into lines.
const MAX_LINE: usize = 80;

const HEAD: &str = "padding:0.2em 0.7em;vertical-align:bottom;border-bottom:1px solid";
const CELL: &str = "padding:0.2em 0.7em;vertical-align:top";

/// Inline styles only, no colours of its own: front ends strip style sheets, and the theme may be dark.
pub(super) fn html_of(frame: &DataFrame, config: &TableConfig) -> String {
    let (height, width) = frame.shape();
    let (rows, columns) = shown(frame, config);
    let mut html = String::from(
        "<div style=\"overflow-x:auto\"><table style=\"border-collapse:collapse;text-align:left\"><thead><tr>",
    );
    for index in with_gap(&columns) {
        match index {
            Some(index) => head(&mut html, &frame.columns()[index], config.max_chars),
            None => html.push_str(&format!("<th style=\"{HEAD}\">…</th>")),
        }
    }
    html.push_str("</tr></thead><tbody>");
    for row in with_gap(&rows) {
        html.push_str("<tr>");
        for index in with_gap(&columns) {
            match (row, index) {
                (Some(row), Some(index)) => cell(&mut html, &frame.columns()[index], row, config.max_chars),
                (_, index) => {
                    let align = index.map_or("center", |index| alignment(&frame.columns()[index]));
                    html.push_str(&format!("<td style=\"{CELL};text-align:{align}\">…</td>"));
                }
            }
        }
        html.push_str("</tr>");
    }
    let shape = format!("shape: ({}, {})", count(height as u64), count(width as u64));
    html.push_str(&format!("</tbody></table><div style=\"opacity:0.7\">{shape}</div></div>"));
    html
}

fn head(html: &mut String, column: &Column, max: usize) {
    html.push_str(&format!(
        "<th style=\"{HEAD};text-align:{}\">{}<br>\
         <span style=\"font-weight:normal;opacity:0.7\">{}</span></th>",
        alignment(column),
        escape(&shorten(column.name(), max)),
        escape(&column.dtype().to_string())
    ));
}

fn cell(html: &mut String, column: &Column, row: usize, max: usize) {
    let text = text_of(column, row);
    let (text, faint) = match &text {
        Some(text) => (text.as_str(), ""),
        None => ("null", ";opacity:0.5"),
    };
    let hover = match text.chars().nth(max) {
        Some(_) => format!(" title=\"{}\"", escape(&shorten(text, MAX_HOVER))),
        None => String::new(),
    };
    // Characters may be twice as wide as Latin ones where they are not ASCII: let those lines break.
    let wrap = if text.is_ascii() && text.len().min(max) <= MAX_LINE { "nowrap" } else { "normal" };
    html.push_str(&format!(
        "<td style=\"{CELL};text-align:{};white-space:{wrap}{faint}\"{hover}>{}</td>",
        alignment(column),
        escape(&shorten(text, max))
    ));
}

/// None for a null.
fn text_of(column: &Column, row: usize) -> Option<String> {
    match column.get(row).unwrap_or(AnyValue::Null) {
        AnyValue::Null => None,
        value => Some(value.get_str().map_or_else(|| value.to_string(), str::to_owned)),
    }
}

fn alignment(column: &Column) -> &'static str {
    if column.dtype().is_primitive_numeric() { "right" } else { "left" }
}

/// Each row as lines of a name and a value.
fn records(frame: &DataFrame, config: &TableConfig) -> String {
    let (rows, columns) = shown(frame, config);
    let mut text = String::new();
    for row in with_gap(&rows) {
        let Some(row) = row else {
            text.push_str("…\n\n");
            continue;
        };
        for index in with_gap(&columns) {
            let Some(index) = index else {
                text.push_str("…\n");
                continue;
            };
            let column = &frame.columns()[index];
            let value = text_of(column, row).unwrap_or_else(|| "null".to_owned());
            text.push_str(&format!("{}: {}\n", column.name(), shorten(&value, config.max_chars)));
        }
        text.push('\n');
    }
    let (height, width) = frame.shape();
    text + &format!("shape: ({}, {})", count(height as u64), count(width as u64))
}

type Ends = (Range<usize>, Range<usize>);

/// The rows and the columns that are shown.
fn shown(frame: &DataFrame, config: &TableConfig) -> (Ends, Ends) {
    let (height, width) = frame.shape();
    // The gap takes a row, too.
    let (rows, columns) = (config.max_rows.saturating_sub(1) / 2, config.max_columns / 2);
    (ends(height, config.max_rows, rows), ends(width, config.max_columns, columns))
}

/// All of `0..n` if that is at most `most`, else `end` from each end.
fn ends(n: usize, most: usize, end: usize) -> Ends {
    if n <= most { (0..n, n..n) } else { (0..end, n - end..n) }
}

/// The indices of both ends, `None` between them if something is left out.
fn with_gap((head, tail): &Ends) -> impl Iterator<Item = Option<usize>> + use<> {
    let gap = (head.end < tail.start).then_some(None);
    head.clone().map(Some).chain(gap).chain(tail.clone().map(Some))
}

#[cfg(test)]
mod tests {
    use polars::prelude::df;

    use super::*;
    use crate::show::Show;

    fn html(value: &dyn Show) -> String {
        value.bundle().data["text/html"].as_str().unwrap().to_owned()
    }

    #[test]
    fn cells_are_escaped_cut_and_aligned() {
        let long = format!("a \"quoted\" <b>\n{}", "x".repeat(2000));
        let frame = df!("text <i>" => [Some("a<b>&c"), Some(long.as_str()), None], "n" => [1i64, -2, 30]).unwrap();
        let html = html(&frame);
        assert!(html.contains("text &lt;i&gt;<br>") && html.contains(">str</span>") && html.contains(">i64</span>"));
        assert!(html.contains(">a&lt;b&gt;&amp;c</td>"));
        assert!(html.contains("title=\"a &quot;quoted&quot; &lt;b&gt; xxx"));
        assert!(html.contains("x…</td>") && !html.contains(&"x".repeat(1000)));
        assert!(html.contains("opacity:0.5\">null</td>"));
        assert!(html.contains("text-align:right;white-space:nowrap\">-2</td>"));
        assert!(html.contains("shape: (3, 2)"));
        assert!(!html.contains("<style") && !html.contains("<script") && !html.contains("color"));
        assert_eq!(frame.bundle().data["text/plain"], frame.to_string());
    }

    #[test]
    fn long_frames_show_both_ends() {
        let rows = |n: i64| html(&df!("n" => (0..n).collect::<Vec<_>>()).unwrap());
        assert_eq!(rows(0).matches("<td").count(), 0);
        assert_eq!(rows(12).matches("<td").count(), 12);
        assert!(!rows(12).contains('…'));
        let long = rows(8123);
        assert_eq!(long.matches("<td").count(), 11);
        assert!(long.contains(">4</td></tr><tr><td style") && long.contains(">…</td>") && long.contains(">8118</td>"));
        assert!(long.contains("shape: (8,123, 1)"));
    }

    #[test]
    fn wide_frames_show_both_ends() {
        let columns = (0..40).map(|index| Column::new(format!("c{index}").into(), [index])).collect();
        let html = html(&DataFrame::new(1, columns).unwrap());
        assert_eq!((html.matches("<th").count() - 1, html.matches("<td").count()), (17, 17));
        assert!(html.contains(">c7<br>") && html.contains(">…</th>") && html.contains(">c32<br>"));
        assert!(!html.contains(">c8<br>") && html.contains("shape: (1, 40)"));
    }

    #[test]
    fn whole_texts_on_demand() {
        let text = "a long text ".repeat(200);
        let frame = df!("id" => (0..40i64).collect::<Vec<_>>(), "text" => vec![text.as_str(); 40]).unwrap();
        let whole = table(&frame, TableConfig::whole());
        let shown = |mime: &str| whole.data[mime].as_str().unwrap().to_owned();
        assert_eq!(shown("text/html").matches(&text).count(), 40);
        assert_eq!(shown("text/plain").matches(&format!("\ntext: {text}\n")).count(), 40);
        assert!(!shown("text/html").contains('…') && !shown("text/plain").contains('…'));
        assert!(!shown("text/html").contains("nowrap\">a long"), "a long line breaks");
        let few = table(&frame, TableConfig { max_rows: 3, max_columns: 1, max_chars: 5 });
        assert_eq!(few.data["text/plain"], "…\n\n…\n\n…\n\nshape: (40, 2)");
        let two = table(&frame, TableConfig { max_rows: 3, max_chars: 5, ..Default::default() });
        assert_eq!(two.data["text/plain"], "id: 0\ntext: a lo…\n\n…\n\nid: 39\ntext: a lo…\n\nshape: (40, 2)");
        assert_eq!(two.data["text/html"].as_str().unwrap().matches(">a lo…</td>").count(), 2);
    }
}
