//! Seccomp for stubs: what their own text may ask of the host, by call and argument. A guest can jump to our `syscall`
//! instruction with any registers, so this list is the boundary. Everything else raises SIGSYS and becomes an event.
//! Hand-assembled: the filter tests the instruction pointer, which filter libraries do not offer.

use crate::slot::{DIRECT_READ_FD, DIRECT_WRITE_FD, STUB_TEXT, STUB_TEXT_BYTES};

/// Which calls of the stub's raise a notification, which the notary answers (orders.rs).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    Never,
    /// What is the sentry's.
    ForMost,
    /// What is the sentry's or changes the guest's own memory.
    ForAll,
}

pub fn stub_filter(asks: Asks) -> Vec<libc::sock_filter> {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
    const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    const ALLOW: u32 = 0x7fff_0000;
    const TRAP: u32 = 0x0003_0000;
    const ASK: u32 = 0x7fc0_0000;
    let op = |code: u16, jt: u8, jf: u8, k: u32| libc::sock_filter { code, jt, jf, k };
    let mut program = vec![
        op(LOAD, 0, 0, 4), // arch
        op(EQUAL, 1, 0, 0xc000_003e),
        op(RETURN, 0, 0, TRAP),
        op(LOAD, 0, 0, 12), // instruction pointer, high
        op(EQUAL, 1, 0, (STUB_TEXT >> 32) as u32),
        op(RETURN, 0, 0, TRAP),
        op(LOAD, 0, 0, 8), // and low
        op(AT_LEAST, 0, 1, (STUB_TEXT as u32) + STUB_TEXT_BYTES as u32),
        op(RETURN, 0, 0, TRAP),
        op(LOAD, 0, 0, 0), // number
    ];
    for (number, whose, checks) in stub_calls() {
        // The block of a call: its number, its checks one after the other, each of which may lead to the end of the block; the
        // verdict; and the number anew for the next block.
        let mut block = Vec::new();
        let mut leaving = Vec::new();
        for check in checks {
            match check {
                Check::Is(argument, values) => {
                    block.push(op(LOAD, 0, 0, 16 + argument * 8));
                    for (n, value) in values.iter().enumerate() {
                        block.push(op(EQUAL, (values.len() - n) as u8, 0, *value));
                    }
                }
                Check::Within(argument, bits) => {
                    block.push(op(LOAD, 0, 0, 16 + argument * 8));
                    block.push(op(AND, 0, 0, !bits));
                    block.push(op(EQUAL, 1, 0, 0));
                }
            }
            leaving.push(block.len());
            block.push(op(JUMP, 0, 0, 0));
        }
        let is_asked = match asks {
            Asks::Never => false,
            Asks::ForMost => whose == Whose::Sentry,
            Asks::ForAll => whose != Whose::Guest,
        };
        block.push(op(RETURN, 0, 0, if is_asked { ASK } else { ALLOW }));
        for at in leaving {
            block[at].k = (block.len() - at - 1) as u32;
        }
        block.push(op(LOAD, 0, 0, 0));
        program.push(op(EQUAL, 0, block.len() as u8, number as u32));
        program.append(&mut block);
    }
    program.push(op(RETURN, 0, 0, TRAP));
    program
}

/// What must hold of an argument's low word. (Of flags and descriptors the host looks at no more than that.)
enum Check {
    /// It is one of these.
    Is(u32, Vec<u32>),
    /// It has no bit beyond these.
    Within(u32, u32),
}

/// Whose decision a call is, as far as its arguments are within the list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Guest code may make it: it gets nothing by it that it does not have.
    Guest,
    /// It reaches the process itself alone: its memory, which the host's cgroup counts, its threads, its own descriptors.
    Own,
    /// It makes a process or takes a descriptor: only where the sentry has ordered it.
    Sentry,
}

