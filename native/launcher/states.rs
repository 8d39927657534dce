//! The state directory as boot/oci/state.ts and own_directory.ts have it: records of containers, believed only where nobody
//! but the caller can have written them. None in all that follows: something is out of the ordinary, and the command line
//! is to look itself, and to say what.

use crate::json::Json;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;

const FILE_BYTES_MAX: i64 = 1024 * 1024;
const ID_CHARACTERS_MAX: usize = 200;
const PID_MAX: u64 = 4_194_304;
const FD_MAX: u64 = 1_048_576;
/// What a number of JSON holds exactly.
const INODE_MAX: u64 = (1 << 53) - 1;
const FILE_SUFFIX: &str = ".json";
/// Begins the name of a file that is not whole yet.
const UNFINISHED: &str = ".new-";
const GROUP_AND_OTHERS_WRITE: u32 = 0o022;
/// All that a record may have; one with more is of another version.
const FIELDS: [&str; 13] = [
    "id",
    "pid",
    "bundle",
    "created",
    "owner",
    "annotations",
    "status",
    "startTicks",
    "runner",
    "isDetached",
    CGROUP,
    "systemdUnit",
    SANDBOX,
];
/// Of a container that is in another one's sandbox: that one's id.
const SANDBOX: &str = "sandboxId";
/// The host's, which goes with the container.
const CGROUP: &str = "cgroup";
const RUNNER_FIELDS: [&str; 3] = ["pid", "startTicks", "controlFd"];
const STATUSES: [&str; 5] = ["creating", "created", "running", "paused", "stopped"];

/// A process by its number and its start time, so that a reused number is not taken for it.
#[derive(Clone)]
pub struct Recorded {
    pub pid: i32,
    start_ticks: String,
}

impl Recorded {
    pub fn is_there(&self) -> bool {
        self.pid > 0 && start_ticks_of(self.pid).is_some_and(|ticks| ticks == self.start_ticks)
    }

    /// A descriptor of it: taken before the start time is compared, so that it is of that process.
    pub fn open(&self) -> Option<OwnedFd> {
        // SAFETY: passes no memory; the descriptor is new.
        let process = unsafe {
            match libc::syscall(libc::SYS_pidfd_open, self.pid, 0) {
                fd if fd < 0 => return None,
                fd => OwnedFd::from_raw_fd(fd as i32),
            }
        };
        self.is_there().then_some(process)
    }
}

pub struct Record {
    pub id: String,
    pub sentry: Recorded,
    pub runner: Recorded,
    /// It is in the sandbox of another container, which outlives it. `sentry` is its runner then.
    pub is_member: bool,
    /// The runner's number for its control socket; -1 = none yet.
    pub control_fd: i32,
    pub is_detached: bool,
    pub bundle: String,
    pub created: String,
    pub owner: String,
    pub annotations: Json,
    pub status: String,
    /// Directories of the host's cgroup that were made for it, by inode. None: what there is only the command line removes.
    pub cgroup: Option<Vec<(u64, PathBuf)>>,
    /// As it was read.
    whole: Json,
}

impl Record {
    /// The process that engines know it by, 0 = none.
    pub fn shown_pid(&self) -> i32 {
        if self.is_detached && self.sentry.pid != 0 { self.runner.pid } else { self.sentry.pid }
    }

    fn read(bytes: &[u8], id: &str) -> Option<Record> {
        let whole = Json::read(bytes)?;
        let text = |name: &str| Some(whole.member(name)?.text()?.to_string());
        let runner = whole.member("runner")?;
        let has_only = |value: &Json, names: &[&str]| {
            value.members().is_some_and(|members| members.iter().all(|(name, _)| names.contains(&name.as_str())))
        };
        let annotations = whole.member("annotations")?;
        let are_texts = annotations.members()?.iter().all(|(_, value)| value.text().is_some());
        if !has_only(&whole, &FIELDS) || !has_only(runner, &RUNNER_FIELDS) || !are_texts {
            return None;
        }
        let control_fd = match runner.member("controlFd")? {
            Json::Number(number) if *number == -1.0 => -1,
            number => number.whole(FD_MAX)? as i32,
        };
        let record = Record {
            id: text("id")?,
            sentry: recorded(&whole)?,
            runner: recorded(runner)?,
            control_fd,
            is_member: whole.member(SANDBOX).is_some(),
            is_detached: whole.member("isDetached").map_or(Some(false), Json::flag)?,
            bundle: text("bundle")?,
            created: text("created")?,
            owner: text("owner")?,
            annotations: annotations.clone(),
            status: text("status")?,
            cgroup: cgroup_of(&whole),
            whole,
        };
        (record.id == id && STATUSES.contains(&record.status.as_str())).then_some(record)
    }
}

