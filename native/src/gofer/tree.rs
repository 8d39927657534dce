//! The gofer's side of a mount: nodes by number, each an O_PATH descriptor of a host object. A node keeps its descriptor, as
//! its name may mean something else later; the number of nodes is bounded instead. Several workers use a tree at once: who
//! works on a node shares it, and it is closed when the last of them is done.

use crate::errno::errno;
use super::frame::{Name, component};
use super::host::{self, HostFd};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, RwLock};

/// Nodes one mount may hold open.
const NODES_MAX: usize = 200_000;
/// Devices of one mount that are remembered.
const DEVICES_MAX: usize = 256;

pub struct Node {
    pub fd: HostFd,
    /// The open stream of a directory that is being read; gone when all of it has been read.
    pub stream: Mutex<Option<HostFd>>,
    /// A regular file that is open here and not in the sentry.
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    file: Arc<HostFd>,
    is_writable: bool,
}

impl Node {
    /// Keeps the file open, until release() or the end of the node. One that can be written serves readers, too.
    pub fn keep(&self, file: HostFd, is_writable: bool) {
        let kept = Kept { file: Arc::new(file), is_writable };
        let mut place = self.kept.lock().unwrap();
        let before =
            if place.as_ref().is_some_and(|before| before.is_writable) { Some(kept) } else { place.replace(kept) };
        // Closing may take its time: not with the lock.
        drop(place);
        drop(before);
    }
    pub fn kept(&self, is_for_writing: bool) -> Option<Arc<HostFd>> {
        let kept = self.kept.lock().unwrap();
        kept.as_ref().filter(|kept| kept.is_writable || !is_for_writing).map(|kept| kept.file.clone())
    }
    pub fn release(&self) {
        let kept = self.kept.lock().unwrap().take();
        drop(kept);
    }
}

#[derive(Default)]
struct Nodes {
    /// By number; node 0 is the root.
    list: Vec<Option<Arc<Node>>>,
    free: Vec<u32>,
}

pub struct Tree {
    nodes: RwLock<Nodes>,
    pub is_read_only: bool,
    /// Workers that are at a request of this mount.
    pub busy: AtomicUsize,
    /// Devices that files of the tree are on, and whether they are local. Few: the tree's own, and those mounted in it.
    devices: RwLock<Vec<(u64, bool)>>,
}

impl Tree {
    pub fn new(root: HostFd, is_read_only: bool) -> Self {
        let (nodes, devices) = (RwLock::default(), RwLock::default());
        let tree = Tree { nodes, is_read_only, busy: AtomicUsize::new(0), devices };
        let _ = tree.add(root);
        tree
    }

    pub fn node(&self, number: u32) -> Result<Arc<Node>, i32> {
        let nodes = self.nodes.read().unwrap();
        nodes.list.get(number as usize).and_then(|node| node.clone()).ok_or(-libc::EBADF)
    }

    /// A new node for `fd`.
    pub fn add(&self, fd: HostFd) -> Result<u32, i32> {
        let node = Some(Arc::new(Node { fd, stream: Mutex::new(None), kept: Mutex::new(None) }));
        let mut nodes = self.nodes.write().unwrap();
        if let Some(number) = nodes.free.pop() {
            nodes.list[number as usize] = node;
            return Ok(number);
        }
        if nodes.list.len() >= NODES_MAX {
            return Err(-libc::ENFILE);
        }
        nodes.list.push(node);
        Ok(nodes.list.len() as u32 - 1)
    }

    /// The root stays.
    pub fn close(&self, number: u32) {
        if number == 0 {
            return;
        }
        let mut nodes = self.nodes.write().unwrap();
        let Some(place) = nodes.list.get_mut(number as usize) else { return };
        if let Some(node) = place.take() {
            nodes.free.push(number);
            drop(nodes);
            drop(node);
        }
    }

    /// Looks `name` up below `directory`: an O_PATH descriptor and its attributes.
    pub fn find(&self, directory: &Node, name: &Name) -> Result<(HostFd, libc::stat), i32> {
        let fd = host::open(&directory.fd, name.as_ptr(), libc::O_PATH | libc::O_NOFOLLOW, 0)?;
        let stat = host::stat(&fd)?;
        Ok((fd, stat))
    }

    /// Whether `node`, on `device`, is on a file system of host::LOCAL_FILE_SYSTEMS: the sentry may use a descriptor of it.
    pub fn is_local(&self, node: &Node, device: u64) -> bool {
        let known =
            self.devices.read().unwrap().iter().find(|(known, _)| *known == device).map(|(_, is_local)| *is_local);
        known.unwrap_or_else(|| {
            let is_local = host::is_local(&node.fd);
            let mut devices = self.devices.write().unwrap();
            // Device numbers are used again after an unmount: what is forgotten is asked again.
            if devices.len() >= DEVICES_MAX {
                devices.clear();
            }
            devices.push((device, is_local));
            is_local
        })
    }

    /// A directory that may be changed and a name in it.
    pub fn for_change(&self, number: u32, name: &[u8]) -> Result<(Arc<Node>, Name), i32> {
        if self.is_read_only {
            return Err(-libc::EROFS);
        }
        let name = component(name)?;
        Ok((self.node(number)?, name))
    }
}

/// Reads more of a directory: the stream is opened at the first read and with `is_restart`. Bytes, 0 at its end.
pub fn read_directory(
    stream: &mut Option<HostFd>,
    node: &Node,
    is_restart: bool,
    into: &mut [u8],
) -> Result<usize, i32> {
    if is_restart {
        *stream = None;
    }
    if stream.is_none() {
        *stream = Some(host::open(&node.fd, c".".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY, 0)?);
    }
    let fd = stream.as_ref().map_or(-1, |fd| fd.number());
    // SAFETY: `into` is ours.
    let n = unsafe { libc::syscall(libc::SYS_getdents64, fd, into.as_mut_ptr(), into.len()) };
    if n < 0 { Err(errno()) } else { Ok(n as usize) }
}
