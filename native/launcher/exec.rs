//! `exec` without the runtime, as boot/cli/exec.ts: a further process in a container that runs, on the caller's stdio, or in
//! the background with a terminal for --console-socket, as engines start it. One on the caller's terminal, or with more
//! descriptors of the caller's, is the command line's.

use crate::attend::{self, Attendance};
use crate::attendant::{self, Attendant};
use crate::console::{self, Console, Size};
use crate::control::{Reader, Writer, hand_over, send};
use crate::generated::{CAPABILITIES, EXECUTE, EXECUTED, RLIMITS, SCOPE_PROCESS, SIGNAL, WAIT, WAIT_REQUEST};
use crate::json::{Json, object, texts};
use crate::sentry::{Sentry, true_status};
use crate::states::{NewFile, States};
use crate::words::Words;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Longest the sentry may take to load a program: its files may be on a slow disk.
const START: Duration = Duration::from_secs(60);
const ID_MAX: u64 = 0xffff_fffe;
const CAPABILITY_SETS: [&str; 5] = ["bounding", "effective", "inheritable", "permitted", "ambient"];
/// Of these sets, those that --cap adds to, as runc.
const SETS_OF_FLAG: [&str; 3] = ["bounding", "effective", "permitted"];

/// Becomes the command line, which gets this descriptor, since there is more to do than to wait.
pub type Resume = fn(i32) -> !;

/// How it goes on with the launcher.
pub enum Outcome {
    Exit(i32),
    /// The command line is to do it all, with this attendant.
    Attended(Attendant),
}

/// None: as answer().
pub fn execute(states: &States, words: &Words, resume: Resume) -> Option<Outcome> {
    let (id, program) = words.words.split_first()?;
    if words.value("preserve-fds").is_some_and(|count| count != "0") || words.has("pass-fd") {
        return None;
    }
    let mut record = states.find(id)??;
    true_status(&mut record)?;
    if record.status != "running" {
        return None;
    }
    let process = process_for(words, program, &record.bundle)?;
    let terminal = Terminal::of(&process, words)?;
    let config = config_of(&process, terminal.as_ref())?;
    let mut files = Files { outside: pid_file(words, "pid-file")?, inside: pid_file(words, "internal-pid-file")? };
    let sentry = Sentry::connect(&record)?;
    let config = memory_file(config.line().as_bytes())?;
    if !words.has("detach") {
        // Such a one has no terminal.
        return attached(sentry, &config, &mut files, resume);
    }
    match attendant::fork(None).ok()? {
        // Nothing of ours is open in it any more, so nothing is to be closed.
        attendant::Forked::MoreToDo(handover) => resume(handover),
        attendant::Forked::Launcher(attendant) => {
            Some(match detached(sentry, &config, &mut files, &attendant, terminal) {
                Some(()) => Outcome::Exit(0),
                None => Outcome::Attended(attendant),
            })
        }
    }
}

/// A terminal that goes over a --console-socket.
struct Terminal<'a> {
    socket: &'a str,
    size: Option<Size>,
}

impl Terminal<'_> {
    /// Of a process that is to have one; Some(None): it is to have none.
    fn of<'a>(process: &Json, words: &'a Words) -> Option<Option<Terminal<'a>>> {
        if !process.member("terminal").map_or(Some(false), Json::flag)? {
            return Some(None);
        }
        let socket = words.value("console-socket").filter(|path| words.has("detach") && is_socket(path))?;
        let size = process.member("consoleSize").map_or(Some(None), |size| Size::of(size).map(Some))?;
        Some(Some(Terminal { socket, size }))
    }
}

/// Of a listener that is not there the command line says so, before anything has been started.
fn is_socket(path: &str) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|file| file.file_type().is_socket())
}

/// Files that get its number.
struct Files {
    outside: Option<NewFile>,
    inside: Option<NewFile>,
}

