/// What an instruction goes on with behind a micro-op that leaves something pending.
///
/// A store has dropped translated code, a device asks for a stop: the instruction completes before that
/// is looked at. An exception ends it.
enum InsnRest {
  /// The micro-ops of all instructions that access memory and then go on, as lifted: what the interpreter
  /// runs may have their ends in one micro-op with the next instruction's beginning.
  static func whole(_ ops: [MicroOp]) -> [MicroOp] {
    var found: [MicroOp] = []
    var start = 0
    while start < ops.count {
      var end = start + 1
      while end < ops.count, ops[end].gi == ops[start].gi { end += 1 }
      if ops[start..<(end - 1)].contains(where: { $0.op.access != nil || $0.op == .helper }) {
        found += ops[start..<end]
      }
      start = end
    }
    return found
  }

  /// What follows a micro-op of a block in its instruction.
  private static func behind(
    _ op: UnsafeMutablePointer<MicroOp>, _ block: UnsafeMutablePointer<Block>
  ) -> ArraySlice<MicroOp> {
    let gi = op.pointee.gi
    let continued = block.pointee.continued
    guard continued > 0 else {
      let end = block.pointee.ops + block.pointee.opCount
      var next = op + 1
      while next < end, next.pointee.gi == gi { next += 1 }
      return Array(UnsafeBufferPointer(start: op + 1, count: next - (op + 1)))[...]
    }
    let first = block.pointee.ops + block.pointee.opCount + block.pointee.deferred
    let insn = UnsafeBufferPointer(start: first, count: continued).filter { $0.gi == gi }
    guard let at = insn.lastIndex(where: { isEqual($0, op.pointee) }) else { return [] }
    return insn[(at + 1)...]
  }

  private static func isEqual(_ one: MicroOp, _ other: MicroOp) -> Bool {
    one.op == other.op && one.d == other.d && one.a == other.a && one.b == other.b
      && one.c == other.c && one.e == other.e && one.imm == other.imm
  }

  /// The instruction is at its end.
  private static let completed: Helper = { _, _ in }

  /// Executes what is left of the instruction of ``Slot/op``; the slots are exact.
  ///
  /// - Returns: whether pc is where the instruction has branched to. Where not, it is to be behind the
  ///   instruction, or where an exception is pending now at its beginning.
  @inline(never)
  static func run(_ x: UnsafeMutablePointer<UInt64>) -> Bool {
    guard x[Slot.pending] != Pending.exception.rawValue,
      let block = UnsafeMutablePointer<Block>(bitPattern: UInt(x[Slot.block])),
      let op = UnsafeMutablePointer<MicroOp>(bitPattern: UInt(x[Slot.op]))
    else { return false }
    let rest = behind(op, block)
    guard !rest.isEmpty else { return false }
    // The last instruction has the terminator.
    let endsBlock = block.pointee.ops[block.pointee.opCount - 1].gi == op.pointee.gi
    let before = x[Slot.pending]
    x[Slot.pending] = 0
    run(Array(rest), endsBlock, op.pointee.gi, block, x)
    x[Slot.op] = UInt64(UInt(bitPattern: op))
    let after = x[Slot.pending]
    if after == Pending.exception.rawValue { return false }
    // A stop that was asked for is not forgotten.
    if after == 0 || before == Pending.stop.rawValue && after == Pending.reconsider.rawValue {
      x[Slot.pending] = before
    }
    return endsBlock
  }

  private static func run(
    _ rest: [MicroOp], _ endsBlock: Bool, _ gi: UInt16, _ block: UnsafeMutablePointer<Block>,
    _ x: UnsafeMutablePointer<UInt64>
  ) {
    var ops = rest
    if !endsBlock {
      ops.append(
        MicroOp(
          .helperExit, gi: gi,
          imm: Int64(Int(bitPattern: unsafeBitCast(completed, to: UnsafeRawPointer.self)))))
    }
    let (left, target) = (x[Slot.left], x[Slot.target])
    ops.withUnsafeMutableBufferPointer { ops in
      guard let base = ops.baseAddress else { return }
      var alone = Block(
        pc: block.pointee.pc, end: block.pointee.end, ops: base, opCount: ops.count,
        count: block.pointee.count, offsets: block.pointee.offsets, pa: block.pointee.pa,
        secondPA: block.pointee.secondPA, flags: block.pointee.flags)
      // The budget of the one block, and a target for which counts are exact meanwhile.
      x[Slot.target] = target &- left
      withUnsafeMutablePointer(to: &alone) { _ = interpret(x, $0, block.pointee.count) }
    }
    x[Slot.target] = target
    x[Slot.left] = left
    x[Slot.block] = UInt64(UInt(bitPattern: block))
  }
}
