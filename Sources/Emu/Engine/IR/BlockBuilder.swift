/// Collects the micro-ops of one block while an ISA lifts instructions into it.
///
/// One builder serves a hart for ever; its buffers are reused, since translation is hot in code
/// that runs once.
public final class BlockBuilder {
  /// Most instructions in a block.
  public static let maxInsns = 64

  /// The pc of the instruction being lifted.
  public private(set) var pc: UInt64 = 0
  /// Virtual address of the block's first instruction.
  public private(set) var start: UInt64 = 0
  /// The instructions that may still be added.
  public private(set) var room = 0
  /// Whether a terminator has been emitted.
  public private(set) var ended = false
  /// The instructions lifted so far.
  public private(set) var count = 0

  private(set) var ops: [MicroOp] = []
  private(set) var offsets: [UInt16] = []
  /// Whether an observer sees every instruction: every slot must be exact at each of them.
  public private(set) var observing = false
  /// Whether the block says that it begins.
  private var logging = false
  /// Whether the observer sees the instruction being lifted.
  private var isSeen = false
  /// Physical address of the first byte, and of the second page where the block touches one.
  var pa: UInt64 = 0
  var secondPA: UInt64?
  /// The first translation does not hold for the whole page.
  var partial = false

  private let hart: Unmanaged<Hart>
  /// What helpers do, where the instruction set has condition codes.
  private lazy var natives: NativeTable? = hart._withUnsafeGuaranteedRef {
    $0.isa.hasConditionCodes ? NativeTable($0.isa) : nil
  }
  private var originals: [MicroOp] = []
  /// How many of `ops`, the last ones, are not run but say condition codes (``FlagDeferral``).
  private(set) var deferred = 0
  /// How many, behind those, are not run but say how an instruction goes on (``InsnRest``).
  private(set) var continued = 0

  init(hart: Hart) {
    self.hart = .passUnretained(hart)
    ops.reserveCapacity(Self.maxInsns * 8)
    offsets.reserveCapacity(Self.maxInsns + 1)
  }

  func begin(pc: UInt64, pa: UInt64, limit: Int, observing: Bool, logging: Bool) {
    start = pc
    self.pc = pc
    self.pa = pa
    secondPA = nil
    room = min(limit, Self.maxInsns)
    count = 0
    ended = false
    self.observing = observing
    self.logging = logging
    isSeen = false
    ops.removeAll(keepingCapacity: true)
    originals.removeAll(keepingCapacity: true)
    deferred = 0
    continued = 0
    offsets.removeAll(keepingCapacity: true)
  }

  /// Whether the present instruction starts in the block's first page and another may be added.
  public var canContinue: Bool {
    !ended && room > 0 && (pc ^ start) & ~4095 == 0
  }

  /// The 16 bits at the present pc.
  @inline(__always)
  public func firstHalf() -> UInt16 {
    hart._withUnsafeGuaranteedRef { $0.fetch16(pa &+ (pc &- start)) }
  }

  /// The 16 bits behind the first half of the present instruction.
  ///
  /// An instruction that reaches into the next page, or whose halves are translated separately, is
  /// a block of its own.
  ///
  /// - Returns: `nil` where the block must end before this instruction: because others precede it,
  ///   or with the exception pending because the second half can't be fetched.
  public func secondHalf() -> UInt16? {
    let va = pc &+ 2
    let sameStart = (va ^ start) & ~4095 == 0
    return hart._withUnsafeGuaranteedRef { hart in
      if sameStart && !partial { return hart.fetch16(pa &+ (va &- start)) }
      guard count == 0, let pa = hart.fetchAddress(va) else { return nil }
      if !sameStart { secondPA = pa }
      room = 1
      return hart.fetch16(pa)
    }
  }

  /// Copies what of the fifteen bytes at `va` lies in the block's first page.
  ///
  /// - Returns: how many; none where that page may be fetched from only in part.
  public func window(at va: UInt64, _ to: UnsafeMutableBufferPointer<UInt8>) -> Int {
    if partial { return 0 }
    let pa = self.pa &+ (va &- start)
    let count = min(15, Int(truncatingIfNeeded: 4096 &- (va & 4095)))
    hart._withUnsafeGuaranteedRef { hart in
      for index in 0..<count {
        let at = pa &+ UInt64(truncatingIfNeeded: index)
        to[index] = UInt8(truncatingIfNeeded: hart.fetch16(at & ~1) &>> UInt16((at & 1) &* 8))
      }
    }
    return count
  }

  /// The byte at `va`, which belongs to an instruction that starts in the block's first page.
  ///
  /// An instruction that reaches into the next page, or whose page may be fetched from only in
  /// part, is a block of its own: it must be the `first`.
  ///
  /// - Returns: `nil` where the block must end before this instruction: because others precede it,
  ///   or with the exception pending because the byte can't be fetched.
  public func byte(at va: UInt64, first: Bool) -> UInt8? {
    let sameStart = (va ^ start) & ~4095 == 0
    return hart._withUnsafeGuaranteedRef { hart in
      var pa = self.pa &+ (va &- start)
      if !sameStart || partial && va != start {
        guard first else { return nil }
        if sameStart || secondPA == nil {
          guard let found = hart.fetchAddress(va) else { return nil }
          pa = found
          if !sameStart { secondPA = found & ~4095 }
        } else if let secondPA {
          pa = secondPA &+ (va & 4095)
        }
        room = 1
      }
      // By the aligned pair that holds it, which does not leave the page.
      let pair = hart.fetch16(pa & ~1)
      return UInt8(truncatingIfNeeded: pair &>> UInt16((pa & 1) &* 8))
    }
  }