impl Files {
    fn write(&mut self, outside: i32, inside: i32) -> Option<()> {
        for (file, pid) in [(&mut self.inside, inside), (&mut self.outside, outside)] {
            if let Some(file) = file {
                file.finish(pid.to_string().as_bytes())?;
            }
        }
        Some(())
    }
}

fn pid_file(words: &Words, flag: &str) -> Option<Option<NewFile>> {
    words.value(flag).map_or(Some(None), |path| NewFile::for_pid(path).map(Some))
}

fn attached(sentry: Sentry, config: &OwnedFd, files: &mut Files, resume: Resume) -> Option<Outcome> {
    // Signals that come from now on are its.
    attend::hold_signals();
    let started = start(&sentry, config, [0, 1, 2], |pid| files.write(std::process::id() as i32, pid));
    let Some(pid) = started else {
        attend::release_signals();
        return None;
    };
    let attendance = Attendance::of_process(sentry.socket(), pid);
    match attend::attend_to(&attendance) {
        Some(code) => Some(Outcome::Exit(code)),
        None => {
            // SAFETY: ours, which the next program gets.
            unsafe { libc::fcntl(sentry.socket(), libc::F_SETFD, 0) };
            resume(hand_over(&attendance.frame()))
        }
    }
}

fn detached(
    sentry: Sentry,
    config: &OwnedFd,
    files: &mut Files,
    attendant: &Attendant,
    terminal: Option<Terminal>,
) -> Option<()> {
    let Some(Terminal { socket, size }) = terminal else {
        let pid = start(&sentry, config, [0, 1, 2], |pid| files.write(attendant.pid, pid))?;
        return send(attendant.link, &Attendance::of_process(-1, pid).frame(), &[sentry.socket()]).then_some(());
    };
    let console = Console::open(size)?;
    // The listener takes one connection, so it is not made before all else has gone well: the command line makes another.
    let give = |pid| console.send_master(socket).and_then(|()| files.write(attendant.pid, pid));
    let pid = start(&sentry, config, [console.slave(); 3], give)?;
    let mut attendance = Attendance::of_process(-1, pid);
    attendance.has_terminal = true;
    send(attendant.link, &attendance.frame(), &[sentry.socket(), console.slave()]).then_some(())
}

/// Starts it, has `give` tell others of it, and asks for its end: its id in the container. Where that fails it is ended.
fn start(sentry: &Sentry, config: &OwnedFd, stdio: [i32; 3], give: impl FnOnce(i32) -> Option<()>) -> Option<i32> {
    let [stdin, stdout, stderr] = stdio;
    let fds = [config.as_raw_fd(), stdin, stdout, stderr];
    let (frame, _) = sentry.ask(Writer::new(EXECUTE), &fds, EXECUTED, START)?;
    let pid = Reader::reply(&frame, EXECUTED, 1)?.integer()?;
    if give(pid).is_none() {
        let _ = sentry.request(Writer::new(SIGNAL).integer(libc::SIGKILL).integer(pid).integer(SCOPE_PROCESS));
        return None;
    }
    let wait = Writer::new(WAIT).integer(pid).request(WAIT_REQUEST).finish();
    send(sentry.socket(), &wait, &[]).then_some(pid)
}

