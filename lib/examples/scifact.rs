//! Each architecture trained on SciFact's 809 training queries from all-MiniLM-L6-v2, and measured on its 300 test queries.
//!
//! `KENSAKU_MINILM=folder KENSAKU_SHARED=folder cargo run --release -p kensaku --example scifact -- bi models`
//!
//! The first argument is `bi`, `cross`, `colbert` or `splade`; the second the folder that models are saved to. The last
//! three learn from the bi-encoder that is found there, too.

mod algebra;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use kensaku::loss::RegularizerWarmup;
use kensaku::mine::Sampling;
use kensaku::nn::{Activations, PackedBatch};
use kensaku::prelude::*;

const SEED: u64 = 42;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, models] = &arguments[..] else { bail!("expected: scifact bi|cross|colbert|splade FOLDER") };
    let variable = |name, default: &str| PathBuf::from(std::env::var(name).unwrap_or_else(|_| default.to_owned()));
    let task = Task {
        data: read::beir(variable("KENSAKU_SHARED", "../shared").join("data/scifact"))?,
        minilm: variable("KENSAKU_MINILM", "all-MiniLM-L6-v2"),
        models: PathBuf::from(models),
        start: Instant::now(),
    };
    match what.as_str() {
        "bi" => bi_encoder(&task),
        "cross" => cross_encoder(&task),
        "colbert" => colbert(&task),
        "splade" => splade(&task),
        _ => bail!("`{what}`: expected bi, cross, colbert or splade"),
    }
}

/// What all have in common.
struct Task {
    data: Dataset,
    minilm: PathBuf,
    models: PathBuf,
    start: Instant,
}

impl Task {
    /// Says how good a run of the test queries is.
    fn report(&self, what: &str, run: &Run) -> Result<()> {
        let means = evaluate(&self.data.split("test")?.qrels, run, &["nDCG@10", "R@100"])?;
        let (ndcg, recall) = (means.mean("nDCG@10")?, means.mean("R@100")?);
        println!("{what}: nDCG@10 {ndcg:.4}, R@100 {recall:.4}, seed {SEED}, {:.0?}", self.start.elapsed());
        Ok(())
    }

    /// Trains, and says every tenth step.
    fn train<M: kensaku::model::Model>(
        &self,
        model: M,
        loss: impl Loss + 'static,
        data: &TrainingSet,
        config: TrainConfig,
    ) -> Result<M> {
        let mut trainer = Trainer::new(model, loss, config)?;
        for step in trainer.steps(data)? {
            let step = step?;
            if step.step % 10 == 0 {
                println!("{step}, {:.0?}", self.start.elapsed());
            }
        }
        Ok(trainer.into_model())
    }
}

/// Queries with a positive and hard negatives from a run, and how the bi-encoder scores each document.
fn taught(task: &Task, hits: &Run, num_negatives: usize, range_max: usize) -> Result<TrainingSet> {
    let Task { data, models, .. } = task;
    let train = data.split("train")?;
    let mine = MineConfig { num_negatives, range_max, sampling: Sampling::Random, seed: SEED, ..Default::default() };
    let lists = hard_negatives(&train.queries, &train.qrels, &data.corpus, hits, mine)?;
    let teacher = BiEncoder::load(models.join("scifact-bi"))?;
    let [queries, docs @ ..] = &lists.columns()[..] else { bail!("no column of texts") };
    let queries = teacher.encode(&queries.to_vec(), Role::Query)?;
    let scores: Vec<Tensor> = docs
        .iter()
        .map(|docs| Ok(pairwise_cosine(&queries, &teacher.encode(&docs.to_vec(), Role::Doc)?)?))
        .collect::<Result<_>>()?;
    let scores = Tensor::stack(&scores, 1)?.to_vec2::<f32>()?;
    let mut labels =
        ListPrimitiveChunkedBuilder::<Float32Type>::new("label".into(), scores.len(), 0, DataType::Float32);
    scores.iter().for_each(|scores| labels.append_slice(scores));
    let mut frame = lists.frame().clone();
    frame.with_column(labels.finish().into_column())?;
    Ok(TrainingSet::new(frame)?)
}

