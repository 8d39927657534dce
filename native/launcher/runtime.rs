//! The one file as the runtime: started under the name /proc/self/exe it goes on as Deno, which stands in it. What execve(2)
//! does is done here by hand, as no call of the host starts a program that begins within a file: the program and its
//! interpreter are mapped, and a stack like the kernel's is made (elf(5), getauxval(3), x86-64 psABI 3.4.1).
//!
//! Paths of the form /proc/self/exe/NAME in the script's argument and in TSVISOR_NATIVE become those of files in memory.

use crate::parts::{DIRECTORY, Parts};
use std::ffi::{CString, c_char, c_void};
use std::fs::File;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;

const PT_LOAD: u32 = 1;
const PAGE: u64 = 4096;
/// Of a program that we have built ourselves.
const PROGRAM_HEADERS_MAX: usize = 32;
/// Left free between the stack we run on and the one we make.
const STACK_ASIDE: usize = 64 << 10;

const AT_NULL: u64 = 0;
const AT_PHDR: u64 = 3;
const AT_PHENT: u64 = 4;
const AT_PHNUM: u64 = 5;
const AT_BASE: u64 = 7;
const AT_ENTRY: u64 = 9;

/// The host's libraries that the runtime needs; where one of them is missing it gets those that were built in.
const HOST_LIBRARIES: [&[&str]; 2] = [
    &["/lib64/ld-linux-x86-64.so.2"],
    &[
        "/lib/x86_64-linux-gnu/libgcc_s.so.1",
        "/lib64/libgcc_s.so.1",
        "/usr/lib64/libgcc_s.so.1",
        "/usr/lib/x86_64-linux-gnu/libgcc_s.so.1",
        "/usr/lib/libgcc_s.so.1",
    ],
];
/// The built-in ones: the interpreter, and what is preloaded, which so satisfies what the program asks for by name.
const INTERPRETER: &str = "ld-linux-x86-64.so.2";
const PRELOADED: [&str; 6] = ["libc.so.6", "libm.so.6", "libgcc_s.so.1", "libpthread.so.0", "libdl.so.2", "librt.so.1"];
const PRELOAD: &[u8] = b"LD_PRELOAD=";

/// Whether this process is to be the runtime.
pub fn is_asked_for() -> bool {
    std::env::args_os().next().is_some_and(|name| name == DIRECTORY)
}

/// Goes on as the runtime. Comes back with what failed.
pub fn become_runtime() -> String {
    let parts = match Parts::own() {
        Some(Ok(parts)) => parts,
        Some(Err(error)) => return error,
        None => return "This executable has no runtime in it".to_string(),
    };
    match prepare(&parts) {
        // SAFETY: the image was made for this, and nothing of ours is used after.
        Ok(image) => unsafe { image.jump() },
        Err(error) => error,
    }
}

/// The stack of the new program, from argc on, and where it begins to run.
struct Image {
    words: Vec<u64>,
    entry: u64,
}

fn prepare(parts: &Parts) -> Result<Image, String> {
    let (file, place) = parts.runtime()?;
    let program = load(file, place)?;
    let has_own_libraries =
        HOST_LIBRARIES.iter().any(|paths| !paths.iter().any(|path| std::fs::exists(path).unwrap_or(false)));
    let interpreter = if has_own_libraries {
        load(&File::from(parts.open(INTERPRETER)?), 0)?
    } else {
        let path = HOST_LIBRARIES[0][0];
        let file = File::open(path).map_err(|error| format!("Cannot open {path}: {error}"))?;
        load(&file, 0)?
    };
    let mut environment = environment(parts)?;
    if has_own_libraries {
        let paths: Vec<String> = PRELOADED
            .iter()
            .filter(|name| parts.has(name))
            .map(|name| Ok(format!("/proc/self/fd/{}", parts.open(name)?.into_raw_fd())))
            .collect::<Result<_, String>>()?;
        environment.push(c_string([PRELOAD, paths.join(":").as_bytes()].concat()));
    }
    let arguments = arguments(parts)?;
    let mut words = vec![arguments.len() as u64];
    // They live as long as the process.
    let mut put = |list: Vec<CString>| {
        words.extend(list.into_iter().map(|text| text.into_raw() as u64));
        words.push(0);
    };
    put(arguments);
    put(environment);
    for [kind, value] in auxiliary_vector() {
        let value = match kind {
            AT_PHDR => program.headers,
            AT_PHENT => 56,
            AT_PHNUM => program.header_count,
            AT_BASE => interpreter.base,
            AT_ENTRY => program.entry,
            _ => value,
        };
        words.extend([kind, value]);
    }
    words.extend([AT_NULL, 0]);
    Ok(Image { words, entry: interpreter.entry })
}

