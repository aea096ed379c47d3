//! The model file of TSM2: safetensors weights with JSON metadata, fully validated.
