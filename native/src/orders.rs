//! The host calls that the sentry has ordered from stubs, in memory of its own, and the thread that checks them: a host call in a
//! stub asks (seccomp_unotify(2)), and just the call goes on that was ordered, by thread, number and every argument. A stub that
//! asks for another is killed. So guest code that jumps to the stub's text reaches none of these calls.
//!
//! The thread, the notary, runs where guests run: who asks and who answers change places on one CPU.

use crate::errno::errno;
use crate::slot::*;
use core::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::SeqCst};

/// Memory of one slot's orders: its commands, in the places they have in the slot, and the words below.
pub const ORDERS_BYTES: usize = 4096;
/// Commands that are in force; how many of them the stub is past; nonzero once a clone(2) of them was allowed.
const IN_FORCE: u64 = 0;
const PASSED: u64 = 4;
const CLONED: u64 = 8;
/// Host thread of the slot.
const THREAD: u64 = 12;
/// Nonzero while the sentry halts the thread: no clone(2) of it is allowed, since a signal before it begins breaks it off, and it
/// would be asked for a second time.
const HALTING: u64 = 16;

/// How often the notary looks whether a halt is over, which takes some milliseconds.
const HALT_LOOK: std::time::Duration = std::time::Duration::from_micros(500);

/// PID_MAX_LIMIT.
const THREADS_MAX: usize = 1 << 22;

struct Orders {
    /// ORDERS_BYTES for each slot of all arenas.
    region: *mut u8,
    /// Slot + 1 of each host thread.
    slots: *mut u32,
}

static mut ORDERS: Option<Orders> = None;
/// Host thread number of the notary; 0 = there is none.
static NOTARY: AtomicI32 = AtomicI32::new(0);

fn orders() -> &'static Orders {
    // SAFETY: set once, before there is a stub or a notary.
    unsafe { (*(&raw const ORDERS)).as_ref().expect("there is no memory for orders") }
}

/// Reserves the memory for `slots` slots. 0 or -errno.
pub fn make_orders(slots: usize) -> i32 {
    let reserve = |bytes: usize, prot: i32| {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: fresh memory.
        unsafe { libc::mmap(null_mut(), bytes, prot, flags, -1, 0) }
    };
    let region = reserve(slots * ORDERS_BYTES, libc::PROT_NONE);
    let table = reserve(THREADS_MAX * 4, libc::PROT_READ | libc::PROT_WRITE);
    if region == libc::MAP_FAILED || table == libc::MAP_FAILED {
        return errno();
    }
    // SAFETY: nobody reads it yet.
    unsafe { ORDERS = Some(Orders { region: region as *mut u8, slots: table as *mut u32 }) };
    0
}

/// Makes the orders of arena `index` usable. 0 or -errno.
pub fn open_orders(index: u32) -> i32 {
    let bytes = ARENA_SLOTS as usize * ORDERS_BYTES;
    // SAFETY: the arena's part of the reserved region.
    unsafe {
        let at = orders().region.add(index as usize * bytes);
        if libc::mprotect(at as *mut c_void, bytes, libc::PROT_READ | libc::PROT_WRITE) < 0 { errno() } else { 0 }
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_orders() -> *mut u8 {
    orders().region
}

/// Host thread `tid` is the one of `slot` from now on.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_enroll(tid: i32, slot: u32) -> i32 {
    if tid <= 0 || tid as usize >= THREADS_MAX {
        return -libc::EINVAL;
    }
    let orders = orders();
    orders.word(slot, THREAD).store(tid as u32, SeqCst);
    orders.slot_of(tid as usize).store(slot + 1, SeqCst);
    0
}

/// Whether a clone(2) that `slot` was ordered to make is made already, or is being made.
pub fn has_cloned(slot: u32) -> bool {
    NOTARY.load(SeqCst) == 0 || orders().word(slot, CLONED).load(SeqCst) != 0
}

/// The thread of `slot` is about to be halted: no clone(2) of it is allowed until tsv_stub_free_clone(). 0 when one already was, or
/// when nobody asks the notary.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_hold_clone(slot: u32) -> i32 {
    let halting = orders().word(slot, HALTING);
    halting.store(1, SeqCst);
    if has_cloned(slot) {
        halting.store(0, SeqCst);
        return 0;
    }
    1
}

