//! One static program for each target, and the check that it is one.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::target::Target;

/// The profile in the root `Cargo.toml`.
const PROFILE: &str = "dist";

/// Builds `tsm2-edge`; returns the path of the program.
///
/// The C library is linked in: one program for every distribution, whatever the age of its C library.
pub fn build(workspace: &Path, target: Target) -> anyhow::Result<PathBuf> {
    let triple = target.triple();
    // Per target, so that build scripts and macros of the host are left alone.
    let flags = format!("CARGO_TARGET_{}_RUSTFLAGS", triple.to_uppercase().replace('-', "_"));
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--locked",
            "--package",
            "tsm2-edge",
            "--profile",
            PROFILE,
            "--target",
            triple,
        ])
        .env(flags, "-Ctarget-feature=+crt-static")
        .current_dir(workspace)
        .status()
        .context("cannot start cargo")?;
    ensure!(
        status.success(),
        "tsm2-edge was not built for {triple}; install its standard library and its C compiler: \
         rustup target add {triple}; apt install {}",
        target.compiler_package()
    );
    Ok(path(workspace, target))
}

/// Where the program of a target lies.
pub fn path(workspace: &Path, target: Target) -> PathBuf {
    target_folder(workspace).join(target.triple()).join(PROFILE).join("tsm2-edge")
}

/// The folder of all that is built.
pub fn target_folder(workspace: &Path) -> PathBuf {
    // A relative path counts from the workspace, where cargo is started.
    workspace.join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Checks that a program is for `target` and needs no dynamic linker. elf(5).
pub fn check(elf: &[u8], target: Target) -> anyhow::Result<()> {
    const PT_INTERP: u64 = 3;
    ensure!(
        elf.starts_with(b"\x7fELF") && elf.get(5) == Some(&1),
        "not a little-endian ELF file"
    );
    let is_64 = match elf.get(4) {
        Some(1) => false,
        Some(2) => true,
        _ => bail!("neither 32 nor 64 bits"),
    };
    let number = |at: usize, bytes: usize| -> anyhow::Result<u64> {
        let field = elf.get(at..at + bytes).context("the file ends within its header")?;
        Ok(field.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    };
    let machine = number(18, 2)?;
    ensure!(
        machine == u64::from(target.elf_machine()),
        "the program is for ELF machine {machine}, and {} is {}",
        target.triple(),
        target.elf_machine()
    );
    let (table, size, count) = match is_64 {
        true => (number(32, 8)?, number(54, 2)?, number(56, 2)?),
        false => (number(28, 4)?, number(42, 2)?, number(44, 2)?),
    };
    for entry in 0..count {
        let kind = number(usize::try_from(table.saturating_add(entry * size))?, 4)?;
        ensure!(kind != PT_INTERP, "the program needs a dynamic linker; it should be static");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 64-bit ELF header with one program header.
    fn elf(machine: u16, program_header: u8) -> Vec<u8> {
        let mut elf = vec![0; 64 + 56];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[18..20].copy_from_slice(&machine.to_le_bytes());
        (elf[32], elf[54], elf[56], elf[64]) = (64, 56, 1, program_header);
        elf
    }

    #[test]
    fn a_static_program_of_the_target_passes() {
        check(&elf(183, 1), Target::Arm64).unwrap();
    }

    #[test]
    fn a_program_of_another_architecture_is_refused() {
        let error = check(&elf(62, 1), Target::Arm64).unwrap_err();
        assert!(error.to_string().contains("aarch64-unknown-linux-gnu"), "{error}");
    }

    #[test]
    fn a_dynamic_program_is_refused() {
        let error = check(&elf(183, 3), Target::Arm64).unwrap_err();
        assert!(error.to_string().contains("dynamic linker"), "{error}");
    }

    #[test]
    fn a_cut_program_is_refused() {
        assert!(check(&elf(183, 1)[..40], Target::Arm64).is_err());
        assert!(check(b"#!/bin/sh", Target::Arm64).is_err());
    }
}
