//! One file from the hub into the cache.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::RANGE;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

use super::http::{Http, hub_error};
use super::listing::{Checksum, Remote};
use super::name::Name;
use crate::show::Progress;
use crate::{Error, Result, files, interrupt};

/// How often a connection may break during one file without having brought a byte.
const BREAKS: usize = 3;

/// Counts bytes as kilobytes of a progress bar.
pub(super) struct Meter {
    bar: Progress,
    bytes: u64,
}

impl Meter {
    pub(super) fn new(bar: Progress) -> Self {
        Self { bar, bytes: 0 }
    }

    pub(super) fn add(&mut self, bytes: u64) {
        let before = self.bytes / 1_000;
        self.bytes += bytes;
        self.bar.inc((self.bytes / 1_000 - before) as usize);
    }
}

/// Fetches a file unless the cache has it, and puts it into the snapshot of a commit.
pub(super) async fn fetch(http: &Http<'_>, name: &Name, commit: &str, file: &Remote, meter: &mut Meter) -> Result<()> {
    let blob = Blob::new(http, name, file);
    if !blob.is_there() {
        let _lock = lock(http, name, file).await?;
        // Another process may have been faster.
        if !blob.is_there() {
            blob.download(http, name, commit, meter).await?;
        }
    }
    link(&blob.path, &http.hub.snapshot(name, commit), &file.path)
}

/// A file of the cache, named by its checksum.
pub(super) struct Blob<'a> {
    file: &'a Remote,
    path: PathBuf,
}

impl<'a> Blob<'a> {
    fn new(http: &Http<'_>, name: &Name, file: &'a Remote) -> Self {
        Self { file, path: http.hub.folder(name).join("blobs").join(file.checksum.hex()) }
    }

    fn is_there(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|found| found.is_file() && found.len() == self.file.size)
    }

    /// Fetches what is missing, checks the whole and puts it in its place.
    async fn download(&self, http: &Http<'_>, name: &Name, commit: &str, meter: &mut Meter) -> Result<()> {
        let part = self.path.with_extension("incomplete");
        let home = self.path.parent().unwrap_or(&self.path);
        fs::create_dir_all(home).map_err(Error::io(home))?;
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&part);
        let mut target = open.map_err(Error::io(&part))?;
        let mut done = target.seek(SeekFrom::End(0)).map_err(Error::io(&part))?;
        if done > self.file.size {
            done = restart(&mut target).map_err(Error::io(&part))?;
        }
        let mut counted = done;
        meter.add(done);
        let mut breaks = 0;
        while done < self.file.size {
            let before = done;
            let fetched = self.fetch_from(http, name, commit, &mut target, &mut done, |done| {
                meter.add(done.saturating_sub(counted));
                counted = counted.max(done);
            });
            if let Err(error) = fetched.await {
                breaks = if done > before { 0 } else { breaks + 1 };
                if !is_cut(&error) || breaks >= BREAKS {
                    return Err(error);
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        target.sync_all().map_err(Error::io(&part))?;
        let found = checksum(&mut target, &self.file.checksum).map_err(Error::io(&part))?;
        if found != self.file.checksum.hex() {
            fs::remove_file(&part).map_err(Error::io(&part))?;
            let problem = format!(
                "what came has the checksum {found}, the hub lists {} ({} bytes); it was removed",
                self.file.checksum.hex(),
                self.file.size
            );
            let advice = "run it again; if it stays so, a proxy or the mirror of HF_ENDPOINT changes files";
            return Err(hub_error(format!("{name}: {}", self.file.path), problem, advice));
        }
        fs::rename(&part, &self.path).and_then(|()| files::sync_folder(home)).map_err(Error::io(&self.path))
    }

    /// Adds to the file what follows its first `done` bytes.
    async fn fetch_from(
        &self,
        http: &Http<'_>,
        name: &Name,
        commit: &str,
        target: &mut File,
        done: &mut u64,
        mut count: impl FnMut(u64),
    ) -> Result<()> {
        let place = format!("{name}: {}", self.file.path);
        let path: Vec<String> = self.file.path.split('/').map(escaped).collect();
        let url = http.url(&format!("{}/resolve/{commit}/{}", name.page(), path.join("/")));
        let from = *done;
        let mut response = http
            .send(&place, || match from {
                0 => http.get(&url),
                _ => http.get(&url).header(RANGE, format!("bytes={from}-")),
            })
            .await?;
        if from > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
            // It sends the whole again.
            *done = restart(target).map_err(Error::io(&self.path))?;
        }
        loop {
            match response.chunk().await {
                Ok(Some(bytes)) => {
                    let most = usize::try_from(self.file.size - *done).unwrap_or(usize::MAX);
                    if bytes.len() > most {
                        let problem = format!("more came than the {} bytes that the hub lists", self.file.size);
                        *done = restart(target).map_err(Error::io(&self.path))?;
                        return Err(hub_error(place, problem, "run it again; if it stays so, check HF_ENDPOINT"));
                    }
                    target.write_all(&bytes).map_err(Error::io(&self.path))?;
                    *done += bytes.len() as u64;
                    count(*done);
                }
                Ok(None) if *done < self.file.size => {
                    let problem = format!("{} ended after {done} of {} bytes", http.hub.endpoint, self.file.size);
                    return Err(hub_error(place, problem, CUT));
                }
                Ok(None) => return Ok(()),
                Err(_) => {
                    let problem = format!(
                        "the connection to {} broke after {done} of {} bytes",
                        http.hub.endpoint, self.file.size
                    );
                    return Err(hub_error(place, problem, CUT));
                }
            }
        }
    }
}

