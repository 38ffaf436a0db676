import Harness
import Machine
import Testing

extension Scenario {
  /// Runs the scenario and records an issue for what does not come out as it expects.
  ///
  /// The issue says what was expected, what was seen and where, with the last instructions and a line
  /// that repeats the run; the trace is attached to the test.
  ///
  /// - Parameters:
  ///   - seed: what schedule and random bytes follow from; `nil`: round robin.
  ///   - location: where the issue is shown.
  ///   - body: does more with the machine before it runs: probes whose handlers are closures.
  /// - Returns: whether all came out as expected.
  @discardableResult
  public func check(
    seed: Seed? = nil, at location: SourceLocation = #_sourceLocation,
    _ body: ((Rig) throws -> Void)? = nil
  ) -> Bool {
    do {
      return ScenarioRunner(try PreparedScenario(self)).check(seed: seed, at: location, body)
    } catch {
      Issue.record("\(name): \(error)", sourceLocation: location)
      return false
    }
  }
}

extension ScenarioRunner {
  /// Runs the scenario, which is prepared already: see `Scenario.check`.
  ///
  /// - Parameters:
  ///   - seed: what schedule and random bytes follow from; `nil`: round robin.
  ///   - location: where the issue is shown.
  ///   - body: does more with the machine before it runs.
  /// - Returns: whether all came out as expected.
  @discardableResult
  public func check(
    seed: Seed? = nil, at location: SourceLocation = #_sourceLocation,
    _ body: ((Rig) throws -> Void)? = nil
  ) -> Bool {
    let result = run(seed: seed?.value, body)
    guard !result.hasPassed else { return true }
    let name = prepared.scenario.name
    var lines = ["\(name): " + (result.failures.first ?? "interrupted")]
    lines += result.failures.dropFirst()
    lines += result.context
    lines.append("repeat: \(Self.repetition(seed))")
    let text = lines.joined(separator: "\n")
    Issue.record("\(text)", sourceLocation: location)
    let trace = (lines + ["", "hits:"] + result.trace).joined(separator: "\n") + "\n"
    let file = name.map { $0.isLetter || $0.isNumber ? $0 : "-" } + "-\(seed?.value ?? 0).trace"
    Attachment.record(trace, named: String(file), sourceLocation: location)
    if let folder = Environment.traces {
      if let problem = Host.replaceFile("\(folder)/\(String(file))", with: Array(trace.utf8)) {
        Issue.record("EMU_TRACES: \(problem)", sourceLocation: location)
      }
    }
    return false
  }

  /// The command that repeats the present test with a seed.
  private static func repetition(_ seed: Seed?) -> String {
    let variable = seed.map { "EMU_SEED=\($0.value) " } ?? ""
    guard let test = Test.current else { return variable + "swift test" }
    // `Module.Suite/function(_:)/File.swift:line:column`: the place is not wanted.
    let words = "\(test.id)".split(separator: "/").filter { !$0.contains(".swift:") }
    let filter = words.map { $0.prefix { $0 != "(" } }.joined(separator: "/")
    return "\(variable)swift test --filter '\(filter)'"
  }
}
