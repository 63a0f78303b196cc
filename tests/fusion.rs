//! Fusion of runs against ranx.

use kensaku::eval::{Fusion, FusionConfig, Normalization, Run, fuse};

use crate::golden::{fixture, json};
use crate::shared::{Trials, test};

pub fn trials() -> Trials {
    vec![test("fusion::scores_equal_ranx", ranx)]
}

fn ranx() {
    let golden = json(&fixture("metrics/ranx_fusion.json"));
    let mut runs = Vec::new();
    for run in golden["runs"].as_object().unwrap().values() {
        let mut own = Run::new();
        for (query_id, hits) in run.as_object().unwrap() {
            own.insert(query_id, hits.as_object().unwrap().iter().map(|(id, score)| (id, score.as_f64().unwrap())));
        }
        runs.push(own);
    }
    let mut compared = 0;
    for case in golden["cases"].as_array().unwrap() {
        let normalization = match case["norm"].as_str() {
            Some("min-max") => Normalization::MinMax,
            Some("zmuv") => Normalization::ZScore,
            _ => Normalization::None,
        };
        let method = match case["method"].as_str().unwrap() {
            "rrf" => Fusion::ReciprocalRank { k: case["params"]["k"].as_f64().unwrap() },
            _ => Fusion::Scores(normalization),
        };
        let weights = case["params"]["weights"].as_array().into_iter().flatten();
        let weights = weights.map(|weight| weight.as_f64().unwrap()).collect();
        let fused = fuse(&runs.iter().collect::<Vec<_>>(), FusionConfig { method, weights }).unwrap();
        for (query_id, expected) in case["fused"].as_object().unwrap() {
            let (hits, expected) = (fused.hits(query_id), expected.as_object().unwrap());
            assert_eq!(hits.len(), expected.len());
            for hit in hits {
                let expected = expected[hit.doc_id].as_f64().unwrap();
                assert!((hit.score - expected).abs() < 1e-6, "{case}: {} {expected}", hit.score);
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 7 * 408);
}
