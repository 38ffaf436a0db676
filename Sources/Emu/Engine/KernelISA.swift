/// What a page of guest memory may be used for.
public struct PageProtection: OptionSet, Sendable, Hashable {
  /// The raw bits: 1 read, 2 write, 4 execute (as `PROT_*`), 8 user, 16 global.
  public let rawValue: UInt8
  /// A set of the given raw bits.
  public init(rawValue: UInt8) { self.rawValue = rawValue }
  /// Loads.
  public static let read = PageProtection(rawValue: 1)
  /// Stores.
  public static let write = PageProtection(rawValue: 2)
  /// Instruction fetches.
  public static let execute = PageProtection(rawValue: 4)
  /// Allowed in user mode (and there only, where the ISA says so).
  public static let user = PageProtection(rawValue: 8)
  /// The same in every address space.
  public static let global = PageProtection(rawValue: 16)
}

/// What an entry of a page table says.
public enum PageEntry: Sendable, Equatable {
  /// Nothing is mapped.
  case empty
  /// The next table is at this physical address.
  case table(UInt64)
  /// A page, or at an upper level a large page.
  case leaf(pa: UInt64, protection: PageProtection, accessed: Bool, dirty: Bool)
}

/// The layout of `struct pt_regs` that the guest's entry code saves, as byte offsets.
public struct PtRegsLayout: Sendable {
  /// Bytes in the frame.
  public var size: Int
  /// Saved pc and stack pointer.
  public var pc, sp: Int
  /// Saved thread pointer; `nil` where it is not in the frame but the first of
  /// ``KernelISA/userBases(_:)``.
  public var tp: Int?
  /// System-call number.
  public var syscallNumber: Int
  /// System-call arguments 0 to 5.
  public var arguments: [Int]
  /// The system call's result.
  public var result: Int
  /// Where entry code keeps the first argument for a restart.
  public var originalArgument0: Int

  /// A layout of the given offsets.
  public init(
    size: Int, pc: Int, sp: Int, tp: Int?, syscallNumber: Int, arguments: [Int], result: Int,
    originalArgument0: Int
  ) {
    self.size = size
    self.pc = pc
    self.sp = sp
    self.tp = tp
    self.syscallNumber = syscallNumber
    self.arguments = arguments
    self.result = result
    self.originalArgument0 = originalArgument0
  }
}

/// What goes into a signal frame besides the handler: what `rt_sigreturn` takes back.
public struct SignalFrame: Sendable {
  /// The interrupted registers: a `pt_regs` of the ISA's layout.
  public var regs: [UInt8]
  /// Floating-point state, in the ISA's `ucontext` layout.
  public var fp: [UInt8]
  /// Blocked signals, bit `n - 1` for signal `n`.
  public var mask: UInt64
  /// The 128 bytes of `siginfo_t`.
  public var siginfo: [UInt8]
  /// `stack_t`: address, flags, size.
  public var stack: (sp: UInt64, flags: UInt32, size: UInt64)
  /// Where it lies (``KernelISA/signalFrameAddress(below:)``).
  public var address: UInt64 = 0
  /// Where the handler returns to.
  public var restorer: UInt64 = 0
  /// What the guest kernel noted of the task's last fault, in its own order: `layout_task_fault`.
  public var fault: [UInt64] = []

  /// A frame of the given parts.
  public init(
    regs: [UInt8], fp: [UInt8], mask: UInt64, siginfo: [UInt8],
    stack: (sp: UInt64, flags: UInt32, size: UInt64)
  ) {
    self.regs = regs
    self.fp = fp
    self.mask = mask
    self.siginfo = siginfo
    self.stack = stack
  }
}

/// Where the fields of `struct stat` lie, as byte offsets.
public struct StatLayout: Sendable {
  /// Bytes.
  public var size: Int
  /// Fields; times are of two 8-byte words.
  public var device, inode, mode, links, uid, gid, representedDevice, length, blockSize, blocks: Int
  /// Times of the last access, change of data, change of the inode.
  public var accessed, modified, changed: Int

