import Engine

// Accesses and branches of 16- and 32-bit code whose segments are not flat: each is checked.

extension Lift {
  /// Every access and every branch is checked.
  var isSegmented: Bool { mode & X64.TranslationFlag.segmented != 0 }
  private var isNarrowStack: Bool { mode & X64.TranslationFlag.narrowStack != 0 }

  /// The linear address of a checked access.
  private static let linear = UInt8(Slot.temp + 15)

  /// The segment register of the memory operand.
  var segmentRegister: Int {
    if let named = namedSegment { return named }
    return !row.hasOffset && (i.base == 4 || i.base == 5) ? SegmentRegister.ss : SegmentRegister.ds
  }

  /// The one that a prefix names.
  var namedSegment: Int? {
    if i.prefixes.isDisjoint(with: .segments) { return nil }
    if i.prefixes.contains(.fs) { return SegmentRegister.fs }
    if i.prefixes.contains(.gs) { return SegmentRegister.gs }
    if i.prefixes.contains(.es) { return SegmentRegister.es }
    if i.prefixes.contains(.cs) { return SegmentRegister.cs }
    return i.prefixes.contains(.ss) ? SegmentRegister.ss : SegmentRegister.ds
  }

  /// Whether the access through the operand's segment must be checked, and its base be added.
  var checksOperand: Bool {
    legacy
      && (isSegmented || !i.prefixes.isDisjoint(with: [.fs, .gs, .cs]))
  }

  /// What reads its memory operand though it is the first.
  private static let readers: Set<Op> = [
    .cmp, .test, .push, .jmp, .call, .jmp_far, .call_far, .bt, .mul, .imul1, .div, .idiv, .nop,
    .prefetch, .clflush, .fld, .fild, .fbld, .fldenv, .fldcw, .frstor, .fxrstor, .xrstor, .fadd,
    .fmul, .fsub, .fsubr, .fdiv, .fdivr, .fcom, .fcomp, .ldmxcsr, .lgdt, .lidt, .lldt, .ltr, .lmsw,
    .verr, .verw, .invlpg,
  ]

  /// Bytes of the memory operand; 0 is 512.
  private var operandSize: UInt8 {
    switch i.op {
    case .lgdt, .lidt, .sgdt, .sidt: return 6
    case .bound: return i.size * 2
    case .fxsave, .fxrstor, .xsave, .xsaveopt, .xrstor: return 0
    case .fldenv, .fnstenv: return i.size == 2 ? 14 : 28
    case .frstor, .fnsave: return i.size == 2 ? 94 : 108
    case .fldcw, .fnstcw, .fnstsw: return 2
    case .cmpxchg8b: return 8
    case .mov_from_seg, .mov_to_seg, .smsw, .sldt, .str: return 2
    default:
      if row.unit == .x87, x87Format.size > 0 { return x87Format.size }
      let operand = (0..<Int(row.count)).first { isMemory($0) }
      return operand.map { max(size($0), 1) } ?? 1
    }
  }

  /// The checked address of the memory operand.
  func checkedOperand() -> Address {
    if i.op == .invlpg || i.op == .nop || i.op == .prefetch {
      // They access nothing.
      return linear(offset(), segmentRegister, 1, store: false, checks: false)
    }
    let isStore = row.count > 0 && isMemory(0) && !Lift.readers.contains(i.op)
    return linear(offset(), segmentRegister, operandSize, store: isStore)
  }

  /// The linear address of an access.
  func linear(
    _ address: Address, _ register: Int, _ size: UInt8, store: Bool, checks: Bool = true
  ) -> Address {
    let at = plain(address)
    var slot = at.a
    if at.imm != 0 {
      builder.emit(.addi, d: Lift.linear, a: at.a, imm: at.imm)
      slot = Lift.linear
    }
    builder.emit(
      helper: checks ? checkSegment : addSegment, d: Lift.linear, a: slot,
      c: UInt8(register) | (store ? 0x80 : 0), e: size)
    return Address(a: Lift.linear, imm: 0, stack: register == SegmentRegister.ss ? 1 : 0)
  }

