//! For patched copies of program code (platform/systrap/images.ts): what file a descriptor leads to, its bytes, a memfd
//! with a copy that nobody can change, and what the CPU says of itself. What is patched is decided in TypeScript.

use crate::errno::errno;
use core::ffi::c_void;

/// Which state of which file `fd` is: device, inode, size, modification and change time in nanoseconds, and the seconds
/// since the former, into `out` (6 f64). 0, or -errno; -EINVAL for what is no regular file.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_image_identify(fd: i32, out: *mut f64) -> i32 {
    // SAFETY: all zeros is a valid stat and timespec; `out` holds 6 numbers (contract of bindings). The plain fstat call is
    // the one that the sentry may make.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        if libc::syscall(libc::SYS_fstat, fd, &mut stat) < 0 {
            return errno();
        }
        if stat.st_mode & libc::S_IFMT != libc::S_IFREG {
            return -libc::EINVAL;
        }
        let mut now: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_REALTIME, &mut now);
        let modified = stat.st_mtime as f64 * 1e9 + stat.st_mtime_nsec as f64;
        let changed = stat.st_ctime as f64 * 1e9 + stat.st_ctime_nsec as f64;
        let values = [
            stat.st_dev as f64,
            stat.st_ino as f64,
            stat.st_size as f64,
            modified,
            changed,
            now.tv_sec as f64 - modified / 1e9,
        ];
        std::ptr::copy_nonoverlapping(values.as_ptr(), out, values.len());
    }
    0
}

/// Whether `fd` is a memfd or lies on a tmpfs, where writes through a mapping leave no trace in the file's times.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_image_is_memory(fd: i32) -> u32 {
    // SAFETY: fcntl without memory.
    unsafe { (libc::fcntl(fd, libc::F_GET_SEALS) >= 0) as u32 }
}

/// Reads `length` bytes at `offset` into `buffer`; how many came, or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_image_read(fd: i32, buffer: *mut u8, length: u32, offset: u32) -> i32 {
    let mut done = 0;
    while done < length {
        // SAFETY: `buffer` holds `length` bytes (contract of bindings).
        let n = unsafe {
            let at = buffer.add(done as usize) as *mut c_void;
            libc::pread(fd, at, (length - done) as usize, offset as i64 + done as i64)
        };
        if n < 0 {
            return errno();
        }
        if n == 0 {
            break;
        }
        done += n as u32;
    }
    done as i32
}

/// A memfd with `length` bytes of `buffer` that nobody can change any more; or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_image_make(buffer: *const u8, length: u32) -> i32 {
    // SAFETY: `buffer` holds `length` bytes (contract of bindings); the descriptor is ours until it is given back.
    unsafe {
        let fd = libc::memfd_create(c"tsvisor-image".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING);
        if fd < 0 {
            return errno();
        }
        let seals = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        if libc::write(fd, buffer as *const c_void, length as usize) != length as isize
            || libc::fcntl(fd, libc::F_ADD_SEALS, seals) < 0
        {
            let error = errno().min(-1);
            libc::close(fd);
            return error;
        }
        fd
    }
}

/// CPUID of `leaf` and `subleaf`: EAX, EBX, ECX, EDX into `out` (4 u32).
#[unsafe(no_mangle)]
pub extern "C" fn tsv_image_cpuid(leaf: u32, subleaf: u32, out: *mut u32) {
    let answer = std::arch::x86_64::__cpuid_count(leaf, subleaf);
    let values = [answer.eax, answer.ebx, answer.ecx, answer.edx];
    // SAFETY: `out` holds 4 words (contract of bindings).
    unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), out, values.len()) }
}
