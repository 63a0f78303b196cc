//! Whole chains against sentence-transformers: token ids, encoder, pooling, loss, gradients, AdamW.

use kensaku::data::{Queries, Texts, TrainingSet};
use kensaku::loss::{Batch, MultipleNegativesRanking, custom};
use kensaku::model::{BiEncoder, BiEncoderConfig};
use kensaku::nn::BertConfig;
use kensaku::text::{Tokenizer, WordPieceConfig};
use kensaku::train::{AdamWConfig, MicroBatch, OptimizerConfig, Schedule, SgdConfig, TokenBatch, TrainConfig, Trainer};
use kensaku::{Error, Result, interrupt};
use polars::prelude::*;

use crate::golden::{Tensors, distance, fixture, json, relative_distance, within};
use crate::shared::{Trials, test};

/// Tolerances: loss per step relative; parameters ten times the rounding of the peer's own f32.
const LOSS: f64 = 1e-4;
const NORM: f64 = 1e-4;
const GRADIENT: f64 = 1e-5;
const ROUNDING: f64 = 10.0;
/// One unit in the last place of the parameters, whose size is about 1.
const SMALLEST: f64 = 1.2e-7;

pub fn trials() -> Trials {
    vec![
        test("training::bi_encoder_mnrl_equals_sentence_transformers", || chain("bi_encoder_mnrl", None)),
        test("training::bi_encoder_cached_mnrl_equals_sentence_transformers", || {
            // Part by part, as the peer's `mini_batch_size`.
            chain("bi_encoder_cached_mnrl", Some(MicroBatch::Texts(2)));
        }),
        test("training::learns_and_repeats", || learns().unwrap()),
        test("training::same_losses_with_any_threads", || threads().unwrap()),
        test("training::frozen_parameters_stay", || frozen().unwrap()),
        test("training::continues_after_an_interrupt", || continues().unwrap()),
        test("training::memory_is_steady", || steady_memory().unwrap()),
        test("training::says_what_is_wrong", || mistakes().unwrap()),
    ]
}

fn chain(name: &str, micro_batch: Option<MicroBatch>) {
    let golden = json(&fixture("training").join(format!("{name}.json")));
    let tensors = Tensors::read(&fixture("training").join(format!("{name}.safetensors")));
    let model = BiEncoder::load(fixture("models/st62_bi_mean_normalize")).unwrap();
    let columns = (0..3).map(|n| tensors.unpadded(&format!("in.{n}.input_ids"), &format!("in.{n}.attention_mask")));
    let batch = TokenBatch { columns: columns.collect(), ..Default::default() };
    // A constant rate: the golden run has no schedule.
    let config =
        TrainConfig { learning_rate: 1e-3, dropout: false, total_steps: None, micro_batch, ..Default::default() };
    let mut trainer = Trainer::new(model, MultipleNegativesRanking::default(), config).unwrap();
    for (number, expected) in golden["steps"].as_array().unwrap().iter().enumerate() {
        let step = trainer.step(&batch).unwrap();
        let number_of = |key: &str| expected[key].as_f64().unwrap();
        within("loss", (step.loss / number_of("loss") - 1.0).abs(), LOSS);
        within("norm", (step.grad_norm / number_of("grad_norm_before_clip") - 1.0).abs(), NORM);
        let parameters = trainer.model().encoder().parameters();
        if number == 0 {
            for (golden, name) in shared_names(&tensors, "grad.") {
                within(&golden, relative_distance(&parameters.grad(name).unwrap(), &tensors.floats(&golden)), GRADIENT);
            }
        }
    }
    let parameters = trainer.model().encoder().parameters();
    for (name, ours) in shared_names(&tensors, "final.") {
        let rounding = golden["f32_minus_f64"]["final_max_abs"][name.trim_start_matches("final.")].as_f64().unwrap();
        let limit = (rounding * ROUNDING).max(SMALLEST);
        within(&name, distance(parameters.values(ours).unwrap(), &tensors.floats(&name)), limit);
    }
    let after = trainer.step(&batch).unwrap().loss / golden["loss_after_last_step"].as_f64().unwrap();
    within("loss after the last step", (after - 1.0).abs(), LOSS);
}

