import Engine

/// What a kernel must know of x86-64: page tables, frames, calling and signal conventions.
///
/// Facts only.
public struct X86KernelISA: KernelISA {
  /// The facts of every machine.
  public init() {}

  /// What `uname` calls the machine.
  public var machineName: String { "x86_64" }
  /// `EM_X86_64`.
  public var elfMachine: UInt16 { 62 }
  /// CPUID's leaf 1, EDX.
  ///
  /// - SeeAlso: Linux, `arch/x86/include/asm/elf.h`, `ELF_HWCAP`.
  public var hwcap: UInt64 { UInt64(CPUID.leaf(1, 0).3) }
  /// Programs may read and write FS and GS bases.
  ///
  /// - SeeAlso: Linux, `arch/x86/include/uapi/asm/hwcap2.h`, `HWCAP2_FSGSBASE`.
  public var hwcap2: UInt64 { 1 << 1 }

  // MARK: Page tables (4-level paging)

  /// Levels of 4-level paging.
  public var pageTableLevels: Int { 4 }
  /// The end of user addresses: a page below the end of the canonical lower half.
  ///
  /// - SeeAlso: Linux, `arch/x86/include/asm/page_64_types.h`, `TASK_SIZE_MAX`.
  public var userEnd: UInt64 { 0x7fff_ffff_f000 }

  /// Linux's `page_offset_base` without KASLR.
  ///
  /// - SeeAlso: Linux, `Documentation/arch/x86/x86_64/mm.rst`.
  public var linearMapBase: UInt64 { 0xffff_8880_0000_0000 }

  /// The entry for a further table.
  public func tableEntry(_ pa: UInt64) -> UInt64 {
    pa | PTE.present | PTE.write | PTE.user | PTE.accessed
  }

  /// The entry for a page: what is present can be read.
  public func leafEntry(
    _ pa: UInt64, _ protection: PageProtection, accessed: Bool, dirty: Bool
  ) -> UInt64 {
    guard !protection.isDisjoint(with: [.read, .write, .execute]) else { return 0 }
    var entry = pa | PTE.present
    if protection.contains(.write) { entry |= PTE.write }
    if !protection.contains(.execute) { entry |= PTE.noExecute }
    if protection.contains(.user) { entry |= PTE.user }
    if protection.contains(.global) { entry |= PTE.global }
    if accessed { entry |= PTE.accessed }
    if dirty { entry |= PTE.dirty }
    return entry
  }

  /// The entry for a page or a large page.
  public func kernelEntry(_ pa: UInt64, _ protection: PageProtection, level: Int) -> UInt64 {
    let entry = leafEntry(pa, protection, accessed: true, dirty: true)
    return level > 0 && entry != 0 ? entry | PTE.large : entry
  }

  /// What an entry of a page table says.
  public func classify(_ entry: UInt64, level: Int) -> PageEntry {
    guard entry & PTE.present != 0 else { return .empty }
    if level > 2 || level > 0 && entry & PTE.large == 0 { return .table(entry & PTE.address) }
    var protection: PageProtection = .read
    if entry & PTE.write != 0 { protection.insert(.write) }
    if entry & PTE.noExecute == 0 { protection.insert(.execute) }
    if entry & PTE.user != 0 { protection.insert(.user) }
    if entry & PTE.global != 0 { protection.insert(.global) }
    return .leaf(
      pa: entry & PTE.address, protection: protection, accessed: entry & PTE.accessed != 0,
      dirty: entry & PTE.dirty != 0)
  }

  /// The value of CR3: the guest kernel uses no PCIDs.
  public func rootValue(_ pa: UInt64, asid: UInt16) -> UInt64 { pa }

  // MARK: Frames

  /// The layout of `struct pt_regs`.
  public var ptRegs: PtRegsLayout { PtRegs.layout }

  private static let userCode: UInt64 = 0x33, userData: UInt64 = 0x2b

  /// - SeeAlso: Linux, `arch/x86/kernel/process_64.c`, `start_thread_common`.
  public func initialRegs(pc: UInt64, sp: UInt64) -> [UInt8] {
    var regs = [UInt8](repeating: 0, count: PtRegs.size)
    regs.store64(PtRegs.rip, pc)
    regs.store64(PtRegs.rsp, sp)
    regs.store64(PtRegs.cs, Self.userCode)
    regs.store64(PtRegs.ss, Self.userData)
    regs.store64(PtRegs.flags, RFlags.fixed | RFlags.interrupt)
    regs.store64(PtRegs.originalRAX, .max)
    return regs
  }

