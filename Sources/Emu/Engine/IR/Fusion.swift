/// Joins neighbouring micro-ops into one where the pair is frequent in compiled code: a dispatch
/// costs as much as what it dispatches to.
///
/// The pairs are those that a count over the benchmark kernels put first
/// (`Docs/decisions/0002-interpreter.md`). Both halves keep their order and all their effects; a pair
/// in which the first half may fault is optimistic and keeps both originals behind it.
enum Fusion {
  /// Fuses within `ops`, the micro-ops of one whole block that starts at `start`.
  ///
  /// Without `pairs` only constants are folded, which serves compiled code too. `natives` says what helpers
  /// do, for an instruction set with condition codes.
  static func apply(
    _ ops: inout [MicroOp], start: UInt64, pairs: Bool, natives: NativeTable? = nil
  ) {
    guard pairs else {
      foldConstants(&ops)
      return
    }
    if let natives { FlagFusion.prepare(&ops, natives) }
    var write = 0
    var read = 0
    let count = ops.count
    var optimistic: [(at: Int, op: MicroOp)] = []
    while read < count {
      if natives != nil, let (fused, length) = FlagFusion.optimistic(ops[read..<count]) {
        optimistic.append((write, fused))
        for index in read..<read + length {
          ops[write] = ops[index]
          write += 1
        }
        read += length
        continue
      }
      if read + 1 < count {
        let first = ops[read]
        let second = ops[read + 1]
        // A fault of x86 asks its micro-op for size and segment: loads are fused optimistically there.
        if let fused = natives == nil || second.op.access == nil
          ? replacement(first, second, start: start)
            ?? (natives == nil ? nil : FlagFusion.replacement(first, second, start: start)) : nil
        {
          ops[write] = fused
          write += 1
          read += 2
          continue
        }
        if let fused = optimisticPair(first, second) {
          optimistic.append((write, fused))
          ops[write] = first
          ops[write + 1] = second
          write += 2
          read += 2
          continue
        }
      }
      ops[write] = ops[read]
      write += 1
      read += 1
    }
    ops.removeLast(count - write)
    for entry in optimistic.reversed() { ops.insert(entry.op, at: entry.at) }
  }

  private static func foldConstants(_ ops: inout [MicroOp]) {
    var write = 0
    var read = 0
    let count = ops.count
    while read < count {
      if read + 1 < count, let folded = folded(ops[read], ops[read + 1]) {
        ops[write] = folded
        read += 2
      } else {
        if write != read { ops[write] = ops[read] }
        read += 1
      }
      write += 1
    }
    ops.removeLast(count - write)
  }

  /// A constant and what adds to it.
  private static func folded(_ first: MicroOp, _ second: MicroOp) -> MicroOp? {
    guard first.op == .movi, second.a == first.d, second.d == first.d else { return nil }
    let op: Op
    let imm: Int64
    switch second.op {
    case .addi: (op, imm) = (.movi, first.imm &+ second.imm)
    case .addiw: (op, imm) = (.movi, Int64(Int32(truncatingIfNeeded: first.imm &+ second.imm)))
    case .callr:
      // A call by way of its own link register: the target is known.
      (op, imm) = (.call, (first.imm &+ second.imm) & ~1)
    default: return nil
    }
    return MicroOp(op, d: second.d, gi: second.gi, imm: imm)
  }

  static func pack(_ low: Int64, _ high: Int64) -> Int64? {
    guard let low = Int32(exactly: low), let high = Int32(exactly: high) else { return nil }
    return Int64(high) << 32 | Int64(UInt32(bitPattern: low))
  }

