//! ONNX files as trees of protobuf fields, and changes of such trees: what comes of them is mostly a graph, and nearly sound.

use tsm2_mqtt_testkit::rng::Rng;

/// The messages of `onnx.proto` that a graph consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Port,
    Type,
    TensorType,
    Shape,
    Dimension,
    Opset,
    Entry,
}

/// The fields that are messages themselves.
const INNER: [(Message, u64, Message); 14] = [
    (Message::Model, 7, Message::Graph),
    (Message::Model, 8, Message::Opset),
    (Message::Model, 14, Message::Entry),
    (Message::Graph, 1, Message::Node),
    (Message::Graph, 5, Message::Tensor),
    (Message::Graph, 11, Message::Port),
    (Message::Graph, 12, Message::Port),
    (Message::Graph, 13, Message::Port),
    (Message::Node, 5, Message::Attribute),
    (Message::Attribute, 5, Message::Tensor),
    (Message::Port, 2, Message::Type),
    (Message::Type, 1, Message::TensorType),
    (Message::TensorType, 2, Message::Shape),
    (Message::Shape, 1, Message::Dimension),
];

/// Numbers at which programs fail.
const EDGES: [i64; 24] = [
    0,
    1,
    -1,
    2,
    -2,
    3,
    4,
    5,
    7,
    8,
    16,
    31,
    64,
    127,
    255,
    1 << 15,
    1 << 20,
    i32::MAX as i64,
    i32::MIN as i64,
    1 << 32,
    1 << 40,
    1 << 62,
    i64::MAX,
    i64::MIN,
];

/// A field in its message.
#[derive(Debug, Clone)]
struct Field {
    of: Message,
    tag: u64,
    value: Value,
}

#[derive(Debug, Clone)]
enum Value {
    Number(u64),
    Fixed(Vec<u8>),
    Bytes(Vec<u8>),
    Message(Vec<Field>),
}

/// A file as a tree.
#[derive(Debug, Clone)]
pub struct Tree(Vec<Field>);

impl Tree {
    /// The tree of a file; `None` if it is no protobuf.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self(read(Message::Model, bytes)?))
    }

    /// The bytes of the file.
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&self.0, &mut bytes);
        bytes
    }

    /// Changes a field, with fields of this file or of another one.
    pub fn change(&mut self, other: &Tree, rng: &mut Rng) {
        let own = self.clone();
        let donors = if rng.below(2) == 0 { &own } else { other };
        let count = count(&self.0);
        let mut at = rng.below(count as u64) as usize;
        let Some((fields, index)) = find(&mut self.0, &mut at) else {
            return;
        };
        let field = &fields[index];
        let (of, tag) = (field.of, field.tag);
        match rng.below(10) {
            0 => {
                fields.remove(index);
            }
            1 => fields.insert(rng.below(fields.len() as u64 + 1) as usize, field.clone()),
            2 => {
                let with = rng.below(fields.len() as u64) as usize;
                fields.swap(index, with);
            }
            3 => {
                if let Some(donor) = donors.any(rng, |donor| donor.of == of) {
                    fields.insert(index, donor);
                }
            }
            4..=6 => {
                if let Some(donor) = donors.any(rng, |donor| (donor.of, donor.tag) == (of, tag)) {
                    fields[index] = donor;
                }
            }
            _ => alter(&mut fields[index].value, rng),
        }
    }

    /// A field of the tree that is wanted, if there is one.
    fn any(&self, rng: &mut Rng, is_wanted: impl Fn(&Field) -> bool) -> Option<Field> {
        let mut found = Vec::new();
        collect(&self.0, &is_wanted, &mut found);
        let index = rng.below(found.len() as u64) as usize;
        found.get(index).map(|&field| field.clone())
    }
}

fn count(fields: &[Field]) -> usize {
    let inside = |field: &Field| match &field.value {
        Value::Message(fields) => count(fields),
        _ => 0,
    };
    fields.iter().map(|field| 1 + inside(field)).sum()
}

/// The list with the field of this number, and its index there.
fn find<'f>(fields: &'f mut Vec<Field>, number: &mut usize) -> Option<(&'f mut Vec<Field>, usize)> {
    let mut sizes = fields.iter().map(|field| count(std::slice::from_ref(field)));
    let index = sizes.position(|size| match number.checked_sub(size) {
        Some(rest) => {
            *number = rest;
            false
        }
        None => true,
    })?;
    if *number == 0 {
        return Some((fields, index));
    }
    *number -= 1;
    match &mut fields[index].value {
        Value::Message(inner) => find(inner, number),
        _ => None,
    }
}

