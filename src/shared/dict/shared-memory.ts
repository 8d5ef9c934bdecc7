import { closeSync, fstatSync, ftruncateSync, openSync } from "node:fs";
import { createRequire } from "node:module";
import process from "node:process";
import { getSystemErrorName } from "node:util";

// memfd_create(2), mmap(2)
const MFD_CLOEXEC = 1;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const PROBE_BYTES = 4_096;
const MAP_FAILED = BigInt.asUintN(64, -1n);

/** Memory that other processes can map. */
export interface SharedMemory {
  readonly buffer: ArrayBuffer;
  /** A file for others to open, for as long as this process lives and has not let go of `buffer`. */
  readonly path: string;
  /** Nobody else is to open it any more: the descriptor is closed. Whoever has the memory keeps it. */
  letGo(): void;
}

/**
 * Makes memory that has no name in any folder: it is reached through this process's own descriptor, so that nothing is left
 * of it when the last process ends, however that is. It does not depend on the size of /dev/shm either, which is 64 MB in
 * many containers. @throws Error where there is no such memory
 */
export function createSharedMemory(bytes: number): SharedMemory {
  const { createMemory } = native();
  const fd = createMemory("restyconf-dict", MFD_CLOEXEC);
  if (fd < 0) throw systemError("memfd_create");
  try {
    ftruncateSync(fd, bytes);
    let isOpen = true;
    const letGo = (): void => {
      if (isOpen) closeSync(fd);
      isOpen = false; // its number may be another file's from here on
    };
    const buffer = map(fd, bytes, letGo);
    return { buffer, path: `/proc/${process.pid}/fd/${fd}`, letGo };
  } catch (cause) {
    closeSync(fd);
    throw cause;
  }
}

/** Whether {@link createSharedMemory} works here. */
export function canShareMemory(): boolean {
  try {
    createSharedMemory(PROBE_BYTES).letGo();
    return true;
  } catch {
    return false;
  }
}

/** Maps the memory of another process. @throws Error when that process has ended */
export function openSharedMemory(path: string, bytes: number): ArrayBuffer {
  const fd = openSync(path, "r+");
  try {
    if (fstatSync(fd).size < bytes) throw new Error(`this shared dictionary is not in ${path}`); // reading behind the end kills the process
    return map(fd, bytes, () => {});
  } finally {
    closeSync(fd);
  }
}

/** The mapping ends when nobody can reach the buffer any more, never before: a view of memory that is gone kills the process. */
function map(fd: number, bytes: number, onEnd: () => void): ArrayBuffer {
  const { mapMemory, unmapMemory, view } = native();
  const address = mapMemory(null, bytes, PROT_READ_WRITE, MAP_SHARED, fd, 0);
  if (BigInt.asUintN(64, address) === MAP_FAILED) throw systemError("mmap");
  const buffer = view(address, bytes);
  ends.register(buffer, () => {
    unmapMemory(address, bytes);
    onEnd();
  });
  return buffer;
}

const ends = new FinalizationRegistry<() => void>((end) => end());

interface Native {
  readonly createMemory: (name: string, flags: number) => number;
  readonly mapMemory: (
    at: null,
    bytes: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ) => bigint;
  readonly unmapMemory: (at: bigint, bytes: number) => number;
  readonly view: (at: bigint, bytes: number) => ArrayBuffer;
  readonly errno: () => number;
}

let loaded: Native | undefined;

/** Loaded by the first dictionary that is shared: most processes have none. */
function native(): Native {
  loaded ??= load();
  return loaded;
}

function load(): Native {
  const require = createRequire(import.meta.url);
  const koffi: typeof import("koffi") = require("koffi");
  const libc = koffi.load(null);
  return {
    createMemory: libc.func("int memfd_create(const char *name, unsigned int flags)"),
    mapMemory: libc.func("void *mmap(void *at, size_t bytes, int protection, int flags, int fd, int64_t offset)"),
    unmapMemory: libc.func("int munmap(void *at, size_t bytes)"),
    view: koffi.view,
    errno: koffi.errno,
  };
}

function systemError(call: string): Error {
  return new Error(`${call}: ${getSystemErrorName(-native().errno())}`);
}
