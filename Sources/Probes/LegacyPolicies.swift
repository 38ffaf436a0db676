/// Mistakes of other probe systems, to be made on purpose.
///
/// A scenario first shows what goes wrong with one, then that nothing does without. No mistake is
/// ever made by default. Those of kernel probes are bits 0 to 31, those of user probes 32 to 63.
///
/// - SeeAlso: `Docs/scenarios.md`
public struct LegacyPolicies: OptionSet, Hashable, Sendable {
  /// The bits.
  public let rawValue: UInt64
  /// A set of the given bits.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The guest is not told to synchronise its instruction fetch after text was written (U47).
  public static let noFetchSynchronisation = LegacyPolicies(rawValue: 1)
}
