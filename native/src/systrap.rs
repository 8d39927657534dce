//! The sentry's end of the systrap platform: which slots run guest code, the wait for their events, and on which CPUs sentry and
//! guests run. What an event means is decided in TypeScript (platform/systrap). One thread calls in here.
//!
//! Results are >= 0 or -errno. Every value read from a slot is untrusted: only STATE and WAITING are read here.

use crate::errno::errno;
use crate::host_loop::{host_loop, monotonic_nanos, nanos_until};
use crate::slot::*;
use crate::stub_memory::{is_running, stub_memory};
use std::ptr::null_mut;
use std::sync::atomic::Ordering::SeqCst;

/// Events handed over in one turn.
const EVENTS_MAX: usize = 1024;
/// Events that make a turn a long one.
const CROWD_EVENTS: usize = 16;

// Control block, u32 words, read and written by TypeScript.
const C_EVENTS: usize = 0;
/// Host descriptors in the block of host_loop.rs.
const C_HOST_EVENTS: usize = 1;
/// 1 when this turn had to wait, 2 when it also saw that another ran on its CPU meanwhile, 3 when nothing came in `sleep_nanos`.
const C_WAITED: usize = 2;
/// Slots that run after this turn.
const C_RUNNING: usize = 3;
/// Two words, an f64: CLOCK_MONOTONIC at the end of a turn that had to wait.
const C_NOW: usize = 4;
const C_RESUME: usize = 16;
const C_EVENT_LIST: usize = C_RESUME + EVENTS_MAX;
const C_WORDS: usize = C_EVENT_LIST + EVENTS_MAX;

struct Systrap {
    control: *mut u32,
    /// Slots that run guest code: their STATE is a running value until they post an event.
    running: Vec<u32>,
    /// Of those, the ones the host waited for a futex for when we last slept: they ring when they post, and are looked at
    /// less often.
    dormant: Vec<u32>,
    turns: u32,
    /// The CPUs we were started on: all of them, the one the sentry takes, the rest.
    cpus: [libc::cpu_set_t; 3],
}

/// With more slots than this the busy sentry sorts out those that wait.
const MANY_RUNNING: usize = 4;
/// Pauses between looks at the clock while spinning.
const PAUSES_A_LOOK: u32 = 32;
/// Two looks at the clock are further apart than this only when another ran on our CPU in between.
const GAP_NANOS: f64 = 500_000.0;

static mut SYSTRAP: Option<Systrap> = None;

fn systrap() -> &'static mut Systrap {
    // SAFETY: only the sentry's one thread calls this library's platform functions, after tsv_systrap_start.
    unsafe { (*(&raw mut SYSTRAP)).as_mut().expect("systrap is not started") }
}

