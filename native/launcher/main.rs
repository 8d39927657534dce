//! dist/tsvisor: starts the command line with the runtime beside it, whatever the caller's directory, PATH and environment.
//! For a command that makes a sandbox it starts sentry and gofer as well, at once: their runtimes come up while the
//! command line reads its arguments and the bundle, and wait for their configuration. A guess that is wrong costs nothing but
//! time, as the command line ends what it does not need, and both end with it. Later the command line becomes this program
//! again, which takes less room, to wait for the container's end (attend.rs).

// The library uses the other half of it.
#[allow(dead_code)]
#[path = "../src/attend.rs"]
mod attend;
#[allow(dead_code)]
#[path = "../src/controller.rs"]
mod controller;
mod answers;
#[path = "../src/cgroup.rs"]
mod cgroup;
#[path = "../src/attendant.rs"]
mod attendant;
#[path = "../src/chroot.rs"]
mod chroot;
#[path = "../src/code_cache.rs"]
mod code_cache;
// The launcher reads what the library writes.
#[allow(dead_code)]
#[path = "../src/control.rs"]
mod control;
#[path = "../src/errno.rs"]
mod errno;
mod console;
mod exec;
#[path = "../src/generated.rs"]
mod generated;
mod json;
#[allow(dead_code)]
#[path = "../src/parts.rs"]
mod parts;
#[path = "../src/programs.rs"]
mod programs;
// The library starts what the launcher does not.
#[allow(dead_code)]
#[path = "../src/roles.rs"]
mod roles;
mod on_terminal;
mod runtime;
mod sentry;
#[allow(dead_code)]
#[path = "../src/slot.rs"]
mod slot;
#[path = "../src/spawn.rs"]
mod spawn;
mod states;
#[allow(dead_code)]
#[path = "../src/terminal.rs"]
mod terminal;
mod words;

use exec::Outcome;
use generated::{ATTEND_WORD, ATTENDANT, COMMANDS, EXECUTE_WORD, Flag, GLOBAL_FLAGS, HANDOVER, STARTED, TERMINAL_WORD};
use programs::{NO_CACHE, Place};
use slot::{ARENA_BYTES, ARENAS_MAX};
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Variables that are set for our runtime; the caller's own values travel under TSVISOR_CALLER_ (boot/caller_environment.ts).
const TAKEN: [&str; 2] = ["DENO_DIR", "DENO_NO_UPDATE_CHECK"];
/// Variables of ours that nobody else may set for the command line.
const OURS: [&str; 3] = [HANDOVER, ATTENDANT, "TSVISOR_LAUNCHER"];

fn main() {
    if runtime::is_asked_for() {
        fail(&runtime::become_runtime());
    }
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|word| word == EXECUTE_WORD) {
        execute(&arguments[1..]);
    }
    if arguments.first().is_some_and(|word| word == TERMINAL_WORD) {
        match on_terminal::run(&arguments[1..]) {
            Some(code) => std::process::exit(code),
            None => fail("Cannot make a terminal"),
        }
    }
    if arguments.first().is_some_and(|word| word == ATTEND_WORD) {
        let handover = arguments.get(1).and_then(|word| word.to_str()?.parse().ok());
        if let Some(code) = handover.and_then(attend::attend) {
            std::process::exit(code);
        }
        run_command_line(&own_place(), arguments, inherited());
    }
    let outcome = answers::answer(&arguments, attend_as_command_line);
    let place = own_place();
    let mut environment = environment(&place);
    block_inspector();
    match outcome {
        Some(Outcome::Exit(code)) => std::process::exit(code),
        Some(Outcome::Attended(made)) => {
            environment.push(attendant_entry(&made));
            run_command_line(&place, arguments, environment);
        }
        None => {}
    }
    let plan = plan_of(&arguments);
    if plan.roles.is_some() || plan.has_attendant {
        take_limits();
    }
    match (plan.roles, plan.has_attendant) {
        (roles, true) => match fork_attendant(&place, roles.as_ref()) {
            Some(attendant::Forked::Launcher(made)) => {
                environment.push(attendant_entry(&made));
            }
            Some(attendant::Forked::MoreToDo(handover)) => attend_as_command_line(handover),
            None => {}
        },
        (Some(options), false) => {
            // Without them the command line starts them itself, and says why when that fails too.
            if let Some(started) = start_roles(&place, &options) {
                environment.push(entry(HANDOVER.as_bytes(), hand_over(&started, &options).to_string().as_bytes()));
            }
        }
        (None, false) => {}
    }
    run_command_line(&place, arguments, environment);
}

