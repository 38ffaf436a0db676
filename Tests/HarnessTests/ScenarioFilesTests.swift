import Foundation
import Harness
import HarnessTesting
import Testing

/// The committed scenarios.
enum Repository {
  static let folder = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  static let scenarios: [String] = {
    let folder = Repository.folder.appendingPathComponent("scenarios").path
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.filter { $0.hasSuffix(".yaml") }.sorted().map { "\(folder)/\($0)" }
  }()
}

/// Every file in `scenarios/` does what it says.
struct ScenarioFilesTests {
  @Test func thereAreSome() { #expect(Repository.scenarios.count >= 20) }

  @Test(arguments: Repository.scenarios)
  func passes(file: String) throws {
    for scenario in try ScenarioFile(file).scenarios { scenario.check() }
  }

  /// Under random schedules too; a machine that was taken back to its beginning does as a new one.
  @Test(arguments: Repository.scenarios)
  func seeds(file: String) throws {
    for var scenario in try ScenarioFile(file).scenarios {
      // That has two machines of its own.
      scenario.expect.isTransparent = false
      let runner = try ScenarioRunner(scenario)
      let result = runner.run(seeds: 0..<2)
      #expect(result.hasPassed, "\(scenario.name): \(result.failures)")
      #expect(result == runner.run(seed: 1), "\(scenario.name)")
    }
  }

  /// The same seed gives the same run, another one another.
  @Test func determinism() throws {
    let file = try #require(Repository.scenarios.first { $0.hasSuffix("/threads.yaml") })
    let prepared = try PreparedScenario(try #require(try ScenarioFile(file).scenarios.first))
    let runs = try [1, 1, 2].map { try Rig(prepared, seed: $0).run() }
    #expect(runs[0] == runs[1])
    #expect(runs[0].hits != runs[2].hits)
    #expect(runs[0].output == runs[2].output)
  }

  /// A fingerprint tells runs apart, and not engines.
  @Test func fingerprints() throws {
    let file = try #require(Repository.scenarios.first { $0.hasSuffix("/threads.yaml") })
    let runner = try ScenarioRunner(try #require(try ScenarioFile(file).scenarios.first))
    let one = try #require(try runner.fingerprint(seed: 1, engine: .interpreter))
    #expect(try runner.fingerprint(seed: 1, engine: .jit) == one)
    let two = try #require(try runner.fingerprint(seed: 2, engine: .interpreter))
    #expect(two.answersDigest != one.answersDigest)
    #expect(two.state != one.state)
    let (a, b) = (["x", "\(one)"], ["x", "\(two)", "y"])
    #expect(DeterminismCheck.differences(("here", a), ("there", a)).isEmpty)
    #expect(
      DeterminismCheck.differences(("here", a), ("there", b)) == [
        "here: \(one)", "there: \(two)", "here: nothing", "there: y",
      ])
  }

  /// Expectations that do not hold fail: each kind of them.
  @Test(arguments: [
    ("exit: 4", "the end: expected exit status 4, seen exit status 3"),
    ("exit: SIGSEGV", "the end: expected killed by SIGSEGV, seen exit status 3"),
    ("output: hallo", "output: first difference in line 1, byte 1"),
    ("output: {contains: [lo, he]}", "output: expected to contain \"he\" behind the parts before"),
    ("output: {lacks: ell}", "output: expected not to contain \"ell\""),
    ("hits: {write: 2}", "hits of 'write': expected 2, seen 1; the last: write fd=0x1 (pid 1)"),
    ("hits: {rite: 1}", "there is no event 'rite'; there are: write, done"),
    ("hits: {write: {at-least: 2, at-most: 4}}", "expected 2 to 4, seen 1"),
    ("events: [done, write]", "event 2: expected write, seen no more hits behind done"),
    ("only-events: [done]", "event 1: expected done, seen write fd=0x1 (pid 1)"),
    ("only-events: [write]", "events: expected 1, seen 2; the next: done"),
    ("events: [{event: write, args: {fd: '2'}}]", "expected write fd=2, seen write fd=0x1"),
    ("registers: {nix: 1}", "there is no register 'nix'"),
    ("registers: {zero: 1}", "register zero: expected 0x1, seen 0x0"),
    ("memory: [{at: nowhere, u8: 1}]", "there is no place 'nowhere'"),
    ("memory: [{at: 0x10, u8: 1}]", "memory at 0x10: it is not there"),
    ("memory: [{at: _stext, u8: 0x100}]", "256 does not fit into 1 bytes"),
    ("counters: {syscalls: 9}", "counter syscalls: expected 9, seen 2"),
    ("counters: {sycalls: 9}", "there is no counter 'sycalls'"),
    ("fault: {at: main}", "the fault: expected at main, seen no fault"),
    ("log: x", "log: first difference"),
  ])
  func failures(expectation: String, message: String) throws {
    let text =
      Self.hello + "expect:\n  \(expectation)\n"
      + (expectation.hasPrefix("exit") ? "" : "  exit: 3\n")
    do {
      let file = try ScenarioFile(Array(text.utf8), path: "test.yaml")
      let result = try ScenarioRunner(try #require(file.scenarios.first)).run(seed: 5)
      #expect(result.failures.joined(separator: "\n").contains(message), "\(result.failures)")
      #expect(result.context.first?.hasPrefix("count ") == true)
      #expect(result.context.contains { $0.hasSuffix("(_start+0x1a): ecall") }, "\(result.context)")
    } catch {
      #expect("\(error)".contains(message))
    }
  }

  static let hello = """
    probes:
      - p:write ksys_write fd=$arg1
      - r:done ksys_write
    asm: |
      _start: li   a0, 1
              la   a1, text
              li   a2, 6
              li   a7, 64
              ecall
              li   a0, 3
              li   a7, 93
              ecall
      text:   .ascii "hello\\n"

    """

  /// A failure that is expected is none; its lack is one.
  @Test func expectedFailure() throws {
    var scenario = Scenario(assembly: "_start: li a0, 1\nli a7, 93\necall")
    scenario.expectedFailure = "seen exit status 1"
    #expect(try ScenarioRunner(scenario).run().hasPassed)
    scenario.expect.exit = .status(1)
    let result = try ScenarioRunner(scenario).run()
    #expect(result.failures == ["it was to fail with 'seen exit status 1', but passed"])
    scenario.expect.exit = .status(2)
    scenario.expectedFailure = "something else"
    #expect(try ScenarioRunner(scenario).run().failures.count == 2)
  }

  /// What would run for ever, or for long, ends.
  @Test func limits() throws {
    var scenario = Scenario(assembly: "_start: j _start")
    scenario.limit = 10_000
    scenario.expect.exit = .limit
    #expect(try ScenarioRunner(scenario).run().hasPassed)
    let runner = try ScenarioRunner(scenario)
    runner.isInterrupted = { true }
    #expect(runner.run().isInterrupted)
    #expect(!runner.run().hasPassed)
  }
}
