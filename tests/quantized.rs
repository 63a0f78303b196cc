//! Quantised embeddings, similarities, exact search and what is built on it against sentence-transformers.

use candle_core::{Device, Tensor};
use kensaku::index::{
    CommunityConfig, FlatIndex, ParaphraseConfig, community_detection, paraphrase_mining, semantic_search,
};
use kensaku::loss::{Similarity, cosine, dot};
use kensaku::model::{Codes, Embeddings, Quantization, Ranges};
use safetensors::{Dtype, SafeTensors};

use crate::golden::{Tensors, distance, fixture, floats, json, within};
use crate::shared::{Trials, test};

pub fn trials() -> Trials {
    vec![
        test("quantized::values_equal_sentence_transformers", values),
        test("quantized::similarities_equal_sentence_transformers", similarities),
        test("quantized::exact_search_equals_semantic_search", search),
        test("quantized::exact_search_by_distance", nearest),
        test("quantized::paraphrases_equal_sentence_transformers", paraphrases),
        test("quantized::communities_equal_sentence_transformers", communities),
    ]
}

fn values() {
    let bytes = std::fs::read(fixture("quantization/quantize.safetensors")).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |name: &str| {
        let view = stored.tensor(name).unwrap();
        let numbers = view.data().chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap()));
        Tensor::from_vec(numbers.collect::<Vec<_>>(), view.shape(), &Device::Cpu).unwrap()
    };
    let (x, calibration, ranges) = (tensor("embeddings"), tensor("calibration_embeddings"), tensor("ranges"));
    let ranges = ranges.to_vec2::<f32>().unwrap();
    let ranges = Ranges { min: ranges[0].clone(), max: ranges[1].clone() };
    let calibrated = Ranges::of(&calibration).unwrap();
    assert_eq!(calibrated, ranges);
    let ids = (0..40).map(|row| row.to_string()).collect();
    let embeddings = Embeddings::new(ids, x.clone()).unwrap();
    let first = Embeddings::new(embeddings.ids.clone(), x.narrow(1, 0, 16).unwrap()).unwrap();
    let cases: [(&str, &Embeddings, Quantization, Option<&Ranges>); 9] = [
        ("int8.from_ranges", &embeddings, Quantization::Int8, Some(&ranges)),
        ("int8.from_calibration", &embeddings, Quantization::Int8, Some(&calibrated)),
        ("int8.from_batch", &embeddings, Quantization::Int8, None),
        ("uint8.from_ranges", &embeddings, Quantization::Uint8, Some(&ranges)),
        ("uint8.from_calibration", &embeddings, Quantization::Uint8, Some(&calibrated)),
        ("uint8.from_batch", &embeddings, Quantization::Uint8, None),
        ("binary", &embeddings, Quantization::Binary, None),
        ("ubinary", &embeddings, Quantization::Ubinary, None),
        ("binary_dim_16", &first, Quantization::Binary, None),
    ];
    for (name, embeddings, quantization, ranges) in cases {
        let found = embeddings.quantized(quantization, ranges).unwrap();
        let expected = stored.tensor(name).unwrap();
        assert_eq!(expected.shape(), [found.len(), found.width], "{name}");
        let found: Vec<i16> = match (&found.codes, expected.dtype()) {
            (Codes::I8(codes), Dtype::I8) => codes.iter().map(|code| i16::from(*code as u8)).collect(),
            (Codes::U8(codes), Dtype::U8) => codes.iter().map(|code| i16::from(*code)).collect(),
            other => panic!("{name}: {other:?}"),
        };
        let different = found.iter().zip(expected.data()).filter(|(a, b)| **a != i16::from(**b)).count();
        // Exact: the arithmetic is that of numpy, step by step.
        assert_eq!(different, 0, "{name}: {different} of {}", found.len());
    }
    let same = embeddings.quantized(Quantization::F32, None).unwrap();
    assert_eq!((same.codes, same.width), (Codes::F32(floats(&x)), 24));
}

fn similarities() {
    let tensors = Tensors::read(&fixture("quantization/similarity.safetensors"));
    let (a, b) = (tensors.tensor("a"), tensors.tensor("b"));
    for (similarity, all, pairs) in [
        (Similarity::Cosine, "cos_sim", "pairwise_cos_sim"),
        (Similarity::Dot, "dot_score", "pairwise_dot_score"),
        (Similarity::Euclidean, "euclidean_sim", "pairwise_euclidean_sim"),
        (Similarity::Manhattan, "manhattan_sim", "pairwise_manhattan_sim"),
    ] {
        within(all, distance(&floats(&similarity.of(a, b).unwrap()), &tensors.floats(all)), 1e-5);
        let own = similarity.pairwise(&a.narrow(0, 0, 5).unwrap(), b).unwrap();
        within(pairs, distance(&floats(&own), &tensors.floats(pairs)), 1e-5);
        let name = serde_json::to_value(similarity).unwrap();
        assert_eq!(serde_json::from_value::<Similarity>(name).unwrap(), similarity);
        assert!(similarity.of(a, &b.narrow(1, 0, 4).unwrap()).is_err());
    }
    assert_eq!(serde_json::to_value(Similarity::Euclidean).unwrap(), "euclidean");
}

