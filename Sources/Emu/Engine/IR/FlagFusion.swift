/// What ``Fusion`` does beyond its own pairs for instruction sets with condition codes, for the
/// interpreter alone.
enum FlagFusion {
  private static let zero = UInt8(Slot.zero)

  /// Puts micro-ops in the place of helpers that have one, and sources in the place of copies.
  static func prepare(_ ops: inout [MicroOp], _ natives: NativeTable) {
    for index in ops.indices where ops[index].op == .helper {
      if let native = natives[ops[index].imm] {
        ops[index] = inline(ops[index], native, natives.floatControl)
      }
    }
    foldCopies(&ops)
  }

  private static func inline(
    _ op: MicroOp, _ native: NativeHelper, _ control: UInt8?
  ) -> MicroOp {
    var op = op
    switch native {
    case .check(.canonical): op.op = .canonical
    case .check(.aligned): op.op = .aligned
    case .vector(let vector):
      // Scalar, double precision; the destination's second half stays.
      guard let control, vector.form == .vectors, vector.prefix == 0xf2, op.d == op.a else {
        return op
      }
      switch vector.opcode {
      case 0x51: op.op = .vsqrt64
      case 0x58: op.op = .vadd64
      case 0x59: op.op = .vmul64
      case 0x5c: op.op = .vsub64
      case 0x5e: op.op = .vdiv64
      default: return op
      }
      op.e = control
    case .float: break
    }
    return op
  }

  /// `mov d, a` and an operation on `d` that replaces it are one operation on `a`.
  private static func foldCopies(_ ops: inout [MicroOp]) {
    var write = 0
    var read = 0
    while read < ops.count {
      if read + 1 < ops.count, let folded = folded(ops[read], ops[read + 1]) {
        ops[write] = folded
        read += 2
      } else {
        if write != read { ops[write] = ops[read] }
        read += 1
      }
      write += 1
    }
    ops.removeLast(ops.count - write)
  }

  private static func folded(_ first: MicroOp, _ second: MicroOp) -> MicroOp? {
    if first.op == .ins8, second.op == .andi, second.imm == 0xff, second.a == first.d,
      second.d == first.d
    {
      // The rest of the register goes.
      var folded = second
      folded.a = first.a
      return folded
    }
    guard first.op == .mov || first.op == .zext32, second.d == first.d, second.a == first.d else {
      return nil
    }
    var hasSecond = false
    switch second.op {
    case .addi, .andi, .ori, .xori, .slli, .srli, .srai, .rori:
      guard first.op == .mov else { return nil }
    case .add, .sub, .and, .or, .xor, .mul, .shadd:
      guard first.op == .mov else { return nil }
      hasSecond = true
    case .addi32, .ori32, .xori32, .shl32i, .shr32i, .sar32i, .zext32: break
    case .add32, .sub32, .and32, .or32, .xor32, .mul32: hasSecond = true
    default: return nil
    }
    var folded = second
    folded.a = first.a
    if hasSecond, second.b == first.d { folded.b = first.a }
    return folded
  }

  /// A pair whose first half can't fault, or which is one instruction's.
  static func replacement(_ first: MicroOp, _ second: MicroOp, start: UInt64) -> MicroOp? {
    if let fused = branch(first, second, start: start) { return fused }
    switch (first.op, second.op) {
    case (.slli, .xor):
      let other = second.a == first.d ? second.b : second.b == first.d ? second.a : nil
      guard let other else { return nil }
      return MicroOp(
        .slliXor, d: second.d, a: first.a, b: other, gi: second.gi, c: first.d,
        e: UInt8(truncatingIfNeeded: first.imm))
    default: return nil
    }
  }

  /// What sets condition codes and the branch by them.
  private static func branch(_ first: MicroOp, _ second: MicroOp, start: UInt64) -> MicroOp? {
    var op: Op
    switch first.op {
    case .ccmp: op = .ccmpBranch
    case .ccmpi: op = .ccmpiBranch
    case .ctest: op = .ctestBranch
    case .ctesti: op = .ctestiBranch
    case .caddi: op = .caddiBranch
    case .csubi: op = .csubiBranch
    default: return nil
    }
    let condition: UInt8?
    if second.op == .bcc {
      condition = BranchCondition.of(condition: second.c)
    } else if op == .caddiBranch {
      return nil
    } else if op == .ctestBranch || op == .ctestiBranch, second.a == UInt8(Slot.flagA),
      second.b == zero, second.op == .blt || second.op == .bge
    {
      // The sign of a result of bits.
      condition = BranchCondition.sign(second)
    } else {
      condition = BranchCondition.of(second)
    }
    guard var condition else { return nil }
    var imm = second.imm
    if op != .ccmpBranch, op != .ctestBranch {
      guard let packed = Fusion.pack(first.imm, second.imm &- Int64(bitPattern: start)) else {
        return nil
      }
      imm = packed
    }
    if let special = special(op, condition) { (op, condition) = special }
    return MicroOp(
      op, d: first.d, a: first.a, b: first.b, gi: second.gi, c: first.c, e: condition, imm: imm)
  }

