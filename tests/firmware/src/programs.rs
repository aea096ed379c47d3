//! The programs of `firmware/`: built here with cargo, or found in the folder that `TSM2_FIRMWARE`
//! names (`FOLDER/TARGET/release/PROGRAM`), where another compiler built them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use tsm2_mqtt_testkit::require::skip;

/// Where a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// Arm MPS2 AN386: Cortex-M4 with floating point in single precision.
    CortexM4F,
    /// Arm MPS2+ AN505: Cortex-M33, Armv8-M.
    CortexM33,
    /// 64-bit Arm under Linux.
    Aarch64,
}

/// One cargo at a time builds in the folder.
static BUILD: Mutex<()> = Mutex::new(());

impl Machine {
    /// Rust's name of the target.
    #[must_use]
    pub fn target(self) -> &'static str {
        match self {
            Machine::CortexM4F => "thumbv7em-none-eabihf",
            Machine::CortexM33 => "thumbv8m.main-none-eabihf",
            Machine::Aarch64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// QEMU's name of the board.
    #[must_use]
    pub fn board(self) -> &'static str {
        match self {
            Machine::CortexM4F => "mps2-an386",
            Machine::CortexM33 => "mps2-an505",
            Machine::Aarch64 => "",
        }
    }

    /// Address of the model in flash, of the settings, and of the memory that survives a reset, as in
    /// the linker scripts of `firmware/mps2`.
    #[must_use]
    pub fn addresses(self) -> [u32; 3] {
        match self {
            Machine::CortexM33 => [0x1010_0000, 0x103F_0000, 0x3810_0000],
            _ => [0x0010_0000, 0x003F_0000, 0x2030_0000],
        }
    }

    /// Begin and end of the RAM, without the part that survives a reset.
    #[must_use]
    pub fn ram(self) -> (u32, u32) {
        match self {
            Machine::CortexM33 => (0x3800_0000, 0x3810_0000),
            _ => (0x2000_0000, 0x2030_0000),
        }
    }

    fn emulator(self) -> &'static str {
        match self {
            Machine::Aarch64 => "qemu-aarch64-static",
            _ => "qemu-system-arm",
        }
    }

    /// QEMU for this machine. Without it the test is skipped.
    #[must_use]
    pub fn qemu(self) -> Option<Command> {
        let name = self.emulator();
        match Command::new(name).arg("--version").output() {
            Ok(_) => Some(Command::new(name)),
            Err(_) => {
                skip(&format!(
                    "{name} is not installed; install it: apt install qemu-system-arm qemu-user-static"
                ));
                None
            }
        }
    }

    /// The program `runner` or `station`. Without the compiler's target the test is skipped.
    ///
    /// # Panics
    /// When it does not compile.
    #[must_use]
    pub fn program(self, name: &str) -> Option<PathBuf> {
        let file = match self {
            Machine::Aarch64 => "tsm2-runner",
            _ => name,
        };
        let place = |folder: &Path| folder.join(self.target()).join("release").join(file);
        if let Some(folder) = std::env::var_os("TSM2_FIRMWARE") {
            return Some(place(Path::new(&folder))).filter(|program| {
                let is_there = program.is_file();
                if !is_there {
                    let missing = format!("TSM2_FIRMWARE has no {}", program.display());
                    match self {
                        // A compiler that builds the library from source has none of an operating system.
                        Machine::Aarch64 => println!("SKIPPED: {missing}"),
                        _ => skip(&missing),
                    }
                }
                is_there
            });
        }
        if !self.can_build() {
            skip(&format!("the compiler has no {0}; add it: rustup target add {0}", self.target()));
            return None;
        }
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware");
        let folder = workspace.join("../target/firmware");
        let _one_at_a_time = BUILD.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--release", "--target", self.target()]);
        let feature = self.board().trim_start_matches("mps2-");
        match (self, name) {
            (Machine::Aarch64, _) => cargo.args(["-p", "tsm2-runner"]),
            (_, "station") => cargo.args(["-p", "tsm2-mps2", "--bin", name, "--features", &format!("{feature},station")]),
            _ => cargo.args(["-p", "tsm2-mps2", "--bin", name, "--features", feature]),
        };
        let output = cargo
            .current_dir(&workspace)
            .env("CARGO_TARGET_DIR", &folder)
            .env_remove("RUSTFLAGS")
            .output()
            .expect("cargo starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(place(&folder))
    }

    fn can_build(self) -> bool {
        let output = Command::new("rustc")
            .args(["--print", "target-libdir", "--target", self.target()])
            .output();
        output.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
    }
}
