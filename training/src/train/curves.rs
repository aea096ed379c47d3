//! `curves.csv`: the course of a training, a line for each validation.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Name of the file, beside the model's.
pub const CURVES: &str = "curves.csv";

/// The open file.
#[derive(Debug)]
pub struct Curves {
    path: PathBuf,
    writer: csv::Writer<File>,
}

impl Curves {
    /// A new file in folder `out`, or the one of the training that is resumed.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn open(out: &Path, resume: bool) -> io::Result<Self> {
        let path = out.join(CURVES);
        let continued = resume && path.exists();
        let file = match continued {
            true => OpenOptions::new().append(true).open(&path)?,
            false => File::create(&path)?,
        };
        let mut writer = csv::Writer::from_writer(file);
        if !continued {
            writer.write_record([
                "network",
                "candidate",
                "update",
                "seconds",
                "loss",
                "validation_error_relative_to_linear",
            ])?;
            writer.flush()?;
        }
        Ok(Self { path, writer })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A validation after so many updates and seconds. `loss` is the mean training loss since the one before.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&mut self, network: &str, candidate: &str, update: usize, seconds: f64, loss: f64, score: f64) -> io::Result<()> {
        let numbers = [
            update.to_string(),
            format!("{seconds:.1}"),
            format!("{loss:.6}"),
            format!("{score:.6}"),
        ];
        let names = [network.to_owned(), candidate.to_owned()];
        self.writer.write_record(names.iter().chain(&numbers))?;
        self.writer.flush()
    }
}
