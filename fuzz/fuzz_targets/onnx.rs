//! The target `onnx` of `tsm2_endurance::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tsm2_endurance::fuzz::onnx(data));
