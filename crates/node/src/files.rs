//! Files: exclusive creation, atomic replacement, private modes, bounded reading.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use tempfile::TempDir;

/// A file that only its owner may read.
const PRIVATE: u32 = 0o600;
/// A file that everybody may read.
const PUBLIC: u32 = 0o644;

/// Creates a file that nobody else may read, and never touches one that is there.
pub(crate) fn create_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    create(path, bytes, PRIVATE)
}

/// Creates a file, and never touches one that is there.
pub(crate) fn create_public(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    create(path, bytes, PUBLIC)
}

fn create(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let context = || format!("create {}", path.display());
    // Whole before it has its name: a process that is killed here leaves no half secret that blocks the next one.
    let mut file = tempfile::Builder::new()
        .prefix(".partial-")
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(parent(path))
        .with_context(context)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).with_context(context)?;
    file.persist_noclobber(path).map_err(|failed| failed.error).with_context(context)?;
    Ok(())
}

/// The directory that a path stands in.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// Files that are made together, out of sight until all of them are whole.
#[derive(Debug)]
pub(crate) struct Staging {
    hidden: TempDir,
    directory: PathBuf,
}

impl Staging {
    /// Begins in a directory, which is made when it is missing.
    pub(crate) fn begin(path: &Path) -> anyhow::Result<Self> {
        directory(path)?;
        // Inside and not beside it: the directory may be a mount point, which nothing can be renamed onto.
        let hidden = tempfile::Builder::new().prefix(".unfinished-").tempdir_in(path);
        let hidden = hidden.with_context(|| format!("make a directory in {}", path.display()))?;
        Ok(Self { hidden, directory: path.to_owned() })
    }

    /// Where to make them.
    pub(crate) fn path(&self) -> &Path {
        self.hidden.path()
    }

    /// Puts them in their places, in this order: the last says that all are there.
    pub(crate) fn publish(self, names: &[&str]) -> anyhow::Result<()> {
        for name in names {
            let place = self.directory.join(name);
            fs::rename(self.hidden.path().join(name), &place).with_context(|| format!("make {}", place.display()))?;
        }
        let synced = File::open(&self.directory).and_then(|directory| directory.sync_all());
        synced.with_context(|| format!("write {}", self.directory.display()))
    }
}

/// Replaces a file in one step: readers see the old one or the whole new one.
pub(crate) fn replace(path: &Path, bytes: &[u8], private: bool) -> anyhow::Result<()> {
    let mut new = Replacement::begin(path, private)?;
    new.file().write_all(bytes).with_context(|| format!("write {}", path.display()))?;
    new.finish()
}

/// A file that takes its name only when it is whole.
#[derive(Debug)]
pub(crate) struct Replacement {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    finished: bool,
}

impl Replacement {
    /// Begins to write beside `path`.
    pub(crate) fn begin(path: &Path, private: bool) -> anyhow::Result<Self> {
        let name = path.file_name().ok_or_else(|| anyhow!("write {}: it names no file", path.display()))?;
        let mut temporary = name.to_os_string();
        temporary.push(format!(".{}.partial", std::process::id()));
        let temporary = path.with_file_name(temporary);
        let mode = if private { PRIVATE } else { PUBLIC };
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)
            .with_context(|| format!("create {}", temporary.display()))?;
        Ok(Self { file, temporary, path: path.to_owned(), finished: false })
    }

    /// What is written.
    pub(crate) const fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Where it is until it is whole.
    pub(crate) fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Makes it durable and gives it its name.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        let context = || format!("write {}", self.path.display());
        self.file.sync_all().and_then(|()| fs::rename(&self.temporary, &self.path)).with_context(context)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.finished {
            // Half a file is worth nothing; that it cannot be removed changes nothing either.
            drop(fs::remove_file(&self.temporary));
        }
    }
}

/// Makes a directory, and those above it, that only their owner may enter.
pub(crate) fn directory(path: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("create the directory {}", path.display()))
}

/// Reads a file of at most `bytes_max` bytes; `-` is stdin.
pub(crate) fn read(path: &Path, bytes_max: u64) -> anyhow::Result<Vec<u8>> {
    let context = || format!("read {}", path.display());
    let limit = bytes_max.saturating_add(1);
    // Room for a whole key file at once: growing would leave copies of a secret in memory.
    let mut bytes = Vec::with_capacity(usize::try_from(limit.min(8 * 1024)).unwrap_or_default());
    if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes).with_context(context)?;
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).with_context(context)?;
    }
    if u64::try_from(bytes.len()).is_ok_and(|found| found <= bytes_max) {
        Ok(bytes)
    } else {
        Err(anyhow!("it has more than {bytes_max} bytes")).with_context(context)
    }
}

/// Reads a file of at most `bytes_max` bytes with an entry on each line; `-` is stdin. Empty lines are none.
pub(crate) fn read_lines<T>(
    path: &Path,
    bytes_max: u64,
    entry: impl Fn(&str) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<T>> {
    let text = String::from_utf8(read(path, bytes_max)?).with_context(|| format!("read {}", path.display()))?;
    let lines = (1..).zip(text.lines()).map(|(number, line)| (number, line.trim()));
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(number, line)| entry(line).with_context(|| format!("read line {number} of {}", path.display())))
        .collect()
}

/// Refuses a secret that others on this machine may read.
pub(crate) fn must_be_private(path: &Path) -> anyhow::Result<()> {
    let context = || format!("use the secret in {}", path.display());
    let mode = fs::metadata(path).with_context(context)?.permissions().mode();
    // The last six bits are those of the group and of everybody.
    if mode.trailing_zeros() >= 6 {
        Ok(())
    } else {
        let mode = mode & 0o777;
        Err(anyhow!("others may read it (mode {mode:o}); chmod 600 it, and replace it if they did"))
            .with_context(context)
    }
}

/// A path as it is pasted into a shell.
pub(crate) fn quoted(path: &Path) -> String {
    quote(&path.display().to_string())
}

/// A text as it is pasted into a shell.
pub(crate) fn quote(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+=:@%,".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_never_overwritten_and_secrets_are_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        create_private(&path, b"first").unwrap();
        assert!(create_private(&path, b"second").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        must_be_private(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(must_be_private(&path).unwrap_err().root_cause().to_string().contains("mode 640"));
    }

    #[test]
    fn what_is_staged_appears_at_the_end_or_never() {
        let home = tempfile::tempdir().unwrap();
        let place = home.path().join("made");
        let staged = || {
            let staging = Staging::begin(&place).unwrap();
            directory(&staging.path().join("keys")).unwrap();
            create_public(&staging.path().join("last"), b"last").unwrap();
            staging
        };
        drop(staged());
        assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
        staged().publish(&["keys", "last"]).unwrap();
        let mut names: Vec<_> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["keys", "last"]);
    }

    #[test]
    fn half_a_file_never_takes_the_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("archive");
        let mut new = Replacement::begin(&path, false).unwrap();
        new.file().write_all(b"half").unwrap();
        drop(new);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        replace(&path, b"whole", false).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }

    #[test]
    fn a_file_over_its_limit_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert!(read(&path, 4).is_err());
    }

    #[test]
    fn what_a_shell_would_split_is_quoted() {
        assert_eq!(quote("/tmp/a-b"), "/tmp/a-b");
        assert_eq!(quote("it's"), r"'it'\''s'");
    }
}
