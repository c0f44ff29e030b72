//! Runs `fuzz::udp_tracker` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::udp_tracker(data));
