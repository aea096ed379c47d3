//! The course of a training, at each validation: `curves.csv`, and event files for TensorBoard on request.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::event_file::EventFile;

/// Name of the file, beside the model's.
pub const CURVES: &str = "curves.csv";

/// Name of the folder of event files, beside the model's.
pub const TENSORBOARD: &str = "tensorboard";

/// Error of validation in `curves.csv` and TensorBoard.
const SCORE: &str = "validation_error_relative_to_linear";

/// The open files.
#[derive(Debug)]
pub struct Curves {
    path: PathBuf,
    writer: csv::Writer<File>,
    /// The folder of event files, and the file of each network.
    events: Option<(PathBuf, HashMap<String, EventFile>)>,
}

impl Curves {
    /// New files in folder `out`, or those of the training that is resumed.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn open(out: &Path, resume: bool, tensorboard: bool) -> io::Result<Self> {
        let path = out.join(CURVES);
        let continued = resume && path.exists();
        let file = match continued {
            true => OpenOptions::new().append(true).open(&path)?,
            false => File::create(&path)?,
        };
        let mut writer = csv::Writer::from_writer(file);
        if !continued {
            writer.write_record(["network", "candidate", "update", "seconds", "loss", SCORE])?;
            writer.flush()?;
        }
        let events = out.join(TENSORBOARD);
        if !resume && events.exists() {
            fs::remove_dir_all(&events)?;
        }
        Ok(Self {
            path,
            writer,
            events: tensorboard.then(|| (events, HashMap::new())),
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A validation after so many updates and seconds. `loss` is the mean training loss since the one before.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&mut self, network: &str, candidate: &str, update: usize, seconds: f64, loss: f64, score: f64) -> io::Result<()> {
        let numbers = [
            update.to_string(),
            format!("{seconds:.1}"),
            format!("{loss:.6}"),
            format!("{score:.6}"),
        ];
        let names = [network.to_owned(), candidate.to_owned()];
        self.writer.write_record(names.iter().chain(&numbers))?;
        self.writer.flush()?;
        let Some((folder, files)) = &mut self.events else { return Ok(()) };
        let file = match files.entry(network.to_owned()) {
            Entry::Occupied(file) => file.into_mut(),
            Entry::Vacant(place) => place.insert(EventFile::create(&folder.join(network))?),
        };
        file.scalars(update, &[("loss", loss), (SCORE, score)])
    }
}
