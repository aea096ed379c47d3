//! The targets of a release: Debian's name of an architecture, the compiler's, and the ELF machine.

use clap::ValueEnum;

/// A processor architecture that gets a program and a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// 64-bit ARM: Raspberry Pi 3 and later, Jetson
    Arm64,
    /// 32-bit ARM with an FPU: 32-bit Raspberry Pi OS on Raspberry Pi 2 and later
    Armhf,
    /// 64-bit x86
    Amd64,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 3] = [Target::Arm64, Target::Armhf, Target::Amd64];

    /// Debian's name.
    pub fn debian(self) -> &'static str {
        match self {
            Target::Arm64 => "arm64",
            Target::Armhf => "armhf",
            Target::Amd64 => "amd64",
        }
    }

    /// The compiler's name.
    pub fn triple(self) -> &'static str {
        match self {
            Target::Arm64 => "aarch64-unknown-linux-gnu",
            Target::Armhf => "armv7-unknown-linux-gnueabihf",
            Target::Amd64 => "x86_64-unknown-linux-gnu",
        }
    }

    /// The name of container engines.
    pub fn platform(self) -> &'static str {
        match self {
            Target::Arm64 => "linux/arm64",
            Target::Armhf => "linux/arm/v7",
            Target::Amd64 => "linux/amd64",
        }
    }

    /// `e_machine` of its programs, elf(5).
    pub fn elf_machine(self) -> u16 {
        match self {
            Target::Arm64 => 183,
            Target::Armhf => 40,
            Target::Amd64 => 62,
        }
    }

    /// The Debian package with a C compiler and linker for it; the host's own for x86-64.
    pub fn compiler_package(self) -> &'static str {
        match self {
            Target::Arm64 => "gcc-aarch64-linux-gnu",
            Target::Armhf => "gcc-arm-linux-gnueabihf",
            Target::Amd64 => "gcc",
        }
    }
}
