//! Batches larger than memory: GradCache and gradient accumulation give the gradient of the whole batch.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use candle_core::Tensor;
use kensaku::data::{TrainingSet, read};
use kensaku::loss::{
    self, Batch, CosineSimilarity, Difference, Direction, Distance, Hardness, Loss, MultipleNegativesRanking,
    Partition, Similarity, Triplet,
};
use kensaku::model::BiEncoder;
use kensaku::nn::{BertConfig, EncoderConfig, Memory, PackedBatch, Storage};
use kensaku::random::Philox;
use kensaku::train::{MicroBatch, TokenBatch, TrainConfig, Trainer};
use kensaku::{Error, Result, interrupt};
use polars::prelude::*;

use crate::golden::{relative_distance, within};
use crate::shared::{Trials, shared, test};
use crate::training::{config, small, words};

/// Gradients relative, losses absolute.
const EXACT: f64 = 1e-5;

pub fn trials() -> Trials {
    vec![
        test("large_batches::grad_cache_equals_the_whole_batch", || grad_cache().unwrap()),
        test("large_batches::grad_cache_equals_the_whole_batch_in_bf16", || rounded().unwrap()),
        test("large_batches::grad_cache_trains_as_the_whole_batch", || trains_alike().unwrap()),
        test("large_batches::grad_cache_holds_less", || holds_less().unwrap()),
        test("large_batches::a_broken_off_step_changes_nothing", || broken_off().unwrap()),
        test("large_batches::accumulation_equals_the_large_batch", || accumulation().unwrap()),
        test("large_batches::accumulated_steps", || accumulated_steps().unwrap()),
        minilm(),
    ]
}

fn custom(batch: &Batch) -> Result<Tensor> {
    let logits = (loss::dot(batch.queries()?, &batch.docs()?)? * 5.0)?;
    Ok((loss::log_sum_exp(&logits)? - (batch.queries()? * batch.positives()?)?.sum(1)?)?.mean(0)?)
}

type MakeLoss = Box<dyn Fn() -> Box<dyn Loss>>;

/// Every loss there is, in its settings; the first [`PER_EXAMPLE`] are means over examples.
fn every_loss() -> Vec<(&'static str, MakeLoss)> {
    let ranking = |change: fn(&mut MultipleNegativesRanking)| -> MakeLoss {
        Box::new(move || {
            let mut loss = MultipleNegativesRanking::default();
            change(&mut loss);
            Box::new(loss)
        })
    };
    let mut losses: Vec<(&'static str, MakeLoss)> = vec![
        ("cosine", Box::new(|| Box::new(CosineSimilarity::default()))),
        ("absolute", Box::new(|| Box::new(CosineSimilarity { difference: Difference::Absolute }))),
    ];
    for distance in [Distance::Cosine, Distance::Euclidean, Distance::Manhattan] {
        losses.push(("triplet", Box::new(move || Box::new(Triplet { distance, margin: 5.0 }))));
    }
    losses.extend([
        ("ranking", ranking(|_| ())),
        ("dot", ranking(|loss| (loss.similarity, loss.scale) = (Similarity::Dot, 3.0))),
        (
            "symmetric",
            ranking(|loss| {
                loss.directions = vec![Direction::QueryToDoc, Direction::DocToQuery];
                loss.partition = Partition::PerDirection;
            }),
        ),
        (
            "all directions",
            ranking(|loss| {
                let rest = [Direction::QueryToQuery, Direction::DocToQuery, Direction::DocToDoc];
                loss.directions.extend(rest);
            }),
        ),
        ("in-batch hardness", ranking(|loss| hard(loss, Hardness::InBatchNegatives))),
        ("own hardness", ranking(|loss| hard(loss, Hardness::HardNegatives))),
        ("all hardness", ranking(|loss| hard(loss, Hardness::AllNegatives))),
        ("closure", Box::new(|| Box::new(loss::custom(custom)))),
    ]);
    losses
}

