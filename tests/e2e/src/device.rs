//! A device for `tsm2 deploy`: a real sshd on loopback, in mounts and processes of its own.
//!
//! - `/etc` is an overlay on a small tmpfs, `/run` is empty: nothing of this machine is changed.
//! - `tsm2-edge` is the program of this workspace. `systemctl` is a stand-in, because systemd does not run there.
//! - Needs root, sshd, unshare and python3; without them [`skip`].

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tsm2_mqtt_testkit::TIMEOUT;
use tsm2_mqtt_testkit::mosquitto::free_port;
use tsm2_mqtt_testkit::require::skip;

use crate::process;

const SYSTEMCTL: &str = include_str!("systemctl.py");
const START: &str = "set -e
mkdir device
mount -t tmpfs -o size=$1 tmpfs device
mkdir device/upper device/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=device/upper,workdir=device/work /etc
rm -rf /etc/tsm2-edge
mount -t tmpfs tmpfs /run
mkdir /run/sshd
exec /usr/sbin/sshd -D -e -f \"$PWD/sshd_config\"
";

/// Carries a connection until so many bytes went to the device.
const BREAKING: &str = r#"
import os, socket, sys, threading

device, left = socket.create_connection(("127.0.0.1", int(sys.argv[1]))), int(sys.argv[2])

def answer():
    while data := device.recv(65536):
        os.write(1, data)
    os._exit(0)

threading.Thread(target=answer, daemon=True).start()
while left > 0 and (data := os.read(0, min(left, 65536))):
    device.sendall(data)
    left -= len(data)
os._exit(0)
"#;

/// A device. Dropping it ends its processes and removes all that was copied to it.
pub struct Device {
    namespace: Child,
    folder: TempDir,
    /// Port of its sshd on loopback.
    pub port: u16,
}

impl Device {
    /// A device with so much space for `/etc`, in the words of mount(8): `64m`.
    pub fn start(space: &str) -> Option<Self> {
        let missing = ["sshd", "ssh", "ssh-keygen", "unshare", "python3"].into_iter().find(|program| {
            let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
            !path.split(':').any(|folder| Path::new(folder).join(program).is_file())
        });
        if let Some(missing) = missing {
            skip(&format!("{missing} is not installed"));
            return None;
        }
        if !rustix::process::geteuid().is_root() {
            skip("a device of its own needs root");
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().to_owned();
        let at = |name: &str| path.join(name);
        let port = free_port();
        for key in ["host", "user"] {
            let mut command = Command::new("ssh-keygen");
            command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(at(key));
            assert!(command.status().expect("ssh-keygen starts").success());
        }
        fs::create_dir(at("bin")).expect("a folder");
        symlink(process::edge(), at("bin/tsm2-edge")).expect("a link");
        let text = |name: &str, text: String| fs::write(at(name), text).expect("a file");
        text("bin/systemctl", SYSTEMCTL.into());
        fs::set_permissions(at("bin/systemctl"), fs::Permissions::from_mode(0o755)).expect("permissions");
        let shown = path.display();
        text(
            "sshd_config",
            format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {shown}/host\nAuthorizedKeysFile {shown}/user.pub\nPidFile none\n\
                 UsePAM no\nStrictModes no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n\
                 SetEnv PATH={shown}/bin:/usr/bin:/bin\n"
            ),
        );
        let key = fs::read_to_string(at("host.pub")).expect("a key");
        text("known_hosts", format!("[127.0.0.1]:{port} {key}"));
        text("ssh_config", ssh_config(&path, port, ""));
        let namespace = Command::new("unshare")
            .args([
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
                "sh",
                "-c",
                START,
                "sh",
                space,
            ])
            .current_dir(&path)
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare starts");
        let mut device = Device { namespace, folder, port };
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if device.namespace.try_wait().expect("a process").is_some() {
                skip("mounts of its own cannot be made");
                return None;
            }
            assert!(begun.elapsed() < TIMEOUT, "sshd does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(device)
    }

    /// The arguments that reach it: `device --ssh-config FILE`.
    pub fn arguments(&self) -> Vec<String> {
        vec!["device".into(), "--ssh-config".into(), self.at("ssh_config").display().to_string()]
    }

    /// The same for a connection that breaks after so many bytes to the device.
    pub fn arguments_of_a_connection_that_breaks(&self, bytes: u32) -> Vec<String> {
        let port = self.port;
        fs::write(self.at("breaking.py"), BREAKING).expect("a file");
        let proxy = format!("ProxyCommand python3 {}/breaking.py {port} {bytes}\n", self.folder.path().display());
        let file = self.at("breaking");
        fs::write(&file, ssh_config(self.folder.path(), port, &proxy)).expect("a file");
        vec!["device".into(), "--ssh-config".into(), file.display().to_string()]
    }

    /// Puts a program before the others in the path of the device.
    pub fn replace(&self, program: &str, script: &str) {
        let file = self.at("bin").join(program);
        // Never through the link to the program of the workspace.
        let _ = fs::remove_file(&file);
        fs::write(&file, script).expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("permissions");
    }

    /// Names of the files in `/etc/tsm2-edge`, sorted.
    pub fn files(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.root().join("etc/tsm2-edge")) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// The text of a file of the device; empty without it.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).unwrap_or_default()
    }

    /// Its root folder, seen from this machine.
    fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.namespace.id()))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.namespace.kill();
        let _ = self.namespace.wait();
    }
}

fn ssh_config(folder: &Path, port: u16, extra: &str) -> String {
    let folder = folder.display();
    format!(
        "Host device\nHostName 127.0.0.1\nPort {port}\nUser root\nIdentityFile {folder}/user\nIdentitiesOnly yes\nBatchMode yes\n\
         UserKnownHostsFile {folder}/known_hosts\nGlobalKnownHostsFile none\nHostKeyAlias [127.0.0.1]:{port}\n{extra}"
    )
}
