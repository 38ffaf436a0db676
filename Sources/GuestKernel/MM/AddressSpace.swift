import Engine

/// Frames shared by mappings of `MAP_SHARED | MAP_ANONYMOUS` (Linux's unlinked tmpfs file).
public final class SharedMemory {}

/// Frames that the kernel maps into programs.
public final class SpecialPages {}

/// The memory of a process (`struct mm_struct`): its mappings and its page tables.
public final class AddressSpace: UserMemory {
  /// Resource limits that memory calls look at; the owner keeps them up to date.
  public struct Limits: Sendable {
    /// `RLIMIT_AS`, `RLIMIT_DATA`, `RLIMIT_STACK`, `RLIMIT_MEMLOCK`.
    public var addressSpace = MM.RLIM_INFINITY, data = MM.RLIM_INFINITY
    public var stack: UInt64 = 8 << 20, locked: UInt64 = 8 << 20
    public init() {}
  }
  /// Where the parts of the program are (`mm->start_code` … `env_end`), for `/proc`.
  public struct Layout: Sendable {
    public var startCode: UInt64 = 0, endCode: UInt64 = 0, startData: UInt64 = 0, endData: UInt64 = 0
    public var startBrk: UInt64 = 0, brk: UInt64 = 0, startStack: UInt64 = 0
    public var argStart: UInt64 = 0, argEnd: UInt64 = 0, envStart: UInt64 = 0, envEnd: UInt64 = 0
    public init() {}
  }
  public private(set) var vmas: [VMA] = []
  public let frames: PageAllocator
  public let isa: any KernelISA
  public var limits = Limits()
  public var layout = Layout()
  /// `/proc/pid/auxv`.
  public var auxv: [UInt8] = []
  /// Address of the page with `rt_sigreturn` code.
  public var signalPage: UInt64 = 0
  public var flushNeeded = FlushKind.none
  public var instructionFlushNeeded = false
  /// What `RELOAD_ROOT` loads: the page-table register's value.
  public var rootValue: UInt64 { 0 }
  /// Resident pages now and at most, mapped bytes (for /proc and getrusage).
  public private(set) var residentPages = 0
  public private(set) var maxResidentPages = 0
  public var mappedBytes: UInt64 { 0 }

  public init(frames: PageAllocator, isa: any KernelISA, kernelRoot: UInt64, asid: UInt16)
    throws(Errno)
  {
    self.frames = frames
    self.isa = isa
  }
  /// What must be flushed now; forgets it.
  public func takeFlush() -> (translations: FlushKind, instructions: Bool) { (.none, false) }

  public func mmap(
    _ addr: UInt64, _ length: UInt64, prot: Int32, flags: Int32, file: OpenFile? = nil,
    offset: UInt64 = 0
  ) throws(Errno) -> UInt64 { throw .ENOSYS }
  public func munmap(_ addr: UInt64, _ length: UInt64) throws(Errno) { throw .ENOSYS }
  public func mprotect(_ addr: UInt64, _ length: UInt64, _ prot: Int32) throws(Errno) {
    throw .ENOSYS
  }
  public func mremap(
    _ addr: UInt64, _ oldLength: UInt64, _ newLength: UInt64, flags: Int32, newAddr: UInt64
  ) throws(Errno) -> UInt64 { throw .ENOSYS }
  public func madvise(_ addr: UInt64, _ length: UInt64, _ advice: Int32) throws(Errno) {
    throw .ENOSYS
  }
  public func msync(_ addr: UInt64, _ length: UInt64, flags: Int32) throws(Errno) { throw .ENOSYS }
  /// One byte a page: bit 0 resident.
  public func mincore(_ addr: UInt64, _ length: UInt64) throws(Errno) -> [UInt8] { throw .ENOSYS }
  public func mlock(_ addr: UInt64, _ length: UInt64, onFault: Bool) throws(Errno) { throw .ENOSYS }
  public func munlock(_ addr: UInt64, _ length: UInt64) throws(Errno) { throw .ENOSYS }
  public func mlockall(_ flags: Int32) throws(Errno) { throw .ENOSYS }
  public func munlockall() {}
  /// The break after the call: unchanged where it could not be moved (never fails).
  public func brk(_ addr: UInt64) -> UInt64 { 0 }

  public func handleFault(_ va: UInt64, _ access: Access, user: Bool) -> FaultOutcome { .mapError }
  public func fork(asid: UInt16 = 0) throws(Errno) -> AddressSpace { throw .ENOSYS }
  public func releaseAll() {}

  /// Kernel pages in user space. `at` 0: anywhere free. Returns the address.
  public func insertSpecial(name: String, at: UInt64, bytes: [UInt8], prot: Int32) throws(Errno)
    -> UInt64
  { throw .ENOSYS }
  public func mapsText() -> String { "" }
  /// The mapping that holds `va`.
  public func vma(at va: UInt64) -> VMA? { nil }

  // User memory: EFAULT where the program could not have done the access itself.
  public func read(_ va: UInt64, _ count: Int) throws(Errno) -> [UInt8] { throw .EFAULT }
  public func write(_ va: UInt64, _ bytes: [UInt8]) throws(Errno) { throw .EFAULT }
  /// As many bytes as could be copied (copy_to_user / copy_from_user with a short count).
  public func readPartial(_ va: UInt64, _ count: Int) -> [UInt8] { [] }
  public func writePartial(_ va: UInt64, _ bytes: [UInt8]) -> Int { 0 }
  public func load<T: FixedWidthInteger & BitwiseCopyable>(_ va: UInt64, as: T.Type)
    throws(Errno) -> T
  { throw .EFAULT }
  public func store<T: FixedWidthInteger & BitwiseCopyable>(_ va: UInt64, _ value: T)
    throws(Errno)
  { throw .EFAULT }
  /// Bytes up to a NUL (not included). ENAMETOOLONG without one in `max` bytes.
  public func readCString(_ va: UInt64, max: Int) throws(Errno) -> [UInt8] { throw .EFAULT }
  /// `access_process_vm` with `FOLL_FORCE`: writes what the program may only read or execute
  /// (breakpoints), into a private copy; asks for an instruction flush.
  public func writeForced(_ va: UInt64, _ bytes: [UInt8]) throws(Errno) { throw .EFAULT }
  public func readForced(_ va: UInt64, _ count: Int) throws(Errno) -> [UInt8] { throw .EFAULT }
  /// What a futex at `va` is known by: private (this object, va) or shared (backing, offset).
  public func futexKey(_ va: UInt64, shared: Bool) throws(Errno) -> FutexKey { throw .EFAULT }
}

/// What a futex is known by.
public struct FutexKey: Hashable, Sendable {
  var object: ObjectIdentifier
  var offset: UInt64
}