fn hard(loss: &mut MultipleNegativesRanking, hardness: Hardness) {
    (loss.hardness, loss.hardness_strength) = (Some(hardness), 5.0);
}

/// The first ones of [`every_loss`] that are means over examples.
const PER_EXAMPLE: usize = 5;

/// Weights far enough from zero that embeddings differ: between vectors that are all alike, gradients cancel
/// and rounding is what is left.
fn model() -> Result<BiEncoder> {
    let model = small(&words()?, 1)?;
    let EncoderConfig::Bert(config) = model.encoder().config().clone() else { panic!("not BERT") };
    let config = BertConfig { initializer_range: 0.2, ..config };
    BiEncoder::new(config, model.tokenizer().clone(), model.config().clone(), 1)
}

/// Random tokens: queries, positives, two negatives, labels.
fn tokens(model: &BiEncoder, examples: usize) -> TokenBatch {
    let mut rng = Philox::new(3);
    let vocab = model.encoder().config().vocab_size();
    let text = |rng: &mut Philox| (0..2 + rng.below(20)).map(|_| rng.below(vocab) as u32).collect::<Vec<_>>();
    let columns = (0..4).map(|_| PackedBatch::new((0..examples).map(|_| text(&mut rng)))).collect();
    let labels: Vec<f32> = (0..examples).map(|example| example as f32 / examples as f32).collect();
    TokenBatch { columns, labels: Some(labels.into()), ..Default::default() }
}

fn part_of(batch: &TokenBatch, rows: std::ops::Range<usize>) -> TokenBatch {
    TokenBatch {
        columns: batch.columns.iter().map(|column| column.slice(rows.clone())).collect(),
        labels: batch.labels.as_ref().map(|labels| labels.rows(&rows.collect::<Vec<_>>())),
        ..Default::default()
    }
}

/// The gradient of one step and its loss.
fn gradient(model: &BiEncoder, loss: Box<dyn Loss>, config: TrainConfig, batches: &[TokenBatch]) -> Result<Gradient> {
    let mut trainer = Trainer::new(model.clone(), loss, config)?;
    let loss = trainer.accumulated_step(batches)?.loss;
    let parameters = trainer.model().encoder().parameters();
    let names = parameters.entries().iter().map(|entry| entry.name.clone());
    let grads = names.map(|name| (parameters.grad(&name).unwrap(), name)).map(|(grad, name)| (name, grad)).collect();
    Ok(Gradient { loss, grads })
}

struct Gradient {
    loss: f64,
    grads: Vec<(String, Vec<f32>)>,
}

impl Gradient {
    fn equals(&self, whole: &Self, what: &str) {
        within(&format!("{what}: loss"), (self.loss - whole.loss).abs(), EXACT);
        println!("{what}: gradient off by {:.1e}", self.distance(whole));
        within(what, self.distance(whole), EXACT);
    }

    /// The largest relative distance of a parameter's gradient; that of a key's bias is 0 but for rounding.
    fn distance(&self, other: &Self) -> f64 {
        let pairs = self.grads.iter().zip(&other.grads).filter(|((name, _), _)| !name.ends_with("key.bias"));
        pairs.map(|((_, ours), (_, theirs))| relative_distance(ours, theirs)).fold(0.0, f64::max)
    }
}

fn grad_cache() -> Result<()> {
    let model = model()?;
    let batch = [tokens(&model, 14)];
    let with = |micro_batch, dropout| TrainConfig { micro_batch, dropout, ..config() };
    for (name, loss) in every_loss() {
        let whole = gradient(&model, loss(), with(None, true), &batch)?;
        let without_dropout = gradient(&model, loss(), with(None, false), &batch)?;
        assert!(whole.distance(&without_dropout) > 100.0 * EXACT, "{name}: dropout changes the gradient");
        for micro_batch in [MicroBatch::Texts(1), MicroBatch::Texts(5), MicroBatch::Tokens(40)] {
            let parts = gradient(&model, loss(), with(Some(micro_batch), true), &batch)?;
            parts.equals(&whole, &format!("{name}, {micro_batch:?}"));
        }
    }
    Ok(())
}

