//! The figures of `docs/data/firmware.csv` are a budget: no size, memory or instruction count may
//! exceed its figure by more than a twentieth (compilers differ). `UPDATE_DOCS=1` writes the file
//! anew.

use tsm2_firmware_tests::table::{HEADER, file, markdown, measure};

#[test]
fn no_program_exceeds_its_budget() {
    let Some(rows) = measure() else { return };
    println!("{}", markdown(&rows));
    for machine in ["Cortex-M4F", "Cortex-M33"] {
        let micro = rows
            .iter()
            .find(|row| [row.machine, row.program, row.model.as_str()] == [machine, "runner", "micro"])
            .expect("micro");
        let sizes = (micro.code + micro.blob, micro.ram(), micro.instructions);
        assert!(
            sizes.0 <= 64 * 1024 && sizes.1 <= 16 * 1024 && sizes.2 <= 200_000,
            "micro is for 64 KiB of flash, 16 KiB of RAM and 200,000 instructions a step: {sizes:?} on {machine}"
        );
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let lines: Vec<String> = rows.iter().map(|row| row.csv() + "\n").collect();
        std::fs::write(file(), format!("{HEADER}\n{}", lines.concat())).expect("the file is written");
        return;
    }
    let text = std::fs::read_to_string(file()).expect("the budget");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(HEADER));
    let budget: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(budget.len(), rows.len(), "the budget has other rows");
    for row in &rows {
        let of_row = budget.iter().find(|line| line[..3] == [row.machine, row.program, &row.model]);
        let of_row = of_row.unwrap_or_else(|| panic!("no budget for {}", row.csv()));
        for ((column, measured), most) in HEADER.split(',').skip(3).zip(row.numbers()).zip(&of_row[3..]) {
            let most: usize = most.parse().expect("a number");
            assert!(
                measured <= most + most / 20,
                "{} {} {}: {column} is {measured}, its budget {most}; if the growth is worth it: UPDATE_DOCS=1",
                row.machine,
                row.program,
                row.model
            );
        }
    }
}
