//! Seccomp for stubs: what their own text may ask of the host, by call and argument. A guest can jump to our `syscall`
//! instruction with any registers, so this list is the boundary. Everything else raises SIGSYS and becomes an event.
//! Hand-assembled: the filter tests the instruction pointer, which filter libraries do not offer.

use crate::slot::{DIRECT_READ_FD, DIRECT_WRITE_FD, STUB_TEXT, STUB_TEXT_BYTES};

/// `asks_clone`: clone(2) raises a notification, which the sentry answers where it has commanded just that call.
pub fn stub_filter(asks_clone: bool) -> Vec<libc::sock_filter> {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
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
    for (number, checks) in stub_calls() {
        // The block of a call: its number, its checks one after the other, each of which may refuse; then the verdict.
        let mut block = Vec::new();
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
            block.push(op(RETURN, 0, 0, TRAP));
        }
        let asks = asks_clone && number == libc::SYS_clone;
        block.push(op(RETURN, 0, 0, if asks { ASK } else { ALLOW }));
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

/// The calls of the stub's text, with the reason beside each.
fn stub_calls() -> Vec<(i64, Vec<Check>)> {
    use Check::{Is, Within};
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
    vec![
        // Wait for the sentry on the own slot; and the guest's own private futexes, which reach its own memory alone.
        (libc::SYS_futex, vec![Is(1, vec![libc::FUTEX_WAIT as u32, 128, 129, 131, 132, 133, 137, 138, 137 | 256])]),
        (libc::SYS_rt_sigreturn, vec![]),                              // end of the trap handler
        (libc::SYS_restart_syscall, vec![]), // how the host goes on with a timed futex(2) after it has halted the process
        (libc::SYS_write, vec![Is(0, vec![DOORBELL]), Is(2, vec![8])]), // ring
        // Commands: the guest's memory. No descriptor in a stub can be mapped but one sent for that moment.
        (libc::SYS_mmap, vec![Within(3, mappings as u32), Is(4, vec![u32::MAX, RECEIVED])]),
        (libc::SYS_munmap, vec![]),
        (libc::SYS_mprotect, vec![Within(2, 7)]),
        (libc::SYS_mremap, vec![Within(3, (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as u32)]),
        (libc::SYS_madvise, vec![Is(2, advice.to_vec())]),
        (libc::SYS_msync, vec![]),
        (libc::SYS_mincore, vec![]),
        (libc::SYS_recvmsg, vec![Is(0, vec![SOCKET]), Is(2, vec![0])]), // descriptors from the sentry
        (libc::SYS_membarrier, vec![Is(0, barriers.to_vec())]),         // the guest's own, among its threads
        (libc::SYS_clock_gettime, vec![Is(0, vec![libc::CLOCK_THREAD_CPUTIME_ID as u32])]), // the own time
        (libc::SYS_rseq, vec![]),                                       // the guest's own, of this thread
        (libc::SYS_close, vec![]),
        (libc::SYS_dup2, vec![Is(0, vec![OWN_SOCKET, RECEIVED]), Is(1, vec![SOCKET, DIRECT_READ_FD, DIRECT_WRITE_FD])]),
        // What the sentry has put there for that, and nothing else of it: what is open for reading only is read only.
        (libc::SYS_pread64, vec![Is(0, vec![DIRECT_READ_FD])]),
        (libc::SYS_preadv2, vec![Is(0, vec![DIRECT_READ_FD]), Is(5, vec![libc::RWF_NOWAIT as u32])]),
        (libc::SYS_pwrite64, vec![Is(0, vec![DIRECT_WRITE_FD])]),
        (libc::SYS_clone, vec![Is(0, vec![FORK_FLAGS, THREAD_FLAGS])]),
        (libc::SYS_sigaltstack, vec![]),
        (libc::SYS_prctl, vec![Is(0, vec![libc::PR_SET_PDEATHSIG as u32]), Is(1, vec![libc::SIGKILL as u32])]),
        (libc::SYS_arch_prctl, vec![Is(0, vec![0x1001, 0x1002])]), // FS and GS base
        (libc::SYS_exit, vec![]),
        (libc::SYS_exit_group, vec![]),
    ]
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
