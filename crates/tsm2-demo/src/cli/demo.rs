//! `tsm2-demo`: forecasts of a simulated building, live in a table.

use std::env;
use std::io::{self, IsTerminal, Stdout, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use comfy_table::Table;
use tracing_subscriber::EnvFilter;
use tsm2_demo::demo::{self, Options};
use tsm2_demo::{Outcome, Style, View, picture};

const BUNDLE: &str = "models/building/model.safetensors";
/// Between pictures that do not replace each other.
const PAUSE: Duration = Duration::from_secs(5);
const PLAIN: Style = Style { width: 80, colours: false };

/// Watch live forecasts of a simulated building.
#[derive(Args)]
pub struct Demo {
    /// Port of the broker on 127.0.0.1; 0 picks a free one [default: 1883, or a free one if that is taken]
    #[arg(long)]
    port: Option<u16>,
    /// End after so many seconds, counted from the end of the warm-up [default: run until interrupted]
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Print the summary as JSON instead of tables
    #[arg(long)]
    json: bool,
    /// The model [default: models/building/model.safetensors of the project]
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
}

impl Demo {
    /// Runs until its time is over or SIGINT or SIGTERM comes.
    pub fn run(self) -> anyhow::Result<()> {
        let bundle = match self.bundle {
            Some(bundle) => bundle,
            None => find_bundle()?,
        };
        let mut display = Display::new(self.json);
        let options = Options {
            port: self.port,
            seconds: self.seconds,
            bundle,
        };
        let outcome = runtime()?.block_on(async {
            let signal = super::process::end_signal().context("cannot listen for signals")?;
            anyhow::Ok(demo::run(options, signal, |view| display.show(view)).await?)
        })?;
        super::process::printed(display.end(&outcome))
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the async runtime")
}

/// Warnings go to standard error; `RUST_LOG` chooses otherwise.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,rumqttc=off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
}

/// In the current folder, above the executable, or where this was compiled.
fn find_bundle() -> anyhow::Result<PathBuf> {
    let executable = env::current_exe().unwrap_or_default();
    let roots = [Path::new("")]
        .into_iter()
        .chain(executable.ancestors().skip(1))
        .chain(Path::new(env!("CARGO_MANIFEST_DIR")).ancestors());
    match roots.map(|root| root.join(BUNDLE)).find(|bundle| bundle.is_file()) {
        Some(bundle) => Ok(bundle),
        None => bail!("there is no {BUNDLE} here, above the executable or in the project; name a bundle with --bundle FILE"),
    }
}

/// Where views go.
struct Display {
    output: Output,
    /// The newest picture; none while nothing has been shown.
    last: Option<String>,
}

enum Output {
    /// Standard output is for one JSON object.
    Json,
    /// A terminal, drawn over and over.
    Screen(Screen),
    /// A pipe or a file, a picture now and then; the time of the next.
    Pages(Option<Instant>),
}

impl Display {
    fn new(json: bool) -> Self {
        let output = if json {
            Output::Json
        } else if io::stdout().is_terminal() {
            Output::Screen(Screen {
                stdout: io::stdout(),
                entered: false,
            })
        } else {
            Output::Pages(None)
        };
        // Log lines in the middle of a picture would help nobody.
        if !matches!(output, Output::Screen(_)) || !io::stderr().is_terminal() {
            log_to_stderr();
        }
        Self { output, last: None }
    }

    /// Breaks when nobody reads any more.
    fn show(&mut self, view: View<'_>) -> ControlFlow<()> {
        let style = match self.output {
            Output::Screen(_) => Style {
                width: Table::new().width().unwrap_or(PLAIN.width),
                colours: env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            },
            Output::Json | Output::Pages(_) => PLAIN,
        };
        let picture = picture(view, style);
        let shown = match &mut self.output {
            Output::Json => {
                if self.last.is_none() {
                    // Only a hint; standard output is what counts.
                    let _ = writeln!(
                        io::stderr(),
                        "to watch: http://{}/ or mosquitto_sub -p {} -t 'tsm2/#' -v",
                        view.page,
                        view.port
                    );
                }
                Ok(())
            }
            Output::Screen(screen) => screen.draw(&picture),
            Output::Pages(_) if view.warm_up < 1.0 => match self.last {
                None => writeln!(
                    io::stdout(),
                    "warming up; to watch: http://{}/ or mosquitto_sub -p {} -t 'tsm2/#' -v\n",
                    view.page,
                    view.port
                ),
                Some(_) => Ok(()),
            },
            Output::Pages(next) => {
                let now = Instant::now();
                if next.is_none_or(|next| now >= next) {
                    *next = Some(now + PAUSE);
                    writeln!(io::stdout(), "{picture}\n")
                } else {
                    Ok(())
                }
            }
        };
        self.last = Some(picture);
        if shown.is_err() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn end(self, outcome: &Outcome) -> io::Result<()> {
        let Self { output, last } = self;
        let mut stdout = io::stdout();
        match output {
            Output::Json => {
                serde_json::to_writer(&mut stdout, outcome)?;
                writeln!(stdout)
            }
            drawn => {
                drop(drawn);
                let last = last.unwrap_or_default();
                writeln!(
                    stdout,
                    "{last}\n\n{} forecasts of {} time steps came over MQTT.",
                    outcome.forecasts, outcome.time_steps
                )
            }
        }
    }
}

/// The terminal's second screen, left when dropped.
struct Screen {
    stdout: Stdout,
    entered: bool,
}

impl Screen {
    /// Draws over what is there. Lines are not wrapped: a narrow terminal cuts them.
    fn draw(&mut self, picture: &str) -> io::Result<()> {
        let enter = if self.entered { "" } else { "\x1b[?1049h\x1b[?25l\x1b[?7l" };
        self.entered = true;
        let lines = picture.replace('\n', "\x1b[K\r\n");
        // One write between the marks of a synchronised update, so that no half picture is seen.
        write!(self.stdout, "{enter}\x1b[?2026h\x1b[H{lines}\x1b[J\x1b[?2026l")?;
        self.stdout.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.entered {
            // A terminal that is gone needs no tidying.
            let _ = write!(self.stdout, "\x1b[?7h\x1b[?25h\x1b[?1049l");
            let _ = self.stdout.flush();
        }
    }
}
