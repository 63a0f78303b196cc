use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;

use super::*;
use crate::random::Philox;

/// Random rows of texts of these lengths.
fn texts(lengths: &[usize], width: usize, seed: u64, dtype: DType) -> (Var, Vec<usize>) {
    let mut rng = Philox::new(seed);
    let mut bounds = vec![0];
    lengths.iter().for_each(|length| bounds.push(bounds[bounds.len() - 1] + length));
    let rows = bounds[lengths.len()];
    let values: Vec<f64> = (0..rows * width).map(|_| rng.normal()).collect();
    let tensor = Tensor::from_vec(values, (rows, width), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
    (Var::from_tensor(&tensor).unwrap(), bounds)
}

/// By its definition, in candle ops.
fn by_definition(queries: &Tensor, query_bounds: &[usize], docs: &Tensor, doc_bounds: &[usize]) -> Tensor {
    let text = |rows: &Tensor, ends: &[usize]| rows.narrow(0, ends[0], ends[1] - ends[0]).unwrap();
    let mut scores = Vec::new();
    for query in query_bounds.windows(2) {
        for doc in doc_bounds.windows(2) {
            scores.push(if query[0] == query[1] || doc[0] == doc[1] {
                Tensor::zeros((), queries.dtype(), &Device::Cpu).unwrap()
            } else {
                let products = text(queries, query).matmul(&text(docs, doc).t().unwrap()).unwrap();
                products.max(1).unwrap().sum_all().unwrap()
            });
        }
    }
    let shape = (query_bounds.len() - 1, doc_bounds.len() - 1);
    Tensor::stack(&scores, 0).unwrap().reshape(shape).unwrap()
}

fn far(ours: &Tensor, theirs: &Tensor) -> f64 {
    assert_eq!(ours.dims(), theirs.dims());
    let off = (ours - theirs).unwrap().abs().unwrap().to_dtype(DType::F64).unwrap().flatten_all().unwrap();
    off.to_vec1::<f64>().unwrap().into_iter().fold(0.0, f64::max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    /// Texts of any number and length, empty ones among them, in both types.
    #[test]
    fn equals_its_definition(
        query_lengths in prop_oneof![prop::collection::vec(0..9_usize, 1..6), prop::collection::vec(60..90_usize, 3)],
        doc_lengths in prop_oneof![prop::collection::vec(0..12_usize, 1..9), prop::collection::vec(150..300_usize, 1..4)],
        width in 1..40_usize,
        seed in any::<u64>(),
    ) {
        for (dtype, limit) in [(DType::F32, 2e-3), (DType::F64, 1e-9)] {
            let (queries, query_bounds) = texts(&query_lengths, width, seed, dtype);
            let (docs, doc_bounds) = texts(&doc_lengths, width, seed ^ 1, dtype);
            let ours = max_sim(&queries, &query_bounds, &docs, &doc_bounds).unwrap();
            let theirs = by_definition(&queries, &query_bounds, &docs, &doc_bounds);
            prop_assert!(far(&ours, &theirs) < limit, "{}", far(&ours, &theirs));

            // Gradients of a random combination of all scores.
            let (upstream, _) = texts(&[query_lengths.len()], doc_lengths.len(), seed ^ 2, dtype);
            let [ours, theirs] = [&ours, &theirs].map(|scores| {
                (scores * upstream.as_tensor()).unwrap().sum_all().unwrap().backward().unwrap()
            });
            for rows in [&queries, &docs].into_iter().filter(|rows| rows.elem_count() > 0) {
                let none = rows.zeros_like().unwrap();
                let theirs = theirs.get(rows).unwrap_or(&none);
                prop_assert!(far(ours.get(rows).unwrap(), theirs) < limit);
            }
        }
    }

    /// Against the definition, for any `k`; with `k` of all tokens, the mean of what has a match.
    #[test]
    fn xtr_equals_its_definition(
        query_lengths in prop::collection::vec(0..6_usize, 1..5),
        doc_lengths in prop::collection::vec(0..9_usize, 1..7),
        k in 1..40_usize,
        seed in any::<u64>(),
    ) {
        for (dtype, limit) in [(DType::F32, 1e-4), (DType::F64, 1e-10)] {
            let (queries, query_bounds) = texts(&query_lengths, 5, seed, dtype);
            let (docs, doc_bounds) = texts(&doc_lengths, 5, seed ^ 1, dtype);
            let ours = xtr_scores(&queries, &query_bounds, &docs, &doc_bounds, k).unwrap();
            let numbers = |rows: &Tensor| rows.to_dtype(DType::F64).unwrap().to_vec2::<f64>().unwrap();
            let (q, d) = (numbers(&queries), numbers(&docs));
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let mut theirs = Vec::new();
            for query in query_bounds.windows(2) {
                for doc in doc_bounds.windows(2) {
                    let (mut sum, mut count) = (0.0, 0.0);
                    for row in &q[query[0]..query[1]] {
                        let mut order: Vec<usize> = (0..d.len()).collect();
                        order.sort_by(|a, b| dot(row, &d[*b]).total_cmp(&dot(row, &d[*a])));
                        if let Some(best) = order.into_iter().take(k).find(|token| (doc[0]..doc[1]).contains(token)) {
                            (sum, count) = (sum + dot(row, &d[best]), count + 1.0);
                        }
                    }
                    theirs.push(sum / f64::max(count, 1.0));
                }
            }
            let theirs = Tensor::from_vec(theirs, ours.dims(), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
            prop_assert!(far(&ours, &theirs) < limit);
        }
    }

    #[test]
    fn pairs_are_the_diagonal(
        lengths in prop::collection::vec((0..9_usize, 0..9_usize), 1..8),
        width in 1..20_usize,
        seed in any::<u64>(),
    ) {
        let (query_lengths, doc_lengths): (Vec<usize>, Vec<usize>) = lengths.into_iter().unzip();
        let (queries, query_bounds) = texts(&query_lengths, width, seed, DType::F32);
        let (docs, doc_bounds) = texts(&doc_lengths, width, seed ^ 1, DType::F32);
        let all = max_sim(&queries, &query_bounds, &docs, &doc_bounds).unwrap();
        let eye = Tensor::eye(query_lengths.len(), DType::F32, &Device::Cpu).unwrap();
        let diagonal = (all * eye).unwrap().sum(1).unwrap();
        let own = pairwise_max_sim(&queries, &query_bounds, &docs, &doc_bounds).unwrap();
        prop_assert!(far(&own, &diagonal) < 1e-4);
        let (upstream, _) = texts(&[1], query_lengths.len(), seed ^ 2, DType::F32);
        let upstream = upstream.squeeze(0).unwrap();
        let [ours, theirs] =
            [&own, &diagonal].map(|scores| (scores * &upstream).unwrap().sum_all().unwrap().backward().unwrap());
        for rows in [&queries, &docs].into_iter().filter(|rows| rows.elem_count() > 0) {
            prop_assert!(far(ours.get(rows).unwrap(), theirs.get(rows).unwrap()) < 1e-4);
        }
    }
}

#[test]
fn the_first_of_equal_matches_gets_the_gradient() {
    let queries = Var::new(&[[1.0f32, 0.0]], &Device::Cpu).unwrap();
    let docs = Var::new(&[[0.0f32, 1.0], [0.5, 0.0], [0.5, 3.0]], &Device::Cpu).unwrap();
    let grads = max_sim(&queries, &[0, 1], &docs, &[0, 3]).unwrap().sum_all().unwrap().backward().unwrap();
    let of_docs = grads.get(&docs).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(of_docs, [[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]);
    assert_eq!(grads.get(&queries).unwrap().to_vec2::<f32>().unwrap(), [[0.5, 0.0]]);
}

#[test]
fn what_is_not_finite_shows() {
    let rows = |value: f32| Tensor::new(&[[1.0, 0.0], [0.5, value]], &Device::Cpu).unwrap();
    for value in [f32::NAN, f32::INFINITY] {
        let bounds = [0, 1, 2];
        let scores = max_sim(&rows(0.0), &bounds, &rows(value), &bounds).unwrap().to_vec2::<f32>().unwrap();
        assert!(scores.iter().all(|row| row[0].is_finite() && row[1].is_nan()), "{scores:?}");
        let scores = xtr_scores(&rows(0.0), &bounds, &rows(value), &bounds, 1).unwrap().to_vec2::<f32>().unwrap();
        assert!(
            scores.iter().flatten().all(|score| score.is_nan()),
            "what would be retrieved is not known: {scores:?}"
        );
    }
}

#[test]
fn bounds_and_shapes_are_checked() {
    let rows = |width| Tensor::zeros((3, width), DType::F32, &Device::Cpu).unwrap();
    let error = |a: &Tensor, bounds: &[usize]| max_sim(a, bounds, &rows(2), &[0, 3]).unwrap_err().to_string();
    assert!(error(&rows(2), &[0, 2]).contains("expected 0 to 3, rising"));
    assert!(error(&rows(2), &[0, 2, 1, 3]).contains("rising"));
    assert!(error(&rows(2), &[]).contains("rising"));
    assert!(error(&rows(4), &[0, 3]).contains("rows of one width and type"));
    assert!(error(&rows(2).to_dtype(DType::U32).unwrap(), &[0, 3]).contains("f32 or f64"));
    assert!(
        pairwise_max_sim(&rows(2), &[0, 3], &rows(2), &[0, 1, 3]).unwrap_err().to_string().contains("one per query")
    );
    // No queries at all.
    let none = max_sim(&rows(2).narrow(0, 0, 0).unwrap(), &[0], &rows(2), &[0, 3]).unwrap();
    assert_eq!(none.dims(), [0, 1]);
}
