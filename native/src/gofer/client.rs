//! The sentry's end of the channel to the gofer: requests are posted, waited for shortly, and taken later where the answer is
//! late. Called from one thread. What the gofer writes is checked here and in gofer/client.ts.

use super::channel::{
    ANSWERED, FRAME_BYTES_MAX, FREE, LATE, POSTED, SLOTS, Shared, TAKEN, VERSION, create, futex_wait, futex_wake, receive,
    send,
};
use crate::errno::errno;
use std::cell::RefCell;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::sync::atomic::Ordering;

/// Messages read from the socket at once: a hostile gofer must not hold us in here.
const MESSAGES_MAX: usize = 4 * SLOTS;

/// How long a wait goes on before it checks that the gofer runs: its death rings no doorbell.
const PIECE_NANOS: f64 = 100e6;

struct Client {
    socket: i32,
    shared: Shared,
    /// Slots in use, a bit each: what the memory says of that is the gofer's word.
    used: u32,
    sequence: [u32; SLOTS],
    /// Descriptors that came for requests not taken yet.
    held: [Option<OwnedFd>; SLOTS],
}

thread_local! {
    /// Channels by handle. A sentry has one thread and one channel; tests have several channels.
    static CLIENTS: RefCell<Vec<Option<Client>>> = const { RefCell::new(Vec::new()) };
}

/// -EBADF when `handle` is none.
fn with_client(handle: u32, run: impl FnOnce(&mut Client) -> i32) -> i32 {
    CLIENTS
        .with_borrow_mut(|clients| clients.get_mut(handle as usize).and_then(Option::as_mut).map_or(-libc::EBADF, run))
}

fn monotonic() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Makes a channel and offers it over `socket`; `cpu` (plus 1; 0 = any) is where its answers are waited for. Its handle, or
/// -errno; -EPROTONOSUPPORT when the gofer speaks another version.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_connect(socket: i32, cpu: u32, millis: i32) -> i32 {
    let connect = || -> Result<Client, i32> {
        let memory = create()?;
        let shared = Shared::map(memory.as_raw_fd())?;
        let sent = send(socket, [VERSION, cpu], memory.as_raw_fd());
        if sent < 0 {
            return Err(sent);
        }
        let mut poll = libc::pollfd { fd: socket, events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd.
        match unsafe { libc::poll(&mut poll, 1, millis) } {
            0 => return Err(-libc::ETIMEDOUT),
            n if n < 0 => return Err(errno()),
            _ => {}
        }
        let ([version, refusal], _) = receive(socket, false)?;
        if version != VERSION {
            return Err(-libc::EPROTONOSUPPORT);
        }
        if refusal != 0 {
            return Err(-libc::ECONNREFUSED);
        }
        Ok(Client { socket, shared, used: 0, sequence: [0; SLOTS], held: [const { None }; SLOTS] })
    };
    match connect() {
        Err(0) => -libc::ECONNRESET,
        Err(error) => error,
        Ok(made) => CLIENTS.with_borrow_mut(|clients| {
            let free = clients.iter().position(Option::is_none).unwrap_or(clients.len());
            if free == clients.len() {
                clients.push(None);
            }
            clients[free] = Some(made);
            free as i32
        }),
    }
}

/// Nothing more is asked: the memory goes. The socket is the caller's.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_disconnect(handle: u32) -> i32 {
    CLIENTS.with_borrow_mut(|clients| {
        if let Some(place) = clients.get_mut(handle as usize) {
            *place = None;
        }
    });
    0
}

/// Posts a request: its slot, or -EAGAIN when all are in use.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_post(handle: u32, question: *const u8, length: u32) -> i32 {
    // SAFETY: the caller's array has `length` bytes (native/gofer_channel.ts).
    let question = unsafe { std::slice::from_raw_parts(question, length as usize) };
    with_client(handle, |client| post(client, question))
}

fn post(client: &mut Client, question: &[u8]) -> i32 {
    let index = client.used.trailing_ones() as usize;
    if index >= SLOTS {
        return -libc::EAGAIN;
    }
    if question.len() > FRAME_BYTES_MAX {
        return -libc::EINVAL;
    }
    client.used |= 1 << index;
    client.sequence[index] = client.sequence[index].wrapping_add(1);
    let slot = client.shared.slot(index);
    slot.write(question);
    slot.sequence.store(client.sequence[index], Ordering::Relaxed);
    slot.has_descriptor.store(0, Ordering::Relaxed);
    slot.state.store(POSTED, Ordering::Release);
    client.shared.requests().fetch_add(1, Ordering::Release);
    futex_wake(client.shared.requests(), 1);
    index as i32
}

/// Waits at most `micros` for the answer in `index`, then marks it late: the gofer sends a message once it is there.
/// `into` has FRAME_BYTES_MAX bytes; `more` takes the time (CLOCK_MONOTONIC nanoseconds) and the descriptor or -1;
/// where the answer is late, more[4] says whether the gofer has begun (1) or not (0).
/// Bytes of the answer; -ETIMEDOUT when it is late; another -errno when the gofer talks nonsense or is gone.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_await(handle: u32, index: u32, into: *mut u8, micros: f64, more: *mut f64) -> i32 {
    with_client(handle, |client| await_answer(client, index, into, micros, more))
}