/// The process that is asked for, as config.json has one: a file's, or the container's own with what the flags change.
fn process_for(words: &Words, program: &[String], bundle: &str) -> Option<Json> {
    if let Some(path) = words.value("process") {
        let mut process = Json::read(&std::fs::read(path).ok()?)?;
        if let (true, Json::Object(members)) = (words.has("tty"), &mut process) {
            members.retain(|(name, _)| name != "terminal");
            members.push(("terminal".into(), Json::Bool(true)));
        }
        return Some(process);
    }
    if program.is_empty() {
        return None;
    }
    let config = Json::read(&std::fs::read(format!("{bundle}/config.json")).ok()?)?;
    let base = config.member("process")?;
    let mut members = base.members()?.clone();
    let mut set = |name: &str, value: Json| {
        members.retain(|(found, _)| found != name);
        members.push((name.into(), value));
    };
    set("args", texts(program));
    set("env", longer(base.member("env"), words.all("env").map(Json::from).collect())?);
    set("terminal", Json::Bool(words.has("tty")));
    if let Some(cwd) = words.value("cwd") {
        set("cwd", cwd.into());
    }
    if words.has("no-new-privs") {
        set("noNewPrivileges", Json::Bool(true));
    }
    let mut user = user_for(words.value("user"), base.member("user"))?;
    let groups = words.all("additional-gids").map(id_in).collect::<Option<Vec<_>>>()?;
    let groups = longer(user.member("additionalGids"), groups)?;
    if let Json::Object(user) = &mut user {
        user.retain(|(name, _)| name != "additionalGids");
        user.push(("additionalGids".into(), groups));
    }
    set("user", user);
    let added: Vec<Json> = words.all("cap").map(|name| Json::Text(capability_name(name))).collect();
    if !added.is_empty() {
        let empty = Json::Object(Vec::new());
        let sets = base.member("capabilities").unwrap_or(&empty);
        let mut all = Vec::new();
        for name in CAPABILITY_SETS {
            let more = if SETS_OF_FLAG.contains(&name) { added.clone() } else { Vec::new() };
            all.push((name.into(), longer(sets.member(name), more)?));
        }
        set("capabilities", Json::Object(all));
    }
    Some(Json::Object(members))
}

fn longer(list: Option<&Json>, more: Vec<Json>) -> Option<Json> {
    let mut list = list.map_or(Some(Vec::new()), |list| list.list().map(<[Json]>::to_vec))?;
    list.extend(more);
    Some(Json::List(list))
}

fn user_for(text: Option<&str>, base: Option<&Json>) -> Option<Json> {
    let base = base.cloned().unwrap_or(Json::Object(Vec::new()));
    let Some(text) = text else { return Some(base) };
    let (uid, gid) = text.split_once(':').map_or((text, None), |(uid, gid)| (uid, Some(gid)));
    let gid = gid.map_or(Some(base.member("gid").cloned().unwrap_or(Json::Whole(0))), id_in)?;
    let mut user = vec![("uid".into(), id_in(uid)?), ("gid".into(), gid)];
    user.extend(base.member("umask").map(|umask| ("umask".into(), umask.clone())));
    Some(Json::Object(user))
}

fn id_in(text: &str) -> Option<Json> {
    let is_number = !text.is_empty() && text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&id: &u64| is_number && id <= ID_MAX).map(Json::Whole)
}

fn capability_name(text: &str) -> String {
    let upper = text.to_ascii_uppercase();
    if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") }
}

/// A process of a config.json in the form that the sentry gets, as processOf() in boot/oci/container.ts; None where
/// boot/oci/spec.ts would find something wrong with it.
fn config_of(process: &Json, terminal: Option<&Terminal>) -> Option<Json> {
    let has = |name: &str| process.member(name).map_or(Some(false), Json::flag);
    let cwd = process.member("cwd")?.text().filter(|cwd| cwd.starts_with('/'))?;
    let args = texts_of(process.member("args"))?;
    let is_labelled = process.member("selinuxLabel").is_some_and(|label| label.text() != Some(""));
    let is_sized = process.member("consoleSize").is_some();
    if args.is_empty() || is_labelled || is_sized && terminal.is_none() {
        return None;
    }
    let none = Json::Object(Vec::new());
    let user = process.member("user").unwrap_or(&none);
    user.members()?;
    let number = |name: &str, otherwise: u64, max: u64| user.member(name).map_or(Some(otherwise), |id| id.whole(max));
    let groups = user.member("additionalGids").map_or(Some(&[][..]), Json::list)?;
    if groups.iter().any(|group| group.whole(ID_MAX).is_none()) || !is_score(process.member("oomScoreAdj")) {
        return None;
    }
    Some(object([
        ("args", texts(args)),
        ("env", texts(without_repeats(texts_of(process.member("env"))?))),
        ("cwd", cwd.into()),
        ("makesCwd", Json::Bool(false)),
        ("uid", Json::Whole(number("uid", 0, ID_MAX)?)),
        ("gid", Json::Whole(number("gid", 0, ID_MAX)?)),
        ("umask", Json::Whole(number("umask", 0o22, 0o777)?)),
        ("additionalGids", Json::List(groups.to_vec())),
        ("capabilities", capabilities_of(process.member("capabilities").unwrap_or(&none))?),
        ("rlimits", limits_of(process.member("rlimits"))?),
        ("noNewPrivileges", Json::Bool(has("noNewPrivileges")?)),
        ("ownsStdio", Json::Bool(true)),
        ("wantsHome", Json::Bool(true)),
        ("diesOfSignals", Json::Bool(false)),
        ("terminal", terminal.map_or(Json::Null, |terminal| console::config_of(terminal.size))),
    ]))
}