const CUT: &str = "run it again to resume the download";

fn is_cut(error: &Error) -> bool {
    matches!(error, Error::Hub { advice, .. } if advice == CUT)
}

fn restart(file: &mut File) -> std::io::Result<u64> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))
}

/// A part of a path as a part of an address.
pub(super) fn escaped(part: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    part.bytes().map(|byte| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Of a whole file, of the same kind as `like`.
fn checksum(file: &mut File, like: &Checksum) -> std::io::Result<String> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let mut context = match like {
        Checksum::Sha256(_) => Context::new(&SHA256),
        Checksum::Git(_) => {
            let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
            context.update(format!("blob {length}\0").as_bytes());
            context
        }
    };
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(context.finish().as_ref())),
            read => context.update(&buffer[..read]),
        }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Keeps other processes from the same file, Python's too: they lock the same one.
async fn lock(http: &Http<'_>, name: &Name, file: &Remote) -> Result<File> {
    let home = http.hub.cache.join(".locks").join(name.repo().folder_name());
    let path = home.join(format!("{}.lock", file.checksum.hex()));
    fs::create_dir_all(&home).map_err(Error::io(&home))?;
    let open = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let lock = open.map_err(Error::io(&path))?;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(100)).await,
            // A file system without locks: two downloads at once would be checked by their checksum.
            Err(TryLockError::Error(_)) => return Ok(lock),
        }
        interrupt::check("the download")?;
    }
}

/// Gives a file of the cache its name in a snapshot: a link, relative so that the cache can be moved.
fn link(blob: &Path, snapshot: &Path, name: &str) -> Result<()> {
    let path = snapshot.join(name);
    let home = path.parent().unwrap_or(snapshot);
    fs::create_dir_all(home).map_err(Error::io(home))?;
    let depth = name.split('/').count() + 1;
    let target = PathBuf::from("../".repeat(depth)).join("blobs").join(blob.file_name().unwrap_or_default());
    if path.symlink_metadata().is_ok() {
        if path.canonicalize().ok() == blob.canonicalize().ok() {
            return Ok(());
        }
        fs::remove_file(&path).map_err(Error::io(&path))?;
    }
    #[cfg(unix)]
    let linked = std::os::unix::fs::symlink(target, &path);
    #[cfg(windows)]
    let linked = std::os::windows::fs::symlink_file(target, &path);
    match linked {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        // Where there are no links, as Python does it.
        Err(_) => fs::copy(blob, &path).map(|_| ()).map_err(Error::io(&path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_git_and_of_lfs() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"hello\n").unwrap();
        let git = checksum(&mut file, &Checksum::Git(String::new())).unwrap();
        assert_eq!(git, "ce013625030ba8dba906f756967f9e9ca394464a");
        let sha = checksum(&mut file, &Checksum::Sha256(String::new())).unwrap();
        assert_eq!(sha, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
    }

    #[test]
    fn addresses_hold_any_name() {
        assert_eq!(escaped("a b+検.json"), "a%20b%2B%E6%A4%9C.json");
    }
}
