//! Values and gradients of the losses against sentence-transformers, and what holds for all of them.

mod csr;
mod golden;
mod layers;
mod pairs;
mod properties;

use kensaku::loss::{
    AnglE, BatchAllTriplet, BatchHardSoftMarginTriplet, BatchHardTriplet, BatchSemiHardTriplet, ContrastiveTension,
    ContrastiveTensionInBatchNegatives, Direction, Distance, Flops, Loss, MarginMSE, MegaBatchMargin,
    MultipleNegativesRanking, OnlineContrastive, Partition, Similarity, Softmax, Triplet,
};
use serde_json::Value;

use crate::shared::{Trials, test};

/// A loss with the parameters of a case.
type Make = fn(&Value) -> Box<dyn Loss>;

pub fn trials() -> Trials {
    let golden: Vec<(&str, usize, Make)> = vec![
        ("multiple_negatives_ranking", 16, |params| Box::new(golden::mnrl(params))),
        ("cached_multiple_negatives_ranking", 16, |params| Box::new(golden::mnrl(params))),
        ("multiple_negatives_symmetric_ranking", 2, |_| Box::new(symmetric())),
        ("gist_embed", 9, |params| Box::new(golden::gist(params))),
        ("cached_gist_embed", 10, |params| Box::new(golden::gist(params))),
        ("cosent", 5, |params| Box::new(golden::cosent(params))),
        ("angle", 6, |params| Box::new(AnglE { scale: golden::number(params, "scale", 20.0) })),
        ("cosine_similarity", 3, golden::cosine_similarity),
        ("contrastive", 5, |params| Box::new(golden::contrastive(params))),
        ("online_contrastive", 5, |params| {
            Box::new(OnlineContrastive {
                distance: golden::distance(params, Distance::Cosine),
                margin: golden::number(params, "margin", 0.5),
            })
        }),
        ("triplet", 4, |params| {
            let margin = golden::number(params, "triplet_margin", Triplet::default().margin);
            Box::new(Triplet { distance: golden::distance(params, Distance::Euclidean), margin })
        }),
        ("batch_all_triplet", 4, |params| {
            let margin = golden::number(params, "margin", 5.0);
            Box::new(BatchAllTriplet { distance: golden::distance(params, Distance::Euclidean), margin })
        }),
        ("batch_hard_triplet", 4, |params| {
            let margin = golden::number(params, "margin", 5.0);
            Box::new(BatchHardTriplet { distance: golden::distance(params, Distance::Euclidean), margin })
        }),
        ("batch_semi_hard_triplet", 4, |params| {
            let margin = golden::number(params, "margin", 5.0);
            Box::new(BatchSemiHardTriplet { distance: golden::distance(params, Distance::Euclidean), margin })
        }),
        ("batch_hard_soft_margin_triplet", 2, |params| {
            Box::new(BatchHardSoftMarginTriplet { distance: golden::distance(params, Distance::Euclidean) })
        }),
        ("mega_batch_margin", 4, |params| {
            Box::new(MegaBatchMargin {
                positive_margin: golden::number(params, "positive_margin", 0.8),
                negative_margin: golden::number(params, "negative_margin", 0.3),
            })
        }),
        ("mse_and_embed_distill", 6, golden::distillation),
        ("margin_mse", 5, |params| Box::new(MarginMSE { similarity: golden::similarity(params, Similarity::Dot) })),
        ("distill_kl_div", 5, |params| Box::new(golden::kl_div(params))),
        ("global_orthogonal_regularization", 4, |params| Box::new(golden::orthogonal(params))),
        ("matryoshka", 7, golden::matryoshka),
        ("softmax", 3, |params| {
            let flag = |name: &str, default| params[name].as_bool().unwrap_or(default);
            Box::new(Softmax {
                vectors: flag("concatenation_sent_rep", true),
                product: flag("concatenation_sent_multiplication", false),
                ..Softmax::new(3)
            })
        }),
        ("contrastive_tension", 3, |params| match params["scale"].as_f64() {
            None => Box::new(ContrastiveTension),
            Some(scale) => Box::new(ContrastiveTensionInBatchNegatives { scale }),
        }),
    ];
    let mut trials = pairs::trials();
    let dense: Trials = golden
        .into_iter()
        .map(|(name, count, loss)| {
            test(&format!("losses::{name}"), move || assert_eq!(golden::cases(&format!("dense_{name}"), loss), count))
        })
        .collect();
    trials.extend(dense);
    trials.extend(layers::trials());
    let sparse: [(&str, usize, Make); 4] = [
        ("flops", 2, |params| {
            let threshold = params["threshold"].as_u64().map(|threshold| threshold as usize);
            Box::new(Flops { threshold })
        }),
        ("splade", 9, |params| Box::new(golden::splade(params))),
        ("cached_splade", 9, |params| Box::new(golden::splade(params))),
        ("inner_losses", 9, |params| golden::sparse(&params["class"], params)),
    ];
    trials.extend(sparse.map(|(name, count, loss)| {
        let run = move || assert_eq!(golden::cases(&format!("sparse_{name}"), loss), count);
        test(&format!("losses::sparse_{name}"), run)
    }));
    trials.extend([
        test("losses::sparse_csr", csr::golden),
        test("losses::sparse_csr_counts_silence", csr::silence),
        test("losses::settings_are_checked", properties::settings),
        test("losses::refuse_batches_that_cannot_be", properties::odd_batches),
        test("losses::are_finite_for_a_single_example", properties::single),
        test("losses::sums_are_sums_of_their_terms", properties::sums),
        test("losses::gradients_are_slopes", properties::slopes),
    ]);
    trials
}

fn symmetric() -> MultipleNegativesRanking {
    MultipleNegativesRanking {
        directions: vec![Direction::QueryToDoc, Direction::DocToQuery],
        partition: Partition::PerDirection,
        ..Default::default()
    }
}
