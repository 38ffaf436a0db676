#if arch(x86_64) && os(Linux)
/// What compiled code calls, on slots that are exact: nothing is kept in host registers then.
enum JITRuntime {
  /// (x, op) -> whether the block must be left, `Slot.left` then being what is left.
  typealias Step = @convention(c) (UnsafeMutablePointer<UInt64>, UnsafeMutableRawPointer) -> UInt64
  typealias Settle = @convention(c) (UnsafeMutablePointer<UInt64>) -> UInt64
  typealias Leave = @convention(c) (UnsafeMutablePointer<UInt64>, UnsafeMutableRawPointer) -> Void

  static var stepAddress: UnsafeRawPointer { unsafeBitCast(step, to: UnsafeRawPointer.self) }
  static var settleAddress: UnsafeRawPointer { unsafeBitCast(settle, to: UnsafeRawPointer.self) }
  static var pendingAddress: UnsafeRawPointer { unsafeBitCast(pending, to: UnsafeRawPointer.self) }
  static var helperExitAddress: UnsafeRawPointer {
    unsafeBitCast(helperExit, to: UnsafeRawPointer.self)
  }
  static var restAddress: UnsafeRawPointer { unsafeBitCast(rest, to: UnsafeRawPointer.self) }

  static var resolveAddress: UnsafeRawPointer {
    unsafeBitCast(resolve, to: UnsafeRawPointer.self)
  }

  /// (x): has the slots say the condition codes of `Slot.flagSource`.
  private static let resolve: @convention(c) (UnsafeMutablePointer<UInt64>) -> Void = { x in
    guard let source = UnsafePointer<MicroOp>(bitPattern: UInt(x[Slot.flagSource])) else { return }
    let op = source.pointee
    guard op.op == .helper else { return StatusFlags.resolve(x, op) }
    Hart.of(x)._withUnsafeGuaranteedRef { hart in
      guard case .vector(let vector)? = hart.compiler.natives[op.imm] else { return }
      StatusFlags.resolve(x, x[Int(op.a)], x[Int(op.b)], double: vector.prefix == 0x66)
    }
  }

  static var siteMissedAddress: UnsafeRawPointer {
    unsafeBitCast(siteMissed, to: UnsafeRawPointer.self)
  }

  /// (site, base address, x, the unit's first block, ``SiteMiss/packed``) -> whether the TLB knows the
  /// pages of a group of accesses: then the site remembers them, with neighbours that lie next to
  /// them on the host.
  ///
  /// Where it misses again and again in quick succession, the unit is to be translated anew.
  private static let siteMissed:
    @convention(c) (
      UnsafeMutablePointer<UInt64>, UInt64, UnsafeMutablePointer<UInt64>, UnsafeMutableRawPointer,
      UInt64
    ) -> UInt64 = { record, address, x, raw, packed in
      let miss = SiteMiss(packed: packed)
      let block = raw.assumingMemoryBound(to: Block.self)
      if let state = block.pointee.sites {
        let site = state + Int(miss.site)
        let now = x[Slot.target] &- x[Slot.left]
        let soon = now &- site.pointee.last < 256
        site.pointee.last = now
        if soon {
          site.pointee.misses += 1
          if site.pointee.misses >= 128 {
            site.pointee.misses = 0
            site.pointee.mode =
              miss.mode == SiteState.Mode.oneRange && miss.canHaveTwo
              ? SiteState.Mode.twoRanges : SiteState.Mode.lookUp
            x[Slot.stale] = UInt64(UInt(bitPattern: block))
            return 0
          }
        }
      }
      guard let tlb = UnsafePointer<TLBEntry>(bitPattern: UInt(x[Slot.tlb])) else { return 0 }
      return miss.remember(record, address, tlb) ? 1 : 0
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
    case .logBlock:
      noteBlock(x)
      return 0
    default: return stepByInterpreter(x, raw.assumingMemoryBound(to: MicroOp.self)) ? 1 : 0
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
    let isComplete = InsnRest.run(x)
    x[Slot.left] &+= UInt64(bitPattern: block.pointee.count &- Int64(gi) &- 1)
    if isComplete { return }
    let exception = x[Slot.pending] == Pending.exception.rawValue
    x[Slot.pc] = block.pointee.pc &+ UInt64(block.pointee.offsets[exception ? gi : gi &+ 1])
  }

