//! The target `path` of `tsm2_endurance::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tsm2_endurance::fuzz::path(data));
