//! Teachers: any function from texts to numbers.

use candle_core::{Device, Tensor};
use kensaku::Result;
use kensaku::data::TrainingSet;
use polars::prelude::df;

use crate::shared::{Trials, test};

/// The example, which anyone can run.
#[allow(dead_code)]
#[path = "../lib/examples/distil.rs"]
mod distil;

pub fn trials() -> Trials {
    vec![
        test("teachers::a_bert_of_candle_transformers_is_distilled", || {
            let (before, after) = distil::distil().unwrap();
            println!("{before} {after}");
            assert!(after < before / 4.0, "{before} {after}");
        }),
        test("teachers::say_what_is_wrong", || wrong().unwrap()),
        test("teachers::are_asked_once_for_each_example", || asked().unwrap()),
    ]
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("text {n}")).collect()
}

fn wrong() -> Result<()> {
    let message = |teacher: fn(&[Vec<&str>]) -> Result<Tensor>| {
        TrainingSet::with_teacher(df!("text" => texts(40)).unwrap(), teacher).unwrap_err().to_string()
    };
    let found = message(|_| Ok(Tensor::new(&[1.0_f32], &Device::Cpu)?));
    assert!(found.contains("what the teacher gave") && found.contains("[1]") && found.contains("(32, ..)"), "{found}");
    let found = message(|columns| Ok(Tensor::full(f32::NAN, columns[0].len(), &Device::Cpu)?));
    assert!(found.contains("NaN"), "{found}");
    // Wider for the second part of the examples.
    let found = message(|columns| {
        Ok(Tensor::ones((columns[0].len(), 40 - columns[0].len()), candle_core::DType::F32, &Device::Cpu)?)
    });
    assert!(found.contains("the same for all examples"), "{found}");
    let labelled = df!("text" => texts(2), "label" => [0, 1])?;
    let found = TrainingSet::with_teacher(labelled, |_| panic!("never asked")).unwrap_err().to_string();
    assert!(found.contains("`label`"), "{found}");
    Ok(())
}

fn asked() -> Result<()> {
    let count = std::cell::Cell::new(0);
    let pairs = df!("query" => texts(70), "positive" => texts(70))?;
    let data = TrainingSet::with_teacher(pairs, |columns| {
        assert_eq!(columns[0], columns[1]);
        let rows: Vec<f32> = (count.get()..count.get() + columns[0].len()).map(|row| row as f32).collect();
        count.set(count.get() + rows.len());
        let rows = Tensor::from_vec(rows, columns[0].len(), &Device::Cpu)?;
        // A vector of each of two columns.
        Ok(Tensor::stack(&[&rows, &rows, &rows, &rows, &rows, &rows], 1)?.reshape((columns[0].len(), 2, 3))?)
    })?;
    let labels = data.labels().map(|labels| labels.tensor()).transpose()?.unwrap();
    assert_eq!((count.get(), labels.dims()), (70, &[70, 6][..]));
    assert_eq!(labels.to_vec2::<f32>()?[69], [69.0; 6]);
    Ok(())
}
