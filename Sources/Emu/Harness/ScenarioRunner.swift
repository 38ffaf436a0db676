import Machine
import Probes

/// What came of a scenario under one seed.
public struct ScenarioResult: Sendable, Equatable {
  /// The seed; `nil`: round robin.
  public var seed: UInt64?
  /// What did not come out, a line or a few each; nothing: the scenario passed.
  public var failures: [String] = []
  /// Where it ended: count and pc, then the last instructions; of failures only.
  public var context: [String] = []
  /// What was hit, a line each; of failures only.
  public var hits: [String] = []
  /// The trace of the run, for `emu replay`; of failures only, where one was asked for.
  public var trace: String?
  /// The user ended it.
  public var isInterrupted = false
  /// Instructions that were run.
  public var insns: UInt64 = 0

  /// A run in which nothing was wrong.
  public init(seed: UInt64? = nil) { self.seed = seed }

  /// Whether it passed.
  public var hasPassed: Bool { failures.isEmpty && !isInterrupted }
}

/// Runs a scenario, as often as one likes: it is read and assembled once.
public final class ScenarioRunner {
  /// The scenario.
  public let prepared: PreparedScenario
  /// Whether the user wants it to end.
  public var isInterrupted: () -> Bool = { false }
  /// The file, without its ending, that a failure's trace goes to: `.emutrace` is put behind it, and the
  /// seed where there is one.
  public var traceFile: String?
  /// Last instructions that a failure shows.
  public static let tailLength = 12
  /// Hits that a failure shows at most.
  private static let hitsLength = 1000

  /// Prepares a scenario.
  ///
  /// - Parameter scenario: the scenario.
  /// - Throws: ``HarnessError`` where it can't be run at all.
  public init(_ scenario: Scenario) throws(HarnessError) {
    prepared = try PreparedScenario(scenario)
  }

  /// A runner of a scenario that is prepared.
  public init(_ prepared: PreparedScenario) { self.prepared = prepared }

  /// Runs it once.
  ///
  /// - Parameters:
  ///   - seed: what schedule and random bytes follow from; `nil`: round robin.
  ///   - body: does more with the machine before it runs.
  /// - Returns: what came of it.
  public func run(
    seed: UInt64? = nil, _ body: ((Rig) throws -> Void)? = nil
  ) -> ScenarioResult {
    run(seed: seed, on: nil, body)
  }

  /// Runs it on a machine that is ready, or on one of its own.
  private func run(
    seed: UInt64?, on ready: Rig?, _ body: ((Rig) throws -> Void)?
  ) -> ScenarioResult {
    var result = ScenarioResult(seed: seed)
    do {
      let rig = try ready ?? Rig(prepared, seed: seed, isInterrupted: isInterrupted)
      try body?(rig)
      let outcome = rig.run()
      result.insns = rig.count
      guard outcome.ending != .interrupted else {
        result.isInterrupted = true
        return result
      }
      result.failures = rig.check(outcome)
      if result.failures.isEmpty, prepared.scenario.expect.isTransparent {
        try verify(seed, into: &result)
      }
      if let wanted = prepared.scenario.expectedFailure {
        judge(&result, wanted)
      }
      if !result.failures.isEmpty { explain(&result, outcome, body) }
    } catch {
      result.failures = ["\(error)"]
      if let wanted = prepared.scenario.expectedFailure { judge(&result, wanted) }
    }
    return result
  }

  /// Runs it under each seed until it fails.
  ///
  /// - Parameter seeds: the seeds.
  /// - Returns: the first failure, or what came of the last seed.
  public func run(seeds: some Sequence<UInt64>) -> ScenarioResult {
    var last = ScenarioResult()
    // The machine is made once, and then taken back to its beginning.
    var ready = try? Rig(prepared, seed: nil, isInterrupted: isInterrupted)
    if ready?.keepStart() != true { ready = nil }
    for seed in seeds {
      if let rig = ready, !rig.restart(seed: seed) { ready = nil }
      last = run(seed: seed, on: ready, nil)
      if !last.hasPassed { break }
    }
    return last
  }

  /// A failure that is expected is none; its lack is one.
  private func judge(_ result: inout ScenarioResult, _ wanted: String) {
    if result.failures.contains(where: { $0.contains(wanted) }) {
      result.failures = []
    } else if result.failures.isEmpty {
      result.failures = ["it was to fail with '\(wanted)', but passed"]
    } else {
      result.failures.insert("it was to fail with '\(wanted)', but failed otherwise:", at: 0)
    }
  }

  /// A run is repeated to see how it came there, and to be recorded: it is the same run, or that is a
  /// failure too.
  private func explain(
    _ result: inout ScenarioResult, _ outcome: Outcome, _ body: ((Rig) throws -> Void)?
  ) {
    result.hits = outcome.hits.suffix(Self.hitsLength).map { "\($0.time) \($0.text)" }
    // A second call of closures might spoil what they keep, and no trace can hold them.
    if body != nil { return }
    let file = traceFile.map { name in
      name + (result.seed.map { "-seed\($0)" } ?? "") + ".emutrace"
    }
    let rig: Rig
    do throws(HarnessError) {
      rig = try Rig(
        prepared, seed: result.seed, tail: Self.tailLength, trace: file,
        isInterrupted: isInterrupted)
    } catch {
      result.failures.append("it could not be run again: \(error)")
      return
    }
    let again = rig.run()
    if let file {
      if let problem = rig.finishTrace() {
        result.failures.append("the trace: \(problem)")
      } else {
        result.trace = file
      }
    }
    if again.ending == .interrupted { return }
    if let difference = again.difference(from: outcome)
      ?? (rig.count == result.insns
        ? nil : "\(rig.count) instructions, not \(result.insns)")
    {
      result.failures.append("run once more it did otherwise: \(difference)")
    }
    let pc = rig.harts.map { rig.describe($0.pc) }.joined(separator: ", ")
    result.context = ["count \(rig.count), pc \(pc)"]
    let lines = rig.tail?.lines ?? []
    if !lines.isEmpty { result.context += ["last instructions:"] + lines.map { "  " + $0 } }
  }

  /// The transparency oracle on the same scenario.
  private func verify(_ seed: UInt64?, into result: inout ScenarioResult) throws {
    let scenario = prepared.scenario
    guard scenario.machine.board == .linux else {
      result.failures.append("differs: a bare board has no probes")
      return
    }
    var options = Verification.Options()
    options.run = prepared.programOptions
    options.run.seed = seed ?? 0
    options.legacy = scenario.legacy
    if scenario.probesEveryInsn {
      options.probed = .everyInsn
    } else {
      let rig = try Rig(prepared, seed: seed)
      let places = rig.tracer?.events.definitions.map(\.placeText) ?? []
      options.probed = places.isEmpty ? .none : .places(places)
      options.kernel = places.isEmpty
    }
    let host = ScenarioHost(input: scenario.input)
    let world = Rig.world(prepared, host, isInterrupted)
    Rig.seed(world, host, seed)
    let report = try Verification(
      prepared.command, options, world: world, output: { _, _ in }
    ).run()
    if let difference = report.difference {
      result.failures.append("differs: " + difference.joined(separator: "\n  "))
    }
  }
}