fn collect<'f>(fields: &'f [Field], is_wanted: &impl Fn(&Field) -> bool, found: &mut Vec<&'f Field>) {
    for field in fields {
        if is_wanted(field) {
            found.push(field);
        }
        if let Value::Message(fields) = &field.value {
            collect(fields, is_wanted, found);
        }
    }
}

/// Another value in place of this one.
fn alter(value: &mut Value, rng: &mut Rng) {
    let edge = EDGES[rng.below(EDGES.len() as u64) as usize];
    match value {
        Value::Number(number) if rng.below(3) == 0 => *number ^= 1 << rng.below(8),
        Value::Number(number) => *number = edge as u64,
        Value::Fixed(bytes) => {
            let numbers = [f32::NAN, f32::INFINITY, -1.0, 0.0, 1e38, 1e-40, 0.5, 3.0];
            let number = numbers[rng.below(8) as usize].to_le_bytes();
            bytes.iter_mut().zip(number).for_each(|(byte, new)| *byte = new);
        }
        Value::Bytes(bytes) => {
            let at = rng.below(bytes.len() as u64 + 1) as usize;
            match rng.below(5) {
                0 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
                // Numbers in the file's order of bytes, which raw tensors hold.
                1 if at + 8 <= bytes.len() => bytes[at..at + 8].copy_from_slice(&edge.to_le_bytes()),
                2 => bytes.truncate(at),
                3 => {
                    let mut number = Vec::new();
                    write_number(edge as u64, &mut number);
                    bytes.splice(at..at, number);
                }
                _ => bytes.extend_from_within(at..),
            }
        }
        Value::Message(fields) => {
            fields.truncate(rng.below(fields.len() as u64 + 1) as usize);
        }
    }
}

fn read(of: Message, mut bytes: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = read_number(&mut bytes)?;
        let tag = key >> 3;
        let value = match key & 7 {
            0 => Value::Number(read_number(&mut bytes)?),
            1 => Value::Fixed(bytes.split_off(..8)?.to_vec()),
            5 => Value::Fixed(bytes.split_off(..4)?.to_vec()),
            2 => {
                let len = usize::try_from(read_number(&mut bytes)?).ok()?;
                let inner = bytes.split_off(..len)?;
                let message = INNER.iter().find(|(outer, field, _)| (*outer, *field) == (of, tag));
                match message.and_then(|(.., message)| read(*message, inner)) {
                    Some(fields) => Value::Message(fields),
                    None => Value::Bytes(inner.to_vec()),
                }
            }
            _ => return None,
        };
        fields.push(Field { of, tag, value });
    }
    Some(fields)
}

fn write(fields: &[Field], bytes: &mut Vec<u8>) {
    for Field { tag, value, .. } in fields {
        let key = |wire: u64| tag << 3 | wire;
        match value {
            Value::Number(number) => {
                write_number(key(0), bytes);
                write_number(*number, bytes);
            }
            Value::Fixed(fixed) => {
                write_number(key(if fixed.len() == 8 { 1 } else { 5 }), bytes);
                bytes.extend_from_slice(fixed);
            }
            Value::Bytes(inner) => write_bytes(key(2), inner, bytes),
            Value::Message(fields) => {
                let mut inner = Vec::new();
                write(fields, &mut inner);
                write_bytes(key(2), &inner, bytes);
            }
        }
    }
}

fn write_bytes(key: u64, inner: &[u8], bytes: &mut Vec<u8>) {
    write_number(key, bytes);
    write_number(inner.len() as u64, bytes);
    bytes.extend_from_slice(inner);
}

/// A number in the variable length of protobuf.
fn read_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn write_number(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_written_as_it_was_read() {
        for (path, bytes) in super::super::corpus("onnx").expect("the corpus") {
            if let Some(tree) = Tree::read(&bytes) {
                assert!(tree.write() == bytes, "{}", path.display());
            }
        }
    }

    #[test]
    fn every_field_of_a_tree_is_found() {
        let corpus = super::super::corpus("onnx").expect("the corpus");
        let gru = corpus.iter().find(|(path, _)| path.ends_with("gru")).expect("the GRU");
        let tree = Tree::read(&gru.1).expect("a tree");
        let count = count(&tree.0);
        let mut whole = tree.clone();
        let found = (0..count).filter_map(|mut number| find(&mut whole.0, &mut number).map(|(fields, index)| (fields.as_ptr(), index)));
        let found: std::collections::HashSet<_> = found.collect();
        assert_eq!(found.len(), count, "each of them once");
        assert!(count > 100, "{count}");
    }
}