/// See boot/cgroup/cgroup.ts. A scope is systemd's to be asked for; a directory whose inode was not noted may be another's.
fn cgroup_of(record: &Json) -> Option<Vec<(u64, PathBuf)>> {
    if record.member("systemdUnit").is_some() {
        return None;
    }
    let Some(cgroup) = record.member(CGROUP) else { return Some(Vec::new()) };
    let places = cgroup.member("places")?.list()?.iter();
    let own = places.filter(|place| place.member("isForeign").and_then(Json::flag) != Some(true));
    own.map(|place| {
        let inode = place.member("inode")?.whole(INODE_MAX).filter(|&inode| inode > 0)?;
        Some((inode, PathBuf::from(place.member("path")?.text()?)))
    })
    .collect()
}

fn recorded(of: &Json) -> Option<Recorded> {
    let start_ticks = of.member("startTicks")?.text()?.to_string();
    let pid = of.member("pid")?.whole(PID_MAX)? as i32;
    start_ticks.bytes().all(|byte| byte.is_ascii_digit()).then_some(Recorded { pid, start_ticks })
}

pub struct States {
    directory: OwnedFd,
}

impl States {
    /// Some(None): there is no directory.
    pub fn open(root: &str) -> Option<Option<States>> {
        let path = CString::new(root).ok()?;
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let directory = match open_at(libc::AT_FDCWD, &path, flags, 0) {
            Ok(directory) => directory,
            Err(libc::ENOENT) => return Some(None),
            Err(_) => return None,
        };
        is_own(&status_of(&directory)?).then_some(Some(States { directory }))
    }

    /// The record of `id` as it is now: a container whose sentry is gone is stopped. Some(None): there is none.
    pub fn find(&self, id: &str) -> Option<Option<Record>> {
        let Some(bytes) = self.bytes_of(&file_of(id)?)? else { return Some(None) };
        let mut record = Record::read(&bytes, id)?;
        // While it is being made it exists as long as its maker runs.
        let alive = if record.sentry.pid == 0 { &record.runner } else { &record.sentry };
        if record.status != "stopped" && !alive.is_there() {
            record.status = "stopped".into();
            record.sentry.pid = 0;
        }
        Some(Some(record))
    }

    /// All of them, by id; None too where one is damaged.
    pub fn list(&self) -> Option<Vec<Record>> {
        let mut ids = Vec::new();
        for entry in std::fs::read_dir(format!("/proc/self/fd/{}", self.directory.as_raw_fd())).ok()? {
            let name = entry.ok()?.file_name().into_string().ok()?;
            ids.extend(name.strip_suffix(FILE_SUFFIX).map(String::from));
        }
        ids.sort_by(|a, b| file_name(a).cmp(&file_name(b)));
        let mut records = Vec::new();
        for id in ids {
            // One that is deleted meanwhile is left out.
            records.extend(self.find(&id)?);
        }
        Some(records)
    }

    /// Changes the status from one of `from`; it may be another meanwhile, or the record may be gone.
    pub fn move_to(&self, id: &str, from: &[&str], to: &str) -> Option<()> {
        let name = file_of(id)?;
        let locked = self.lock()?;
        let Some(bytes) = locked.bytes_of(&name)? else { return Some(()) };
        let record = Record::read(&bytes, id)?;
        if !from.contains(&record.status.as_str()) {
            return Some(());
        }
        let Json::Object(mut members) = record.whole else { return None };
        let status = members.iter_mut().find(|(name, _)| name == "status")?;
        status.1 = to.into();
        locked.remove_unfinished()?;
        locked.write(&name, Json::Object(members).line().as_bytes(), 0o600)
    }

    /// False when another has removed it already.
    pub fn remove(&self, id: &str) -> Option<bool> {
        let (name, socket) = (file_of(id)?, CString::new(format!("runsc-{id}.sock")).ok()?);
        let locked = self.lock()?;
        locked.remove_unfinished()?;
        locked.unlink(&socket)?;
        locked.unlink(&name)
    }

    /// The same directory, which one at a time has locked; opened anew, as the lock belongs to what is opened.
    fn lock(&self) -> Option<States> {
        let directory = open_at(self.directory.as_raw_fd(), c".", libc::O_RDONLY | libc::O_DIRECTORY, 0).ok()?;
        // SAFETY: passes no memory.
        while unsafe { libc::flock(directory.as_raw_fd(), libc::LOCK_EX) } < 0 {
            if errno() != libc::EINTR {
                return None;
            }
        }
        Some(States { directory })
    }

    fn bytes_of(&self, name: &CStr) -> Option<Option<Vec<u8>>> {
        let file = match open_at(self.directory.as_raw_fd(), name, libc::O_RDONLY | libc::O_NONBLOCK, 0) {
            Ok(file) => file,
            Err(libc::ENOENT) => return Some(None),
            Err(_) => return None,
        };
        let status = status_of(&file)?;
        let is_file = status.st_mode & libc::S_IFMT == libc::S_IFREG;
        if !is_file || !is_own(&status) || status.st_size > FILE_BYTES_MAX {
            return None;
        }
        let mut bytes = Vec::new();
        use std::io::Read;
        std::fs::File::from(file).take(status.st_size as u64).read_to_end(&mut bytes).ok()?;
        Some(Some(bytes))
    }

