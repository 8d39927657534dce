//! What the host has counted for a guest's process or thread: read of the own /proc, which shows the sandbox's processes
//! alone. proc_pid_stat(5), proc_pid_status(5); schedstat of the kernel's Documentation/scheduler/sched-stats.rst.

use std::io::Read;

/// Longest file that is read here: status has some 60 lines.
const FILE_BYTES: usize = 8192;

fn read(path: &str, buffer: &mut [u8; FILE_BYTES]) -> usize {
    std::fs::File::open(path).and_then(|mut file| file.read(buffer)).unwrap_or(0)
}

fn number(text: &[u8]) -> f64 {
    text.iter()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(|c| c.is_ascii_digit())
        .fold(0.0, |n, c| n * 10.0 + (c - b'0') as f64)
}

/// CPU nanoseconds of the calling thread.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_usage_own_nanos() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// CPU nanoseconds of thread `tid` of process `pid`, as of the host's last tick where it runs; negative when it is gone.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_usage_thread_nanos(pid: i32, tid: i32) -> f64 {
    let mut buffer = [0; FILE_BYTES];
    let length = read(&format!("/proc/{pid}/task/{tid}/schedstat"), &mut buffer);
    if length == 0 { -1.0 } else { number(&buffer[..length]) }
}

/// The state of thread `tid` of process `pid`, as proc_pid_stat(5) has it: R, S, D, T and others; 0 when it is gone.
pub fn thread_state(pid: i32, tid: i32) -> u8 {
    let mut buffer = [0; FILE_BYTES];
    let length = read(&format!("/proc/{pid}/task/{tid}/stat"), &mut buffer);
    // The name, in brackets, may have any bytes.
    let end = buffer[..length].iter().rposition(|&c| c == b')');
    end.and_then(|end| buffer[..length].get(end + 2)).copied().unwrap_or(0)
}

/// A number that grows whenever thread `tid` of process `pid` runs: its nanoseconds and how often it has got a CPU. 0 where the
/// host does not say.
pub fn thread_progress(pid: i32, tid: i32) -> u64 {
    let mut buffer = [0; FILE_BYTES];
    let length = read(&format!("/proc/{pid}/task/{tid}/schedstat"), &mut buffer);
    let fields = buffer[..length].split(|c| !c.is_ascii_digit()).filter(|field| !field.is_empty());
    let numbers = fields.map(|digits| digits.iter().fold(0u64, |sum, c| sum * 10 + (c - b'0') as u64));
    let [nanos, _, times] = numbers.collect::<Vec<_>>()[..] else { return 0 };
    nanos + times
}

/// Into `out`: minor faults, major faults, user and system time in ticks; of the whole process where `tid` is 0. 0 or -1.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_usage_times(pid: i32, tid: i32, out: *mut f64) -> i32 {
    let mut buffer = [0; FILE_BYTES];
    let path = if tid == 0 { format!("/proc/{pid}/stat") } else { format!("/proc/{pid}/task/{tid}/stat") };
    let length = read(&path, &mut buffer);
    // The name, in brackets, may have any bytes.
    let Some(end) = buffer[..length].iter().rposition(|&c| c == b')') else {
        return -1;
    };
    // Fields from the third on: state is 0 here, minflt 7, majflt 9, utime 11, stime 12.
    for (n, field) in buffer[end + 1..length].split(|&c| c == b' ').skip(1).enumerate() {
        let at = match n {
            7 => 0,
            9 => 1,
            11 => 2,
            12 => 3,
            _ => continue,
        };
        // SAFETY: `out` has room for four.
        unsafe { *out.add(at) = number(field) };
    }
    0
}

/// Into `out`: largest resident set of process `pid` ever in KiB, involuntary context switches of its first thread. 0 or -1.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_usage_peak(pid: i32, out: *mut f64) -> i32 {
    let mut buffer = [0; FILE_BYTES];
    let length = read(&format!("/proc/{pid}/status"), &mut buffer);
    if length == 0 {
        return -1;
    }
    for line in buffer[..length].split(|&c| c == b'\n') {
        // SAFETY: `out` has room for two.
        unsafe {
            if line.starts_with(b"VmHWM:") {
                *out = number(line);
            } else if line.starts_with(b"nonvoluntary_ctxt_switches:") {
                *out.add(1) = number(line);
            }
        }
    }
    0
}
