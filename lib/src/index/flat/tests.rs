use candle_core::Device;
use proptest::prelude::*;

use super::*;
use crate::eval::Hit;
use crate::loss::Similarity;

fn embeddings(rows: &[[f32; 2]]) -> Embeddings {
    let ids = (0..rows.len()).map(|row| format!("e{row}")).collect();
    let vectors = Tensor::from_slice(rows.as_flattened(), (rows.len(), 2), &Device::Cpu).unwrap();
    Embeddings::new(ids, vectors).unwrap()
}

#[test]
fn vectors_without_a_meaning_are_named() {
    for (similarity, odd) in [
        (Similarity::Cosine, f32::NAN),
        (Similarity::Cosine, f32::INFINITY),
        (Similarity::Cosine, 1e20),
        (Similarity::Dot, f32::NAN),
        (Similarity::Dot, f32::NEG_INFINITY),
        (Similarity::Euclidean, 1e20),
        (Similarity::Manhattan, f32::INFINITY),
    ] {
        let (good, bad) = (embeddings(&[[1.0, 0.0], [0.0, 1.0]]), embeddings(&[[1.0, 0.0], [0.5, odd]]));
        let message = FlatIndex::new(bad.clone(), similarity).unwrap_err().to_string();
        assert!(message.starts_with("the vector of document `e1` is not finite"), "{message}");
        let message = FlatIndex::new(good, similarity).unwrap().search(&bad, 2).unwrap_err().to_string();
        assert!(message.starts_with("the vector of query `e1` is not finite"), "{message}");
    }
}

#[test]
fn a_score_that_is_too_large_is_a_hit() {
    let index = FlatIndex::new(embeddings(&[[1e20, 1e20], [1.0, 1.0]]), Similarity::Dot).unwrap();
    let run = index.search(&embeddings(&[[1e20, 1.0]]), 2).unwrap();
    assert_eq!(run.hits("e0").get(0), Some(Hit { doc_id: "e0", score: f64::INFINITY }));
}

#[test]
fn ids_that_were_changed_are_an_error() {
    let mut same = embeddings(&[[1.0, 0.0], [0.0, 1.0]]);
    same.ids[1] = "e0".to_owned();
    let message = FlatIndex::new(same, Similarity::Dot).unwrap_err().to_string();
    assert_eq!(message, "embeddings: duplicate text id `e0` (rows 0 and 1)");
    let mut changed = embeddings(&[[1.0, 0.0], [0.0, 1.0]]);
    changed.ids.push("one more".to_owned());
    let index = FlatIndex::new(embeddings(&[[1.0, 0.0]]), Similarity::Dot).unwrap();
    for error in [index.search(&changed, 1).unwrap_err(), FlatIndex::new(changed, Similarity::Dot).unwrap_err()] {
        assert!(error.to_string().contains("[2, 2] for 3 ids"), "{error}");
    }
}

fn config() -> impl Strategy<Value = FlatConfig> {
    use FlatPrecision::{Binary, F16, F32, Int8};
    let precisions = [
        (F32, None),
        (F16, None),
        (F16, Some(F32)),
        (Int8, None),
        (Int8, Some(F16)),
        (Binary, None),
        (Binary, Some(Int8)),
        (Binary, Some(F32)),
    ];
    let similarity = prop_oneof![
        Just(Similarity::Cosine),
        Just(Similarity::Dot),
        Just(Similarity::Euclidean),
        Just(Similarity::Manhattan),
    ];
    // Enough candidates for the exact best, or none.
    let multiplier = prop_oneof![Just(0_usize), Just(usize::MAX)];
    let config = (similarity, prop::sample::select(precisions.to_vec()), multiplier);
    config.prop_map(|(similarity, (precision, rescore_with), rescore_multiplier)| FlatConfig {
        similarity: if precision == Binary && similarity != Similarity::Dot { Similarity::Cosine } else { similarity },
        precision,
        rescore_multiplier,
        rescore_with,
    })
}

proptest! {
    #[test]
    fn hits_are_the_best_by_the_numbers_that_are_kept(
        (rows, queries, dim) in (0..700_usize, 1..5_usize, 1..140_usize),
        k in 1..20_usize,
        seed in any::<u64>(),
        config in config(),
    ) {
        let mut rng = crate::random::Philox::new(seed);
        let mut embeddings = |rows: usize| {
            let numbers: Vec<f32> = (0..rows * dim).map(|_| rng.uniform() as f32 - 0.5).collect();
            let ids = (0..rows).map(|row| format!("{row:04}")).collect();
            Embeddings::new(ids, Tensor::from_vec(numbers, (rows, dim), &Device::Cpu).unwrap()).unwrap()
        };
        let (docs, asked) = (embeddings(rows), embeddings(queries));
        let index = FlatIndex::new(docs.clone(), config).unwrap();
        let run = index.search(&asked, k).unwrap();

        let rescored = config.rescore_multiplier > 0;
        let kept = config.rescore_with.filter(|_| rescored).unwrap_or(config.precision);
        let numbers = |vectors: &Tensor, precision| {
            let mut numbers = Vec::new();
            Vectors::new(vectors, precision).unwrap().decode(0..vectors.dim(0).unwrap(), &mut numbers);
            if precision == FlatPrecision::Binary && config.similarity == Similarity::Cosine {
                numbers.iter_mut().for_each(|number| *number /= (dim as f32).sqrt());
            }
            Tensor::from_vec(numbers, vectors.shape(), &Device::Cpu).unwrap()
        };
        let signs_alone = config.precision == FlatPrecision::Binary && !rescored;
        let query_precision = if signs_alone { FlatPrecision::Binary } else { FlatPrecision::F32 };
        let asked = numbers(&prepare("query", &asked, config.similarity).unwrap(), query_precision);
        let docs = numbers(&prepare("document", &docs, config.similarity).unwrap(), kept);
        // Numbers of a byte are no rows of length 1: compared as they are.
        let similarity = if config.similarity == Similarity::Cosine { Similarity::Dot } else { config.similarity };
        let scores = similarity.of(&asked, &docs).unwrap().to_vec2::<f32>().unwrap();
        for (query, scores) in scores.iter().enumerate() {
            let hits = run.hits(&format!("{query:04}"));
            let mut best = scores.clone();
            best.sort_by(|a, b| b.total_cmp(a));
            prop_assert_eq!(hits.len(), k.min(rows));
            for (hit, best) in hits.iter().zip(best) {
                let own = f64::from(scores[hit.doc_id.parse::<usize>().unwrap()]);
                prop_assert!((hit.score - own).abs() < 1e-4, "{} {own}", hit.score);
                prop_assert!((hit.score - f64::from(best)).abs() < 1e-4, "{} {best}", hit.score);
            }
        }
    }
}

#[test]
fn settings_that_do_not_go_together() {
    let message = |config: FlatConfig| FlatIndex::new(embeddings(&[[1.0, 0.0]]), config).unwrap_err().to_string();
    let binary = FlatConfig { precision: FlatPrecision::Binary, ..Similarity::Euclidean.into() };
    assert_eq!(
        message(binary),
        "similarity = Euclidean: expected cosine or dot product, as signs tell nothing of a distance"
    );
    let coarser =
        FlatConfig { precision: FlatPrecision::F16, rescore_with: Some(FlatPrecision::Int8), ..Default::default() };
    assert_eq!(message(coarser), "rescore_with = Int8: expected a precision above F16, that of the index");
}
