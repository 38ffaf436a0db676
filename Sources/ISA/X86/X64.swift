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

/// The x86-64 instruction set of one hart, in 64-bit mode at privilege level 3.
///
/// Memory is a flat map of regions for now, and exceptions go to ``onException``; page tables,
/// descriptor tables and interrupts take their places.
public final class X64: GuestISA {
  /// What is mapped.
  public var regions: [FlatRegion] = []
  /// Who takes exceptions; without anybody the hart stops.
  ///
  /// The hart's pc is the one to be saved.
  public var onException: ((Hart, X64Exception) -> Void)?
  /// The last exception.
  public private(set) var lastException: X64Exception?

  /// How many TLBs a hart of this instruction set needs.
  public static let tlbCount = 2

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

  /// Puts a hart where a kernel starts a program: flat segments, all registers zero.
  ///
  /// - SeeAlso: System V ABI, AMD64 supplement, 'Process Initialization'.
  public func reset(_ hart: Hart, pc: UInt64) {
    let x = hart.x
    for slot in 0..<256 where slot != Slot.pc { x[slot] = 0 }
    x[Registers.otherFlags] = RFlags.fixed | RFlags.interrupt
    x[Registers.mxcsr] = 0x1f80
    x[Registers.fpControl] = 0x37f
    x[Registers.fpTag] = 0xffff
    for (index, selector) in [UInt64(0), 0x33, 0x2b, 0, 0, 0].enumerated() {
      x[SystemSlot.selectors + index] = selector
    }
    x[Slot.pc] = pc
    Self.updateMode(hart)
    hart.flushTLB()
  }

  /// Says what blocks depend on: bit 0 of the flags is TF.
  static func updateMode(_ hart: Hart) {
    let stepping = hart.x[Registers.otherFlags] & RFlags.trap != 0
    hart.setMode(mmuIndex: 0, flags: stepping ? 1 : 0)
  }

  /// The instruction set of the hart that owns these slots.
  static func of(_ x: UnsafeMutablePointer<UInt64>) -> Unmanaged<X64> {
    guard let raw = UnsafeRawPointer(bitPattern: UInt(x[Slot.isaObject])) else {
      preconditionFailure("a hart's slots name their instruction set from its initialiser on")
    }
    return .fromOpaque(raw)
  }

  /// The mode follows from the slots.
  public func restored(_ hart: Hart) { Self.updateMode(hart) }

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

  private func pageFault(_ va: UInt64, _ access: Access, present: Bool, _ hart: Hart) {
    let x = hart.x
    var error: UInt64 = 4 | (present ? 1 : 0)
    if access == .store { error |= 2 }
    if access == .fetch { error |= 16 }
    Self.raise(x, 14, error)
    x[Slot.tval] = va
    x[SystemSlot.faultAddress] = va
  }

  /// Whether the upper bits of an address are copies of bit 47.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'Canonical Addressing'.
  @inline(__always)
  static func isCanonical(_ va: UInt64) -> Bool {
    (va &+ 0x8000_0000_0000) &>> 48 == 0
  }

  /// Says that TF changed other than by an instruction.
  public static func modeChanged(_ hart: Hart) { updateMode(hart) }

  /// Forgets ``lastException``.
  public func forgetException() { lastException = nil }

  /// Delivers the pending exception.
  public func takeException(_ hart: Hart) {
    let x = hart.x
    if x[SystemSlot.isTrap] != 0 { x[Slot.pc] = x[SystemSlot.trapPC] }
    x[SystemSlot.isTrap] = 0
    let exception = X64Exception(
      vector: UInt8(truncatingIfNeeded: x[Slot.cause]), errorCode: x[SystemSlot.errorCode],
      address: x[Slot.tval])
    lastException = exception
    if let onException { onException(hart, exception) } else { hart.requestStop() }
  }

  /// No interrupts yet.
  public func takeInterrupt(_ hart: Hart) -> Bool { false }

  /// Nothing waits yet.
  public func wakes(_ hart: Hart) -> Bool { true }

  /// A bus error looks like a page that is not there.
  public func accessFault(_ va: UInt64, _ access: Access, for hart: Hart) {
    pageFault(va, access, present: false, hart)
  }

  // MARK: Translation