/// Tells the command line which attendant there is.
fn attendant_entry(made: &attendant::Attendant) -> Vec<u8> {
    entry(ATTENDANT.as_bytes(), format!("{}:{}", made.link, made.pid).as_bytes())
}

/// There is more to do than to wait.
fn attend_as_command_line(handover: i32) -> ! {
    block_inspector();
    let place = own_place();
    let words = vec![OsString::from(ATTEND_WORD), OsString::from(handover.to_string())];
    run_command_line(&place, words, environment(&place))
}

fn own_place() -> Place {
    Place::find().unwrap_or_else(|error| fail(&error))
}

/// Becomes another program, which the runtime cannot ask for so (boot/oci/hooks.ts): a number of namespaces to join, their
/// paths, the program's path, its own name, its arguments.
fn execute(words: &[OsString]) -> ! {
    let words: Vec<CString> = words.iter().filter_map(|word| CString::new(word.as_bytes()).ok()).collect();
    let Some((count, rest)) = words.split_first() else { fail("Cannot execute nothing") };
    let count: usize = count.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
    let Some((namespaces, words)) = rest.split_at_checked(count) else { fail("Cannot execute nothing") };
    if !namespaces.is_empty() {
        join(namespaces);
    }
    let Some((program, names)) = words.split_first() else { fail("Cannot execute nothing") };
    let argv: Vec<*const libc::c_char> = names.iter().map(|name| name.as_ptr()).chain([std::ptr::null()]).collect();
    // SAFETY: the list ends with a null pointer and lives until the call returns.
    unsafe { libc::execv(program.as_ptr(), argv.as_ptr()) };
    fail(&format!("Cannot execute {}: {}", program.to_string_lossy(), std::io::Error::last_os_error()));
}

/// Goes into namespaces of the host, by their paths. What is mounted from then on is nobody else's.
fn join(namespaces: &[CString]) {
    // Opened first: a path may lead elsewhere from inside.
    let opened: Vec<i32> = namespaces
        .iter()
        // SAFETY: a path that ends with NUL.
        .map(|path| unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) })
        .collect();
    for (fd, path) in opened.iter().zip(namespaces) {
        // SAFETY: nobody shares anything with this process.
        if *fd < 0 || unsafe { libc::setns(*fd, 0) } < 0 {
            fail(&format!("Cannot join {}: {}", path.to_string_lossy(), std::io::Error::last_os_error()));
        }
    }
    if !have_own_mounts() {
        fail(&format!("Cannot have mounts of our own: {}", std::io::Error::last_os_error()));
    }
}

fn have_own_mounts() -> bool {
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: constant strings; nobody shares our root directory.
    unsafe {
        let nothing = std::ptr::null();
        let make_private = || libc::mount(nothing, c"/".as_ptr(), nothing, flags, nothing.cast()) == 0;
        if libc::unshare(libc::CLONE_NEWNS) < 0 {
            return false;
        }
        make_private() || chroot::leave().is_some_and(|root| make_private() & chroot::enter(root))
    }
}

/// The command line inherits what has been started: the descriptor that says so.
fn hand_over(started: &roles::Roles, options: &roles::Options) -> i32 {
    let roles::Roles { sentry, gofer, control, gofer_control } = *started;
    for fd in [control, gofer_control] {
        // SAFETY: ours, which the next program gets.
        unsafe { libc::fcntl(fd, libc::F_SETFD, 0) };
    }
    let message = control::Writer::new(STARTED).integer(sentry).integer(gofer).integer(control).integer(gofer_control);
    let fd = control::hand_over(&message.integer(options.is_root_inside as i32).finish());
    if fd < 0 {
        fail(&format!("Cannot make a memfd: {}", std::io::Error::from_raw_os_error(-fd)));
    }
    fd
}

fn run_command_line(place: &Place, arguments: Vec<OsString>, environment: Vec<Vec<u8>>) -> ! {
    let argv = place.lines("cli.argv").unwrap_or_default();
    let argv = argv.into_iter().chain(arguments.into_iter().map(OsString::into_vec));
    let argv: Vec<CString> = argv.filter_map(|word| CString::new(word).ok()).collect();
    let envp: Vec<CString> = environment.into_iter().filter_map(|entry| CString::new(entry).ok()).collect();
    let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
        list.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    if let Some(program) = argv.first() {
        // SAFETY: both lists end with a null pointer and live until the call returns.
        unsafe { libc::execve(program.as_ptr(), pointers(&argv).as_ptr(), pointers(&envp).as_ptr()) };
    }
    let error = std::io::Error::last_os_error();
    fail(&format!("Cannot start the runtime in {}: {error}", String::from_utf8_lossy(place.prefix())));
}

