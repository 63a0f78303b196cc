//! What is shown as a table: frames, data sets, what an evaluation finds.

use polars::prelude::{Column, DataFrame, LazyFrame, Series, df};

use super::table::{TableConfig, html_of};
use super::text::{count, escape};
use super::{Message, Show};
use crate::data::{Corpus, Qrels, Queries, TrainingSet};
use crate::eval::{Report, Run};
use crate::index::{Explanation, Found};
use crate::train::Preflight;

/// A table of the first and last rows, with the type under each column's name.
impl Show for DataFrame {
    fn bundle(&self) -> Message {
        Message::text(self.to_string()).with("text/html", html(self))
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

/// The hits with their texts; of a single query, without its text in every row.
impl Show for Found {
    fn bundle(&self) -> Message {
        let message = Message::text(self.to_string());
        match self.frame() {
            Ok(frame) => {
                let frame = if self.is_of_one() { frame.drop("query").unwrap_or(frame) } else { frame };
                message.with("text/html", format!("<div><b>{}</b></div>{}", escape(&self.caption()), html(&frame)))
            }
            Err(_) => message,
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
            Ok(frame) => message.with("text/html", format!("<div><b>{caption}</b></div>{}", html(&frame))),
            Err(_) => message,
        }
    }
}

/// The terms.
impl Show for Explanation {
    fn bundle(&self) -> Message {
        let text = self.to_string();
        let caption = text.lines().next().unwrap_or_default().to_owned();
        match self.frame() {
            Ok(frame) => {
                let html = format!("<div><b>{}</b></div>{}", escape(&caption), html(&frame));
                Message::text(text).with("text/html", html)
            }
            Err(_) => Message::text(text),
        }
    }
}

/// Every check, in full.
impl Show for Preflight {
    fn bundle(&self) -> Message {
        let caption = format!("Preflight: {}", if self.passes() { "ready" } else { "not ready" });
        let message = Message::text(self.to_string());
        match self.frame() {
            Ok(frame) => message.with(
                "text/html",
                format!(
                    "<div><b>{caption}</b></div>{}",
                    html_of(&frame, &TableConfig { max_rows: usize::MAX, ..Default::default() })
                ),
            ),
            Err(_) => message,
        }
    }
}

fn captioned(caption: String, frame: &DataFrame) -> Message {
    let html = format!("<div><b>{}</b></div>{}", escape(&caption), html(frame));
    Message::text(format!("{caption}\n{frame}")).with("text/html", html)
}

fn plural(n: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(n as u64), if n == 1 { one } else { many })
}

fn html(frame: &DataFrame) -> String {
    html_of(frame, &TableConfig::default())
}

#[cfg(test)]
mod tests {
    use polars::prelude::{IntoLazy, col};

    use super::*;
    use crate::eval::evaluate;

    fn html(value: &dyn Show) -> String {
        value.bundle().data["text/html"].as_str().unwrap().to_owned()
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
        run.insert("q1", [("d1", 1.0)]);
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
