//! The gofer's workers. Any host call may take long (a slow disk, a hung FUSE mount, fsync), so each request in progress has
//! a thread of its own: a thread of the runtime that is stuck in the host could serve nobody. One worker watches for requests
//! and serves what it finds itself, so that a quick request costs no switch between threads. When the sentry finds an answer
//! late it wakes the next one.

use super::channel::{
    ANSWERED, FRAME_BYTES_MAX, LATE, POSTED, SLOTS, Shared, TAKEN, VERSION, futex_wait, futex_wake, receive, send,
};
use super::frame::{Answer, Reader};
use super::host::{HostFd, open_own_tree, open_path, open_tree};
use super::requests::Request;
use super::tree::Tree;
use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};

const WORKERS: usize = 16;
/// Workers that requests of one mount may hold: a mount that hangs leaves the others some.
const WORKERS_OF_MOUNT_MAX: usize = 6;
/// Frames on the stack of a worker are small; its buffers are on the heap.
const STACK_BYTES: usize = 256 * 1024;
/// The start is over when it is this old.
const START_MILLIS: i32 = 500;

pub struct Server {
    socket: OwnedFd,
    trees: Vec<Tree>,
    proc: HostFd,
    shared: Mutex<Option<Arc<Shared>>>,
    is_connected: Condvar,
    has_ended: AtomicBool,
    /// Workers that watch for requests: 0 or 1.
    watchers: AtomicU32,
    /// CPU that workers stay on, plus 1; 0 = any.
    cpu: AtomicU32,
}

impl Server {
    /// Waits for the sentry to connect.
    fn connection(&self) -> Option<Arc<Shared>> {
        let mut shared = self.shared.lock().unwrap();
        while shared.is_none() && !self.has_ended.load(Ordering::Acquire) {
            shared = self.is_connected.wait(shared).unwrap();
        }
        shared.clone()
    }

    fn work(&self) {
        let Some(shared) = self.connection() else { return };
        let mut frame = vec![0u8; FRAME_BYTES_MAX].into_boxed_slice();
        let mut answer = Answer::new();
        let mut cpu = 0;
        while self.watch(&shared) {
            let wanted = self.cpu.load(Ordering::Relaxed);
            if wanted != cpu {
                pin(wanted);
                cpu = wanted;
            }
            let Some(index) = self.find(&shared) else { continue };
            self.serve(&shared, index, &mut frame, &mut answer);
        }
    }

