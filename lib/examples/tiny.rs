//! kensaku-tiny: a small model distilled from all-MiniLM-L6-v2, the one that `BiEncoder::tiny` loads.
//!
//! The student's vocabulary is the part of the teacher's that its texts use, its token embeddings begin as the teacher's
//! vectors of single tokens, and it learns two things: the teacher's vectors, brought to its own width by a principal
//! component analysis, and how the teacher ranks the texts of a batch. No judged query and no judgement is seen.
//!
//! `KENSAKU_MINILM=folder KENSAKU_SHARED=folder cargo run --release -p kensaku --example tiny -- lib/assets/kensaku-tiny`
//!
//! The teacher's vectors are kept in `$TMPDIR/kensaku-tiny.safetensors` for the next run.

mod algebra;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use kensaku::loss::{kl_divergence, normalize};
use kensaku::nn::{Activations, PackedBatch};
use kensaku::prelude::*;
use serde_json::{Value, json};

/// The student.
const VOCABULARY: usize = 14_000;
const WIDTH: usize = 192;
const LAYERS: usize = 2;
const HEADS: usize = 6;
const INNER: usize = 768;
const MAX_LENGTH: usize = 256;

/// Of the teacher's vocabulary, in order of frequency: always kept, whether the texts have them or not.
const COMMON_WORDS: usize = 5_000;
/// The words of an answer that are a text.
const ANSWER: usize = 60;

const EPOCHS: usize = 3;
const BATCH: usize = 128;
const RATE: f64 = 1e-3;
/// Similarities are compared as softmax of `SHARPNESS * cos`.
const SHARPNESS: f64 = 20.0;
const SEED: u64 = 42;

fn main() -> Result<()> {
    let start = Instant::now();
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "kensaku-tiny".to_owned()));
    let shared = PathBuf::from(std::env::var("KENSAKU_SHARED").unwrap_or_else(|_| "../shared".to_owned()));
    let teacher = std::env::var("KENSAKU_MINILM").unwrap_or_else(|_| "all-MiniLM-L6-v2".to_owned());
    let teacher = BiEncoder::load(teacher)?.with_max_length(MAX_LENGTH)?;
    let scifact = read::beir(shared.join("data/scifact"))?;
    let docs = rustdoc()?;

    let texts = texts(&shared, &scifact, &docs)?;
    println!("{} texts, {:.0?}", texts.len(), start.elapsed());
    let vectors = teacher_vectors(&teacher, &texts)?;
    println!("teacher {:?}, {:.0?}", vectors.dims(), start.elapsed());
    let axes = algebra::principal_axes(&vectors, WIDTH)?.t()?.contiguous()?;

    let kept = vocabulary(&teacher, &texts)?;
    let tokenizer = Tokenizer::from_bytes(pruned(&teacher, &kept)?)?;
    let encoder = BertConfig {
        hidden_size: WIDTH,
        num_hidden_layers: LAYERS,
        num_attention_heads: HEADS,
        intermediate_size: INNER,
        max_position_embeddings: MAX_LENGTH,
        ..Default::default()
    };
    let settings = BiEncoderConfig { max_length: MAX_LENGTH, ..Default::default() };
    let mut student = BiEncoder::new(encoder, tokenizer, settings, SEED)?;
    let words = normalize(&token_vectors(&teacher, &kept)?.matmul(&axes)?)?;
    let words = words.flatten_all()?.to_vec1::<f32>()?;
    let table = "embeddings.word_embeddings.weight";
    student.encoder_mut().parameters_mut().values_mut(table)?.copy_from_slice(&words);
    println!("{student:?}\n{:.3} on SciFact before, {:.0?}", ndcg(&student, &scifact)?, start.elapsed());

    let data = training_set(&texts, &vectors)?;
    let config = TrainConfig {
        batch_size: BATCH,
        learning_rate: RATE,
        epochs: EPOCHS,
        dropout: false,
        schedule: Schedule::Cosine { num_cycles: 0.5 },
        seed: SEED,
        ..Default::default()
    };
    let mut trainer = Trainer::new(student, distillation(axes), config)?;
    for step in trainer.steps(&data)? {
        let step = step?;
        if step.step % 100 == 0 {
            println!("{step}, {:.0?}", start.elapsed());
        }
    }
    let student = trainer.into_model();
    println!("{:.3} on SciFact after, {:.0?}", ndcg(&student, &scifact)?, start.elapsed());
    save(&student, &folder)?;
    println!("{:.3} on SciFact as saved in f16", ndcg(&BiEncoder::load(&folder)?, &scifact)?);
    Ok(())
}

