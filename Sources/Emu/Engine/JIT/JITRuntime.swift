#if arch(x86_64) && os(Linux)
/// What compiled code calls, on slots that are exact: nothing is kept in host registers then.
enum JITRuntime {
  /// (x, op) -> whether the block must be left, `Slot.left` then being what is left.
  typealias Step = @convention(c) (UnsafeMutablePointer<UInt64>, UnsafeMutableRawPointer) -> UInt64
  typealias Leave = @convention(c) (UnsafeMutablePointer<UInt64>, UnsafeMutableRawPointer) -> Void

  static var stepAddress: UnsafeRawPointer { unsafeBitCast(step, to: UnsafeRawPointer.self) }
  static var pendingAddress: UnsafeRawPointer { unsafeBitCast(pending, to: UnsafeRawPointer.self) }
  static var helperExitAddress: UnsafeRawPointer {
    unsafeBitCast(helperExit, to: UnsafeRawPointer.self)
  }
  static var restAddress: UnsafeRawPointer { unsafeBitCast(rest, to: UnsafeRawPointer.self) }

  static var rememberAddress: UnsafeRawPointer {
    unsafeBitCast(remember, to: UnsafeRawPointer.self)
  }

  /// (site, va, TLB, size or 256 + size for a store) -> whether the TLB knows the page: then the site
  /// remembers it and its neighbours that lie next to it on the host.
  private static let remember:
    @convention(c) (
      UnsafeMutablePointer<UInt64>, UInt64, UnsafeMutableRawPointer, UInt64
    ) -> UInt64 = { site, va, raw, kind in
      let tlb = raw.assumingMemoryBound(to: TLBEntry.self)
      let size = kind & 255
      let page = va & TLB.pageMask
      guard (va &+ (size &- 1)) & TLB.pageMask == page else { return 0 }
      func addend(_ page: UInt64) -> UInt64? {
        let entry = tlb + TLB.index(page)
        let tag = kind & 256 != 0 ? entry.pointee.write : entry.pointee.read
        return tag == page ? entry.pointee.addend : nil
      }
      guard let found = addend(page) else { return 0 }
      var (low, high) = (page, page)
      var room = 256
      // The range must not wrap.
      while room > 0, low >= 4096, addend(low &- 4096) == found {
        low &-= 4096
        room -= 1
      }
      while room > 0, high < TLB.pageMask, addend(high &+ 4096) == found {
        high &+= 4096
        room -= 1
      }
      site[0] = low
      site[1] = high &- low &+ 4097 &- size
      site[2] = found &+ low
      return 1
    }

  private static let step: Step = { x, raw in
    let op = raw.assumingMemoryBound(to: MicroOp.self).pointee
    let va = x[Int(op.a)] &+ UInt64(bitPattern: op.imm)
    let leaves: Bool
    switch op.op {
    case .ld8s: leaves = load(x, va, 1, .signed, op.d)
    case .ld8u: leaves = load(x, va, 1, .unsigned, op.d)
    case .ld16s: leaves = load(x, va, 2, .signed, op.d)
    case .ld16u: leaves = load(x, va, 2, .unsigned, op.d)
    case .ld32s: leaves = load(x, va, 4, .signed, op.d)
    case .ld32u: leaves = load(x, va, 4, .unsigned, op.d)
    case .ldbox32: leaves = load(x, va, 4, .boxed, op.d)
    case .ld64: leaves = load(x, va, 8, .unsigned, op.d)
    case .st8: leaves = storeSlow(x, va, 1, x[Int(op.b)])
    case .st16: leaves = storeSlow(x, va, 2, x[Int(op.b)])
    case .st32: leaves = storeSlow(x, va, 4, x[Int(op.b)])
    case .st64: leaves = storeSlow(x, va, 8, x[Int(op.b)])
    default: return stepByInterpreter(x, op) ? 1 : 0
    }
    if leaves { leave(x) }
    return leaves ? 1 : 0
  }

