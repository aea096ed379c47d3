//! TensorBoard's event files: records of the TFRecord format, each an `Event` message (tensorflow/core/util/event.proto).

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use prost::Message;

/// The first record of every file.
const VERSION: &str = "brain.Event:2";

/// An open file, a run of its own in TensorBoard.
#[derive(Debug)]
pub struct EventFile(File);

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

impl EventFile {
    /// A new file in the folder, which is made if absent.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let name = format!("events.out.tfevents.{}.tsm2", since_1970().as_millis());
        let mut file = Self(File::create(folder.join(name))?);
        file.write(&Event {
            file_version: Some(VERSION.into()),
            ..Event::default()
        })?;
        Ok(file)
    }

    /// Numbers by tag at a step.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn scalars(&mut self, step: usize, scalars: &[(&str, f64)]) -> io::Result<()> {
        let value = |&(tag, value): &(&str, f64)| Value {
            tag: tag.into(),
            simple_value: Some(value as f32),
        };
        self.write(&Event {
            step: step as i64,
            summary: Some(Summary {
                values: scalars.iter().map(value).collect(),
            }),
            ..Event::default()
        })
    }

    /// A record: length, its checksum, the message, its checksum; all little-endian.
    fn write(&mut self, event: &Event) -> io::Result<()> {
        let event = Event {
            wall_time: since_1970().as_secs_f64(),
            ..event.clone()
        };
        let data = event.encode_to_vec();
        let length = (data.len() as u64).to_le_bytes();
        let record = [&length[..], &checksum(&length), &data, &checksum(&data)].concat();
        self.0.write_all(&record)
    }
}

/// The masked CRC-32C of a record.
fn checksum(data: &[u8]) -> [u8; 4] {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xA282_EAD8).to_le_bytes()
}

fn since_1970() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_those_of_tensorboard() {
        let folder = tempfile::tempdir().unwrap();
        EventFile::create(folder.path())
            .unwrap()
            .scalars(7, &[("loss", 0.5), ("zero", 0.0)])
            .unwrap();
        let path = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let bytes = fs::read(path).unwrap();
        // As TensorBoard 2.21 writes it.
        assert_eq!(checksum(&24u64.to_le_bytes()), [0xA3, 0x7F, 0x4B, 0x22]);
        let mut rest = bytes.as_slice();
        let mut events = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], checksum(&rest[..8]));
            let data = &rest[12..12 + length];
            assert_eq!(rest[12 + length..16 + length], checksum(data));
            events.push(Event::decode(data).unwrap());
            rest = &rest[16 + length..];
        }
        assert_eq!(events[0].file_version.as_deref(), Some(VERSION));
        let values = &events[1].summary.as_ref().unwrap().values;
        let scalars: Vec<_> = values.iter().map(|value| (value.tag.as_str(), value.simple_value)).collect();
        assert_eq!((events[1].step, scalars), (7, vec![("loss", Some(0.5)), ("zero", Some(0.0))]));
    }
}