/// nDCG@10 of the test queries.
fn ndcg(model: &BiEncoder, data: &Dataset) -> Result<f64> {
    let test = data.split("test")?;
    let index = FlatIndex::new(model.encode_docs(&data.corpus)?, Similarity::Cosine)?;
    evaluate(&test.qrels, &index.search(&model.encode_queries(&test.queries)?, 100)?, &["nDCG@10"])?
        .mean("nDCG@10")
        .map_err(Into::into)
}

/// Documents, their titles and sentences, questions and answers, each once; no query of a test split.
fn texts(shared: &Path, scifact: &Dataset, docs: &Dataset) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for data in [scifact, docs] {
        texts.extend(data.corpus.texts());
        let titles = data.corpus.frame().column("title")?.str()?.iter().flatten().map(str::to_owned);
        texts.extend(titles);
        texts.extend(data.split("train")?.queries.texts());
    }
    let abstracts = scifact.corpus.frame().column("text")?.str()?;
    let sentences = abstracts.iter().flatten().flat_map(|text| text.split_inclusive(". "));
    texts.extend(sentences.map(|text| text.trim().to_owned()));
    let medicine = read::jsonl(shared.join("data/medquad/medquad_pairs.jsonl"))?;
    let questions = medicine.frame().column("question")?.str()?.iter().flatten().map(str::to_owned);
    texts.extend(questions);
    let start = |text: &str| text.split_whitespace().take(ANSWER).collect::<Vec<_>>().join(" ");
    texts.extend(medicine.frame().column("answer")?.str()?.iter().flatten().map(start));

    let held_out: Vec<Split> = [scifact.split("test")?, docs.split("test")?].into();
    let mut seen: HashSet<String> = held_out.iter().flat_map(|split| split.queries.texts()).collect();
    texts.retain(|text| text.len() > 2 && seen.insert(text.clone()));
    Ok(texts)
}

fn teacher_vectors(teacher: &BiEncoder, texts: &[String]) -> Result<Tensor> {
    let path = std::env::temp_dir().join("kensaku-tiny.safetensors");
    let known = candle_core::safetensors::load(&path, &Device::Cpu).ok().and_then(|mut kept| kept.remove("vectors"));
    if let Some(vectors) = known.filter(|vectors| vectors.dims() == [texts.len(), teacher.dim()]) {
        return Ok(vectors);
    }
    let vectors = teacher.clone().with_precision(Precision::Int8).encode_texts(texts)?;
    candle_core::safetensors::save(&HashMap::from([("vectors", vectors.clone())]), &path)?;
    Ok(vectors)
}

/// The teacher's ids that are kept, in order: special tokens, characters, common words, and what the texts have most.
fn vocabulary(teacher: &BiEncoder, texts: &[String]) -> Result<Vec<u32>> {
    let tokenizer = teacher.tokenizer();
    let mut counts = vec![0_usize; tokenizer.vocab_size()];
    for ids in tokenizer.encode_batch(texts, MAX_LENGTH)? {
        ids.into_iter().for_each(|id| counts[id as usize] += 1);
    }
    let token = |id: u32| tokenizer.token(id).unwrap_or_default();
    let letters = |id: &u32| token(*id).trim_start_matches("##").chars().count() == 1 && token(*id).is_ascii();
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].into_iter().filter_map(|token| tokenizer.id(token));
    let first = tokenizer.id("the").unwrap_or_default();
    let all = 0..tokenizer.vocab_size() as u32;
    let mut kept: BTreeSet<u32> =
        special.chain(all.clone().filter(letters)).chain((first..).take(COMMON_WORDS)).collect();
    let mut frequent: Vec<u32> = all.collect();
    frequent.sort_by_key(|id| (std::cmp::Reverse(counts[*id as usize]), *id));
    for id in frequent {
        if kept.len() == VOCABULARY {
            break;
        }
        kept.insert(id);
    }
    let known: usize = kept.iter().map(|id| counts[*id as usize]).sum();
    let share = 100.0 * known as f64 / counts.iter().sum::<usize>() as f64;
    println!("{} tokens are {share:.2} % of those of the texts", kept.len());
    Ok(kept.into_iter().collect())
}