    fn unlink(&self, name: &CStr) -> Option<bool> {
        // SAFETY: the name ends with a NUL byte.
        let result = unsafe { libc::unlinkat(self.directory.as_raw_fd(), name.as_ptr(), 0) };
        if result == 0 { Some(true) } else { (errno() == libc::ENOENT).then_some(false) }
    }

    /// Left by a writer that was killed: only the holder of the lock may have such files.
    fn remove_unfinished(&self) -> Option<()> {
        for entry in std::fs::read_dir(format!("/proc/self/fd/{}", self.directory.as_raw_fd())).ok()? {
            let name = entry.ok()?.file_name().into_string().ok()?;
            if name.starts_with(UNFINISHED) {
                self.unlink(&CString::new(name).ok()?)?;
            }
        }
        Some(())
    }

    fn write(&self, name: &CStr, bytes: &[u8], mode: u32) -> Option<()> {
        let mut file = NewFile::make(self.directory.try_clone().ok()?, name, mode)?;
        file.finish(bytes)
    }
}

/// A file that comes into its directory as a whole, or not at all.
pub struct NewFile {
    directory: OwnedFd,
    temporary: CString,
    name: CString,
    file: std::fs::File,
}

impl NewFile {
    fn make(directory: OwnedFd, name: &CStr, mode: u32) -> Option<NewFile> {
        let mut random = [0u8; 16];
        // SAFETY: writes 16 bytes.
        if unsafe { libc::getrandom(random.as_mut_ptr().cast(), random.len(), 0) } != random.len() as isize {
            return None;
        }
        let temporary = CString::new(format!("{UNFINISHED}{:032x}", u128::from_le_bytes(random))).ok()?;
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
        let file = open_at(directory.as_raw_fd(), &temporary, flags, mode).ok()?.into();
        Some(NewFile { directory, temporary, name: name.into(), file })
    }

    /// For the number of a process, as writePid() of boot/cli/new_container.ts.
    pub fn for_pid(path: &str) -> Option<NewFile> {
        let (directory, name) =
            path.rsplit_once('/').map_or((".".into(), path), |(before, name)| (format!("{before}/"), name));
        let (directory, name) = (CString::new(directory).ok()?, CString::new(name).ok()?);
        let directory = open_at(libc::AT_FDCWD, &directory, libc::O_RDONLY | libc::O_DIRECTORY, 0).ok()?;
        NewFile::make(directory, &name, 0o644)
    }

    pub fn finish(&mut self, bytes: &[u8]) -> Option<()> {
        use std::io::Write;
        self.file.write_all(bytes).ok()?;
        let directory = self.directory.as_raw_fd();
        // SAFETY: both names end with a NUL byte.
        let result = unsafe { libc::renameat(directory, self.temporary.as_ptr(), directory, self.name.as_ptr()) };
        (result == 0).then_some(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // SAFETY: the name ends with a NUL byte. Once it has its own name nothing is there.
        unsafe { libc::unlinkat(self.directory.as_raw_fd(), self.temporary.as_ptr(), 0) };
    }
}

fn file_name(id: &str) -> String {
    format!("{id}{FILE_SUFFIX}")
}

/// Whether it can be the id of a container.
pub fn is_id(id: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+.-".contains(&byte);
    !["", ".", ".."].contains(&id) && id.bytes().all(is_allowed) && id.len() <= ID_CHARACTERS_MAX
}

/// Name of a container's file, if the id can be.
fn file_of(id: &str) -> Option<CString> {
    if is_id(id) { CString::new(file_name(id)).ok() } else { None }
}

/// Start time of a process, if it is there: field 22 of /proc/PID/stat.
fn start_ticks_of(pid: i32) -> Option<String> {
    let text = String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/stat")).ok()?).into_owned();
    let fields: Vec<&str> = text.get(text.rfind(')')? + 2..)?.split(' ').collect();
    if ["Z", "X"].contains(fields.first()?) { None } else { Some(fields.get(19)?.to_string()) }
}

/// openat(2), close-on-exec and never through a link: a descriptor or an errno.
fn open_at(directory: i32, name: &CStr, flags: i32, mode: u32) -> Result<OwnedFd, i32> {
    let flags = flags | libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NOCTTY;
    // SAFETY: the name ends with a NUL byte; the descriptor is new.
    unsafe {
        match libc::openat(directory, name.as_ptr(), flags, mode) {
            fd if fd < 0 => Err(errno()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

fn status_of(fd: &OwnedFd) -> Option<libc::stat> {
    // SAFETY: writes one struct stat.
    unsafe {
        let mut status: libc::stat = std::mem::zeroed();
        (libc::fstat(fd.as_raw_fd(), &mut status) == 0).then_some(status)
    }
}

/// It belongs to the caller, and nobody else may write it.
fn is_own(status: &libc::stat) -> bool {
    // SAFETY: passes no memory.
    status.st_uid == unsafe { libc::getuid() } && status.st_mode & GROUP_AND_OTHERS_WRITE == 0
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}