#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_free_clone(slot: u32) {
    orders().word(slot, HALTING).store(0, SeqCst);
}

/// Host thread number of the notary; 0 = there is none.
pub fn notary() -> i32 {
    NOTARY.load(SeqCst)
}

/// Where the CPUs of the notary are chosen; 0 = there is none.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_notary() -> i32 {
    notary()
}

impl Orders {
    fn at(&self, slot: u32, at: u64) -> *mut u8 {
        // SAFETY: slots come from TypeScript's own table; `at` is below ORDERS_BYTES by construction of the callers.
        unsafe { self.region.add(slot as usize * ORDERS_BYTES + at as usize) }
    }

    fn word(&self, slot: u32, at: u64) -> &AtomicU32 {
        // SAFETY: an aligned word of memory that stays.
        unsafe { &*(self.at(slot, at) as *const AtomicU32) }
    }

    fn slot_of(&self, tid: usize) -> &AtomicU32 {
        // SAFETY: callers check tid against THREADS_MAX.
        unsafe { &*(self.slots.add(tid) as *const AtomicU32) }
    }

    /// The slot of the thread that asks, and the place of the call among its orders, behind those it is past. It is past it
    /// then. None where nobody has ordered it.
    fn take(&self, question: &Question) -> Option<(u32, u32)> {
        let tid = question.tid as usize;
        let slot = (tid < THREADS_MAX).then(|| self.slot_of(tid).load(SeqCst))?.checked_sub(1)?;
        if self.word(slot, THREAD).load(SeqCst) != question.tid {
            return None;
        }
        let count = self.word(slot, IN_FORCE).load(SeqCst).min(COMMANDS_MAX as u32);
        for index in self.word(slot, PASSED).load(SeqCst)..count {
            // SAFETY: a command lies within the slot's orders; the sentry alone writes it, before IN_FORCE.
            let command = unsafe { *(self.at(slot, COMMANDS + index as u64 * COMMAND_BYTES) as *const Command) };
            if command.allows(question) {
                self.word(slot, PASSED).store(index + 1, SeqCst);
                if question.number as i64 == libc::SYS_clone {
                    self.let_clone(slot);
                }
                return Some((slot, index));
            }
        }
        None
    }

    /// A clone(2) is about to be allowed, as soon as its thread is not being halted. Either the sentry sees CLONED or this sees
    /// HALTING.
    fn let_clone(&self, slot: u32) {
        let (cloned, halting) = (self.word(slot, CLONED), self.word(slot, HALTING));
        loop {
            cloned.store(1, SeqCst);
            if halting.load(SeqCst) == 0 {
                return;
            }
            cloned.store(0, SeqCst);
            while halting.load(SeqCst) != 0 {
                std::thread::sleep(HALT_LOOK);
            }
        }
    }

    /// The call at `index` was not allowed after all. Where the sentry has given other orders meanwhile, nothing is changed.
    fn give_back(&self, slot: u32, index: u32) {
        if self.word(slot, PASSED).compare_exchange(index + 1, index, SeqCst, SeqCst).is_ok() {
            self.word(slot, CLONED).store(0, SeqCst);
        }
    }
}

const RSEQ_FLAG_UNREGISTER: u64 = 1;

/// A command as it is in a slot.
#[repr(C)]
#[derive(Clone, Copy)]
struct Command {
    op: u32,
    must_succeed: u32,
    /// Before it is carried out: the number of a host call.
    result: i64,
    arguments: [u64; 6],
}

