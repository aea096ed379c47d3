//! The Debian package format, deb(5): an `ar` archive with `debian-binary`, `control.tar.gz` and `data.tar.gz`.
//!
//! 1. The same contents and time give the same bytes.
//! 2. Every file belongs to root, every folder above a file is listed once and before it.
//! 3. Files under `/etc` are conffiles: dpkg keeps the changes of a user on an upgrade.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest, Md5};

/// Largest path that an entry of a tar archive holds without an extension, with its `./` and its end.
const MAX_PATH: usize = 97;

/// A file of a package.
#[derive(Debug, Clone)]
pub struct File {
    /// Permissions, 0o644 or 0o755.
    pub mode: u32,
    /// Contents.
    pub bytes: Vec<u8>,
}

/// A package before it is packed.
#[derive(Debug, Clone, Default)]
pub struct Package {
    /// Fields of the control file in order, without `Installed-Size`.
    pub control: Vec<(&'static str, String)>,
    /// Maintainer scripts by name: `postinst`, `prerm`, `postrm`.
    pub scripts: BTreeMap<&'static str, Vec<u8>>,
    /// Files by absolute path without the first slash.
    pub files: BTreeMap<String, File>,
    /// Time of every file, in seconds since 1970.
    pub time: u64,
}

impl Package {
    /// Adds a file.
    pub fn file(&mut self, path: impl Into<String>, mode: u32, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        self.files.insert(path.into(), File { mode, bytes });
    }

    /// Adds a file, compressed as Debian wants manual pages and change logs.
    pub fn compressed_file(&mut self, path: impl Into<String>, bytes: &[u8]) -> io::Result<()> {
        self.file(path, 0o644, gzip(bytes)?);
        Ok(())
    }

    /// The bytes of the `.deb`.
    pub fn pack(&self) -> io::Result<Vec<u8>> {
        let mut archive = b"!<arch>\n".to_vec();
        for (name, bytes) in [
            ("debian-binary", b"2.0\n".to_vec()),
            ("control.tar.gz", gzip(&self.tar(&self.control_files())?)?),
            ("data.tar.gz", gzip(&self.tar(&self.files)?)?),
        ] {
            let (time, length) = (self.time, bytes.len());
            writeln!(archive, "{name:<16}{time:<12}{:<6}{:<6}{:<8}{length:<10}`", 0, 0, "100644")?;
            archive.extend(&bytes);
            if length % 2 == 1 {
                archive.push(b'\n');
            }
        }
        Ok(archive)
    }

    fn control_files(&self) -> BTreeMap<String, File> {
        let mut control = String::new();
        let kib: usize = self.files.values().map(|file| file.bytes.len().div_ceil(1024)).sum();
        for (field, text) in &self.control {
            // Further lines of a description begin with a blank; an empty line is a dot.
            if *field == "Description" {
                control.push_str(&format!("Installed-Size: {kib}\n"));
            }
            control.push_str(&format!("{field}: {text}\n"));
        }
        let mut sums = String::new();
        let mut conffiles = String::new();
        for (path, file) in &self.files {
            if path.starts_with("etc/") {
                conffiles.push_str(&format!("/{path}\n"));
            } else {
                let sum: String = Md5::digest(&file.bytes).iter().map(|byte| format!("{byte:02x}")).collect();
                sums.push_str(&format!("{sum}  {path}\n"));
            }
        }
        let texts = [("control", control), ("md5sums", sums), ("conffiles", conffiles)];
        let texts = texts.map(|(name, text)| (name, 0o644, text.into_bytes()));
        let scripts = self.scripts.iter().map(|(&name, bytes)| (name, 0o755, bytes.clone()));
        texts
            .into_iter()
            .chain(scripts)
            .map(|(name, mode, bytes)| (name.to_owned(), File { mode, bytes }))
            .collect()
    }

    fn tar(&self, files: &BTreeMap<String, File>) -> io::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        let mut folders = BTreeSet::from([String::new()]);
        self.entry(&mut archive, "./", tar::EntryType::Directory, 0o755, &[])?;
        for (path, file) in files {
            let above: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
            for folder in above.into_iter().rev() {
                let folder = folder.to_string_lossy().into_owned();
                if folders.insert(folder.clone()) {
                    self.entry(&mut archive, &format!("./{folder}/"), tar::EntryType::Directory, 0o755, &[])?;
                }
            }
            self.entry(&mut archive, &format!("./{path}"), tar::EntryType::Regular, file.mode, &file.bytes)?;
        }
        archive.into_inner()
    }

