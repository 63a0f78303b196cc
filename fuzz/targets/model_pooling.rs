#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kensaku_fuzz::model("1_Pooling/config.json", bytes));
