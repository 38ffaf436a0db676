import Engine

// Far jumps, calls and returns: to code segments, and through call gates.

extension X64 {
  /// Far JMP or CALL.
  ///
  /// - Parameters:
  ///   - selector: of a code segment or a gate.
  ///   - offset: in the code segment; gates have their own.
  ///   - size: bytes of each word that is pushed.
  ///   - isCall: whether the way back is pushed.
  ///   - hart: the hart.
  /// - Throws: the fault.
  /// - SeeAlso: Intel SDM volume 2, 'JMP - Jump' and 'CALL - Call Procedure', 'Operation'.
  func transfer(
    to selector: UInt64, _ offset: UInt64, size: UInt64, isCall: Bool, _ hart: Hart
  ) throws(Fault) {
    let x = hart.x
    if Self.hasParagraphs(x) {
      guard Segment(SegmentRegister.cs, of: x).holds(offset, 1) else { throw .protection }
      let frame = try pushReturn(size, isCall: isCall, hart)
      loadReal(SegmentRegister.cs, selector, hart)
      return arrive(offset, frame, hart)
    }
    guard selector & 0xfffc != 0 else { throw .protection }
    let found = try descriptor(selector, hart)
    if !found.isSegment {
      switch found.type {
      case 0xc: return try enterGate(selector, found, isCall: isCall, hart)
      case 4 where !Self.isLong(x): return try enterGate(selector, found, isCall: isCall, hart)
      case 1, 3, 5, 9, 11:
        guard !Self.isLong(x) else { break }
        let task = try task(selector, found, hart)
        return try switchTask(
          to: task, isCall ? .call : .jump, flags: RFlags.read(x), hart)
      default: break
      }
      throw Fault(13, selector: selector)
    }
    let code = try farTarget(selector, found, hart)
    let isWide = Self.isLong(x) && code.isLong
    guard isWide ? Self.isCanonical(offset, x) : Segment(selector, code).holds(offset, 1) else {
      throw .protection
    }
    let frame = try pushReturn(size, isCall: isCall, hart)
    try setCode(selector, code, privilege: x[SystemSlot.privilege], hart)
    arrive(offset, frame, hart)
  }

  /// Pushes CS and the offset of the next instruction on the present stack, where it is a call.
  private func pushReturn(
    _ size: UInt64, isCall: Bool, _ hart: Hart
  ) throws(Fault) -> StackFrame {
    let x = hart.x
    var frame = StackFrame(x)
    guard isCall else { return frame }
    x[SystemSlot.stackAccess] = 1
    defer { x[SystemSlot.stackAccess] = 0 }
    try frame.push(x[SystemSlot.selectors + SegmentRegister.cs], size, self, hart)
    try frame.push(Self.savedPC(x), size, self, hart)
    return frame
  }

  /// Goes on at an offset in the code segment that was loaded.
  private func arrive(_ offset: UInt64, _ frame: StackFrame, _ hart: Hart) {
    let x = hart.x
    frame.commit(x)
    x[Slot.pc] = Self.codeAddress(offset, in: Segment(SegmentRegister.cs, of: x), x)
    Self.updateMode(hart)
  }

  // MARK: Call gates

  /// - SeeAlso: Intel SDM volume 3, 'Call Gates', 'IA-32e Mode Call Gates' and 'Accessing a Code
  ///   Segment Through a Call Gate'.
  private func enterGate(
    _ selector: UInt64, _ found: Descriptor, isCall: Bool, _ hart: Hart
  ) throws(Fault) {
    let x = hart.x
    let privilege = x[SystemSlot.privilege]
    guard found.privilege >= max(privilege, selector & 3) else {
      throw Fault(13, selector: selector)
    }
    guard found.isPresent else { throw Fault(11, selector: selector) }
    let isLong = Self.isLong(x)
    let gate = isLong ? try descriptor(selector, isSystem: true, hart) : found
    // Where the upper half has a type it is another descriptor, and not this one's.
    guard gate.high >> 40 & 0x1f == 0 else { throw Fault(13, selector: selector) }
    let size: UInt64 = isLong ? 8 : gate.type == 4 ? 2 : 4
    let target =
      gate.low & 0xffff | (size > 2 ? gate.low >> 32 & 0xffff_0000 : 0)
      | (gate.high & 0xffff_ffff) << 32
    let codeSelector = gate.low >> 16 & 0xffff
    guard codeSelector & 0xfffc != 0 else { throw .protection }
    let code = try descriptor(codeSelector, hart)
    guard code.isCode, code.privilege <= privilege,
      isCall || code.isConforming || code.privilege == privilege,
      !isLong || code.isLong && !code.isDefault32
    else { throw Fault(13, selector: codeSelector) }
    guard code.isPresent else { throw Fault(11, selector: codeSelector) }
    let isInCode =
      isLong ? Self.isCanonical(target, x) : Segment(codeSelector, code).holds(target, 1)
    let after = code.isConforming ? privilege : code.privilege
    if !isCall {
      guard isInCode else { throw .protection }
      try setCode(codeSelector, code, privilege: privilege, hart)
      return arrive(target, StackFrame(x), hart)
    }
    let call = GateCall(
      selector: codeSelector, code: code, target: target, isInCode: isInCode, size: size,
      privilege: after)
    if isLong {
      try callLong(call, hart)
    } else {
      try callLegacy(call, parameters: gate.low >> 32 & 31, hart)
    }
  }

  /// A call whose gate and code segment are found good.
  private struct GateCall {
    var selector: UInt64
    var code: Descriptor
    var target: UInt64
    /// The target lies in the code segment.
    var isInCode: Bool
    var size: UInt64
    /// That of the procedure.
    var privilege: UInt64
  }