  /// A layout of the given offsets.
  public init(
    size: Int, device: Int, inode: Int, mode: Int, links: Int, uid: Int, gid: Int,
    representedDevice: Int, length: Int, blockSize: Int, blocks: Int, accessed: Int,
    modified: Int, changed: Int
  ) {
    self.size = size
    self.device = device
    self.inode = inode
    self.mode = mode
    self.links = links
    self.uid = uid
    self.gid = gid
    self.representedDevice = representedDevice
    self.length = length
    self.blockSize = blockSize
    self.blocks = blocks
    self.accessed = accessed
    self.modified = modified
    self.changed = changed
  }

  /// - SeeAlso: Linux, `include/uapi/asm-generic/stat.h`, `struct stat`.
  public static let generic = StatLayout(
    size: 128, device: 0, inode: 8, mode: 16, links: 20, uid: 24, gid: 28,
    representedDevice: 32, length: 48, blockSize: 56, blocks: 64, accessed: 72, modified: 88,
    changed: 104)
}

/// What a kernel model must know of an instruction set: facts, no mechanism.
public protocol KernelISA: Sendable {
  /// What `uname -m` prints, and `AT_PLATFORM` where there is one.
  var machineName: String { get }
  /// `e_machine` of its ELF files.
  var elfMachine: UInt16 { get }
  /// `AT_HWCAP`.
  var hwcap: UInt64 { get }
  /// `AT_HWCAP2`.
  var hwcap2: UInt64 { get }

  /// Levels of a page table; every table has 512 entries of 8 bytes and pages have 4096 bytes.
  var pageTableLevels: Int { get }
  /// The first address behind user space.
  var userEnd: UInt64 { get }
  /// Where the guest kernel sees physical memory: va = pa - RAM base + this.
  var linearMapBase: UInt64 { get }
  /// A table entry that leads to the table at `pa`.
  func tableEntry(_ pa: UInt64) -> UInt64
  /// A leaf entry.
  func leafEntry(_ pa: UInt64, _ protection: PageProtection, accessed: Bool, dirty: Bool) -> UInt64
  /// The entry for a page of the kernel's at `level` (0: leaf table), accessed and dirty; where there
  /// are none so large, ``classify(_:level:)`` says so.
  func kernelEntry(_ pa: UInt64, _ protection: PageProtection, level: Int) -> UInt64
  /// What an entry at `level` (0: leaf table) says.
  func classify(_ entry: UInt64, level: Int) -> PageEntry
  /// What entry code writes into the page-table register for the root table at `pa`.
  func rootValue(_ pa: UInt64, asid: UInt16) -> UInt64

  /// The saved frame.
  var ptRegs: PtRegsLayout { get }
  /// A frame with which a program starts at `pc` in user mode; everything else zero.
  func initialRegs(pc: UInt64, sp: UInt64) -> [UInt8]
  /// Whether a saved frame returns to user mode.
  func isUser(_ regs: [UInt8]) -> Bool
  /// Bytes of the instruction that entered the kernel for a system call.
  var syscallInsnLength: UInt64 { get }
  /// Names of system calls by number: this ISA's column of the table.
  func syscallName(_ number: Int) -> String?

  /// The floating-point state of the running hart, in the `ucontext` (and task) layout.
  func saveFP(_ hart: Hart) -> [UInt8]
  /// Makes `state` the hart's floating-point state. Shorter than ``saveFP(_:)``'s: all zero.
  func restoreFP(_ state: [UInt8], _ hart: Hart)

  /// Registers of the running task's user mode that are neither in the frame nor floating point;
  /// `struct task` keeps them at `layout_task_bases`.
  func userBases(_ hart: Hart) -> [UInt64]
  /// Makes them the running task's.
  func setUserBases(_ bases: [UInt64], _ hart: Hart)

