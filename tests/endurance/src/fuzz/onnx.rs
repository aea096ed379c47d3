//! ONNX files: any bytes are read or refused.

use tsm2_onnx::Interface;

/// Reads a file's inputs, outputs and metadata.
///
/// # Panics
/// When a file that is taken has an input or output that is too large to run, or metadata that does not hold.
pub fn onnx(data: &[u8]) {
    let Ok(interface) = Interface::read(data) else { return };
    for port in interface.inputs.iter().chain(&interface.outputs) {
        assert!(!port.is_empty() && port.len() <= 1 << 24, "{port:?}");
    }
    interface.metadata.validate().expect("metadata that was taken holds");
    assert!(interface.metadata.targets() > 0);
}