/// Of a list that need not be there.
fn texts_of(list: Option<&Json>) -> Option<Vec<&str>> {
    let Some(list) = list else { return Some(Vec::new()) };
    list.list()?.iter().map(|text| text.text().filter(|text| !text.contains('\0'))).collect()
}

/// Of a variable that is there twice the last value holds, at its first place.
fn without_repeats(env: Vec<&str>) -> Vec<&str> {
    let name_of = |entry: &str| entry.split('=').next().unwrap_or_default().to_string();
    let mut list: Vec<&str> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for entry in env {
        match places.get(&name_of(entry)) {
            Some(&place) => list[place] = entry,
            None => {
                places.insert(name_of(entry), list.len());
                list.push(entry);
            }
        }
    }
    list
}

fn capabilities_of(sets: &Json) -> Option<Json> {
    sets.members()?;
    let mut all = Vec::new();
    for name in CAPABILITY_SETS {
        let list = texts_of(sets.member(name))?;
        if list.iter().any(|capability| !CAPABILITIES.contains(capability)) {
            return None;
        }
        all.push((name.into(), texts(list)));
    }
    Some(Json::Object(all))
}

fn limits_of(limits: Option<&Json>) -> Option<Json> {
    let mut all: Vec<Json> = Vec::new();
    for limit in limits.map_or(Some(&[][..]), Json::list)? {
        let kind = limit.member("type")?;
        let (soft, hard) = (limit.member("soft")?.whole(u64::MAX)?, limit.member("hard")?.whole(u64::MAX)?);
        let is_known = RLIMITS.contains(&kind.text()?);
        if !is_known || soft > hard || all.iter().any(|other| other.member("type") == Some(kind)) {
            return None;
        }
        all.push(object([("type", kind.clone()), ("soft", Json::Whole(soft)), ("hard", Json::Whole(hard))]));
    }
    Some(Json::List(all))
}

fn is_score(score: Option<&Json>) -> bool {
    match score {
        None => true,
        Some(Json::Whole(score)) => *score <= 1000,
        Some(Json::Number(score)) => score.fract() == 0.0 && (-1000.0..0.0).contains(score),
        Some(_) => false,
    }
}

/// A memfd with `bytes`, read from its beginning.
fn memory_file(bytes: &[u8]) -> Option<OwnedFd> {
    use std::io::Write;
    // SAFETY: the name ends with a NUL byte; the descriptor is new.
    let fd = unsafe {
        match libc::memfd_create(c"tsvisor-config".as_ptr(), libc::MFD_CLOEXEC) {
            fd if fd < 0 => return None,
            fd => OwnedFd::from_raw_fd(fd),
        }
    };
    let mut file = std::fs::File::from(fd);
    file.write_all(bytes).ok()?;
    Some(file.into())
}
