import ArgumentParser
import Engine
import Harness
import Machine

extension ReportFormat: ExpressibleByArgument {}

/// Seeds as people write them: `17`, `0..<1000`, `1...9`.
struct SeedRange: ExpressibleByArgument {
  let range: Range<UInt64>

  init?(argument: String) {
    if let seed = Quantity.number(argument), seed < .max {
      range = seed..<(seed + 1)
      return
    }
    for (sign, more) in [("..<", UInt64(0)), ("...", 1)] {
      guard let found = argument.firstRange(of: sign) else { continue }
      guard let first = Quantity.number(String(argument[..<found.lowerBound])),
        let last = Quantity.number(String(argument[found.upperBound...])), last < .max,
        first < last + more
      else { return nil }
      range = first..<(last + more)
      return
    }
    return nil
  }
}

struct TestCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "test",
    abstract: "Run scenario files: machines, probes, input, and what must come of them.",
    discussion: """
      Docs/scenario-files.md describes the files. Without --seeds each scenario runs once, round robin;
      with them once for each, tasks being preempted at random points and random bytes being others.

      EXAMPLES
        emu test scenarios/*.yaml
        emu test scenarios/*.yaml --seeds '0..<1000' --jobs 2
        emu test scenarios/kprobe.yaml --filter arguments --seed 17
        emu test scenarios/*.yaml --format junit -o results.xml
        emu test scenarios/*.yaml --traces out; emu replay out/NAME.emutrace
        emu test scenarios/*.yaml --check

      EXIT STATUS
        0: all passed. 1: one failed. 64: wrong usage, a file that is no scenario, or no scenario has
        such a name: nothing ran. 125: the report can't be written. 130: interrupted.
      """)

  @Option(help: "Run each scenario under each of these seeds: N, A..<B or A...B.")
  var seeds: SeedRange?

  @Option(help: "Run each scenario under this seed.")
  var seed: Count?

  @Option(help: "Only scenarios whose name contains this.")
  var filter = ""

  @Option(help: "How results are written.")
  var format = ReportFormat.text

  @Option(name: [.customShort("o"), .long], help: "Write the report to a file.")
  var output: String?

  @Option(help: "Write the trace of each failure into this folder, for emu replay.")
  var traces: String?

  @Flag(help: "Only see whether runs are the same each time: on both engines, in two processes.")
  var check = false

  @Flag(help: .hidden)
  var fingerprints = false

  @Option(help: "How many scenarios run at once, each on a thread of its own.")
  var jobs = 1

  @Argument(help: "The files.")
  var files: [String]

  func validate() throws {
    if seed != nil, seeds != nil { throw ValidationError("--seed or --seeds, not both") }
    guard (1...64).contains(jobs) else { throw ValidationError("--jobs is 1 to 64") }
    if seed?.value == .max { throw ValidationError("--seed is less than 2^64 - 1") }
  }

  func run() throws {
    Interruption.install()
    var options = ScenarioRun.Options()
    options.files = files
    options.filter = filter
    options.traces = traces
    options.seeds = seeds?.range ?? seed.map { $0.value..<($0.value + 1) }
    if let traces, let problem = Host.makeDirectory(traces) {
      printError("emu: --traces: \(problem)")
      throw ExitCode(RunReport.Status.failure)
    }
    let found: [ScenarioRun.Job]
    do throws(ScenarioError) {
      found = try ScenarioRun.jobs(options)
    } catch {
      printError("emu: \(error)")
      throw ExitCode(RunReport.Status.usage)
    }
    guard !found.isEmpty else {
      printError("emu: no scenario's name contains '\(filter)'")
      throw ExitCode(RunReport.Status.usage)
    }
    if fingerprints {
      return try printOutput(lines(found, options, .standard).map { $0 + "\n" }.joined())
    }
    if check { throw ExitCode(try compare(found, options)) }
    let entries = ScenarioRun.run(found, seeds: options.seeds, jobs: jobs) {
      Interruption.requested
    }
    let text = ScenarioReport.text(entries, format)
    if let output {
      if let problem = Host.replaceFile(output, with: Array(text.utf8)) {
        printError("emu: \(problem)")
        throw ExitCode(RunReport.Status.failure)
      }
    } else {
      try printOutput(text)
    }
    if Interruption.requested {
      printError("emu: interrupted after \(entries.count) of \(found.count) scenarios")
      throw ExitCode(RunReport.Status.interrupted)
    }
    let failed = entries.contains { !$0.result.hasPassed }
    throw ExitCode(failed ? ScenarioRun.Status.failed : ScenarioRun.Status.passed)
  }

  private func lines(
    _ jobs: [ScenarioRun.Job], _ options: ScenarioRun.Options, _ engine: BackEnd
  ) -> [String] {
    DeterminismCheck.lines(jobs, seeds: options.seeds, engine: engine) { Interruption.requested }
  }

  /// Runs all on both engines here, and once more in another process.
  private func compare(
    _ jobs: [ScenarioRun.Job], _ options: ScenarioRun.Options
  ) throws -> Int32 {
    let here = ("interpreter", lines(jobs, options, .interpreter))
    var others = [("JIT", lines(jobs, options, .jit))]
    var words = ["test", "--fingerprints", "--filter", filter]
    if let seeds = options.seeds {
      words += ["--seeds", "\(seeds.lowerBound)..<\(seeds.upperBound)"]
    }
    do throws(HostFileError) {
      let text = try Host.output(of: words + ["--"] + files)
      others.append(("another process", text.split(separator: "\n").map(String.init)))
    } catch {
      printError("emu: another process: \(error)")
      return RunReport.Status.failure
    }
    if Interruption.requested { return RunReport.Status.interrupted }
    let found = others.flatMap { DeterminismCheck.differences(here, $0) }
    let runs = "\(here.1.count) runs on two engines and in two processes"
    try printOutput(
      found.isEmpty ? "\(runs): all the same\n" : found.map { $0 + "\n" }.joined())
    return found.isEmpty ? ScenarioRun.Status.passed : ScenarioRun.Status.failed
  }
}
