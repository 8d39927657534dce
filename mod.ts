/**
 * tsvisor runs untrusted Linux programs in a sandbox whose kernel is our own. This is it as a library; it starts the
 * executable `tsvisor` (`deno task compile` makes it), and needs nothing else.
 *
 * ```ts ignore
 * import { Sandbox } from "@tsvisor/tsvisor";
 *
 * await using sandbox = await Sandbox.create({ timeout: "30s" });
 * const { code } = await sandbox.spawn("python3", { args: ["-c", "print(1 + 1)"], stdout: "inherit" }).status;
 * const listing = await sandbox.sh`ls -la /usr`.text();
 * ```
 *
 * @module
 */

export { SandboxError, type SandboxErrorCode } from "./boot/library/errors.ts";
export {
  type AbortOptions,
  type DirectoryEntry,
  type FileChange,
  type FileInfo,
  type FileKind,
  FileWatch,
  type MakeDirectoryOptions,
  type ReadOptions,
  type RemoveOptions,
  SandboxFs,
  type WriteOptions,
} from "./boot/library/fs.ts";
export type { Stdio } from "./boot/library/host.ts";
export type { Duration, Mount, SandboxOptions, Size } from "./boot/library/options.ts";
export {
  ChildProcess,
  type CommandOutput,
  type SignalName,
  type SpawnOptions,
} from "./boot/library/process.ts";
export { Sandbox, type SandboxStats, type SandboxSummary } from "./boot/library/sandbox.ts";
export { ShellCommand } from "./boot/library/shell.ts";
export type { CommandStatus } from "./boot/library/status.ts";
export type { CopyOptions, CopyReport } from "./boot/library/trees.ts";
export type { TerminalSize, ToolOptions } from "./boot/library/tool.ts";
