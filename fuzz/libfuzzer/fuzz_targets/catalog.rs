//! Runs `fuzz::catalog` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::catalog(data));
