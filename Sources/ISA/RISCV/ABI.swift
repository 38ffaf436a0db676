import Engine

/// What a kernel must know of RISC-V: page tables, frames, calling and signal conventions.
///
/// Facts only.
public struct RISCVKernelISA: KernelISA {
  private let hasCompressed: Bool

  /// The facts of a machine with compressed instructions, or without.
  public init(compressed: Bool = true) { hasCompressed = compressed }

  /// What `uname` calls the machine.
  public var machineName: String { "riscv64" }
  /// `EM_RISCV`.
  public var elfMachine: UInt16 { 243 }

  /// One bit a letter: A, C, D, F, I and M.
  ///
  /// - SeeAlso: Linux, `arch/riscv/include/uapi/asm/hwcap.h`.
  public var hwcap: UInt64 {
    Array((hasCompressed ? "ACDFIM" : "ADFIM").utf8).reduce(0) { $0 | 1 << UInt64($1 - 65) }
  }

  // MARK: Page tables (Sv39)

  /// Levels of Sv39.
  public var pageTableLevels: Int { 3 }
  /// The end of user addresses under Sv39.
  public var userEnd: UInt64 { 1 << 38 }

  /// Linux's `PAGE_OFFSET` under Sv39.
  ///
  /// - SeeAlso: Linux, `Documentation/arch/riscv/vm-layout.rst`, 'RISC-V Linux Kernel SV39'.
  public var linearMapBase: UInt64 { 0xffff_ffd6_0000_0000 }

  /// The entry for a further table.
  public func tableEntry(_ pa: UInt64) -> UInt64 { (pa >> 12) << 10 | PTE.valid }

  /// The entry for a page.
  public func leafEntry(
    _ pa: UInt64, _ protection: PageProtection, accessed: Bool, dirty: Bool
  ) -> UInt64 {
    var entry = (pa >> 12) << 10 | PTE.valid
    // A page that may be written must be readable: W without R is reserved.
    if protection.contains(.read) || protection.contains(.write) { entry |= PTE.read }
    if protection.contains(.write) { entry |= PTE.write }
    if protection.contains(.execute) { entry |= PTE.execute }
    // No rights at all would read as a pointer to the next level.
    if entry & (PTE.read | PTE.execute) == 0 { return 0 }
    if protection.contains(.user) { entry |= PTE.user }
    if protection.contains(.global) { entry |= PTE.global }
    if accessed { entry |= PTE.accessed }
    if dirty { entry |= PTE.dirty }
    return entry
  }

  /// What an entry of a page table says.
  public func classify(_ entry: UInt64, level: Int) -> PageEntry {
    guard entry & PTE.valid != 0 else { return .empty }
    guard entry & (PTE.read | PTE.execute) != 0 else { return .table(PTE.pa(entry)) }
    var protection: PageProtection = []
    if entry & PTE.read != 0 { protection.insert(.read) }
    if entry & PTE.write != 0 { protection.insert(.write) }
    if entry & PTE.execute != 0 { protection.insert(.execute) }
    if entry & PTE.user != 0 { protection.insert(.user) }
    if entry & PTE.global != 0 { protection.insert(.global) }
    return .leaf(
      pa: PTE.pa(entry), protection: protection, accessed: entry & PTE.accessed != 0,
      dirty: entry & PTE.dirty != 0)
  }

  /// The value of `satp` for a root page table.
  public func rootValue(_ pa: UInt64, asid: UInt16) -> UInt64 {
    8 << 60 | UInt64(asid) << 44 | pa >> 12
  }

  // MARK: Frames

  /// The layout of `struct pt_regs`.
  public var ptRegs: PtRegsLayout { PtRegs.layout }

  /// sstatus as a new program sees it: interrupts on after the return to user mode.
  ///
  /// Floating point starts dirty and not initial, so that the first switch away saves the registers
  /// that `exec` cleared.
  public func initialRegs(pc: UInt64, sp: UInt64) -> [UInt8] {
    var regs = [UInt8](repeating: 0, count: PtRegs.size)
    regs.store64(PtRegs.epc, pc)
    regs.store64(PtRegs.x(2), sp)
    regs.store64(PtRegs.status, Status.spie | Status.fs | Status.uxl64)
    return regs
  }

  /// Whether saved registers are those of user mode.
  public func isUser(_ regs: [UInt8]) -> Bool { regs.load64(PtRegs.status) & Status.spp == 0 }

  /// Bytes of `ecall`.
  public var syscallInsnLength: UInt64 { 4 }

  /// - SeeAlso: Linux, `arch/riscv/include/uapi/asm/unistd.h`.
  public func syscallName(_ number: Int) -> String? {
    switch number {
    case 258: "riscv_hwprobe"
    case 259: "riscv_flush_icache"
    default: GenericSyscalls.name(number)
    }
  }

  // MARK: Floating point

