//! The listener of the stubs' filter: a clone(2) in a stub asks the sentry, which lets just the call go on that it has
//! commanded. seccomp_unotify(2).

/// A clone(2) that the sentry has commanded: who makes it, and all that it says.
pub struct CommandedClone {
    pub tid: i32,
    pub flags: u64,
    pub stack: u64,
    pub tid_address: u64,
}

/// Layout of struct seccomp_notif and seccomp_notif_resp (include/uapi/linux/seccomp.h).
#[repr(C)]
struct Question {
    id: u64,
    pid: u32,
    flags: u32,
    number: i32,
    arch: u32,
    instruction: u64,
    arguments: [u64; 6],
}
#[repr(C)]
struct Answer {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}
const NOTIF_RECV: u64 = 0xc050_2100;
const NOTIF_SEND: u64 = 0xc018_2101;
const NOTIF_SET_FLAGS: u64 = 0x4008_2104;
const NOTIF_CONTINUE: u32 = 1;

/// Takes one question of the listener, if there is one: lets it go on when it is just what was commanded, and kills the
/// process that asks otherwise. True when it was.
pub fn answer(listener: i32, commanded: Option<&CommandedClone>) -> bool {
    // SAFETY: all zeros is a valid notification, which the kernel wants; it fills one.
    let mut question: Question = unsafe { std::mem::zeroed() };
    if unsafe { libc::ioctl(listener, NOTIF_RECV, &mut question) } < 0 {
        return false;
    }
    let arguments = &question.arguments;
    let is_commanded = commanded.is_some_and(|clone| {
        question.pid == clone.tid as u32
            && question.number as i64 == libc::SYS_clone
            && *arguments == [clone.flags, clone.stack, 0, clone.tid_address, 0, arguments[5]]
    });
    if !is_commanded {
        // SAFETY: kill passes no memory. The number is a thread's of a stub that waits in this very call.
        unsafe { libc::kill(question.pid as i32, libc::SIGKILL) };
        return false;
    }
    let answer = Answer { id: question.id, value: 0, error: 0, flags: NOTIF_CONTINUE };
    // SAFETY: reads one answer. What continues is the call with the registers that were looked at.
    unsafe { libc::ioctl(listener, NOTIF_SEND, &answer) >= 0 }
}

/// Whether the host's filters can ask.
pub fn may_ask() -> bool {
    let action: u32 = 0x7fc0_0000;
    const SECCOMP_GET_ACTION_AVAIL: u32 = 2;
    // SAFETY: reads one word.
    unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0 }
}

/// Has who asks and who answers change places on one CPU, since Linux 6.6. Where it is not known nothing is lost.
pub fn prefer_one_cpu(listener: i32) {
    // SAFETY: passes no memory.
    unsafe { libc::ioctl(listener, NOTIF_SET_FLAGS, 1u64) };
}