  /// `struct stat`.
  var statLayout: StatLayout { get }
  /// Where `struct epoll_event` has its data; it ends behind them.
  var epollDataOffset: Int { get }
  /// Whether `struct sigaction` has `sa_restorer`.
  var signalActionHasRestorer: Bool { get }

  /// Bytes below a program's stack pointer that are its own.
  var redZone: UInt64 { get }
  /// Where the frame of a signal lies that goes on a stack down from `sp`.
  func signalFrameAddress(below sp: UInt64) -> UInt64
  /// Code for the signal page; `rt_sigreturn` is called at its offset 0. None: every action must
  /// have a restorer.
  var signalPage: [UInt8] { get }
  /// The bytes of `struct rt_sigframe`, and what belongs to it behind it.
  func encodeSignalFrame(_ frame: SignalFrame) -> [UInt8]
  /// Bytes of `struct rt_sigframe`.
  var signalFrameSize: Int { get }
  /// `AT_MINSIGSTKSZ`; `nil` where the ISA has none.
  var largestSignalFrame: UInt64? { get }
  /// Reads the frame back that a handler left at stack pointer `sp` (`rt_sigreturn`), with the
  /// program's memory. `nil` where it is not acceptable.
  func readSignalFrame(
    sp: UInt64, regs: [UInt8], read: (_ va: UInt64, _ count: Int) -> [UInt8]?
  ) -> SignalFrame?
  /// Reads a frame's bytes. Registers that user mode may not set are taken from
  /// `regs`. `nil` where the frame is not acceptable.
  func decodeSignalFrame(_ bytes: [UInt8], regs: [UInt8]) -> SignalFrame?
  /// Changes `regs` so that they enter `handler` with the frame at `frame`; the return address is
  /// `restorer`.
  func enterHandler(
    _ regs: inout [UInt8], handler: UInt64, frame: UInt64, signal: Int, restorer: UInt64)
}

extension KernelISA {
  /// The same as a leaf.
  public func kernelEntry(_ pa: UInt64, _ protection: PageProtection, level: Int) -> UInt64 {
    leafEntry(pa, protection, accessed: true, dirty: true)
  }
  /// None.
  public func userBases(_ hart: Hart) -> [UInt64] { [] }
  /// None.
  public func setUserBases(_ bases: [UInt64], _ hart: Hart) {}
  /// asm-generic's.
  public var statLayout: StatLayout { .generic }
  /// Aligned.
  public var epollDataOffset: Int { 8 }
  /// None.
  public var hwcap2: UInt64 { 0 }
  /// Not told.
  public var largestSignalFrame: UInt64? { nil }
  /// It has not.
  public var signalActionHasRestorer: Bool { false }
  /// None.
  public var redZone: UInt64 { 0 }
  /// Aligned to 16 bytes.
  public func signalFrameAddress(below sp: UInt64) -> UInt64 {
    (sp &- UInt64(signalFrameSize)) & ~15
  }
  /// The frame is at the stack pointer, aligned to 16 bytes.
  public func readSignalFrame(
    sp: UInt64, regs: [UInt8], read: (_ va: UInt64, _ count: Int) -> [UInt8]?
  ) -> SignalFrame? {
    guard sp & 15 == 0, let bytes = read(sp, signalFrameSize) else { return nil }
    return decodeSignalFrame(bytes, regs: regs)
  }
}

extension Array where Element == UInt8 {
  /// The little-endian 64-bit value at a byte offset; zero where it does not fit.
  public func load64(_ offset: Int) -> UInt64 {
    guard offset >= 0, offset + 8 <= count else { return 0 }
    return withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
  }

  /// Writes a little-endian 64-bit value at a byte offset; nothing where it does not fit.
  public mutating func store64(_ offset: Int, _ value: UInt64) {
    guard offset >= 0, offset + 8 <= count else { return }
    withUnsafeMutableBytes { $0.storeBytes(of: value, toByteOffset: offset, as: UInt64.self) }
  }
}
