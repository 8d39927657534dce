// execve(2): a task becomes another program. Linux: fs/exec.c. Everything that can fail by the caller's fault is done
// before the point of no return; after it a failure kills the task.

import { E2BIG, EACCES, ELIBBAD, ELOOP, ENOEXEC, ENOMEM } from "../abi/errno.ts";
import { MS_NOEXEC, MS_NOSUID, O_RDONLY, S_IFMT, S_IFREG, S_ISGID, S_ISUID, S_IXGRP } from "../abi/file.ts";
import {
  MAP_GROWSDOWN,
  MAP_NORESERVE,
  MAP_PRIVATE,
  pageDown,
  pageUp,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from "../abi/memory.ts";
import { AT_FDCWD } from "../abi/file.ts";
import { SIGKILL } from "../abi/signal.ts";
import { RLIMIT_STACK, SECBIT_KEEP_CAPS, SECBIT_NOROOT } from "../abi/task.ts";
import { type GuestThread, REG, REGS_COUNT, USER_ADDRESS_END } from "../../platform/platform.ts";
import { type ElfImage, HEAD_BYTES, isElf, readElf, readFully } from "../loader/elf.ts";
import { codeRange, loadImage } from "../loader/load.ts";
import { isScript, parseScript } from "../loader/script.ts";
import { buildStack, checkArguments, type StackInput } from "../loader/stack.ts";
import { MemoryMap } from "../mm/address_space.ts";
import { Vma } from "../mm/vma.ts";
import type { File } from "../vfs/file.ts";
import { type Path, pathName } from "../vfs/path.ts";
import { MAY_EXEC, mayAccess } from "../vfs/permission.ts";
import { FOLLOW, resolve } from "../vfs/path_walk.ts";
import { type Credentials, NO_CAPABILITIES } from "./credentials.ts";
import { killOtherThreads, releaseVforkParent, resetForExec } from "./exec_changes.ts";
import { exitGroup } from "./exit.ts";
import { NO_RESULT, type Task } from "./task.ts";

/** Scripts that are interpreters of scripts (BINPRM recursion). */
const SCRIPT_DEPTH_MAX = 5;
/** Positions where position-independent programs go without randomization, ELF_ET_DYN_BASE: two thirds of the space. */
const PIE_BASE = 0x5555_5555_4000;
/** Bits of randomness: 28 for mmap and PIE bases, 22 for the stack, as on x86-64. */
const RANDOM_PAGES = 2 ** 28;
const STACK_RANDOM_PAGES = 2 ** 18;
/** Reserved stack of a task whose limit is larger or none; the host pages it lazily. */
const STACK_BYTES_MAX = 64 * 1024 * 1024;
/** Room between the stack and the mmap area (MIN_GAP). */
const MMAP_GAP_BYTES = 128 * 1024 * 1024;
const EFLAGS_START = 0x202;

/** What execve was asked for, rewritten by scripts on the way. */
interface Request {
  path: Path;
  file: File;
  argv: readonly string[];
  readonly envp: readonly string[];
  /** As the caller named it: AT_EXECFN. */
  readonly filename: string;
}

interface Program {
  readonly file: File;
  readonly path: Path;
  readonly image: ElfImage;
  readonly interpreter: { readonly file: File; readonly image: ElfImage } | null;
}

/** Opens `path` for execution: regular, x bit, not on a noexec mount. */
export function openExecutable(task: Task, path: Path): File | number {
  const inode = path.inode;
  if (inode.isSymlink) return -ELOOP;
  if ((inode.mode & S_IFMT) !== S_IFREG || (path.mount.flags & MS_NOEXEC) !== 0) return -EACCES;
  const access = mayAccess(task.credentials, inode, MAY_EXEC);
  if (access < 0) return access;
  if ((inode.mode & 0o111) === 0) return -EACCES;
  const file = inode.open(task, O_RDONLY);
  if (typeof file !== "number" && file.path === null) {
    path.hold();
    file.path = path;
  }
  return file;
}

/** execve(2) of `path`. NO_RESULT when the task is another program now (or is being killed), else -ERRNO. */
export function execute(
  task: Task,
  path: Path,
  filename: string,
  argv: readonly string[],
  envp: readonly string[],
): number {
  const limit = task.threadGroup.limits.soft(RLIMIT_STACK);
  const fits = checkArguments(argv, envp, limit);
  if (fits < 0) return fits;
  const file = openExecutable(task, path);
  if (typeof file === "number") return file;
  const request: Request = { path, file, argv: argv.length === 0 ? [""] : argv, envp, filename };
  const program = findProgram(task, request);
  if (typeof program === "number") {
    request.file.drop();
    return program;
  }
  const result = checkArguments(request.argv, envp, limit) < 0 ? -E2BIG : become(task, program, request);
  program.file.drop();
  program.interpreter?.file.drop();
  return result;
}

/** Follows #! lines to an ELF program and opens its interpreter. request.file is open in any case. */
function findProgram(task: Task, request: Request): Program | number {
  const head = new Uint8Array(HEAD_BYTES);
  for (let depth = 0;; depth++) {
    const n = readFully(task, request.file, head, 0, HEAD_BYTES, 0);
    if (n < 0) return n;
    if (!isScript(head, n)) return n >= 4 && isElf(head) ? openProgram(task, request) : -ENOEXEC;
    if (depth >= SCRIPT_DEPTH_MAX) return -ELOOP;
    const script = parseScript(head, n);
    if (typeof script === "number") return script;
    const scriptName = depth === 0 ? request.filename : pathName(request.path, task.fs.root);
    const argument = script.argument === null ? [] : [script.argument];
    request.argv = [script.interpreter, ...argument, scriptName, ...request.argv.slice(1)];
    const path = resolve(task, AT_FDCWD, script.interpreter, FOLLOW);
    if (typeof path === "number") return path;
    const file = openExecutable(task, path);
    if (typeof file === "number") return file;
    request.file.drop();
    request.file = file;
    request.path = path;
  }
}

function openProgram(task: Task, request: Request): Program | number {
  const image = readElf(task, request.file);
  if (typeof image === "number") return image;
  if (image.interpreter === null) return { file: request.file, path: request.path, image, interpreter: null };
  const path = resolve(task, AT_FDCWD, image.interpreter, FOLLOW);
  if (typeof path === "number") return path;
  const file = openExecutable(task, path);
  if (typeof file === "number") return file;
  const interpreter = readElf(task, file);
  if (typeof interpreter === "number") {
    file.drop();
    return interpreter === -ENOEXEC ? -ELIBBAD : interpreter;
  }
  return { file: request.file, path: request.path, image, interpreter: { file, image: interpreter } };
}

/** From here on the old program is gone. */
function become(task: Task, program: Program, request: Request): number {
  const thread = task.kernel.platform.createAddressSpace();
  if (typeof thread === "number") return thread;
  const mm = new MemoryMap(thread.addressSpace, task.mm.host);
  if (killOtherThreads(task) < 0) {
    mm.drop();
    return NO_RESULT;
  }
  swapImage(task, thread, mm);
  mm.exe = program.file;
  program.file.hold();
  const old = task.credentials;
  task.credentials = credentialsAfter(task, program);
  const isSecure = old.uid !== task.credentials.euid || old.gid !== task.credentials.egid;
  if (load(task, program, request, isSecure) < 0) {
    exitGroup(task, SIGKILL);
    return NO_RESULT;
  }
  mm.dumpable = isSecure ? 0 : 1;
  const slash = request.filename.lastIndexOf("/");
  task.name = request.filename.slice(slash + 1, slash + 16);
  resetForExec(task);
  task.files = unshareFiles(task);
  task.files.closeForExec(task);
  releaseVforkParent(task);
  return NO_RESULT;
}

function swapImage(task: Task, thread: GuestThread, mm: MemoryMap): void {
  const oldThread = task.thread, oldMm = task.mm;
  task.threadGroup.cpuNanosBefore += oldThread.addressSpace.cpuNanos();
  task.setThread(thread);
  task.mm = mm;
  // A vfork child leaves its parent's memory; otherwise the memory goes with its last user.
  if (oldMm.references > 1) oldThread.exit();
  oldMm.drop();
}

function unshareFiles(task: Task): Task["files"] {
  if (task.files.references === 1) return task.files;
  const copy = task.files.clone();
  task.files.drop(task);
  return copy;
}

function load(task: Task, program: Program, request: Request, isSecure: boolean): number {
  const { image, interpreter } = program;
  const mm = task.mm;
  const random = randomPages(task);
  const stackTop = USER_ADDRESS_END - 4096 - random.stack * 4096;
  const stackBytes = stackSize(task);
  mm.mmapTop = pageDown(stackTop - Math.max(stackBytes, MMAP_GAP_BYTES) - random.mmap * 4096);
  const stack = reserveStack(task, stackTop, stackBytes, image.hasExecutableStack);
  if (stack < 0) return stack;

  const bias = image.isPositionIndependent ? biasOf(image, PIE_BASE + random.pie * 4096) : 0;
  const loaded = loadImage(task, program.file, image, bias);
  if (typeof loaded === "number") return loaded;
  const code = codeRange(image, bias);
  mm.codeStart = code.start;
  mm.codeEnd = code.end;
  mm.dataStart = code.end;
  mm.dataEnd = loaded.end;
  mm.brkStart = mm.brk = pageUp(loaded.end) + random.brk * 4096;

  let entry = loaded.entry, interpreterBase = 0;
  if (interpreter !== null) {
    const span = interpreter.image.end - interpreter.image.start;
    const at = mm.areas.findGapBelow(mm.mmapTop, 0x10_0000, pageUp(span));
    if (at < 0) return -ENOMEM;
    interpreterBase = interpreter.image.isPositionIndependent ? at - interpreter.image.start : 0;
    const ld = loadImage(task, interpreter.file, interpreter.image, interpreterBase);
    if (typeof ld === "number") return ld;
    entry = ld.entry;
  }
  const vdso = mm.space.vdsoAddress;
  const input: StackInput = {
    argv: request.argv,
    envp: request.envp,
    filename: request.filename,
    entry: loaded.entry,
    headersAddress: image.headersAddress === 0 ? 0 : image.headersAddress + bias,
    headersCount: image.headersCount,
    interpreterBase,
    isSecure,
    vdso,
    hardware: task.kernel.hardware,
  };
  const sp = buildStack(task, stackTop, input);
  if (sp < 0) return sp;
  startAt(task.thread, entry, sp);
  return 0;
}

/** Load bias of a position-independent image near `base`. */
function biasOf(image: ElfImage, base: number): number {
  return base - base % image.alignment - image.start;
}

function stackSize(task: Task): number {
  const limit = task.threadGroup.limits.soft(RLIMIT_STACK);
  return pageUp(Math.max(256 * 1024, Math.min(limit, STACK_BYTES_MAX)));
}

function reserveStack(task: Task, top: number, bytes: number, isExecutable: boolean): number {
  const prot = PROT_READ | PROT_WRITE | (isExecutable ? PROT_EXEC : 0);
  const start = top - bytes;
  const result = task.mm.space.map(task.thread, start, bytes, prot, MAP_PRIVATE | MAP_NORESERVE, -1, 0);
  if (result < 0) return result;
  task.mm.areas.insert(new Vma(start, top, prot, MAP_PRIVATE | MAP_GROWSDOWN, null, 0, "[stack]"));
  return 0;
}

function randomPages(task: Task): { stack: number; mmap: number; pie: number; brk: number } {
  const bytes = new Uint32Array(4);
  task.mm.host.random(new Uint8Array(bytes.buffer), 0, 16);
  return {
    stack: bytes[0] % STACK_RANDOM_PAGES,
    mmap: bytes[1] % RANDOM_PAGES,
    pie: bytes[2] % RANDOM_PAGES,
    brk: bytes[3] % 0x2000,
  };
}

function startAt(thread: GuestThread, entry: number, stack: number): void {
  for (let register = 0; register < REGS_COUNT; register++) thread.setWords(register, 0, 0);
  thread.set(REG.EFLAGS, EFLAGS_START);
  thread.set(REG.RSP, stack);
  thread.set(REG.RIP, entry);
  thread.set(REG.CS, 0x33);
  thread.set(REG.SS, 0x2b);
  thread.resetFpu();
}

/** Capabilities and ids after execve: capabilities(7) "Transformation of capabilities during execve()". */
function credentialsAfter(task: Task, program: Program): Credentials {
  const old = task.credentials;
  const inode = program.file.inode;
  let euid = old.euid, egid = old.egid;
  if (!old.noNewPrivs && (program.path.mount.flags & MS_NOSUID) === 0) {
    if ((inode.mode & S_ISUID) !== 0) euid = inode.uid;
    if ((inode.mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP)) egid = inode.gid;
  }
  const isPrivileged = euid !== old.euid || egid !== old.egid;
  const isRootFile = (old.securebits & SECBIT_NOROOT) === 0;
  const filePermitted = isRootFile && (euid === 0 || old.uid === 0)
    ? old.bounding.or(old.inheritable)
    : NO_CAPABILITIES;
  const ambient = isPrivileged ? NO_CAPABILITIES : old.ambient;
  const fromFile = filePermitted.and(old.bounding.or(old.inheritable));
  const permitted = fromFile.or(ambient);
  const effective = isRootFile && euid === 0 ? permitted : ambient;
  return old.with({
    euid,
    egid,
    suid: euid,
    sgid: egid,
    fsuid: euid,
    fsgid: egid,
    permitted,
    effective,
    ambient,
    securebits: old.securebits & ~SECBIT_KEEP_CAPS,
  });
}
