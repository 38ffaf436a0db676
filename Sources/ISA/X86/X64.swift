import Engine

/// A range of virtual addresses in a flat map: whole pages.
public struct FlatRegion: Sendable {
  /// The first virtual address.
  public var va: UInt64
  /// Bytes.
  public var size: UInt64
  /// The physical address of the first byte.
  public var pa: UInt64
  /// What may be done there.
  public var protection: PageProtection

  /// A region with the given parts.
  public init(va: UInt64, size: UInt64, pa: UInt64, protection: PageProtection) {
    self.va = va
    self.size = size
    self.pa = pa
    self.protection = protection
  }
}

/// An exception that reached whoever runs a hart without system state.
public struct X64Exception: Sendable, Equatable {
  /// The vector: 0 #DE, 3 #BP, 6 #UD, 12 #SS, 13 #GP, 14 #PF and so on.
  public var vector: UInt8
  /// The error code, 0 where there is none.
  public var errorCode: UInt64
  /// CR2 of a page fault.
  public var address: UInt64
}

/// What answers IN and OUT.
public protocol PortBus: AnyObject {
  /// Reads `size` (1, 2 or 4) bytes from a port.
  func read(port: UInt16, size: Int) -> UInt32
  /// Writes the low `size` bytes of `value` to a port.
  func write(port: UInt16, size: Int, _ value: UInt32)
}

/// The x86-64 instruction set of one hart, in 64-bit mode.
///
/// After ``reset(_:pc:)`` paging is off: memory is a flat map of regions, the privilege is 3, and
/// exceptions go to ``onException``. With paging on everything is as a processor has it.
public final class X64: GuestISA {
  /// What is mapped while paging is off.
  public var regions: [FlatRegion] = []
  /// Who takes exceptions while paging is off; without anybody the hart stops.
  ///
  /// The hart's pc is the one to be saved.
  public var onException: ((Hart, X64Exception) -> Void)?
  /// The last exception while paging was off.
  public private(set) var lastException: X64Exception?
  /// What answers IN and OUT; without anybody all bits read as ones.
  public weak var ports: (any PortBus)?
  /// Who hears that an interrupt has ended: the I/O APIC, whose pins may still be high.
  public var onEndOfInterrupt: ((_ vector: UInt64) -> Void)?
  /// Who delivers what the hart sends to processors; without anybody the hart is the only one.
  public var onMessage: ((APICMessage, APICShorthand) -> Void)?
  /// Who reacts when the first processor is to begin anew.
  public var onReset: (() -> Void)?
  /// Where RDRAND and RDSEED get so many bytes from; without anybody they fail.
  public var random: ((_ count: Int) -> [UInt8])?
  /// Who reacts when the timer was set: the machine, whose slices end at deadlines.
  public var onTimerChange: (() -> Void)?

  /// Translations as an architectural TLB holds them (``CacheModel/architectural``).
  var tlb = ArchitecturalTLB()
  /// Large pages that the hart's TLB holds parts of.
  var largePages = LargePages()

  /// How many TLBs a hart of this instruction set needs.
  public static let tlbCount = MMUIndex.count

  private var insns: [Insn] = []
  private var live: [Bool] = []

  /// What there is; the rest is undefined.
  public let features: FeatureSet

  /// The instruction set of one hart, with these features.
  public init(features: FeatureSet = .announced) {
    self.features = features
    insns.reserveCapacity(BlockBuilder.maxInsns)
    live.reserveCapacity(BlockBuilder.maxInsns)
  }