fn fail(message: &str) -> ! {
    eprintln!("tsvisor: {message}");
    std::process::exit(128);
}

/// The environment as it is.
fn inherited() -> Vec<Vec<u8>> {
    std::env::vars_os().map(|(name, value)| entry(name.as_bytes(), value.as_bytes())).collect()
}

/// The caller's, with what our runtime needs.
fn environment(place: &Place) -> Vec<Vec<u8>> {
    let mut list = Vec::new();
    for (name, value) in std::env::vars_os() {
        if !TAKEN.iter().chain(&OURS).any(|taken| name == OsStr::new(taken)) {
            list.push(entry(name.as_bytes(), value.as_bytes()));
        }
    }
    for name in TAKEN {
        let own = std::env::var_os(name).unwrap_or_default();
        list.push(entry(format!("TSVISOR_CALLER_{name}").as_bytes(), own.as_bytes()));
    }
    if let Ok(path) = std::env::current_exe() {
        list.push(entry(b"TSVISOR_LAUNCHER", path.as_os_str().as_bytes()));
    }
    list.push(entry(b"TSVISOR_NATIVE", &place.path("libtsvisor_native.so")));
    list.push(entry(b"DENO_DIR", &place.cache().unwrap_or_else(|| NO_CACHE.to_vec())));
    list.push(entry(b"DENO_NO_UPDATE_CHECK", b"1"));
    list
}

fn entry(name: &[u8], value: &[u8]) -> Vec<u8> {
    [name, b"=", value].concat()
}

/// Deno opens its inspector on SIGUSR1, half a second after its start, whichever process sends it.
fn block_inspector() {
    // SAFETY: a set of our own.
    unsafe {
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut mask);
        libc::sigaddset(&mut mask, libc::SIGUSR1);
        libc::sigprocmask(libc::SIG_BLOCK, &mask, std::ptr::null_mut());
    }
}

/// A limit of the caller's that the processes of a sandbox have too.
struct Need {
    resource: libc::__rlimit_resource_t,
    name: &'static str,
    /// Below this the runtimes or the platform end in ways that say nothing.
    least: u64,
    /// What a sandbox takes where the hard limit lets it.
    wanted: u64,
    flag: &'static str,
}

/// Room for V8's heap and code, libraries and stacks, beside the slots.
const RUNTIME_ADDRESSES: u64 = 1 << 40;

/// Descriptors: fixed numbers go up to 105, in the runtime and in stubs, and a quarter of the limit is for names that are kept.
/// Address space: the sentry reserves that of all slots. Files: the slots of one stub process are a file in memory, and so is
/// each large file of a guest's, which no limit of the caller's should cut.
const NEEDS: [Need; 5] = [
    need(libc::RLIMIT_NOFILE, "open files", "-n", 256),
    need(libc::RLIMIT_AS, "bytes of address space", "-v", ARENAS_MAX * ARENA_BYTES + RUNTIME_ADDRESSES),
    Need { wanted: libc::RLIM_INFINITY, ..need(libc::RLIMIT_FSIZE, "bytes of a file", "-f", ARENA_BYTES) },
    need(libc::RLIMIT_DATA, "bytes of data", "-d", 1 << 30),
    need(libc::RLIMIT_STACK, "bytes of stack", "-s", 1 << 20),
];

const fn need(resource: libc::__rlimit_resource_t, name: &'static str, flag: &'static str, least: u64) -> Need {
    Need { resource, name, least, wanted: least, flag }
}

/// Raises soft limits as far as is wanted and the hard ones let it, and ends where that is less than is needed.
fn take_limits() {
    for Need { resource, name, least, wanted, flag } in NEEDS {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: writes one rlimit.
        if unsafe { libc::getrlimit(resource, &mut limit) } < 0 || limit.rlim_cur >= wanted {
            continue;
        }
        if limit.rlim_max < least {
            let most = limit.rlim_max;
            fail(&format!("Cannot start with {most} {name} at most: a sandbox needs {least} (ulimit {flag})"));
        }
        limit.rlim_cur = wanted.min(limit.rlim_max);
        // SAFETY: reads one rlimit.
        unsafe { libc::setrlimit(resource, &limit) };
    }
}

