//! Readings of one payload: its batches, and the fields of each reading.

use serde_json::Value;

use super::decoder::{Decoder, find, unreadable};
use super::envelope::{Envelope, text_of};
use super::error::{PayloadError, kind};
use super::influx;
use super::layout::{Field, Outcome, Payload, PayloadFormat, PayloadShape};
use super::value::Unreadable;
use crate::template::shortened;

impl Decoder {
    /// Reads one payload. `on` gets the outcome of each field of each reading, in order. A missing
    /// value (null, NaN, infinite, beyond the range of f32) is NaN.
    ///
    /// # Errors
    /// Nothing in the payload can be read; then `on` got no value.
    pub fn decode(&self, payload: &Payload<'_>, on: impl FnMut(Outcome)) -> Result<(), PayloadError> {
        let mut pass = Pass {
            decoder: self,
            payload,
            on,
            read: 0,
            first: None,
        };
        match self.options.format {
            PayloadFormat::Json => {
                let value = self.parse(payload)?;
                pass.readings(&Envelope::new(Some(&value), &self.options), &value);
            }
            PayloadFormat::Influx => {
                let text = self.text(payload)?;
                let nothing = Envelope::new(None, &self.options);
                for line in influx::lines(text) {
                    match line {
                        Ok(line) => pass.reading(&line, &nothing, None),
                        Err(line) => pass.fault(PayloadError::NotLineProtocol {
                            topic: shortened(payload.topic),
                            line,
                        }),
                    }
                }
            }
        }
        match pass.first {
            Some(error) if pass.read == 0 => Err(error),
            Some(error) => {
                (pass.on)(Outcome::Fault(error));
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// Work of one payload.
struct Pass<'d, 'p, F> {
    decoder: &'d Decoder,
    payload: &'d Payload<'p>,
    on: F,
    /// Readings that could be read.
    read: usize,
    /// The first fault of a whole reading. It comes last: if nothing was read, it is the payload's.
    first: Option<PayloadError>,
}

impl<F: FnMut(Outcome)> Pass<'_, '_, F> {
    /// All readings of a payload.
    fn readings(&mut self, envelope: &Envelope<'_>, whole: &Value) {
        let options = &self.decoder.options;
        match &options.readings {
            None if self.decoder.splits_arrays => self.batch(whole, envelope),
            None if options.times_as_keys => self.batch(whole, envelope),
            None => self.reading(whole, envelope, None),
            Some(path) => {
                let found = path.find_all(whole);
                if found.is_empty() {
                    (0..options.fields.len()).for_each(|field| (self.on)(Outcome::Absent { field }));
                }
                for at in found {
                    match at {
                        Value::String(text) => match self.decoder.json(self.payload.topic, text) {
                            Ok(value) => self.batch(&value, envelope),
                            Err(error) => self.fault(error),
                        },
                        at => self.batch(at, envelope),
                    }
                }
            }
        }
    }

    fn batch(&mut self, at: &Value, envelope: &Envelope<'_>) {
        match at {
            // Bare values of one array have no times of their own.
            Value::Array(readings) if readings.is_empty() || readings.iter().any(Value::is_object) => {
                readings.iter().for_each(|reading| self.batch_of_times(reading, envelope));
            }
            reading => self.batch_of_times(reading, envelope),
        }
    }

    fn batch_of_times(&mut self, at: &Value, envelope: &Envelope<'_>) {
        match at {
            Value::Object(by_time) if self.decoder.options.times_as_keys => {
                for (time, reading) in by_time {
                    self.reading(reading, envelope, Some(time));
                }
            }
            reading => self.reading(reading, envelope, None),
        }
    }

    fn fault(&mut self, error: PayloadError) {
        match self.first {
            None => self.first = Some(error),
            Some(_) => (self.on)(Outcome::Fault(error)),
        }
    }

    /// One reading; `key` is its time where times are keys.
    fn reading(&mut self, reading: &Value, envelope: &Envelope<'_>, key: Option<&str>) {
        if let Err(error) = self.read(reading, envelope, key) {
            self.fault(error);
        }
    }

    fn read(&mut self, reading: &Value, envelope: &Envelope<'_>, key: Option<&str>) -> Result<(), PayloadError> {
        let (decoder, payload) = (self.decoder, self.payload);
        let options = &decoder.options;
        let is_bare = !reading.is_object() && !reading.is_array();
        if !reading.is_object() && decoder.splits_arrays && !decoder.takes_bare && key.is_none() {
            return Err(PayloadError::NotAnObject {
                topic: shortened(payload.topic),
                kind: kind(reading),
            });
        }
        if !envelope.meets(&options.conditions, reading) {
            self.read += 1;
            return Ok(());
        }
        let time_ms = match key {
            Some(key) => decoder.read_time(payload, key, &Value::String(key.to_owned()))?,
            None => decoder.time(payload, reading, envelope)?.unwrap_or(payload.arrival_ms),
        };
        self.read += 1;
        match &options.shape {
            PayloadShape::Fields => {
                let is_value = is_bare && key.is_some() && options.fields.len() == 1;
                (0..options.fields.len()).for_each(|index| self.field(index, reading, time_ms, is_value));
            }
            PayloadShape::Topic => {
                if let Some(index) = payload.field.filter(|&index| index < options.fields.len()) {
                    self.field(index, reading, time_ms, !reading.is_object());
                }
            }
            PayloadShape::Named(path) => {
                let name = find(payload, path, reading)?.map(text_of).unwrap_or_default();
                if let Some(index) = options.fields.iter().position(|field| field.name == *name) {
                    self.field(index, reading, time_ms, false);
                }
            }
        }
        Ok(())
    }

    /// One field; `is_value`: the reading is the value itself.
    fn field(&mut self, index: usize, reading: &Value, time_ms: i64, is_value: bool) {
        let Field { path, rule, .. } = &self.decoder.options.fields[index];
        let (shown, at) = match is_value {
            true => ("", Ok(Some(reading))),
            false => (path.as_str(), find(self.payload, path, reading)),
        };
        let value = |value| Outcome::Value {
            time_ms,
            field: index,
            value,
        };
        match at {
            Ok(None) => (self.on)(Outcome::Absent { field: index }),
            Err(error) => (self.on)(Outcome::Fault(error)),
            Ok(Some(at)) => match rule.read(at) {
                Ok(number) => (self.on)(value(number)),
                Err(why) => {
                    (self.on)(Outcome::Fault(unreadable(self.payload, shown, at, why)));
                    if matches!(why, Unreadable::OutOfRange(_)) {
                        (self.on)(value(f32::NAN));
                    }
                }
            },
        }
    }
}
