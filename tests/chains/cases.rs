//! The models and batches of the golden chains.

use std::collections::HashSet;

use candle_core::{Device, Tensor, Var};
use kensaku::nn::{Classifier, Encoder, MaskedLm, PackedBatch};

use super::losses::{binary_cross_entropy, cosent, flops, lambda, max_sim, ranking};
use super::{Chain, Engine, Golden};
use crate::golden::{Tensors, fixture, json};

/// Mean pooling, a map with tanh, CoSENT.
pub fn dense(golden: &Golden) -> Chain {
    let dir = fixture("models/st62_bi_mean_dense");
    let stored = Tensors::read(&dir.join("2_Dense/model.safetensors"));
    let head = vec![variable("2.linear.weight", &stored), variable("2.linear.bias", &stored)];
    let batch = columns(golden, 2);
    let (labels, ranges) = (numbers(golden, "labels"), ranges(&batch));
    let loss = move |hidden: &Tensor, head: &[Tensor]| {
        let means = ranges.iter().map(|&(start, length)| hidden.narrow(0, start, length)?.mean_keepdim(0));
        let means = Tensor::cat(&means.collect::<candle_core::Result<Vec<_>>>()?, 0)?;
        let embeddings = means.matmul(&head[0].t()?)?.broadcast_add(&head[1])?.tanh()?;
        cosent(&embeddings, &labels)
    };
    Chain { engine: Engine::Hidden(Encoder::load(&dir).unwrap()), batch, head, loss: Box::new(loss) }
}

pub fn cross_encoder(golden: &Golden) -> Chain {
    let labels = Tensor::new(numbers(golden, "labels"), &Device::Cpu).unwrap();
    classifier(golden, move |logits, _| binary_cross_entropy(&logits.flatten_all()?, &labels, 2.0))
}

/// LambdaLoss over lists of documents.
pub fn listwise(golden: &Golden) -> Chain {
    let lists = golden.case["lists"].as_array().unwrap();
    let labels: Vec<Vec<f64>> = lists
        .iter()
        .map(|list| list[2].as_array().unwrap().iter().map(|label| label.as_f64().unwrap()).collect())
        .collect();
    classifier(golden, move |logits, _| lambda(&logits.flatten_all()?, &labels))
}

/// A map to 16 dimensions of unit length, a query filled up with masks that nothing sees, documents without
/// punctuation, MaxSim.
pub fn multi_vector(golden: &Golden) -> Chain {
    let dir = fixture("models/st62_multi_vector_colbert");
    let head = vec![variable("1.linear.weight", &Tensors::read(&dir.join("1_Dense/model.safetensors")))];
    let mut queries = golden.tensors.tensor("in.0.input_ids").to_vec2::<i64>().unwrap();
    let seen = golden.tensors.unpadded("in.0.input_ids", "in.0.attention_mask");
    let expanded = golden.tensors.unpadded("in.0.input_ids", "in.0.query_expansion_positions");
    for ((query, seen), expanded) in queries.iter_mut().zip(&seen).zip(&expanded) {
        query.truncate(seen.len() + expanded.len());
    }
    let queries = queries.into_iter().map(|query| query.into_iter().map(|id| id as u32).collect::<Vec<_>>());
    let docs = (1..3).flat_map(|column| column_ids(golden, column));
    let mut batch = PackedBatch::new(queries.chain(docs));
    batch.attended = batch.ranges().map(|range| range.len()).collect();
    batch.attended.iter_mut().zip(&seen).for_each(|(attended, seen)| *attended = seen.len());

    let skipped = punctuation(&dir);
    let kept = batch.ranges().enumerate().map(|(sequence, range)| {
        let doc = sequence >= seen.len();
        range.filter(|token| !(doc && skipped.contains(&batch.ids[*token]))).map(|token| token as u32).collect()
    });
    let (kept, queries): (Vec<Vec<u32>>, usize) = (kept.collect(), seen.len());
    let loss = move |hidden: &Tensor, head: &[Tensor]| {
        let vectors = hidden.matmul(&head[0].t()?)?;
        let vectors = vectors.broadcast_div(&vectors.sqr()?.sum_keepdim(1)?.sqrt()?)?;
        let texts = kept.iter().map(|kept| vectors.index_select(&Tensor::new(kept.as_slice(), &Device::Cpu)?, 0));
        let texts = texts.collect::<candle_core::Result<Vec<_>>>()?;
        let (queries, docs) = texts.split_at(queries);
        ranking(&max_sim(queries, docs)?)
    };
    Chain { engine: Engine::Hidden(Encoder::load(&dir).unwrap()), batch, head, loss: Box::new(loss) }
}

/// The largest `log(1 + relu)` of every word's score, dot products, FLOPS of queries and of documents.
pub fn splade(golden: &Golden) -> Chain {
    let model = MaskedLm::load(fixture("models/st62_splade_max")).unwrap();
    let batch = columns(golden, 3);
    let (ranges, queries) = (ranges(&batch), batch.sequences() / 3);
    let loss = move |logits: &Tensor, _: &[Tensor]| {
        let words = logits.relu()?.affine(1.0, 1.0)?.log()?;
        let pooled = ranges.iter().map(|&(start, length)| words.narrow(0, start, length)?.max_keepdim(0));
        let pooled = Tensor::cat(&pooled.collect::<candle_core::Result<Vec<_>>>()?, 0)?;
        let (queries, docs) = (pooled.narrow(0, 0, queries)?, pooled.narrow(0, queries, 2 * queries)?);
        ranking(&queries.matmul(&docs.t()?)?)? + (flops(&docs)? * 3e-2)? + (flops(&queries)? * 5e-2)?
    };
    Chain { engine: Engine::Words(model), batch, head: Vec::new(), loss: Box::new(loss) }
}

fn classifier(golden: &Golden, loss: impl Fn(&Tensor, &[Tensor]) -> candle_core::Result<Tensor> + 'static) -> Chain {
    let model = Classifier::load(fixture("models/st62_cross_encoder")).unwrap();
    let mut batch = columns(golden, 1);
    batch.token_types = golden.tensors.unpadded("in.0.token_type_ids", "in.0.attention_mask").concat();
    Chain { engine: Engine::Classes(model), batch, head: Vec::new(), loss: Box::new(loss) }
}

/// The texts of all columns, one column behind the other.
fn columns(golden: &Golden, count: usize) -> PackedBatch {
    PackedBatch::new((0..count).flat_map(|column| column_ids(golden, column)))
}

fn column_ids(golden: &Golden, column: usize) -> Vec<Vec<u32>> {
    golden.tensors.unpadded(&format!("in.{column}.input_ids"), &format!("in.{column}.attention_mask"))
}

/// Start and length of each sequence.
fn ranges(batch: &PackedBatch) -> Vec<(usize, usize)> {
    batch.ranges().map(|range| (range.start, range.len())).collect()
}

fn numbers(golden: &Golden, key: &str) -> Vec<f32> {
    golden.case[key].as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

/// A stored tensor of a module, whose number stands before its name.
fn variable(name: &'static str, stored: &Tensors) -> (&'static str, Var) {
    (name, Var::from_tensor(stored.tensor(&name[2..])).unwrap())
}

/// The ids of the words that documents are scored without.
fn punctuation(dir: &std::path::Path) -> HashSet<u32> {
    let vocab = &json(&dir.join("tokenizer.json"))["model"]["vocab"];
    let mask = json(&dir.join("2_MultiVectorMask/config.json"));
    let words = mask["skiplist_words"].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
    words.filter_map(|word| vocab[word].as_u64()).map(|id| id as u32).collect()
}
