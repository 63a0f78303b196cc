//! Measures against pytrec_eval and against trec_eval's own test files.

use std::path::{Path, PathBuf};

use crate::golden::{self, json};
use crate::shared::{Trials, shared, test};
use kensaku::Result;
use kensaku::data::Qrels;
use kensaku::eval::{EvalConfig, Measure, Report, Run, evaluate_with};

const TOLERANCE: f64 = 1e-6;

pub fn trials() -> Trials {
    vec![
        test("metrics::pytrec_eval", || pytrec_eval().unwrap()),
        shared("metrics::trec_eval", "data/trec_eval/test", |folder| trec_eval(&folder).unwrap()),
        test("metrics::files", || a_run_and_judgements_survive_their_files().unwrap()),
        test("metrics::lines_of_files", what_is_wrong_in_a_file_is_named_with_its_line),
        test("metrics::report", || a_report_says_what_it_does_not_hold().unwrap()),
    ]
}

/// The name we have for a measure of trec_eval, if we have it: without the parser, which takes trec_eval's, too.
fn our_name(trec: &str) -> Option<String> {
    let cut = |prefix: &str| trec.strip_prefix(prefix).and_then(|k| k.parse::<usize>().ok());
    match trec {
        "map" => return Some("AP".to_owned()),
        "recip_rank" => return Some("RR".to_owned()),
        "ndcg" => return Some("nDCG".to_owned()),
        _ => {}
    }
    let families = [("P_", "P"), ("recall_", "R"), ("map_cut_", "AP"), ("ndcg_cut_", "nDCG"), ("success_", "Success")];
    families.iter().find_map(|(prefix, ours)| Some(format!("{ours}@{}", cut(prefix)?)))
}

fn fixture(name: &str) -> PathBuf {
    golden::fixture("metrics").join(name)
}

fn close(report: &Report, measure: &str, query_id: Option<&str>, expected: f64) -> Result<()> {
    let value = match query_id {
        None => report.mean(measure)?,
        Some(query_id) => {
            let row = report.query_ids().iter().position(|id| id == query_id).expect("an evaluated query");
            report.per_query(measure)?[row]
        }
    };
    assert!((value - expected).abs() <= TOLERANCE, "{measure} of {query_id:?}: {value}, expected {expected}");
    Ok(())
}

/// Every value of the three runs at relevance levels 1 and 2, and both kinds of mean. The runs hold
/// long ties, scores that differ only beyond single precision, negative grades, judged queries
/// without relevant documents, queries that one side lacks.
fn pytrec_eval() -> Result<()> {
    let golden = json(&fixture("pytrec_eval.json"));
    let qrels = Qrels::read_trec(fixture("qrels.txt"))?;
    let mut compared = 0;
    for (name, expected) in golden["runs"].as_object().unwrap() {
        let (run, relevance_level) = name.rsplit_once("_level").unwrap();
        let run = Run::read_trec(fixture(&format!("{run}.txt")))?;
        let config = EvalConfig { relevance_level: relevance_level.parse().unwrap(), all_queries: false };
        let names: Vec<&String> = expected["mean"].as_object().unwrap().keys().collect();
        let ours: Vec<String> = names.iter().map(|name| our_name(name).unwrap()).collect();
        let both = evaluate_with(&qrels, &run, &ours, &config)?;
        let all = evaluate_with(&qrels, &run, &ours, EvalConfig { all_queries: true, ..config })?;
        let queries: Vec<&str> =
            expected["queries"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        assert_eq!(both.query_ids(), queries);
        for (trec, ours) in names.into_iter().zip(&ours) {
            assert_eq!(trec.parse::<Measure>()?.to_string(), *ours);
            close(&both, ours, None, expected["mean"][trec].as_f64().unwrap())?;
            close(&all, ours, None, expected["mean_all_qrels"][trec].as_f64().unwrap())?;
            for query_id in &queries {
                close(&both, ours, Some(query_id), expected["per_query"][query_id][trec].as_f64().unwrap())?;
                compared += 1;
            }
        }
    }
    // 43 measures, 2 levels, 38 + 38 + 39 queries.
    assert_eq!(compared, 43 * 2 * 115);
    Ok(())
}

/// The files of trec_eval's own quick test, to the four decimals they print.
fn trec_eval(folder: &Path) -> Result<()> {
    let default = EvalConfig::default;
    for (expected, qrels, run, config, at_least) in [
        ("out.test", "qrels.test", "results.test", default(), 11),
        ("out.comment.test", "qrels.comment.test", "results.comment.test", default(), 11),
        // Of the documents whose lines changed none is relevant.
        ("out.test", "qrels.test.with-comments", "results.test", default(), 11),
        ("out.test.aq", "qrels.test", "results.test", default(), 160),
        ("out.test.aqc", "qrels.test", "results.trunc", EvalConfig { all_queries: true, ..default() }, 160),
        ("out.test.aql", "qrels.rel_level", "results.test", EvalConfig { relevance_level: 2, ..default() }, 160),
    ] {
        let qrels = Qrels::read_trec(folder.join(qrels))?;
        let run = Run::read_trec(folder.join(run))?;
        let mut compared = 0;
        for line in std::fs::read_to_string(folder.join(expected)).unwrap().lines() {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let Some(measure) = our_name(columns[0]) else { continue };
            let report = evaluate_with(&qrels, &run, &[&measure], &config)?;
            let value = match columns[1] {
                "all" => report.mean(&measure)?,
                query => report.per_query(&measure)?[report.query_ids().iter().position(|id| id == query).unwrap()],
            };
            assert_eq!(format!("{value:.4}"), columns[2], "{expected}: {line}");
            compared += 1;
        }
        assert!(compared >= at_least, "{expected}: only {compared} values");
    }
    Ok(())
}

fn a_run_and_judgements_survive_their_files() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::read_trec(fixture("run_b.txt"))?;
    let path = folder.path().join("run.txt");
    run.write_trec(&path, "again")?;
    assert_eq!(Run::read_trec(&path)?, run);
    assert_eq!(run.top(3).iter().map(|(_, hits)| hits.len()).max(), Some(3));
    let frame = run.frame()?;
    assert_eq!(frame.height(), run.iter().map(|(_, hits)| hits.len()).sum::<usize>());

    let qrels = Qrels::read_trec(fixture("qrels.txt"))?;
    assert_eq!(Qrels::from_frame(&qrels.frame()?)?, qrels);
    Ok(())
}

