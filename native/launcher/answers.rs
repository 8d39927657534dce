//! Commands that the launcher carries out itself: starting a runtime takes longer than all that they do. It understands the usual
//! way of each and nothing else: flags that change little, records as this version writes them, a sentry that answers as it
//! should. At anything else (None) the command line is started, which does the same from the beginning and has the words for
//! what is wrong; so nothing is printed here before all is done, and what is done may be done twice. What holds is said in
//! boot/cli/; tests/cli/answers_test.ts compares both.

use crate::cgroup;
use crate::control::Writer;
use crate::exec::{self, Outcome, Resume};
use crate::generated::{
    COMMANDS, Command, GLOBAL_FLAGS, OCI_VERSION, PAUSE, PROCESSES, RESUME, SIGNAL, SIGNALS, START,
};
use crate::generated::{SCOPE_ALL, SCOPE_PROCESS};
use crate::json::{Json, object};
use crate::sentry::{Sentry, true_status};
use crate::states::{Record, Recorded, States, is_id};
use crate::words::{self, Words};
use std::ffi::OsString;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Flags before the command that change nothing of these commands but the words of an error, and where they look.
const GLOBAL: [&str; 6] = ["root", "log", "log-format", "debug-log", "debug", "systemd-cgroup"];
const ROOT: &str = "/run/tsvisor";
/// Longest a delete waits for the processes to go: they take some milliseconds, on a machine that has the time.
const DELETE: Duration = Duration::from_secs(60);

/// What the process ends with, or goes on as. An attendant that has more to do than to wait goes on as `resume` says.
pub fn answer(arguments: &[OsString], resume: Resume) -> Option<Outcome> {
    let at = command_at(arguments)?;
    let command = COMMANDS.iter().find(|command| arguments[at] == command.name && command.is_answered)?;
    let global = words::read(&arguments[..at], GLOBAL_FLAGS, false)?;
    let words = words::read(&arguments[at + 1..], command.flags, command.takes_program)?;
    let is_known = global.has_only(&GLOBAL) && global.words.is_empty();
    if !is_known || global.value("log-format").is_some_and(|format| !["text", "json"].contains(&format)) {
        return None;
    }
    let states = States::open(&root_of(&global)?)?;
    if command.name == "exec" {
        return exec::execute(&states?, &words, resume);
    }
    let text = carry_out(command, states, &words)?;
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
    Some(Outcome::Exit(0))
}

/// What it prints.
fn carry_out(command: &Command, states: Option<States>, words: &Words) -> Option<String> {
    if command.name == "list" {
        return list(states, words);
    }
    let (id, more) = words.words.split_first()?;
    if !more.is_empty() && command.name != "kill" {
        return None;
    }
    if command.name == "delete" && words.has("force") {
        return delete_by_force(states, id);
    }
    let states = states?;
    match command.name {
        "state" => state(&states, id),
        "start" => start(&states, id),
        "kill" => kill(&states, id, more, words),
        "delete" => delete(&states, id),
        "pause" => pause(&states, id),
        "resume" => resume(&states, id),
        "ps" => processes(&states, id, words),
        _ => None,
    }
}

/// Where the first word is that is neither a flag nor its value.
fn command_at(arguments: &[OsString]) -> Option<usize> {
    let mut at = 0;
    while at < arguments.len() {
        let word = arguments[at].to_str()?;
        let Some(name) = word.strip_prefix("--") else { return Some(at).filter(|_| !word.starts_with('-')) };
        let takes_next = GLOBAL_FLAGS.iter().any(|flag| flag.name == name && flag.takes_value);
        at += if takes_next { 2 } else { 1 };
    }
    None
}

/// As boot/cli/flags.ts: a link behind a slash would be followed; without root the environment has a say.
fn root_of(global: &Words) -> Option<String> {
    let Some(root) = global.value("root") else {
        // SAFETY: passes no memory.
        let is_root = unsafe { libc::getuid() == 0 };
        return is_root.then(|| ROOT.to_string());
    };
    let plain = root.trim_end_matches('/');
    (!root.is_empty()).then(|| if plain.is_empty() { "/".into() } else { plain.into() })
}

