//! `firmware-table`: measures the firmware under QEMU and prints the table of its sizes.

use anyhow::Context;
use tsm2_firmware_tests::table::{markdown, measure};

fn main() -> anyhow::Result<()> {
    let rows = measure().context("QEMU or a target of the compiler is missing")?;
    print!("{}", markdown(&rows));
    Ok(())
}
