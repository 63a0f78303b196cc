//! Batches, settings and losses that cannot be.

use kensaku::data::{Queries, Texts, TrainingSet, plan_batches};
use kensaku::loss::{Batch, BatchHardTriplet, CosineSimilarity, Loss, MultipleNegativesRanking, Triplet, custom};
use kensaku::model::BiEncoder;
use kensaku::nn::MpnetConfig;
use kensaku::train::{AdamWConfig, TokenBatch, TrainConfig, Trainer};
use kensaku::{Error, Result, interrupt};
use polars::prelude::df;

use super::{config, small, words};

pub(super) fn odd_batches() -> Result<()> {
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
    ragged.columns[1] = ragged.columns[1].slice(0..2);
    assert!(message(trainer.step(&ragged).unwrap_err()).contains("positives of a batch: found shape [2, 32]"));
    let scores = TokenBatch { labels: Some(vec![0.5; 2].into()), ..batch.clone() };
    assert!(message(trainer.step(&scores).unwrap_err()).contains("labels of a batch: found shape [2]"));
    let mut queries = batch.clone();
    queries.columns.truncate(1);
    assert!(message(trainer.step(&queries).unwrap_err()).contains("batch: no column `positive` (there are: query)"));
    let mut unknown = batch.clone();
    unknown.columns[0].ids[0] = 1 << 30;
    assert!(trainer.step(&unknown).is_err());
    assert_eq!(trainer.step(&batch)?.step, 1, "nothing of these counts");
    // Scores that a cosine cannot reach, in a batch of the trainer's own or by hand.
    let mut scored = Trainer::new(small(&data, 1)?, CosineSimilarity::default(), config())?;
    let by_hand = TokenBatch { labels: Some(vec![0.5, 3.0, 1.0].into()), rows: vec![7, 8, 9], ..batch };
    let score = message(scored.step(&by_hand).unwrap_err());
    assert!(score.starts_with("training set: row 8 of column `score`: the score is 3"), "{score}");
    // A loss that is no scalar is named.
    let loss = custom(|batch| Ok(batch.queries()?.sum(1)?));
    let vector = message(Trainer::new(small(&data, 1)?, loss, config())?.steps(&data)?.next().unwrap().unwrap_err());
    assert!(vector.starts_with("the value of the loss (a closure): found shape [12]; expected a scalar"), "{vector}");
    Ok(())
}

pub(super) fn odd_settings() -> Result<()> {
    let data = words()?;
    // Pairs labelled 0 are no positives, and what a loss cannot use is not left out in silence.
    let labelled = steps_on(&["query", "positive", "label"], MultipleNegativesRanking::default());
    assert_eq!(
        message_of(labelled),
        "the loss MultipleNegativesRanking needs pairs, with or without negatives, without labels; found query, \
         positive, whole numbers as labels; losses that fit: AnglE, Contrastive, ContrastiveTension, CoSENT, \
         CosineSimilarity, OnlineContrastive, Softmax"
    );
    let negatives = steps_on(&["query", "positive", "negative", "label"], CosineSimilarity::default());
    assert!(
        message_of(negatives).starts_with("the loss CosineSimilarity needs pairs, and a score for each; found query")
    );
    let triples = steps_on(&["query", "positive"], Triplet::default());
    assert!(message_of(triples).contains("Triplet needs pairs with negatives; found query, positive; losses"));
    assert!(steps_on(&["query", "label"], BatchHardTriplet::default()).is_ok());
    let margin = Trainer::new(small(&data, 1)?, Triplet { margin: f64::NAN, ..Default::default() }, config());
    assert!(margin.unwrap_err().to_string().starts_with("margin = NaN"));
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

/// The columns of two examples, and whether a loss takes them.
fn steps_on(columns: &[&str], loss: impl Loss + 'static) -> Result<()> {
    let frame = df!("query" => ["a", "b"], "positive" => ["c", "d"], "negative" => ["e", "f"], "label" => [1, 0])?;
    let set = TrainingSet::new(frame.select(columns.iter().copied())?)?;
    Trainer::new(small(&words()?, 1)?, loss, config())?.steps(&set).map(drop)
}

fn message_of(result: Result<()>) -> String {
    result.unwrap_err().to_string()
}

pub(super) fn mistakes() -> Result<()> {
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
    let detached = with(|batch| Ok(batch.queries()?.detach().sqr()?.sum_all()?)).unwrap_err();
    assert!(detached.to_string().contains("got no gradient"), "{detached}");
    let infinite = with(|batch| Ok((batch.queries()?.sum_all()? * f64::INFINITY)?)).unwrap_err();
    let Error::NotFinite { step: 1, what, rows, .. } = &infinite else { panic!("{infinite}") };
    assert_eq!((what.as_str(), rows.len()), ("loss", 12));
    // The slope of a root at 0 is infinite, and infinity less itself is no number.
    let slope = with(|batch| Ok((batch.queries()? - batch.queries()?.affine(1.0, 0.0)?)?.sum_all()?.sqrt()?));
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
