//! Whole chains against sentence-transformers: token ids, encoder, pooling, loss, gradients, AdamW.

use kensaku::data::{Queries, Texts, TrainingSet, plan_batches};
use kensaku::loss::{Batch, CosineSimilarity, Loss, MultipleNegativesRanking, custom};
use kensaku::model::{BiEncoder, BiEncoderConfig};
use kensaku::nn::{BertConfig, MpnetConfig};
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
        test("training::gives_the_step_that_was_running", || running().unwrap()),
        test("training::goes_on_with_another_training_set", || rounds().unwrap()),
        test("training::a_round_has_settings_of_its_own", || settings_of_a_round().unwrap()),
        test("training::steps_by_hand_are_no_part_of_the_plan", || by_hand().unwrap()),
        test("training::memory_is_steady", || steady_memory().unwrap()),
        test("training::says_what_is_wrong", || mistakes().unwrap()),
        test("training::refuses_batches_that_cannot_be", || odd_batches().unwrap()),
        test("training::refuses_settings_that_cannot_be_meant", || odd_settings().unwrap()),
        five_million(),
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
    let done = stopped.steps(&data).err().unwrap().to_string();
    assert!(
        done.starts_with("nothing to train: all 30 steps on this training set are done; expected another"),
        "{done}"
    );
    Ok(())
}

/// An interrupt while a step runs: the step is finished, and yielded when the training continues.
fn running() -> Result<()> {
    let data = words()?;
    let calls = std::cell::Cell::new(0);
    let loss = custom(move |batch| {
        calls.set(calls.get() + 1);
        if calls.get() == 3 {
            interrupt::set(true);
        }
        MultipleNegativesRanking::default().loss(batch)
    });
    let whole =
        losses(&mut Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config())?, &data, usize::MAX)?;
    let mut trainer = Trainer::new(small(&data, 1)?, loss, config())?;
    trainer.validate_with("dim", |model| Ok(model.dim() as f64))?;
    let mut given = Vec::new();
    for step in trainer.steps(&data)? {
        match step {
            Ok(step) => given.push(step),
            Err(error) => assert!(matches!(error, Error::Interrupted { .. }), "{error}"),
        }
    }
    assert_eq!(given.len(), 2);
    interrupt::set(false);
    given.extend(trainer.steps(&data)?.collect::<Result<Vec<_>>>()?);
    assert_eq!(given.iter().map(|step| step.step).collect::<Vec<_>>(), (1..=30).collect::<Vec<_>>());
    assert_eq!(given.iter().map(|step| step.loss).collect::<Vec<_>>(), whole);
    assert_eq!(given.iter().filter(|step| step.evaluation.is_some()).count(), 6);
    Ok(())
}

/// Steps on the training set, as (number, of how many, rate).
fn numbers(trainer: &mut Trainer, data: &TrainingSet, at_most: usize) -> Result<Vec<(usize, Option<usize>, f64)>> {
    let steps = trainer.steps(data)?.take(at_most);
    steps.map(|step| step.map(|step| (step.step, step.total, step.learning_rate))).collect()
}

fn other_words() -> Result<TrainingSet> {
    let words = words()?;
    TrainingSet::new(words.frame().slice(10, 24))
}

fn rounds() -> Result<()> {
    let (data, other) = (words()?, other_words()?);
    let fresh = || Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config());
    let rates: Vec<f64> = numbers(&mut fresh()?, &other, usize::MAX)?.into_iter().map(|(.., rate)| rate).collect();
    assert_eq!(rates.len(), 12, "6 epochs of 2 steps");
    for at_most in [usize::MAX, 7] {
        let mut trainer = fresh()?;
        let first = numbers(&mut trainer, &data, at_most)?.len();
        let seen = trainer.steps(&other)?.collect::<Result<Vec<_>>>()?;
        assert_eq!(seen.iter().map(|step| step.step).collect::<Vec<_>>(), (first + 1..=first + 12).collect::<Vec<_>>());
        assert!(seen.iter().all(|step| step.total == Some(first + 12)));
        assert_eq!(seen.iter().map(|step| step.learning_rate).collect::<Vec<_>>(), rates, "a schedule of its own");
        // Every epoch sees all of it.
        let tokens: Vec<usize> = seen.chunks(2).map(|epoch| epoch.iter().map(|step| step.tokens).sum()).collect();
        assert!(tokens.iter().all(|sum| *sum == tokens[0]), "{tokens:?}");
        // The set before is new again.
        assert_eq!(numbers(&mut trainer, &data, 3)?.len(), 3);
        assert_eq!(numbers(&mut trainer, &data, usize::MAX)?.len(), 27);
        assert!(trainer.steps(&data).is_err());
    }
    Ok(())
}

