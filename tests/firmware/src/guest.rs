//! The station on an emulated board: QEMU with a user network, in which 10.0.2.2 is this machine.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tsm2_mqtt_testkit::TIMEOUT;

use crate::programs::Machine;

/// A running board. Its QEMU ends when it is dropped.
pub struct Guest {
    machine: Machine,
    qemu: Child,
    folder: TempDir,
    control: BufReader<UnixStream>,
}

/// A line to and from the serial port.
pub struct Serial(BufReader<UnixStream>);

impl Guest {
    /// Starts the station with a model and settings. `None`: QEMU or the compiler's target is missing.
    ///
    /// # Panics
    /// When QEMU does not start.
    #[must_use]
    pub fn start(machine: Machine, model: &[u8], settings: &str) -> Option<Self> {
        let (mut qemu, program) = (machine.qemu()?, machine.program("station")?);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        let [at_model, at_settings, _] = machine.addresses();
        let mut loader = |name: &str, content: &[u8], address: u32| {
            std::fs::write(path(name), content).expect("a file");
            qemu.args([
                "-device",
                &format!("loader,file={},addr={address:#x},force-raw=on", path(name).display()),
            ]);
        };
        loader("model.bin", model, at_model);
        loader("settings.txt", &[settings.as_bytes(), &[0]].concat(), at_settings);
        let socket = |name: &str| path(name).display().to_string();
        let serial = format!(
            "socket,id=serial,path={},server=on,wait=off,logfile={}",
            socket("serial"),
            socket("log")
        );
        qemu.args(["-M", machine.board(), "-display", "none", "-monitor", "none"])
            .args(["-chardev", &serial, "-serial", "chardev:serial"])
            .args(["-qmp", &format!("unix:{},server=on,wait=off", socket("control"))])
            .args(["-nic", "user"])
            .arg("-kernel")
            .arg(program);
        let qemu = qemu.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("QEMU starts");
        let control = connect(&path("control"));
        let mut guest = Guest {
            machine,
            qemu,
            folder,
            control: BufReader::new(control),
        };
        guest.answer();
        guest.command(json!({"execute": "qmp_capabilities"}));
        Some(guest)
    }

    /// Resets the board as its reset button does. RAM keeps its content.
    pub fn reset(&mut self) {
        self.command(json!({"execute": "system_reset"}));
    }

    /// All that the board wrote to its serial line so far.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the log has `text` `count` times.
    ///
    /// # Panics
    /// When that takes too long.
    pub fn wait_for(&self, text: &str, count: usize) {
        let begun = Instant::now();
        while self.log().matches(text).count() < count {
            assert!(begun.elapsed() < TIMEOUT, "no {count} times {text:?} in the log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The serial line. What was written before is in the log only.
    #[must_use]
    pub fn serial(&self) -> Serial {
        Serial(BufReader::new(connect(&self.folder.path().join("serial"))))
    }

    /// Bytes of the board's memory.
    ///
    /// # Panics
    /// When QEMU cannot write them.
    pub fn memory(&mut self, address: u32, length: usize) -> Vec<u8> {
        let file: PathBuf = self.folder.path().join("memory");
        self.command(json!({"execute": "memsave", "arguments": {"val": address, "size": length, "filename": file}}));
        std::fs::read(&file).expect("QEMU wrote the memory")
    }

    /// The machine that is emulated.
    #[must_use]
    pub fn machine(&self) -> Machine {
        self.machine
    }

    fn command(&mut self, command: Value) {
        let mut line = command.to_string();
        line.push('\n');
        self.control.get_mut().write_all(line.as_bytes()).expect("QEMU takes commands");
        // Events come between.
        loop {
            let answer = self.answer();
            assert!(answer.get("error").is_none(), "{command}: {answer}");
            if answer.get("return").is_some() {
                return;
            }
        }
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.control.read_line(&mut line).expect("QEMU answers");
        serde_json::from_str(&line).expect("QEMU answers in JSON")
    }
}

impl Serial {
    /// Sends a line.
    ///
    /// # Panics
    /// When QEMU has ended.
    pub fn send(&mut self, line: &str) {
        self.0
            .get_mut()
            .write_all(format!("{line}\n").as_bytes())
            .expect("QEMU takes bytes");
    }

    /// The next line that is not a message of the log.
    ///
    /// # Panics
    /// When none comes.
    pub fn next_line(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).expect("a line");
            assert!(!line.is_empty(), "QEMU has ended");
            // The end of a line that began before the connection is empty.
            if !line.starts_with('#') && line != "\n" {
                return line.trim_end().to_owned();
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// Connects to a socket that QEMU is about to make.
fn connect(path: &Path) -> UnixStream {
    let begun = Instant::now();
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => {
                stream.set_read_timeout(Some(TIMEOUT)).expect("a time limit");
                return stream;
            }
            Err(error) => assert!(begun.elapsed() < TIMEOUT, "{}: {error}", path.display()),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