  /// Looks in the flat map.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Page-Fault Exceptions'.
  public func walk(_ va: UInt64, _ access: Access, for hart: Hart) -> Translation? {
    guard Self.isCanonical(va) else {
      Self.raise(hart.x, access != .fetch && isStackAccess(hart) ? 12 : 13)
      return nil
    }
    guard let region = regions.first(where: { va &- $0.va < $0.size }) else {
      if access != .fetch, leavesCanonical(va, hart) {
        Self.raise(hart.x, isStackAccess(hart) ? 12 : 13)
        return nil
      }
      pageFault(va, access, present: false, hart)
      return nil
    }
    let needed: PageProtection =
      access == .fetch ? .execute : access == .store ? .write : .read
    guard region.protection.contains(needed) else {
      pageFault(va, access, present: true, hart)
      return nil
    }
    return Translation(
      pa: region.pa &+ (va &- region.va), readable: region.protection.contains(.read),
      writable: region.protection.contains(.write),
      executable: region.protection.contains(.execute))
  }

  /// Whether the access at `va`, in the last canonical page, has its other end beyond.
  ///
  /// Both ends are looked at before any table is.
  private func leavesCanonical(_ va: UInt64, _ hart: Hart) -> Bool {
    let x = hart.x
    guard va | 4095 == 0x7fff_ffff_ffff, x[Slot.block] != 0,
      let op = UnsafePointer<MicroOp>(bitPattern: UInt(x[Slot.op]))
    else { return false }
    let size: UInt64
    switch op.pointee.op {
    case .ld16s, .ld16u, .st16, .ldm16u: size = 2
    case .ld32s, .ld32u, .st32, .ldm32u, .ldx32u, .stx32: size = 4
    case .ldm64: size = op.pointee.c == 32 ? 32 : 8
    case .ld64, .st64, .ldx64, .stx64, .addLd64: size = 8
    case .ldv, .stv: size = op.pointee.c == 32 ? 32 : 16
    default: return false
    }
    return !Self.isCanonical(va &+ size &- 1)
  }

  /// Whole pages only.
  public func allows(
    _ pa: UInt64, _ size: UInt64, _ va: UInt64, _ access: Access, for hart: Hart
  ) -> Bool { true }

  /// Whether the access being made goes through the stack segment.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Stack Fault Exception (#SS)'.
  private func isStackAccess(_ hart: Hart) -> Bool {
    let x = hart.x
    if x[SystemSlot.stackAccess] != 0 { return true }
    guard x[Slot.block] != 0,
      let op = UnsafePointer<MicroOp>(bitPattern: UInt(x[Slot.op]))
    else { return false }
    return op.pointee.op != .helper && op.pointee.op != .helperExit && op.pointee.e == 1
  }

  /// Lifts instructions into a block: decodes as many as go, finds which flags anybody may see, and
  /// lifts.
  public func translate(_ builder: BlockBuilder, for hart: Hart) {
    insns.removeAll(keepingCapacity: true)
    let limit = builder.room
    var va = builder.pc
    var illegal: UInt64?
    while insns.count < limit, (va ^ builder.start) & ~4095 == 0 {
      guard let decoded = fetch(va, first: insns.isEmpty, builder) else { break }
      guard case .insn(let insn) = decoded else {
        if case .tooLong = decoded { illegal = 13 } else { illegal = 6 }
        break
      }
      insns.append(insn)
      va &+= UInt64(insn.length)
      if Liveness.endsBlock(insn) { break }
    }
    Liveness.compute(insns, observing: builder.observing, into: &live)
    var lift = Lift(builder: builder, stepping: hart.x[Slot.translationFlags] & 1 != 0)
    for index in insns.indices {
      builder.beginInsn()
      lift.flagsLive = live[index]
      lift.lift(insns[index])
      builder.endInsn(length: UInt64(insns[index].length))
      if builder.ended { return }
    }
    if let illegal {
      builder.beginInsn()
      builder.end(helper: raiseFault, c: UInt8(truncatingIfNeeded: illegal))
      builder.endInsn(length: 1)
    }
  }

  /// The instruction at `va`.
  ///
  /// - Returns: `nil` where the block must end before it.
  private func fetch(_ va: UInt64, first: Bool, _ builder: BlockBuilder) -> Decoded? {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 16) { bytes in
      var count = builder.window(at: va, bytes)
      while true {
        let decoded = Decoder.decode(
          UnsafeBufferPointer(rebasing: bytes[0..<count]), features: features)
        guard case .truncated = decoded else { return decoded }
        guard let byte = builder.byte(at: va &+ UInt64(count), first: first) else { return nil }
        bytes[count] = byte
        count += 1
      }
    }
  }
}