fn await_answer(client: &mut Client, index: u32, into: *mut u8, micros: f64, more: *mut f64) -> i32 {
    if index as usize >= SLOTS || client.used & 1 << index == 0 {
        return -libc::EBADF;
    }
    let slot = client.shared.slot(index as usize);
    let mut end = 0.0;
    loop {
        let state = slot.state.load(Ordering::Acquire);
        if state & !LATE == ANSWERED {
            return take(client, index as usize, into, more);
        }
        let now = monotonic();
        if end == 0.0 {
            end = now + micros * 1e3;
        }
        if now >= end {
            break;
        }
        let nanos = (end - now).min(PIECE_NANOS);
        if futex_wait(slot.state, state, Some(nanos as u64)) && nanos == PIECE_NANOS && is_gone(client.socket) {
            return -libc::ECONNRESET;
        }
    }
    let state = slot.state.fetch_or(LATE, Ordering::AcqRel) & !LATE;
    if state == ANSWERED {
        return take(client, index as usize, into, more);
    }
    // SAFETY: `more` has five entries.
    unsafe { *more.add(4) = if state == TAKEN { 1.0 } else { 0.0 } };
    client.shared.late().fetch_add(1, Ordering::Release);
    futex_wake(client.shared.late(), 1);
    -libc::ETIMEDOUT
}

/// tsv_gofer_post and tsv_gofer_await in one: what most requests need. The slot goes to more[2];
/// more[3] becomes 1 when a message was read that tells of another answer.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_ask(
    handle: u32,
    question: *const u8,
    length: u32,
    into: *mut u8,
    micros: f64,
    more: *mut f64,
) -> i32 {
    let index = tsv_gofer_post(handle, question, length);
    if index < 0 {
        return index;
    }
    // SAFETY: `more` has five entries.
    unsafe { *more.add(2) = index as f64 };
    tsv_gofer_await(handle, index as u32, into, micros, more)
}

/// Reads the messages on the socket, and says in `answered` which slots have their answers, a bit each. -errno when the
/// gofer is gone.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_answered(handle: u32, answered: *mut u32) -> i32 {
    with_client(handle, |client| {
        for _ in 0..MESSAGES_MAX {
            match take_message(client) {
                Ok(_) => {}
                Err(error) if error == -libc::EAGAIN => break,
                Err(error) => return error.min(-1),
            }
        }
        let is_answered = |&index: &usize| {
            client.used & 1 << index != 0 && client.shared.slot(index).state.load(Ordering::Acquire) & !LATE == ANSWERED
        };
        let bits = (0..SLOTS).filter(is_answered).fold(0u32, |bits, index| bits | 1 << index);
        // SAFETY: one word of the caller's.
        unsafe { *answered = bits };
        0
    })
}

/// Reads one message and keeps its descriptor for the request it belongs to: its slot.
fn take_message(client: &mut Client) -> Result<usize, i32> {
    let ([index, sequence], fd) = receive(client.socket, false)?;
    let index = index as usize;
    // Whatever belongs to no request in flight is closed.
    if index < SLOTS && client.used & 1 << index != 0 && client.sequence[index] == sequence && fd.is_some() {
        client.held[index] = fd;
    }
    Ok(index)
}

fn take(client: &mut Client, index: usize, into: *mut u8, more: *mut f64) -> i32 {
    let wants = client.shared.slot(index).has_descriptor.load(Ordering::Acquire) != 0;
    // It was sent before the answer was.
    let (mut read, mut has_others) = (0, false);
    while wants && client.held[index].is_none() && read < MESSAGES_MAX {
        match take_message(client) {
            Ok(told) => {
                read += 1;
                has_others |= told != index;
            }
            Err(_) => break,
        }
    }
    let held = client.held[index].take();
    let slot = client.shared.slot(index);
    // SAFETY: `into` has FRAME_BYTES_MAX bytes, `more` five entries.
    let length = unsafe {
        let length = slot
            .read(std::slice::from_raw_parts_mut(into, FRAME_BYTES_MAX))
            .map_or(-libc::EPROTO, |bytes| bytes.len() as i32);
        *more = monotonic();
        *more.add(1) = match (held, length >= 0 && wants) {
            (Some(fd), true) => fd.into_raw_fd() as f64,
            _ => -1.0,
        };
        if has_others {
            *more.add(3) = 1.0;
        }
        length
    };
    slot.state.store(FREE, Ordering::Release);
    client.used &= !(1 << index);
    length
}

fn is_gone(socket: i32) -> bool {
    let mut poll = libc::pollfd { fd: socket, events: libc::POLLRDHUP, revents: 0 };
    // SAFETY: one pollfd.
    unsafe { libc::poll(&mut poll, 1, 0) > 0 && poll.revents & (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) != 0 }
}