  /// Puts a hart where a kernel starts a program: flat segments, all registers zero, no paging.
  ///
  /// - SeeAlso: System V ABI, AMD64 supplement, 'Process Initialization'.
  public func reset(_ hart: Hart, pc: UInt64) {
    let x = hart.x
    for slot in 0..<256 where slot != Slot.pc { x[slot] = 0 }
    for slot in Slot.system..<Slot.total { x[slot] = 0 }
    x[Registers.otherFlags] = RFlags.fixed | RFlags.interrupt
    StateImage.reset(x)
    for (index, selector) in [UInt64(0), 0x33, 0x2b, 0, 0, 0].enumerated() {
      x[SystemSlot.selectors + index] = selector
    }
    for register in 0..<6 { x[SystemSlot.limits + register] = 0xffff_ffff }
    x[SystemSlot.format] = 0xffff_ffff
    x[SystemSlot.privilege] = 3
    x[SystemSlot.cr0] =
      CR0.protection | CR0.monitor | CR0.extensionType | CR0.numericError | CR0.writeProtect
    x[SystemSlot.cr4] =
      CR4.physicalExtension | CR4.osFXSR | CR4.osExceptions | CR4.segmentBases | CR4.osXSAVE
    x[SystemSlot.efer] =
      EFER.syscall | EFER.longMode | EFER.longModeActive | EFER.noExecute
    x[SystemSlot.xcr0] = CPUID.components(features)
    x[SystemSlot.pat] = 0x0007_0406_0007_0406
    x[SystemSlot.apicBase] = APIC.resetBase
    x[SystemSlot.spuriousVector] = 0xff
    maskVectorTable(x)
    x[SystemSlot.debugStatus] = DebugStatus.fixed
    x[SystemSlot.debugControl] = DebugControl.fixed
    x[Slot.pc] = pc
    flushTranslations(hart)
    Self.updateMode(hart)
  }

  /// Puts a hart where a boot loader leaves it for a 64-bit kernel: 64-bit code at privilege 0 with
  /// paging on, interrupts off, the local APIC enabled in x2APIC mode; tables for segments and
  /// interrupts are the kernel's to load.
  ///
  /// - SeeAlso: Linux, `Documentation/arch/x86/boot.rst`, '64-bit Boot Protocol'.
  public func enterKernel(_ hart: Hart, pc: UInt64, root: UInt64) {
    reset(hart, pc: pc)
    let x = hart.x
    x[SystemSlot.privilege] = 0
    x[Registers.otherFlags] = RFlags.fixed
    x[SystemSlot.cr0] |= CR0.paging
    x[SystemSlot.cr4] = x[SystemSlot.cr4] & ~CR4.osXSAVE | CR4.globalPages
    x[SystemSlot.xcr0] = StateImage.x87
    x[SystemSlot.cr3] = root
    x[SystemSlot.apicBase] |= APIC.enabled | APIC.extended
    for register in 0..<6 { Segment.null.put(register, x) }
    Segment.flat(0x10, rights: 0xa09b).put(SegmentRegister.cs, x)
    Self.updateMode(hart)
  }

  /// - SeeAlso: Intel SDM volume 3, 'Handling Self- and Cross-Modifying Code'.
  public var fetchIsCoherent: Bool { true }

  // MARK: Modes

  /// Bits of the translation flags: TF; SSE is not there; TS; HLT waits; EM; WAIT heeds TS too; XSAVE
  /// and AVX state are not enabled; TF steps to branches.
  enum TranslationFlag {
    static let stepping: UInt64 = 1, noSSE: UInt64 = 2, switched: UInt64 = 4
    static let halted: UInt64 = 8, emulated: UInt64 = 16, waitTraps: UInt64 = 32
    static let noXSAVE: UInt64 = 64, noAVX: UInt64 = 128, branches: UInt64 = 256
    /// 16- or 32-bit code; segments that are not flat; code of 16 bits; a stack of 16 bits; real mode.
    static let legacy: UInt64 = 512, segmented: UInt64 = 1024, narrow: UInt64 = 2048
    static let narrowStack: UInt64 = 4096, real: UInt64 = 8192
    /// Virtual-8086 mode, for which the flag of real mode is set too.
    static let virtual: UInt64 = 16384
    /// A unit may be off.
    static let units = noSSE | switched | emulated | waitTraps | noXSAVE | noAVX
  }

  /// Bits of `Slot.single`: the instruction began with TF set; behind STI or MOV SS; with RF set; its
  /// accesses match a breakpoint.
  static let stepped: UInt64 = 1, shadowed: UInt64 = 2, resumed: UInt64 = 4, watched: UInt64 = 8