fn settings_of_a_round() -> Result<()> {
    let (data, other) = (words()?, other_words()?);
    let fresh = |config| Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config);
    let mut trainer = fresh(config())?;
    let first = numbers(&mut trainer, &data, usize::MAX)?;
    // The same set again, at half the rate and in another order of examples.
    let half = TrainConfig { learning_rate: 2.5e-3, ..config() };
    trainer.begin_round(half.clone())?;
    let second = numbers(&mut trainer, &data, usize::MAX)?;
    assert_eq!(second.len(), 30);
    for ((step, _, rate), (again, total, half)) in first.iter().zip(&second) {
        assert_eq!((*again, *total), (step + 30, Some(60)));
        assert!((half - rate / 2.0).abs() < 1e-12);
    }
    let message = |error: Error| error.to_string();
    let sgd = TrainConfig { optimizer: SgdConfig::default().into(), ..config() };
    assert!(message(trainer.begin_round(sgd).unwrap_err()).starts_with("optimizer = Sgd"));
    let frozen = TrainConfig { freeze: vec!["word".to_owned()], ..config() };
    assert!(message(trainer.begin_round(frozen).unwrap_err()).starts_with("freeze = [\"word\"]: expected []"));
    assert!(trainer.begin_round(TrainConfig { epochs: 0, ..config() }).is_err());
    assert_eq!(trainer.config(), &half);

    // One schedule over both sets.
    let mut whole = fresh(TrainConfig { total_steps: Some(42), warmup: 0.0, ..config() })?;
    let rates = [numbers(&mut whole, &data, usize::MAX)?, numbers(&mut whole, &other, usize::MAX)?].concat();
    for (step, _, rate) in rates {
        assert!((rate - 5e-3 * (43 - step) as f64 / 42.0).abs() < 1e-12, "step {step}: {rate}");
    }
    // It does not end in the middle of a training set, nor before a step by hand.
    let over = message(
        whole
            .begin_round(TrainConfig { total_steps: Some(42), ..config() })
            .and(whole.steps(&data).map(drop))
            .unwrap_err(),
    );
    assert!(
        over.starts_with("nothing to train: the schedule is over after 42 steps, the learning rate is 0"),
        "{over}"
    );
    let batch = whole.batch(&data, &[0, 1])?;
    assert!(message(whole.step(&batch).unwrap_err()).contains("the schedule is over after 42 steps"));
    Ok(())
}

fn by_hand() -> Result<()> {
    let data = words()?;
    let mut trainer = Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config())?;
    let mut tokens = Vec::new();
    let mut seen = |steps: Vec<kensaku::train::Step>| tokens.extend(steps.into_iter().map(|step| step.tokens));
    let batch = trainer.batch(&data, &[0, 1, 2])?;
    assert_eq!((trainer.step(&batch)?.step, trainer.step(&batch)?.step), (1, 2));
    seen(trainer.steps(&data)?.take(2).collect::<Result<_>>()?);
    assert_eq!(trainer.step(&batch)?.step, 5);
    let rest = trainer.steps(&data)?.collect::<Result<Vec<_>>>()?;
    assert_eq!((rest[0].step, rest.len(), rest[27].step, rest[27].total), (6, 28, 33, Some(33)));
    seen(rest);
    let epochs: Vec<usize> = tokens.chunks(5).map(|epoch| epoch.iter().sum()).collect();
    assert!(epochs.len() == 6 && epochs.iter().all(|sum| *sum == epochs[0]), "every row once an epoch: {epochs:?}");
    Ok(())
}

fn odd_batches() -> Result<()> {
    let data = words()?;
    let mut trainer = Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config())?;
    let message = |error: Error| error.to_string();
    let outside = message(trainer.batch(&data, &[0, 99_999]).unwrap_err());
    assert_eq!(outside, "rows = 99999: expected rows of the training set, which has 60");
    let empty = trainer.batch(&data, &[])?;
    let expected = "nothing to train: a batch without examples; expected at least one";
    assert_eq!(message(trainer.step(&empty).unwrap_err()), expected);
    assert_eq!(message(trainer.step(&TokenBatch::default()).unwrap_err()), expected);
    let none = message(trainer.accumulated_step(&[]).unwrap_err());
    assert_eq!(none, "nothing to train: a step of no batches; expected at least one batch");
    let batch = trainer.batch(&data, &[0, 1, 2])?;
    let mut ragged = batch.clone();
    ragged.columns[1].pop();
    assert!(message(trainer.step(&ragged).unwrap_err()).contains("positives of a batch: found shape [2, 32]"));
    let scores = TokenBatch { scores: Some(vec![0.5; 2]), ..batch.clone() };
    assert!(message(trainer.step(&scores).unwrap_err()).contains("scores of a batch: found shape [2]"));
    let mut queries = batch.clone();
    queries.columns.truncate(1);
    assert!(message(trainer.step(&queries).unwrap_err()).contains("queries, positives and any number of negatives"));
    let mut unknown = batch.clone();
    unknown.columns[0][0] = vec![1 << 30];
    assert!(trainer.step(&unknown).is_err());
    assert_eq!(trainer.step(&batch)?.step, 1, "nothing of these counts");
    // Scores that a cosine cannot reach, in a batch of the trainer's own or by hand.
    let mut scored = Trainer::new(small(&data, 1)?, CosineSimilarity::default(), config())?;
    let by_hand = TokenBatch { scores: Some(vec![0.5, 3.0, 1.0]), rows: vec![7, 8, 9], ..batch };
    let score = message(scored.step(&by_hand).unwrap_err());
    assert!(score.starts_with("training set: row 8 of column `score`: the score is 3"), "{score}");
    // A loss that is no scalar is named.
    let loss = custom(|batch| Ok(batch.queries.sum(1)?));
    let vector = message(Trainer::new(small(&data, 1)?, loss, config())?.steps(&data)?.next().unwrap().unwrap_err());
    assert!(vector.starts_with("the value of the loss (a closure): found shape [12]; expected a scalar"), "{vector}");
    Ok(())
}

