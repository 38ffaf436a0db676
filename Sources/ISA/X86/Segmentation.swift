import Engine

/// What a processor keeps of a segment that was loaded.
///
/// - SeeAlso: Intel SDM volume 3, 'Segment Registers' and 'Limit Checking'.
struct Segment {
  var selector: UInt64
  /// Bits 40 to 55 of the descriptor; zero where it can't be used.
  var rights: UInt64
  var base: UInt64
  var limit: UInt64

  static let null = Segment(selector: 0, rights: 0, base: 0, limit: 0)

  init(selector: UInt64, rights: UInt64, base: UInt64, limit: UInt64) {
    self.selector = selector
    self.rights = rights
    self.base = base
    self.limit = limit
  }

  init(_ selector: UInt64, _ found: Descriptor) {
    self.init(selector: selector, rights: found.rights, base: found.base, limit: found.limit)
  }

  /// A segment register.
  init(_ register: Int, of x: UnsafeMutablePointer<UInt64>) {
    self.init(
      selector: x[SystemSlot.selectors + register], rights: x[SystemSlot.rights + register],
      base: x[Segment.base(register)], limit: x[SystemSlot.limits + register])
  }

  /// One of 4 GiB from address 0 on.
  static func flat(_ selector: UInt64, rights: UInt64) -> Segment {
    Segment(selector: selector, rights: rights, base: 0, limit: 0xffff_ffff)
  }

  /// The slot of a register's base.
  static func base(_ register: Int) -> Int {
    switch register {
    case SegmentRegister.fs: Registers.fsBase
    case SegmentRegister.gs: Registers.gsBase
    default: SystemSlot.bases + register
    }
  }

  /// Puts it into a segment register.
  func put(_ register: Int, _ x: UnsafeMutablePointer<UInt64>) {
    x[SystemSlot.selectors + register] = selector
    x[SystemSlot.rights + register] = rights
    x[SystemSlot.limits + register] = limit
    x[Segment.base(register)] = base
  }

  var isPresent: Bool { rights & 0x80 != 0 }
  var isCode: Bool { rights & 8 != 0 }
  /// The D or B bit: 32-bit code, or a stack pointer of 32 bits.
  var isDefault32: Bool { rights & 1 << 14 != 0 }
  private var expandsDown: Bool { !isCode && rights & 4 != 0 }
  /// What of the stack pointer counts where it is a stack.
  var stackMask: UInt64 { isDefault32 ? 0xffff_ffff : 0xffff }

  private var isWhole: Bool { base & 0xffff_ffff == 0 && limit == 0xffff_ffff }
  /// Whether any access is allowed, and moved nowhere.
  var isFlatData: Bool { isWhole && rights & 0x8e == 0x82 }
  /// Whether any address is one of 32-bit code, and moved nowhere.
  var isFlatCode: Bool { isWhole && rights & 0x4088 == 0x4088 }

  /// Whether so many bytes from an offset on lie in it.
  func holds(_ offset: UInt64, _ size: UInt64) -> Bool {
    let last = offset &+ size &- 1
    if expandsDown {
      return offset > limit && last <= (isDefault32 ? 0xffff_ffff : 0xffff)
    }
    return limit == 0xffff_ffff || last <= limit
  }

  /// Whether it may be read, or stored to.
  func allows(store: Bool) -> Bool {
    guard isPresent else { return false }
    if store { return !isCode && rights & 2 != 0 }
    return !isCode || rights & 2 != 0
  }
}

extension X64 {
  /// Real mode: protection is off.
  static func isReal(_ x: UnsafeMutablePointer<UInt64>) -> Bool {
    x[SystemSlot.cr0] & CR0.protection == 0
  }

  /// As what code is read.
  static func codeSize(_ x: UnsafeMutablePointer<UInt64>) -> CodeSize {
    guard isLegacy(x) else { return .wide }
    return Segment(SegmentRegister.cs, of: x).isDefault32 ? .legacy : .narrow
  }

