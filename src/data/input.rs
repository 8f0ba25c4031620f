//! Files as inputs: what may be read at all, and a record of what was.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::marker::PhantomData;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 1 << 32;

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InputFile {
    /// Path as it was given; the files of the embedded model begin with `embedded:`.
    pub path: String,
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 of the content, in lower-case hexadecimal.
    pub sha256: String,
}

impl InputFile {
    fn new(path: String, content: &[u8]) -> Self {
        Self {
            path,
            bytes: content.len() as u64,
            sha256: hex(&Sha256::digest(content)),
        }
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

thread_local! {
    /// The logs of this thread, the outermost first.
    static LOGS: RefCell<Vec<Vec<InputFile>>> = const { RefCell::new(Vec::new()) };
}

/// A record of the files that this thread reads from its start to its end.
///
/// Logs nest: what is read while an inner log runs is in the outer one too. A file that is read again
/// with the same content is listed once, where it was read first. Logs end in the reverse order of
/// their starts; one that is dropped ends unread.
#[derive(Debug)]
pub struct InputLog {
    /// Number of logs that were running at the start.
    depth: usize,
    /// A log belongs to the thread that started it.
    thread: PhantomData<*const ()>,
}

impl InputLog {
    /// Begins a log.
    #[must_use]
    pub fn start() -> Self {
        LOGS.with_borrow_mut(|logs| {
            logs.push(Vec::new());
            Self {
                depth: logs.len() - 1,
                thread: PhantomData,
            }
        })
    }

    /// Ends the log: the files in the order in which they were first read.
    #[must_use]
    pub fn finish(self) -> Vec<InputFile> {
        LOGS.with_borrow_mut(|logs| logs.get_mut(self.depth).map(std::mem::take))
            .unwrap_or_default()
    }
}

impl Drop for InputLog {
    fn drop(&mut self) {
        LOGS.with_borrow_mut(|logs| logs.truncate(self.depth));
    }
}

/// Whether any log runs on this thread.
fn is_logged() -> bool {
    LOGS.with_borrow(|logs| !logs.is_empty())
}

fn record(file: &InputFile) {
    LOGS.with_borrow_mut(|logs| {
        for log in logs {
            if !log.contains(file) {
                log.push(file.clone());
            }
        }
    });
}

/// Records content that is built in as an input.
pub(crate) fn record_embedded(name: &str, content: &[u8]) {
    if is_logged() {
        record(&InputFile::new(format!("embedded:{name}"), content));
    }
}

fn too_large(limit: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        format!("it is larger than {} MiB", limit >> 20),
    )
}

/// Opens a regular file of at most `limit` bytes.
fn open_checked(path: &Path, limit: u64) -> io::Result<File> {
    let check = |metadata: &fs::Metadata| {
        if metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
        }
        if !metadata.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is no regular file",
            ));
        }
        if metadata.len() > limit {
            return Err(too_large(limit));
        }
        Ok(())
    };
    // Before opening, because opening a pipe waits for its writer; after it, because the path may lead
    // elsewhere by then.
    check(&fs::metadata(path)?)?;
    let file = File::open(path)?;
    check(&file.metadata()?)?;
    Ok(file)
}

fn read_checked(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    open_checked(path, limit)?
        .take(limit + 1)
        .read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(too_large(limit));
    }
    Ok(content)
}

/// Reads a whole file of at most [`MAX_FILE_BYTES`] and records it as an input.
///
/// # Errors
/// The system's, and where the path leads to something else than a regular file (a device, a pipe, a
/// folder) or the file is larger ([`io::ErrorKind::FileTooLarge`]). Neither takes memory.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    read_file_within(path, MAX_FILE_BYTES)
}

/// As [`read_file`], of at most `limit` bytes.
///
/// # Errors
/// As [`read_file`].
pub fn read_file_within(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let content = read_checked(path, limit)?;
    if is_logged() {
        record(&InputFile::new(path.display().to_string(), &content));
    }
    Ok(content)
}

/// As [`read_file_within`], a file in a folder or below it.
///
/// # Errors
/// As [`read_file_within`], and where `name` is no relative path, or it leads out of the folder, be it by `..` or
/// by a link ([`io::ErrorKind::PermissionDenied`]).
pub fn read_beside(folder: &Path, name: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let outside = || io::Error::new(io::ErrorKind::PermissionDenied, "it lies outside the folder");
    let mut parts = name.components().peekable();
    if parts.peek().is_none() || !parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(outside());
    }
    let here = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let path = folder.join(name);
    if !fs::canonicalize(&path)?.starts_with(fs::canonicalize(here)?) {
        return Err(outside());
    }
    read_file_within(&path, limit)
}

/// As [`read_file`], as UTF-8 text.
///
/// # Errors
/// As [`read_file`], and [`io::ErrorKind::InvalidData`] where the content is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    into_text(read_file(path)?)
}

fn into_text(content: Vec<u8>) -> io::Result<String> {
    String::from_utf8(content).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
}

/// Opens a file that an earlier run wrote, of any length; it is no input.
pub(crate) fn open_written(path: &Path) -> io::Result<File> {
    open_checked(path, u64::MAX)
}

/// As [`open_written`], the whole content; of at most [`MAX_FILE_BYTES`].
pub(crate) fn read_written(path: &Path) -> io::Result<Vec<u8>> {
    read_checked(path, MAX_FILE_BYTES)
}