/// As it is now. None where there is none, too.
fn current(states: &States, id: &str) -> Option<Record> {
    let mut record = states.find(id)??;
    true_status(&mut record)?;
    Some(record)
}

fn state(states: &States, id: &str) -> Option<String> {
    let record = current(states, id)?;
    let text = object([
        ("ociVersion", OCI_VERSION.into()),
        ("id", record.id.as_str().into()),
        ("status", record.status.as_str().into()),
        ("pid", Json::Whole(record.shown_pid() as u64)),
        ("bundle", record.bundle.as_str().into()),
        ("annotations", record.annotations.clone()),
        ("created", record.created.as_str().into()),
        ("owner", record.owner.as_str().into()),
    ]);
    Some(format!("{}\n", text.lines()))
}

fn list(states: Option<States>, words: &Words) -> Option<String> {
    let format = words.value("format").unwrap_or("table");
    if !["table", "json"].contains(&format) || !words.words.is_empty() || words.has("sandbox") {
        return None;
    }
    let mut records = states.map_or(Some(Vec::new()), |states| states.list())?;
    if words.has("quiet") {
        return Some(records.iter().map(|record| format!("{}\n", record.id)).collect());
    }
    for record in &mut records {
        true_status(record)?;
    }
    if format == "table" {
        let head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(String::from).to_vec();
        let rows = records.into_iter().map(|record| {
            let pid = record.shown_pid().to_string();
            vec![record.id, pid, record.status, record.bundle, record.created, record.owner]
        });
        return table(std::iter::once(head).chain(rows).collect());
    }
    let entries = records.iter().map(|record| {
        object([
            ("ociVersion", OCI_VERSION.into()),
            ("id", record.id.as_str().into()),
            ("pid", Json::Whole(record.shown_pid() as u64)),
            ("status", record.status.as_str().into()),
            ("bundle", record.bundle.as_str().into()),
            ("rootfs", "".into()),
            ("created", record.created.as_str().into()),
            ("annotations", record.annotations.clone()),
            ("owner", record.owner.as_str().into()),
        ])
    });
    Some(format!("{}\n", Json::List(entries.collect()).line()))
}

/// Columns as wide as their widest cell and two blanks, at least 12; of text that every terminal shows as it is.
fn table(rows: Vec<Vec<String>>) -> Option<String> {
    if rows.iter().flatten().any(|cell| !cell.bytes().all(|byte| (b' '..=b'~').contains(&byte))) {
        return None;
    }
    let widths: Vec<usize> =
        (0..rows[0].len()).map(|i| rows.iter().map(|row| row[i].len() + 2).max().unwrap_or(0).max(12)).collect();
    let line = |row: &Vec<String>| {
        let cells: String = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.trim_end())
    };
    Some(rows.iter().map(line).collect())
}

fn kill(states: &States, id: &str, more: &[String], words: &Words) -> Option<String> {
    let signal = match more {
        [] => libc::SIGTERM,
        [name] => signal_number(name)?,
        _ => return None,
    };
    let pid: i32 = words.value("pid").map_or(Some(0), |text| text.parse().ok().filter(|&pid| pid > 0))?;
    let is_for_all = words.has("all");
    if pid > 0 && is_for_all || words.has("pgid") {
        return None;
    }
    let record = states.find(id)??;
    // With --all whoever is left would be meant, and nobody is.
    if record.status == "stopped" && is_for_all {
        return Some(String::new());
    }
    if ["stopped", "creating"].contains(&record.status.as_str()) {
        return None;
    }
    // The sentry is init of its namespace: SIGKILL ends it and all.
    if signal == libc::SIGKILL && pid == 0 && !record.is_member {
        kill_process(&record.sentry)?;
    } else {
        let scope = if is_for_all { SCOPE_ALL } else { SCOPE_PROCESS };
        Sentry::connect(&record)?.request(Writer::new(SIGNAL).integer(signal).integer(pid).integer(scope))?;
    }
    Some(String::new())
}