  /// Whether saved registers are those of user mode.
  public func isUser(_ regs: [UInt8]) -> Bool { regs.load64(PtRegs.cs) & 3 != 0 }

  /// Bytes of `syscall`.
  public var syscallInsnLength: UInt64 { 2 }

  /// The name of a system call.
  public func syscallName(_ number: Int) -> String? { SyscallNumbers.name(number) }

  /// FS and GS; while the kernel runs, SWAPGS keeps the user's aside.
  public func userBases(_ hart: Hart) -> [UInt64] {
    [hart.x[Registers.fsBase], hart.x[SystemSlot.kernelGSBase]]
  }

  /// Sets FS and GS of user mode.
  public func setUserBases(_ bases: [UInt64], _ hart: Hart) {
    guard bases.count == 2 else { return }
    hart.x[Registers.fsBase] = bases[0]
    hart.x[SystemSlot.kernelGSBase] = bases[1]
  }

  /// - SeeAlso: Linux, `arch/x86/include/uapi/asm/stat.h`, `struct stat`.
  public var statLayout: StatLayout {
    StatLayout(
      size: 144, device: 0, inode: 8, mode: 24, links: 16, uid: 28, gid: 32,
      representedDevice: 40, length: 48, blockSize: 56, blocks: 64, accessed: 72, modified: 88,
      changed: 104)
  }

  /// It is packed.
  ///
  /// - SeeAlso: Linux, `include/uapi/linux/eventpoll.h`, `EPOLL_PACKED`.
  public var epollDataOffset: Int { 4 }

  // MARK: Floating point

  /// The components that programs have, and bytes of an image of them.
  private static let components = StateImage.all
  private static let fpSize = Int(StateImage.size(of: components))

  /// The registers as XSAVE64 writes them.
  public func saveFP(_ hart: Hart) -> [UInt8] {
    var image = KernelImage(bytes: [UInt8](repeating: 0, count: Self.fpSize))
    StateImage.save(hart.x, Self.components, wide: true, to: &image)
    image[StateImage.legacySize] = StateImage.inUse(hart.x) & Self.components
    return image.bytes
  }

  /// Loads the registers from saved bytes; without any, those of a new program.
  public func restoreFP(_ state: [UInt8], _ hart: Hart) {
    StateImage.reset(hart.x)
    let image = KernelImage(bytes: state)
    guard state.count >= Self.fpSize, StateImage.restoreControl(hart.x, from: image) else { return }
    let present = image[StateImage.legacySize] & Self.components
    StateImage.restore(hart.x, present, wide: true, from: image)
  }

  // MARK: Signals

  /// Every action has a restorer.
  public var signalActionHasRestorer: Bool { true }
  /// There is none: no vDSO.
  public var signalPage: [UInt8] { [] }
  /// - SeeAlso: System V ABI, AMD64 supplement, 'The Stack Frame'.
  public var redZone: UInt64 { 128 }

  /// Offsets in `struct rt_sigframe`: the return address, `ucontext` with its parts, `siginfo`.
  ///
  /// - SeeAlso: Linux, `arch/x86/include/asm/sigframe.h`, `struct rt_sigframe`;
  ///   `include/uapi/asm-generic/ucontext.h`; `arch/x86/include/uapi/asm/sigcontext.h`, `struct
  ///   sigcontext_64`.
  private enum Frame {
    static let context = 8
    static let stack = context + 16
    static let registers = context + 40
    static let flags = registers + 136
    static let selectors = registers + 144
    static let error = registers + 152
    static let trap = registers + 160
    static let oldMask = registers + 168
    static let cr2 = registers + 176
    static let fp = registers + 184
    static let mask = context + 296
    static let info = context + 304
    static let size = info + 128
    /// `UC_FP_XSTATE`, `UC_SIGCONTEXT_SS` and `UC_STRICT_RESTORE_SS`.
    static let contextFlags: UInt64 = 7
  }

  /// What stands in and behind the registers' image in a signal frame: `struct _fpx_sw_bytes`, and a
  /// word at the end.
  ///
  /// - SeeAlso: Linux, `arch/x86/include/uapi/asm/sigcontext.h`.
  private enum FrameState {
    /// Where the two 32-bit words of `magic1` and `extended_size` stand, `xfeatures`, `xstate_size`.
    static let magic = 464, features = 472, size = 480
    static let firstMagic: UInt64 = 0x4650_5853, lastMagic: UInt64 = 0x4650_5845
    /// Bytes of `magic2`.
    static let end = 4
  }