/// SHA-256 of a file that an earlier run wrote, in lower-case hexadecimal.
pub(crate) fn sha256_of(path: &Path) -> io::Result<String> {
    digest(&mut open_written(path)?, u64::MAX).map(|(_, sha256)| sha256)
}

/// Length in bytes and SHA-256 of what is left of a file of at most `limit` bytes.
fn digest(file: &mut File, limit: u64) -> io::Result<(u64, String)> {
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok((bytes, hex(&hasher.finalize()))),
            Ok(length) => {
                hasher.update(&piece[..length]);
                bytes += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if bytes > limit {
            return Err(too_large(limit));
        }
    }
}

/// Opens a file of at most [`MAX_FILE_BYTES`] for reading piece by piece and records it as an input. Where
/// a log runs, the file is read once more for its hash.
///
/// # Errors
/// As [`read_file`].
pub fn open_file(path: &Path) -> io::Result<File> {
    let mut file = open_checked(path, MAX_FILE_BYTES)?;
    if is_logged() {
        let (bytes, sha256) = digest(&mut file, MAX_FILE_BYTES)?;
        file.rewind()?;
        record(&InputFile {
            path: path.display().to_string(),
            bytes,
            sha256,
        });
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of `abc`: FIPS 180-4, example B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn paths(files: &[InputFile]) -> Vec<&str> {
        files
            .iter()
            .map(|file| file.path.rsplit('/').next().unwrap_or_default())
            .collect()
    }

    #[test]
    fn a_log_lists_each_file_once_in_the_order_of_first_reading() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
        fs::write(&a, "abc").unwrap();
        fs::write(&b, "abc").unwrap();
        read_file(&a).unwrap();
        let log = InputLog::start();
        read_text(&b).unwrap();
        let mut streamed = String::new();
        open_file(&a).unwrap().read_to_string(&mut streamed).unwrap();
        read_file(&b).unwrap();
        let files = log.finish();
        assert_eq!(streamed, "abc");
        assert_eq!(paths(&files), ["b", "a"]);
        assert!(files.iter().all(|file| file.sha256 == ABC && file.bytes == 3));
        assert!(!is_logged());
    }

    #[test]
    fn a_file_that_changed_is_listed_twice() {
        let folder = tempfile::tempdir().unwrap();
        let a = folder.path().join("a");
        let log = InputLog::start();
        for content in ["abc", "abd", "abc"] {
            fs::write(&a, content).unwrap();
            read_file(&a).unwrap();
        }
        assert_eq!(log.finish().len(), 2);
    }

    #[test]
    fn an_outer_log_has_what_an_inner_one_has() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| folder.path().join(name));
        for path in [&a, &b, &c] {
            fs::write(path, "abc").unwrap();
        }
        let outer = InputLog::start();
        read_file(&a).unwrap();
        let inner = InputLog::start();
        read_file(&b).unwrap();
        assert_eq!(paths(&inner.finish()), ["b"]);
        drop(InputLog::start());
        record_embedded("m/c", b"abc");
        read_file(&c).unwrap();
        let files = outer.finish();
        assert_eq!(paths(&files), ["a", "b", "c", "c"]);
        assert_eq!(files[2].path, "embedded:m/c");
    }

    #[test]
    fn a_file_beyond_the_bound_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse");
        File::create(&path).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
        for refused in [read_file(&path).map(drop), open_file(&path).map(drop)] {
            assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        }
        fs::write(&path, "abc").unwrap();
        assert!(read_file_within(&path, 2).is_err());
        assert_eq!(read_file_within(&path, 3).unwrap(), b"abc");
    }

    #[test]
    fn files_beside_another_stay_in_its_folder() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("model");
        fs::create_dir_all(folder.join("deep")).unwrap();
        for name in ["secret", "model/a", "model/deep/b"] {
            fs::write(outer.path().join(name), "abc").unwrap();
        }
        let read = |name: &Path| read_beside(&folder, name, 10);
        let log = InputLog::start();
        for name in ["a", "./a", "deep/b"] {
            assert_eq!(read(Path::new(name)).unwrap(), b"abc", "{name}");
        }
        assert!(log.finish().iter().all(|file| file.sha256 == ABC));
        let absolute = folder.join("a");
        for name in ["../secret", "deep/../../secret", "deep/../a", "", ".."].map(Path::new) {
            assert_eq!(read(name).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        }
        assert_eq!(
            read(&absolute).unwrap_err().kind(),
            io::ErrorKind::PermissionDenied
        );
        assert_eq!(
            read(Path::new("none")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        assert!(read_beside(&folder, Path::new("a"), 2).is_err());
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("../secret", folder.join("link")).unwrap();
            std::os::unix::fs::symlink("deep/b", folder.join("inner")).unwrap();
            let error = read(Path::new("link")).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
            assert_eq!(read(Path::new("inner")).unwrap(), b"abc");
        }
    }

    #[test]
    #[cfg(unix)]
    fn what_is_no_regular_file_is_refused() {
        for path in ["/dev/zero", "/dev/null"] {
            let error = read_file(Path::new(path)).unwrap_err();
            assert!(error.to_string().contains("is no regular file"), "{error}");
            assert!(open_file(Path::new(path)).is_err());
        }
        assert!(read_file(Path::new("/")).is_err());
    }
}
