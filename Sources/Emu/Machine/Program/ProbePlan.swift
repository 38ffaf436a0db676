import Probes
import TraceFile

/// A probe, and what its hits do besides being counted.
public struct PlannedProbe: Sendable, Equatable, ExpressibleByStringLiteral {
  /// What a hit does besides being counted.
  public enum Action: Sendable, Equatable {
    /// Registers get these values.
    case set([String: UInt64])
    /// The function returns at once with this result: the probe is at its entry.
    case override(UInt64)
    /// Execution goes on at a symbol, or an address.
    case redirect(String)
    /// The instruction is not executed.
    case skip
  }

  /// The definition, as in Linux's `kprobe_events` and `uprobe_events`.
  public var definition: String
  /// The registration must be refused with this errno.
  public var refused: String?
  /// What a hit does.
  public var action: Action?

  /// A probe.
  public init(_ definition: String, refused: String? = nil, action: Action? = nil) {
    self.definition = definition
    self.refused = refused
    self.action = action
  }

  /// A probe that counts and fetches.
  public init(stringLiteral value: String) { self.init(value) }
}

/// All that probes do to a run: a value, so that a trace can hold it and a replay does it again.
public struct ProbePlan: Sendable, Equatable {
  /// Mistakes that the probes make on purpose.
  public var legacy: LegacyPolicies = []
  /// Every instruction of the program that takes a probe has one.
  public var probesEveryInsn = false
  /// The probes, in the order in which they are registered.
  public var probes: [PlannedProbe] = []

  /// No probes.
  public init() {}

  /// Whether it does nothing.
  public var isEmpty: Bool { legacy.isEmpty && !probesEveryInsn && probes.isEmpty }
}

extension ProbePlan {
  /// What a trace says of it: each probe's pairs follow its definition.
  func describe(_ description: inout RunDescription) {
    for (name, policy) in LegacyPolicies.named where legacy.contains(policy) {
      description.add("legacy", name)
    }
    if probesEveryInsn { description.add("planned-every-insn", "1") }
    for probe in probes {
      description.add("planned-probe", probe.definition)
      if let errno = probe.refused { description.add("planned-refused", errno) }
      switch probe.action {
      case nil: break
      case .set(let values):
        for (name, value) in values.sorted(by: { $0.key < $1.key }) {
          description.add("planned-set", "\(name)=\(value)")
        }
      case .override(let value): description.add("planned-override", "\(value)")
      case .redirect(let place): description.add("planned-redirect", place)
      case .skip: description.add("planned-skip", "1")
      }
    }
  }

  /// What a trace says.
  init(_ description: RunDescription) throws(TraceFileError) {
    for pair in description.pairs {
      switch pair.name {
      case "legacy":
        guard let policy = LegacyPolicies.named.first(where: { $0.name == pair.value })?.policy
        else {
          throw .malformed("there is no legacy policy '\(pair.value)'")
        }
        legacy.insert(policy)
      case "planned-every-insn": probesEveryInsn = true
      case "planned-probe": probes.append(PlannedProbe(pair.value))
      case let name where name.hasPrefix("planned-"):
        guard let last = probes.indices.last else { throw .malformed("\(name) without a probe") }
        try Self.read(pair, into: &probes[last])
      default: break
      }
    }
  }

  private static func read(
    _ pair: RunDescription.Pair, into probe: inout PlannedProbe
  ) throws(TraceFileError) {
    switch pair.name {
    case "planned-refused": probe.refused = pair.value
    case "planned-set":
      guard let sign = pair.value.firstIndex(of: "="),
        let value = UInt64(pair.value[pair.value.index(after: sign)...])
      else { throw .malformed("\(pair.name) is '\(pair.value)'") }
      var values: [String: UInt64] = [:]
      if case .set(let known) = probe.action { values = known }
      values[String(pair.value[..<sign])] = value
      probe.action = .set(values)
    case "planned-override":
      guard let value = UInt64(pair.value) else {
        throw .malformed("\(pair.name) is '\(pair.value)', not a number")
      }
      probe.action = .override(value)
    case "planned-redirect": probe.action = .redirect(pair.value)
    case "planned-skip": probe.action = .skip
    default: throw .malformed("unknown '\(pair.name)'")
    }
  }
}