fn signal_number(text: &str) -> Option<i32> {
    if text.len() <= 2 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().filter(|number| (1..=64).contains(number));
    }
    let upper = text.to_ascii_uppercase();
    let name = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    SIGNALS.iter().find(|(known, _)| *known == name).map(|&(_, number)| number)
}

fn kill_process(recorded: &Recorded) -> Option<()> {
    let process = recorded.open()?;
    let nothing = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: no siginfo is passed.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), libc::SIGKILL, nothing, 0) };
    (result == 0).then_some(())
}

fn delete(states: &States, id: &str) -> Option<String> {
    let record = current(states, id)?;
    if record.is_member || record.cgroup.is_none() || has_hooks(&record, "poststop") {
        return None;
    }
    match record.status.as_str() {
        "stopped" => {}
        // As runc: one that has never run is ended.
        "created" => end_sandbox(&record),
        _ => return None,
    }
    remove_cgroup(&record)?;
    states.remove(id)?.then(String::new)
}

/// Before the record goes, which alone says what there is to remove. None: something is left in it.
fn remove_cgroup(record: &Record) -> Option<()> {
    record.cgroup.as_ref()?.iter().all(|(inode, path)| cgroup::remove(path, *inode)).then_some(())
}

fn delete_by_force(states: Option<States>, id: &str) -> Option<String> {
    let Some(states) = states else { return is_id(id).then(String::new) };
    let Some(record) = states.find(id)? else {
        // Its creator may have been killed before there was a record.
        states.remove(id)?;
        return Some(String::new());
    };
    if record.is_member || record.cgroup.is_none() || has_hooks(&record, "poststop") {
        return None;
    }
    if record.status != "stopped" {
        end_sandbox(&record);
    }
    remove_cgroup(&record)?;
    states.remove(id)?;
    Some(String::new())
}

/// Kills it, and waits for its end and that of the attendant.
fn end_sandbox(record: &Record) {
    let end = Instant::now() + DELETE;
    let runner = Some(&record.runner).filter(|_| record.is_detached).and_then(Recorded::open);
    let sentry = record.sentry.open();
    if record.sentry.pid > 0 {
        // It may have ended just now.
        let _ = kill_process(&record.sentry);
    }
    for process in [sentry, runner].into_iter().flatten() {
        let mut watch = libc::pollfd { fd: process.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        loop {
            let left = end.saturating_duration_since(Instant::now()).as_millis() as i32;
            // SAFETY: one pollfd of our own.
            let result = unsafe { libc::poll(&mut watch, 1, left) };
            if result > 0 || left == 0 {
                break;
            }
        }
    }
}

/// Whether its bundle may ask for hooks at this stage. It may be gone by now.
fn has_hooks(record: &Record, stage: &str) -> bool {
    let wanted = format!("\"{stage}\"").into_bytes();
    let config = std::fs::read(format!("{}/config.json", record.bundle)).unwrap_or_default();
    record.is_detached && config.windows(wanted.len()).any(|part| part == wanted)
}

fn start(states: &States, id: &str) -> Option<String> {
    let record = current(states, id)?;
    let has_hooks = ["startContainer", "poststart"].iter().any(|stage| has_hooks(&record, stage));
    if record.status != "created" || !record.is_detached || has_hooks {
        return None;
    }
    // One of a pod is in the network of its sandbox.
    if !record.is_member && !is_without_network(&record)? {
        return None;
    }
    Sentry::connect(&record)?.request(Writer::new(START))?;
    states.move_to(id, &["created"], "running")?;
    Some(String::new())
}

/// Whether there is no interface to be handed to the sandbox (giveNetwork() in boot/cli/new_container.ts).
fn is_without_network(record: &Record) -> Option<bool> {
    let config = Json::read(&std::fs::read(format!("{}/config.json", record.bundle)).ok()?)?;
    let namespaces = config.member("linux").and_then(|linux| linux.member("namespaces"));
    let is_network = |one: &&Json| one.member("type").and_then(Json::text) == Some("network");
    let Some(network) = namespaces.map_or(Some(&[][..]), Json::list)?.iter().find(is_network) else {
        return Some(true);
    };
    // Somebody else's, which may have any.
    if network.member("path").is_some_and(|path| path.text() != Some("")) {
        return Some(false);
    }
    let interfaces = std::fs::read_to_string(format!("/proc/{}/net/dev", record.sentry.pid)).ok()?;
    let names = interfaces.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim());
    Some(names.into_iter().all(|name| name == "lo"))
}