/// Makes the control block. 0 or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_start() -> i32 {
    // SAFETY: memory made here.
    unsafe {
        let control = libc::mmap(
            null_mut(),
            C_WORDS * 4,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if control == libc::MAP_FAILED {
            return errno();
        }
        SYSTRAP = Some(Systrap {
            control: control as *mut u32,
            running: Vec::new(),
            dormant: Vec::new(),
            turns: 0,
            cpus: own_cpus(),
        });
    }
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_control() -> *mut u32 {
    systrap().control
}

impl Systrap {
    /// Fetches the call line of `slot` as our CPU's own: the answer is then written without asking for it again. While the
    /// guest runs it does not touch the line.
    fn claim(&self, slot: u32) {
        // SAFETY: a hint, on memory that is mapped.
        unsafe {
            std::arch::asm!("prefetchw [{}]", in(reg) stub_memory().slot(slot), options(nostack, preserves_flags, readonly))
        };
    }

    /// Moves running slots with an event to the event list; gives back how many.
    fn collect(&mut self) -> usize {
        let mut found = 0;
        let mut at = 0;
        while at < self.running.len() && found < EVENTS_MAX {
            let slot = self.running[at];
            self.claim(slot);
            let state = stub_memory().state(slot).load(SeqCst);
            if !is_running(state) {
                self.running.swap_remove(at);
                self.put(C_EVENT_LIST + found, slot);
                found += 1;
            } else {
                at += 1;
            }
        }
        found
    }

    /// Running slots that wait for a futex go to the dormant ones.
    fn sort_out_dormant(&mut self) {
        let mut at = 0;
        while at < self.running.len() {
            let slot = self.running[at];
            let asleep = stub_memory().state(slot).compare_exchange(STATE_RUN, STATE_RUN_SENTRY_ASLEEP, SeqCst, SeqCst);
            if self.is_waiting(slot) && matches!(asleep, Ok(_) | Err(STATE_RUN_SENTRY_ASLEEP)) {
                self.running.swap_remove(at);
                self.dormant.push(slot);
            } else {
                at += 1;
            }
        }
    }

    fn is_waiting(&self, slot: u32) -> bool {
        // SAFETY: an aligned word of a mapped slot.
        unsafe { (stub_memory().slot(slot).add(WAITING as usize) as *const u32).read_volatile() != 0 }
    }

    /// Dormant slots that have posted, or run guest code again, go back to the running ones.
    fn rouse(&mut self) {
        let mut at = 0;
        while at < self.dormant.len() {
            let slot = self.dormant[at];
            if self.is_waiting(slot) && stub_memory().state(slot).load(SeqCst) == STATE_RUN_SENTRY_ASLEEP {
                at += 1;
            } else {
                let _ = stub_memory().state(slot).compare_exchange(STATE_RUN_SENTRY_ASLEEP, STATE_RUN, SeqCst, SeqCst);
                self.dormant.swap_remove(at);
                self.running.push(slot);
            }
        }
    }

    fn put(&self, word: usize, value: u32) {
        // SAFETY: `word` < C_WORDS by construction of the callers.
        unsafe { self.control.add(word).write_volatile(value) }
    }
    fn get(&self, word: usize) -> u32 {
        // SAFETY: as put.
        unsafe { self.control.add(word).read_volatile() }
    }

    /// What is ready of the host goes to its block; how much it is.
    fn poll(&self, timeout_nanos: f64) -> usize {
        host_loop().poll(timeout_nanos)
    }
}

/// Resumes the `resumes` slots listed in the control block.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_resume(resumes: u32) -> i32 {
    let systrap = systrap();
    for n in 0..(resumes as usize).min(EVENTS_MAX) {
        let slot = systrap.get(C_RESUME + n);
        stub_memory().run(slot);
        systrap.running.push(slot);
    }
    0
}

/// Resumes the `resumes` slots listed in the control block, then waits for events until `deadline` (CLOCK_MONOTONIC
/// nanoseconds; infinite = none; 0 = do not wait; negative = spin only). Spins at most `spin_nanos` first, and sleeps at most
/// `sleep_nanos` where guests may be running. Gives back the number of events; they and the host events stand in the control
/// block, and how the wait went.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_wait(resumes: u32, deadline: f64, spin_nanos: f64, sleep_nanos: f64) -> u32 {
    tsv_systrap_resume(resumes);
    let systrap = systrap();
    systrap.turns = systrap.turns.wrapping_add(1);
    systrap.put(C_WAITED, 0);
    if systrap.turns & 63 == 0 {
        systrap.rouse();
        if systrap.running.len() > MANY_RUNNING && systrap.turns & 1023 == 0 {
            systrap.sort_out_dormant();
        }
    }
    let mut found = systrap.collect();
    if found == 0 && deadline != 0.0 && spin_nanos > 0.0 && !systrap.running.is_empty() {
        found = systrap.spin(spin_nanos);
    }
    if found == 0 && deadline > 0.0 {
        return systrap.sleep(deadline, sleep_nanos);
    }
    // Busy guests must not starve host descriptors: look at them every few turns, and in each that serves many.
    let is_due = systrap.turns & 63 == 0 || found >= CROWD_EVENTS;
    let host = if deadline == 0.0 || is_due { systrap.poll(0.0) } else { 0 };
    systrap.put(C_HOST_EVENTS, host as u32);
    systrap.put(C_EVENTS, found as u32);
    found as u32
}