impl Command {
    /// Whether the stub asks just this to carry the command out (native/stub/stub.rs). Addresses that the host reads or writes
    /// in the stub's own memory are the stub's to choose.
    fn allows(&self, question: &Question) -> bool {
        let asked = &question.arguments;
        let is = |number: i64| question.number as i64 == number;
        match self.op {
            OP_SYSCALL => is(self.result) && *asked == self.arguments,
            OP_RECEIVE_FDS => is(libc::SYS_recvmsg) && asked[0] == 0 && asked[2] == 0,
            OP_FORK | OP_CLONE => {
                let [flags, child, ..] = self.arguments;
                is(libc::SYS_clone) && asked[..5] == [flags, child + STACK_END, 0, child + TID, 0]
            }
            OP_BEGIN => is(libc::SYS_sigaltstack) && asked[1] == 0,
            OP_EXIT => is(libc::SYS_exit),
            OP_LEAVE => {
                let [area, length, signature, ..] = self.arguments;
                is(libc::SYS_rseq) && asked[..4] == [area, length, RSEQ_FLAG_UNREGISTER, signature]
            }
            _ => false,
        }
    }
}

/// Layout of struct seccomp_notif and seccomp_notif_resp (include/uapi/linux/seccomp.h).
#[repr(C)]
struct Question {
    id: u64,
    tid: u32,
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
/// Who asks and who answers change places on one CPU, since Linux 6.6.
const NOTIF_SYNC_WAKE_UP: u64 = 1;
const NOTIF_CONTINUE: u32 = 1;

/// Takes one question of the listener and answers it. False when the listener is no good.
fn answer(listener: i32) -> bool {
    // SAFETY: all zeros is a valid notification, which the kernel wants; it fills one.
    let mut question: Question = unsafe { std::mem::zeroed() };
    if unsafe { libc::ioctl(listener, NOTIF_RECV, &mut question) } < 0 {
        // Who asked may be gone again, or all who ever could.
        return matches!(errno().abs(), libc::ENOENT | libc::EINTR | libc::EAGAIN) && !is_over(listener);
    }
    let Some((slot, index)) = orders().take(&question) else {
        // SAFETY: kill passes no memory. The number is a thread's of a stub that waits in this very call.
        unsafe { libc::kill(question.tid as i32, libc::SIGKILL) };
        return true;
    };
    let answer = Answer { id: question.id, value: 0, error: 0, flags: NOTIF_CONTINUE };
    // SAFETY: reads one answer. What continues is the call with the registers that were looked at.
    if unsafe { libc::ioctl(listener, NOTIF_SEND, &answer) } < 0 {
        // A signal (a halt, an interrupt) has ended the wait for the answer: the call is made, and asked for, once more.
        orders().give_back(slot, index);
    }
    true
}

/// No process has the filter any more.
fn is_over(listener: i32) -> bool {
    let mut poll = libc::pollfd { fd: listener, events: 0, revents: 0 };
    // SAFETY: polls one descriptor.
    unsafe { libc::poll(&mut poll, 1, 0) };
    poll.revents & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0
}

/// Whether the host's filters can ask.
pub fn may_ask() -> bool {
    let action: u32 = 0x7fc0_0000;
    const SECCOMP_GET_ACTION_AVAIL: u32 = 2;
    // SAFETY: reads one word.
    unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0 }
}

/// Takes the listener of the stubs' filter, descriptor `fd` of the first stub `pid`, and starts the notary. 0 or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_listen(pid: i32, fd: i32) -> i32 {
    // SAFETY: plain calls on descriptors.
    let listener = unsafe {
        let process = libc::syscall(libc::SYS_pidfd_open, pid, 0) as i32;
        if process < 0 {
            return errno();
        }
        let listener = libc::syscall(libc::SYS_pidfd_getfd, process, fd, 0) as i32;
        let error = errno();
        libc::close(process);
        if listener < 0 {
            return error;
        }
        // Where it is not known nothing is lost.
        libc::ioctl(listener, NOTIF_SET_FLAGS, NOTIF_SYNC_WAKE_UP);
        listener
    };
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new().name("notary".into()).stack_size(64 * 1024);
    let spawned = thread.spawn(move || {
        // SAFETY: no signal is this thread's; the number of a thread passes no memory.
        let _ = tell.send(unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, null_mut());
            libc::gettid()
        });
        while answer(listener) {}
    });
    if let Err(error) = spawned {
        return -error.raw_os_error().unwrap_or(libc::EAGAIN);
    }
    NOTARY.store(told.recv().unwrap_or(0), SeqCst);
    0
}
