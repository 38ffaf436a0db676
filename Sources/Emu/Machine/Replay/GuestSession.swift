import Engine

/// A guest on its machine, under way: a program or a bare image.
public protocol GuestSession: AnyObject {
  /// Instructions begun since the start.
  var count: UInt64 { get }
  /// The hart that runs, or ran last.
  var hart: Hart { get }
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
}

extension ProgramSession: GuestSession {
  /// Instructions begun.
  public var count: UInt64 { machine.count }
  /// The one hart.
  public var hart: Hart { machine.hart }
  /// A pc with its symbol.
  public func describe(_ pc: UInt64) -> String { machine.describe(pc) }
  /// The machine's.
  public func stateHash() -> StateHash { machine.stateHash() }
}

extension BareSession: GuestSession {
  /// The hart whose turn it was.
  public var hart: Hart { machine.latestHart }
  /// The board's.
  public func stateHash() -> StateHash { machine.stateHash() }
}
