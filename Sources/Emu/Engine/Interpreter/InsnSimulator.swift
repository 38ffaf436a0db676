/// Runs single instructions on slots of their own: the interpreter's very meaning of them, without
/// a hart's memory or state.
public final class InsnSimulator {
  private let hart: Hart
  private let builder: BlockBuilder

  /// A simulator of `isa`'s instructions.
  ///
  /// - Returns: `nil` where the host refuses the memory.
  public init?(isa: any GuestISA, tlbCount: Int) {
    guard let ram = PhysicalMemory(base: 0, size: PhysicalMemory.pageSize) else { return nil }
    hart = Hart(
      index: 0, bus: Bus(ram: ram), isa: isa, cacheModel: .coherent, tlbCount: tlbCount,
      engine: .interpreter)
    builder = BlockBuilder(hart: hart)
  }

  /// Lifts one instruction of `length` bytes at `pc`.
  public func prepare(
    pc: UInt64, length: UInt64, _ lift: (BlockBuilder) -> Void
  ) -> SimulatedInsn {
    builder.begin(pc: pc, pa: 0, limit: 1, observing: false, logging: false)
    builder.beginInsn()
    lift(builder)
    builder.endInsn(length: length)
    builder.close()
    return SimulatedInsn(builder, hart)
  }
}

/// One instruction that an ``InsnSimulator`` made ready.
public final class SimulatedInsn {
  /// The slots that it runs on: the caller puts registers there and takes them back.
  public var slots: UnsafeMutablePointer<UInt64> { hart.x }

  private let hart: Hart
  private let block: UnsafeMutablePointer<Block>
  private let ops: UnsafeMutablePointer<MicroOp>
  private let opCount: Int
  private let offsets: UnsafeMutablePointer<UInt16>

  init(_ builder: BlockBuilder, _ hart: Hart) {
    self.hart = hart
    opCount = builder.ops.count
    ops = .allocate(capacity: max(opCount, 1))
    for (index, op) in builder.ops.enumerated() { (ops + index).initialize(to: op) }
    offsets = .allocate(capacity: max(builder.offsets.count, 1))
    for (index, offset) in builder.offsets.enumerated() {
      (offsets + index).initialize(to: offset)
    }
    block = .allocate(capacity: 1)
    block.initialize(
      to: Block(
        pc: builder.start, end: builder.pc, ops: ops,
        opCount: opCount - builder.deferred - builder.continued, deferred: builder.deferred,
        continued: builder.continued, count: Int64(builder.count), offsets: offsets, pa: 0,
        secondPA: Block.onePage, flags: .max))
  }

  deinit {
    block.deallocate()
    ops.deallocate()
    offsets.deallocate()
  }

  /// Executes it on ``slots``.
  ///
  /// - Returns: the next pc; `nil` where it raised an exception.
  public func run() -> UInt64? {
    let x = hart.x
    x[Slot.pending] = 0
    x[Slot.pc] = block.pointee.pc
    _ = interpret(x, block, 1)
    x[Slot.block] = 0
    return x[Slot.pending] == 0 ? x[Slot.pc] : nil
  }
}
