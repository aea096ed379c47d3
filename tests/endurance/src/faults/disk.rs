//! The disk has no room, or cannot be written.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tsm2_e2e::process::Running;

use super::scale::{Scale, finish};
use crate::load_generator::Feed;
use crate::result::FaultResult;
use crate::test_bed::{TestBed, pause};

/// How long a full disk may stay unnoticed: a commit is due every second.
const NOTICED: Duration = Duration::from_secs(4);

/// A disk of a few megabytes in memory; where nothing can be mounted, a folder and limits on files.
struct Disk {
    folder: TempDir,
    mounted: bool,
}

impl Disk {
    fn new(may_mount: bool) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mounted = may_mount && run("mount", &["-t", "tmpfs", "-o", "size=4m", "tmpfs"], folder.path());
        Disk { folder, mounted }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Leaves no room.
    fn fill(&self, daemon: &Running) {
        if self.mounted {
            // Ends with the error that there is no room.
            let _ = std::fs::write(self.filler(), vec![0; 4 << 20]);
        } else {
            assert!(daemon.limit_files("1"), "neither mount nor prlimit can be used");
        }
    }

    /// Makes room again.
    fn make_room(&self, daemon: &Running) {
        if self.mounted {
            std::fs::remove_file(self.filler()).expect("the filler");
        } else {
            assert!(daemon.limit_files("unlimited"));
        }
    }

    fn set_writable(&self, writable: bool) {
        if self.mounted {
            let options = if writable { "remount,rw" } else { "remount,ro" };
            assert!(run("mount", &["-o", options], self.path()), "the disk can be mounted again");
        } else {
            let mut permissions = std::fs::metadata(self.path()).expect("the folder").permissions();
            permissions.set_readonly(!writable);
            for entry in std::fs::read_dir(self.path()).expect("the folder").map_while(Result::ok) {
                std::fs::set_permissions(entry.path(), permissions.clone()).expect("the state's file");
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            run("umount", &["-l"], self.path());
        }
    }
}

/// Whether a command about a folder succeeds.
fn run(command: &str, arguments: &[&str], folder: &Path) -> bool {
    let output = Command::new(command).args(arguments).arg(folder).output();
    output.is_ok_and(|output| output.status.success())
}

pub(super) async fn full(scale: &Scale) -> FaultResult {
    let disk = Disk::new(scale.may_mount);
    let extra = "state.commit_every_s = 1";
    let mut bed = TestBed::prepare(scale.seed, Some(disk.path()), Running::start_limitable_quiet, extra).await;
    bed.start_daemon();
    bed.is_online(1).await;
    let generator = bed.feed(Feed {
        rows_per_s: 20,
        ..Feed::default()
    });
    let mut noticed = 0;
    for time in 0..scale.times {
        pause(1000).await;
        disk.fill(bed.daemon());
        // A file that has room within itself is written on a full disk too.
        let is_noticed = tokio::task::block_in_place(|| bed.daemon().says("state is not durable", NOTICED));
        noticed += u32::from(is_noticed);
        if time % 2 == 1 {
            // What was not durable is gone with the process, and comes again.
            bed.kill_daemon();
            if disk.mounted {
                std::fs::remove_file(disk.filler()).expect("the filler");
            }
            bed.start_daemon();
            bed.clear_fault();
        } else {
            disk.make_room(bed.daemon());
            bed.clear_fault();
            if is_noticed {
                tokio::task::block_in_place(|| bed.daemon().wait_for("state is durable again"));
            }
        }
        bed.wait_for_recovery().await;
    }
    let rows = generator.stop().await;
    let place = if disk.mounted { "tmpfs" } else { "file size limit" };
    let how = format!(
        "{} times, the daemon killed meanwhile in half of them; {noticed} commits failed, the others found room within the file; {place}",
        scale.times
    );
    let mut result = finish(bed, "disk full", how, rows).await;
    result.require(noticed > 0, "no commit failed");
    result.require(result.lost_by_broker == 0, "the broker lost readings");
    result
}

/// At every second start the disk cannot be written: the daemon must say so by name and end, and the readings wait.
pub(super) async fn read_only(scale: &Scale) -> FaultResult {
    let disk = Disk::new(scale.may_mount);
    let mut bed = TestBed::prepare(scale.seed, Some(disk.path()), Running::start_quiet, "").await;
    bed.start_daemon();
    bed.is_online(1).await;
    let generator = bed.feed(Feed {
        rows_per_s: 20,
        ..Feed::default()
    });
    let mut complaints = Vec::new();
    for time in 0..scale.times {
        pause(500).await;
        bed.kill_daemon();
        disk.set_writable(false);
        bed.start_daemon();
        let daemon = bed.take_daemon();
        let said = tokio::task::block_in_place(|| daemon.wait_for("state"));
        if tokio::task::block_in_place(|| daemon.ended()).success() {
            complaints.push(format!("a start on a read-only disk ended well: {said:?}"));
        }
        disk.set_writable(true);
        bed.start_daemon();
        bed.clear_fault();
        bed.is_online(2 + u64::from(time)).await;
        bed.wait_for_recovery().await;
    }
    let rows = generator.stop().await;
    let how = format!(
        "{} starts that must be refused, the file named; {}",
        scale.times,
        if disk.mounted { "tmpfs" } else { "permissions" }
    );
    let mut result = finish(bed, "read-only disk", how, rows).await;
    result.complaints.extend(complaints);
    result.require(result.passed == result.due, "a forecast never passed");
    result.require(result.lost_by_broker == 0, "the broker lost readings");
    result
}
