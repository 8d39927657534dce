//! The gofer's side of a mount: nodes by number, each an O_PATH descriptor of a host object. A node keeps its descriptor, as
//! its name may mean something else later; the number of nodes is bounded instead. Several workers use a tree at once: who
//! works on a node shares it, and it is closed when the last of them is done.

use super::channel::errno;
use super::frame::{Name, component};
use super::host::{self, HostFd};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, RwLock};

/// Nodes one mount may hold open.
const NODES_MAX: usize = 200_000;

pub struct Node {
    pub fd: HostFd,
    /// The open stream of a directory that is being read; gone when all of it has been read.
    pub stream: Mutex<Option<HostFd>>,
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
}

impl Tree {
    pub fn new(root: HostFd, is_read_only: bool) -> Self {
        let tree = Tree { nodes: RwLock::default(), is_read_only, busy: AtomicUsize::new(0) };
        let _ = tree.add(root);
        tree
    }

    pub fn node(&self, number: u32) -> Result<Arc<Node>, i32> {
        let nodes = self.nodes.read().unwrap();
        nodes.list.get(number as usize).and_then(|node| node.clone()).ok_or(-libc::EBADF)
    }

    /// A new node for `fd`.
    pub fn add(&self, fd: HostFd) -> Result<u32, i32> {
        let node = Some(Arc::new(Node { fd, stream: Mutex::new(None) }));
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
pub fn read_directory(stream: &mut Option<HostFd>, node: &Node, is_restart: bool, into: &mut [u8]) -> Result<usize, i32> {
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