  /// Pushes on the stack of the procedure's privilege, with as many words of the caller's.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Stack Switching'.
  private func callLegacy(
    _ call: GateCall, parameters: UInt64, _ hart: Hart
  ) throws(Fault) {
    let x = hart.x
    x[SystemSlot.stackAccess] = 1
    defer {
      x[SystemSlot.stackAccess] = 0
      Self.updateMode(hart)
    }
    var frame = StackFrame(x)
    var words: [UInt64] = []
    if call.privilege < x[SystemSlot.privilege] {
      var caller = frame
      frame = try innerStack(call.privilege, 0, hart)
      frame.code = frame.segment.selector & 0xfffc
      for _ in 0..<parameters { words.append(try caller.pop(call.size, self, hart)) }
      words += [x[Int(Lift.rsp)], x[SystemSlot.selectors + SegmentRegister.ss]]
      hart.setMode(mmuIndex: MMUIndex.supervisor, flags: x[Slot.translationFlags])
    }
    guard call.isInCode else { throw .protection }
    for word in words.reversed() { try frame.push(word, call.size, self, hart) }
    try frame.push(x[SystemSlot.selectors + SegmentRegister.cs], call.size, self, hart)
    try frame.push(Self.savedPC(x), call.size, self, hart)
    try setCode(call.selector, call.code, privilege: call.privilege, hart)
    frame.segment.put(SegmentRegister.ss, x)
    x[SystemSlot.privilege] = call.privilege
    arrive(call.target, frame, hart)
  }

  /// Of long mode: no parameters are copied, and there is no stack segment.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Stack Switching in IA-32e Mode'.
  private func callLong(_ call: GateCall, _ hart: Hart) throws(Fault) {
    let x = hart.x
    let privilege = x[SystemSlot.privilege]
    var sp = x[Int(Lift.rsp)]
    if call.privilege < privilege {
      sp = try taskPointer(4 &+ call.privilege << 3, external: 0, hart)
      hart.setMode(mmuIndex: MMUIndex.supervisor, flags: x[Slot.translationFlags])
    }
    x[SystemSlot.stackAccess] = 1
    defer {
      x[SystemSlot.stackAccess] = 0
      Self.updateMode(hart)
    }
    guard call.isInCode else { throw .protection }
    func push(_ word: UInt64) throws(Fault) {
      sp &-= 8
      try store(sp, 8, word, hart)
    }
    if call.privilege < privilege {
      try push(x[SystemSlot.selectors + SegmentRegister.ss])
      try push(x[Int(Lift.rsp)])
    }
    try push(x[SystemSlot.selectors + SegmentRegister.cs])
    try push(Self.savedPC(x))
    try setCode(call.selector, call.code, privilege: call.privilege, hart)
    if call.privilege < privilege {
      Segment(selector: call.privilege, rights: 0, base: 0, limit: 0).put(SegmentRegister.ss, x)
    }
    x[SystemSlot.privilege] = call.privilege
    x[Int(Lift.rsp)] = sp
    x[Slot.pc] = call.target
  }
}

// MARK: Helpers

/// Far JMP, with `c` CALL, to the offset in `a` of the segment in `b`; `e` bytes are pushed.
let farTransfer: Helper = { x, raw in
  let op = raw.op
  trying(x) { (isa, hart) throws(Fault) in
    let size = UInt64(op.e)
    try isa.transfer(
      to: x[Int(op.b)] & 0xffff, x[Int(op.a)] & X64.low(size), size: size, isCall: op.c == 1, hart)
  }
}

/// Far RET of `e` bytes each; `a` and `b` are the bytes to drop.
///
/// - SeeAlso: Intel SDM volume 2, 'RET - Return From Procedure', 'Operation'.
let farReturn: Helper = { x, raw in
  let op = raw.op
  trying(x) { (isa, hart) throws(Fault) in
    let size = UInt64(op.e)
    let drop = UInt64(op.a) | UInt64(op.b) << 8
    let privilege = x[SystemSlot.privilege]
    var frame = StackFrame(x)
    x[SystemSlot.stackAccess] = 1
    defer { x[SystemSlot.stackAccess] = 0 }
    let target = try frame.pop(size, isa, hart)
    let selector = try frame.pop(size, isa, hart) & 0xffff
    frame.drop(drop)
    if X64.hasParagraphs(x) {
      guard Segment(SegmentRegister.cs, of: x).holds(target, 1) else { throw .protection }
      isa.loadReal(SegmentRegister.cs, selector, hart)
    } else {
      let after = selector & 3
      let code = try isa.returnCode(selector, hart)
      let isWide = X64.isLong(x) && code.isLong
      if after != privilege {
        let sp = try frame.pop(size, isa, hart)
        let segment = try frame.pop(size, isa, hart) & 0xffff
        frame = StackFrame(
          try isa.returnStack(segment, privilege: after, isOf32Bits: !isWide, hart), sp: sp, x)
        frame.drop(drop)
      }
      guard isWide ? X64.isCanonical(target, x) : Segment(selector, code).holds(target, 1) else {
        throw .protection
      }
      try isa.setCode(selector, code, privilege: after, hart)
      x[SystemSlot.privilege] = after
      if after != privilege {
        frame.segment.put(SegmentRegister.ss, x)
        isa.dropSegments(x, privilege: after)
      }
    }
    frame.commit(x)
    x[Slot.pc] = X64.codeAddress(target, in: Segment(SegmentRegister.cs, of: x), x)
    X64.updateMode(hart)
  }
}