impl Systrap {
    fn spin(&mut self, nanos: f64) -> usize {
        let mut last = 0.0;
        let mut end = f64::INFINITY;
        loop {
            for _ in 0..PAUSES_A_LOOK {
                std::hint::spin_loop();
                let found = self.collect();
                if found != 0 {
                    if last != 0.0 {
                        self.note_time(monotonic_nanos());
                    }
                    return found;
                }
            }
            self.rouse();
            let now = monotonic_nanos();
            if last == 0.0 {
                end = now + nanos;
                self.put(C_WAITED, 1);
            } else if now - last > GAP_NANOS {
                self.put(C_WAITED, 2);
            }
            if now >= end {
                return 0;
            }
            last = now;
        }
    }

    fn note_time(&self, now: f64) {
        let bits = now.to_bits();
        self.put(C_NOW, bits as u32);
        self.put(C_NOW + 1, (bits >> 32) as u32);
        self.put(C_RUNNING, self.running.len() as u32);
    }

    fn sleep(&mut self, deadline: f64, most: f64) -> u32 {
        self.rouse();
        let mut rang = false;
        for &slot in &self.running {
            let state = stub_memory().state(slot);
            rang |= state.compare_exchange(STATE_RUN, STATE_RUN_SENTRY_ASLEEP, SeqCst, SeqCst).is_err()
                && state.load(SeqCst) != STATE_RUN_SENTRY_ASLEEP;
        }
        let timeout = if rang {
            0.0
        } else {
            nanos_until(deadline)
        };
        self.sort_out_dormant();
        let running = self.running.len() as u32;
        let is_capped = most < timeout && !(self.running.is_empty() && self.dormant.is_empty());
        let host = self.poll(if is_capped { most } else { timeout });
        self.rouse();
        for &slot in &self.running {
            let _ = stub_memory().state(slot).compare_exchange(STATE_RUN_SENTRY_ASLEEP, STATE_RUN, SeqCst, SeqCst);
        }
        let found = self.collect();
        self.put(C_HOST_EVENTS, host as u32);
        self.put(C_EVENTS, found as u32);
        let is_quiet = is_capped && found == 0 && host == 0;
        self.put(C_WAITED, if is_quiet { 3 } else { self.get(C_WAITED).max(1) });
        self.note_time(monotonic_nanos());
        self.put(C_RUNNING, running);
        found as u32
    }
}

/// All CPUs of this thread's affinity, the one it runs on, the rest.
fn own_cpus() -> [libc::cpu_set_t; 3] {
    // SAFETY: the kernel fills one set; the macros index within a set, as CPU numbers come from it.
    unsafe {
        let mut all: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut all);
        let own = libc::sched_getcpu().max(0) as usize;
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(own, &mut one);
        let mut rest = all;
        libc::CPU_CLR(own, &mut rest);
        [all, one, rest]
    }
}

/// How many CPUs we may use.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_cpus() -> u32 {
    // SAFETY: counts the bits of a set.
    unsafe { libc::CPU_COUNT(&systrap().cpus[0]) as u32 }
}

/// The CPU that CPU set 1 of tsv_systrap_place holds.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_own_cpu() -> i32 {
    let set = &systrap().cpus[1];
    // SAFETY: looks at bits within the set.
    (0..8 * size_of_val(set)).find(|&cpu| unsafe { libc::CPU_ISSET(cpu, set) }).map_or(-1, |cpu| cpu as i32)
}

/// Lets thread `tid` (0 = the caller) run on CPU set `which`: 0 all, 1 the sentry's one, 2 the rest.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_place(tid: i32, which: u32) -> i32 {
    let Some(set) = systrap().cpus.get(which as usize) else {
        return -libc::EINVAL;
    };
    // SAFETY: passes one set.
    if unsafe { libc::sched_setaffinity(tid, size_of::<libc::cpu_set_t>(), set) } < 0 { errno() } else { 0 }
}

/// Takes a slot out of the running set (its process is dead); 1 when it was in it.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_forget(slot: u32) -> u32 {
    let systrap = systrap();
    let before = systrap.running.len() + systrap.dormant.len();
    systrap.running.retain(|&running| running != slot);
    systrap.dormant.retain(|&dormant| dormant != slot);
    (before != systrap.running.len() + systrap.dormant.len()) as u32
}
