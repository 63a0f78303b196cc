//! Frames as tables.

use std::ops::Range;

use polars::prelude::{AnyValue, Column, DataFrame, LazyFrame, Series, df};

use super::text::{count, escape, shorten};
use super::{Message, Show};
use crate::data::{Corpus, Qrels, Queries, TrainingSet};
use crate::eval::{Report, Run};
use crate::train::Preflight;

/// Frames with more rows are shown by their first and last five.
const MAX_ROWS: usize = 12;
/// Frames with more columns are shown by their first and last eight.
const MAX_COLUMNS: usize = 16;
/// Characters of a cell, and of the whole text that appears when the mouse rests on it.
const MAX_CELL: usize = 80;
const MAX_HOVER: usize = 1000;

const HEAD: &str = "padding:0.2em 0.7em;vertical-align:bottom;border-bottom:1px solid";
const CELL: &str = "padding:0.2em 0.7em;vertical-align:top";

/// A table of the first and last rows, with the type under each column's name.
impl Show for DataFrame {
    fn bundle(&self) -> Message {
        Message::text(self.to_string()).with("text/html", table(self))
    }
}

impl Show for Series {
    fn bundle(&self) -> Message {
        self.clone().into_frame().bundle()
    }
}

impl Show for Column {
    fn bundle(&self) -> Message {
        self.clone().into_frame().bundle()
    }
}

/// The columns it will have and how it gets them; nothing is computed.
impl Show for LazyFrame {
    fn bundle(&self) -> Message {
        let plan = self.describe_plan().unwrap_or_else(|error| error.to_string());
        let columns = match self.clone().collect_schema() {
            Ok(schema) => schema.iter().map(|(name, dtype)| format!("{name}: {dtype}")).collect::<Vec<_>>().join(", "),
            Err(error) => error.to_string(),
        };
        let title = "LazyFrame, not collected";
        let html = format!(
            "<div>{title}: <code>{}</code></div><pre style=\"overflow-x:auto\">{}</pre>",
            escape(&columns),
            escape(&plan)
        );
        Message::text(format!("{title}: {columns}\n{plan}")).with("text/html", html)
    }
}

impl Show for Corpus {
    fn bundle(&self) -> Message {
        captioned(format!("Corpus: {}", plural(self.len(), "document", "documents")), self.frame())
    }
}

impl Show for Queries {
    fn bundle(&self) -> Message {
        captioned(format!("Queries: {}", plural(self.len(), "query", "queries")), self.frame())
    }
}

impl Show for TrainingSet {
    fn bundle(&self) -> Message {
        captioned(format!("TrainingSet: {}", plural(self.len(), "example", "examples")), self.frame())
    }
}

impl Show for Qrels {
    fn bundle(&self) -> Message {
        let judgements = self.iter().map(|(_, docs)| docs.len()).sum();
        let queries = plural(self.len(), "query", "queries");
        let caption = format!("Qrels: {} for {queries}", plural(judgements, "judgement", "judgements"));
        match self.frame() {
            Ok(frame) => captioned(caption, &frame),
            Err(error) => Message::text(format!("{caption}\n{error}")),
        }
    }
}

impl Show for Run {
    fn bundle(&self) -> Message {
        let hits = self.iter().map(|(_, hits)| hits.len()).sum();
        let caption = format!("Run: {} for {}", plural(hits, "hit", "hits"), plural(self.len(), "query", "queries"));
        match self.frame() {
            Ok(frame) => captioned(caption, &frame),
            Err(error) => Message::text(format!("{caption}\n{error}")),
        }
    }
}

/// The means.
impl Show for Report {
    fn bundle(&self) -> Message {
        let message = Message::text(self.to_string());
        let (measures, means): (Vec<_>, Vec<_>) = self.means().map(|(name, mean)| (name.to_string(), mean)).unzip();
        let caption = format!("Report: means over {}", plural(self.query_ids().len(), "query", "queries"));
        match df!("measure" => measures, "mean" => means) {
            Ok(frame) => message.with("text/html", format!("<div><b>{caption}</b></div>{}", table(&frame))),
            Err(_) => message,
        }
    }
}

/// Every check, in full.
impl Show for Preflight {
    fn bundle(&self) -> Message {
        let caption = format!("Preflight: {}", if self.passes() { "ready" } else { "not ready" });
        let message = Message::text(self.to_string());
        match self.frame() {
            Ok(frame) => {
                message.with("text/html", format!("<div><b>{caption}</b></div>{}", table_of(&frame, usize::MAX)))
            }
            Err(_) => message,
        }
    }
}

fn captioned(caption: String, frame: &DataFrame) -> Message {
    let html = format!("<div><b>{}</b></div>{}", escape(&caption), table(frame));
    Message::text(format!("{caption}\n{frame}")).with("text/html", html)
}

fn plural(n: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(n as u64), if n == 1 { one } else { many })
}

/// Inline styles only, no colours of its own: front ends strip style sheets, and the theme may be dark.
fn table(frame: &DataFrame) -> String {
    table_of(frame, MAX_ROWS)
}

