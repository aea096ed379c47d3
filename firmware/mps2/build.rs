//! Writes the memory map of the chosen board and names the linker script. `device.x` would name handlers of interrupts.

use std::path::PathBuf;

fn main() {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let map = if std::env::var_os("CARGO_FEATURE_AN505").is_some() {
        "an505.x"
    } else {
        "an386.x"
    };
    std::fs::copy(map, out.join("memory.x")).expect("the memory map is copied");
    std::fs::write(out.join("device.x"), "").expect("a file of the linker");
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    println!("cargo:rustc-link-arg-bins=--nmagic");
    for file in ["build.rs", "an386.x", "an505.x"] {
        println!("cargo:rerun-if-changed={file}");
    }
}