/// What is started before the command line.
#[derive(Default)]
struct Plan {
    /// Sentry and gofer.
    roles: Option<roles::Options>,
    /// A process that waits in the command line's place, and starts them.
    has_attendant: bool,
}

/// What these arguments ask for (generated.rs says how to read them). What cannot be told from here (which terminal, which
/// platform) is left to the command line.
fn plan_of(arguments: &[OsString]) -> Plan {
    let (global, place) = flags_of(arguments, GLOBAL_FLAGS);
    let Some((name, after)) = arguments[place..].split_first() else { return Plan::default() };
    let Some(command) = COMMANDS.iter().find(|command| name == command.name) else { return Plan::default() };
    let mut own = Vec::new();
    let mut rest = after;
    while !rest.is_empty() && rest[0] != "--" {
        let (names, end) = flags_of(rest, command.flags);
        own.extend(names);
        // Beyond a word that is no flag there may be more of them.
        rest = if command.takes_program || end == rest.len() { &[] } else { &rest[end + 1..] };
    }
    let asks = |name: &String| ["h", "help", "v", "version"].contains(&name.as_str());
    if after.is_empty() || global.iter().chain(&own).any(asks) {
        return Plan::default();
    }
    let has = |flag: &Flag, name: &str| name == flag.name || !flag.short.is_empty() && name == flag.short;
    let is_given = |wanted: &str| {
        let flag = command.flags.iter().find(|flag| flag.name == wanted);
        own.iter().any(|name| flag.is_some_and(|flag| has(flag, name)))
    };
    let has_attendant = command.attendant.is_some_and(|flag| flag.is_empty() || is_given(flag));
    let is_other = !has_attendant && command.unless.iter().any(|flag| is_given(flag));
    let is_systrap = !global.iter().any(|name| name == "platform");
    let has_stderr = !is_given("console-socket");
    let options = roles::Options { is_root_inside: command.is_root_inside, is_systrap, terminal: -1, has_stderr };
    Plan { roles: Some(options).filter(|_| command.has_roles && !is_other), has_attendant }
}

/// Names of the flags at the beginning of `words`, and where the first word is that is neither flag nor value. As
/// parseGlobal() in boot/cli/flags.ts.
fn flags_of(words: &[OsString], known: &[Flag]) -> (Vec<String>, usize) {
    let (mut names, mut at) = (Vec::new(), 0);
    while let Some(word) = words.get(at).filter(|word| word.as_bytes().starts_with(b"-") && *word != "--") {
        let text = word.to_string_lossy();
        let (name, value) = match text.trim_start_matches('-').split_once('=') {
            Some((name, value)) => (name.to_string(), Some(value)),
            None => (text.trim_start_matches('-').to_string(), None),
        };
        let flag = known.iter().find(|flag| flag.name == name || !flag.short.is_empty() && flag.short == name);
        let takes_next = value.is_none() && flag.is_some_and(|flag| flag.takes_value);
        names.push(name);
        at += if takes_next { 2 } else { 1 };
    }
    (names, at.min(words.len()))
}

fn start_roles(place: &Place, options: &roles::Options) -> Option<roles::Roles> {
    let (sentry, gofer, envp) = role_programs(place)?;
    let program = |argv| roles::Program { argv, envp: &envp };
    roles::start(&program(&sentry), &program(&gofer), options).ok()
}

fn fork_attendant(place: &Place, options: Option<&roles::Options>) -> Option<attendant::Forked> {
    let Some(options) = options else { return attendant::fork(None).ok() };
    let (sentry, gofer, envp) = role_programs(place)?;
    let program = |argv| roles::Program { argv, envp: &envp };
    attendant::fork(Some((&program(&sentry), &program(&gofer), options))).ok()
}

/// argv of sentry and gofer, and their environment.
fn role_programs(place: &Place) -> Option<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    let (mut sentry, mut gofer) = (place.strings("sentry.argv")?, place.strings("gofer.argv")?);
    let envp = place.strings("roles.envp")?;
    // As boot/code_cache.ts: the roles' compiled code is kept for this very place.
    let marker = place.cache().map(|cache| OsString::from_vec([&cache[..], b"/compiled"].concat()));
    if marker.is_some_and(|path| std::fs::read(path).is_ok_and(|text| text == place.marker())) {
        sentry.extend_from_slice(b"--warm\0");
        gofer.extend_from_slice(b"--warm\0");
    }
    Some((sentry, gofer, envp))
}