  /// The micro-op of a frequent condition in the place of a general one, and its `e`.
  private static func special(_ op: Op, _ condition: UInt8) -> (Op, UInt8)? {
    guard let (outcome, isSeen) = BranchCondition.single(condition) else { return nil }
    let special: Op? =
      switch (op, outcome) {
      case (.ccmpBranch, BranchCondition.zero): .ccmpBranchZero
      case (.ccmpBranch, BranchCondition.carry): .ccmpBranchCarry
      case (.ccmpBranch, BranchCondition.less): .ccmpBranchLess
      case (.ccmpiBranch, BranchCondition.zero): .ccmpiBranchZero
      case (.ccmpiBranch, BranchCondition.carry): .ccmpiBranchCarry
      case (.ccmpiBranch, BranchCondition.less): .ccmpiBranchLess
      case (.ctestBranch, BranchCondition.zero): .ctestBranchZero
      case (.ctestiBranch, BranchCondition.zero): .ctestiBranchZero
      case (.caddiBranch, BranchCondition.zero): .caddiBranchZero
      case (.csubiBranch, BranchCondition.zero): .csubiBranchZero
      default: nil
      }
    return special.map { ($0, isSeen ? 0 : 1) }
  }

  /// The ends of blocks that do their work only where the next block is known, put in front of what they
  /// stand for.
  ///
  /// - Returns: the micro-op, and how many it stands for.
  static func optimistic(_ ops: ArraySlice<MicroOp>) -> (MicroOp, Int)? {
    let at = ops.startIndex
    let first = ops[at]
    func isLast(_ count: Int) -> Bool { ops.count == count }
    switch first.op {
    case .movi where isLast(4):
      let (store, move, go) = (ops[at + 1], ops[at + 2], ops[at + 3])
      guard store.op == .st64, store.b == first.d, store.imm == -8, move.op == .addi,
        move.imm == -8, move.d == store.a, move.a == store.a, go.op == .goto
      else { return nil }
      return (MicroOp(.pushCall, a: store.a, gi: first.gi, imm: first.imm), 4)
    case .ld64 where isLast(4) && ops[at + 3].op == .jumpr:
      let (check, move, go) = (ops[at + 1], ops[at + 2], ops[at + 3])
      guard first.imm == 0, check.op == .canonical, check.a == first.d, move.op == .addi,
        move.d == first.a, move.a == first.a, go.op == .jumpr, go.a == first.d, go.imm == 0
      else { return nil }
      return (MicroOp(.popReturn, a: first.a, gi: first.gi, imm: move.imm), 4)
    case .ld64 where isLast(6):
      guard let (popped, _) = stack(ops, .ld64),
        let (fused, _) = optimistic(ops.dropFirst(2)), fused.op == .popReturn, fused.a == first.a
      else { return nil }
      return (
        MicroOp(.pop2Return, d: popped, a: first.a, gi: first.gi, imm: fused.imm), 6
      )
    case .ldx64 where isLast(3):
      let (check, go) = (ops[at + 1], ops[at + 2])
      guard check.op == .canonical, check.a == first.d, go.op == .jumpr, go.a == first.d,
        go.imm == 0
      else { return nil }
      return (
        MicroOp(.ldxJump, a: first.a, b: first.b, gi: first.gi, c: first.c, imm: first.imm), 3
      )
    case .canonical where isLast(2):
      let go = ops[at + 1]
      guard go.op == .jumpr, go.a == first.a, go.imm == 0 else { return nil }
      return (MicroOp(.checkedJump, a: first.a, gi: first.gi), 2)
    case .ld64:
      if let (first, top) = stack(ops, .ld64),
        let (second, same) = stack(ops.dropFirst(2), .ld64), same == top
      {
        return (MicroOp(.pop2, d: first, a: top, b: second, gi: ops[at].gi), 4)
      }
      return load(ops)
    case .st64:
      guard let (first, top) = stack(ops, .st64) else { return nil }
      if let (second, same) = stack(ops.dropFirst(2), .st64), same == top {
        return (MicroOp(.push2, d: first, a: top, b: second, gi: ops[at].gi), 4)
      }
      guard ops.count > 2, ops[at + 2].op == .mov, ops[at + 2].a == top, first != top else {
        return nil
      }
      return (MicroOp(.pushMov, d: first, a: top, b: ops[at + 2].d, gi: ops[at].gi), 3)
    case .zext32:
      return extended(ops)
    default: return load(ops)
    }
  }

