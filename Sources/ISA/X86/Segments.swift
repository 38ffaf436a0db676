import Engine

/// A segment or system descriptor.
///
/// - SeeAlso: Intel SDM volume 3, 'Segment Descriptors' and 'Segment Descriptor Tables in IA-32e
///   Mode'.
struct Descriptor {
  var low: UInt64
  /// The upper half of a system descriptor.
  var high: UInt64 = 0

  var type: UInt64 { low >> 40 & 15 }
  /// Code or data.
  var isSegment: Bool { low >> 44 & 1 == 1 }
  var isCode: Bool { isSegment && type & 8 != 0 }
  var isConforming: Bool { isCode && type & 4 != 0 }
  var isWritableData: Bool { isSegment && type & 10 == 2 }
  var isReadable: Bool { isSegment && (type & 8 == 0 || type & 2 != 0) }
  var privilege: UInt64 { low >> 45 & 3 }
  var isPresent: Bool { low >> 47 & 1 == 1 }
  var isLong: Bool { low >> 53 & 1 == 1 }
  var isDefault32: Bool { low >> 54 & 1 == 1 }
  var isAccessed: Bool { type & 1 == 1 }
  /// What ``SystemSlot/rights`` keeps.
  var rights: UInt64 { low >> 40 & 0xffff }
  var base: UInt64 {
    low >> 16 & 0xff_ffff | low >> 32 & 0xff00_0000 | high << 32
  }
  var limit: UInt64 {
    let raw = low & 0xffff | low >> 32 & 0xf_0000
    return low >> 55 & 1 == 1 ? raw << 12 | 0xfff : raw
  }
}

/// A fault of a system instruction or of a delivery: vector and error code.
struct Fault: Error {
  var vector: UInt64
  var code: UInt64 = 0
  /// The address of a page fault.
  var address: UInt64 = 0
  /// A task switch is done as far as the old task goes: the pc is the new one's.
  var isInNewTask = false

  static let protection = Fault(vector: 13)
}

extension Fault {
  /// #GP, #NP and so on with a selector for its error code.
  init(_ vector: UInt64, selector: UInt64, external: UInt64 = 0) {
    self.init(vector: vector, code: selector & 0xfffc | external)
  }

  /// The exception that an access left pending.
  init(pending x: UnsafeMutablePointer<UInt64>) {
    self.init(
      vector: x[Slot.cause], code: x[SystemSlot.errorCode], address: x[Slot.tval])
    x[Slot.pending] = 0
  }

  /// Makes it pending.
  func raise(_ x: UnsafeMutablePointer<UInt64>) {
    // The instruction that has switched is over.
    if isInNewTask { x[SystemSlot.trapPC] = x[Slot.pc] }
    X64.raise(x, vector, code, trap: isInNewTask)
    x[Slot.tval] = address
  }
}

/// Bits of ``SystemSlot/rights``.
enum SegmentRights {
  static let long: UInt64 = 1 << 13
}

/// The segment registers by number.
enum SegmentRegister {
  static let es = 0, cs = 1, ss = 2, ds = 3, fs = 4, gs = 5
}

extension X64 {
  /// Runs `body` with the accesses that a processor makes by itself: as a supervisor's, without
  /// regard to RFLAGS.AC.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Implicit Supervisor-Mode Accesses'.
  func implicitly<T>(_ hart: Hart, _ body: () throws(Fault) -> T) throws(Fault) -> T {
    hart.setMode(
      mmuIndex: MMUIndex.supervisor, flags: hart.x[Slot.translationFlags])
    let before = hart.x[SystemSlot.implicit]
    hart.x[SystemSlot.implicit] = 1
    defer {
      hart.x[SystemSlot.implicit] = before
      Self.updateMode(hart)
    }
    return try body()
  }

  func load(_ va: UInt64, _ size: UInt64, _ hart: Hart) throws(Fault) -> UInt64 {
    let value = hart.load(va, size)
    if hart.x[Slot.pending] == Pending.exception.rawValue { throw Fault(pending: hart.x) }
    return value
  }

  func store(_ va: UInt64, _ size: UInt64, _ value: UInt64, _ hart: Hart) throws(Fault) {
    hart.store(va, size, value)
    if hart.x[Slot.pending] == Pending.exception.rawValue { throw Fault(pending: hart.x) }
  }

  /// The table that a selector names.
  private func table(
    _ selector: UInt64, _ x: UnsafeMutablePointer<UInt64>
  ) -> (base: UInt64, limit: UInt64)? {
    if selector & 4 == 0 { return (x[SystemSlot.gdtBase], x[SystemSlot.gdtLimit]) }
    if x[SystemSlot.ldtSelector] & 0xfffc == 0 { return nil }
    return (x[SystemSlot.ldtBase], x[SystemSlot.ldtLimit])
  }

