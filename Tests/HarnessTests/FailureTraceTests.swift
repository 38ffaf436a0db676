import Engine
import Foundation
import Harness
import HarnessTesting
import Machine
import Testing

/// A failure leaves a trace, and a replay of it is the run that failed.
struct FailureTraceTests {
  /// A folder of its own for what a test writes.
  private static func folder(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("emu-failure-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder.path)
  }

  /// Every scenario there is, made to fail: with actions, legacy mistakes, probes on every instruction,
  /// typed input, files, several harts; every other one under a seed.
  ///
  /// Status, counts and state at the end are those of the run: the replay compares them itself.
  @Test(arguments: Repository.scenarios.enumerated().map { ($1, $0 % 2 == 0 ? nil : 5) })
  func replays(file: String, seed: UInt64?) throws {
    try Self.folder { folder in
      for (number, var scenario) in try ScenarioFile(file).scenarios.enumerated() {
        scenario.expectedFailure = nil
        scenario.expect = Expectations()
        scenario.expect.counters["exceptions"] = Bounds(.max)
        let runner = try ScenarioRunner(scenario)
        runner.traceFile = "\(folder)/\(number)"
        let result = runner.run(seed: seed)
        #expect(result.failures.contains { $0.hasPrefix("counter exceptions: ") })
        #expect(!result.failures.contains { $0.hasPrefix("run once more") }, "\(result.failures)")
        var options = ReplayRun.Options()
        options.input = try #require(result.trace)
        options.engine = scenario.machine.engine == .jit ? .interpreter : .jit
        options.isQuiet = true
        let replayed = try ReplayedRun(options)
        _ = try replayed.advance(to: .max)
        let report = replayed.finish()
        #expect(replayed.replay.divergence == nil, "\(scenario.name)")
        #expect(replayed.session.count == result.insns, "\(scenario.name)")
        #expect(
          report.status != ReplayRun.Status.diverged
            && report.status != ReplayRun.Status.unreadable, "\(report)")
      }
    }
  }

  /// What passes leaves nothing.
  @Test func passes() throws {
    try Self.folder { folder in
      let runner = try ScenarioRunner(Scenario(assembly: "_start: li a0, 0\nli a7, 93\necall"))
      runner.traceFile = "\(folder)/x"
      #expect(runner.run(seeds: 0..<3).trace == nil)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
    }
  }

  /// A trace that can't be written is said to be none.
  @Test func unwritable() throws {
    var scenario = Scenario(assembly: "_start: li a0, 1\nli a7, 93\necall")
    scenario.name = "x"
    let runner = try ScenarioRunner(scenario)
    runner.traceFile = "/no/such/folder/x"
    let result = runner.run()
    #expect(result.trace == nil)
    #expect(result.failures.count == 2)
    #expect(result.failures.last?.contains("/no/such/folder/x.emutrace: No such file") == true)
  }

  /// Scenarios of one name, in files of one name, have a trace each.
  @Test func names() throws {
    try Self.folder { folder in
      let text = "name: a/b\nasm: '_start: nop'\n---\nname: a/b\nasm: '_start: nop'\n"
      var files: [String] = []
      for part in ["1", "2"] {
        try FileManager.default.createDirectory(
          atPath: "\(folder)/\(part)", withIntermediateDirectories: false)
        files.append("\(folder)/\(part)/f.yaml")
        try text.write(toFile: files[files.count - 1], atomically: false, encoding: .utf8)
      }
      var options = ScenarioRun.Options()
      options.files = files
      options.traces = "out"
      let names = try ScenarioRun.jobs(options).map(\.traceFile)
      #expect(names == ["out/a-b", "out/f-a-b", "out/f-a-b-2", "out/f-a-b-3"])
    }
  }

  /// A file can't be where the program is.
  @Test func programAsFile() throws {
    var scenario = Scenario(assembly: "_start: li a0, 1\nli a7, 93\necall")
    scenario.files["/asm"] = [1]
    let error = #expect(throws: HarnessError.self) { try PreparedScenario(scenario) }
    #expect(error?.description == "files: /asm is the program itself")
  }
}