    /// Becomes the one that watches, when the last one is at work. False at the end.
    fn watch(&self, shared: &Shared) -> bool {
        loop {
            if self.has_ended.load(Ordering::Acquire) {
                return false;
            }
            let late = shared.late().load(Ordering::Acquire);
            if self.watchers.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return true;
            }
            futex_wait(shared.late(), late, None);
        }
    }

    /// Waits for a request and takes it; the next one may watch. None at the end.
    fn find(&self, shared: &Shared) -> Option<usize> {
        loop {
            let rung = shared.requests().load(Ordering::Acquire);
            if self.has_ended.load(Ordering::Acquire) {
                self.watchers.store(0, Ordering::Release);
                return None;
            }
            let mut taken = None;
            let mut needs_next = false;
            for index in 0..SLOTS {
                let slot = shared.slot(index);
                let state = slot.state.load(Ordering::Acquire);
                if state & !LATE != POSTED || self.is_exhausted(shared, index) {
                    continue;
                }
                if taken.is_some() {
                    needs_next = true;
                    break;
                }
                // fetch_or by the sentry may come between: try once more then.
                let previous = match slot.state.compare_exchange(state, TAKEN | state & LATE, Ordering::AcqRel, Ordering::Acquire) {
                    Err(now) if now == state | LATE => {
                        slot.state.compare_exchange(now, TAKEN | LATE, Ordering::AcqRel, Ordering::Acquire)
                    }
                    tried => tried,
                };
                if let Ok(previous) = previous {
                    taken = Some(index);
                    // Its ring for the next worker came while we were the one that watches.
                    needs_next = previous & LATE != 0;
                    if needs_next {
                        break;
                    }
                }
            }
            if taken.is_some() {
                self.watchers.store(0, Ordering::Release);
                if needs_next {
                    futex_wake(shared.late(), 1);
                }
                return taken;
            }
            futex_wait(shared.requests(), rung, None);
        }
    }

    /// The mount of the request in `index` has as many workers as it may have. A look only: the frame is not copied yet.
    fn is_exhausted(&self, shared: &Shared, index: usize) -> bool {
        let tree = self.trees.get(shared.slot(index).peek_u16(2) as usize);
        tree.is_some_and(|tree| tree.busy.load(Ordering::Relaxed) >= WORKERS_OF_MOUNT_MAX)
    }

    fn serve(&self, shared: &Shared, index: usize, frame: &mut [u8], answer: &mut Answer) {
        let slot = shared.slot(index);
        let sequence = slot.sequence.load(Ordering::Acquire);
        answer.start();
        let mut donated = None;
        let mut result = -libc::EPROTO;
        if let Some(bytes) = slot.read(frame) {
            let mut reader = Reader::new(bytes);
            let (kind, mount) = (reader.u16(), reader.u16());
            if let (Some(tree), false) = (self.trees.get(mount as usize), reader.is_bad) {
                tree.busy.fetch_add(1, Ordering::AcqRel);
                let mut request = Request { tree, proc: &self.proc, reader, answer, donated: None };
                result = request.serve(kind);
                donated = request.donated;
                if tree.busy.fetch_sub(1, Ordering::AcqRel) == WORKERS_OF_MOUNT_MAX {
                    // Requests may have been passed over.
                    futex_wake(shared.requests(), 1);
                }
            }
        }
        slot.write(answer.finish(result));
        slot.has_descriptor.store(donated.is_some() as u32, Ordering::Release);
        let message = [index as u32, sequence];
        if let Some(fd) = donated {
            // Before the answer: a client that sees the answer finds this too.
            send(self.socket.as_raw_fd(), message, fd.number());
        }
        if slot.state.swap(ANSWERED, Ordering::AcqRel) & LATE != 0 {
            send(self.socket.as_raw_fd(), message, -1);
        } else {
            futex_wake(slot.state, 1);
        }
    }

    /// Accepts the sentry's memory and serves until its end of the socket closes.
    fn run(&self) {
        let socket = self.socket.as_raw_fd();
        let connected = match receive(socket, true) {
            Ok(([VERSION, cpu], Some(memory))) => Shared::map(memory.as_raw_fd()).map(|shared| (shared, cpu)),
            Ok(_) => Err(-libc::EPROTO),
            Err(error) => Err(error),
        };
        match connected {
            Ok((shared, cpu)) => {
                self.cpu.store(cpu, Ordering::Relaxed);
                *self.shared.lock().unwrap() = Some(Arc::new(shared));
                self.is_connected.notify_all();
                send(socket, [VERSION, 0], -1);
                self.await_end(socket);
            }
            Err(error) => {
                send(socket, [VERSION, error as u32], -1);
            }
        }
        self.end();
    }

    fn await_end(&self, socket: i32) {
        let mut poll = libc::pollfd { fd: socket, events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd.
        if unsafe { libc::poll(&mut poll, 1, START_MILLIS) } == 0 {
            crate::memory::tsv_release_memory();
        }
        // Nothing more is sent to us; what is, is closed.
        while receive(socket, true).is_ok() {}
    }

    fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
        let shared = self.shared.lock().unwrap().clone();
        self.is_connected.notify_all();
        if let Some(shared) = shared {
            shared.late().fetch_add(1, Ordering::Release);
            shared.requests().fetch_add(1, Ordering::Release);
            futex_wake(shared.late(), i32::MAX);
            futex_wake(shared.requests(), i32::MAX);
        }
    }
}