/// What is rounded for the backward pass is rounded in both forward passes.
fn rounded() -> Result<()> {
    let model = model()?;
    let batch = [tokens(&model, 14)];
    let loss = || Box::new(MultipleNegativesRanking::default());
    let with = |micro_batch, storage| TrainConfig {
        micro_batch,
        memory: Memory { storage, ..Default::default() },
        ..config()
    };
    let whole = gradient(&model, loss(), with(None, Storage::Bf16), &batch)?;
    let exact = gradient(&model, loss(), with(None, Storage::F32), &batch)?;
    assert!(whole.distance(&exact) > 100.0 * EXACT, "bf16 changes the gradient");
    for micro_batch in [MicroBatch::Texts(5), MicroBatch::Tokens(40)] {
        let parts = gradient(&model, loss(), with(Some(micro_batch), Storage::Bf16), &batch)?;
        parts.equals(&whole, &format!("bf16, {micro_batch:?}"));
    }
    Ok(())
}

/// Over steps, whose dropout differs, on texts.
fn trains_alike() -> Result<()> {
    let data = words()?;
    let losses = |micro_batch| -> Result<Vec<f64>> {
        let config = TrainConfig { micro_batch, epochs: 2, ..config() };
        let mut trainer = Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config)?;
        crate::training::losses(&mut trainer, &data, usize::MAX)
    };
    let whole = losses(None)?;
    for (ours, whole) in losses(Some(MicroBatch::Tokens(50)))?.iter().zip(&whole) {
        // What rounding does to one step, ten steps amplify.
        within("loss", (ours - whole).abs(), 10.0 * EXACT);
    }
    Ok(())
}

/// The arena holds one part, however large the batch.
fn holds_less() -> Result<()> {
    let model = small(&words()?, 1)?;
    let held = |examples, micro_batch| -> Result<usize> {
        let config = TrainConfig { micro_batch, ..config() };
        let mut trainer = Trainer::new(model.clone(), MultipleNegativesRanking::default(), config)?;
        trainer.step(&tokens(&model, examples))?;
        Ok(trainer.arena_bytes())
    };
    let budget = Some(MicroBatch::Tokens(100));
    assert!(held(128, budget)? <= held(16, budget)? * 5 / 4, "bounded by the budget");
    assert!(held(128, None)? > 10 * held(128, budget)?);
    Ok(())
}

/// The user interrupts in the middle of a step of many parts: it is taken again as if nothing had been.
fn broken_off() -> Result<()> {
    let data = words()?;
    let config = || TrainConfig { micro_batch: Some(MicroBatch::Texts(5)), epochs: 2, ..config() };
    let whole = crate::training::losses(
        &mut Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config())?,
        &data,
        usize::MAX,
    )?;
    let calls = AtomicUsize::new(0);
    let loss = loss::custom(move |batch| {
        // The first step computes the loss twice: once to see whether it has parameters that nothing trains.
        interrupt::set(calls.fetch_add(1, Relaxed) == 3);
        MultipleNegativesRanking::default().loss(batch)
    });
    let mut trainer = Trainer::new(small(&data, 1)?, loss, config())?;
    let mut losses = Vec::new();
    for step in trainer.steps(&data)? {
        match step {
            Ok(step) => losses.push(step.loss),
            Err(error) => assert!(matches!(error, Error::Interrupted { .. }), "{error}"),
        }
    }
    interrupt::set(false);
    assert_eq!(losses, whole[..2]);
    losses.extend(crate::training::losses(&mut trainer, &data, usize::MAX)?);
    assert_eq!(losses, whole);
    Ok(())
}

