//! SPLADE: nDCG@10 0.630, R@100 0.896 with seed 42, of all documents cut to 160 tokens.

use anyhow::Result;
use kensaku::loss::RegularizerWarmup;
use kensaku::prelude::*;

use crate::{SEED, Task, hidden_states};

/// Queries are looked up in a table of inverse document frequencies; documents start with their own words.
pub fn run(task: &Task) -> Result<()> {
    let start = lexical(task, &BiEncoder::load(&task.minilm)?)?;
    let ranking = MultipleNegativesRanking { scale: 0.3, similarity: Similarity::Dot, ..Default::default() };
    let loss =
        SpladeLoss { regularizer_warmup: Some(RegularizerWarmup::default()), ..SpladeLoss::new(ranking, 3e-3, None) };
    let config = TrainConfig { batch_size: 16, learning_rate: 2e-5, seed: SEED, ..Default::default() };
    let trained = task.train(start.with_max_length(128)?, loss, &task.triples()?, config)?;
    let trained = trained.with_max_length(160)?;
    trained.save(task.models.join("scifact-splade"))?;

    let queries = trained.encode_queries(&task.data.split("test")?.queries)?;
    let docs = trained.encode_docs(&task.data.corpus)?;
    let (words, active) = (queries.vectors.active_dims(), docs.vectors.active_dims());
    println!("{words:.1} words a query, {active:.1} a document");
    let scores = trained.similarity(&queries.vectors, &docs.vectors)?;
    task.report("after", &Run::from_scores(&queries.ids, &docs.ids, &scores, 100)?)
}

/// The score that a word starts with where it stands: of weight `ln(1 + 1.7) = 1`.
const OWN: f32 = 1.7;
/// How far that is above its average score.
const ABOVE: f32 = 9.0;
/// Where gelu is the identity.
const LIFT: f64 = 6.0;

/// MiniLM has no head that says words: this one begins with the linear map that leads each token back to its own word best,
/// and with biases under which all words weigh the same where they stand. With the inverse document frequencies of queries,
/// training starts from something like BM25.
fn lexical(task: &Task, minilm: &BiEncoder) -> Result<Splade> {
    let config = SpladeConfig { max_length: 160, ..Default::default() };
    let mut model = Splade::on(minilm.encoder().clone(), minilm.tokenizer().clone(), config, SEED)?;
    let sample: Vec<String> = task.data.corpus.texts().into_iter().step_by(10).collect();
    let ids = model.tokenize(&sample, Role::Doc)?;
    let states = hidden_states(model.encoder(), &ids)?;
    let ids = ids.concat();
    let words = minilm.encoder().parameters().tensor("embeddings.word_embeddings.weight")?;
    let targets = words.index_select(&Tensor::new(ids.as_slice(), &Device::Cpu)?, 0)?;
    let map = least_squares(&states, &targets, 1.0)?;

    // The head is norm(gelu(W h + b)): with a large b the activation is the identity, and the norm takes b away again.
    let deviation = states.matmul(&map)?.sqr()?.mean_all()?.sqrt()?.to_scalar::<f32>()?;
    let map = (map / f64::from(deviation))?;
    let lifted = (states.matmul(&map)? + LIFT)?.gelu_erf()?;
    let centred = lifted.broadcast_sub(&lifted.mean_keepdim(1)?)?;
    let normed = centred.broadcast_div(&(centred.sqr()?.mean_keepdim(1)? + 1e-12)?.sqrt()?)?;

    // What each word scores at all tokens, and at its own.
    let everywhere = words.matmul(&normed.mean(0)?.unsqueeze(1)?)?.squeeze(1)?.to_vec1::<f32>()?;
    let at_own = (normed * targets)?.sum(1)?.to_vec1::<f32>()?;
    let (mut sums, mut counts) = (vec![0.0; everywhere.len()], vec![0.0_f32; everywhere.len()]);
    for (id, score) in ids.iter().zip(&at_own) {
        sums[*id as usize] += score;
        counts[*id as usize] += 1.0;
    }
    let gap =
        ids.iter().zip(&at_own).map(|(id, score)| score - everywhere[*id as usize]).sum::<f32>() / ids.len() as f32;
    let scale = ABOVE / gap;
    let bias = (0..everywhere.len()).map(|word| match counts[word] {
        0.0 => OWN - scale * (everywhere[word] + gap),
        count => OWN - scale * sums[word] / count,
    });
    let (width, bias) = (map.dim(0)?, bias.collect::<Vec<f32>>());
    let mut set = |name: &str, values: &[f32]| -> Result<()> {
        let parameters = model.encoder_mut().parameters_mut();
        parameters.values_mut(&format!("cls.predictions.{name}"))?.copy_from_slice(values);
        Ok(())
    };
    set("transform.dense.weight", &map.t()?.flatten_all()?.to_vec1::<f32>()?)?;
    set("transform.dense.bias", &vec![LIFT as f32; width])?;
    set("transform.LayerNorm.weight", &vec![scale; width])?;
    set("transform.LayerNorm.bias", &vec![0.0; width])?;
    set("bias", &bias)?;

    let (idf, tokenizer) = (model.idf(&task.data.corpus.texts())?, model.tokenizer().clone());
    let model = model.with_query_weights(tokenizer, &idf)?;
    let config = SpladeConfig { query_weights: QueryWeights::Fixed, ..model.config().clone() };
    Ok(model.with_config(config)?)
}

/// The `W` of least `|X W - Y|² + ridge |W|²`, by elimination: `(n, a)`, `(n, b)` -> `(a, b)`.
fn least_squares(x: &Tensor, y: &Tensor, ridge: f64) -> Result<Tensor> {
    let products = x.t()?.matmul(&Tensor::cat(&[x, y], 1)?)?.to_dtype(DType::F64)?;
    let mut rows = products.to_vec2::<f64>()?;
    let size = rows.len();
    (0..size).for_each(|row| rows[row][row] += ridge);
    // The matrix is positive definite: no pivot is 0.
    for pivot in 0..size {
        let scale = 1.0 / rows[pivot][pivot];
        rows[pivot].iter_mut().for_each(|value| *value *= scale);
        let own = rows[pivot].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(row, _)| *row != pivot) {
            let factor = row[pivot];
            row.iter_mut().zip(&own).for_each(|(value, own)| *value -= factor * own);
        }
    }
    let solution: Vec<f64> = rows.into_iter().flat_map(|row| row.into_iter().skip(size)).collect();
    Ok(Tensor::from_vec(solution, (size, y.dim(1)?), &Device::Cpu)?.to_dtype(DType::F32)?)
}
