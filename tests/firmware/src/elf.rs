//! What the tests read of a program: ELF of 32 bits, little-endian.

/// A section.
#[derive(Clone, Copy, Debug)]
pub struct Section<'e> {
    /// Its name.
    pub name: &'e str,
    /// Its bytes in memory.
    pub size: usize,
    /// Its place in the file.
    start: usize,
}

/// The sections of a program.
#[must_use]
pub fn sections(elf: &[u8]) -> Vec<Section<'_>> {
    let word = |at: usize| elf[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)) as usize;
    let half = |at: usize| word(at) & 0xFFFF;
    let header = |index: usize| word(0x20) + index * half(0x2E);
    let names = word(header(half(0x32)) + 0x10);
    let section = |index: usize| Section {
        name: text(&elf[names + word(header(index))..]),
        size: word(header(index) + 0x14),
        start: word(header(index) + 0x10),
    };
    (0..half(0x30)).map(section).collect()
}

/// The names of all functions and variables, as the compiler wrote them.
///
/// # Panics
/// When the program has no symbols.
#[must_use]
pub fn symbols(elf: &[u8]) -> Vec<&str> {
    let sections = sections(elf);
    let table = sections
        .iter()
        .find(|section| section.name == ".strtab")
        .expect("a program with symbols");
    let names = &elf[table.start..][..table.size];
    names.split(|&byte| byte == 0).map(text).filter(|name| !name.is_empty()).collect()
}

/// The text up to the first zero.
fn text(bytes: &[u8]) -> &str {
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    str::from_utf8(text).unwrap_or_default()
}