fn accumulation() -> Result<()> {
    let model = model()?;
    let batch = tokens(&model, 14);
    // The last batch of an epoch is smaller: it weighs less.
    let parts = [part_of(&batch, 0..5), part_of(&batch, 5..10), part_of(&batch, 10..14)];
    let config = || TrainConfig { dropout: false, ..config() };
    for (index, (name, loss)) in every_loss().into_iter().enumerate() {
        let whole = gradient(&model, loss(), config(), std::slice::from_ref(&batch))?;
        let accumulated = gradient(&model, loss(), config(), &parts)?;
        if index < PER_EXAMPLE {
            accumulated.equals(&whole, name);
        } else {
            assert!(accumulated.distance(&whole) > 100.0 * EXACT, "{name} has fewer negatives");
        }
    }
    // The masks of the parts differ from each other.
    let same = [part_of(&batch, 0..5), part_of(&batch, 0..5)];
    let loss = || Box::new(CosineSimilarity::default());
    let config = || crate::training::config();
    let (twice, once) = (gradient(&model, loss(), config(), &same)?, gradient(&model, loss(), config(), &same[..1])?);
    assert!(twice.distance(&once) > 100.0 * EXACT);
    Ok(())
}

fn accumulated_steps() -> Result<()> {
    let data = words()?;
    let config = TrainConfig { accumulate: 2, epochs: 2, ..config() };
    let mut trainer = Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config)?;
    let tokens: Vec<usize> = trainer.steps(&data)?.map(|step| step.unwrap().tokens).collect();
    // 60 examples, 12 a batch: two steps of two batches and one of the fifth, twice.
    assert_eq!(tokens.len(), 6);
    assert!(tokens[2] * 3 < tokens[0] * 2 && tokens[5] * 3 < tokens[3] * 2, "{tokens:?}");
    let error = |config| Trainer::new(small(&data, 1).unwrap(), MultipleNegativesRanking::default(), config);
    let zero = error(TrainConfig { accumulate: 0, ..Default::default() }).unwrap_err().to_string();
    assert_eq!(zero, "accumulate = 0: expected at least 1");
    let none = TrainConfig { micro_batch: Some(MicroBatch::Tokens(0)), ..Default::default() };
    assert_eq!(error(none).unwrap_err().to_string(), "micro_batch = 0: expected at least 1 text or token");
    Ok(())
}

/// 4,096 pairs of SciFact in one step of MiniLM take minutes: `KENSAKU_LONG` asks for it.
fn minilm() -> libtest_mimic::Trial {
    let name = "large_batches::minilm_4096_pairs_within_6_gib";
    match (std::env::var_os("KENSAKU_MINILM"), std::env::var_os("KENSAKU_LONG")) {
        (Some(model), Some(_)) => {
            shared(name, "data/scifact", move |folder| large_step(&PathBuf::from(model), &folder).unwrap())
        }
        _ => test(&format!("{name} (skipped: needs KENSAKU_LONG and KENSAKU_MINILM)"), || ()).with_ignored_flag(true),
    }
}

fn large_step(model: &std::path::Path, scifact: &std::path::Path) -> Result<()> {
    const PAIRS: usize = 4_096;
    // The title finds the abstract.
    let corpus = read::beir(scifact)?.corpus;
    let frame = corpus.frame().clone().lazy().select([col("title").alias("query"), col("text").alias("positive")]);
    let data = TrainingSet::new(frame.limit(PAIRS as IdxSize).collect()?)?;
    assert_eq!(data.len(), PAIRS);
    let model = BiEncoder::load(model)?;
    println!("max_length {}", model.config().max_length);
    let config = TrainConfig {
        batch_size: PAIRS,
        no_duplicates: false,
        micro_batch: Some(MicroBatch::Tokens(4_096)),
        ..Default::default()
    };
    let mut trainer = Trainer::new(model, MultipleNegativesRanking::default(), config)?;
    // From here on the peak counts anew.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let step = trainer.steps(&data)?.next().unwrap()?;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: f64 = peak.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / (1 << 20) as f64;
    println!("{step}\npeak {peak:.2} GiB, arena {:.2} GiB", trainer.arena_bytes() as f64 / (1 << 30) as f64);
    assert!(step.loss.is_finite() && step.grad_norm > 0.0);
    assert!(peak < 6.0, "peak {peak:.2} GiB");
    Ok(())
}
