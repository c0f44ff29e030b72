//! Runs `fuzz::websocket_frames` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::websocket_frames(data));