  private static func load(
    _ x: UnsafeMutablePointer<UInt64>, _ va: UInt64, _ size: UInt64, _ how: Extension, _ d: UInt8
  ) -> Bool {
    loadSlow(x, va, size, how, Int(d))
  }

  /// Something is pending at the micro-op: makes pc and budget those of the instruction's end, or
  /// of its beginning where it raised an exception.
  private static func leave(_ x: UnsafeMutablePointer<UInt64>) {
    guard let block = UnsafeMutablePointer<Block>(bitPattern: UInt(x[Slot.block])),
      let op = UnsafeMutablePointer<MicroOp>(bitPattern: UInt(x[Slot.op]))
    else { return }
    let gi = Int(op.pointee.gi)
    x[Slot.left] &+= UInt64(bitPattern: block.pointee.count &- Int64(gi) &- 1)
    let exception = x[Slot.pending] == Pending.exception.rawValue
    x[Slot.pc] = block.pointee.pc &+ UInt64(block.pointee.offsets[exception ? gi : gi &+ 1])
  }

  private static let pending: Leave = { x, _ in leave(x) }

  private static let helperExit: Leave = { x, raw in
    let op = raw.assumingMemoryBound(to: MicroOp.self)
    guard let block = UnsafeMutablePointer<Block>(bitPattern: UInt(x[Slot.block])) else { return }
    x[Slot.pc] = block.pointee.end
    unsafeBitCast(Int(truncatingIfNeeded: op.pointee.imm), to: Helper.self)(
      x, UnsafeRawPointer(raw).assumingMemoryBound(to: MicroOpRaw.self))
    if x[Slot.pending] == Pending.exception.rawValue { leave(x) }
  }

  /// Runs the block of `Slot.block` from the micro-op on in the interpreter.
  private static let rest: Leave = { x, raw in
    guard let block = UnsafeMutablePointer<Block>(bitPattern: UInt(x[Slot.block])) else { return }
    let ops = raw.assumingMemoryBound(to: MicroOp.self)
    x[Slot.left] &+= UInt64(bitPattern: interpretAlone(x, block.pointee, ops))
  }

  /// The micro-op behind one that is run alone: it was completed.
  private static let reached: Helper = { x, _ in x[Slot.exit] = 1 }

  /// Runs one micro-op, no terminator, in the interpreter.
  ///
  /// - Returns: whether the block must be left.
  private static func stepByInterpreter(
    _ x: UnsafeMutablePointer<UInt64>, _ op: MicroOp
  ) -> Bool {
    guard let block = UnsafeMutablePointer<Block>(bitPattern: UInt(x[Slot.block])) else {
      return true
    }
    let end = MicroOp(
      .helperExit, gi: op.gi,
      imm: Int64(Int(bitPattern: unsafeBitCast(reached, to: UnsafeRawPointer.self))))
    var pair = (op, end)
    x[Slot.exit] = 0
    let left = withUnsafeMutableBytes(of: &pair) {
      guard let ops = $0.assumingMemoryBound(to: MicroOp.self).baseAddress else { return Int64(0) }
      return interpretAlone(x, block.pointee, ops)
    }
    let completed = x[Slot.exit] != 0
    x[Slot.exit] = 0
    if !completed { x[Slot.left] &+= UInt64(bitPattern: left) }
    return !completed
  }

  /// Runs `ops`, of `block`, in the interpreter, which leaves behind them: it gets the budget of the
  /// one block, and the target is moved so that counts are exact meanwhile.
  private static func interpretAlone(
    _ x: UnsafeMutablePointer<UInt64>, _ block: Block, _ ops: UnsafeMutablePointer<MicroOp>
  ) -> Int64 {
    let left = x[Slot.left]
    var alone = block
    alone.ops = ops
    alone.taken = nil
    alone.fall = nil
    return withUnsafeMutablePointer(to: &alone) {
      x[Slot.target] &-= left
      let rest = interpret(x, $0, block.count)
      x[Slot.target] &+= left
      x[Slot.left] = left
      return rest
    }
  }
}
#endif
