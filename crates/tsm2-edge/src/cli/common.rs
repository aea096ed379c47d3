//! What several commands need: output, the async runtime, signals, ranges of rows.

use std::fmt::Display;
use std::future::Future;
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::path::Path;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::runtime::Runtime;
use tsm2_data::{Meter, Options, Recording, Report};

use crate::config::{Config, Prepared};
use crate::runtime::signals::Signals;

/// Prints lines to standard output. A reader that has closed it (`| head`) is no error.
pub(super) fn print(lines: impl Display) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{lines}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

/// [`crate::config::prepare`], and before it a trial of the model if it is an ONNX graph.
pub(super) fn prepare(config: &Config) -> anyhow::Result<Prepared> {
    #[cfg(feature = "onnx")]
    if let Some(graph) = config.model.graph() {
        super::try_graph::tried(graph).map_err(|error| anyhow::anyhow!("model.bundle: {error:#}"))?;
    }
    Ok(crate::config::prepare(config)?)
}

/// Reads a recording; on a terminal a bar shows how far that is.
pub(super) fn read(path: &Path, options: &Options) -> anyhow::Result<(Recording, Report)> {
    let bar = bar(100, "{percent} % of the recording read")?;
    let work = |meter: &Meter| tsm2_data::read_metered(&[path], options, meter);
    let read = Meter::watch(work, |_, done| bar.set_position((100.0 * done) as u64));
    bar.finish_and_clear();
    Ok(read?)
}

/// A bar on a terminal; `count` says how much is done.
pub(super) fn bar(length: usize, count: &str) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template(&format!("{{bar:40}} {count}  {{eta}} left"))?;
    Ok(ProgressBar::new(length as u64).with_style(style))
}

/// The runtime of a command that connects to a broker.
pub(super) fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the async runtime")
}

/// Resolves at the first signal that ends a command. Call it within the runtime.
pub(super) fn end_signal() -> io::Result<impl Future<Output = ()>> {
    let mut signals = Signals::listen()?;
    Ok(async move {
        signals.next().await;
    })
}

/// A range of rows, for example `100..200`, `..200` or `100..`.
pub(super) fn parse_range(text: &str) -> Result<Range<usize>, String> {
    let (start, end) = text.split_once("..").ok_or("write a range as A..B")?;
    let bound = |text: &str, open: usize| match text {
        "" => Ok(open),
        text => text.parse().map_err(|_| format!("{text:?} is not a row number")),
    };
    let range = bound(start, 0)?..bound(end, usize::MAX)?;
    match range.is_empty() {
        true => Err("the range is empty".into()),
        false => Ok(range),
    }
}