/// Finds the positive among all documents that the model scores, and orders the query's own as the teacher does.
fn found_and_taught(scale: f64) -> loss::Custom {
    loss::custom(move |batch| {
        let found = loss::cross_entropy(&(batch.scores()? * scale)?, &batch.own()?)?;
        let taught = loss::kl_divergence(&(batch.own_scores()? * scale)?, &(batch.labels()? * 20.0)?)?;
        Ok((found + taught)?)
    })
}

/// A run of the best 100 documents by a matrix of scores.
fn ranked(queries: &[String], docs: &[String], scores: &Tensor) -> Result<Run> {
    let mut run = Run::new();
    for (query, scores) in queries.iter().zip(scores.to_vec2::<f32>()?) {
        let mut hits: Vec<Hit> = docs
            .iter()
            .zip(scores)
            .map(|(doc_id, score)| Hit { doc_id: doc_id.clone(), score: score.into() })
            .collect();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score));
        hits.truncate(100);
        run.insert(query, hits);
    }
    Ok(run)
}

fn search(model: &BiEncoder, corpus: &Corpus, queries: &Queries) -> Result<Run> {
    let index = FlatIndex::new(model.encode_docs(corpus)?, Similarity::Cosine)?;
    Ok(index.search(&model.encode_queries(queries)?, 100)?)
}

/// MultipleNegativesRanking with a hard negative from BM25's best.
fn bi_encoder(task: &Task) -> Result<()> {
    let Task { data, minilm, models, .. } = task;
    let (train, test) = (data.split("train")?, data.split("test")?);
    let mine = MineConfig { range_max: 20, sampling: Sampling::Random, seed: SEED, ..Default::default() };
    let triples = bm25_negatives(&train.queries, &train.qrels, &data.corpus, mine)?;
    let config = TrainConfig { batch_size: 32, learning_rate: 5e-5, epochs: 2, seed: SEED, ..Default::default() };
    // Half of an abstract is enough to learn from.
    let start = BiEncoder::load(minilm)?.with_max_length(128)?;
    let model = task.train(start.clone(), MultipleNegativesRanking::default(), &triples, config)?;
    for (what, model) in [("after", &model), ("before", &start)] {
        let model = model.clone().with_max_length(256)?;
        task.report(what, &search(&model, &data.corpus, &test.queries)?)?;
        if what == "after" {
            model.save(models.join("scifact-bi"))?;
        }
    }
    Ok(())
}

/// Reranks BM25's best 100.
fn cross_encoder(task: &Task) -> Result<()> {
    let Task { data, minilm, models, .. } = task;
    let (train, test) = (data.split("train")?, data.split("test")?);
    let bm25 = Bm25::new(&data.corpus, Bm25Params::default())?;
    let found = bm25.search(&test.queries, 100)?;
    task.report("BM25", &found)?;
    let lists = taught(task, &bm25.search(&train.queries, 100)?, 7, 50)?;
    let model = CrossEncoder::from_encoder(minilm, 1, SEED)?.with_max_length(160)?;
    let config = TrainConfig { batch_size: 16, learning_rate: 1e-4, epochs: 2, seed: SEED, ..Default::default() };
    let model = task.train(model, found_and_taught(1.0), &lists, config)?;
    task.report("reranked", &model.rerank(&found, &test.queries, &data.corpus, 100)?)?;
    Ok(model.save(models.join("scifact-cross"))?)
}