fn arguments(parts: &Parts) -> Result<Vec<CString>, String> {
    let mut list = Vec::new();
    let mut has_script = false;
    for (place, word) in std::env::args_os().enumerate() {
        let mut word = word.into_vec();
        if place > 0
            && !has_script
            && let Some(path) = in_memory(parts, &word)?
        {
            has_script = true;
            word = path;
        }
        list.push(c_string(word));
    }
    Ok(list)
}

fn environment(parts: &Parts) -> Result<Vec<CString>, String> {
    const NATIVE: &[u8] = b"TSVISOR_NATIVE=";
    let mut list = Vec::new();
    for (name, value) in std::env::vars_os() {
        let mut text = [name.into_vec(), b"=".to_vec(), value.into_vec()].concat();
        // What an earlier start of ours has preloaded is gone.
        if text.starts_with(&[PRELOAD, b"/proc/self/fd/"].concat()) {
            continue;
        }
        if let Some(path) = text.strip_prefix(NATIVE)
            && let Some(path) = in_memory(parts, path)?
        {
            text = [NATIVE, &path].concat();
        }
        list.push(c_string(text));
    }
    Ok(list)
}

/// The path of a part in memory, if `path` names one.
fn in_memory(parts: &Parts, path: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let Some(name) = path.strip_prefix(DIRECTORY.as_bytes()).and_then(|rest| rest.strip_prefix(b"/")) else {
        return Ok(None);
    };
    let fd = parts.open(&String::from_utf8_lossy(name))?.into_raw_fd();
    Ok(Some(format!("/proc/self/fd/{fd}").into_bytes()))
}

/// Words of the caller's have no NUL.
fn c_string(bytes: Vec<u8>) -> CString {
    CString::new(bytes).unwrap_or_default()
}

/// As the kernel has given it to us.
fn auxiliary_vector() -> Vec<[u64; 2]> {
    let mut list = Vec::new();
    // SAFETY: the vector stands behind the environment that the kernel has made, whose pointers nobody has changed: this is
    // the first thing that the process does.
    unsafe {
        let mut at = environ as *const *const c_char;
        while !(*at).is_null() {
            at = at.add(1);
        }
        let mut at = at.add(1) as *const [u64; 2];
        while (*at)[0] != AT_NULL {
            list.push(*at);
            at = at.add(1);
        }
    }
    list
}

/// A program in memory.
struct Loaded {
    base: u64,
    entry: u64,
    headers: u64,
    header_count: u64,
}