  /// Reads a descriptor.
  ///
  /// - Parameters:
  ///   - selector: which; not a null one.
  ///   - vector: the fault where the table does not hold it.
  ///   - isSystem: with its upper half.
  ///   - external: what is or'ed to the error code.
  ///   - hart: the hart.
  /// - Returns: the descriptor.
  /// - Throws: the fault.
  func descriptor(
    _ selector: UInt64, orFault vector: UInt64 = 13, isSystem: Bool = false,
    external: UInt64 = 0, _ hart: Hart
  ) throws(Fault) -> Descriptor {
    let offset = selector & 0xfff8
    let isSystem = isSystem && Self.isLong(hart.x)
    guard let table = table(selector, hart.x), offset &+ (isSystem ? 15 : 7) <= table.limit else {
      throw Fault(vector, selector: selector, external: external)
    }
    return try implicitly(hart) { () throws(Fault) in
      var found = Descriptor(low: try load(table.base &+ offset, 8, hart))
      if isSystem { found.high = try load(table.base &+ offset &+ 8, 8, hart) }
      return found
    }
  }

  /// Sets the accessed bit of a segment's descriptor.
  func markAccessed(
    _ selector: UInt64, _ descriptor: Descriptor, _ hart: Hart
  ) throws(Fault) {
    guard !descriptor.isAccessed, let table = table(selector, hart.x) else { return }
    try implicitly(hart) { () throws(Fault) in
      try store(
        table.base &+ (selector & 0xfff8) &+ 5, 1, (descriptor.low | 1 << 40) >> 40, hart)
    }
  }

  /// Loads DS, ES, FS, GS or SS.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'MOV - Move', 'Operation'.
  func loadSegment(_ register: Int, _ selector: UInt64, _ hart: Hart) throws(Fault) {
    let x = hart.x
    let selector = selector & 0xffff
    let privilege = x[SystemSlot.privilege]
    let requested = selector & 3
    let isStack = register == SegmentRegister.ss
    if Self.hasParagraphs(x) { return loadReal(register, selector, hart) }
    guard selector & 0xfffc != 0 else {
      if isStack, privilege == 3 || Self.isLegacy(x) || requested != privilege { throw .protection }
      Segment(selector: selector, rights: 0, base: 0, limit: 0).put(register, x)
      if Self.isLegacy(x) { Self.updateMode(hart) }
      return
    }
    let found = try descriptor(selector, hart)
    if isStack {
      guard requested == privilege, found.isWritableData, found.privilege == privilege else {
        throw Fault(13, selector: selector)
      }
      guard found.isPresent else { throw Fault(12, selector: selector) }
    } else {
      guard found.isReadable,
        found.isConforming || requested <= found.privilege && privilege <= found.privilege
      else { throw Fault(13, selector: selector) }
      guard found.isPresent else { throw Fault(11, selector: selector) }
    }
    try markAccessed(selector, found, hart)
    Segment(selector, found).put(register, x)
    if Self.isLegacy(x) { Self.updateMode(hart) }
  }

  /// On the way to a lesser privilege: data segments that it may not use become null.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'IRET/IRETD/IRETQ - Interrupt Return', 'Operation'.
  func dropSegments(_ x: UnsafeMutablePointer<UInt64>, privilege: UInt64) {
    for register in [0, 3, 4, 5] where x[SystemSlot.selectors + register] & 0xfffc != 0 {
      let rights = x[SystemSlot.rights + register]
      let isConforming = rights & 0x1c == 0x1c
      if !isConforming, rights >> 5 & 3 < privilege {
        x[SystemSlot.selectors + register] = 0
        x[SystemSlot.rights + register] = 0
        if register < SegmentRegister.fs { x[SystemSlot.limits + register] = 0 }
      }
    }
  }

  /// LLDT.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'LLDT - Load Local Descriptor Table Register'.
  func loadLocalTable(_ selector: UInt64, _ hart: Hart) throws(Fault) {
    let x = hart.x
    let selector = selector & 0xffff
    if selector & 0xfffc == 0 {
      x[SystemSlot.ldtSelector] = selector
      x[SystemSlot.ldtLimit] = 0
      return
    }
    guard selector & 4 == 0 else { throw Fault(13, selector: selector) }
    let found = try descriptor(selector, isSystem: true, hart)
    guard !found.isSegment, found.type == 2 else { throw Fault(13, selector: selector) }
    guard found.isPresent else { throw Fault(11, selector: selector) }
    guard Self.isCanonical(found.base, x) else { throw Fault(13, selector: selector) }
    x[SystemSlot.ldtSelector] = selector
    x[SystemSlot.ldtBase] = found.base
    x[SystemSlot.ldtLimit] = found.limit
  }