  /// The order of registers in `struct sigcontext_64`.
  private static let order = [
    PtRegs.r8, PtRegs.r9, PtRegs.r10, PtRegs.r11, PtRegs.r12, PtRegs.r13, PtRegs.r14, PtRegs.r15,
    PtRegs.rdi, PtRegs.rsi, PtRegs.rbp, PtRegs.rbx, PtRegs.rdx, PtRegs.rax, PtRegs.rcx, PtRegs.rsp,
    PtRegs.rip,
  ]

  /// Bytes of `struct rt_sigframe`, without the floating-point registers behind it.
  public var signalFrameSize: Int { Frame.size }

  /// Bytes of the floating-point registers in a frame.
  private static let frameStateSize = fpSize + FrameState.end

  /// The most bytes that a frame takes, whatever the stack pointer was.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/signal.c`, `init_sigframe_size`.
  public var largestSignalFrame: UInt64? {
    (UInt64(Frame.size + 15 + Self.frameStateSize + 63) + 15) & ~15
  }

  /// Below the floating-point registers, which begin at a multiple of 64; as if the handler had been
  /// called from an aligned stack.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/signal.c`, `get_sigframe`.
  public func signalFrameAddress(below sp: UInt64) -> UInt64 {
    let fp = (sp &- UInt64(Self.frameStateSize)) & ~63
    return ((fp &- UInt64(Frame.size)) & ~15) &- 8
  }

  /// - SeeAlso: Linux, `arch/x86/kernel/signal_64.c`, `x64_setup_rt_frame`.
  public func encodeSignalFrame(_ frame: SignalFrame) -> [UInt8] {
    let behind = (frame.address &+ UInt64(Frame.size) &+ 63) & ~63
    let fp = Int(behind &- frame.address)
    var bytes = [UInt8](repeating: 0, count: fp + Self.frameStateSize)
    bytes.store64(0, frame.restorer)
    bytes.store64(Frame.context, Frame.contextFlags)
    bytes.store64(Frame.stack, frame.stack.sp)
    bytes.store64(Frame.stack + 8, UInt64(frame.stack.flags))
    bytes.store64(Frame.stack + 16, frame.stack.size)
    for (index, at) in Self.order.enumerated() {
      bytes.store64(Frame.registers + 8 * index, frame.regs.load64(at))
    }
    bytes.store64(Frame.flags, frame.regs.load64(PtRegs.flags))
    let cs = frame.regs.load64(PtRegs.cs) & 0xffff
    bytes.store64(Frame.selectors, cs | (frame.regs.load64(PtRegs.ss) & 0xffff) << 48)
    if frame.fault.count == 3 {
      bytes.store64(Frame.cr2, frame.fault[0])
      bytes.store64(Frame.trap, frame.fault[1])
      bytes.store64(Frame.error, frame.fault[2])
    }
    bytes.store64(Frame.oldMask, frame.mask)
    bytes.store64(Frame.fp, behind)
    bytes.store64(Frame.mask, frame.mask)
    bytes.replaceSubrange(
      Frame.info..<Frame.info + 128,
      with: (frame.siginfo + Array(repeating: 0, count: 128)).prefix(128))
    bytes.replaceSubrange(fp..<fp + Self.frameStateSize, with: Self.frameState(frame.fp))
    return bytes
  }

  /// The handler's RET took the return address off the stack.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/signal_64.c`, `rt_sigreturn`, `restore_sigcontext`.
  public func readSignalFrame(
    sp: UInt64, regs: [UInt8], read: (_ va: UInt64, _ count: Int) -> [UInt8]?
  ) -> SignalFrame? {
    guard let bytes = read(sp &- 8, Frame.size),
      var frame = decodeSignalFrame(bytes, regs: regs)
    else { return nil }
    // Without a pointer the registers become those of a new program.
    let fp = bytes.load64(Frame.fp)
    guard fp != 0 else { return frame }
    guard let state = Self.readFrameState(fp, read) else { return nil }
    frame.fp = state
    return frame
  }

  /// The saved registers as a frame has them: x87 and SSE state always count, and what is there is
  /// said twice.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/fpu/signal.c`, `save_sw_bytes`, `save_xstate_epilog`.
  private static func frameState(_ fp: [UInt8]) -> [UInt8] {
    var state = fp + [UInt8](repeating: 0, count: max(fpSize + 8 - fp.count, 0))
    state.store64(
      FrameState.magic, FrameState.firstMagic | UInt64(frameStateSize) << 32)
    state.store64(FrameState.features, components)
    state.store64(FrameState.size, UInt64(fpSize))
    let header = Int(StateImage.legacySize)
    state.store64(header, state.load64(header) | StateImage.legacy)
    state.store64(fpSize, FrameState.lastMagic)
    return Array(state.prefix(frameStateSize))
  }

