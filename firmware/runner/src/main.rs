//! `tsm2-runner MODEL.bin INPUT.bin > OUTPUT.bin`: the runner on Linux, see the library.

use std::io::Write;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(model), Some(input)) = (arguments.next(), arguments.next()) else {
        return Err("usage: tsm2-runner MODEL.bin INPUT.bin > OUTPUT.bin".into());
    };
    let words = |path: String| -> std::io::Result<Vec<u32>> {
        let bytes = std::fs::read(path)?;
        Ok(bytes.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect())
    };
    let (model, input) = (words(model)?, words(input)?);
    let mut memory = vec![0.0; 1 << 24];
    let mut output = Vec::new();
    let out = |numbers: &[f32]| output.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    tsm2_runner::run(
        bytemuck::cast_slice(&model),
        bytemuck::cast_slice(&input),
        &mut memory,
        out,
        |step| step(),
    )
    .map_err(|error| error.to_string())?;
    std::io::stdout().write_all(&output)?;
    Ok(())
}
