//! What batches, steps, vectors and files take beside the data and the model.

use kensaku::Result;
use kensaku::data::{Corpus, StreamConfig, Texts, TrainingSet, TrainingStream};
use kensaku::loss::MultipleNegativesRanking;
use kensaku::model::BiEncoder;
use kensaku::nn::{BertConfig, EncoderConfig};
use kensaku::train::{CheckpointConfig, TrainConfig, Trainer};
use polars::prelude::ParquetWriter;

use super::counting::{allocated, peak};
use crate::training::{small, words};

/// A model with a table of 100 MB, and the bytes of that table.
fn large_table(data: &TrainingSet) -> Result<(BiEncoder, usize)> {
    let model = small(data, 1)?;
    let EncoderConfig::Bert(config) = model.encoder().config().clone() else { panic!("not BERT") };
    let config = BertConfig { max_position_embeddings: 800_000, ..config };
    let model = BiEncoder::new(config, model.tokenizer().clone(), model.config().clone(), 1)?;
    let table = size_of_val(model.encoder().parameters().values("embeddings.position_embeddings.weight")?);
    Ok((model, table))
}

/// If the large table is not trained, a step takes memory for the rest alone, and so does a checkpoint.
pub(super) fn frozen() -> Result<()> {
    let data = words()?;
    let (model, table) = large_table(&data)?;
    let folder = tempfile::tempdir().unwrap();
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    };
    let before = resident();
    let train = TrainConfig {
        freeze: vec!["position_embeddings".to_owned()],
        checkpoint: Some(CheckpointConfig { dir: folder.path().to_owned(), every: 100, keep: 1 }),
        ..crate::training::config()
    };
    let mut trainer = Trainer::new(model, MultipleNegativesRanking::default(), train)?;
    for step in trainer.steps(&data)?.take(3) {
        step?;
    }
    let taken = resident().saturating_sub(before);
    assert!(taken < table / 2, "{taken} bytes beside a table of {table}");
    // Trained embeddings have them.
    let words = trainer.model().encoder().parameters().grad("embeddings.word_embeddings.weight")?;
    assert!(words.iter().any(|grad| *grad != 0.0));
    let path = trainer.checkpoint()?;
    assert!(std::fs::metadata(path.join("optimizer.safetensors")).unwrap().len() < table as u64 / 2);
    Ok(())
}

/// Of 8 MB of texts, a batch takes its own, and the plan of an epoch some bytes per text.
pub(super) fn shared_texts() -> Result<()> {
    let texts =
        |first: usize| (first..first + 20_000).map(|n| format!("{n} {}", "red ".repeat(50))).collect::<Vec<_>>();
    let data = TrainingSet::new(polars::df!("query" => texts(0), "positive" => texts(20_000))?)?;
    let all: usize = data.columns().iter().flat_map(Texts::iter).map(str::len).sum();
    let mut trainer =
        Trainer::new(small(&words()?, 1)?, MultipleNegativesRanking::default(), crate::training::config())?;
    let batch = trainer.batch(&data, &(0..12).collect::<Vec<_>>())?;
    trainer.step(&batch)?;
    let before = allocated();
    trainer.batch(&data, &[7])?;
    let one = allocated() - before;
    assert!(one < all / 20, "{one} bytes for one row of {all}");
    let before = allocated();
    trainer.steps(&data)?.next().unwrap()?;
    let start = allocated() - before;
    assert!(start < all, "{start} bytes to start on {all}");
    Ok(())
}

/// Of 50 MB of texts in a file, a training holds those of a window.
pub(super) fn stream() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.parquet");
    let rows = 100_000;
    // Texts that compress to nothing would be shared by a dictionary.
    let text = |row: usize| format!("{row} {}", (row * row).to_string().repeat(25));
    let mut frame = polars::df!(
        "query" => (0..rows).map(text).collect::<Vec<_>>(),
        "positive" => (rows..2 * rows).map(text).collect::<Vec<_>>(),
    )?;
    let all: usize =
        frame.columns().iter().map(|column| column.str().unwrap().iter().flatten().map(str::len).sum::<usize>()).sum();
    let writer = ParquetWriter::new(std::fs::File::create(&path).unwrap());
    writer.with_row_group_size(Some(2_000)).finish(&mut frame)?;
    drop(frame);
    let open = || TrainingStream::open([&path], StreamConfig { buffer: 4_000, ..Default::default() });
    let (seen, read) =
        peak(|| -> Result<usize> { open()?.batches(100, 1, 0).map(|batch| Ok(batch?.numbers().len())).sum() });
    assert_eq!(seen?, rows);
    let model = small(&words()?, 1)?.with_max_length(8)?;
    let train = TrainConfig { batch_size: 32, epochs: 1, ..crate::training::config() };
    let mut trainer = Trainer::new(model, MultipleNegativesRanking::default(), train)?;
    let (steps, trained) =
        peak(|| -> Result<usize> { trainer.steps(&open()?)?.take(300).map(|step| step.map(|_| 1)).sum() });
    assert_eq!(steps?, 300);
    println!("{read} bytes to read, and {trained} to train, beside {all} bytes of texts");
    assert!(read < all / 4, "{read} bytes of {all}");
    assert!(trained < all / 2, "{trained} bytes of {all}");
    Ok(())
}

/// Of 40 MB of texts, encoding holds the vectors, and texts and tokens of a window.
pub(super) fn windows() -> Result<()> {
    let texts: Vec<String> = (0..40_000).map(|n| format!("{n} {}", "red ".repeat(250))).collect();
    let ids: Vec<String> = (0..texts.len()).map(|n| n.to_string()).collect();
    let all: usize = texts.iter().map(String::len).sum();
    let corpus = Corpus::new(polars::df!("doc_id" => ids, "text" => &texts)?)?;
    let model = small(&words()?, 1)?.with_max_length(8)?;
    let vectors = texts.len() * model.dim() * size_of::<f32>();
    let (encoded, slice) = peak(|| model.encode_texts(&texts));
    assert_eq!(encoded?.dims(), [texts.len(), model.dim()]);
    let (encoded, documents) = peak(|| model.encode_docs(&corpus));
    assert_eq!(encoded?.len(), texts.len());
    println!("{all} bytes of texts, {vectors} of vectors: a slice took {slice}, a corpus {documents}");
    assert!(slice < vectors + all / 4, "{slice} bytes for a slice of {all} and vectors of {vectors}");
    assert!(documents < vectors + all / 2, "{documents} bytes for a corpus of {all} and vectors of {vectors}");
    Ok(())
}

/// Weights are written from where they are.
pub(super) fn saving() -> Result<()> {
    let (model, table) = large_table(&words()?)?;
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let (saved, taken) = peak(|| model.save(folder.path().join("model")));
        saved?;
        println!("{taken} bytes to save a table of {table}");
        assert!(taken < table / 20, "{taken} bytes to save a table of {table}");
    }
    let (loaded, taken) = peak(|| BiEncoder::load(folder.path().join("model")));
    drop(loaded?);
    println!("{taken} bytes to load a table of {table}");
    assert!(taken < table * 11 / 10, "{taken} bytes to load a table of {table}");
    Ok(())
}