fn table_of(frame: &DataFrame, most: usize) -> String {
    let (height, width) = frame.shape();
    let rows = ends(height, most, 5);
    let columns = ends(width, MAX_COLUMNS, MAX_COLUMNS / 2);
    let mut html = String::from(
        "<div style=\"overflow-x:auto\"><table style=\"border-collapse:collapse;text-align:left\"><thead><tr>",
    );
    for index in with_gap(&columns) {
        match index {
            Some(index) => head(&mut html, &frame.columns()[index]),
            None => html.push_str(&format!("<th style=\"{HEAD}\">…</th>")),
        }
    }
    html.push_str("</tr></thead><tbody>");
    for row in with_gap(&rows) {
        html.push_str("<tr>");
        for index in with_gap(&columns) {
            match (row, index) {
                (Some(row), Some(index)) => cell(&mut html, &frame.columns()[index], row),
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

fn head(html: &mut String, column: &Column) {
    html.push_str(&format!(
        "<th style=\"{HEAD};text-align:{}\">{}<br>\
         <span style=\"font-weight:normal;opacity:0.7\">{}</span></th>",
        alignment(column),
        escape(&shorten(column.name(), MAX_CELL)),
        escape(&column.dtype().to_string())
    ));
}

fn cell(html: &mut String, column: &Column, row: usize) {
    let value = column.get(row).unwrap_or(AnyValue::Null);
    let (text, faint) = match &value {
        AnyValue::Null => ("null".to_owned(), true),
        value => (value.get_str().map_or_else(|| value.to_string(), str::to_owned), false),
    };
    let hover = match text.chars().nth(MAX_CELL) {
        Some(_) => format!(" title=\"{}\"", escape(&shorten(&text, MAX_HOVER))),
        None => String::new(),
    };
    // Characters may be twice as wide as Latin ones where they are not ASCII: let those lines break.
    let wrap = if text.is_ascii() { "nowrap" } else { "normal" };
    let faint = if faint { ";opacity:0.5" } else { "" };
    html.push_str(&format!(
        "<td style=\"{CELL};text-align:{};white-space:{wrap}{faint}\"{hover}>{}</td>",
        alignment(column),
        escape(&shorten(&text, MAX_CELL))
    ));
}

fn alignment(column: &Column) -> &'static str {
    if column.dtype().is_primitive_numeric() { "right" } else { "left" }
}

/// All of `0..n` if that is at most `most`, else `end` from each end.
fn ends(n: usize, most: usize, end: usize) -> (Range<usize>, Range<usize>) {
    if n <= most { (0..n, n..n) } else { (0..end, n - end..n) }
}

/// The indices of both ends, `None` between them if something is left out.
fn with_gap((head, tail): &(Range<usize>, Range<usize>)) -> impl Iterator<Item = Option<usize>> + use<> {
    let gap = (head.end < tail.start).then_some(None);
    head.clone().map(Some).chain(gap).chain(tail.clone().map(Some))
}

#[cfg(test)]
mod tests {
    use polars::prelude::{IntoLazy, col, df};

    use super::*;
    use crate::eval::{Hit, evaluate};

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
    fn a_lazy_frame_shows_its_columns_and_plan_without_computing() {
        let lazy = df!("n" => [1i64, 2]).unwrap().lazy().filter(col("n").gt(1));
        let html = html(&lazy);
        assert!(html.contains("n: i64") && html.contains("FILTER") && html.contains("&gt;"), "{html}");
        let broken = df!("n" => [1i64]).unwrap().lazy().select([col("missing")]);
        assert!(broken.bundle().data["text/plain"].as_str().unwrap().contains("missing"));
    }

    #[test]
    fn data_sets_have_a_caption() {
        let corpus = Corpus::new(df!("doc_id" => ["d1"], "text" => ["t"]).unwrap()).unwrap();
        let queries = Queries::new(df!("query_id" => ["q1", "q2"], "text" => ["t", "u"]).unwrap()).unwrap();
        let training = TrainingSet::new(df!("query" => ["q"; 1000], "positive" => ["p"; 1000]).unwrap()).unwrap();
        let mut qrels = Qrels::new();
        qrels.insert("q1", "d1", 1);
        qrels.insert("q1", "d2", 0);
        let mut run = Run::new();
        run.insert("q1", vec![Hit { doc_id: "d1".to_owned(), score: 1.0 }]);
        let shown: [(&dyn Show, &str); 5] = [
            (&corpus, "Corpus: 1 document"),
            (&queries, "Queries: 2 queries"),
            (&training, "TrainingSet: 1,000 examples"),
            (&qrels, "Qrels: 2 judgements for 1 query"),
            (&run, "Run: 1 hit for 1 query"),
        ];
        for (value, caption) in shown {
            assert!(html(value).starts_with(&format!("<div><b>{caption}</b></div><div")), "{caption}");
            assert!(value.bundle().data["text/plain"].as_str().unwrap().starts_with(&format!("{caption}\nshape: (")));
        }
        let report = evaluate(&qrels, &run, &["nDCG@10", "P@4"]).unwrap();
        assert_eq!(report.bundle().data["text/plain"], report.to_string());
        let html = html(&report);
        assert!(
            html.contains("means over 1 query") && html.contains(">P@4</td>") && html.contains(">0.25</td>"),
            "{html}"
        );
    }
}