  /// Says what translations and blocks depend on.
  static func updateMode(_ hart: Hart) {
    let x = hart.x
    let other = x[Registers.otherFlags]
    let cr0 = x[SystemSlot.cr0]
    var flags: UInt64 = 0
    var single: UInt64 = 0
    if other & RFlags.trap != 0 {
      flags |= TranslationFlag.stepping
      single |= stepped
      if x[SystemSlot.debugModel] & DebugModel.branches != 0 { flags |= TranslationFlag.branches }
    }
    if x[SystemSlot.watched] != 0 { single |= watched }
    if x[SystemSlot.shadow] != Shadow.none { single |= shadowed }
    if other & RFlags.resume != 0 { single |= resumed }
    if cr0 & CR0.emulation != 0 || x[SystemSlot.cr4] & CR4.osFXSR == 0 {
      flags |= TranslationFlag.noSSE
    }
    if cr0 & CR0.emulation != 0 { flags |= TranslationFlag.emulated }
    if cr0 & CR0.taskSwitched != 0 {
      flags |= TranslationFlag.switched
      if cr0 & CR0.monitor != 0 { flags |= TranslationFlag.waitTraps }
    }
    let enablesState = x[SystemSlot.cr4] & CR4.osXSAVE != 0
    if !enablesState { flags |= TranslationFlag.noXSAVE }
    if !enablesState || x[SystemSlot.xcr0] & StateImage.enabledAVX != StateImage.enabledAVX {
      flags |= TranslationFlag.noAVX
    }
    if x[SystemSlot.halted] != 0 { flags |= TranslationFlag.halted }
    if isLegacy(x) { flags |= segmentFlags(x) }
    x[Slot.single] = single
    let isUser = x[SystemSlot.privilege] == 3
    let index =
      other & RFlags.alignment == 0
      ? isUser ? MMUIndex.user : MMUIndex.supervisor
      : !isUser
        ? MMUIndex.supervisorAC : cr0 & CR0.alignment != 0 ? MMUIndex.userAC : MMUIndex.user
    hart.setMode(mmuIndex: index, flags: flags)
  }

  /// Says that TF changed other than by an instruction.
  public static func modeChanged(_ hart: Hart) { updateMode(hart) }

  /// The privilege, CPL.
  public func privilege(_ hart: Hart) -> UInt64 { hart.x[SystemSlot.privilege] }

  /// Whether the processor is shut down: a third fault came while a double fault was delivered.
  public func isShutDown(_ hart: Hart) -> Bool { hart.x[SystemSlot.shutdown] != 0 }

  /// Vector and saved pc of the last event that was delivered through the table.
  public func lastTrap(_ hart: Hart) -> (cause: UInt64, pc: UInt64) {
    (hart.x[SystemSlot.lastVector], hart.x[SystemSlot.lastPC])
  }

  /// The MMU indices under which programs run, for ``Hart/observe(_:modes:)``.
  public static let userModes: UInt64 = 1 << MMUIndex.user | 1 << MMUIndex.userAC

  /// The instruction set behind a helper's first argument.
  @inline(__always)
  static func of(_ x: UnsafeMutablePointer<UInt64>) -> Unmanaged<X64> {
    guard let raw = UnsafeRawPointer(bitPattern: UInt(x[Slot.isaObject])) else {
      preconditionFailure("a hart's slots name its instruction set from its initialiser on")
    }
    return .fromOpaque(raw)
  }

  /// The mode follows from the slots.
  public func restored(_ hart: Hart) {
    largePages.removeAll()
    Self.updateMode(hart)
  }

  /// The architectural TLB.
  public func archive(_ archive: Archive, for hart: Hart) {
    if hart.cacheModel == .architectural { tlb.archive(archive) }
  }

  // MARK: Exceptions

