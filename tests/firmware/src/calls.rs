//! Who calls whom in a program for a microcontroller, read from its code, and how much stack that takes.
//!
//! A call through a pointer is taken for a call of each function whose address stands in a constant or is loaded into a
//! register.

use std::collections::{BTreeMap, BTreeSet};

use crate::elf::{contents, sections, symbols};
use crate::thumb::{Action, decode};

/// A function.
#[derive(Clone, Debug, Default)]
pub struct Function {
    /// Its names.
    pub names: Vec<String>,
    /// Its address, without the mark of Thumb code.
    pub address: u32,
    /// Bytes of code.
    size: u32,
    /// Most bytes of stack that it takes for itself.
    pub frame: u32,
    /// Whether its code moves the stack pointer in a way that the decoder cannot follow.
    pub is_unknown: bool,
    /// Addresses of the functions that it calls, each with the addresses of the calls.
    pub calls: BTreeMap<u32, Vec<u32>>,
    /// Whether it calls through a pointer.
    pub is_indirect: bool,
}

/// The functions of a program, by address.
#[derive(Clone, Debug)]
pub struct Calls {
    functions: BTreeMap<u32, Function>,
    /// The functions whose address is taken.
    pub taken: BTreeSet<u32>,
}

/// Most stack of a function and of all that it calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Bytes, where no function is on the stack twice.
    pub bytes: u32,
    /// The functions that call each other in a circle: each may be on the stack more than once.
    pub circles: Vec<BTreeSet<u32>>,
}

impl Calls {
    /// The calls of a program with symbols.
    #[must_use]
    pub fn of(elf: &[u8]) -> Self {
        let code = Code::of(elf);
        let mut functions = BTreeMap::<u32, Function>::new();
        for symbol in symbols(elf).iter().filter(|symbol| symbol.is_function && symbol.size > 0) {
            let address = symbol.address & !1;
            let function = functions.entry(address).or_default();
            function.names.push(symbol.name.into());
            (function.address, function.size) = (address, function.size.max(symbol.size));
        }
        let starts: Vec<(u32, u32)> = functions.values().map(|function| (function.address, function.size)).collect();
        let containing = |address: u32| {
            let index = starts.partition_point(|&(start, _)| start <= address).checked_sub(1)?;
            let (start, size) = starts[index];
            (address < start + size).then_some(start)
        };
        let mut taken = BTreeSet::new();
        for function in functions.values_mut() {
            read(function, &code, &containing, &mut taken);
        }
        for section in sections(elf).iter().filter(|section| matches!(section.name, ".rodata" | ".data")) {
            taken.extend(
                contents(elf, section.name)
                    .as_chunks()
                    .0
                    .iter()
                    .filter_map(|word| code.start(u32::from_le_bytes(*word), &functions)),
            );
        }
        let taken = taken.into_iter().filter(|address| functions.contains_key(address)).collect();
        Calls { functions, taken }
    }

    /// The function with a name that ends so.
    #[must_use]
    pub fn named(&self, end: &str) -> Option<&Function> {
        self.functions
            .values()
            .find(|function| function.names.iter().any(|name| name.ends_with(end)))
    }

    /// All functions.
    pub fn functions(&self) -> impl Iterator<Item = &Function> {
        self.functions.values()
    }

    /// The functions that one calls, directly or through pointers.
    pub fn callees<'c>(&'c self, function: &'c Function) -> impl Iterator<Item = &'c Function> {
        let pointers = function.is_indirect.then_some(&self.taken).into_iter().flatten();
        function
            .calls
            .keys()
            .chain(pointers)
            .filter_map(|address| self.functions.get(address))
    }

    /// Most stack from a function on.
    #[must_use]
    pub fn bound(&self, from: u32) -> Bound {
        let groups = self.groups(from);
        let mut of_function = BTreeMap::<u32, u32>::new();
        let mut circles = Vec::new();
        for group in &groups {
            let own: u32 = group.iter().map(|address| self.functions[address].frame).sum();
            let below = group.iter().flat_map(|address| self.callees(&self.functions[address]));
            let below = below
                .filter(|callee| !group.contains(&callee.address))
                .map(|callee| of_function[&callee.address])
                .max();
            for address in group {
                of_function.insert(*address, own + below.unwrap_or(0));
            }
            let first = &self.functions[&group[0]];
            if group.len() > 1 || self.callees(first).any(|callee| callee.address == first.address) {
                circles.push(group.iter().copied().collect());
            }
        }
        Bound {
            bytes: of_function.get(&from).copied().unwrap_or(0),
            circles,
        }
    }

