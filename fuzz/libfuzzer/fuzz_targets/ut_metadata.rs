//! Runs `fuzz::ut_metadata` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::ut_metadata(data));
