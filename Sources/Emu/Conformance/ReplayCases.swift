import ArgumentParser
import Foundation
import Machine
import TraceFile

/// `emu-conformance replay`.
struct ReplayCasesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract:
      "Records every program of images/user twice, each on another engine, and replays both.",
    discussion: """
      Four processes a program. The recordings must have the same answers at the same counts and the
      same final state; each replay, on the other engine, must be the run that was recorded.

      Examples:
        emu-conformance replay
        emu-conformance replay --only threads --schedule random:7
      """)

  @Option(help: "The emu executable (default: beside this tool).")
  var emu: String?

  @Option(help: "The folder with the guest images.")
  var images = "images"

  @Option(help: "Only these cases.")
  var only: [String] = []

  @Option(help: "As of emu record.")
  var schedule = "round-robin"

  @Option(help: "Run with these caches: coherent or architectural.")
  var caches = "coherent"

  @Option(help: "Seconds after which a run is killed.")
  var timeout: Double = 600

  mutating func run() throws {
    let emu = try CaseOptions.parse(emu.map { ["--emu", $0] } ?? []).emuPath()
    let folder = try CaseFolder(images: images, bare: false)
    let scratch = FileManager.default.temporaryDirectory
      .appendingPathComponent("emu-replay-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: scratch, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: scratch) }
    var failures = 0
    for one in try folder.cases(only: only) {
      let problems = try check(one, emu, folder, scratch)
      print("\(one.name): \(problems.isEmpty ? "no difference" : "DIFFERS")")
      for problem in problems { print("  \(problem)") }
      failures += problems.isEmpty ? 0 : 1
    }
    print(failures == 0 ? "replay: no difference" : "replay: \(failures) programs differ")
    if failures > 0 { throw ExitCode(1) }
  }

  /// Records and replays a program.
  ///
  /// - Returns: what differs, in lines.
  private func check(
    _ one: Case, _ emu: String, _ folder: CaseFolder, _ scratch: URL
  ) throws -> [String] {
    let image = folder.url.appendingPathComponent("riscv64/\(one.image).elf").path
    let engines = ["interpreter", "auto"]
    var problems: [String] = []
    var runs: [RecordedRun] = []
    var outputs: [[UInt8]] = []
    for engine in engines {
      let trace = scratch.appendingPathComponent(engine).path
      let command =
        [
          "record", "-o", trace, "--engine", engine, "--start-time", "1600000000", "--caches",
          caches, "--schedule", schedule,
        ] + one.environment.flatMap { ["--env", $0] } + [image] + one.arguments
      let outcome = try HostProcess(emu, command, input: try folder.input(one), timeout: timeout)
        .finish()
      if outcome.status != one.status {
        problems.append("\(engine): recording ends with status \(outcome.status)")
      }
      outputs.append(outcome.output)
      do throws(TraceFileError) {
        runs.append(try RecordedRun(trace))
      } catch {
        return problems + ["\(engine): \(error)"]
      }
    }
    if outputs[0] != outputs[1] { problems.append("the recordings print different things") }
    for (index, pair) in zip(runs[0].entries, runs[1].entries).enumerated() where pair.0 != pair.1 {
      problems.append("answer \(index): \(pair.0) and \(pair.1)")
      break
    }
    if runs[0].entries.count != runs[1].entries.count {
      problems.append("\(runs[0].entries.count) answers and \(runs[1].entries.count)")
    }
    for name in ["status", "count", "exceptions", "state-hash"] {
      let values = runs.map { $0.end?[name] ?? "none" }
      if values[0] != values[1] { problems.append("\(name): \(values[0]) and \(values[1])") }
    }
    for (index, engine) in engines.reversed().enumerated() {
      let trace = scratch.appendingPathComponent(engines[index]).path
      let outcome = try HostProcess(
        emu, ["replay", "--engine", engine, trace], input: [], timeout: timeout
      ).finish()
      if outcome.status != one.status || outcome.output != outputs[index] {
        problems.append(
          "replayed by \(engine): status \(outcome.status), "
            + String(decoding: outcome.errors, as: UTF8.self))
      }
    }
    return problems
  }
}