fn embeddings(vectors: &Tensor) -> Embeddings {
    // Ids whose order is that of the rows.
    Embeddings::new((0..vectors.dim(0).unwrap()).map(|row| format!("{row:03}")).collect(), vectors.clone()).unwrap()
}

fn search() {
    let tensors = Tensors::read(&fixture("quantization/search.safetensors"));
    let (corpus, queries) = (embeddings(tensors.tensor("corpus")), embeddings(tensors.tensor("queries")));
    for case in json(&fixture("quantization/search.json"))["semantic_search"].as_array().unwrap() {
        let dots = case["score_function"] == "dot_score";
        let similarity = if dots { Similarity::Dot } else { Similarity::Cosine };
        let index = FlatIndex::new(corpus.clone(), similarity).unwrap();
        let top_k = case["top_k"].as_u64().unwrap() as usize;
        let run = index.search(&queries, top_k).unwrap();
        let rows = semantic_search(&queries.vectors, &corpus.vectors, top_k, similarity).unwrap();
        for (query, expected) in case["hits"].as_array().unwrap().iter().enumerate() {
            let hits = run.hits(&format!("{query:03}"));
            let same = hits.iter().map(|hit| (hit.doc_id.parse().unwrap(), hit.score as f32));
            assert!(rows[query].iter().map(|hit| (hit.index, hit.score)).eq(same));
            assert_eq!(hits.len(), expected.as_array().unwrap().len());
            for (hit, expected) in hits.iter().zip(expected.as_array().unwrap()) {
                assert_eq!(hit.doc_id, format!("{:03}", expected["corpus_id"].as_u64().unwrap()));
                assert!((hit.score - expected["score"].as_f64().unwrap()).abs() < 1e-5);
            }
        }
    }
    // The functions of their own names.
    let (a, b) = (tensors.tensor("queries"), tensors.tensor("corpus"));
    assert_eq!(floats(&dot(a, b).unwrap()), floats(&Similarity::Dot.of(a, b).unwrap()));
    assert_eq!(floats(&cosine(a, b).unwrap()), floats(&Similarity::Cosine.of(a, b).unwrap()));
}

fn nearest() {
    let tensors = Tensors::read(&fixture("quantization/search.safetensors"));
    let (a, b) = (tensors.tensor("queries"), tensors.tensor("corpus"));
    let (queries, corpus) = (embeddings(a), embeddings(b));
    for similarity in [Similarity::Euclidean, Similarity::Manhattan] {
        let scores = similarity.of(a, b).unwrap().to_vec2::<f32>().unwrap();
        let run = FlatIndex::new(corpus.clone(), similarity).unwrap().search(&queries, 7).unwrap();
        for (query, scores) in scores.iter().enumerate() {
            let mut order: Vec<usize> = (0..scores.len()).collect();
            order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
            let hits = run.hits(&format!("{query:03}"));
            let expected: Vec<String> = order[..7].iter().map(|row| format!("{row:03}")).collect();
            assert_eq!(hits.doc_ids().collect::<Vec<_>>(), expected);
            assert!(hits.iter().all(|hit| hit.score <= 0.0));
        }
    }
}

fn paraphrases() {
    let tensors = Tensors::read(&fixture("quantization/search.safetensors"));
    for case in json(&fixture("quantization/search.json"))["paraphrase_mining"].as_array().unwrap() {
        let number = |name: &str| case[name].as_u64().unwrap() as usize;
        let config = ParaphraseConfig { top_k: number("top_k"), max_pairs: number("max_pairs"), ..Default::default() };
        let found = paraphrase_mining(tensors.tensor("corpus"), config).unwrap();
        let expected = case["pairs"].as_array().unwrap();
        assert_eq!(found.len(), expected.len());
        for (pair, expected) in found.iter().zip(expected) {
            let rows = [1, 2].map(|place| expected[place].as_u64().unwrap() as usize);
            assert_eq!([pair.first, pair.second], rows);
            assert!((f64::from(pair.score) - expected[0].as_f64().unwrap()).abs() < 1e-6);
        }
    }
}

fn communities() {
    let tensors = Tensors::read(&fixture("quantization/search.safetensors"));
    for case in json(&fixture("quantization/search.json"))["community_detection"].as_array().unwrap() {
        let config = CommunityConfig {
            threshold: case["threshold"].as_f64().unwrap() as f32,
            min_community_size: case["min_community_size"].as_u64().unwrap() as usize,
        };
        let found = community_detection(tensors.tensor("corpus"), config).unwrap();
        assert_eq!(serde_json::to_value(found).unwrap(), case["communities"]);
    }
}
