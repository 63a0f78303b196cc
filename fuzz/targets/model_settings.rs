#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kensaku_fuzz::model("config_sentence_transformers.json", bytes));
