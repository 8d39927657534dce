//! dist/tsvisor: starts the command line with the runtime beside it, whatever the caller's directory, PATH and environment.
//! For a command that makes a sandbox it starts sentry and gofer as well, at once: their runtimes come up while the
//! command line reads its arguments and the bundle, and wait to be told what to do. A guess that is wrong costs nothing but
//! time, as the command line ends what it does not need, and both end with it. Later the command line becomes this program
//! again, which takes less room, to wait for the container's end (attend.rs).

// The library uses the other half of it.
#[allow(dead_code)]
#[path = "../src/attend.rs"]
mod attend;
#[path = "../src/roles.rs"]
mod roles;
#[path = "../src/spawn.rs"]
mod spawn;

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Variables that are set for our runtime; the caller's own values travel under TSVISOR_CALLER_ (boot/caller_environment.ts).
const TAKEN: [&str; 2] = ["DENO_DIR", "DENO_NO_UPDATE_CHECK"];
/// As in boot/cli/commands.ts; a word that is missing here costs a wrong guess at most.
const COMMANDS: [&str; 8] = ["run", "do", "spec", "state", "list", "kill", "delete", "help"];

fn main() {
    let lib = match std::env::current_exe() {
        Ok(path) => path.with_file_name("lib").into_os_string().into_vec(),
        Err(error) => fail(&format!("Cannot find its own place: {error}")),
    };
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|word| word == attend::WORD) {
        if let Some(code) = attend::attend(&arguments[1..]) {
            std::process::exit(code);
        }
        run_command_line(&lib, arguments, inherited());
    }
    let mut environment = environment(&lib);
    block_inspector();
    if let Some(options) = sandbox_of(&arguments) {
        // Without them the command line starts them itself, and says why when that fails too.
        if let Some(started) = start_roles(&lib, &options) {
            let roles::Roles { sentry, gofer, control, gofer_control } = started;
            for fd in [control, gofer_control] {
                // SAFETY: the command line inherits it.
                unsafe { libc::fcntl(fd, libc::F_SETFD, 0) };
            }
            let is_root_inside = options.is_root_inside as i32;
            environment.push(
                format!("TSVISOR_STARTED={sentry} {gofer} {control} {gofer_control} {is_root_inside}").into_bytes(),
            );
        }
    }
    run_command_line(&lib, arguments, environment);
}

fn run_command_line(lib: &[u8], arguments: Vec<OsString>, environment: Vec<Vec<u8>>) -> ! {
    let argv = lines(lib, "cli.argv").unwrap_or_default();
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
    fail(&format!("Cannot start the runtime in {}: {error}", String::from_utf8_lossy(lib)));
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
fn environment(lib: &[u8]) -> Vec<Vec<u8>> {
    let mut list = Vec::new();
    for (name, value) in std::env::vars_os() {
        if !TAKEN.iter().any(|taken| name == OsStr::new(taken)) && name != "TSVISOR_STARTED" && name != "TSVISOR_LAUNCHER" {
            list.push(entry(name.as_bytes(), value.as_bytes()));
        }
    }
    for name in TAKEN {
        let own = std::env::var_os(name).unwrap_or_default();
        list.push(entry(format!("TSVISOR_CALLER_{name}").as_bytes(), own.as_bytes()));
    }
    let within = |name: &str| [lib, b"/", name.as_bytes()].concat();
    if let Ok(path) = std::env::current_exe() {
        list.push(entry(b"TSVISOR_LAUNCHER", path.as_os_str().as_bytes()));
    }
    list.push(entry(b"TSVISOR_NATIVE", &within("libtsvisor_native.so")));
    list.push(entry(b"DENO_DIR", &within("cache")));
    list.push(entry(b"DENO_NO_UPDATE_CHECK", b"1"));
    list
}

fn entry(name: &[u8], value: &[u8]) -> Vec<u8> {
    [name, b"=", value].concat()
}

/// Deno opens its inspector on SIGUSR1, half a second after its start, whoever sends it.
fn block_inspector() {
    // SAFETY: a set of our own.
    unsafe {
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut mask);
        libc::sigaddset(&mut mask, libc::SIGUSR1);
        libc::sigprocmask(libc::SIG_BLOCK, &mask, std::ptr::null_mut());
    }
}

/// How a sandbox is started, if these arguments look as if they make one. The first word that is a command's name counts; what
/// cannot be told from here (which terminal, which platform) is left to the command line.
fn sandbox_of(arguments: &[OsString]) -> Option<roles::Options> {
    let place = arguments.iter().position(|word| COMMANDS.iter().any(|name| word == name))?;
    let (command, before, after) = (&arguments[place], &arguments[..place], &arguments[place + 1..]);
    let is_run = command == "run";
    if !is_run && command != "do" {
        return None;
    }
    let own = if is_run { after } else { &after[..after.len().min(1)] };
    let asks = |word: &OsString| {
        ["-h", "--help", "-v", "--version"].iter().any(|flag| word == flag)
            || is_run && word.as_bytes().starts_with(b"--console-socket")
    };
    if before.iter().chain(own).any(asks) || after.is_empty() {
        return None;
    }
    let names_platform = before.iter().any(|word| word.as_bytes().starts_with(b"-") && holds(word, b"platform"));
    Some(roles::Options { is_root_inside: is_run, is_systrap: !names_platform, terminal: -1 })
}

fn holds(word: &OsStr, part: &[u8]) -> bool {
    word.as_bytes().windows(part.len()).any(|window| window == part)
}

fn start_roles(lib: &[u8], options: &roles::Options) -> Option<roles::Roles> {
    let joined = |name: &str| -> Option<Vec<u8>> {
        Some(lines(lib, name)?.into_iter().flat_map(|line| [line, vec![0]].concat()).collect())
    };
    let (mut sentry, mut gofer, envp) = (joined("sentry.argv")?, joined("gofer.argv")?, joined("roles.envp")?);
    // As boot/code_cache.ts: the roles' compiled code is kept for this very place.
    let marker = std::fs::read(OsString::from_vec([lib, b"/cache/compiled"].concat())).unwrap_or_default();
    if marker == [lib, b"/"].concat() {
        sentry.extend_from_slice(b"--warm\0");
        gofer.extend_from_slice(b"--warm\0");
    }
    let program = |argv| roles::Program { argv, envp: &envp };
    roles::start(&program(&sentry), &program(&gofer), options).ok()
}

/// Lines of a file of lib/, with this place for each `{lib}` in them.
fn lines(lib: &[u8], name: &str) -> Option<Vec<Vec<u8>>> {
    let text = std::fs::read_to_string(OsString::from_vec([lib, b"/", name.as_bytes()].concat())).ok()?;
    Some(
        text.lines()
            .map(|line| {
                let parts: Vec<&[u8]> = line.split("{lib}").map(str::as_bytes).collect();
                parts.join(lib)
            })
            .collect(),
    )
}
