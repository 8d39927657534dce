// execve(2): a task becomes another program. Linux: fs/exec.c, load_elf_binary(). What can fail by the caller's fault is
// done before the point of no return; a failure after it kills the task, as there is nothing left to return to.

import { EACCES, EINVAL, ENOENT, ENOEXEC, ENOMEM } from "../abi/errno.ts";
import { E2BIG, ELIBBAD, ELOOP, ENOTDIR } from "../abi/errno.ts";
import { AT_FDCWD } from "../abi/file.ts";
import {
  MAP_GROWSDOWN,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_STACK,
  PAGE_SIZE,
  pageDown,
  pageUp,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from "../abi/memory.ts";
import { SIGKILL, SIGSEGV } from "../abi/signal.ts";
import { RLIMIT_STACK } from "../abi/task.ts";
import { LAYOUT, PROGRAMS_NAME, startProgram } from "../arch/arch.ts";
import type { GuestThread } from "../../platform/platform.ts";
import { checkImage, type ElfImage } from "../loader/elf.ts";
import { ImageLoader, imageRanges } from "../loader/load.ts";
import { closeProgram, findProgram, type Program, refusalOf, type Target } from "../loader/program.ts";
import { checkArguments, FirstStack } from "../loader/stack.ts";
import { StringList } from "../loader/string_list.ts";
import { enterVdso } from "../loader/vdso.ts";
import { MemoryMap } from "../mm/address_space.ts";
import { carryOut, findFree } from "../mm/mapping.ts";
import { Vma } from "../mm/vma.ts";
import type { File } from "../vfs/file.ts";
import { MAY_READ, mayAccess } from "../vfs/permission.ts";
import { FOLLOW, resolve } from "../vfs/path_walk.ts";
import { commitCredentials } from "./credential_changes.ts";
import { killOtherThreads, resetForExec } from "./exec_changes.ts";
import { credentialsAfterExec, type ExecCredentials } from "./exec_credentials.ts";
import { exitGroup } from "./exit.ts";
import { type Continuation, continuation, MUST_WAIT, NO_RESULT } from "./call_in_flight.ts";
import type { Task } from "./task.ts";
import { releaseVforkParent } from "./vfork.ts";
import { mayKeep, suspendKillable } from "./wait_engine.ts";

/** Stack reserved at once; below it, it grows by faults as far as its limit lets it (mm/stack_growth.ts). */
const STACK_BYTES_MAX = 64 * 1024 * 1024;
const STACK_BYTES_MIN = 256 * 1024;
/** Room kept for the stack below its top (MIN_GAP, MAX_GAP of mmap_base()). */
const STACK_GAP_MIN = 128 * 1024 * 1024;
const STACK_GAP_MAX = 16 * 1024 * 1024 * 1024;
/** Stack limit of programs that run with more rights than their caller (_STK_LIM). */
const SECURE_STACK_BYTES_MAX = 8 * 1024 * 1024;
/** comm without its NUL. */
const NAME_BYTES_MAX = 15;
// personality(2).
const ADDR_NO_RANDOMIZE = 0x4_0000;
/** Flags that do not go over to a program with more rights (PER_CLEAR_ON_SETID). */
const PERSONALITY_UNSAFE = 0x0074_0000;

/** execve(2) of `target`. NO_RESULT when the task is another program now (or is being killed), else -ERRNO. */
export function execute(
  task: Task,
  target: Target,
  argv: StringList,
  envp: StringList,
): number {
  const limit = task.threadGroup.limits.soft(RLIMIT_STACK);
  // An empty argument list is given an empty name, as since Linux 5.18.
  const given = argv.count === 0 ? StringList.of([""]) : argv;
  const fits = checkArguments(given, envp, limit);
  if (fits < 0) return refusalOf(task, target) || fits;
  const program = findProgram(task, target, given);
  if (typeof program === "number") return program;
  const result = checkArguments(program.argv, envp, limit) < 0
    ? -E2BIG
    : become(task, program, target.filename, envp);
  closeProgram(program);
  return task.call.kept instanceof FirstStack ? writeStack(task) : result;
}

/** The new program is there, but for a part of its stack: writes a piece, and runs it after the last. */
function writeStack(task: Task): number {
  const left = (task.call.kept as FirstStack).writePiece();
  if (left === 0) return NO_RESULT;
  if (left < 0) {
    exitGroup(task, SIGSEGV);
    return NO_RESULT;
  }
  const result = suspendKillable(task, { kind: "slice" }, WRITE_STACK);
  task.call.wake();
  return result;
}

const WRITE_STACK = continuation("write stack", writeStack);
export const EXEC_CONTINUATIONS: readonly Continuation[] = [WRITE_STACK];

/** Why a sandbox's first program did not start. */
export interface ExecFailure {
  readonly errno: number;
  /** Action, reason, value: one line for the user. */
  readonly reason: string;
}

/** Loads the program of a task that boot has made and that has not run yet. null when it is ready to run. */
export function executeFirst(
  task: Task,
  name: string,
  argv: readonly string[],
  envp: readonly string[],
): ExecFailure | null {
  const path = resolve(task, AT_FDCWD, name, FOLLOW);
  if (typeof path === "number") return failure(name, -path);
  const target = { inode: path.inode, path, filename: name, isGoneAfter: false, lastName: "" };
  const result = execute(task, target, StringList.of(argv), StringList.of(envp));
  if (result === NO_RESULT) return null;
  const isItself = target.lastName === name || target.lastName === "";
  return failure(isItself ? name : `${name} (by way of ${target.lastName})`, -result);
}

function failure(culprit: string, errno: number): ExecFailure {
  return { errno, reason: `Cannot run ${culprit}: ${describe(errno)}` };
}

function describe(errno: number): string {
  switch (errno) {
    case ENOENT:
    case ENOTDIR:
      return "no such file";
    case EACCES:
      return "it is no regular file, lacks the x permission or lies on a noexec mount";
    case ENOEXEC:
    case ELIBBAD:
      return `it is neither an ${PROGRAMS_NAME} nor a script, or is cut short`;
    case ELOOP:
      return "too many symbolic links or interpreters of interpreters";
    case E2BIG:
      return "arguments and environment are too long";
    case ENOMEM:
      return "its memory does not fit the address space or the limits";
    default:
      return `errno ${errno}`;
  }
}

/** Up to killOtherThreads the caller can still be told; from there on the old program is gone. */
function become(task: Task, program: Program, filename: string, envp: StringList): number {
  const changed = credentialsAfterExec(task, program);
  if (typeof changed === "number") return changed;
  // A task that boot has just made has an empty address space of its own.
  const isFirst = task.mm.areas.count === 0 && task.mm.references === 1;
  if (isFirst) {
    const { interpreter } = program;
    const refused = checkImage(program.file, program.image, task.mm.layout) ||
      (interpreter === null ? 0 : checkImage(interpreter.file, interpreter.image, task.mm.layout));
    if (refused < 0) return refused;
    const result = load(task, program, filename, envp, changed, isFirst);
    if (result < 0) return result;
  } else {
    const ready = prepareMapping(program.file) || prepareMapping(program.interpreter?.file ?? null);
    if (ready < 0) return ready;
    const thread = mayStayInProcess(task, program, changed)
      ? null
      : task.kernel.platform.createAddressSpace();
    if (typeof thread === "number") return thread;
    if (killOtherThreads(task) < 0) {
      thread?.addressSpace.release();
      return NO_RESULT;
    }
    if (!changeImage(task, thread)) {
      exitGroup(task, SIGKILL);
      return NO_RESULT;
    }
    // There is no caller any more that could make its call again.
    if (task.kernel.vfs.indivisibly(() => load(task, program, filename, envp, changed, isFirst)) < 0) {
      exitGroup(task, SIGSEGV);
      return NO_RESULT;
    }
  }
  const slash = filename.lastIndexOf("/");
  task.name = filename.slice(slash + 1, slash + 1 + NAME_BYTES_MAX);
  resetForExec(task);
  task.files = unshareFiles(task);
  task.files.closeForExec(task);
  releaseVforkParent(task);
  task.kernel.life?.onExec(task);
  return NO_RESULT;
}

/** Has the file ready to be mapped, while its caller can still wait for that: 0 or MUST_WAIT. */
function prepareMapping(file: File | null): number {
  const mappable = file?.asMappable()?.mappable(false, PROT_READ | PROT_EXEC);
  // What cannot be mapped is copied (loader/load.ts).
  return mappable === MUST_WAIT ? mappable : 0;
}

/**
 * Whether the new program may run in the host process of the old one, emptied. Not where it has other rights: a guest can
 * leave things in its process that the kernel does not know of, a thread of the host's for one.
 */
function mayStayInProcess(task: Task, program: Program, changed: ExecCredentials): boolean {
  const { mm } = task;
  return mm.space.features.hasClear && mm.references === 1 && mm.dumpable === 1 && !changed.isSecure &&
    dumpableAfter(program, changed) === 1;
}

/** Goes over to `thread`, or empties the task's own address space. False when neither can be had. */
function changeImage(task: Task, thread: GuestThread | null): boolean {
  if (thread === null && clearImage(task)) return true;
  const fresh = thread ?? task.kernel.platform.createAddressSpace();
  if (typeof fresh === "number") return false;
  swapImage(task, fresh);
  return true;
}

function clearImage(task: Task): boolean {
  const { mm, thread } = task;
  if (mm.references > 1) return false;
  const { rseqAddress, rseqLength, rseqSignature } = task;
  task.rseqAddress = 0;
  if (mm.space.clear(thread, rseqAddress, rseqLength, rseqSignature) < 0) return false;
  task.mm = new MemoryMap(mm.space, mm.host, mm.heap);
  mm.leave();
  return true;
}

/** The task goes over to a pristine address space. A vfork child leaves its parent's; otherwise it goes with its last user. */
function swapImage(task: Task, thread: GuestThread): void {
  const oldThread = task.thread, oldMm = task.mm;
  task.threadGroup.onImageChange(oldThread.addressSpace, thread.addressSpace);
  task.setThread(thread);
  task.mm = new MemoryMap(thread.addressSpace, oldMm.host, oldMm.heap);
  if (oldMm.references > 1) oldThread.exit();
  oldMm.drop();
}

function unshareFiles(task: Task): Task["files"] {
  if (task.files.references === 1) return task.files;
  const copy = task.files.clone();
  task.files.drop(task);
  return copy;
}

/** Fills task.mm, which is empty, and sets the registers. */
function load(
  task: Task,
  program: Program,
  filename: string,
  envp: StringList,
  changed: ExecCredentials,
  isFirst: boolean,
): number {
  const { image, interpreter, file } = program;
  const { mm } = task;
  mm.setExecutable(file);
  applyCredentials(task, program, changed);
  const { randomizeAddresses } = task.kernel.parameters;
  const isRandom = (task.personality & ADDR_NO_RANDOMIZE) === 0 && randomizeAddresses > 0;
  if (isRandom) mm.host.random(randomBytes, 0, randomBytes.length);
  else randomBytes.fill(0);

  const loader = new ImageLoader(task);
  const stackTop = task.mm.layout.end - PAGE_SIZE - randomPages(0, LAYOUT.randomStackPages);
  const stack = reserveStack(task, stackTop, image.hasExecutableStack);
  if (stack < 0) return stack;
  const limit = task.threadGroup.limits.soft(RLIMIT_STACK);
  const gap = Math.min(Math.max(limit, STACK_GAP_MIN), STACK_GAP_MAX);
  mm.mmapTop = pageDown(stackTop - gap) - randomPages(1, LAYOUT.randomPages);

  const bias = image.isPositionIndependent
    ? biasOf(image, LAYOUT.programBase + randomPages(2, LAYOUT.randomPages))
    : 0;
  const loaded = loader.load(file, image, bias);
  if (loaded < 0) return loaded;
  const ranges = imageRanges(image, bias);
  mm.codeStart = ranges.codeStart;
  mm.codeEnd = ranges.codeEnd;
  mm.dataStart = ranges.dataStart;
  mm.dataEnd = ranges.dataEnd;
  const heapGap = randomizeAddresses > 1 ? randomPages(3, LAYOUT.randomHeapPages) : 0;
  mm.brkStart = mm.brk = pageUp(image.end + bias) + heapGap;

  let start = image.entry + bias, interpreterBase = 0;
  if (interpreter !== null) {
    const other = interpreter.image;
    const place = other.isPositionIndependent ? findFree(mm, pageUp(other.end) - other.start) : 0;
    if (place < 0) return place;
    interpreterBase = other.isPositionIndependent ? place - other.start : 0;
    mm.isMappingInterpreter = true;
    const result = loader.load(interpreter.file, other, interpreterBase);
    mm.isMappingInterpreter = false;
    if (result < 0) return result;
    mm.interpreterStart = other.start + interpreterBase;
    mm.interpreterEnd = other.end + interpreterBase;
    start = other.entry + interpreterBase;
  }
  if (start >= task.mm.layout.end) return -EINVAL;
  const first = new FirstStack(task, stackTop, {
    argv: program.argv,
    envp,
    filename,
    entry: image.entry + bias,
    headersAddress: image.headersAddress + bias,
    headersCount: image.headersCount,
    interpreterBase,
    isSecure: changed.isSecure,
    vdso: enterVdso(mm),
    hardware: task.kernel.hardware,
  });
  let left = first.writePiece();
  const finished = loader.finish();
  if (finished < 0) return finished;
  const isInTurns = !isFirst && mayKeep(task);
  while (left > 0 && !isInTurns) left = first.writePiece();
  if (left < 0) return left;
  if (left > 0) task.call.keep(first);
  startProgram(task.thread, start, first.pointer);
  return 0;
}

/** The new identity holds for the new memory: who may not read the program may not look into its process either. */
function applyCredentials(task: Task, program: Program, changed: ExecCredentials): void {
  const { credentials, isSecure } = changed;
  task.mm.dumpable = dumpableAfter(program, changed);
  commitCredentials(task, credentials);
  if (!isSecure) return;
  task.parentDeathSignal = 0;
  task.personality &= ~PERSONALITY_UNSAFE;
  const { limits } = task.threadGroup;
  const soft = limits.soft(RLIMIT_STACK);
  if (soft > SECURE_STACK_BYTES_MAX) {
    limits.set(RLIMIT_STACK, SECURE_STACK_BYTES_MAX, limits.hard(RLIMIT_STACK));
  }
}

function dumpableAfter(program: Program, { credentials }: ExecCredentials): number {
  const isPlain = credentials.euid === credentials.uid && credentials.egid === credentials.gid;
  const isReadable = mayAccess(credentials, program.file.inode, MAY_READ) === 0;
  return isPlain && isReadable ? 1 : program.file.inode.fs.vfs.parameters.dumpableAfterSetid;
}

/** Load bias of a position-independent image near `base`. */
function biasOf(image: ElfImage, base: number): number {
  return base - base % image.alignment - (image.start - image.start % image.alignment);
}

function reserveStack(task: Task, top: number, isExecutable: boolean): number {
  const limit = task.threadGroup.limits.soft(RLIMIT_STACK);
  const bytes = pageUp(Math.max(STACK_BYTES_MIN, Math.min(limit, STACK_BYTES_MAX)));
  const prot = PROT_READ | PROT_WRITE | (isExecutable ? PROT_EXEC : 0);
  const flags = MAP_PRIVATE | MAP_GROWSDOWN | MAP_NORESERVE | MAP_STACK;
  const stack = new Vma(top - bytes, top, prot, flags, null, 0, "[stack]");
  const result = carryOut(task, stack, 0);
  if (result < 0) return result;
  task.mm.enter(stack);
  return 0;
}

/** Randomness of one exec: a u32 for each place. */
const randomWords = new Uint32Array(4);
const randomBytes = new Uint8Array(randomWords.buffer);

/** Up to `pages` pages in bytes, by random word `n`. */
function randomPages(n: number, pages: number): number {
  return randomWords[n] % pages * PAGE_SIZE;
}
