//! Batches that a model cannot take, and those that hold nothing.

use kensaku::nn::{Activations, Classifier, Encoder, EncoderConfig, MaskedLm, PackedBatch};

use crate::families::{families, tiny};
use crate::golden::fixture;
use crate::shared::{Trials, test};

pub fn trials() -> Trials {
    let mut trials = vec![
        test("batches::ids_that_the_tables_do_not_have", out_of_range),
        test("batches::nothing_to_compute", nothing),
    ];
    for (family, config) in families() {
        let with = |what: &str, run: fn(EncoderConfig)| {
            let config = config.clone();
            test(&format!("batches::{family}_{what}"), move || run(config))
        };
        trials.push(with("refuses_one_that_is_not_whole", torn));
        trials.push(with("wants_a_token_to_see_one", blind));
    }
    trials
}

fn torn(config: EncoderConfig) {
    let (mut encoder, batch, upstream) = tiny(config);
    let mut error = |change: fn(&mut PackedBatch)| {
        let (mut torn, mut activations) = (batch.clone(), Activations::training());
        change(&mut torn);
        let forward = encoder.forward(&torn, &mut activations).unwrap_err().to_string();
        // Nor is the gradient of a sound batch taken with another one.
        encoder.forward(&batch, &mut activations).unwrap();
        encoder.backward(&torn, &mut activations, &upstream).unwrap_err();
        forward
    };
    assert!(error(|batch| batch.bounds = vec![]).contains("0 to 76, rising"));
    assert!(error(|batch| batch.bounds[1] = 9).contains("0 to 76, rising"));
    assert!(error(|batch| *batch.bounds.last_mut().unwrap() += 1).contains("0 to 76, rising"));
    assert!(error(|batch| batch.positions.truncate(3)).contains("positions of a batch: found 3"));
    assert!(error(|batch| batch.token_types.push(0)).contains("token types of a batch: found 77"));
    assert!(error(|batch| batch.ids[5] = 1 << 20).contains("token id"));
    assert!(error(|batch| batch.ids.truncate(9)).contains("a batch"));
}

fn blind(config: EncoderConfig) {
    let (encoder, mut batch, _) = tiny(config);
    let mut error = |attended: &[usize]| {
        batch.attended = attended.to_vec();
        encoder.forward(&batch, &mut Activations::inference()).unwrap_err().to_string()
    };
    assert!(error(&[1, 5, 45]).contains("3 numbers"));
    assert!(error(&[1, 5, 45, 10, 0]).contains("0 of a sequence of 2"));
    assert!(error(&[1, 5, 51, 10, 1]).contains("51 of a sequence of 50"));
    // The last of 50 tokens sees those that are 6 away or nearer.
    let local =
        encoder.forward(&PackedBatch { attended: vec![1, 5, 40, 10, 1], ..batch }, &mut Activations::inference());
    assert_eq!(local.is_err(), encoder.config().model_type() == "modernbert");
}

fn out_of_range() {
    let encoder = Encoder::load(fixture("backbones/bert")).unwrap();
    let said = |batch: PackedBatch| encoder.forward(&batch, &mut Activations::inference()).unwrap_err().to_string();
    assert!(said(PackedBatch::new([[2, 300]])).contains("found 300; expected below vocab_size = 300"));
    assert!(said(PackedBatch::new([[2; 65]])).contains("below max_position_embeddings = 64"));
    let mut batch = PackedBatch::new([[2, 3]]);
    batch.token_types[1] = 2;
    assert!(said(batch.clone()).contains("below type_vocab_size = 2"));
    batch.token_types.pop();
    assert!(said(batch).contains("one per token, 2"));
    // 66 rows, two of them for the padding and what stands before it.
    let roberta = Encoder::load(fixture("backbones/roberta")).unwrap();
    let mut activations = Activations::inference();
    roberta.forward(&PackedBatch::new([[5; 64]]), &mut activations).unwrap();
    assert!(roberta.forward(&PackedBatch::new([[5; 65]]), &mut activations).is_err());
    // Padding inside of a sequence is not counted.
    let longer: Vec<u32> = [vec![5; 64], vec![1; 6]].concat();
    roberta.forward(&PackedBatch::new([longer]), &mut activations).unwrap();
    assert!(MaskedLm::new(roberta, 1).unwrap().forward(&PackedBatch::new([[5, 6]]), &[2], &mut activations).is_err());
}

/// No text, an empty text, no token to score.
fn nothing() {
    for name in ["bert", "modernbert", "mpnet"] {
        let mut encoder = Encoder::load(fixture("backbones").join(name)).unwrap();
        let mut activations = Activations::training();
        for batch in [PackedBatch::new([] as [Vec<u32>; 0]), PackedBatch::new([vec![], vec![]])] {
            encoder.forward(&batch, &mut activations).unwrap();
            assert_eq!(activations.hidden(), [] as [f32; 0]);
            encoder.backward(&batch, &mut activations, &[]).unwrap();
        }
        let batch = PackedBatch::new([vec![], vec![2, 3], vec![]]);
        encoder.forward(&batch, &mut activations).unwrap();
        let upstream = vec![1.0; activations.hidden().len()];
        encoder.backward(&batch, &mut activations, &upstream).unwrap();
        let mut words = MaskedLm::new(encoder.clone(), 1).unwrap();
        words.forward(&batch, &[], &mut activations).unwrap();
        words.backward(&batch, &[], &mut activations, &[]).unwrap();
        let classes = Classifier::new(encoder, 1, 1).unwrap();
        let said = classes.forward(&batch, &mut activations).unwrap_err().to_string();
        assert!(said.contains("sequence 0 of a batch"), "{said}");
    }
}