/// The names in the golden file that start with `prefix`, each with that of our table.
fn shared_names<'a>(tensors: &'a Tensors, prefix: &str) -> Vec<(String, &'a str)> {
    // The gradient of a key bias is zero in exact arithmetic, and the pooler is not ours.
    let ours = |name: &&str| name.starts_with(prefix) && !name.ends_with("key.bias") && !name.contains("pooler");
    let names: Vec<_> =
        tensors.names().filter(ours).map(|name| (name.to_owned(), name.split("model.").nth(1).unwrap())).collect();
    assert!(!names.is_empty(), "no golden {prefix}");
    names
}

/// Questions that share words with their answers, enough to learn from.
pub fn words() -> Result<TrainingSet> {
    let noun = |n: usize| {
        format!("{}{}", ["red", "blue", "old", "new", "tall"][n % 5], ["car", "tree", "house", "dog"][n / 5 % 4])
    };
    let numbers = 0..60;
    let queries: Vec<String> = numbers.clone().map(|n| format!("where is the {} {n}", noun(n))).collect();
    let positives: Vec<String> = numbers.map(|n| format!("the {} {n} stands over there", noun(n))).collect();
    TrainingSet::new(df!("query" => queries, "positive" => positives)?)
}

pub fn small(data: &TrainingSet, seed: u64) -> Result<BiEncoder> {
    let tokenizer = Tokenizer::train_wordpiece(
        &data.columns().iter().flat_map(Texts::iter).collect::<Vec<_>>(),
        &WordPieceConfig { vocab_size: 150, ..Default::default() },
    )?;
    let encoder = BertConfig { hidden_size: 32, intermediate_size: 64, ..Default::default() };
    BiEncoder::new(encoder, tokenizer, BiEncoderConfig { max_length: 32, ..Default::default() }, seed)
}

pub fn config() -> TrainConfig {
    TrainConfig { batch_size: 12, epochs: 6, learning_rate: 5e-3, ..Default::default() }
}

pub fn losses(trainer: &mut Trainer, data: &TrainingSet, at_most: usize) -> Result<Vec<f64>> {
    trainer.steps(data)?.take(at_most).map(|step| Ok(step?.loss)).collect()
}

fn learns() -> Result<()> {
    let data = words()?;
    let run = |seed| -> Result<Vec<f64>> {
        let mut trainer = Trainer::new(small(&data, seed)?, MultipleNegativesRanking::default(), config())?;
        losses(&mut trainer, &data, usize::MAX)
    };
    let first = run(1)?;
    assert_eq!(first.len(), 30);
    assert!(first[29] < 0.5 * first[0], "{first:?}");
    assert_eq!(first, run(1)?, "same seed, same losses");
    assert_ne!(first, run(2)?);
    Ok(())
}

/// Losses and weights bit for bit, for every optimiser.
fn threads() -> Result<()> {
    let data = words()?;
    let run = |threads: usize, optimizer: OptimizerConfig| -> Result<_> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let config = TrainConfig { optimizer, schedule: Schedule::named("cosine")?, epochs: 2, ..config() };
            let mut trainer = Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config)?;
            let losses = losses(&mut trainer, &data, usize::MAX)?;
            Ok((losses, weights(trainer.model())))
        })
    };
    for optimizer in [AdamWConfig::default().into(), SgdConfig::default().into()] {
        assert!(run(1, optimizer)? == run(4, optimizer)?, "{optimizer:?}");
    }
    Ok(())
}

/// All weights, to compare bit for bit.
pub fn weights(model: &BiEncoder) -> Vec<u32> {
    let parameters = model.encoder().parameters();
    let values = parameters.entries().iter().flat_map(|entry| parameters.values(&entry.name).unwrap());
    values.map(|value| value.to_bits()).collect()
}