  /// PUSH or POP of a register that is not the stack pointer, by what it begins with.
  ///
  /// - Returns: the slot of the register and that of the pointer.
  private static func stack(
    _ ops: ArraySlice<MicroOp>, _ op: Op
  ) -> (register: UInt8, pointer: UInt8)? {
    guard ops.count > 1 else { return nil }
    let (access, move) = (ops[ops.startIndex], ops[ops.startIndex + 1])
    let register = op == .ld64 ? access.d : access.b
    guard access.op == op, move.op == .addi, move.a == access.a, move.d == access.a,
      move.gi == access.gi, register != access.a,
      access.imm == (op == .ld64 ? 0 : -8), move.imm == (op == .ld64 ? 8 : -8)
    else { return nil }
    return (register, access.a)
  }

  /// A load by an index or an offset of 32 bits.
  private static func extended(_ ops: ArraySlice<MicroOp>) -> (MicroOp, Int)? {
    guard ops.count > 1 else { return nil }
    let (move, load) = (ops[ops.startIndex], ops[ops.startIndex + 1])
    switch load.op {
    case .ld8u where load.a == move.d:
      return (
        MicroOp(.zextLd8u, d: load.d, a: move.a, b: move.d, gi: move.gi, imm: load.imm), 2
      )
    case .ldx32u where load.b == move.d:
      return (
        MicroOp(
          .zextLdx32u, d: load.d, a: move.a, b: move.d, gi: move.gi, c: load.c, e: load.a,
          imm: load.imm), 2
      )
    default: return nil
    }
  }

  /// A load and what uses it.
  private static func load(_ ops: ArraySlice<MicroOp>) -> (MicroOp, Int)? {
    guard ops.count > 1 else { return nil }
    let first = ops[ops.startIndex]
    let second = ops[ops.startIndex + 1]
    guard second.gi == first.gi else { return nil }
    if first.op == .ld64, second.op == .movi, second.imm == 0, second.d == first.d &+ 1 {
      return (
        MicroOp(.ld64Zero, d: first.d, a: first.a, gi: first.gi, imm: first.imm), 2
      )
    }
    let op: Op
    var index: UInt8 = 0
    switch first.op {
    case .ld32u: op = .ldAlu32
    case .ld64: op = .ldAlu64
    case .ldx32u: (op, index) = (.ldxAlu32, first.b)
    case .ldx64: (op, index) = (.ldxAlu64, first.b)
    default: return nil
    }
    guard let kind = LoadedOperation(second.op, is32: op == .ldAlu32 || op == .ldxAlu32),
      let displacement = Fusion.pack(first.imm, Int64(first.d)), first.d != second.d
    else { return nil }
    let other: UInt8
    if second.b == first.d, second.a != first.d {
      other = second.a
    } else if second.a == first.d, second.b != first.d, kind != .sub, second.op != .keepMul,
      second.op != .keepMul32
    {
      other = second.b
    } else {
      return nil
    }
    return (
      MicroOp(
        op, d: second.d, a: first.a, b: index, gi: first.gi,
        c: index == 0 ? kind.rawValue << 4 : first.c | kind.rawValue << 4, e: other,
        imm: displacement), 2
    )
  }
}

/// What is done with a loaded operand: `x[e]` op memory.
enum LoadedOperation: UInt8 {
  case add, sub, and, or, xor, mul

  init?(_ op: Op, is32: Bool) {
    switch op {
    case .add where !is32: self = .add
    case .sub where !is32: self = .sub
    case .and where !is32: self = .and
    case .or where !is32: self = .or
    case .xor where !is32: self = .xor
    case .mul where !is32, .keepMul where !is32: self = .mul
    case .add32 where is32: self = .add
    case .sub32 where is32: self = .sub
    case .and32 where is32: self = .and
    case .or32 where is32: self = .or
    case .xor32 where is32: self = .xor
    case .mul32 where is32, .keepMul32 where is32: self = .mul
    default: return nil
    }
  }

  /// What comes of the operation with this raw value.
  @inline(__always)
  static func result(_ kind: UInt8, _ a: UInt64, _ b: UInt64) -> UInt64 {
    switch kind {
    case 0: a &+ b
    case 1: a &- b
    case 2: a & b
    case 3: a | b
    case 4: a ^ b
    default: a &* b
    }
  }
}