/// Starts from the principal axes of MiniLM's token vectors.
fn colbert(task: &Task) -> Result<()> {
    let Task { data, minilm, models, .. } = task;
    let (train, test) = (data.split("train")?, data.split("test")?);
    // Tokens that the vocabulary has, and nothing uses.
    let config = ColBertConfig {
        query_marker: "[unused0] ".to_owned(),
        doc_marker: "[unused1] ".to_owned(),
        expand_queries: false,
        doc_length: 180,
        ..Default::default()
    };
    let mut model = ColBert::from_encoder(minilm, config, SEED)?;
    let sample: Vec<String> = data.corpus.texts().into_iter().step_by(20).collect();
    let states = hidden_states(model.encoder(), &model.tokenize(&sample, Role::Doc)?)?;
    let axes = algebra::principal_axes(&states, model.dim())?.t()?.flatten_all()?.to_vec1::<f32>()?;
    model.encoder_mut().parameters_mut().values_mut("linear.weight")?.copy_from_slice(&axes);

    let evaluated = |model: &ColBert, what: &str| {
        let (queries, docs) = (model.encode_queries(&test.queries)?, model.encode_docs(&data.corpus)?);
        task.report(what, &ranked(&queries.ids, &docs.ids, &model.similarity(&queries, &docs)?)?)
    };
    evaluated(&model, "before")?;
    let hits = Bm25::new(&data.corpus, Bm25Params::default())?.search(&train.queries, 100)?;
    let lists = taught(task, &hits, 2, 50)?;
    let config = TrainConfig { batch_size: 16, learning_rate: 3e-5, epochs: 2, seed: SEED, ..Default::default() };
    let model = task.train(model, found_and_taught(1.0), &lists, config)?;
    evaluated(&model, "after")?;
    Ok(model.save(models.join("scifact-colbert"))?)
}

/// The vectors of all tokens `(tokens, H)`.
fn hidden_states(encoder: &kensaku::nn::Encoder, ids: &[Vec<u32>]) -> Result<Tensor> {
    let mut activations = Activations::inference();
    let mut states = Vec::new();
    for ids in ids.chunks(16) {
        let batch = PackedBatch::new(ids);
        encoder.forward(&batch, &mut activations)?;
        let shape = (batch.tokens(), encoder.config().hidden_size());
        states.push(Tensor::from_slice(activations.hidden(), shape, &Device::Cpu)?);
    }
    Ok(Tensor::cat(&states, 0)?)
}

/// MiniLM has no head that says words: this one begins with the map that leads each token back to its own word, and with
/// biases under which a word's weight is that of its rarity, so that training starts from something like BM25.
fn splade(task: &Task) -> Result<()> {
    let Task { data, minilm, models, .. } = task;
    let (train, test) = (data.split("train")?, data.split("test")?);
    let model = lexical(task, &BiEncoder::load(minilm)?)?;
    let evaluated = |model: &Splade, what: &str| {
        let (queries, docs) = (model.encode_queries(&test.queries)?, model.encode_docs(&data.corpus)?);
        let (words, active) = (queries.vectors.active_dims(), docs.vectors.active_dims());
        println!("{words:.0} words a query, {active:.0} a document");
        let scores = model.similarity(&queries.vectors, &docs.vectors)?;
        task.report(what, &ranked(&queries.ids, &docs.ids, &scores)?)
    };
    evaluated(&model, "before")?;
    let hits = Bm25::new(&data.corpus, Bm25Params::default())?.search(&train.queries, 100)?;
    let lists = taught(task, &hits, 1, 50)?;
    let loss = SpladeLoss {
        regularizer_warmup: Some(RegularizerWarmup::default()),
        ..SpladeLoss::new(found_and_taught(1.0), 1e-3, Some(1e-3))
    };
    let config = TrainConfig { batch_size: 16, learning_rate: 3e-5, epochs: 2, seed: SEED, ..Default::default() };
    let model = task.train(model, loss, &lists, config)?;
    evaluated(&model, "after")?;
    Ok(model.save(models.join("scifact-splade"))?)
}

/// How far a token's own word stands above all others, in the scores that training starts with.
const ABOVE: f32 = 9.0;