/// Maps the segments of a position-independent ELF file that begins at `place` of `file`.
fn load(file: &File, place: u64) -> Result<Loaded, String> {
    let failed = |error: std::io::Error| format!("Cannot load the runtime: {error}");
    let mut header = [0u8; 64];
    file.read_exact_at(&mut header, place).map_err(failed)?;
    let word = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let half = |bytes: &[u8], at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()) as usize;
    let (headers, count) = (word(&header, 32), half(&header, 56));
    if header[..4] != *b"\x7fELF" || half(&header, 54) != 56 || count > PROGRAM_HEADERS_MAX {
        return Err("Cannot load the runtime: it is no ELF program".to_string());
    }
    let mut table = vec![0u8; 56 * count];
    file.read_exact_at(&mut table, place + headers).map_err(failed)?;
    let segments: Vec<&[u8]> = table.chunks_exact(56).filter(|entry| entry[..4] == PT_LOAD.to_le_bytes()).collect();
    let end = segments.iter().map(|segment| word(segment, 16) + word(segment, 40)).max().unwrap_or(0);
    // SAFETY: all mappings lie in one that is made here.
    unsafe {
        let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let whole = page_up(end) as usize;
        let base = libc::mmap(std::ptr::null_mut(), whole, libc::PROT_NONE, anonymous | libc::MAP_NORESERVE, -1, 0);
        if base == libc::MAP_FAILED {
            return Err(failed(std::io::Error::last_os_error()));
        }
        let base = base as u64;
        for segment in segments {
            let flags = u32::from_le_bytes(segment[4..8].try_into().unwrap());
            let (offset, address) = (word(segment, 8), word(segment, 16));
            let (in_file, in_memory) = (word(segment, 32), word(segment, 40));
            let mut protection = 0;
            for (bit, kind) in [(4, libc::PROT_READ), (2, libc::PROT_WRITE), (1, libc::PROT_EXEC)] {
                protection |= if flags & bit != 0 { kind } else { 0 };
            }
            let aside = address % PAGE;
            let from = base + address - aside;
            let mapped = page_up(in_file + aside);
            let kind = libc::MAP_PRIVATE | libc::MAP_FIXED;
            let at = (place + offset - aside) as i64;
            if in_file > 0 && !is_mapped(from, mapped, protection, kind, file.as_raw_fd(), at) {
                return Err(failed(std::io::Error::last_os_error()));
            }
            let rest = page_up(in_memory + aside).saturating_sub(mapped);
            if rest > 0 && !is_mapped(from + mapped, rest, protection, anonymous | libc::MAP_FIXED, -1, 0) {
                return Err(failed(std::io::Error::last_os_error()));
            }
            if in_memory > in_file && in_file > 0 && flags & 2 != 0 {
                let tail = base + address + in_file;
                std::ptr::write_bytes(tail as *mut u8, 0, (page_up(tail) - tail) as usize);
            }
        }
        Ok(Loaded { base, entry: base + word(&header, 24), headers: base + headers, header_count: count as u64 })
    }
}

fn page_up(value: u64) -> u64 {
    value.next_multiple_of(PAGE)
}

unsafe fn is_mapped(from: u64, length: u64, protection: i32, kind: i32, fd: i32, offset: i64) -> bool {
    // SAFETY: the caller's.
    unsafe { libc::mmap(from as *mut c_void, length as usize, protection, kind, fd, offset) != libc::MAP_FAILED }
}

impl Image {
    /// SAFETY: `entry` is that of an interpreter which is mapped, and the words are a stack for it.
    unsafe fn jump(self) -> ! {
        // SAFETY: what our libc and runtime have told the kernel of themselves is taken back. The new stack stands below the
        // one in use, well apart from it.
        unsafe {
            for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGPIPE] {
                libc::signal(signal, libc::SIG_DFL);
            }
            let none = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
            libc::sigaltstack(&none, std::ptr::null_mut());
            libc::prctl(libc::PR_SET_NAME, c"tsvisor".as_ptr());
            unregister_restartable_sequences();
            let here = &self.words as *const _ as usize;
            let to = (here - STACK_ASIDE - self.words.len() * 8) & !15;
            std::ptr::copy_nonoverlapping(self.words.as_ptr(), to as *mut u64, self.words.len());
            // %rdx is a function to call at exit: none.
            std::arch::asm!(
                "mov rsp, {to}",
                "xor edx, edx",
                "xor ebp, ebp",
                "jmp {entry}",
                to = in(reg) to,
                entry = in(reg) self.entry,
                options(noreturn),
            );
        }
    }
}

std::arch::global_asm!(".weak __rseq_offset", ".weak __rseq_size");

unsafe extern "C" {
    static environ: *const *const c_char;
    static __rseq_offset: isize;
    static __rseq_size: u32;
}

/// A thread has one area at most, and the new libc brings its own. glibc: sys/rseq.h.
unsafe fn unregister_restartable_sequences() {
    const RSEQ_FLAG_UNREGISTER: u32 = 1;
    const RSEQ_SIGNATURE: u32 = 0x5305_3053;
    const LENGTH: u32 = 32;
    // SAFETY: weak symbols: their addresses are null where libc has none. The thread's own pointer is its first word.
    unsafe {
        let offset = &raw const __rseq_offset;
        if offset.is_null() || (&raw const __rseq_size).is_null() || __rseq_size == 0 {
            return;
        }
        let thread: isize;
        std::arch::asm!("mov {}, fs:0", out(reg) thread, options(nostack, pure, readonly));
        let area = thread + *offset;
        libc::syscall(libc::SYS_rseq, area, LENGTH, RSEQ_FLAG_UNREGISTER, RSEQ_SIGNATURE);
    }
}