/// The teacher's `tokenizer.json` with these tokens alone, numbered anew.
fn pruned(teacher: &BiEncoder, kept: &[u32]) -> Result<String> {
    let number: HashMap<u32, usize> = kept.iter().enumerate().map(|(number, id)| (*id, number)).collect();
    let renumber = |id: &Value| id.as_u64().and_then(|id| number.get(&(id as u32))).map_or(Value::Null, |id| json!(id));
    let mut file: Value = serde_json::from_str(&teacher.tokenizer().to_json()?)?;
    let vocab = kept.iter().filter_map(|id| Some((teacher.tokenizer().token(*id)?, json!(number[id]))));
    file["model"]["vocab"] = Value::Object(vocab.collect());
    for token in file["added_tokens"].as_array_mut().into_iter().flatten() {
        token["id"] = renumber(&token["id"]);
    }
    for (_, token) in file["post_processor"]["special_tokens"].as_object_mut().into_iter().flatten() {
        for id in token["ids"].as_array_mut().into_iter().flatten() {
            *id = renumber(id);
        }
    }
    (file["truncation"], file["padding"]) = (Value::Null, Value::Null);
    Ok(file.to_string())
}

/// The teacher's vector of each token between the special ones.
fn token_vectors(teacher: &BiEncoder, ids: &[u32]) -> Result<Tensor> {
    let id = |token| teacher.tokenizer().id(token).unwrap_or_default();
    let (first, last) = (id("[CLS]"), id("[SEP]"));
    let mut activations = Activations::inference();
    let mut vectors = Vec::new();
    for ids in ids.chunks(512) {
        let batch = PackedBatch::new(ids.iter().map(|id| vec![first, *id, last]));
        teacher.encoder().forward(&batch, &mut activations)?;
        let hidden = Tensor::from_slice(activations.hidden(), (ids.len(), 3, teacher.dim()), &Device::Cpu)?;
        vectors.push(hidden.mean(1)?);
    }
    Ok(Tensor::cat(&vectors, 0)?)
}

/// Texts, with the teacher's vectors as labels.
fn training_set(texts: &[String], vectors: &Tensor) -> Result<TrainingSet> {
    let (count, width) = vectors.dims2()?;
    let mut labels =
        ListPrimitiveChunkedBuilder::<Float32Type>::new("label".into(), count, count * width, DataType::Float32);
    for vector in vectors.to_vec2::<f32>()? {
        labels.append_slice(&vector);
    }
    let mut frame = df!("query" => texts)?;
    frame.with_column(labels.finish().into_column())?;
    Ok(TrainingSet::new(frame)?)
}

/// `mean (1 - cos(x, t A)) + KL(teacher's similarities || student's)`, of texts with each other.
fn distillation(axes: Tensor) -> loss::Custom {
    loss::custom(move |batch| {
        let (student, teacher) = (batch.queries()?, batch.labels()?);
        let own = pairwise_cosine(student, &teacher.matmul(&axes)?)?.mean(0)?.affine(-1.0, 1.0)?;
        let count = student.dim(0)?;
        let itself = (Tensor::eye(count, DType::F32, student.device())? * 1e4)?;
        let alike = |x: &Tensor| -> kensaku::Result<Tensor> { Ok(((cosine(x, x)? * SHARPNESS)? - &itself)?) };
        Ok((own + kl_divergence(&alike(student)?, &alike(teacher)?)?)?)
    })
}

/// Saves the model, its weights in f16.
fn save(model: &BiEncoder, folder: &Path) -> Result<()> {
    model.save(folder)?;
    let path = folder.join("model.safetensors");
    let tensors = candle_core::safetensors::load(&path, &Device::Cpu)?;
    let tensors = tensors.into_iter().map(|(name, tensor)| Ok((name, tensor.to_dtype(DType::F16)?)));
    let tensors: HashMap<String, Tensor> = tensors.collect::<Result<_>>()?;
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(&tensors, Some(metadata), &path)?;
    Ok(())
}