/// The calls of the stub's text, with the reason beside each.
fn stub_calls() -> Vec<(i64, Whose, Vec<Check>)> {
    use Check::{Is, Within};
    use Whose::{Guest, Own, Sentry};
    const SOCKET: u32 = 0;
    const DOORBELL: u32 = 1;
    // The first descriptor of a message from the sentry.
    const RECEIVED: u32 = 2;
    // Of a forked child, before it becomes SOCKET.
    const OWN_SOCKET: u32 = 3;
    let mappings = libc::MAP_SHARED
        | libc::MAP_PRIVATE
        | libc::MAP_FIXED
        | libc::MAP_ANONYMOUS
        | libc::MAP_NORESERVE
        | libc::MAP_POPULATE
        | libc::MAP_STACK;
    // All that change or page the caller's own memory. Not MADV_MERGEABLE: what is shared with a neighbour shows in time.
    let advice = [0, 1, 2, 3, 4, 8, 9, 10, 11, 14, 15, 18, 19, 20, 21, 22, 23];
    let barriers = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512];
    // Wait for the sentry on the own slot; and the guest's own private futexes, which reach its own memory alone.
    let futexes = vec![libc::FUTEX_WAIT as u32, 128, 129, 131, 132, 133, 137, 138, 137 | 256];
    let mut calls = vec![
        (libc::SYS_futex, Guest, vec![Is(1, futexes)]),
        (libc::SYS_rt_sigreturn, Guest, vec![]), // end of the trap handler
        (libc::SYS_write, Guest, vec![Is(0, vec![DOORBELL]), Is(2, vec![8])]), // ring
        // What the sentry has put there for that, and nothing else of it: what is open for reading only is read only.
        (libc::SYS_pread64, Guest, vec![Is(0, vec![DIRECT_READ_FD])]),
        (libc::SYS_preadv2, Guest, vec![Is(0, vec![DIRECT_READ_FD]), Is(5, vec![libc::RWF_NOWAIT as u32])]),
        (libc::SYS_pwrite64, Guest, vec![Is(0, vec![DIRECT_WRITE_FD])]),
        (libc::SYS_restart_syscall, Guest, vec![]), // how the host goes on with a timed futex(2) after it has halted the process
        // Commands: the guest's memory. No descriptor in a stub can be mapped but one sent for that moment.
        (libc::SYS_mmap, Own, vec![Within(3, mappings as u32), Is(4, vec![u32::MAX])]),
        (libc::SYS_mmap, Sentry, vec![Within(3, mappings as u32), Is(4, vec![RECEIVED])]),
        (libc::SYS_munmap, Own, vec![]),
        (libc::SYS_mprotect, Own, vec![Within(2, 7)]),
        (libc::SYS_mremap, Own, vec![Within(3, (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as u32)]),
        (libc::SYS_madvise, Own, vec![Is(2, advice.to_vec())]),
        (libc::SYS_msync, Own, vec![]),
        (libc::SYS_mincore, Own, vec![]),
        (libc::SYS_recvmsg, Sentry, vec![Is(0, vec![SOCKET]), Is(2, vec![0])]), // descriptors from the sentry
        (libc::SYS_membarrier, Own, vec![Is(0, barriers.to_vec())]),            // the guest's own, among its threads
        (libc::SYS_clock_gettime, Own, vec![Is(0, vec![libc::CLOCK_THREAD_CPUTIME_ID as u32])]), // the own time
        (libc::SYS_rseq, Own, vec![]),                                          // the guest's own, of this thread
        (libc::SYS_close, Own, vec![]),
        (
            libc::SYS_dup2,
            Own,
            vec![Is(0, vec![OWN_SOCKET, RECEIVED]), Is(1, vec![SOCKET, DIRECT_READ_FD, DIRECT_WRITE_FD])],
        ),
        (libc::SYS_clone, Sentry, vec![Is(0, vec![FORK_FLAGS, THREAD_FLAGS])]),
        (libc::SYS_sigaltstack, Own, vec![]),
        (libc::SYS_prctl, Own, vec![Is(0, vec![libc::PR_SET_PDEATHSIG as u32]), Is(1, vec![libc::SIGKILL as u32])]),
        (libc::SYS_exit, Own, vec![]),
    ];
    if !has_fsgsbase() {
        calls.push((libc::SYS_arch_prctl, Guest, vec![Is(0, vec![0x1001, 0x1002])])); // FS and GS base
    }
    calls
}

/// User code may write FS and GS base itself.
pub fn has_fsgsbase() -> bool {
    // SAFETY: reads the auxiliary vector of this process.
    unsafe { libc::getauxval(libc::AT_HWCAP2) & 2 != 0 }
}

/// The sentry stays the parent of every stub; no signal when one ends.
pub const FORK_FLAGS: u32 = (libc::CLONE_PARENT | libc::CLONE_CHILD_CLEARTID) as u32;
pub const THREAD_FLAGS: u32 = (libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM
    | libc::CLONE_CHILD_CLEARTID) as u32;