  /// The address of `size` bytes on the stack, `imm` from a register on.
  func stack(_ imm: Int64, from: UInt8 = rsp, _ size: UInt8, store: Bool = false) -> Address {
    guard isSegmented else { return Address(a: from, imm: imm, stack: 1) }
    builder.emit(.addi, d: Lift.linear, a: from, imm: imm)
    builder.emit(isNarrowStack ? .zext16 : .zext32, d: Lift.linear, a: Lift.linear)
    return linear(
      Address(a: Lift.linear, imm: 0), SegmentRegister.ss, size, store: store)
  }

  /// Adds to the stack pointer.
  func addSP(_ by: Int64, from: UInt8 = rsp) {
    if isNarrowStack {
      builder.emit(.addi, d: Lift.linear, a: from, imm: by)
      builder.emit(.ins16, d: Lift.rsp, a: Lift.linear)
    } else {
      builder.emit(legacy ? .addi32 : .addi, d: Lift.rsp, a: from, imm: by)
    }
  }

  // MARK: Branches

  /// What a checked branch goes to: `end` plus the displacement, into `d`.
  private func checkedRelative(_ d: UInt8, condition: UInt8 = 0, _ kind: UInt8 = 0) {
    builder.emit(.movi, d: T.w, imm: end &+ i.imm)
    builder.emit(
      helper: nearTarget, d: d, a: T.w, b: condition, c: NearTarget.linear | kind, e: i.size)
  }

  /// A checked indirect target.
  func checkedTarget(_ slot: UInt8) -> UInt8 {
    builder.emit(helper: nearTarget, d: T.v, a: slot, e: i.size)
    return T.v
  }

  func segmentedJump() {
    checkedRelative(T.v)
    builder.end(.jumpr, a: T.v)
  }

  func segmentedConditionalJump() {
    let (slot, ifZero) = condition(i.condition, T.c)
    builder.emit(.movi, d: T.v, imm: end)
    checkedRelative(
      T.v, condition: slot, ifZero ? NearTarget.ifZero : NearTarget.ifNonzero)
    builder.end(.jumpr, a: T.v)
  }

  /// - SeeAlso: Intel SDM volume 2, 'CALL - Call Procedure', 'Operation'.
  func segmentedCall() {
    if row[0].place == .relative {
      checkedRelative(T.v)
    } else {
      _ = checkedTarget(read(0, T.a))
    }
    builder.emit(.movi, d: T.r, imm: end)
    builder.emit(helper: codeOffset, d: T.r, a: T.r)
    push(T.r, i.size)
    builder.end(.jumpr, a: T.v)
  }

  /// JCXZ, LOOP and so on where the count has 16 bits or the branch is checked.
  func segmentedCountedJump() {
    let isNarrow = i.prefixes.contains(.narrow)
    let isLoop = i.op != .jrcxz
    builder.emit(.addi, d: T.b, a: Lift.rcx, imm: isLoop ? -1 : 0)
    builder.emit(isNarrow ? .zext16 : .zext32, d: T.b, a: T.b)
    var decides = T.b
    if i.op == .loope || i.op == .loopne {
      builder.emit(.setcc, d: T.a, c: i.op == .loope ? 4 : 5)
      builder.emit(.czeroeqz, d: T.a, a: T.a, b: T.b)
      decides = T.a
    }
    builder.emit(.movi, d: T.v, imm: end)
    checkedRelative(
      T.v, condition: decides, isLoop ? NearTarget.ifNonzero : NearTarget.ifZero)
    if isLoop { builder.emit(isNarrow ? .ins16 : .mov, d: Lift.rcx, a: T.b) }
    builder.end(.jumpr, a: T.v)
  }
}

/// The linear address of offset `a` of segment `c`, to `d`: of what accesses nothing.
let addSegment: Helper = { x, raw in
  let op = raw.op
  x[Int(op.d)] = (x[Segment.base(Int(op.c & 7))] &+ x[Int(op.a)]) & 0xffff_ffff
}