  /// Makes an exception pending.
  static func raise(
    _ x: UnsafeMutablePointer<UInt64>, _ vector: UInt64, _ errorCode: UInt64 = 0,
    trap: Bool = false
  ) {
    x[SystemSlot.errorCode] = errorCode
    if !trap { x[SystemSlot.trapPC] = 0 }
    x[SystemSlot.isTrap] = trap ? 1 : 0
    x[Slot.pending] = Pending.exception.rawValue
    x[Slot.cause] = vector
    x[Slot.tval] = 0
  }

  /// Forgets ``lastException``.
  public func forgetException() { lastException = nil }

  /// Hands the pending exception to ``onException``.
  func reportException(_ hart: Hart) {
    let x = hart.x
    x[Slot.pending] = 0
    if x[Slot.cause] == 14 { x[SystemSlot.faultAddress] = x[Slot.tval] }
    let exception = X64Exception(
      vector: UInt8(truncatingIfNeeded: x[Slot.cause]), errorCode: x[SystemSlot.errorCode],
      address: x[Slot.tval])
    lastException = exception
    if let onException { onException(hart, exception) } else { hart.requestStop() }
  }

  // MARK: Translation

  /// Lifts instructions into a block: decodes as many as go, finds which flags anybody may see, and
  /// lifts.
  public func translate(_ builder: BlockBuilder, for hart: Hart) {
    let flags = hart.x[Slot.translationFlags]
    if flags & TranslationFlag.halted != 0 {
      builder.beginInsn()
      builder.end(helper: waitOn)
      builder.endInsn(length: 1)
      return
    }
    let code: CodeSize =
      flags & TranslationFlag.legacy == 0
      ? .wide : flags & TranslationFlag.narrow == 0 ? .legacy : .narrow
    insns.removeAll(keepingCapacity: true)
    // A step is a block, so that the next step here finds it.
    let limit = flags & TranslationFlag.stepping != 0 ? min(1, builder.room) : builder.room
    var va = builder.pc
    var illegal: UInt64?
    while insns.count < limit, (va ^ builder.start) & ~4095 == 0 {
      guard let decoded = fetch(va, first: insns.isEmpty, code: code, builder) else {
        break
      }
      guard case .insn(let insn) = decoded,
        flags & TranslationFlag.real == 0 || !insn.prefixes.contains(.vex)
      else {
        if case .tooLong = decoded { illegal = 13 } else { illegal = 6 }
        break
      }
      insns.append(insn)
      va &+= UInt64(insn.length)
      if Liveness.endsBlock(insn) { break }
    }
    Liveness.compute(insns, observing: builder.observing, into: &live)
    var lift = Lift(builder: builder, flags: flags)
    for index in insns.indices {
      builder.beginInsn()
      if index == 0, Self.breaks(at: builder.pc, hart.x) { builder.emit(helper: breakpointBefore) }
      lift.flagsLive = live[index]
      lift.lift(insns[index])
      builder.endInsn(length: UInt64(insns[index].length))
      if builder.ended { return }
    }
    if let illegal {
      builder.beginInsn()
      if insns.isEmpty, Self.breaks(at: builder.pc, hart.x) {
        builder.emit(helper: breakpointBefore)
      }
      if flags & TranslationFlag.segmented != 0 { builder.emit(helper: checkFetch, c: 1) }
      builder.end(helper: raiseFault, c: UInt8(truncatingIfNeeded: illegal))
      builder.endInsn(length: 1)
    }
  }

  /// The instruction at `va`.
  ///
  /// - Returns: `nil` where the block must end before it.
  private func fetch(
    _ va: UInt64, first: Bool, code: CodeSize, _ builder: BlockBuilder
  ) -> Decoded? {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 16) { bytes in
      var count = builder.window(at: va, bytes)
      while true {
        let decoded = Decoder.decode(
          UnsafeBufferPointer(rebasing: bytes[0..<count]), features: features,
          code: code)
        guard case .truncated = decoded else { return decoded }
        guard let byte = builder.byte(at: va &+ UInt64(count), first: first) else { return nil }
        bytes[count] = byte
        count += 1
      }
    }
  }
}
