//! Files of indexes.

use std::path::Path;

use kensaku::Result;
use safetensors::SafeTensors;
use safetensors::tensor::serialize;
use xxhash_rust::xxh3::Xxh3;

/// Writes one whose checksum is that of [`rehash`].
pub fn write(path: &Path, write: fn(&Path) -> Result<()>, read: fn(&Path) -> Result<()>) {
    write(path).unwrap();
    rehash(path);
    read(path).expect("the checksum of `rehash` is that of `save`");
}

/// Updates the checksum, so that the tables are read. A file whose header is damaged stays as it is.
pub fn rehash(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    let Ok((_, header)) = SafeTensors::read_metadata(&bytes) else { return };
    let (Some(mut about), Ok(file)) = (header.metadata().clone(), SafeTensors::deserialize(&bytes)) else { return };
    let mut tables = file.tensors();
    tables.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut hash = Xxh3::new();
    hash.update(about.get("params").map_or("", String::as_str).as_bytes());
    for (name, table) in &tables {
        hash.update(name.as_bytes());
        hash.update(table.data());
    }
    about.insert("xxh3".to_owned(), format!("{:016x}", hash.digest()));
    if let Ok(bytes) = serialize(tables, Some(about)) {
        std::fs::write(path, bytes).unwrap();
    }
}