    fn entry(&self, archive: &mut tar::Builder<Vec<u8>>, path: &str, kind: tar::EntryType, mode: u32, bytes: &[u8]) -> io::Result<()> {
        if path.len() > MAX_PATH {
            return Err(io::Error::other(format!("{path}: the path is longer than {MAX_PATH} bytes")));
        }
        let mut header = tar::Header::new_gnu();
        // `set_path` would drop the `./` with which the paths of a package begin.
        if let Some(gnu) = header.as_gnu_mut() {
            gnu.name[..path.len()].copy_from_slice(path.as_bytes());
        }
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(self.time);
        header.set_uid(0);
        header.set_gid(0);
        header.set_username("root")?;
        header.set_groupname("root")?;
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        archive.append(&header, bytes)
    }
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    // The header of a GzEncoder has neither a name nor a time.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn package() -> Package {
        let mut package = Package {
            control: vec![("Package", "example".into()), ("Description", "an example".into())],
            scripts: BTreeMap::from([("postinst", b"#!/bin/sh\n".to_vec())]),
            time: 1_700_000_000,
            ..Package::default()
        };
        package.file("usr/bin/example", 0o755, b"program".as_slice());
        package.file("etc/example/example.toml", 0o644, b"key = 1\n".as_slice());
        package
    }

    /// Path, mode and contents of each entry of a member of the archive.
    fn entries(deb: &[u8], member: &str) -> Vec<(String, u32, String)> {
        let at = deb.windows(member.len()).position(|window| window == member.as_bytes()).unwrap();
        let header = std::str::from_utf8(&deb[at..at + 60]).unwrap();
        let length: usize = header[48..58].trim().parse().unwrap();
        let data = &deb[at + 60..at + 60 + length];
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(data));
        let entry = |entry: io::Result<tar::Entry<'_, _>>| {
            let mut entry = entry.unwrap();
            let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (path, entry.header().mode().unwrap(), text)
        };
        archive.entries().unwrap().map(entry).collect()
    }

    #[test]
    fn every_folder_stands_once_and_before_its_files() {
        let paths: Vec<String> = entries(&package().pack().unwrap(), "data.tar.gz")
            .into_iter()
            .map(|(path, ..)| path)
            .collect();
        let expected = [
            "./",
            "./etc/",
            "./etc/example/",
            "./etc/example/example.toml",
            "./usr/",
            "./usr/bin/",
            "./usr/bin/example",
        ];
        assert_eq!(paths, expected);
    }

    #[test]
    fn configuration_is_a_conffile_and_has_no_sum() {
        let control = entries(&package().pack().unwrap(), "control.tar.gz");
        let text = |name: &str| control.iter().find(|(path, ..)| path == name).unwrap().2.clone();
        assert_eq!(text("./conffiles"), "/etc/example/example.toml\n");
        assert_eq!(text("./md5sums"), "a9c449d4fa44e9e5a41c574ae55ce4d9  usr/bin/example\n");
        assert_eq!(text("./control"), "Package: example\nInstalled-Size: 2\nDescription: an example\n");
    }

    #[test]
    fn scripts_and_programs_can_be_run() {
        let deb = package().pack().unwrap();
        for (member, path) in [("control.tar.gz", "./postinst"), ("data.tar.gz", "./usr/bin/example")] {
            let entry = entries(&deb, member).into_iter().find(|(found, ..)| found == path).unwrap();
            assert_eq!(entry.1, 0o755, "{path}");
        }
    }

    #[test]
    fn the_same_contents_give_the_same_bytes() {
        assert_eq!(package().pack().unwrap(), package().pack().unwrap());
    }

    #[test]
    fn members_begin_at_even_offsets() {
        let deb = package().pack().unwrap();
        for member in ["debian-binary", "control.tar.gz", "data.tar.gz"] {
            let at = deb.windows(member.len()).position(|window| window == member.as_bytes()).unwrap();
            assert_eq!(at % 2, 0, "{member}");
        }
    }
}
