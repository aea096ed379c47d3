//! What the service manager (systemd, or what speaks its protocol: sd_notify(3)) is told: that the daemon is ready, how it is, and that it
//! lives.
//!
//! Invariants: the watchdog is answered only while every part of the daemon does its work, so that a manager restarts one that is stuck; a
//! broker that is away is told but is no reason to be restarted. Without a manager nothing happens.

use std::convert::Infallible;
use std::env;
use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::observe::vitals::{NotReady, Vitals};

/// How often the daemon looks at itself, unless the watchdog is faster.
const LOOK: Duration = Duration::from_secs(1);

/// The service manager, if there is one.
#[derive(Debug, Default)]
pub struct Manager {
    socket: Option<socket::Socket>,
    /// How long it waits for a sign of life before it restarts the daemon; `None`: for ever.
    watchdog: Option<Duration>,
}

impl Manager {
    /// The one that the environment names.
    pub fn from_env() -> Self {
        let Some(address) = env::var_os("NOTIFY_SOCKET") else {
            return Manager::default();
        };
        let number = |name| env::var(name).ok()?.parse::<u64>().ok();
        let is_other = number("WATCHDOG_PID").is_some_and(|pid| pid != u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|&usec| usec > 0 && !is_other);
        Self::connect(&address, watchdog.map(Duration::from_micros)).unwrap_or_else(|error| {
            warn!(?address, %error, "the service manager of NOTIFY_SOCKET cannot be told anything");
            Manager::default()
        })
    }

    /// The one that listens at a path, or with a leading `@` at an abstract address.
    pub fn connect(address: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        Ok(Manager {
            socket: Some(socket::connect(address)?),
            watchdog,
        })
    }

    /// The daemon runs, for the first time or with a new configuration.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// It takes a new configuration; [`Self::ready`] ends that, whatever comes of it.
    pub fn reloading(&self) {
        #[cfg(unix)]
        {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
            self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}{:06}", now.tv_sec, now.tv_nsec / 1000));
        }
    }

    /// It ends.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=stopping");
    }

    fn tell(&self, state: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(state.as_bytes())
        {
            warn!(%error, "the service manager was not told");
        }
    }

    /// Tells the manager that the daemon is ready, once its state is restored, and from then on how it is and that it lives; until dropped.
    pub async fn run(self: Arc<Self>, vitals: Arc<Vitals>) -> Infallible {
        if self.socket.is_none() {
            std::future::pending::<()>().await;
        }
        let half = self.watchdog.map(|watchdog| watchdog / 2);
        let look = half.map_or(LOOK, |half| half.min(LOOK));
        let (mut is_ready, mut told, mut pinged) = (false, String::new(), None::<Instant>);
        loop {
            let now = Instant::now();
            let (alive, ready) = (vitals.is_alive(now), vitals.is_ready());
            if !is_ready && ready != Err(NotReady::Restoring) {
                self.ready();
                is_ready = true;
            }
            let status = match (&alive, &ready) {
                (Err(stalled), _) => format!("{} is stuck", stalled.part),
                (_, Err(why)) => why.to_string(),
                _ => "connected to the broker".to_owned(),
            };
            if status != told {
                self.tell(&format!("STATUS={status}"));
                told = status;
            }
            // A ping that cannot wait until the next look goes now.
            let is_due = half.is_some_and(|half| pinged.is_none_or(|pinged| now + look > pinged + half));
            if is_due && alive.is_ok() {
                self.tell("WATCHDOG=1");
                pinged = Some(now);
            }
            tokio::time::sleep(look).await;
        }
    }
}

#[cfg(unix)]
mod socket {
    //! A datagram socket towards the manager.

    use std::ffi::OsStr;
    use std::io;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    use std::time::Duration;

    pub(super) type Socket = UnixDatagram;

    /// A manager that does not read is not waited for longer than this.
    const TIMEOUT: Duration = Duration::from_secs(1);

    pub(super) fn connect(address: &OsStr) -> io::Result<Socket> {
        let address = match address.as_bytes() {
            [b'@', name @ ..] => abstract_address(name)?,
            _ => SocketAddr::from_pathname(address)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(TIMEOUT))?;
        socket.connect_addr(&address)?;
        Ok(socket)
    }

