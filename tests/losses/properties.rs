//! What holds for every loss: settings, batches, sums, slopes.

use candle_core::{DType, Device, Tensor, Var};
use kensaku::data::{LabelKind, Labels};
use kensaku::loss::{
    ADRMSE, AnglE, Batch, BatchAllTriplet, BatchHardSoftMarginTriplet, BatchHardTriplet, BatchSemiHardTriplet,
    BinaryCrossEntropy, CSR, CoSENT, Contrastive, ContrastiveTension, ContrastiveTensionInBatchNegatives,
    CosineSimilarity, CrossEntropy, Direction, Distance, DistillKLDiv, EmbedDistill, Flops, GISTEmbed,
    GlobalOrthogonalRegularization, InfoNCE, LambdaLoss, ListMLE, ListNet, Loss, LossParameter, MSE, MarginMSE,
    Matryoshka, MegaBatchMargin, MultipleNegativesRanking, NTXent, Needs, OnlineContrastive, PListMLE, Partition,
    RankNet, Reads, RegularizerWarmup, Scoring, Softmax, SpladeLoss, TeacherDistance, Triplet, cosine, custom,
    pairwise_cosine,
};
use kensaku::random::Philox;

use super::symmetric;
use crate::golden::{floats, within};

pub(super) fn settings() {
    let rows = candle_core::Tensor::ones((2, 3), candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
    let batch = Batch::pairs(rows.clone(), rows);
    let message = |loss: &dyn Loss| loss.loss(&batch).unwrap_err().to_string();
    let no_scale = MultipleNegativesRanking { scale: 0.0, ..Default::default() };
    assert_eq!(message(&no_scale), "scale = 0: expected a number above 0");
    let refused: Vec<(Box<dyn Loss>, &str)> = vec![
        (Box::new(Triplet { margin: f64::NAN, ..Default::default() }), "margin = NaN"),
        (Box::new(Triplet { margin: -1.0, ..Default::default() }), "margin = -1"),
        (Box::new(Contrastive { margin: f64::INFINITY, ..Default::default() }), "margin = inf"),
        (Box::new(BatchHardTriplet { margin: f64::NAN, ..Default::default() }), "margin = NaN"),
        (Box::new(CoSENT { scale: -1.0, ..Default::default() }), "scale = -1"),
        (Box::new(GISTEmbed { temperature: 0.0, ..Default::default() }), "temperature = 0"),
        (Box::new(InfoNCE { temperature: f64::NAN }), "temperature = NaN"),
        (Box::new(MegaBatchMargin { positive_margin: 3.0, ..Default::default() }), "positive_margin = 3"),
        (Box::new(MultipleNegativesRanking { hardness_strength: f64::NAN, ..Default::default() }), "hardness_strength"),
        (Box::new(SpladeLoss::new(MSE, -1.0, None)), "document_regularizer_weight = -1"),
        (Box::new(SpladeLoss::new(MSE, 1.0, Some(f64::NAN))), "query_regularizer_weight = NaN"),
        (
            Box::new(SpladeLoss { use_document_regularizer_only: true, ..Default::default() }),
            "query_regularizer_weight = 0.00005",
        ),
        (
            Box::new(SpladeLoss {
                regularizer_warmup: Some(RegularizerWarmup { ratio: 0.0, ..Default::default() }),
                ..Default::default()
            }),
            "ratio = 0",
        ),
        (Box::new(SpladeLoss::new(Triplet { margin: -1.0, ..Default::default() }, 1.0, None)), "margin = -1"),
        (Box::new(CSR { k: 0, ..CSR::default() }), "k = 0"),
        (Box::new(CSR { k: 129, ..CSR::default() }), "hidden_dim = 512: expected at least 516, 4 times k = 129"),
        (Box::new(CSR { beta: f64::NAN, ..CSR::default() }), "beta = NaN"),
        (Box::new(CSR { gamma: -1.0, ..CSR::default() }), "gamma = -1"),
        (Box::new(CSR::new(Triplet { margin: -1.0, ..Default::default() })), "margin = -1"),
        (Box::new(f64::NAN * MSE), "weight = NaN"),
        (Box::new(Matryoshka { weights: Vec::new(), ..Matryoshka::new(MSE, [2]) }), "weights = []"),
    ];
    for (loss, expected) in refused {
        let error = loss.check().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let whole = Tensor::new(&[[1u8, 2]], &Device::Cpu).unwrap();
    for error in [cosine(&whole, &whole), pairwise_cosine(&whole, &whole), Distance::Manhattan.pairwise(&whole, &whole)]
    {
        assert_eq!(
            error.unwrap_err().to_string(),
            "dtype = u8: expected floats, such as `.to_dtype(DType::F32)?` makes"
        );
    }
    let no_candidates = MultipleNegativesRanking { directions: vec![Direction::QueryToQuery], ..Default::default() };
    assert_eq!(message(&no_candidates), "directions = [QueryToQuery]: expected QueryToDoc among them");
    assert!(message(&Triplet::default()).contains("`negative`"));
    assert!(message(&CosineSimilarity::default()).contains("`label`"));
}

pub(super) fn odd_batches() {
    let zeros = |rows: usize, dim: usize| Tensor::zeros((rows, dim), DType::F32, &Device::Cpu).unwrap();
    let labels = |rows: usize| Some(Tensor::zeros(rows, DType::F32, &Device::Cpu).unwrap());
    let flat = Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap();
    let columns = |columns: [Tensor; 3]| Batch::new(columns.to_vec());
    let three = || zeros(3, 4);
    let batches = [
        (columns([zeros(0, 4), zeros(0, 4), zeros(0, 4)]), "at least one example"),
        (columns([flat.clone(), three(), three()]), "(B, dim)"),
        (columns([three(), zeros(2, 4), three()]), "that of the queries, [3, 4]"),
        (columns([three(), zeros(3, 5), three()]), "that of the queries, [3, 4]"),
        (columns([three(), three(), zeros(2, 4)]), "that of the queries, [3, 4]"),
        (Batch { labels: labels(2), ..columns([three(), three(), three()]) }, "[3], one per example"),
    ];
    let losses: [&dyn Loss; 3] =
        [&MultipleNegativesRanking::default(), &Triplet::default(), &CosineSimilarity::default()];
    for loss in losses {
        for (batch, expected) in &batches {
            let error = loss.loss(batch).unwrap_err().to_string();
            assert!(error.ends_with(expected), "{}: {error}", loss.needs().name);
        }
    }
}

/// The last batch of an epoch may be one example: of some directions it has no candidate.
pub(super) fn single() {
    use Direction::{DocToDoc, DocToQuery, QueryToDoc, QueryToQuery};
    for directions in [
        vec![QueryToDoc, QueryToQuery],
        vec![QueryToDoc, DocToDoc],
        vec![QueryToQuery, QueryToDoc, DocToQuery, DocToDoc],
    ] {
        for partition in [Partition::PerDirection, Partition::Joint] {
            for negatives in [0, 1] {
                let loss = MultipleNegativesRanking { directions: directions.clone(), partition, ..Default::default() };
                let row = |x: f32| Var::new(&[[x, 0.5, -0.2]], &Device::Cpu).unwrap();
                let (queries, positives, negative) = (row(1.0), row(0.4), row(-0.3));
                let mut columns = vec![queries.as_tensor().clone(), positives.as_tensor().clone()];
                columns.extend(vec![negative.as_tensor().clone(); negatives]);
                let batch = Batch::new(columns);
                let value = loss.loss(&batch).unwrap();
                assert!(value.to_scalar::<f32>().unwrap().is_finite(), "{loss:?}, {negatives} negatives");
                let grads = value.backward().unwrap();
                assert!(floats(grads.get(&queries).unwrap()).iter().all(|grad| grad.is_finite()), "{loss:?}");
            }
        }
    }
}

fn random(seed: u64, rows: usize) -> Tensor {
    let mut rng = Philox::new(seed);
    let numbers: Vec<f64> = (0..rows * 6).map(|_| rng.normal()).collect();
    Tensor::from_vec(numbers, (rows, 6), &Device::Cpu).unwrap()
}

pub(super) fn sums() {
    let columns: Vec<Tensor> = (0..3).map(|seed| random(seed, 5)).collect();
    let batch = Batch::new(columns);
    let value = |loss: &dyn Loss| loss.loss(&batch).unwrap().to_scalar::<f64>().unwrap();
    let (ranking, triplet) = (MultipleNegativesRanking::default(), Triplet { margin: 1.0, ..Default::default() });
    let closure = custom(|batch| Ok(batch.queries()?.sqr()?.mean_all()?));
    let sum = 0.7 * ranking.clone() + 0.3 * triplet + closure.clone() + 2.0 * GlobalOrthogonalRegularization::default();
    let expected = 0.7 * value(&ranking)
        + 0.3 * value(&triplet)
        + value(&closure)
        + 2.0 * value(&GlobalOrthogonalRegularization::default());
    assert!((value(&sum) - expected).abs() < 1e-12);
    let terms = sum.terms(&batch).unwrap();
    let named: Vec<(&str, f64)> = terms.iter().map(|term| (term.name.as_str(), term.weight)).collect();
    let second =
        [("MultipleNegativesRanking", 0.7), ("Triplet", 0.3), ("", 1.0), ("mean", 2.0), ("second moment", 2.0)];
    assert_eq!(named, second);
    assert_eq!(format!("{sum:?}").split(" + ").count(), 4);
    // What any of them needs, all need.
    assert_eq!((*sum.needs().columns.start(), sum.needs().in_batch), (3, true));
    assert_eq!(value(&Matryoshka::new(ranking.clone(), [6])), value(&ranking));
    assert!(Matryoshka::new(ranking, [7]).loss(&batch).unwrap_err().to_string().starts_with("dims = 7"));
}

/// Every loss of the table, at random points in double precision, along a random direction.
pub(super) fn slopes() {
    let rows = 5;
    let numbers = |values: &[f64], shape: &[usize]| Some(Tensor::from_slice(values, shape, &Device::Cpu).unwrap());
    let (scores, binary) = (numbers(&[0.1, 0.9, 0.4, 0.7, 0.2], &[rows]), numbers(&[1.0, 0.0, 1.0, 0.0, 0.0], &[rows]));
    let classes = numbers(&[1.0, 2.0, 1.0, 2.0, 3.0], &[rows]);
    let teacher = Some(random(9, rows).narrow(1, 0, 2).unwrap().contiguous().unwrap());
    let guide: Vec<Tensor> = (20..23).map(|seed| random(seed, rows)).collect();
    let losses: Vec<(Box<dyn Loss>, usize, Option<Tensor>)> = vec![
        (Box::new(ADRMSE::default()), 3, teacher.clone()),
        (Box::new(BinaryCrossEntropy { pos_weight: 3.0 }), 2, binary.clone()),
        (Box::new(CrossEntropy { label_smoothing: 0.1 }), 2, classes.clone()),
        (Box::new(LambdaLoss::default()), 3, teacher.clone()),
        (Box::new(ListMLE::default()), 3, None),
        (Box::new(ListNet), 3, teacher.clone()),
        (Box::new(PListMLE { respect_input_order: false, ..Default::default() }), 3, teacher.clone()),
        (Box::new(RankNet::default()), 3, teacher.clone()),
        (Box::new(AnglE { scale: 2.0 }), 2, scores.clone()),
        (Box::new(AnglE { scale: 2.0 }), 3, None),
        (Box::new(BatchAllTriplet::default()), 1, classes.clone()),
        (Box::new(BatchHardSoftMarginTriplet::default()), 1, classes.clone()),
        (Box::new(BatchHardTriplet { distance: Distance::Manhattan, margin: 9.0 }), 1, classes.clone()),
        (Box::new(BatchSemiHardTriplet::default()), 1, classes.clone()),
        (Box::new(Softmax { product: true, ..Softmax::new(4) }), 2, classes),
        (Box::new(Contrastive::default()), 2, binary.clone()),
        (Box::new(ContrastiveTension), 2, binary.clone()),
        (Box::new(ContrastiveTensionInBatchNegatives { scale: 2.0 }), 2, None),
        (Box::new(CoSENT { scale: 3.0, ..Default::default() }), 2, scores.clone()),
        (Box::new(CosineSimilarity::default()), 2, scores),
        // What is left over is a constant in the auxiliary term.
        (Box::new(CSR { hidden_dim: 12, k: 2, k_aux: 0, normalize: true, ..CSR::default() }), 3, None),
        (Box::new(DistillKLDiv::default()), 3, teacher.clone()),
        (Box::new(EmbedDistill { distance: TeacherDistance::L2 }), 2, Some(random(8, rows))),
        (Box::new(Flops { threshold: Some(5) }), 2, None),
        (Box::new(GISTEmbed { temperature: 1.0, ..Default::default() }), 3, None),
        (Box::new(GlobalOrthogonalRegularization::default()), 2, None),
        (Box::new(InfoNCE::default()), 3, None),
        (Box::new(MarginMSE::default()), 3, teacher),
        (Box::new(MegaBatchMargin::default()), 2, None),
        (Box::new(MSE), 2, Some(random(8, rows))),
        (Box::new(symmetric()), 3, None),
        (Box::new(SpladeLoss { document_regularizer_weight: 0.3, ..SpladeLoss::default() }), 3, None),
        (Box::new(NTXent::default()), 2, None),
        (Box::new(OnlineContrastive { margin: 1.5, ..Default::default() }), 2, binary),
        (Box::new(Triplet::default()), 3, None),
    ];
    let mut seen = std::collections::BTreeSet::new();
    for (loss, columns, labels) in losses {
        let name = loss.needs().name;
        seen.insert(name);
        let kind = labels.as_ref().map(|labels| match labels.dims() {
            [_, width] => LabelKind::List(*width),
            _ => Labels::from(floats(labels)).kind(),
        });
        let pairs = loss.needs().reads == Reads::Pairs;
        let scoring = if pairs { Scoring::Pairs } else { Scoring::default() };
        assert!(loss.needs().fits(columns, kind, scoring), "{name} with {columns} columns and {kind:?}");
        // Of two columns a cross-encoder makes one, of pairs.
        let width = if name == "BinaryCrossEntropy" { 1 } else { 6 };
        let input = |seed| random(seed as u64, rows).narrow(1, 0, width).unwrap().contiguous().unwrap();
        let count = columns - usize::from(pairs);
        let inputs: Vec<Var> = (0..count).map(|seed| Var::from_tensor(&input(seed)).unwrap()).collect();
        let value = |inputs: &[Tensor]| {
            let guide = if loss.needs().guide { guide.clone() } else { Vec::new() };
            let double = |own: LossParameter| (own.name, own.value.to_dtype(DType::F64).unwrap());
            let parameters = loss.parameters(6, 1).unwrap().into_iter().map(double).collect();
            let batch = Batch { labels: labels.clone(), guide, scoring, parameters, ..Batch::new(inputs.to_vec()) };
            loss.loss(&batch).unwrap()
        };
        let tensors: Vec<Tensor> = inputs.iter().map(|input| input.as_tensor().clone()).collect();
        let grads = value(&tensors).backward().unwrap();
        for (index, input) in inputs.iter().enumerate() {
            let direction = random(50 + index as u64, rows).narrow(1, 0, width).unwrap().contiguous().unwrap();
            let moved = |step: f64| {
                let mut moved = tensors.iter().map(Tensor::detach).collect::<Vec<_>>();
                moved[index] = (&moved[index] + (&direction * step).unwrap()).unwrap();
                value(&moved).to_scalar::<f64>().unwrap()
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            let along =
                (grads.get(input).unwrap() * &direction).unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap();
            within(
                &format!("{name}: slope {slope} of column {index}, gradient {along}"),
                (slope - along).abs(),
                1e-6 * (1.0 + slope.abs()),
            );
        }
    }
    let all: Vec<_> = Needs::all().map(|needs| needs.name).collect();
    assert_eq!(seen.len(), all.len(), "{seen:?} of {all:?}");
}
