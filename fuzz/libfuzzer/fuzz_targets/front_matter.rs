//! Runs `fuzz::front_matter` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::front_matter(data));