fn odd_settings() -> Result<()> {
    let data = words()?;
    let message = |config: TrainConfig| {
        let trainer = Trainer::new(small(&data, 1).unwrap(), MultipleNegativesRanking::default(), config);
        trainer.unwrap_err().to_string()
    };
    let many = 10_000_000_000;
    assert_eq!(
        message(TrainConfig { batch_size: many, ..config() }),
        "batch_size = 10000000000: expected at most 16777216"
    );
    assert!(message(TrainConfig { batch_size: usize::MAX, ..config() }).starts_with("batch_size = "));
    assert!(message(TrainConfig { accumulate: usize::MAX, ..config() }).starts_with("accumulate = "));
    assert!(message(TrainConfig { epochs: usize::MAX, ..config() }).ends_with("expected at most 1000000"));
    // A batch larger than the training set is all of it, and a million epochs are planned one by one.
    for accumulate in [1, 1 << 24] {
        let config = TrainConfig { batch_size: 1 << 24, accumulate, epochs: 1_000_000, ..config() };
        let mut trainer = Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), config)?;
        let start = std::time::Instant::now();
        let mut steps = trainer.steps(&data)?;
        assert_eq!(steps.total(), 1_000_000);
        assert!(steps.next().unwrap()?.loss.is_finite());
        assert!(start.elapsed().as_secs_f64() < 2.0, "{:?}", start.elapsed());
    }
    // Where texts repeat, planning takes its time, and can be interrupted.
    let texts: Texts = (0..1_000).map(|n| (n / 2).to_string()).collect();
    interrupt::set(true);
    let planned = plan_batches(&[texts], 1, true, 1, 0);
    interrupt::set(false);
    assert!(matches!(planned, Err(Error::Interrupted { .. })), "{planned:?}");
    // Relative positions, which only the layers read.
    let (model, shape) =
        (small(&data, 1)?, MpnetConfig { hidden_size: 32, num_attention_heads: 4, ..Default::default() });
    let shape = MpnetConfig { num_hidden_layers: 0, intermediate_size: 64, ..shape };
    let flat = BiEncoder::new(shape, model.tokenizer().clone(), model.config().clone(), 1).and_then(|model| {
        let mut trainer = Trainer::new(model, MultipleNegativesRanking::default(), config())?;
        trainer.steps(&data)?.next().unwrap()
    });
    assert!(flat.unwrap_err().to_string().starts_with("num_hidden_layers = 0"));
    Ok(())
}

/// 380 MB of texts and their plan: `KENSAKU_LONG` asks for it.
fn five_million() -> libtest_mimic::Trial {
    let name = "training::five_million_pairs_start_within_10_s_and_2_gb";
    match std::env::var_os("KENSAKU_LONG") {
        Some(_) => test(name, || large_set().unwrap()),
        None => test(&format!("{name} (skipped: needs KENSAKU_LONG)"), || ()).with_ignored_flag(true),
    }
}

fn large_set() -> Result<()> {
    const PAIRS: usize = 5_000_000;
    let memory = |name: &str| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1e6
    };
    // Written straight into the columns: strings that were freed would hide what is taken later. Every twentieth
    // document answers two queries, so that texts repeat.
    let column = |name: &str, text: fn(usize) -> String| {
        StringChunked::from_iter_values(name.into(), (0..PAIRS).map(text)).into_series().into_column()
    };
    let queries = column("query", |n| format!("where is the red car number {n}"));
    let positives = column("positive", |n| format!("car number {} stands over there", n - n % 20 / 19));
    let data = TrainingSet::new(DataFrame::new(PAIRS, vec![queries, positives])?)?;
    let config = TrainConfig { batch_size: 32, epochs: 1, ..config() };
    let mut trainer = Trainer::new(small(&words()?, 1)?, MultipleNegativesRanking::default(), config)?;
    // The peak counts from here.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let (before, start) = (memory("VmRSS:"), std::time::Instant::now());
    let step = trainer.steps(&data)?.next().unwrap()?;
    let (seconds, beyond) = (start.elapsed().as_secs_f64(), memory("VmHWM:") - before);
    println!("{step}\n{PAIRS} pairs in {before:.2} GB: first step after {seconds:.1} s, {beyond:.2} GB beyond");
    assert!(seconds < 10.0 && beyond < 2.0, "{seconds:.1} s, {beyond:.2} GB");
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
