//! `kensaku encode`: the vectors of one shard of a corpus.

use std::path::Path;

use kensaku::ProgramError;
use kensaku::index::{Shard, encode_shard};
use kensaku::prelude::*;

fn main() -> Result<(), ProgramError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, file, folder, shard] = &arguments[..] else { return Err("MODEL CORPUS FOLDER SHARD".into()) };
    let shard: Shard = shard.parse()?;
    let (encode, corpus) = (encoder(model)?, corpus(Path::new(file))?);
    let docs = shard.rows(corpus.len());
    let of = format!("shard {shard}: documents {} to {} of {}", docs.start + 1, docs.end, corpus.len());
    let encoded = encode_shard(&corpus, folder, shard, encode)?;
    println!("{of} {}", if encoded { "encoded" } else { "were there" });
    Ok(())
}

type Encode = Box<dyn Fn(&Corpus) -> Result<Embeddings>>;

/// Any model whose documents are vectors.
fn encoder(model: &str) -> Result<Encode> {
    // What a folder holds is said by its files; the first error is about what most folders are.
    match BiEncoder::load(model) {
        Ok(model) => Ok(Box::new(move |docs: &Corpus| model.encode_docs(docs))),
        Err(error) => match (StaticEmbedding::load(model), TwoTowers::load(model)) {
            (Ok(model), _) => Ok(Box::new(move |docs: &Corpus| model.encode_docs(docs))),
            (_, Ok(model)) => Ok(Box::new(move |docs: &Corpus| model.encode_docs(docs))),
            _ => Err(error),
        },
    }
}

/// The documents of a file, by its extension; they may have BEIR's `_id`.
fn corpus(file: &Path) -> Result<Corpus> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = name.trim_end_matches(".gz").trim_end_matches(".zst");
    let mut frame = match name.rsplit('.').next() {
        Some("parquet") => read::parquet(file)?.collect()?,
        Some("csv") => read::csv(file, &Csv::default())?.into_frame(),
        Some("tsv") => read::csv(file, &Csv::tsv())?.into_frame(),
        _ => read::jsonl(file)?.into_frame(),
    };
    if !frame.schema().contains("doc_id") && frame.schema().contains("_id") {
        frame.rename("_id", "doc_id".into())?;
    }
    Corpus::new(frame)
}