  /// The present ``CodeSize``.
  public func codeKind(_ hart: Hart) -> CodeKind { Self.codeSize(hart.x).rawValue }

  /// Bits of the translation flags that follow from the segments, where 64-bit code does not run.
  static func segmentFlags(_ x: UnsafeMutablePointer<UInt64>) -> UInt64 {
    var flags = TranslationFlag.legacy
    let code = Segment(SegmentRegister.cs, of: x)
    let stack = Segment(SegmentRegister.ss, of: x)
    if !code.isDefault32 { flags |= TranslationFlag.narrow }
    if !stack.isDefault32 { flags |= TranslationFlag.narrowStack }
    if hasParagraphs(x) {
      return flags | TranslationFlag.real | TranslationFlag.segmented
        | (isVirtual(x) ? TranslationFlag.virtual : 0)
    }
    let isFlat =
      code.isFlatCode && stack.isFlatData && stack.isDefault32
      && Segment(SegmentRegister.ds, of: x).isFlatData
      && Segment(SegmentRegister.es, of: x).isFlatData
    return isFlat ? flags : flags | TranslationFlag.segmented
  }

  /// The linear address of an access by 16- or 32-bit code.
  ///
  /// - Parameters:
  ///   - register: the segment's.
  ///   - offset: the first byte in it.
  ///   - size: bytes.
  ///   - store: whether they are written.
  ///   - x: the hart's slots.
  /// - Returns: `nil` with #GP or #SS pending.
  /// - SeeAlso: Intel SDM volume 3, 'Limit Checking' and 'Type Checking'.
  static func linear(
    _ register: Int, _ offset: UInt64, _ size: UInt64, store: Bool,
    _ x: UnsafeMutablePointer<UInt64>
  ) -> UInt64? {
    let segment = Segment(register, of: x)
    let offset = offset & 0xffff_ffff
    guard isReal(x) || segment.allows(store: store), segment.holds(offset, size) else {
      raise(x, register == SegmentRegister.ss ? 12 : 13)
      return nil
    }
    return (segment.base &+ offset) & 0xffff_ffff
  }

  /// The offset in the code segment of an address of code.
  static func codeOffset(_ pc: UInt64, _ x: UnsafeMutablePointer<UInt64>) -> UInt64 {
    isLegacy(x) ? (pc &- x[Segment.base(SegmentRegister.cs)]) & 0xffff_ffff : pc
  }

  /// The offset of the next instruction, as it is saved.
  static func savedPC(_ x: UnsafeMutablePointer<UInt64>) -> UInt64 {
    codeOffset(x[Slot.pc], x)
  }

  /// Where an offset in a code segment is.
  static func codeAddress(
    _ offset: UInt64, in code: Segment, _ x: UnsafeMutablePointer<UInt64>
  ) -> UInt64 {
    let isWide = isLong(x) && code.rights & SegmentRights.long != 0
    return isWide ? offset : (code.base &+ offset) & 0xffff_ffff
  }

  /// The stack pointer as far as it counts.
  static func stackMask(_ x: UnsafeMutablePointer<UInt64>) -> UInt64 {
    isLegacy(x) ? Segment(SegmentRegister.ss, of: x).stackMask : .max
  }

  /// Sets what of the stack pointer counts.
  static func setSP(_ value: UInt64, _ x: UnsafeMutablePointer<UInt64>, mask: UInt64) {
    let sp = Int(Lift.rsp)
    x[sp] = mask == 0xffff ? x[sp] & ~0xffff | value & 0xffff : value & mask
  }
}

/// A stack that the processor itself pushes to and pops from, which becomes the present one by
/// ``commit(_:)``.
struct StackFrame {
  let segment: Segment
  private(set) var sp: UInt64
  private let mask: UInt64
  private let isLegacy: Bool
  private let isReal: Bool
  /// What is or'ed to an error code.
  var external: UInt64 = 0
  /// The error code of a fault where the stack is not the present one: its selector.
  var code: UInt64 = 0