fn lexical(task: &Task, minilm: &BiEncoder) -> Result<Splade> {
    let config = SpladeConfig { max_length: 160, ..Default::default() };
    let mut model = Splade::new(minilm.encoder().config().clone(), minilm.tokenizer().clone(), config, SEED)?;
    for entry in minilm.encoder().parameters().entries() {
        let values = minilm.encoder().parameters().values(&entry.name)?.to_vec();
        model.encoder_mut().parameters_mut().values_mut(&entry.name)?.copy_from_slice(&values);
    }
    let texts = task.data.corpus.texts();
    let ids = model.tokenize(&texts, Role::Doc)?;
    let mut found = vec![0_usize; model.dim()];
    for ids in &ids {
        let mut words = ids.clone();
        words.sort_unstable();
        words.dedup();
        words.into_iter().for_each(|id| found[id as usize] += 1);
    }
    let sample: Vec<Vec<u32>> = ids.iter().step_by(10).cloned().collect();
    let states = hidden_states(model.encoder(), &sample)?;
    let own = Tensor::new(sample.concat(), &Device::Cpu)?;
    let words = minilm.encoder().parameters().tensor("embeddings.word_embeddings.weight")?;
    let targets = words.index_select(&own, 0)?;
    let map = algebra::least_squares(&states, &targets, 1.0)?;

    // The head is norm(gelu(W h + b)): with a large b the activation is the identity, and the norm takes b away again.
    let mapped = states.matmul(&map)?;
    let deviation = mapped.sqr()?.mean_all()?.sqrt()?.to_scalar::<f32>()?;
    let map = (map / f64::from(deviation))?;
    let lifted = ((mapped / f64::from(deviation))? + 6.0)?.gelu_erf()?;
    let centred = lifted.broadcast_sub(&lifted.mean_keepdim(1)?)?;
    let normed = centred.broadcast_div(&(centred.sqr()?.mean_keepdim(1)? + 1e-12)?.sqrt()?)?;

    // What a word scores at its own tokens, and at all.
    let average = normed.mean(0)?.unsqueeze(1)?;
    let everywhere = words.matmul(&average)?.squeeze(1)?.to_vec1::<f32>()?;
    let at_own = (normed * targets)?.sum(1)?.to_vec1::<f32>()?;
    let (mut sums, mut counts) = (vec![0.0; found.len()], vec![0.0_f32; found.len()]);
    for (id, score) in sample.concat().into_iter().zip(&at_own) {
        sums[id as usize] += score;
        counts[id as usize] += 1.0;
    }
    let seen = (0..found.len()).filter(|word| counts[*word] > 0.0);
    let (gap, tokens) = seen.fold((0.0, 0.0), |(gap, tokens), word| {
        (gap + sums[word] - counts[word] * everywhere[word], tokens + counts[word])
    });
    let gap = gap / tokens;
    let scale = ABOVE / gap;
    let documents = texts.len() as f32;
    let bias: Vec<f32> = (0..found.len())
        .map(|word| {
            let rarity = ((documents + 1.0) / (found[word] as f32 + 1.0)).ln();
            let own = if counts[word] > 0.0 { sums[word] / counts[word] } else { everywhere[word] + gap };
            // Its weight, log(1 + score), is then as rare words weigh in BM25: a product of two is the rarity.
            let wanted = (0.6 * rarity.sqrt()).exp() - 1.0;
            wanted - scale * own
        })
        .collect();

    let width = map.dim(0)?;
    let head = model.encoder_mut().parameters_mut();
    let mut set = |name: &str, values: &[f32]| -> Result<()> {
        head.values_mut(&format!("cls.predictions.{name}"))?.copy_from_slice(values);
        Ok(())
    };
    set("transform.dense.weight", &map.t()?.flatten_all()?.to_vec1::<f32>()?)?;
    set("transform.dense.bias", &vec![6.0; width])?;
    set("transform.LayerNorm.weight", &vec![scale; width])?;
    set("transform.LayerNorm.bias", &vec![0.0; width])?;
    set("bias", &bias)?;
    println!("a token's own word stands {gap:.2} above the others, scaled by {scale:.2}");
    Ok(model)
}
