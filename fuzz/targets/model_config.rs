#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kensaku_fuzz::model("config.json", bytes));
