// Calls about the whole system: uname, sysinfo, host names, random bytes, the kernel log, reboot.

import { EAGAIN, EFAULT, EINVAL, EPERM } from "../abi/errno.ts";
import { put16, put32, put64, zero } from "../abi/struct.ts";
import {
  CAP_SYS_ADMIN,
  CAP_SYS_BOOT,
  CAP_SYS_TTY_CONFIG,
  CAP_SYSLOG,
  GRND_INSECURE,
  GRND_NONBLOCK,
  GRND_RANDOM,
} from "../abi/task.ts";
import { KERNEL_RELEASE, KERNEL_SYSNAME, KERNEL_VERSION } from "../abi/version.ts";
import { MACHINE_NAME } from "../arch/arch.ts";
import { putLatin1 } from "../util/bytes.ts";
import { loadAverages } from "../fs/proc/load.ts";
import { memoryUse } from "../fs/proc/proc_system.ts";
import { VIEW_MAX } from "../../platform/platform.ts";
import type { Task } from "../task/task.ts";
import { giveTurn } from "../task/wait_engine.ts";
import { hangUp, terminalOf } from "../tty/job_control.ts";
import { exitGroup } from "../task/exit.ts";
import { NO_RESULT } from "../task/call_in_flight.ts";
import type { Args } from "./args.ts";
import { FULL, partial, type SyscallFamily } from "./table.ts";

const UTS_FIELD_BYTES = 65;
const UTS_BYTES = 6 * UTS_FIELD_BYTES;
const SYSINFO_BYTES = 112;
/** A load of 1 (SI_LOAD_SHIFT). */
const LOAD_ONE = 65536;
const NAME_BYTES_MAX = 64;

// reboot(2)
const REBOOT_MAGIC1 = 0xfee1dead;
const REBOOT_MAGIC2 = new Set([672274793, 85072278, 369367448, 537993216]);
const REBOOT_COMMANDS = new Set([0x01234567, 0xcdef0123, 0x4321fedc, 0xa1b2c3d4]);

export const SYSTEM_CALLS: SyscallFamily = {
  uname: {
    nr: { x64: 63, arm64: 160 },
    args: { buf: { out: UTS_BYTES } },
    returns: "int",
    support: FULL,
    run: uname,
  },
  sysinfo: {
    nr: { x64: 99, arm64: 179 },
    args: { info: { out: SYSINFO_BYTES } },
    returns: "int",
    support: partial("buffers and swap are zero"),
    run: sysinfo,
  },
  sethostname: {
    nr: { x64: 170, arm64: 161 },
    args: { name: { inBuffer: "len" }, len: "size" },
    returns: "int",
    support: FULL,
    run: (task, args) => setName(task, args, "hostname"),
  },
  setdomainname: {
    nr: { x64: 171, arm64: 162 },
    args: { name: { inBuffer: "len" }, len: "size" },
    returns: "int",
    support: FULL,
    run: (task, args) => setName(task, args, "domainname"),
  },
  vhangup: { nr: { x64: 153, arm64: 58 }, args: {}, returns: "int", support: FULL, run: vhangup },
  getrandom: {
    nr: { x64: 318, arm64: 278 },
    args: {
      buf: { outBuffer: "buflen" },
      buflen: "size",
      flags: { flags: { GRND_NONBLOCK, GRND_RANDOM, GRND_INSECURE } },
    },
    returns: "size",
    support: FULL,
    run: getrandom,
  },
  syslog: {
    nr: { x64: 103, arm64: 116 },
    args: { type: "int", bufp: "word", len: "int" },
    returns: "int",
    support: partial("the kernel log is empty"),
    run: syslog,
  },
  reboot: {
    nr: { x64: 169, arm64: 142 },
    args: { magic: "uint", magic2: "uint", cmd: "uint", arg: "word" },
    returns: "int",
    support: partial("ends the container"),
    run: reboot,
  },
};

function uname(task: Task, args: Args): number {
  const at = task.memory.outView(args.word(0), UTS_BYTES);
  if (at < 0) return at;
  const view = task.memory.view;
  zero(view, at, UTS_BYTES);
  const { hostname, domainname } = task.namespaces.uts;
  const fields = [KERNEL_SYSNAME, hostname, KERNEL_RELEASE, KERNEL_VERSION, MACHINE_NAME, domainname];
  for (let i = 0; i < fields.length; i++) putLatin1(view, at + i * UTS_FIELD_BYTES, fields[i]);
  return task.memory.outCommit(UTS_BYTES);
}

