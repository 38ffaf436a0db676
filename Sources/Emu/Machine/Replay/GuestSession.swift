import Engine
import GuestKernel
import RISCV
import X86

/// A guest on its machine, under way: a program or a bare image.
public protocol GuestSession: AnyObject {
  /// Instructions begun since the start.
  var count: UInt64 { get }
  /// The hart that runs, or ran last.
  var hart: Hart { get }
  /// All harts.
  var harts: [Hart] { get }
  /// Instructions that no hart's own count has: of boards before this one, of the other harts.
  func countBesides(_ hart: Hart) -> UInt64
  /// The number of the task that runs; -1 where there are none.
  var task: Int32 { get }
  /// What traces must know of the instruction set.
  func makeTraceISA() -> any TraceISA
  /// The symbol at a pc, with its offset.
  func symbol(_ pc: UInt64) -> String?
  /// Runs until `limit` instructions have begun, or the guest ends.
  ///
  /// - Returns: whether the limit was reached, and the guest could go on.
  func advance(to limit: UInt64) throws(LaunchError) -> Bool
  /// What came of the run so far, with its figures.
  func finish() -> RunReport
  /// A pc with its symbol.
  func describe(_ pc: UInt64) -> String
  /// A digest of the machine's state.
  func stateHash() -> StateHash
  /// The whole machine; `nil` where that can't be had.
  func takeSnapshot() throws(SnapshotError) -> MachineSnapshot?
  /// Makes the machine what it was, its chooser included.
  func restore(_ snapshot: MachineSnapshot) throws(SnapshotError)
}

extension ProgramSession: GuestSession {
  /// Instructions begun.
  public var count: UInt64 { machine.count }
  /// The one hart.
  public var hart: Hart { machine.hart }
  /// The one hart.
  public var harts: [Hart] { [machine.hart] }
  /// None.
  public func countBesides(_ hart: Hart) -> UInt64 { 0 }
  /// The current one.
  public var task: Int32 { machine.kernel.current?.tid ?? -1 }
  /// The machine's.
  public func makeTraceISA() -> any TraceISA { machine.isa.trace }
  /// Of the guest kernel, or of the file that is mapped there.
  public func symbol(_ pc: UInt64) -> String? {
    machine.symbol(pc, in: machine.kernel.current?.space?.vma(at: pc))
  }
  /// A pc with its symbol.
  public func describe(_ pc: UInt64) -> String { machine.describe(pc) }
  /// The machine's.
  public func stateHash() -> StateHash { machine.stateHash() }
  /// The machine's.
  public func takeSnapshot() throws(SnapshotError) -> MachineSnapshot? { try machine.snapshot() }
  /// The machine's.
  public func restore(_ snapshot: MachineSnapshot) throws(SnapshotError) {
    try machine.restore(snapshot)
    resume()
  }
}

extension BareSession: GuestSession {
  /// The hart whose turn it was.
  public var hart: Hart { machine.latestHart }
  /// The board's.
  public var harts: [Hart] { machine.harts }
  /// Those of the other harts, and of boards before this one.
  public func countBesides(_ hart: Hart) -> UInt64 { count &- hart.count }
  /// There are no tasks.
  public var task: Int32 { -1 }
  /// The board's.
  public func makeTraceISA() -> any TraceISA { machine.configuration.architecture.trace }
  /// The board's.
  public func stateHash() -> StateHash { machine.stateHash() }
  /// That of the first board; a board that was reset has none.
  public func takeSnapshot() throws(SnapshotError) -> MachineSnapshot? {
    isFirstBoard ? try machine.snapshot() : nil
  }
  /// The board's.
  public func restore(_ snapshot: MachineSnapshot) throws(SnapshotError) {
    guard isFirstBoard else { throw SnapshotError("the board was reset") }
    try machine.restore(snapshot)
    resume()
  }
}