    /// The functions that are reached, in groups that call each other in circles; callees come first (Tarjan's algorithm).
    fn groups(&self, from: u32) -> Vec<Vec<u32>> {
        #[derive(Default)]
        struct Search {
            index: BTreeMap<u32, usize>,
            lowest: BTreeMap<u32, usize>,
            stack: Vec<u32>,
            groups: Vec<Vec<u32>>,
        }
        fn visit(calls: &Calls, at: u32, search: &mut Search) {
            let number = search.index.len();
            search.index.insert(at, number);
            search.lowest.insert(at, number);
            search.stack.push(at);
            for callee in calls.callees(&calls.functions[&at]) {
                if !search.index.contains_key(&callee.address) {
                    visit(calls, callee.address, search);
                    search.lowest.insert(at, search.lowest[&at].min(search.lowest[&callee.address]));
                } else if search.stack.contains(&callee.address) {
                    search.lowest.insert(at, search.lowest[&at].min(search.index[&callee.address]));
                }
            }
            if search.lowest[&at] == number {
                let start = search.stack.iter().rposition(|&address| address == at).unwrap_or(0);
                search.groups.push(search.stack.split_off(start));
            }
        }
        let mut search = Search::default();
        if self.functions.contains_key(&from) {
            visit(self, from, &mut search);
        }
        search.groups
    }
}

/// Reads the code of a function. `containing` gives the start of the function at an address.
fn read(function: &mut Function, code: &Code<'_>, containing: &dyn Fn(u32) -> Option<u32>, taken: &mut BTreeSet<u32>) {
    let (mut at, end) = (function.address, function.address + function.size);
    let mut lower = [0; 16];
    while at < end {
        let Some(bytes) = code.at(at) else { return };
        if code.is_data(at) {
            // A constant of the function.
            if let Some(word) = bytes.first_chunk().filter(|_| at % 4 == 0) {
                taken.extend(odd(u32::from_le_bytes(*word)));
            }
            at += 2;
            continue;
        }
        let (action, length) = decode(bytes, at);
        let from = at;
        at += length;
        match action {
            Action::Call(to) | Action::Jump(to) => match containing(to) {
                Some(start) if start != function.address || matches!(action, Action::Call(_)) => {
                    function.calls.entry(start).or_default().push(from);
                }
                _ => {}
            },
            Action::Indirect => function.is_indirect = true,
            Action::Take(bytes) => function.frame += bytes,
            Action::Unknown => function.is_unknown = true,
            Action::Half {
                register,
                is_upper,
                constant,
            } => match (is_upper, &mut lower[register as usize]) {
                (false, lower) => *lower = constant,
                (true, lower) => taken.extend(odd(constant << 16 | *lower)),
            },
            Action::Other => {}
        }
    }
}

/// The address of Thumb code that a pointer names.
fn odd(pointer: u32) -> Option<u32> {
    (pointer & 1 == 1).then_some(pointer & !1)
}

/// The code of a program, and the constants in it.
struct Code<'e> {
    start: u32,
    bytes: &'e [u8],
    /// Where code (false) and constants (true) begin.
    marks: Vec<(u32, bool)>,
}

impl<'e> Code<'e> {
    fn of(elf: &'e [u8]) -> Self {
        let sections = sections(elf);
        let text = sections
            .iter()
            .find(|section| section.name == ".text")
            .expect("a program with code");
        let mut marks: Vec<(u32, bool)> = symbols(elf)
            .iter()
            .filter_map(|symbol| match symbol.name.get(..2)? {
                "$t" => Some((symbol.address & !1, false)),
                "$d" => Some((symbol.address, true)),
                _ => None,
            })
            .collect();
        marks.sort_unstable();
        Code {
            start: text.address,
            bytes: contents(elf, ".text"),
            marks,
        }
    }

    /// The code from an address on.
    fn at(&self, address: u32) -> Option<&'e [u8]> {
        self.bytes.get(address.checked_sub(self.start)? as usize..)
    }

    fn is_data(&self, address: u32) -> bool {
        let after = self.marks.partition_point(|&(start, _)| start <= address);
        after.checked_sub(1).is_some_and(|index| self.marks[index].1)
    }

    /// The function that a word points to.
    fn start(&self, word: u32, functions: &BTreeMap<u32, Function>) -> Option<u32> {
        odd(word).filter(|address| functions.contains_key(address))
    }
}