  /// `struct __riscv_d_ext_state`: f0 to f31, then fcsr in four bytes, padded.
  static let fpSize = 264

  /// The floating-point registers as bytes.
  public func saveFP(_ hart: Hart) -> [UInt8] {
    var state = [UInt8](repeating: 0, count: Self.fpSize)
    for n in 0..<32 { state.store64(8 * n, hart.x[Slot.fp + n]) }
    state.store64(256, hart.x[SystemSlot.frm] << 5 | hart.x[SystemSlot.fflags])
    return state
  }

  /// Loads the floating-point registers from saved bytes.
  public func restoreFP(_ state: [UInt8], _ hart: Hart) {
    for n in 0..<32 { hart.x[Slot.fp + n] = state.load64(8 * n) }
    let fcsr = state.load64(256)
    hart.x[SystemSlot.fflags] = fcsr & 0x1f
    hart.x[SystemSlot.frm] = fcsr >> 5 & 7
  }

  // MARK: Signals

  /// `li a7, 139; ecall`: what Linux keeps in the vDSO as `__vdso_rt_sigreturn`.
  ///
  /// - SeeAlso: Linux, `arch/riscv/kernel/vdso/rt_sigreturn.S`.
  public var signalPage: [UInt8] {
    [0x93, 0x08, 0xb0, 0x08, 0x73, 0x00, 0x00, 0x00]
  }

  /// Offsets in `struct rt_sigframe`: `siginfo` first, then `ucontext` with its parts.
  ///
  /// - SeeAlso: Linux, `arch/riscv/kernel/signal.c`, `struct rt_sigframe`; `ucontext.h`,
  ///   `struct ucontext`; `sigcontext.h`, `struct sigcontext`.
  private enum Frame {
    static let context = 128
    static let stack = context + 16
    static let mask = context + 40
    static let registers = context + 176
    static let fp = registers + 256
    static let size = fp + 528
  }

  /// Bytes of `struct rt_sigframe`.
  public var signalFrameSize: Int { Frame.size }

  /// The bytes of `struct rt_sigframe`.
  public func encodeSignalFrame(_ frame: SignalFrame) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Frame.size)
    bytes.replaceSubrange(
      0..<128, with: (frame.siginfo + Array(repeating: 0, count: 128)).prefix(128))
    bytes.store64(Frame.stack, frame.stack.sp)
    bytes.store64(Frame.stack + 8, UInt64(frame.stack.flags))
    bytes.store64(Frame.stack + 16, frame.stack.size)
    bytes.store64(Frame.mask, frame.mask)
    for at in stride(from: 0, to: PtRegs.userSize, by: 8) {
      bytes.store64(Frame.registers + at, frame.regs.load64(at))
    }
    for at in stride(from: 0, to: 256, by: 8) {
      bytes.store64(Frame.fp + at, frame.fp.load64(at))
    }
    bytes.store64(Frame.fp + 256, frame.fp.load64(256) & 0xff)
    return bytes
  }

  /// Reads the frame that a handler leaves behind.
  public func decodeSignalFrame(_ bytes: [UInt8], regs: [UInt8]) -> SignalFrame? {
    guard bytes.count >= Frame.size, regs.count >= PtRegs.size else { return nil }
    // Behind the state that the D extension uses, everything is reserved and must be zero.
    guard bytes[(Frame.fp + 260)..<Frame.size].allSatisfy({ $0 == 0 }) else { return nil }
    var restored = regs
    for at in stride(from: 0, to: PtRegs.userSize, by: 8) {
      restored.store64(at, bytes.load64(Frame.registers + at))
    }
    // The registers that `restoreFP` sets live in the hart only: a switch away must save them.
    restored.store64(PtRegs.status, regs.load64(PtRegs.status) | Status.fs)
    // No system call is to be restarted for what this frame interrupted.
    restored.store64(PtRegs.cause, .max)
    return SignalFrame(
      regs: restored, fp: Array(bytes[Frame.fp..<(Frame.fp + Self.fpSize)]),
      mask: bytes.load64(Frame.mask), siginfo: Array(bytes[0..<128]),
      stack: (
        bytes.load64(Frame.stack), UInt32(truncatingIfNeeded: bytes.load64(Frame.stack + 8)),
        bytes.load64(Frame.stack + 16)
      ))
  }

  /// Sets the registers for the entry into a signal handler.
  public func enterHandler(
    _ regs: inout [UInt8], handler: UInt64, frame: UInt64, signal: Int, restorer: UInt64
  ) {
    regs.store64(PtRegs.epc, handler)
    regs.store64(PtRegs.x(1), restorer)
    regs.store64(PtRegs.x(2), frame)
    regs.store64(PtRegs.x(10), UInt64(signal))
    regs.store64(PtRegs.x(11), frame)
    regs.store64(PtRegs.x(12), frame &+ UInt64(Frame.context))
  }
}