  /// Starts the instruction of `length` bytes at `pc`.
  ///
  /// Its micro-ops follow.
  @inline(__always)
  public func beginInsn() {
    offsets.append(UInt16(truncatingIfNeeded: pc &- start))
    if logging, count == 0 { emit(.logBlock) }
    if observing {
      isSeen = hart._withUnsafeGuaranteedRef { $0.observer?.sees(pc) ?? false }
      if isSeen { emit(.observe, imm: Int64(bitPattern: pc)) }
    }
  }

  /// Completes the instruction: the next one starts `length` bytes further.
  @inline(__always)
  public func endInsn(length: UInt64) {
    pc &+= length
    count &+= 1
    room &-= 1
  }

  /// Whether micro-ops that access memory say so: not where they only try whether they may.
  public var announces = true

  /// Adds a micro-op to the instruction being lifted.
  @inline(__always)
  public func emit(
    _ op: Op, d: UInt8 = 0, a: UInt8 = 0, b: UInt8 = 0, c: UInt8 = 0, e: UInt8 = 0, imm: Int64 = 0
  ) {
    if isSeen, announces, let access = op.access {
      observeAccess(
        a: a, imm: imm, size: access.size, isStore: access.isStore,
        index: op.isIndexed ? (slot: b, shift: c) : nil)
    }
    ops.append(
      MicroOp(
        op, d: d, a: a, b: b, gi: UInt16(truncatingIfNeeded: count), c: c, e: e, imm: imm))
  }

  /// Says that the helper to be called next accesses `size` bytes at x[a] + imm, or with an index at
  /// x[a] + imm + (x[slot] << shift).
  ///
  /// The builder knows it of the micro-ops that load and store.
  public func observeAccess(
    a: UInt8, imm: Int64 = 0, size: UInt8, isStore: Bool, index: (slot: UInt8, shift: UInt8)? = nil
  ) {
    guard isSeen else { return }
    ops.append(
      MicroOp(
        .observeAccess, d: index?.shift ?? 0, a: a, b: index?.slot ?? 0,
        gi: UInt16(truncatingIfNeeded: count), c: size,
        e: (isStore ? 1 : 0) | (index == nil ? 0 : 2), imm: imm))
  }

  /// Adds a call of `helper`.
  ///
  /// It may raise an exception.
  @inline(__always)
  public func emit(
    helper: Helper, d: UInt8 = 0, a: UInt8 = 0, b: UInt8 = 0, c: UInt8 = 0, e: UInt8 = 0
  ) {
    emit(.helper, d: d, a: a, b: b, c: c, e: e, imm: Int64(Int(bitPattern: address(helper))))
  }

  /// Adds a micro-op that falls back on `helper`.
  @inline(__always)
  public func emit(_ op: Op, else helper: Helper, d: UInt8, a: UInt8, b: UInt8, e: UInt8) {
    emit(op, d: d, a: a, b: b, e: e, imm: Int64(Int(bitPattern: address(helper))))
  }

  /// Ends the block with a call of `helper`, after which the hart looks around.
  ///
  /// `Slot.pc` is the pc behind the instruction when the helper runs, and it may change it.
  public func end(
    helper: Helper, d: UInt8 = 0, a: UInt8 = 0, b: UInt8 = 0, c: UInt8 = 0, e: UInt8 = 0
  ) {
    emit(.helperExit, d: d, a: a, b: b, c: c, e: e, imm: Int64(Int(bitPattern: address(helper))))
    ended = true
  }

  /// Ends the block with the terminator just to be emitted.
  public func end(
    _ op: Op, d: UInt8 = 0, a: UInt8 = 0, b: UInt8 = 0, c: UInt8 = 0, imm: Int64 = 0
  ) {
    emit(op, d: d, a: a, b: b, c: c, imm: imm)
    ended = true
  }

  /// Ends a block that was not ended by a terminator: go on at `pc`.
  ///
  /// - Parameter pairs: whether pairs are joined for the interpreter.
  func close(pairs: Bool = true) {
    if !ended {
      ops.append(
        MicroOp(
          .goto, gi: UInt16(truncatingIfNeeded: max(count - 1, 0)), imm: Int64(bitPattern: pc)))
      ended = true
    }
    offsets.append(UInt16(truncatingIfNeeded: pc &- start))
    if observing { return }
    guard pairs, let natives else { return Fusion.apply(&ops, start: start, pairs: pairs) }
    FlagDeferral.apply(&ops, natives, into: &originals)
    let whole = InsnRest.whole(ops)
    Fusion.apply(&ops, start: start, pairs: true, natives: natives)
    ops.append(contentsOf: originals)
    deferred = originals.count
    ops.append(contentsOf: whole)
    continued = whole.count
  }

  @inline(__always)
  private func address(_ helper: Helper) -> UnsafeRawPointer {
    unsafeBitCast(helper, to: UnsafeRawPointer.self)
  }
}