fn pause(states: &States, id: &str) -> Option<String> {
    let record = current(states, id)?;
    if record.status != "running" {
        return None;
    }
    // Noted first: what it says is checked with the sentry, so it may be wrong in that direction alone.
    states.move_to(id, &["created", "running"], "paused")?;
    Sentry::connect(&record)?.request(Writer::new(PAUSE))?;
    Some(String::new())
}

fn resume(states: &States, id: &str) -> Option<String> {
    let record = current(states, id)?;
    if record.status != "paused" {
        return None;
    }
    Sentry::connect(&record)?.request(Writer::new(RESUME))?;
    states.move_to(id, &["paused"], "running")?;
    Some(String::new())
}

fn processes(states: &States, id: &str, words: &Words) -> Option<String> {
    let format = words.value("format").unwrap_or("table");
    let record = current(states, id)?;
    if !["running", "created", "paused"].contains(&record.status.as_str()) || !["table", "json"].contains(&format) {
        return None;
    }
    let rows = Sentry::connect(&record)?.document(PROCESSES)?;
    let rows = rows.list()?;
    if format == "json" {
        let pids = rows.iter().map(|row| row.member("pid").cloned()).collect::<Option<_>>()?;
        return Some(format!("{}\n", Json::List(pids).line()));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let head = ["UID", "PID", "PPID", "C", "TTY", "STIME", "TIME", "CMD"].map(String::from).to_vec();
    let mut table_rows = vec![head];
    for row in rows {
        let whole = |name: &str| Some(row.member(name)?.whole(u32::MAX as u64)?.to_string());
        let text = |name: &str| Some(row.member(name)?.text()?.to_string());
        let (age, cpu) = (nanos(row, "ageNanos")?, nanos(row, "cpuNanos")?);
        let share = (100.0 * cpu / age.max(1.0) + 0.5).floor().min(99.0);
        table_rows.push(vec![
            whole("uid")?,
            whole("pid")?,
            whole("parentPid")?,
            share.to_string(),
            text("tty")?,
            start_time(now.as_secs_f64(), age)?,
            duration(cpu),
            text("name")?,
        ]);
    }
    table(table_rows)
}

fn nanos(row: &Json, name: &str) -> Option<f64> {
    match row.member(name)? {
        Json::Whole(value) => Some(*value as f64),
        Json::Number(value) => Some(*value),
        _ => None,
    }
}

/// "14:05", or a date where it is long ago: ps(1), STIME.
fn start_time(now: f64, age_nanos: f64) -> Option<String> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (start, today) = (local_time(now - age_nanos / 1e9)?, local_time(now)?);
    let is_today = (start.tm_year, start.tm_yday) == (today.tm_year, today.tm_yday);
    Some(match is_today {
        true => format!("{:02}:{:02}", start.tm_hour, start.tm_min),
        false => format!("{}{:02}", MONTHS.get(start.tm_mon as usize)?, start.tm_mday),
    })
}

fn local_time(seconds: f64) -> Option<libc::tm> {
    let seconds = seconds.floor() as libc::time_t;
    // SAFETY: reads one time_t, writes one tm.
    unsafe {
        let mut time: libc::tm = std::mem::zeroed();
        (!libc::localtime_r(&seconds, &mut time).is_null()).then_some(time)
    }
}

fn duration(nanos: f64) -> String {
    let seconds = (nanos / 1e9).floor() as u64;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
