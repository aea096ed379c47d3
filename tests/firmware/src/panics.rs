//! The calls of panic functions in a program for a microcontroller, each with the source that it comes from.

use std::path::Path;
use std::process::Command;

use crate::calls::{Calls, Function};

/// A call of a panic function.
#[derive(Clone, Debug)]
pub struct PanicCall {
    /// The panic function.
    pub function: String,
    /// File and line of the innermost code outside the standard library; empty where the compiler left none.
    pub place: String,
}

/// Parts of the names of panic functions.
const PANICS: &[&str] = &[
    "panicking",
    "unwrap_failed",
    "expect_failed",
    "assert_failed",
    "slice_index_fail",
    "slice_error_fail",
    "len_mismatch_fail",
    "capacity_overflow",
    "alloc_error",
    "rust_begin_unwind",
];
/// Parts of the names of those that report a full heap. The linker makes one of them and of other panics with the same
/// code: a future that is polled after its end, a division by zero.
const FULL_HEAP: &[&str] = &["capacity_overflow", "panic_nounwind_fmt"];

impl PanicCall {
    /// Whether it is for a full heap.
    #[must_use]
    pub fn is_of_heap(&self) -> bool {
        FULL_HEAP.iter().any(|part| self.function.contains(part))
    }

    /// The crate of its place; `None` where there is none, or where it is the standard library.
    #[must_use]
    pub fn of_crate(&self) -> Option<&str> {
        match self.place.split_once("/registry/src/") {
            Some((_, place)) => place.split('/').nth(1),
            None => self.place.rsplit_once("/src/")?.0.rsplit('/').next(),
        }
    }
}

/// Whether a function is one of those that panic.
fn is_panic(function: &Function) -> bool {
    function.names.iter().any(|name| PANICS.iter().any(|part| name.contains(part)))
}

/// The panic functions in a program: none, where none can be reached.
///
/// # Panics
/// When the program cannot be read.
#[must_use]
pub fn panic_functions(program: &Path) -> Vec<String> {
    let calls = Calls::of(&std::fs::read(program).expect("a program"));
    let panics = calls.functions().filter(|function| is_panic(function));
    panics.map(|function| function.names[0].clone()).collect()
}

/// The calls in a program, by address. `None`: the program `addr2line` of binutils is missing.
///
/// # Panics
/// When the program cannot be read.
#[must_use]
pub fn panic_calls(program: &Path) -> Option<Vec<PanicCall>> {
    let calls = Calls::of(&std::fs::read(program).expect("a program"));
    let panics = calls.functions().filter(|function| is_panic(function));
    let of_panic = |panic: &Function| {
        let callers = calls.functions().filter(|caller| !is_panic(caller));
        let sites = callers.filter_map(|caller| caller.calls.get(&panic.address)).flatten();
        sites.map(|site| (*site, panic.names[0].clone())).collect::<Vec<_>>()
    };
    let mut sites: Vec<(u32, String)> = panics.flat_map(of_panic).collect();
    sites.sort();
    let mut command = Command::new("addr2line");
    command.args(["--inlines", "--addresses", "--exe"]).arg(program);
    let output = command.args(sites.iter().map(|(site, _)| format!("{site:#x}"))).output().ok()?;
    let text = String::from_utf8(output.stdout).expect("addr2line writes text");
    let places: Vec<&str> = text.split("\n0x").collect();
    assert_eq!(places.len(), sites.len(), "addr2line answers for each address");
    let call = |((_, function), places): ((u32, String), &str)| PanicCall {
        function,
        place: place(places).into(),
    };
    Some(sites.into_iter().zip(places).map(call).collect())
}

/// The innermost place outside the standard library; the first line is the address.
fn place(lines: &str) -> &str {
    let mut places = lines.lines().skip(1);
    places
        .find(|place| !place.contains("/library/") && !place.contains('?'))
        .unwrap_or_default()
}
