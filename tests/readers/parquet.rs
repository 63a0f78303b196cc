//! Parquet, sound and damaged.

use std::path::Path;

use kensaku::data::read;
use polars::prelude::*;

/// What Polars keeps in Parquet, and pyarrow writes.
pub(super) fn parquet_types() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("types.parquet");
    let numbers = || Series::new("n".into(), [1i64, 2]);
    let vectors = Series::new("n".into(), [Series::new("".into(), [1f32, 2.0]), Series::new("".into(), [3f32, 4.0])]);
    let zone = TimeZone::opt_try_new(Some("Asia/Tokyo")).unwrap();
    let types = [
        DataType::UInt8,
        DataType::UInt16,
        DataType::Int8,
        DataType::Int16,
        DataType::Float16,
        DataType::Decimal(10, 2),
        DataType::Datetime(TimeUnit::Milliseconds, zone),
    ];
    let mut columns: Vec<Column> = types
        .iter()
        .map(|dtype| numbers().cast(dtype).unwrap().with_name(dtype.to_string().into()).into_column())
        .collect();
    columns.push(
        vectors.cast(&DataType::Array(Box::new(DataType::Float32), 2)).unwrap().with_name("v".into()).into_column(),
    );
    columns.push(StructChunked::from_series("s".into(), 2, [numbers()].iter()).unwrap().into_column());
    let mut frame = DataFrame::new(2, columns).unwrap();
    ParquetWriter::new(std::fs::File::create(&path).unwrap()).finish(&mut frame).unwrap();
    let read = read::parquet(&path).unwrap().collect().unwrap();
    assert!(read.equals(&frame), "{read}");
    assert!(format!("{read}").contains("JST"), "{read}");

    // Rows are counted, columns and rows are chosen as of any lazy frame.
    let lazy = || read::parquet(&path).unwrap();
    assert_eq!(lazy().select([len()]).collect().unwrap().column("len").unwrap().u32().unwrap().get(0), Some(2));
    assert_eq!(
        lazy().select([col("i8")]).slice(1, 1).collect().unwrap().column("i8").unwrap().i8().unwrap().get(0),
        Some(2)
    );
    assert_eq!(lazy().filter(col("i16").gt(lit(1))).select([col("i8")]).collect().unwrap().shape(), (1, 1));
    assert_eq!(lazy().limit(1).collect().unwrap().height(), 1);
}

pub(super) fn damaged_parquet() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/parquet");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let message = match read::parquet(&path) {
            Err(error) => error.to_string(),
            Ok(frame) => frame.collect().unwrap_err().to_string(),
        };
        assert!(message.starts_with(path.to_str().unwrap()), "{message}");
        files += 1;
    }
    assert_eq!(files, 8);
}