  /// (x) -> whether compiled code may go on at `Slot.pc`, with `Slot.left`: the micro-op has left
  /// something pending, which is done here (``Hart/settle()``).
  private static let pending: Settle = { x in
    leave(x)
    return Hart.of(x)._withUnsafeGuaranteedRef { $0.settle() } ? 1 : 0
  }

  /// The same where `Slot.pc` and `Slot.left` are as the micro-op leaves them.
  private static let settle: Settle = { x in
    Hart.of(x)._withUnsafeGuaranteedRef { $0.settle() } ? 1 : 0
  }

  /// (x, op) -> whether compiled code may go on at `Slot.pc`, with `Slot.left`.
  ///
  /// What is pending is done here (``Hart/settle()``).
  private static let helperExit: Step = { x, raw in
    let op = raw.assumingMemoryBound(to: MicroOp.self)
    guard let block = UnsafeMutablePointer<Block>(bitPattern: UInt(x[Slot.block])) else { return 0 }
    x[Slot.pc] = block.pointee.end
    unsafeBitCast(Int(truncatingIfNeeded: op.pointee.imm), to: Helper.self)(
      x, UnsafeRawPointer(raw).assumingMemoryBound(to: MicroOpRaw.self))
    if x[Slot.pending] == Pending.exception.rawValue { leave(x) }
    if x[Slot.pending] | x[Slot.checkInterrupts] | x[Slot.single] == 0 {
      return x[Slot.left] != 0 ? 1 : 0
    }
    return Hart.of(x)._withUnsafeGuaranteedRef { $0.settle() } ? 1 : 0
  }

  /// Runs the block of `Slot.block` from the micro-op on in the interpreter.
  private static let rest: Leave = { x, raw in
    guard let block = UnsafeMutablePointer<Block>(bitPattern: UInt(x[Slot.block])) else { return }
    if block.pointee.grouped {
      block.pointee.strayed += 1
      if block.pointee.strayed == 64 {
        block.pointee.strayed = 0
        block.pointee.ungrouped = true
        x[Slot.stale] = UInt64(UInt(bitPattern: block.pointee.leader ?? block))
      }
    }
    let ops = raw.assumingMemoryBound(to: MicroOp.self)
    let count = block.pointee.opCount - (ops - block.pointee.ops)
    x[Slot.left] &+= UInt64(bitPattern: interpretAlone(x, block, ops, count))
  }

  /// The micro-op behind one that is run alone: it was completed.
  private static let reached: Helper = { x, _ in x[Slot.exit] = 1 }

  /// Runs one micro-op, no terminator, in the interpreter.
  ///
  /// - Returns: whether the block must be left.
  private static func stepByInterpreter(
    _ x: UnsafeMutablePointer<UInt64>, _ place: UnsafeMutablePointer<MicroOp>
  ) -> Bool {
    let op = place.pointee
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
      // The one behind it is not the instruction's.
      return interpretAlone(x, block, ops, 1)
    }
    let completed = x[Slot.exit] != 0
    x[Slot.exit] = 0
    guard !completed else { return false }
    if op.op != .observe, x[Slot.pending] != Pending.exception.rawValue {
      x[Slot.op] = UInt64(UInt(bitPattern: place))
      leave(x)
    } else {
      x[Slot.left] &+= UInt64(bitPattern: left)
    }
    return true
  }

  /// Runs `ops`, of `block`, in the interpreter, which leaves behind them: it gets the budget of the
  /// one block, and the target is moved so that counts are exact meanwhile.
  private static func interpretAlone(
    _ x: UnsafeMutablePointer<UInt64>, _ block: UnsafeMutablePointer<Block>,
    _ ops: UnsafeMutablePointer<MicroOp>, _ count: Int
  ) -> Int64 {
    let left = x[Slot.left]
    // The interpreter may note the copy as the block being run, which must not outlive it.
    defer { x[Slot.block] = UInt64(UInt(bitPattern: block)) }
    var alone = block.pointee
    alone.ops = ops
    alone.opCount = count
    alone.taken = nil
    alone.fall = nil
    return withUnsafeMutablePointer(to: &alone) {
      x[Slot.target] &-= left
      let rest = interpret(x, $0, block.pointee.count)
      x[Slot.target] &+= left
      x[Slot.left] = left
      return rest
    }
  }
}
#endif
