//! `grad_check` passes what is right and finds what is wrong.

use candle_core::{DType, Device, Tensor};
use kensaku::loss::{
    Batch, CosineSimilarity, Custom, Direction, Distance, Loss, MultipleNegativesRanking, Triplet, cosine, custom,
    pairwise_cosine,
};
use kensaku::model::BiEncoder;
use kensaku::train::{GradCheck, TokenBatch, TrainConfig, Trainer, grad_check};
use kensaku::{Error, Result};

use crate::shared::{Trials, test};
use crate::training::{small, words};

pub fn trials() -> Trials {
    vec![
        test("grad_check::passes_what_is_right", || right().unwrap()),
        test("grad_check::finds_what_is_wrong", || wrong().unwrap()),
        test("grad_check::names_what_is_cut", || cut().unwrap()),
    ]
}

/// Six examples with a negative and a score each.
fn batch() -> Result<(BiEncoder, TokenBatch)> {
    let data = words()?;
    let model = small(&data, 1)?;
    let trainer = Trainer::new(model.clone(), MultipleNegativesRanking::default(), TrainConfig::default())?;
    let mut batch = trainer.batch(&data, &[0, 1, 2, 3, 4, 5])?;
    batch.columns.push(trainer.batch(&data, &[9, 8, 7, 6, 5, 4])?.columns[1].clone());
    batch.labels = Some(vec![1.0, 0.8, 0.6, 0.4, 0.2, 0.0].into());
    Ok((model, batch))
}

fn check(loss: &dyn Loss) -> Result<GradCheck> {
    let (model, batch) = batch()?;
    grad_check(&model, loss, &batch)
}

fn right() -> Result<()> {
    let directions = vec![Direction::QueryToDoc, Direction::QueryToQuery, Direction::DocToQuery, Direction::DocToDoc];
    let losses: [(&str, Box<dyn Loss>); 5] = [
        ("ranking", Box::new(MultipleNegativesRanking::default())),
        ("all directions", Box::new(MultipleNegativesRanking { directions, ..Default::default() })),
        ("cosine", Box::new(CosineSimilarity::default())),
        ("triplet", Box::new(Triplet::default())),
        ("closure", Box::new(custom(|batch| Ok(cosine(batch.queries()?, &batch.docs()?)?.sqr()?.mean_all()?)))),
    ];
    for (name, loss) in losses {
        let check = check(loss.as_ref())?;
        assert_eq!(check.precision, DType::F64, "{name}");
        assert!(check.passes() && check.largest() < 1e-5, "{name}\n{check}");
    }
    let cosine = check(&Triplet { distance: Distance::Cosine, margin: 0.5 })?;
    let text = cosine.to_string();
    assert!(text.starts_with("column     gradient  deviation\nquery ") && text.contains("\nnegative  "), "{text}");

    // Constants of single precision: the check is in single precision, too.
    let weighted = custom(|batch| {
        let weights = Tensor::arange(0_f32, batch.queries()?.dim(0)? as f32, &Device::Cpu)?;
        Ok((pairwise_cosine(batch.queries()?, batch.positives()?)? * weights)?.mean(0)?)
    });
    let check = check(&weighted)?;
    assert!(check.precision == DType::F32 && check.passes(), "{check}");
    Ok(())
}

fn wrong() -> Result<()> {
    let ranking = |batch: &Batch| MultipleNegativesRanking::default().loss(batch);
    let losses: [(&str, Custom); 4] = [
        (
            "half of a product",
            custom(|batch| Ok((batch.queries()? * batch.queries()?.detach())?.powf(2.0)?.sum_all()?)),
        ),
        (
            "a part",
            custom(move |batch| {
                let part = pairwise_cosine(&batch.queries()?.detach(), batch.positives()?)?.sqr()?.mean(0)?;
                Ok((ranking(batch)? + part)?)
            }),
        ),
        (
            "one row",
            custom(move |batch| {
                let row = batch.positives()?.narrow(0, 0, 1)?.detach();
                let rest = batch.positives()?.narrow(0, 1, batch.positives()?.dim(0)? - 1)?;
                let positives = Tensor::cat(&[row, rest], 0)?;
                ranking(&Batch::pairs(batch.queries()?.clone(), positives))
            }),
        ),
        (
            // candle's fused softmax cuts the gradient without a word.
            "candle's softmax",
            custom(|batch| {
                let logits = (cosine(batch.queries()?, batch.positives()?)? * 5.0)?;
                let weights = candle_nn::ops::softmax_last_dim(&logits)?;
                Ok((weights * logits)?.sum_all()?)
            }),
        ),
    ];
    for (name, loss) in losses {
        let check = check(&loss)?;
        assert!(!check.passes() && check.largest() > 0.02, "{name}\n{check}");
        assert!(check.to_string().contains("wrong"));
    }
    Ok(())
}

fn cut() -> Result<()> {
    let root = custom(|batch| Ok((pairwise_cosine(batch.queries()?, batch.positives()?)? - 2.0)?.log()?.mean_all()?));
    assert!(check(&root).unwrap_err().to_string().contains("NaN"));
    let positives = custom(|batch| Ok(pairwise_cosine(batch.queries()?, &batch.positives()?.detach())?.mean(0)?));
    let error = check(&positives).unwrap_err();
    assert_eq!(error.to_string(), "the loss depends on the column `positive`, but passes no gradient to it");
    let nothing = custom(|_| Ok(Tensor::new(1.0_f32, &Device::Cpu)?));
    assert!(matches!(check(&nothing), Err(Error::DetachedLoss)));
    Ok(())
}
