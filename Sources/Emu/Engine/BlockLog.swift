/// Which blocks a hart runs, as numbers in a buffer: a whole instruction trace at the cost of one
/// store a block.
///
/// An entry is the number of a block. A block that was left in its middle (by an exception), and
/// instructions that are not logged, show in ``gap`` with how many instructions were begun since the
/// block before.
public final class BlockLog {
  /// What a number stands for.
  public struct Definition: Sendable {
    /// The number.
    public var id: UInt32
    /// Address of the first instruction.
    public var pc: UInt64
    /// The bytes of each instruction.
    public var insns: [[UInt8]]
    /// Which of the hart's modes it runs in.
    public var mode: Int
    /// As what its code is read.
    public var code: CodeKind
  }

  /// Stands before the number of instructions begun since the last block.
  public static let gap: UInt32 = 0xffff_ffff
  /// Entries that are handed over together.
  public static let capacity = 1 << 20

  /// Takes a full buffer, with the definitions that are new in it and the count of its first block.
  private let onFull: (UInt64, [Definition], UnsafeBufferPointer<UInt32>) -> Void
  private let base: UnsafeMutablePointer<UInt32>
  private var used = 0
  private var firstCount: UInt64 = 0
  /// Numbers below belong to logs before.
  private let firstID: UInt32
  private let numbers: Numbers
  private static let room = capacity + 4
  /// The count at which the block logged last began, and where the next one is expected.
  private var begun: UInt64 = 0
  private var expected: UInt64 = 0

  /// The numbers that are given, and what stands for those that are new.
  private final class Numbers {
    var next: UInt32
    var definitions: [Definition] = []

    init(from first: UInt32) { next = first }
  }

  /// A log of one hart.
  ///
  /// - Parameters:
  ///   - before: its numbers begin behind those of this one, which other blocks may still carry.
  ///   - other: the log of a hart that has the same blocks: their numbers are the same, and whichever is
  ///     full first has the definitions of both.
  ///   - onFull: takes a full buffer.
  public init(
    after before: BlockLog? = nil, beside other: BlockLog? = nil,
    onFull: @escaping (UInt64, [Definition], UnsafeBufferPointer<UInt32>) -> Void
  ) {
    self.onFull = onFull
    base = .allocate(capacity: Self.room)
    firstID = other?.firstID ?? before?.numbers.next ?? 1
    numbers = other?.numbers ?? Numbers(from: firstID)
  }

  deinit { base.deallocate() }

  @inline(__always)
  func enter(_ block: UnsafeMutablePointer<Block>, _ count: UInt64, _ hart: Hart) {
    if used > 0, count != expected { skip(count) }
    // Only here is it known whether the last block of a buffer was run to its end.
    if used >= Self.capacity { flush() }
    if used == 0 { firstCount = count }
    begun = count
    expected = count &+ UInt64(bitPattern: block.pointee.count)
    var id = block.pointee.logID
    if id < firstID { id = define(block, hart) }
    base[used] = id
    used &+= 1
  }

  @inline(never)
  private func skip(_ count: UInt64) {
    base[used] = Self.gap
    base[used + 1] = UInt32(truncatingIfNeeded: min(count &- begun, 0xffff_fffe))
    used &+= 2
  }

  @inline(never)
  private func define(_ block: UnsafeMutablePointer<Block>, _ hart: Hart) -> UInt32 {
    let id = numbers.next
    numbers.next &+= 1
    block.pointee.logID = id
    var insns: [[UInt8]] = []
    for index in 0..<Int(block.pointee.count) {
      let from = UInt64(block.pointee.offsets[index])
      let to = UInt64(block.pointee.offsets[index + 1])
      insns.append((from..<to).map { hart.byte(of: block, $0) })
    }
    numbers.definitions.append(
      Definition(
        id: id, pc: block.pointee.pc, insns: insns, mode: Int(hart.x[Slot.mmuIndex]),
        code: hart.isa.codeKind(hart)))
    return id
  }

  /// Hands over what there is.
  public func flush() {
    guard used > 0 else { return }
    let definitions = numbers.definitions
    numbers.definitions = []
    let count = used
    used = 0
    onFull(firstCount, definitions, UnsafeBufferPointer(start: base, count: count))
  }

  /// The last block was left after as many instructions: says so if it was in its middle.
  public func finish(at count: UInt64) {
    if used > 0, count != expected { skip(count) }
    flush()
  }
}