function sysinfo(task: Task, args: Args): number {
  const at = task.memory.outView(args.word(0), SYSINFO_BYTES);
  if (at < 0) return at;
  const kernel = task.kernel;
  const view = task.memory.view;
  zero(view, at, SYSINFO_BYTES);
  put64(view, at, Math.floor((kernel.clock.monotonic() - kernel.bootNanos) / 1e9));
  loadAverages(kernel).forEach((load, i) => put64(view, at + 8 + 8 * i, Math.round(load * LOAD_ONE)));
  const { free, files } = memoryUse(kernel);
  put64(view, at + 32, kernel.memoryTotalBytes);
  put64(view, at + 40, free * 1024);
  put64(view, at + 48, files * 1024);
  put16(view, at + 80, Math.min(kernel.tasks.size, 0xffff));
  put32(view, at + 104, 1);
  return task.memory.outCommit(SYSINFO_BYTES);
}

function setName(task: Task, args: Args, which: "hostname" | "domainname"): number {
  if (!task.credentials.has(CAP_SYS_ADMIN)) return -EPERM;
  const length = args.i32(1);
  if (length < 0 || length > NAME_BYTES_MAX) return -EINVAL;
  const bytes = new Uint8Array(length);
  if (task.memory.copyIn(args.word(0), bytes, 0, length) < 0) return -EFAULT;
  task.namespaces.uts.setName(which, String.fromCharCode(...bytes).replace(/\0.*$/s, ""));
  return 0;
}

/** vhangup(2): hangs up the caller's terminal. */
function vhangup(task: Task): number {
  if (!task.credentials.has(CAP_SYS_TTY_CONFIG)) return -EPERM;
  const terminal = terminalOf(task.threadGroup);
  if (terminal !== null) hangUp(terminal, false);
  return 0;
}

/** Random bytes per turn: some hosts take 1 ms for them. */
const RANDOM_SLICE_BYTES = 64 * 1024;

function getrandom(task: Task, args: Args): number {
  const flags = args.u32(2);
  if ((flags & ~(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE)) !== 0) return -EINVAL;
  if ((flags & GRND_RANDOM) !== 0 && (flags & GRND_INSECURE) !== 0) return -EINVAL;
  const { done } = task.call;
  const left = Math.min(args.word(1), 0x1ff_ffff) - done;
  if (left === 0) return done;
  const step = Math.min(RANDOM_SLICE_BYTES, VIEW_MAX, left);
  const at = task.memory.outView(args.word(0) + done, step);
  if (at < 0) return done > 0 ? done : at;
  task.kernel.host.random(task.memory.view, at, step);
  if (task.memory.outCommit(step) < 0) return done > 0 ? done : -EFAULT;
  if (step === left) return done + step;
  task.call.advance(step);
  return giveTurn(task, done + step);
}

function syslog(task: Task, args: Args): number {
  const type = args.i32(0), length = args.i32(2);
  if (type < 0 || type > 10) return -EINVAL;
  const isRead = type === 2 || type === 3 || type === 4;
  if (isRead && (args.word(1) === 0 || length < 0)) return -EINVAL;
  // check_syslog_permissions()
  const isFree = (type === 3 && task.kernel.parameters.restrictsKernelLog === 0) || type === 10;
  if (
    !isFree && !task.credentials.has(CAP_SYSLOG) && !task.credentials.has(CAP_SYS_ADMIN)
  ) return -EPERM;
  // No message ever comes: a read would wait for ever.
  return type === 2 ? -EAGAIN : 0;
}

function reboot(task: Task, args: Args): number {
  if (!task.credentials.has(CAP_SYS_BOOT)) return -EPERM;
  if (args.u32(0) !== REBOOT_MAGIC1 || !REBOOT_MAGIC2.has(args.u32(1))) return -EINVAL;
  const command = args.u32(2);
  if (command === 0x89abcdef || command === 0) return 0; // enable and disable Ctrl-Alt-Del
  if (!REBOOT_COMMANDS.has(command)) return -EINVAL;
  const init = task.pid.namespace.init;
  // reboot_pid_ns(): kills the namespace's init, with SIGHUP for a restart and SIGINT for halt and power off.
  exitGroup(init === null ? task : init.leader, command === 0x01234567 || command === 0xa1b2c3d4 ? 1 : 2);
  return NO_RESULT;
}