  /// A pair whose first half can't fault.
  private static func replacement(
    _ first: MicroOp, _ second: MicroOp, start: UInt64
  ) -> MicroOp? {
    func make(
      _ op: Op, d: UInt8, a: UInt8, b: UInt8, c: UInt8, e: UInt8 = 0, imm: Int64 = 0
    ) -> MicroOp {
      MicroOp(op, d: d, a: a, b: b, gi: second.gi, c: c, e: e, imm: imm)
    }
    /// The operand of a commutative second half that is not the first half's result.
    func other() -> UInt8? {
      second.a == first.d ? second.b : second.b == first.d ? second.a : nil
    }
    func branch(_ op: Op) -> MicroOp? {
      let displacement = second.imm &- Int64(bitPattern: start)
      guard let imm = pack(first.imm, displacement) else { return nil }
      return make(op, d: first.d, a: first.a, b: second.a, c: second.b, imm: imm)
    }
    func shift(_ op: Op) -> MicroOp? {
      guard let b = other() else { return nil }
      return make(
        op, d: second.d, a: first.a, b: b, c: first.d,
        e: UInt8(truncatingIfNeeded: first.imm))
    }
    func load(_ op: Op) -> MicroOp? {
      guard second.a == first.d else { return nil }
      return make(op, d: second.d, a: first.a, b: first.b, c: first.d, imm: second.imm)
    }
    if let folded = folded(first, second) { return folded }
    switch (first.op, second.op) {
    case (.addi, .addi):
      guard let imm = pack(first.imm, second.imm) else { return nil }
      return make(.addiAddi, d: first.d, a: first.a, b: second.d, c: second.a, imm: imm)
    case (.slli, .add): return shift(.slliAdd)
    case (.srli, .add): return shift(.srliAdd)
    case (.srli, .xor): return shift(.srliXor)
    case (.slli, .srli) where second.a == first.d:
      return make(
        .slliSrli, d: second.d, a: first.a, b: 0, c: first.d,
        e: UInt8(truncatingIfNeeded: first.imm), imm: second.imm)
    case (.add, .add):
      guard let other = other() else { return nil }
      return make(.addAdd, d: second.d, a: first.a, b: first.b, c: first.d, e: other)
    case (.add, .addi):
      return make(
        .addAddi, d: second.d, a: first.a, b: first.b, c: first.d, e: second.a, imm: second.imm)
    case (.mul, .add):
      guard let other = other() else { return nil }
      return make(.mulAdd, d: second.d, a: first.a, b: first.b, c: first.d, e: other)
    case (.add, .ld64): return load(.addLd64)
    case (.add, .ld32s): return load(.addLd32s)
    case (.add, .ld8u): return load(.addLd8u)
    case (.addi, .beq): return branch(.addiBeq)
    case (.addi, .bne): return branch(.addiBne)
    case (.addi, .blt): return branch(.addiBlt)
    case (.addi, .bltu): return branch(.addiBltu)
    case (.addi, .bgeu): return branch(.addiBgeu)
    case (.addiw, .bne): return branch(.addiwBne)
    case (.addi, .gotor) where second.imm == 0:
      return make(.addiGotor, d: first.d, a: first.a, b: second.a, c: 0, imm: first.imm)
    default: return nil
    }
  }

  /// A pair whose first half is a memory access; it is put in front of its two halves.
  private static func optimisticPair(_ first: MicroOp, _ second: MicroOp) -> MicroOp? {
    guard let imm = pack(first.imm, second.imm) else { return nil }
    let op: Op
    switch (first.op, second.op) {
    case (.ld64, .ld64) where first.a == second.a && first.d != first.a: op = .ld64Ld64
    case (.ld32s, .ld32s) where first.a == second.a && first.d != first.a: op = .ld32sLd32s
    case (.st64, .st64) where first.a == second.a:
      return MicroOp(
        .st64St64, d: first.b, a: first.a, b: second.b, gi: first.gi, imm: imm)
    case (.ld64, .addi): op = .ld64Addi
    case (.ld64, .addiw): op = .ld64Addiw
    case (.ld32s, .addi): op = .ld32sAddi
    case (.st64, .addi):
      return MicroOp(
        .st64Addi, d: first.b, a: first.a, b: second.d, gi: first.gi, c: second.a, imm: imm)
    case (.st8, .add):
      return MicroOp(
        .st8Add, d: first.b, a: first.a, b: second.d, gi: first.gi, c: second.a, e: second.b,
        imm: imm)
    default: return nil
    }
    return MicroOp(
      op, d: first.d, a: first.a, b: second.d, gi: first.gi, c: second.a, imm: imm)
  }
}