  /// The present stack.
  init(_ x: UnsafeMutablePointer<UInt64>) {
    self.init(Segment(SegmentRegister.ss, of: x), sp: x[Int(Lift.rsp)], x)
  }

  /// Another.
  init(_ segment: Segment, sp: UInt64, _ x: UnsafeMutablePointer<UInt64>) {
    self.segment = segment
    self.sp = sp
    isLegacy = X64.isLegacy(x)
    isReal = X64.isReal(x)
    mask = isLegacy ? segment.stackMask : .max
  }

  private func address(_ offset: UInt64, _ size: UInt64, store: Bool) throws(Fault) -> UInt64 {
    let offset = offset & mask
    guard isLegacy else { return offset }
    guard isReal || segment.allows(store: store), segment.holds(offset, size) else {
      throw Fault(vector: 12, code: code | external)
    }
    return (segment.base &+ offset) & 0xffff_ffff
  }

  mutating func push(_ value: UInt64, _ size: UInt64, _ isa: X64, _ hart: Hart) throws(Fault) {
    let next = sp &- size
    try isa.store(try address(next, size, store: true), size, value & X64.low(size), hart)
    sp = next
  }

  mutating func pop(_ size: UInt64, _ isa: X64, _ hart: Hart) throws(Fault) -> UInt64 {
    defer { sp &+= size }
    return try isa.load(try address(sp, size, store: false), size, hart)
  }

  mutating func drop(_ bytes: UInt64) { sp &+= bytes }

  /// Sets the stack pointer.
  func commit(_ x: UnsafeMutablePointer<UInt64>) { X64.setSP(sp, x, mask: mask) }
}

extension X64 {
  /// All bits of a value of so many bytes.
  static func low(_ size: UInt64) -> UInt64 { mask(UInt8(truncatingIfNeeded: size)) }
}

// MARK: Helpers

/// The instruction of `c` bytes does not leave the code segment.
let checkFetch: Helper = { x, raw in
  let op = raw.op
  Hart.of(x)._withUnsafeGuaranteedRef { hart in
    let offset = X64.codeOffset(hart.pc, x)
    if !Segment(SegmentRegister.cs, of: x).holds(offset, UInt64(op.c)) { X64.raise(x, 13) }
  }
}

/// An access of `e` bytes (0: 512) at offset `a` of segment `c`, with 0x80 a store; its linear address to
/// `d`.
let checkSegment: Helper = { x, raw in
  let op = raw.op
  let size = op.e == 0 ? 512 : UInt64(op.e)
  if let address = X64.linear(
    Int(op.c & 7), x[Int(op.a)], size, store: op.c & 0x80 != 0, x)
  {
    x[Int(op.d)] = address
  }
}

/// The linear address `a` as an offset in the code segment, to `d`.
let codeOffset: Helper = { x, raw in
  x[Int(raw.op.d)] = X64.codeOffset(x[Int(raw.op.a)], x)
}

/// Bits of ``nearTarget``'s `c`: `a` is a linear address; only where `b` is not zero; only where it is.
enum NearTarget {
  static let linear: UInt8 = 1, ifNonzero: UInt8 = 2, ifZero: UInt8 = 4
}

/// The target of a near branch at offset `a` of the code segment, of operands of `e` bytes: its linear
/// address to `d`.
let nearTarget: Helper = { x, raw in
  let op = raw.op
  if op.c & NearTarget.ifNonzero != 0, x[Int(op.b)] == 0 { return }
  if op.c & NearTarget.ifZero != 0, x[Int(op.b)] != 0 { return }
  let code = Segment(SegmentRegister.cs, of: x)
  let from = x[Int(op.a)]
  let offset = (op.c & NearTarget.linear != 0 ? from &- code.base : from) & mask(op.e)
  guard code.holds(offset, 1) else { return X64.raise(x, 13) }
  x[Int(op.d)] = (code.base &+ offset) & 0xffff_ffff
}