fn what_is_wrong_in_a_file_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.txt");
    let run = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Run::read_trec(&path).unwrap_err().to_string().replace(path.to_str().unwrap(), "FILE")
    };
    let expected = "expected `query_id Q0 doc_id rank score tag`";
    assert_eq!(run("q Q0 a 1 0.5 t\n\nq Q0 b 2 0.4"), format!("line 3 of FILE: 5 columns; {expected}"));
    assert_eq!(run("q Q0 a 1 high t"), format!("line 1 of FILE: the score is `high`; {expected}"));
    assert_eq!(run("q Q0 a 1 NaN t"), format!("line 1 of FILE: the score is `NaN`; {expected}"));
    assert_eq!(
        run("q Q0 a 1 0.5 t\nr Q0 a 1 0.5 t\nq Q0 a 2 0.4 t"),
        format!("line 3 of FILE: duplicate document `a` for query `q`; {expected}")
    );

    let qrels = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Qrels::read_trec(&path).unwrap_err().to_string().replace(path.to_str().unwrap(), "FILE")
    };
    let expected = "expected `query_id 0 doc_id grade`";
    assert_eq!(qrels("# comment\nq 0 a"), format!("line 2 of FILE: 3 columns; {expected}"));
    assert_eq!(qrels("q 0 a 1.5"), format!("line 1 of FILE: the grade is `1.5`; {expected}"));
    assert_eq!(qrels("q Q0 a 1 0.5 t"), format!("line 1 of FILE: a fifth column `0.5`; {expected}"));
    assert_eq!(
        qrels("q 0 a 1\nq 0 a 0"),
        format!("line 2 of FILE: document `a` is judged twice for query `q`; {expected}")
    );
    assert!(Run::read_trec(folder.path().join("missing")).unwrap_err().to_string().contains("missing"));
}

fn a_report_says_what_it_does_not_hold() -> Result<()> {
    let qrels = Qrels::read_trec(fixture("qrels.txt"))?;
    let run = Run::read_trec(fixture("run_b.txt"))?;
    let report = evaluate_with(&qrels, &run, &["nDCG@10", "RR"], EvalConfig::default())?;
    let message = report.mean("AP").unwrap_err().to_string();
    assert_eq!(message, "`AP` was not evaluated; this report holds nDCG@10, RR");
    assert_eq!(report.per_query("mrr")?, report.per_query("RR")?);
    assert_eq!(report.mean("MAP").unwrap_err().to_string(), message);
    assert!(report.per_query("MAPS").unwrap_err().to_string().starts_with("unknown measure `MAPS`"));
    assert_eq!(report.measures(), ["nDCG@10".parse::<Measure>()?, "RR".parse()?]);
    let nothing = evaluate_with(&qrels, &run, &[] as &[&str], EvalConfig::default()).unwrap_err().to_string();
    assert_eq!(nothing, "measures = []: expected at least one, such as `nDCG@10`");
    let mut broken = Run::new();
    let query_id = &report.query_ids()[0];
    broken.insert(query_id, [("a", f64::NAN)]);
    let error = evaluate_with(&qrels, &broken, &["RR"], EvalConfig::default()).unwrap_err().to_string();
    assert_eq!(error, format!("score = NaN of document `a` for query `{query_id}`: expected a number"));
    let frame = report.frame()?;
    assert_eq!(frame.get_column_names(), ["query_id", "nDCG@10", "RR"]);
    assert_eq!(frame.height(), report.query_ids().len());
    Ok(())
}