/// Keeps this thread on CPU `cpu` - 1. On the CPU of who waits for the answer a request costs two switches there and wakes
/// no other CPU.
fn pin(cpu: u32) {
    if cpu > 0 && cpu as usize <= libc::CPU_SETSIZE as usize {
        // SAFETY: a set of one CPU for this thread.
        unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(cpu as usize - 1, &mut set);
            libc::sched_setaffinity(0, size_of_val(&set), &set);
        }
    }
}

/// Roots that were opened for a server that has not started yet.
static ROOTS: Mutex<Vec<Tree>> = Mutex::new(Vec::new());

/// The next mount to serve: `tree` of tsv_gofer_tree, or where that is -1 the host path. 0 or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_root(tree: i32, path: *const libc::c_char, is_recursive: u32, is_read_only: u32) -> i32 {
    // SAFETY: NUL-terminated (gofer/server.ts).
    let path: CString = unsafe { std::ffi::CStr::from_ptr(path) }.to_owned();
    let opened = if tree < 0 {
        open_own_tree(&path, is_recursive != 0, is_read_only != 0)
    } else {
        // SAFETY: the caller hands it over.
        Ok(unsafe { HostFd::taken(tree) })
    };
    match opened {
        Ok(fd) => {
            ROOTS.lock().unwrap().push(Tree::new(fd, is_read_only != 0));
            0
        }
        Err(error) => error,
    }
}

/// For the command line, which may more than a gofer in a user namespace of its own: a tree to serve, see open_tree. Its
/// descriptor, or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_tree(path: *const libc::c_char, is_recursive: u32, is_read_only: u32) -> i32 {
    // SAFETY: NUL-terminated (boot/gofer_setup.ts).
    let path: CString = unsafe { std::ffi::CStr::from_ptr(path) }.to_owned();
    open_tree(&path, is_recursive != 0, is_read_only != 0).map_or_else(|error| error, HostFd::into_number)
}

/// Starts workers for the roots that were opened, which serve once the sentry connects to `socket`; they have the rights
/// that the calling thread has now. The server to run, or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_start(socket: i32) -> i32 {
    // Modes of new files are the guest's business alone.
    // SAFETY: a number.
    unsafe { libc::umask(0) };
    let proc = match open_path(c"/proc/self/fd".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY) {
        Ok(proc) => proc,
        Err(error) => return error,
    };
    let server = Arc::new(Server {
        // SAFETY: the caller hands it over.
        socket: unsafe { OwnedFd::from_raw_fd(socket) },
        trees: std::mem::take(&mut *ROOTS.lock().unwrap()),
        proc,
        shared: Mutex::new(None),
        is_connected: Condvar::new(),
        has_ended: AtomicBool::new(false),
        watchers: AtomicU32::new(0),
        cpu: AtomicU32::new(0),
    });
    for _ in 0..WORKERS {
        let worker = server.clone();
        let started = without_signals(|| {
            std::thread::Builder::new().name("gofer".into()).stack_size(STACK_BYTES).spawn(move || worker.work())
        });
        if started.is_err() {
            server.end();
            return -libc::EAGAIN;
        }
    }
    let mut servers = SERVERS.lock().unwrap();
    servers.push(server);
    servers.len() as i32 - 1
}

/// Servers of this process. One in a gofer; tests have several.
static SERVERS: Mutex<Vec<Arc<Server>>> = Mutex::new(Vec::new());

/// Serves until the sentry is gone.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_serve(index: u32) {
    let server = SERVERS.lock().unwrap().get(index as usize).cloned();
    if let Some(server) = server {
        server.run();
    }
}

/// Threads made by `make` get no signals: those are the runtime's.
fn without_signals<T>(make: impl FnOnce() -> T) -> T {
    // SAFETY: masks of this thread.
    unsafe {
        let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let made = make();
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        made
    }
}
