// The architecture that this build is for, as the rest of the kernel sees it: nobody else imports from its folder. All of it
// is constants and plain functions, so that calls stay direct. A further one has a folder beside x64/ with the same exports,
// and its build names it here.

export { archPrctl } from "./x64/arch_prctl.ts";
export { LAYOUT } from "./x64/layout.ts";
export { FIXED_MAPPINGS, isUnmappedAccess } from "./x64/memory.ts";
export { AUDIT_ARCHITECTURE, CALL_NUMBERS, ELF_MACHINE, MACHINE_NAME, PROGRAMS_NAME } from "./x64/names.ts";
export {
  callResult,
  instructionPointer,
  interruptCall,
  putInstructionPointer,
  repeatCall,
  resumeCall,
  rollBackCall,
  setThreadPointer,
  stackPointer,
  startChild,
  startProgram,
} from "./x64/registers.ts";
export {
  canReturn,
  enterHandler,
  fillFrame,
  FRAME_INFO,
  FRAME_MASK,
  FRAME_REST_BYTES,
  FRAME_STACK,
  frameBytes,
  frameEnd,
  frameStart,
  RED_ZONE_BYTES,
  restoreFrame,
  writeFrame,
} from "./x64/signal_frame.ts";