    #[cfg(target_os = "linux")]
    fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
        use std::os::linux::net::SocketAddrExt;
        SocketAddr::from_abstract_name(name)
    }

    #[cfg(not(target_os = "linux"))]
    fn abstract_address(_: &[u8]) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(not(unix))]
mod socket {
    //! Nobody to tell.

    use std::convert::Infallible;
    use std::ffi::OsStr;
    use std::io;

    #[derive(Debug)]
    pub(super) struct Socket(Infallible);

    impl Socket {
        pub(super) fn send(&self, _: &[u8]) -> io::Result<usize> {
            match self.0 {}
        }
    }

    pub(super) fn connect(_: &OsStr) -> io::Result<Socket> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use super::Manager;
    use crate::observe::vitals::{Part, Vitals};

    const PATIENCE: Duration = Duration::from_secs(60);

    /// What the manager was told last.
    fn heard(manager: &UnixDatagram) -> String {
        let mut datagram = [0; 1000];
        let length = manager.recv(&mut datagram).expect("something in time");
        String::from_utf8(datagram[..length].to_vec()).unwrap()
    }

    fn bind(path: &Path) -> UnixDatagram {
        let manager = UnixDatagram::bind(path).unwrap();
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        manager
    }

    #[tokio::test]
    async fn the_watchdog_is_answered_until_a_shard_falls_silent_and_again_when_it_is_heard_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let systemd = bind(&path);
        let manager = Arc::new(Manager::connect(path.as_os_str(), Some(Duration::from_millis(20))).unwrap());
        let vitals = Arc::new(Vitals::impatient(1, Duration::from_secs(1)));
        let running = tokio::spawn(manager.run(vitals.clone()));
        let seen = tokio::task::spawn_blocking(move || {
            let mut seen = vec![heard(&systemd), heard(&systemd)];
            vitals.restored();
            seen.extend(std::iter::repeat_with(|| heard(&systemd)).find(|said| said == "READY=1"));
            vitals.connected(true);
            seen.extend(std::iter::repeat_with(|| heard(&systemd)).find(|said| said == "STATUS=connected to the broker"));
            vitals.beat(Part::Shard(0));
            seen.push(heard(&systemd));
            seen.extend(std::iter::repeat_with(|| heard(&systemd)).find(|said| said != "WATCHDOG=1"));
            // It is silent: a whole second of it would have had fifty answers.
            systemd.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            assert!(systemd.recv(&mut [0; 100]).is_err(), "a stuck daemon says nothing");
            systemd.set_read_timeout(Some(PATIENCE)).unwrap();
            vitals.beat(Part::Shard(0));
            seen.extend([heard(&systemd), heard(&systemd)]);
            seen
        });
        let seen = seen.await.unwrap();
        running.abort();
        assert_eq!(
            seen,
            [
                "STATUS=the stored state is not restored yet",
                "WATCHDOG=1",
                "READY=1",
                "STATUS=connected to the broker",
                "WATCHDOG=1",
                "STATUS=model thread 0 is stuck",
                "STATUS=connected to the broker",
                "WATCHDOG=1",
            ]
        );
    }

    #[test]
    fn reloads_and_ends_are_told_also_at_an_abstract_address() {
        let name = format!("tsm2-edge-test-{}", std::process::id());
        let systemd = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        systemd.set_read_timeout(Some(PATIENCE)).unwrap();
        let manager = Manager::connect(format!("@{name}").as_ref(), None).unwrap();
        manager.reloading();
        let reloading = heard(&systemd);
        let usec = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").map(str::parse::<u64>);
        assert!(matches!(usec, Some(Ok(1_000_000..))), "{reloading}");
        manager.ready();
        manager.stopping();
        assert_eq!([heard(&systemd), heard(&systemd)], ["READY=1", "STOPPING=1\nSTATUS=stopping"]);
    }

    #[test]
    fn a_manager_that_is_not_there_is_an_error() {
        assert!(Manager::connect("/nowhere/notify".as_ref(), None).is_err());
    }
}
