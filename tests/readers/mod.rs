//! Files of others: read right, or refused with file and line.

mod collections;
mod columns;
mod csv;
mod formats;
mod json;
mod parquet;
mod text;
mod trec;

use std::io::Write;
use std::path::PathBuf;

use kensaku::Result;
use kensaku::data::read::{self, Csv, Table};
use polars::prelude::DataFrame;

use crate::shared::{Trials, shared, test};

pub(crate) fn trials() -> Trials {
    vec![
        test("readers::a_byte_order_mark_is_no_part_of_a_text", text::byte_order_mark),
        test("readers::gzip_is_decompressed", text::gzip),
        test("readers::what_is_no_utf8_is_told_with_its_line", text::not_utf8),
        test("readers::a_pipe_a_device_and_a_folder_are_refused", text::endless),
        test("readers::an_interrupt_ends_reading", text::interrupted),
        test("readers::messages_are_short", text::short_messages),
        test("readers::json_lines_with_ever_new_keys_are_refused", json::ever_new_keys),
        test("readers::json_values_are_exact_or_refused", json::exact_json),
        test("readers::only_a_newline_ends_a_json_line", json::json_lines),
        test("readers::csv_that_is_read_otherwise_is_refused", csv::odd_csv),
        test("readers::lines_of_csv_are_those_of_the_file", csv::csv_lines),
        test("readers::trec_columns_are_separated_by_ascii_space", trec::trec_columns),
        test("readers::an_id_may_begin_with_a_number_sign", trec::number_sign),
        test("readers::what_is_written_is_read_back", trec::written),
        test("readers::parquet_of_all_types", parquet::parquet_types),
        test("readers::damaged_parquet_is_an_error", parquet::damaged_parquet),
        test("readers::ids_may_be_integers", collections::integer_ids),
        test("readers::a_null_title_is_no_title_and_a_null_text_an_error", collections::nulls),
        test("readers::beir_folders_as_they_are_found", collections::beir_folders),
        test("readers::columns_by_their_names", columns::named_columns),
        test("readers::columns_that_nothing_uses_are_an_error", columns::unused_columns),
        test("readers::a_list_of_negatives_is_as_many_columns", columns::lists_of_negatives),
        test("readers::a_null_is_no_training_text", columns::null_texts),
        test("readers::what_cannot_be_used_is_left_out_and_counted", collections::lenient),
        test("readers::documents_of_trec", formats::trec_documents),
        test("readers::topics_of_trec_in_three_dialects", formats::trec_topics),
        test("readers::files_of_msmarco", formats::msmarco),
        test("readers::ids_stand_for_texts", formats::ids_for_texts),
        test("readers::squad_is_retrieval", formats::squad),
        test("readers::sentence_pairs", formats::sentence_pairs),
        test("readers::flag_embedding_and_tevatron", formats::flag_embedding_and_tevatron),
        test("readers::zstandard_is_decompressed", formats::zstandard),
        shared("readers::jglue", "data/jglue", |folder| formats::jglue(&folder)),
        shared("readers::sts_benchmark", "data/stsb", |folder| formats::sts_benchmark(&folder)),
    ]
}

fn file(content: impl AsRef<[u8]>) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_ref()).unwrap();
    file
}

/// The error of reading a file, which is called FILE.
fn refused<T>(content: impl AsRef<[u8]>, read: impl Fn(PathBuf) -> Result<T>) -> String {
    let file = file(content);
    let Err(error) = read(file.path().to_owned()) else {
        panic!("{} was read", String::from_utf8_lossy(&std::fs::read(file).unwrap()))
    };
    error.to_string().replace(file.path().to_str().unwrap(), "FILE")
}

fn jsonl(content: impl AsRef<[u8]>) -> DataFrame {
    read::jsonl(file(content).path()).unwrap().into_frame()
}

fn csv(content: impl AsRef<[u8]>) -> Result<Table> {
    read::csv(file(content).path(), &Csv::default())
}

fn plain(path: PathBuf) -> Result<Table> {
    read::csv(path, &Csv::default())
}