  /// The registers from a frame: without both magic words those of FXSAVE, and the others as a new
  /// program has them.
  ///
  /// Deviation: Linux wants an address that is a multiple of 64.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/fpu/signal.c`, `check_xstate_in_sigframe`,
  ///   `__fpu_restore_sig`.
  /// - Returns: `nil` where they can't be read or loaded.
  private static func readFrameState(
    _ at: UInt64, _ read: (_ va: UInt64, _ count: Int) -> [UInt8]?
  ) -> [UInt8]? {
    let header = Int(StateImage.legacySize)
    guard let legacy = read(at, header) else { return nil }
    let size = legacy.load64(FrameState.size) & 0xffff_ffff
    let isExtended =
      legacy.load64(FrameState.magic) & 0xffff_ffff == FrameState.firstMagic
      && size >= StateImage.upperOffset && size <= fpSize
      && size <= legacy.load64(FrameState.magic) >> 32
    var state = legacy + [UInt8](repeating: 0, count: fpSize - header)
    state.store64(header, StateImage.legacy)
    if isExtended {
      guard let magic = read(at &+ size, FrameState.end) else { return nil }
      if (magic + [0, 0, 0, 0]).load64(0) == FrameState.lastMagic {
        guard let all = read(at, Int(size)),
          StateImage.hasSoundHeader(KernelImage(bytes: all), components)
        else { return nil }
        state.replaceSubrange(0..<all.count, with: all)
        state.store64(header, state.load64(header) & legacy.load64(FrameState.features))
      }
    }
    // What is the kernel's stays out of its own image.
    for word in 0..<6 { state.store64(FrameState.magic + 8 * word, 0) }
    return StateImage.isSound(KernelImage(bytes: state)) ? state : nil
  }

  /// Reads `struct rt_sigframe`, without the floating-point registers.
  public func decodeSignalFrame(_ bytes: [UInt8], regs: [UInt8]) -> SignalFrame? {
    guard bytes.count >= Frame.size, regs.count >= PtRegs.size else { return nil }
    var restored = regs
    for (index, at) in Self.order.enumerated() {
      restored.store64(at, bytes.load64(Frame.registers + 8 * index))
    }
    // Deviation: Linux returns to whatever segments the frame names, 32-bit ones among them.
    let selectors = bytes.load64(Frame.selectors)
    guard selectors & 0xffff | 3 == Self.userCode, selectors >> 48 | 3 == Self.userData else {
      return nil
    }
    let changeable = RFlags.userWritable & ~RFlags.nested & ~RFlags.identification
    restored.store64(
      PtRegs.flags,
      regs.load64(PtRegs.flags) & ~changeable | bytes.load64(Frame.flags) & changeable)
    // No system call is to be restarted for what this frame interrupted.
    restored.store64(PtRegs.originalRAX, .max)
    return SignalFrame(
      regs: restored, fp: [], mask: bytes.load64(Frame.mask),
      siginfo: Array(bytes[Frame.info..<Frame.info + 128]),
      stack: (
        bytes.load64(Frame.stack), UInt32(truncatingIfNeeded: bytes.load64(Frame.stack + 8)),
        bytes.load64(Frame.stack + 16)
      ))
  }

  /// Sets the registers for the entry into a signal handler.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/signal.c`, `handle_signal`.
  public func enterHandler(
    _ regs: inout [UInt8], handler: UInt64, frame: UInt64, signal: Int, restorer: UInt64
  ) {
    regs.store64(PtRegs.rip, handler)
    regs.store64(PtRegs.rsp, frame)
    regs.store64(PtRegs.rdi, UInt64(signal))
    regs.store64(PtRegs.rsi, frame &+ UInt64(Frame.info))
    regs.store64(PtRegs.rdx, frame &+ UInt64(Frame.context))
    regs.store64(PtRegs.rax, 0)
    regs.store64(PtRegs.cs, Self.userCode)
    regs.store64(PtRegs.ss, Self.userData)
    regs.store64(
      PtRegs.flags,
      regs.load64(PtRegs.flags) & ~(RFlags.direction | RFlags.resume | RFlags.trap))
  }
}
