import Harness
import Machine
import Synchronization
import Testing

extension Scenario {
  /// Runs the scenario and records an issue for what does not come out as it expects.
  ///
  /// The issue says what was expected, what was seen and where, with the last instructions and a line
  /// that repeats the run. That, and the trace of the run for `emu replay`, are attached to the test; a
  /// run with closures has no trace, as no file can hold them.
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
    let name = prepared.scenario.name
    let file = TraceName.plain(name)
    let folder = Environment.traces
    traceFile = (folder ?? Environment.temporary) + "/" + Self.unique(file)
    let result = run(seed: seed?.value, body)
    guard !result.hasPassed else { return true }
    var lines = ["\(name): " + (result.failures.first ?? "interrupted")]
    lines += result.failures.dropFirst()
    lines += result.context
    if let trace = result.trace, folder != nil { lines.append("trace: emu replay \(trace)") }
    lines.append("repeat: \(Self.repetition(seed))")
    let text = lines.joined(separator: "\n")
    Issue.record("\(text)", sourceLocation: location)
    let report = (lines + ["", "hits:"] + result.hits).joined(separator: "\n") + "\n"
    let stem = file + (seed.map { "-seed\($0.value)" } ?? "")
    Attachment.record(report, named: stem + ".txt", sourceLocation: location)
    if let trace = result.trace {
      if let bytes = try? Host.contents(of: trace) {
        Attachment.record(bytes, named: stem + ".emutrace", sourceLocation: location)
      }
      if folder == nil { Host.removeFile(trace) }
    }
    return false
  }

  /// A name that no other test that runs at the same time has.
  private static func unique(_ name: String) -> String {
    let number = counter.add(1, ordering: .relaxed).newValue
    return "\(name)-\(Environment.process)-\(number)"
  }
  private static let counter = Atomic(0)

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
