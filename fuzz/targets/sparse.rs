#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kensaku_fuzz::index(bytes, kensaku_fuzz::readers::sparse));