  /// LTR: the task becomes busy.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'LTR - Load Task Register'.
  func loadTask(_ selector: UInt64, _ hart: Hart) throws(Fault) {
    let x = hart.x
    let selector = selector & 0xffff
    guard selector & 0xfffc != 0 else { throw .protection }
    guard selector & 4 == 0 else { throw Fault(13, selector: selector) }
    let found = try descriptor(selector, isSystem: true, hart)
    // Without long mode there are tasks of 16 bits too.
    guard !found.isSegment, found.type == 9 || found.type == 1 && !Self.isLong(x) else {
      throw Fault(13, selector: selector)
    }
    guard found.isPresent else { throw Fault(11, selector: selector) }
    guard Self.isCanonical(found.base, x) else { throw Fault(13, selector: selector) }
    let at = x[SystemSlot.gdtBase] &+ (selector & 0xfff8) &+ 5
    try implicitly(hart) { () throws(Fault) in
      try store(at, 1, (found.low | 1 << 41) >> 40, hart)
    }
    x[SystemSlot.taskSelector] = selector
    x[SystemSlot.taskBase] = found.base
    x[SystemSlot.taskLimit] = found.limit
    x[SystemSlot.isNarrowTask] = found.type == 1 ? 1 : 0
  }

  /// The descriptor that VERR, VERW, LAR and LSL look at, where they may see it.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'LAR - Load Access Rights Byte'.
  func visibleDescriptor(
    _ selector: UInt64, types: UInt64, _ hart: Hart
  ) throws(Fault) -> Descriptor? {
    let selector = selector & 0xffff
    guard selector & 0xfffc != 0, let table = table(selector, hart.x),
      selector & 0xfff8 &+ 7 <= table.limit
    else { return nil }
    var found = try descriptor(selector, hart)
    if !found.isSegment {
      let last: UInt64 = Self.isLong(hart.x) ? 15 : 7
      guard types >> found.type & 1 == 1, selector & 0xfff8 &+ last <= table.limit else {
        return nil
      }
      found = try descriptor(selector, isSystem: true, hart)
    }
    let most = max(hart.x[SystemSlot.privilege], selector & 3)
    return found.isConforming || most <= found.privilege ? found : nil
  }

  /// L and D together mean nothing in long mode; without it L means nothing.
  private func isKnown(_ code: Descriptor, _ x: UnsafeMutablePointer<UInt64>) -> Bool {
    !(Self.isLong(x) && code.isLong && code.isDefault32)
  }

  /// The code segment that a far jump or call goes to, by its selector and what was found there.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'JMP - Jump' and 'CALL - Call Procedure', 'Operation'.
  func farTarget(
    _ selector: UInt64, _ found: Descriptor, _ hart: Hart
  ) throws(Fault) -> Descriptor {
    let privilege = hart.x[SystemSlot.privilege]
    guard found.isCode, isKnown(found, hart.x) else { throw Fault(13, selector: selector) }
    if found.isConforming {
      guard found.privilege <= privilege else { throw Fault(13, selector: selector) }
    } else {
      guard selector & 3 <= privilege, found.privilege == privilege else {
        throw Fault(13, selector: selector)
      }
    }
    guard found.isPresent else { throw Fault(11, selector: selector) }
    return found
  }

  /// The code segment that IRET or a far RET goes to, at the privilege of its selector.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'IRET/IRETD/IRETQ - Interrupt Return' and 'RET - Return From
  ///   Procedure', 'Operation'.
  func returnCode(_ selector: UInt64, _ hart: Hart) throws(Fault) -> Descriptor {
    guard selector & 0xfffc != 0 else { throw .protection }
    let code = try descriptor(selector, hart)
    let after = selector & 3
    guard code.isCode, isKnown(code, hart.x), after >= hart.x[SystemSlot.privilege],
      code.isConforming ? code.privilege <= after : code.privilege == after
    else { throw Fault(13, selector: selector) }
    guard code.isPresent else { throw Fault(11, selector: selector) }
    return code
  }

  /// The stack segment that IRET or a far RET takes from the stack, once it is marked as used.
  ///
  /// - SeeAlso: Intel SDM volume 2, as of ``returnCode(_:_:)``.
  func returnStack(
    _ selector: UInt64, privilege: UInt64, isOf32Bits: Bool, _ hart: Hart
  ) throws(Fault) -> Segment {
    guard selector & 0xfffc != 0 else {
      // Only 64-bit code may have none.
      guard privilege != 3, !isOf32Bits, selector & 3 == privilege else { throw .protection }
      return Segment(selector: selector, rights: 0, base: 0, limit: 0)
    }
    let found = try descriptor(selector, hart)
    guard selector & 3 == privilege, found.isWritableData, found.privilege == privilege else {
      throw Fault(13, selector: selector)
    }
    guard found.isPresent else { throw Fault(12, selector: selector) }
    try markAccessed(selector, found, hart)
    return Segment(selector, found)
  }

  /// Makes a code segment the present one, marked as used.
  func setCode(
    _ selector: UInt64, _ found: Descriptor, privilege: UInt64, _ hart: Hart
  )
    throws(Fault)
  {
    try markAccessed(selector, found, hart)
    Segment(selector & 0xfffc | privilege, found).put(SegmentRegister.cs, hart.x)
  }
}