fn frozen() -> Result<()> {
    let data = words()?;
    let freeze = vec!["^embeddings".to_owned(), r"layer\.0\.attention".to_owned()];
    let model = small(&data, 1)?;
    let mut trainer =
        Trainer::new(model.clone(), MultipleNegativesRanking::default(), TrainConfig { freeze, ..config() })?;
    losses(&mut trainer, &data, 5)?;
    let (before, after) = (model.encoder().parameters(), trainer.model().encoder().parameters());
    for entry in before.entries() {
        let same = before.values(&entry.name)? == after.values(&entry.name)?;
        let frozen = entry.name.starts_with("embeddings") || entry.name.contains("layer.0.attention");
        assert!(same == frozen || entry.name.ends_with("key.bias"), "{}", entry.name);
    }
    Ok(())
}

fn continues() -> Result<()> {
    let data = words()?;
    let trainer = || Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config());
    let whole = losses(&mut trainer()?, &data, usize::MAX)?;
    let mut stopped = trainer()?;
    let mut parts = losses(&mut stopped, &data, 7)?;
    interrupt::set(true);
    let error = stopped.steps(&data)?.next();
    interrupt::set(false);
    assert!(matches!(error, Some(Err(Error::Interrupted { .. }))), "{error:?}");
    parts.extend(losses(&mut stopped, &data, usize::MAX)?);
    assert_eq!(parts, whole);
    assert_eq!(losses(&mut stopped, &data, usize::MAX)?, [] as [f64; 0], "all epochs are done");
    Ok(())
}

fn steady_memory() -> Result<()> {
    let data = words()?;
    let mut trainer = Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config())?;
    let batch = trainer.batch(&data, &(0..20).collect::<Vec<_>>())?;
    trainer.step(&batch)?;
    let held = trainer.arena_bytes();
    for _ in 0..20 {
        trainer.step(&batch)?;
    }
    assert_eq!(trainer.arena_bytes(), held);
    Ok(())
}

fn mistakes() -> Result<()> {
    let data = words()?;
    let message = |config: TrainConfig| {
        let trainer = Trainer::new(small(&data, 1).unwrap(), MultipleNegativesRanking::default(), config);
        trainer.unwrap_err().to_string()
    };
    assert_eq!(message(TrainConfig { batch_size: 0, ..config() }), "batch_size = 0: expected at least 1");
    let adamw = AdamWConfig { beta1: 1.0, ..Default::default() };
    assert_eq!(
        message(TrainConfig { optimizer: adamw.into(), ..config() }),
        "beta1 = 1: expected 0 or more and below 1"
    );

    let with = |loss: fn(&Batch) -> Result<candle_core::Tensor>| {
        let mut trainer = Trainer::new(small(&data, 1)?, custom(loss), config())?;
        trainer.steps(&data)?.next().unwrap()
    };
    let detached = with(|batch| Ok(batch.queries.detach().sqr()?.sum_all()?)).unwrap_err();
    assert!(detached.to_string().contains("got no gradient"), "{detached}");
    let infinite = with(|batch| Ok((batch.queries.sum_all()? * f64::INFINITY)?)).unwrap_err();
    let Error::NotFinite { step: 1, what, rows, .. } = &infinite else { panic!("{infinite}") };
    assert_eq!((what.as_str(), rows.len()), ("loss", 12));
    // The slope of a root at 0 is infinite, and infinity less itself is no number.
    let slope = with(|batch| Ok((&batch.queries - batch.queries.affine(1.0, 0.0)?)?.sum_all()?.sqrt()?));
    let slope = slope.unwrap_err().to_string();
    assert!(slope.starts_with("step 1: the gradient of `embeddings.word_embeddings.weight` is NaN (rows "), "{slope}");

    // A text of one word, an empty one and one far too long still train.
    let odd = df!("query" => ["", "tree"], "positive" => ["house ".repeat(500), "a tree".to_owned()])?;
    let mut trainer = Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config())?;
    assert!(trainer.steps(&TrainingSet::new(odd)?)?.next().unwrap()?.loss.is_finite());
    let empty = trainer.model().encode_queries(&Queries::from_texts([""])?)?;
    assert_eq!(empty.vectors.dims(), [1, 32]);
    Ok(())
}
